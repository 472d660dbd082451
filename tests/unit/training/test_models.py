"""The sources' models against the libraries and papers they follow."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tonnage.features.sources import fold_in
from tonnage.training import als, co_purchase
from tonnage.training.config import TrainingConfig
from tonnage.training.content import content_vectors

CONFIG = TrainingConfig(factors=6, neighbours=5, threads=1)


@pytest.fixture
def weights() -> sp.csr_matrix:
    """Forty users in two camps, each with its own half of twenty items."""
    random = np.random.default_rng(5)
    had = np.zeros((40, 20), np.float32)
    for user in range(40):
        camp = 10 * (user % 2)
        had[user, camp + random.choice(10, 5, replace=False)] = random.uniform(0.2, 2.0, 5)
    return sp.csr_matrix(had)


def test_folding_in_gives_what_implicit_would_recalculate(weights: sp.csr_matrix) -> None:
    """Serving solves in numpy what training fitted; another formula would shift every user."""
    content = np.zeros((20, 1), np.float32)
    fitted, model = als.fit(weights, content, CONFIG), als.model(weights, CONFIG)
    confidence = weights.copy()
    confidence.data = 1.0 + CONFIG.alpha * confidence.data
    theirs = model.recalculate_user(np.arange(40), confidence)
    for user in range(40):
        row = weights[user]
        ours = fold_in(fitted.items, fitted.gram, row.indices.astype(np.int32), row.data, alpha=fitted.alpha)
        np.testing.assert_allclose(ours, theirs[user], rtol=2e-3, atol=2e-4)


def test_the_same_seed_gives_the_same_vectors(weights: sp.csr_matrix) -> None:
    content = np.zeros((20, 1), np.float32)
    first, second = (als.fit(weights, content, CONFIG).items for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_an_item_nobody_had_lies_near_those_with_the_same_words(weights: sp.csr_matrix) -> None:
    """Else a new item would be at the origin, and come to nobody."""
    weights = weights.tolil()
    weights[:, [0, 10]] = 0
    weights = weights.tocsr()
    weights.eliminate_zeros()
    titles = ["red lantern"] * 10 + ["paper napkin"] * 10
    content = content_vectors(pd.DataFrame({"title": titles}), factors=4, seed=1)
    items = als.fit(weights, content, CONFIG).items
    lanterns, napkins = items[1:10].mean(axis=0), items[11:20].mean(axis=0)
    assert items[0] @ lanterns > items[0] @ napkins
    assert items[10] @ napkins > items[10] @ lanterns


def test_titles_without_a_letter_still_give_vectors() -> None:
    assert content_vectors(pd.DataFrame({"title": ["-", "!"]}), factors=4, seed=1).shape == (2, 1)


def test_ease_is_the_closed_form_of_its_paper(weights: sp.csr_matrix) -> None:
    had = (weights > 0).astype(np.float32)
    gram = (had.T @ had).toarray().astype(np.float64) + 10 * np.eye(20)
    inverse = np.linalg.inv(gram)
    expected = np.eye(20) - inverse / np.diag(inverse)
    np.testing.assert_allclose(co_purchase.ease(sp.csr_matrix(had), 10.0), expected, atol=1e-5)


@pytest.mark.parametrize("ease_items", [100, 0], ids=["ease", "bm25"])
def test_neighbours_are_of_the_same_camp_and_never_the_item_itself(
    weights: sp.csr_matrix, ease_items: int
) -> None:
    config = CONFIG.model_copy(update={"ease_items": ease_items})
    rows, strengths = co_purchase.fit(weights, np.zeros((20, 1), np.float32), config)
    assert rows.shape == strengths.shape
    assert rows.dtype == np.int32
    for item in range(20):
        present = rows[item] >= 0
        assert present.any()
        assert item not in rows[item]
        assert set(rows[item][present] // 10) == {item // 10}
        assert (strengths[item][present] > 0).all()
        assert (strengths[item][~present] == 0).all()


def test_an_item_that_nobody_had_goes_with_those_of_the_same_words(weights: sp.csr_matrix) -> None:
    """What was had together says nothing of a new item; its words do, whatever their number."""
    weights = weights.tolil()
    weights[:, 0] = 0
    weights = weights.tocsr()
    weights.eliminate_zeros()
    content = np.zeros((20, 2), np.float32)
    content[[0, 1, 11], 0] = 1.0, 3.0, 0.1
    rows, strengths = co_purchase.fit(weights, content, CONFIG)
    assert set(rows[0][strengths[0] > 0].tolist()) == {1, 11}
    assert 0 in rows[1]
    assert np.isfinite(strengths).all()
