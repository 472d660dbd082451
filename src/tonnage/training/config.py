"""What `[training]` in `tonnage.toml` may say."""

from datetime import date

from pydantic import Field

from tonnage.settings import Section


class TrainingConfig(Section):
    """How a release is trained and judged. Chosen on Online Retail, on days before 2011-11-09 only.

    Attributes:
        judge_from: first day, UTC, of those the release is judged on; by default `judge_days` before the
            end.
        judge_days: how many days a slate must foresee, in training and in judgement; by default 30, or a
            fifth of data that cover less than 150 days.
        relevant: kinds of interaction that make an item relevant.
        lessons: moments in the past at which the ranker learns from what came next.
        lesson_days: days between them.
        factors, regularization, alpha, iterations: of ALS; `alpha` is what a weight of one adds to a
            confidence.
        ease_items: up to this many items, neighbours come from EASE, whose cost grows with their cube; above
            it, from BM25.
        ease_regularization: lambda of EASE.
        neighbours: kept per item.
        content_factors: of the SVD of titles and descriptions, which places items that nobody had yet.
        trees, depth, learning_rate: of the ranker.
        negatives: candidates per user and lesson that were not taken, drawn at random, to learn from.
        threads: at most; by default every core.
        refit: fit sources and item table again on all data once judged; the ranker stays.
        seed: of everything drawn at random.
    """

    judge_from: date | None = None
    judge_days: int | None = Field(default=None, ge=1)
    relevant: tuple[str, ...] = ("purchase",)
    lessons: int = Field(default=8, ge=1)
    lesson_days: int = Field(default=14, ge=1)
    factors: int = Field(default=64, ge=1)
    regularization: float = Field(default=150.0, gt=0)
    alpha: float = Field(default=40.0, gt=0)
    iterations: int = Field(default=10, ge=1)
    ease_items: int = Field(default=8_000, ge=0)
    ease_regularization: float = Field(default=1000.0, gt=0)
    neighbours: int = Field(default=400, ge=1)
    content_factors: int = Field(default=64, ge=1)
    trees: int = Field(default=200, ge=1)
    depth: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    negatives: int = Field(default=80, ge=1)
    threads: int | None = Field(default=None, ge=1)
    refit: bool = True
    seed: int = 7
