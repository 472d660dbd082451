"""What a recommender asks its retriever and its ranker, as messages of the Open Inference Protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from tonnage.domain import SOURCES, History, ItemId, Rows
from tonnage.features.sources import PROPOSED
from tonnage.releases.release import Release
from tonnage.serving.ports import Shortlist
from tonnage.serving.protocol import oip
from tonnage.serving.protocol.protos import message
from tonnage.serving.protocol.tensors import Array, ProtocolError, Tensors, datatype_of, to_bytes

CANDIDATES, HISTORY = 500, 40

SIMILAR = 0.1
"""Share of the retriever's questions that are about an item, not about a user."""

FEWEST = 1
"""Items that somebody with a history has at least."""


class Way(StrEnum):
    """How a question travels."""

    JSON = "rest-json"
    BINARY = "rest-binary"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Question:
    """Tensors for a model.

    Attributes:
        inputs: of the request.
        output: of the answer, whose length is known.
        length: its number of elements.
        parameters: of the request as a whole.
    """

    inputs: Tensors
    output: str
    length: int
    parameters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """A question as it crosses the network.

    Attributes:
        body: of the request.
        headers: of it.
        question: that it is.
    """

    body: bytes
    headers: Mapping[str, str]
    question: Question


def questions(model: str, release: Release, *, count: int, seed: int) -> list[Question]:
    """Different questions for a model of a release.

    Args:
        model: `retriever` or `ranker`.
        release: that it serves.
        count: how many.
        seed: of what is drawn.
    """
    random = np.random.default_rng(seed)
    if model == "retriever":
        return [_lookup(random, len(release.items)) for _ in range(count)]
    shortlists = shortlists_for(random, release, count)
    return [Question(each.tensors(), "scores", len(each.rows), {}) for each in shortlists]


def _lookup(random: np.random.Generator, items: int) -> Question:
    asked = _rows(random, items, CANDIDATES)
    inputs: dict[str, Array] = {"score_rows": asked}
    if random.random() < SIMILAR:
        inputs["similar_to"] = _rows(random, items, 1)
    else:
        inputs["history_rows"] = _rows(random, items, int(random.integers(FEWEST, HISTORY + 1)))
        inputs["history_weights"] = random.gamma(2.0, 1.0, len(inputs["history_rows"])).astype(np.float32)
    return Question(inputs, "asked_scores", len(asked), {"k": PROPOSED})


def _rows(random: np.random.Generator, items: int, count: int) -> Rows:
    return random.choice(items, min(items, count), replace=False).astype(np.int32)


def shortlists_for(random: np.random.Generator, release: Release, count: int) -> Iterator[Shortlist]:
    """What a ranker scores for users of a release, each with a long history and many candidates."""
    for _ in range(count):
        candidates, seen = (min(len(release.items), each) for each in (CANDIDATES, HISTORY))
        scores = random.normal(size=(candidates, len(SOURCES))).astype(np.float32)
        last = release.manifest.window.until.timestamp() - np.sort(random.uniform(0, 1e7, seen))[::-1]
        yield Shortlist(
            rows=random.choice(len(release.items), candidates, replace=False).astype(np.int32),
            sources=scores,
            user=random.gamma(2.0, 1.0, len(release.manifest.features.user)).astype(np.float32),
            history_rows=random.choice(len(release.items), seen, replace=False).astype(np.int32),
            history=History(
                items=[ItemId("")] * seen,
                orders=np.ones(seen, np.float32),
                quantities=np.ones(seen, np.float32),
                first_at=last - 1e6,
                last_at=last,
            ),
            at=release.manifest.window.until.timestamp(),
        )


def written(way: Way, model: str, asked: Sequence[Question]) -> list[Sent]:
    """Questions as they cross the network, written once: whoever sends them has nothing to compute."""
    return [
        _grpc(model, each) if way is Way.GRPC else _rest(each, binary=way is Way.BINARY) for each in asked
    ]


def _rest(question: Question, *, binary: bool) -> Sent:
    body, length = oip.encode_request(question.inputs, parameters=question.parameters, binary=binary)
    if length is None:
        return Sent(body, {"content-type": "application/json"}, question)
    headers = {"content-type": "application/octet-stream", oip.HEADER_LENGTH: str(length)}
    return Sent(body, headers, question)


def _grpc(model: str, question: Question) -> Sent:
    asked = message("inference.ModelInferRequest")(model_name=model)
    for name, value in question.parameters.items():
        asked.parameters[name].int64_param = value
    for name, array in question.inputs.items():
        asked.inputs.add(name=name, datatype=datatype_of(name, array), shape=array.shape)
        asked.raw_input_contents.append(to_bytes(array))
    return Sent(asked.SerializeToString(), {}, question)


def complaint_of_rest(question: Question, body: bytes, header_length: str | None) -> str:
    """What is wrong with an answer over REST; empty for a good one. Pure.

    Args:
        question: that was asked.
        body: of an answer with status 200.
        header_length: the header of the binary tensor extension; None without.
    """
    try:
        outputs = oip.decode_response(body, None if header_length is None else int(header_length))
    except (ProtocolError, ValueError) as error:
        return f"no answer of the protocol: {error}"
    found = outputs.get(question.output)
    return _complaint(question, None if found is None else found.size)


def complaint_of_grpc(question: Question, body: bytes) -> str:
    """What is wrong with an answer over gRPC; empty for a good one. Pure."""
    try:
        answer: Any = message("inference.ModelInferResponse").FromString(body)
    except DecodeError as error:
        return f"no answer of the protocol: {error}"
    sizes = {each.name: int(np.prod(each.shape)) for each in answer.outputs}
    return _complaint(question, sizes.get(question.output))


def _complaint(question: Question, size: int | None) -> str:
    return "" if size == question.length else f"{question.output} has {size} elements, not {question.length}"
