"""Items that go together: EASE and their words where the catalogue allows it, BM25 where it is too large."""

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight
from scipy.linalg import lapack

from tonnage.domain import Floats, Rows
from tonnage.training.config import TrainingConfig

WORDS = 0.25
"""What the words of items weigh beside who had them together, both in units of an item's sum of weights."""

Neighbours = tuple[Rows, Floats]
"""Rows of the neighbours of each item, int32 [n_items, m] with -1 for none, and their weights, float32."""


def fit(weights: sp.csr_matrix, content: Floats, config: TrainingConfig) -> Neighbours:
    """The strongest neighbours of each item.

    Args:
        weights: interaction weights, float32 [users, items]; only whether there is one counts.
        content: float32 [items, c], one vector of words per item.
        config: ease_items, ease_regularization, neighbours, threads.
    """
    had = sp.csr_matrix(
        (np.ones(weights.nnz, np.float32), weights.indices, weights.indptr), shape=weights.shape
    )
    if weights.shape[1] <= config.ease_items:
        together = _usual(ease(had, config.ease_regularization))
        return strongest(together + WORDS * _usual(alike(content)), config.neighbours)
    return bm25(had, config)


def ease(had: sp.csr_matrix, regularization: float) -> Floats:
    """Weights of EASE, float32 [items, items], zero on the diagonal (Steck 2019, equation 8)."""
    gram: Floats = (had.T @ had).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += regularization
    # By Cholesky, for a third of the time: the matrix is symmetric and positive definite.
    upper, _ = lapack.spotri(lapack.spotrf(gram, overwrite_a=True)[0], overwrite_c=True)
    inverse = np.triu(upper) + np.triu(upper, 1).T
    weights: Floats = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def alike(content: Floats) -> Floats:
    """How alike the words of items are, float32 [items, items], zero on the diagonal.

    The cube of their cosine: words in common with many items say little.

    Args:
        content: float32 [items, c], one vector of words per item.
    """
    lengths = np.linalg.norm(content, axis=1, keepdims=True)
    directions = content / np.where(lengths > 0, lengths, 1.0)
    similar: Floats = np.maximum(directions @ directions.T, 0.0).astype(np.float32) ** 3
    np.fill_diagonal(similar, 0.0)
    return similar


def bm25(had: sp.csr_matrix, config: TrainingConfig) -> Neighbours:
    """Neighbours by BM25, each item's weights relative to its strongest one."""
    # One more than asked: an item is its own nearest neighbour.
    model = ItemItemRecommender(K=config.neighbours + 1, num_threads=config.threads or 0)
    model.fit(sp.csr_matrix(bm25_weight(had.T).T), show_progress=False)
    similar = model.similarity
    rows = np.full((similar.shape[0], config.neighbours), -1, np.int32)
    weights = np.zeros(rows.shape, np.float32)
    for item in range(len(rows)):
        part = slice(similar.indptr[item], similar.indptr[item + 1])
        others, strengths = similar.indices[part], similar.data[part]
        order = np.argsort(-strengths, kind="stable")
        order = order[(others[order] != item) & (strengths[order] > 0)][: config.neighbours]
        rows[item, : len(order)] = others[order]
        weights[item, : len(order)] = strengths[order] / strengths[order].max(initial=1e-12)
    return rows, weights


def strongest(weights: Floats, m: int) -> Neighbours:
    """The `m` largest positive weights of each row; the rest says what is not had together, and is noise."""
    m = min(m, weights.shape[1] - 1)
    rows = np.argpartition(-weights, m, axis=1)[:, :m].astype(np.int32)
    values = np.take_along_axis(weights, rows, axis=1)
    positive = values > 0
    return np.where(positive, rows, -1).astype(np.int32), np.where(positive, values, 0).astype(np.float32)


def _usual(weights: Floats) -> Floats:
    """The weights in units of the mean sum of an item's positive ones."""
    total = float(np.maximum(weights, 0.0).sum(axis=1).mean())
    return weights / np.float32(total) if total > 0 else weights
