"""Vectors of items: implicit ALS from who had what, and from the words of an item where nobody had it yet."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from tonnage.domain import Floats
from tonnage.training.config import TrainingConfig

RIDGE = 1.0
"""Regularization of the map from content to taste."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """What folds users in and finds their nearest items.

    Attributes:
        items: float32 [n_items, d].
        gram: float32 [d, d], `items.T @ items + regularization I`.
        alpha: what a weight of one adds to a confidence.
    """

    items: Floats
    gram: Floats
    alpha: float


def fit(weights: sp.csr_matrix, content: Floats, config: TrainingConfig) -> Vectors:
    """Factorise who had what (Hu, Koren and Volinsky 2008); then place the items that nobody had.

    Args:
        weights: interaction weights, float32 [users, items]; zero where there was no interaction.
        content: float32 [items, c], one vector of words per item.
        config: factors, regularization, alpha, iterations, seed, threads.
    """
    items = model(weights, config).item_factors
    items = with_content(items, content, known=np.diff(weights.tocsc().indptr) > 0)
    gram = items.T @ items + config.regularization * np.eye(items.shape[1], dtype=np.float32)
    return Vectors(items=items, gram=gram.astype(np.float32), alpha=config.alpha)


def model(weights: sp.csr_matrix, config: TrainingConfig) -> AlternatingLeastSquares:
    """The fitted model of `implicit`; confidence is `1 + alpha * weight`."""
    confidence = weights.copy()
    confidence.data = 1.0 + config.alpha * confidence.data
    # Its own threads and those of BLAS would fight for the same cores; it looks when it is made.
    with threadpool_limits(1, "blas"):
        als = AlternatingLeastSquares(
            factors=min(config.factors, min(weights.shape)),
            regularization=config.regularization,
            iterations=config.iterations,
            random_state=config.seed,
            num_threads=config.threads or 0,
        )
        als.fit(confidence, show_progress=False)
    return als


def with_content(items: Floats, content: Floats, *, known: Floats) -> Floats:
    """The vectors, with those of unknown items foretold from their words by ridge regression.

    Args:
        items: float32 [n, d], fitted where `known`.
        content: float32 [n, c].
        known: bool [n].
    """
    if known.all() or not known.any():
        return items.astype(np.float32)
    words = np.hstack([content, np.ones((len(content), 1), np.float32)]).astype(np.float64)
    seen = words[known]
    penalty = RIDGE * np.eye(words.shape[1])
    taste = np.linalg.solve(seen.T @ seen + penalty, seen.T @ items[known])
    return np.where(known[:, None], items, words @ taste).astype(np.float32)
