"""Vectors with what makes retrieval hard: clusters, a falling spectrum, lengths that grow with popularity."""

import numpy as np


def vectors(items: int, dimensions: int, *, seed: int = 7) -> np.ndarray:
    """Item vectors, float32 [items, dimensions]."""
    random = np.random.default_rng(seed)
    spectrum = (1 + np.arange(dimensions)) ** -0.5
    centres = random.normal(size=(max(4, items // 200), dimensions))
    own = random.integers(len(centres), size=items)
    straight = (0.75 * centres[own] + 0.66 * random.normal(size=(items, dimensions))) * spectrum
    lengths = 0.2 + random.gamma(1.0, 0.25, items)
    return (straight / np.linalg.norm(straight, axis=1, keepdims=True) * lengths[:, None]).astype(np.float32)


def queries(items: np.ndarray, count: int, *, seed: int = 8) -> np.ndarray:
    """Users that like a few items each, float32 [count, d]."""
    random = np.random.default_rng(seed)
    liked = [items[random.integers(len(items), size=random.integers(1, 6))] for _ in range(count)]
    return np.stack([each.sum(axis=0) for each in liked]).astype(np.float32)
