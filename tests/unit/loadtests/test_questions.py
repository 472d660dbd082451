"""What a retriever and a ranker are asked, and what counts as an answer."""

import numpy as np
import pytest
from tests.factories.release import release

from questions import Way, complaint_of_grpc, complaint_of_rest, questions, written
from shoppers import complaint
from tonnage.serving.protocol import grpc_codec, oip
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.protos import message


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return release(tmp_path_factory.mktemp("releases"), items=60)


@pytest.mark.parametrize("model", ["retriever", "ranker"])
def test_every_way_asks_the_same(small, model: str):
    """REST and gRPC are compared by their speed; that needs the same questions."""
    asked = questions(model, small, count=8, seed=3)
    for way in Way:
        for each, sent in zip(asked, written(way, model, asked), strict=True):
            found = read(way, sent)
            assert found.inputs.keys() == each.inputs.keys()
            for name, array in each.inputs.items():
                np.testing.assert_array_equal(found.inputs[name], array)
            assert each.parameters.items() <= found.parameters.items()


def read(way: Way, sent) -> Inference:
    if way is Way.GRPC:
        return grpc_codec.decode_request(message("inference.ModelInferRequest").FromString(sent.body))
    length = sent.headers.get(oip.HEADER_LENGTH)
    return oip.decode_request(sent.body, None if length is None else int(length))


def test_the_same_seed_asks_the_same(small):
    one, other = (written(Way.GRPC, "ranker", questions("ranker", small, count=4, seed=5)) for _ in range(2))
    assert [each.body for each in one] == [each.body for each in other]


def test_a_retriever_is_asked_about_people_and_about_items(small):
    asked = questions("retriever", small, count=200, seed=7)
    similar = sum("similar_to" in each.inputs for each in asked)
    assert 5 < similar < 50
    assert all(("history_rows" in each.inputs) != ("similar_to" in each.inputs) for each in asked)


@pytest.mark.parametrize(("size", "good"), [(60, True), (59, False), (0, False)])
def test_an_answer_has_a_score_for_each_row(small, size: int, good: bool):
    (asked,) = questions("ranker", small, count=1, seed=1)
    outputs = {"scores": np.zeros(size, np.float32)}
    for binary in (frozenset(), None):
        body, length = oip.encode_response("ranker", outputs, Inference(inputs={}, binary=binary))
        wrong = complaint_of_rest(asked, body, None if length is None else str(length))
        assert (wrong == "") is good
    answer = grpc_codec.encode_response("ranker", outputs, Inference(inputs={}, binary=None), version="r")
    assert (complaint_of_grpc(asked, answer.SerializeToString()) == "") is good


def test_something_else_is_no_answer(small):
    (asked,) = questions("ranker", small, count=1, seed=1)
    assert complaint_of_rest(asked, b"{}", None)
    assert complaint_of_rest(asked, b"<html>", None)
    assert complaint_of_grpc(asked, b"")
    assert complaint_of_grpc(asked, b"<html>")


ITEMS = [{"item_id": "a"}, {"item_id": "b"}]


@pytest.mark.parametrize(
    ("told", "least", "barred", "wrong"),
    [
        ({"items": ITEMS}, 2, (), ""),
        ({"items": ITEMS}, 3, (), "a short slate"),
        ({"items": []}, 0, (), ""),
        ({"items": ITEMS, "fallback": "deadline"}, 2, (), "fallback deadline"),
        ({"items": ITEMS}, 2, ["b"], "an item that was to be left out"),
        ({"items": ITEMS}, 2, ["c"], ""),
    ],
)
def test_what_is_wrong_with_a_slate(told, least: int, barred, wrong: str):
    assert complaint(told, least=least, barred=barred) == wrong
