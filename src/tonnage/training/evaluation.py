"""The judgement of a release as a value: metrics by model and group of users, and what follows from them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tonnage.training.metrics import Estimate

if TYPE_CHECKING:
    from rich.table import Table

SLATE = "slate"
"""Name of the model that is to be released: candidates of every source, ordered by the ranker."""

DECIDING = "ndcg@10"
"""The metric by which a release must beat every baseline, over all judged users."""

ESTIMATED = ("ndcg@10", "mrr@10", "recall@100", "recall@500")
"""Means over users, with intervals. recall is that of retrieval: before the ranker, by promise."""


SHORT = ("N@10", "MRR", "R@100", "R@500", "cov", "nov")
"""Heads of the table's columns, so that it fits 80 characters."""

LEGEND = (
    "N: NDCG, ± half of its 95 % bootstrap interval. MRR: of the first 10.",
    "R: recall of the candidates. cov: share of the catalogue in the first 10.",
    "nov: mean surprise of the first 10, bits.",
)
"""What the heads mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model and one group of users.

    Attributes:
        model: `SLATE`, or the name of a baseline.
        group: `all`, `warm` (with a past), `new` (without), `discovery` (warm; only items new to the user).
        users: how many.
        estimates: by the names of `ESTIMATED`.
        coverage: share of the catalogue that came in anybody's first ten.
        novelty: mean surprise of the first ten, bits.
    """

    model: str
    group: str
    users: int
    estimates: Mapping[str, Estimate]
    coverage: float
    novelty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a release did on days that it had not seen.

    Attributes:
        scores: of every model and group that has users.
        margins: by how much the slate beats each baseline in `DECIDING`, over the same users.
        notes: what a reader must know.
    """

    scores: Sequence[Score]
    margins: Mapping[str, Estimate]
    notes: Sequence[str] = field(default=())

    @property
    def accepted(self) -> bool:
        """Whether the slate beats every baseline; without anybody to judge by, it does not."""
        return bool(self.margins) and all(margin.mean > 0 for margin in self.margins.values())

    @property
    def reasons(self) -> Sequence[str]:
        """One sentence per baseline."""
        if not self.margins:
            return ("nobody came in the judged days, so nothing is known",)
        return tuple(
            f"{DECIDING} {'beats' if margin.mean > 0 else 'does not beat'} {baseline} by {margin.mean:+.4f}"
            f" (95 % interval {margin.low:+.4f} to {margin.high:+.4f})"
            for baseline, margin in self.margins.items()
        )

    def score(self, model: str = SLATE, group: str = "all") -> Score:
        """One score.

        Raises:
            KeyError: that group has no users.
        """
        for each in self.scores:
            if (each.model, each.group) == (model, group):
                return each
        raise KeyError((model, group))

    def as_dict(self) -> dict[str, object]:
        """Everything as JSON types: `accepted`, `reasons`, `notes`, and `rows`, one per model and group."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "margins": {baseline: asdict(margin) for baseline, margin in self.margins.items()},
            "rows": [_flat(score) for score in self.scores],
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Evaluation":
        """The evaluation that `as_dict` told; what follows from the rest is not read."""
        return cls(
            scores=[_score(row) for row in told["rows"]],
            margins={baseline: Estimate(**margin) for baseline, margin in told["margins"].items()},
            notes=tuple(told["notes"]),
        )

    def table(self) -> "Table":
        """The scores as people read them."""
        from rich import box
        from rich.table import Table

        verdict = "accepted: it beats every baseline" if self.accepted else "rejected"
        table = Table(
            title=f"Judged on unseen days ({verdict})",
            caption="\n".join([*self.notes, *LEGEND]),
            box=box.SIMPLE_HEAD,
            padding=0,
            show_edge=False,
        )
        for name in ("group", "model", "users", *SHORT):
            table.add_column(name, justify="left" if name in ("group", "model") else "right", no_wrap=True)
        groups = [None, *(score.group for score in self.scores), None]
        for score, before, after in zip(self.scores, groups[:-2], groups[2:], strict=True):
            cells = ["" if score.group == before else score.group, score.model, *_figures(score)]
            style = "bold" if score.model == SLATE else None
            table.add_row(*cells, end_section=score.group != after, style=style)
        return table


def _figures(score: Score) -> list[str]:
    deciding = score.estimates[DECIDING]
    means = [f"{score.estimates[name].mean:.3f}" for name in ESTIMATED[1:]]
    return [
        f"{score.users:,}",
        f"{deciding.mean:.3f} ± {(deciding.high - deciding.low) / 2:.3f}",
        *means,
        f"{score.coverage:.0%}",
        f"{score.novelty:.1f}",
    ]


def _flat(score: Score) -> dict[str, object]:
    flat: dict[str, object] = {"model": score.model, "group": score.group, "users": score.users}
    for name, each in score.estimates.items():
        flat |= {name: each.mean, f"{name}_low": each.low, f"{name}_high": each.high}
    return {**flat, "coverage": score.coverage, "novelty": score.novelty}


def _score(row: Mapping[str, Any]) -> Score:
    return Score(
        model=row["model"],
        group=row["group"],
        users=row["users"],
        estimates={
            name: Estimate(mean=row[name], low=row[f"{name}_low"], high=row[f"{name}_high"])
            for name in ESTIMATED
        },
        coverage=row["coverage"],
        novelty=row["novelty"],
    )
