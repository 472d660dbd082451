"""Retrieval over the vectors of one release."""

import numpy as np
import pytest
from tests.factories.release import release

from tonnage.serving.environment import Environment
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import ProtocolError
from tonnage.serving.retriever import Retriever


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return release(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def retriever(opened):
    return Retriever.load(opened, Environment())


def rows(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize("name", ["exact-f32", "exact-f16", "exact-i8"])
def test_every_index_gives_the_best_of_all_that_may_come(opened, name):
    """The answer is what scoring every vector gives, up to the precision that the vectors are stored at."""
    retriever = Retriever.load(opened, Environment(index=name))
    user = np.linspace(-1, 1, 16, dtype=np.float32)
    allowed = np.arange(60) % 3 > 0
    answer = retriever.infer(
        Inference(
            inputs={"user_vector": user, "allowed_bits": np.packbits(allowed), "exclude_rows": rows(1, 2)},
            parameters={"k": 20},
        )
    )
    scores = opened.item_vectors @ user
    scores[~allowed] = -np.inf
    scores[[1, 2]] = -np.inf
    best = np.sort(scores)[::-1][:20]
    np.testing.assert_allclose(answer["scores"], best, atol=0.05)
    assert not {1, 2} & set(answer["rows"].tolist())
    assert allowed[answer["rows"]].all()


def test_a_history_finds_items_of_its_own_kind(retriever, opened):
    """The factory's items of one category lie close together."""
    inputs = {"history_rows": rows(0, 3, 6), "history_weights": np.ones(3, np.float32)}
    found = retriever.infer(Inference(inputs=inputs, parameters={"k": 10}))["rows"]
    assert (found % 3 == 0).sum() >= 8


def test_ids_say_the_same_as_rows(retriever):
    by_row = retriever.infer(Inference(inputs={"history_rows": rows(4, 8)}))
    ids = np.array([b"10004", b"10008"], object)
    by_id = retriever.infer(Inference(inputs={"history_items": ids}, outputs=["item_ids", "scores"]))
    np.testing.assert_array_equal(by_row["scores"], by_id["scores"])
    assert by_id["item_ids"].tolist() == [f"{10_000 + row}".encode() for row in by_row["rows"]]


def test_what_is_not_allowed_never_comes_but_is_scored_when_asked(retriever):
    allowed = np.zeros(60, np.bool_)
    allowed[[1, 2, 5, 7]] = True
    answer = retriever.infer(
        Inference(
            inputs={
                "history_rows": rows(0),
                "allowed_bits": np.packbits(allowed),
                "exclude_rows": rows(5),
                "score_rows": rows(0, 5),
            },
            parameters={"k": 50},
        )
    )
    assert sorted(answer["rows"].tolist()) == [1, 2, 7]
    assert np.isfinite(answer["asked_scores"]).all()


def test_nobody_known_gets_nothing_rather_than_noise(retriever):
    ids = np.array([b"unheard of"], object)
    answer = retriever.infer(Inference(inputs={"history_items": ids, "score_rows": rows(1, 2)}))
    assert len(answer["rows"]) == 0
    assert np.isnan(answer["asked_scores"]).all()


def test_nothing_is_asked_for_and_nothing_comes(retriever):
    answer = retriever.infer(Inference(inputs={"similar_to": rows(1)}, parameters={"k": 0}))
    assert len(answer["rows"]) == len(answer["scores"]) == 0


def test_asked_items_are_scored_as_found_ones_are(retriever):
    for query in ({"similar_to": rows(3, 9)}, {"history_rows": rows(3, 9)}):
        found = retriever.infer(Inference(inputs=query, parameters={"k": 60}))
        asked = retriever.infer(Inference(inputs={**query, "score_rows": found["rows"]}))
        np.testing.assert_allclose(asked["asked_scores"], found["scores"], atol=1e-5)


def test_an_item_is_most_like_itself(retriever):
    answer = retriever.infer(Inference(inputs={"similar_to": rows(17)}, parameters={"k": 3}))
    assert answer["rows"][0] == 17
    assert answer["scores"][0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({}, "exactly one query"),
        ({"history_rows": rows(1), "similar_to": rows(1)}, "exactly one query"),
        ({"history_rows": rows(60)}, "no such item row"),
        ({"history_rows": rows(-1)}, "no such item row"),
        ({"history_rows": np.array([1], np.int64)}, "wrong datatype"),
        ({"history_rows": rows(1, 2), "history_weights": np.ones(1, np.float32)}, "wrong size"),
        ({"user_vector": np.ones(3, np.float32)}, "wrong size"),
        ({"similar_to": rows(1), "allowed_bits": np.zeros(3, np.uint8)}, "wrong size"),
        ({"user_vector": np.full(16, np.nan, np.float32)}, "not finite"),
        ({"user_vector": np.full(16, np.inf, np.float32)}, "not finite"),
        ({"user_vector": np.full(16, 3e38, np.float32)}, "too large"),
        ({"history_rows": rows(1), "history_weights": np.full(1, np.nan, np.float32)}, "not finite"),
        ({"history_rows": rows(1), "history_weights": np.full(1, -1, np.float32)}, "negative"),
        ({"similar_to": rows(1), "k": rows(-3)}, "k must be"),
        ({"similar_to": rows(1), "k": rows(10_001)}, "k must be"),
        ({"similar_to": rows(1), "k": np.array([1.5])}, "k must be"),
    ],
)
def test_a_query_that_cannot_be_is_refused(retriever, inputs, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        retriever.infer(Inference(inputs=inputs))
