"""The board on which the workers of a pod see what was swapped."""

import multiprocessing

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from tests.factories.release import release

from tonnage.errors import TonnageError
from tonnage.serving.environment import Environment
from tonnage.serving.memory.swap_board import SLOTS, Board, SwapConflictError, Version
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.retriever import Retriever

FORK = multiprocessing.get_context("fork")


def vector(value, dimensions=4):
    return np.full(dimensions, value, np.float32)


def test_who_comes_later_finds_what_was_put_before():
    """A worker that takes the place of one that died must not serve what was replaced."""
    board = Board(4)
    board.put_vector(3, vector(1))
    board.put_vector(5, vector(2))
    board.put_vector(3, vector(9))
    replaced, version = board.vectors_since(Version())
    assert {row: float(found[0]) for row, found in replaced} == {3: 9.0, 5: 2.0}
    assert board.vectors_since(version) == ([], version)


def test_a_new_index_replaces_vectors_that_were_put_before_it():
    board = Board(4)
    board.put_vector(3, vector(1))
    board.put_index("/mnt/fresh")
    assert board.path() == "/mnt/fresh"
    assert board.vectors_since(Version())[0] == []
    board.put_vector(4, vector(2))
    assert [row for row, _ in board.vectors_since(Version())[0]] == [4]


def test_two_indexes_never_wait_at_once():
    """Room is planned for one index beside the one that is served."""
    board = Board(4)
    place = board.enrol()
    first = board.put_index("/mnt/one")
    with pytest.raises(SwapConflictError, match="another index"):
        board.put_index("/mnt/two")
    board.saw(place, first)
    assert board.everyone_saw(first)
    assert board.put_index("/mnt/two").index == 2


def test_replaced_vectors_are_bounded_and_one_item_takes_one_place():
    board = Board(4)
    for row in range(SLOTS):
        board.put_vector(row, vector(row))
    board.put_vector(7, vector(-1))
    with pytest.raises(SwapConflictError, match="whole index"):
        board.put_vector(SLOTS, vector(0))


def put_many(board, start):
    for row in range(start, start + 100):
        board.put_vector(row, vector(row))


def test_workers_that_put_at_the_same_time_lose_nothing():
    board = Board(4)
    writers = [FORK.Process(target=put_many, args=(board, start)) for start in (0, 100, 200)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(30)
    replaced, version = board.vectors_since(Version())
    assert version.vector == 300
    assert {row: float(found[0]) for row, found in replaced} == {row: float(row) for row in range(300)}


def test_a_worker_that_died_keeps_nobody_waiting():
    board = Board(4)
    dead = FORK.Process(target=board.enrol)
    dead.start()
    dead.join(30)
    assert board.everyone_saw(board.put_vector(1, vector(1)))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two releases of the same catalogue."""
    root = tmp_path_factory.mktemp("releases")
    return release(root, seed=7), release(root, seed=8)


@pytest.fixture
async def served(pair):
    """A retriever with hot swap, and a client of its own paths."""
    retriever = Retriever.load(pair[0], Environment(hot_swap=True))
    app = Starlette(routes=list(retriever.routes()), exception_handlers={TonnageError: refused})
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://retriever") as client:
        yield retriever, client


async def refused(_request, error):
    return JSONResponse({"error": str(error)}, error.http_status)


def nearest(retriever, query):
    asked = Inference(inputs={"user_vector": query}, parameters={"k": 3})
    return retriever.infer(asked)["rows"].tolist()


async def test_a_put_vector_is_found_when_the_answer_comes(served):
    retriever, client = served
    wanted = np.linspace(-1, 1, 16, dtype=np.float32)
    answer = await client.put("/v1/items/10042/vector", json={"vector": (10 * wanted).tolist()})
    assert (answer.status_code, answer.json()["row"]) == (200, 42)
    assert nearest(retriever, wanted)[0] == 42


async def test_the_vectors_of_another_release_take_the_place_of_the_first(served, pair):
    retriever, client = served
    await client.put("/v1/items/10042/vector", json={"vector": [9.0] * 16})
    answer = await client.put("/v1/index", json={"directory": str(pair[1].directory)})
    assert answer.json() == {"vectors_of": pair[1].id, "index": "exact-f32"}
    query = np.linspace(-1, 1, 16, dtype=np.float32)
    assert nearest(retriever, query) == np.argsort(-(pair[1].item_vectors @ query))[:3].tolist()
    assert (retriever.vectors.gram == pair[1].gram).all()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"no json", "not JSON"),
        (b'{"vector": [NaN]}', "not JSON"),
        (b'{"vector": [1, 2, 3]}', "expected=16, actual=3"),
        (b'{"vector": "wide"}', "list of numbers"),
        (b'{"vector": [' + b",".join([b"true"] * 16) + b"]}", "list of numbers"),
        (b'{"vector": [' + b",".join([b"1e300"] * 16) + b"]}", "not finite"),
        (b'{"vektor": []}', "the body must be"),
    ],
)
async def test_a_vector_that_cannot_be_is_refused(served, body, complaint):
    answer = await served[1].put("/v1/items/10001/vector", content=body)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


async def test_what_is_not_there_or_does_not_fit_is_refused(served, tmp_path):
    client = served[1]
    assert (await client.put("/v1/items/nobody/vector", json={"vector": [1.0] * 16})).status_code == 404
    assert (await client.put("/v1/index", json={"directory": str(tmp_path / "none")})).status_code == 404
    smaller = release(tmp_path / "smaller", items=50)
    narrower = release(tmp_path / "narrower", dimensions=8)
    for other, complaint in ((smaller, "item ids"), (narrower, "dimensions")):
        answer = await client.put("/v1/index", json={"directory": str(other.directory)})
        assert answer.status_code == 422
        assert complaint in answer.json()["error"]


async def test_an_index_that_was_tampered_with_is_not_swapped_in(served, pair, tmp_path):
    damaged = release(tmp_path, seed=9)
    with (damaged.directory / "retrieval" / "item_vectors.npy").open("r+b") as file:
        file.seek(400)
        file.write(b"\0\1\2\3")
    before = served[0].vectors
    answer = await served[1].put("/v1/index", json={"directory": str(damaged.directory)})
    assert answer.status_code == 500
    assert "item_vectors.npy" in answer.json()["error"]
    assert served[0].vectors is before


def test_without_hot_swap_there_is_nothing_to_put_to(pair):
    paths = {route.path for route in Retriever.load(pair[0], Environment()).routes()}
    assert paths == {"/v1/memory"}
