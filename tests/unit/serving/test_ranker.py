"""Scoring of candidates over the tensors of the protocol."""

from dataclasses import replace

import numpy as np
import pytest
import xgboost
from tests.factories.release import VOCABULARIES, release

from tonnage.domain import SOURCES, ItemId, UserId
from tonnage.errors import RequirementError
from tonnage.features import ranking
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.catalogue import category_codes
from tonnage.serving.environment import Environment
from tonnage.serving.lifecycle import open_servable
from tonnage.serving.ports import Shortlist
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import ProtocolError
from tonnage.serving.ranker import Ranker, load_booster

NOW = 1_323_435_000.0
NAMES = ranking.names(VOCABULARIES)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return release(tmp_path_factory.mktemp("releases"), names=NAMES, vocabularies=VOCABULARIES)


@pytest.fixture(scope="module")
def ranker(opened):
    made = Ranker.load(opened, Environment())
    made.warm_up()
    return made


@pytest.fixture
def tensors():
    events = [
        SessionEvent(
            event_id=str(age), user_id=UserId("u"), item_id=ItemId(f"1000{row}"), kind="x", at=NOW - age
        )
        for row, age in ((1, 9e6), (2, 8e6), (2, 1e5))
    ]
    user = with_session(UserRow.cold(), events)
    return Shortlist(
        rows=np.arange(20, dtype=np.int32),
        sources=np.random.default_rng(7).normal(size=(20, len(SOURCES))).astype(np.float32),
        user=ranking.user_features(user, vocabularies=VOCABULARIES, at=NOW),
        history_rows=np.array([1, 2], np.int32),
        history=user.history,
        at=NOW,
    ).tensors()


def test_a_score_does_not_depend_on_who_else_is_asked_for(ranker, tensors):
    """The explanation scores the slate alone, and must explain the scores that made it."""
    together = ranker.infer(Inference(inputs=tensors))["scores"]
    one = tensors | {"rows": tensors["rows"][7:8], "sources": tensors["sources"][7:8]}
    assert ranker.infer(Inference(inputs=one))["scores"][0] == pytest.approx(together[7], abs=1e-6)


@pytest.mark.parametrize("named", [False, True], ids=["plain model", "model with feature names"])
def test_contributions_add_up_to_the_score(opened, tensors, named):
    """A trained model knows its columns' names, and XGBoost then asks for them unless told not to."""
    booster = load_booster(opened.ranker_path, threads=1)
    booster.feature_names = list(NAMES.all) if named else None
    ranker = Ranker(
        booster=booster,
        item_features=opened.item_features,
        categories=category_codes(opened.items)[0],
        n_user=len(NAMES.user),
    )
    answer = ranker.infer(Inference(inputs=tensors, parameters={"explain": True}))
    assert answer["contributions"].shape == (20, len(NAMES.all) + 1)
    np.testing.assert_allclose(answer["contributions"].sum(axis=1), answer["scores"], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rows": None}, "missing"),
        ({"rows": np.array([60], np.int32)}, "no such item row"),
        ({"rows": np.array([1.0], np.float32)}, "wrong datatype"),
        ({"sources": np.zeros((19, 4), np.float32)}, "wrong shape"),
        ({"user": np.zeros(3, np.float32)}, "wrong shape"),
        ({"history_last_at": np.zeros(1)}, "wrong shape"),
        ({"history_rows": np.array([-2, 1], np.int32)}, "no such item row"),
        ({"rows": np.zeros(5000, np.int32)}, "too many rows"),
    ],
)
def test_inputs_that_cannot_be_are_refused(ranker, tensors, change, complaint):
    inputs = {name: array for name, array in (tensors | change).items() if array is not None}
    with pytest.raises(ProtocolError, match=complaint):
        ranker.infer(Inference(inputs=inputs))


def test_features_that_cannot_be_explained_are_refused_not_fatal(ranker, tensors):
    """A caller may send any float; XGBoost takes no infinity there."""
    odd = tensors | {"sources": np.full((20, len(SOURCES)), np.inf, np.float32)}
    with pytest.raises(ProtocolError, match="cannot be scored"):
        ranker.infer(Inference(inputs=odd, parameters={"explain": True}))


def test_an_assembled_matrix_is_scored_as_it_is(ranker, opened):
    """What any client with features of its own sends: the booster's own prediction must come back."""
    matrix = np.random.default_rng(7).normal(size=(30, len(NAMES.all))).astype(np.float32)
    matrix[::3, ::2] = np.nan
    booster = load_booster(opened.ranker_path, threads=1)
    booster.feature_names = None
    expected = booster.predict(xgboost.DMatrix(matrix), output_margin=True)
    np.testing.assert_allclose(ranker.infer(Inference(inputs={"features": matrix}))["scores"], expected)


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        (np.zeros((3, 2), np.float32), "wrong shape"),
        (np.zeros(len(NAMES.all), np.float32), "wrong shape"),
        (np.zeros((3, len(NAMES.all))), "wrong datatype"),
        (np.zeros((5000, len(NAMES.all)), np.float32), "too many rows"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(ranker, features, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        ranker.infer(Inference(inputs={"features": features}))


def test_a_matrix_beside_candidates_is_refused(ranker, tensors):
    """Which of the two was meant cannot be known."""
    both = tensors | {"features": np.zeros((20, len(NAMES.all)), np.float32)}
    with pytest.raises(ProtocolError, match="stand alone"):
        ranker.infer(Inference(inputs=both))


def test_no_candidates_give_no_scores(ranker, tensors):
    none = tensors | {"rows": np.empty(0, np.int32), "sources": np.empty((0, len(SOURCES)), np.float32)}
    assert len(ranker.infer(Inference(inputs=none))["scores"]) == 0


def test_a_release_of_other_feature_definitions_is_refused(tmp_path):
    """Scores computed from other features than the ranker learnt are nonsense that looks like scores."""
    other = release(tmp_path, names=replace(NAMES, cross=NAMES.cross[:-1]))
    with pytest.raises(RequirementError, match="other feature definitions"):
        open_servable(Environment(release_dir=other.directory))
