"""How good a ranked list is, and how sure we are of the mean over users."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tonnage.domain import Floats, Rows

DRAWS = 1000
"""Bootstrap samples of users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over users and its 95 % interval by percentile bootstrap (Efron 1979)."""

    mean: float
    low: float
    high: float


def ndcg(ranked: Rows, relevant: Rows, k: int) -> float:
    """Normalised discounted cumulative gain of the first `k`, each relevant item gaining one."""
    if not len(relevant):
        return float("nan")
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gained = discounts[: len(ranked[:k])][np.isin(ranked[:k], relevant)].sum()
    return float(gained / discounts[: min(k, len(relevant))].sum())


def reciprocal_rank(ranked: Rows, relevant: Rows, k: int) -> float:
    """One over the place of the first relevant item among the first `k`; 0 if there is none."""
    hits = np.flatnonzero(np.isin(ranked[:k], relevant))
    return 1.0 / (1.0 + float(hits[0])) if len(hits) else 0.0


def recall(ranked: Rows, relevant: Rows, k: int) -> float:
    """Share of the relevant items that are among the first `k`."""
    return float(np.isin(relevant, ranked[:k]).mean()) if len(relevant) else float("nan")


def novelty(ranked: Rows, share: Floats, k: int) -> float:
    """Mean surprise of the first `k` in bits, -log2 of the share of buyers (Vargas and Castells 2011).

    Args:
        ranked: rows, best first.
        share: of all users, those that had the item, by row.
        k: how many count.
    """
    shares = share[ranked[:k]]
    return float(-np.log2(np.maximum(shares, 1e-9)).mean()) if len(shares) else float("nan")


def estimate(values: Floats, *, seed: int) -> Estimate:
    """Mean and interval of one value per user.

    Args:
        values: [users].
        seed: of the bootstrap; the same for two models makes their samples the same users.
    """
    draws = _draws(len(values), seed) @ values.astype(np.float64)
    low, high = np.percentile(draws, [2.5, 97.5]).tolist()
    return Estimate(mean=float(values.mean(dtype=np.float64)), low=low, high=high)


@lru_cache(maxsize=8)
def _draws(users: int, seed: int) -> Floats:
    counts = np.random.default_rng(seed).multinomial(users, np.full(users, 1.0 / users), size=DRAWS)
    return (counts / users).astype(np.float32)
