"""The retriever: from what a user did, or from an item, to the nearest items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from starlette.routing import BaseRoute

from tonnage.domain import Floats, ItemId, Rows
from tonnage.features.sources import fold_in
from tonnage.index import Index
from tonnage.index.search import direction, directions
from tonnage.releases.item_ids import ItemIds
from tonnage.releases.release import Release
from tonnage.serving.environment import Environment
from tonnage.serving.memory.plan import Plan
from tonnage.serving.memory.report import MemoryReport
from tonnage.serving.memory.start import decide
from tonnage.serving.memory.swap_board import Board
from tonnage.serving.memory.swapping import Swapping, Vectors
from tonnage.serving.metrics import Metrics
from tonnage.serving.protocol.dataplane import TensorSpec
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import Array, ProtocolError

MAX_K = 10_000
"""Most items that one request may ask for."""

INPUTS = (
    TensorSpec("history_rows", "INT32"),
    TensorSpec("history_items", "BYTES"),
    TensorSpec("history_weights", "FP32"),
    TensorSpec("user_vector", "FP32"),
    TensorSpec("similar_to", "INT32"),
    TensorSpec("k", "INT32", (1,)),
    TensorSpec("score_rows", "INT32"),
    TensorSpec("exclude_rows", "INT32"),
    TensorSpec("allowed_bits", "UINT8"),
)

OUTPUTS = (
    TensorSpec("rows", "INT32"),
    TensorSpec("scores", "FP32"),
    TensorSpec("asked_scores", "FP32"),
    TensorSpec("item_ids", "BYTES"),
)

QUERIES = ("history_rows", "history_items", "user_vector", "similar_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What all workers of a pod share, made before they are forked.

    Attributes:
        plan: of the pod.
        vectors: open, so that what of an index is not mapped is shared as well. None with hot swap: the host
            would keep the first index for ever beside those that come.
        board: what was swapped; None without hot swap.
    """

    plan: Plan
    vectors: Vectors | None
    board: Board | None

    @classmethod
    def of(cls, release: Release, environment: Environment, plan: Plan) -> "Prepared":
        """What a plan asks for."""
        if environment.hot_swap:
            return cls(plan=plan, vectors=None, board=Board(release.manifest.retrieval.dimensions))
        return cls(plan=plan, vectors=Vectors.of(release, plan.chosen.name), board=None)


class Retriever:
    """Inner-product search over the item vectors of one release, in the index that the memory plan chose.

    A query is what the user did (`history_rows` or `history_items`, with `history_weights`), a
    `user_vector`, or items to be `similar_to` (then the score is the cosine). `allowed_bits` has one bit
    per item row, the first row in the highest bit of the first byte (numpy's `packbits`); `exclude_rows`
    are left out besides. Answered are the best `k` `rows` with their `scores`, and `asked_scores`, one for
    each of `score_rows`. Who has no known history gets no rows, and NaN for what is asked.
    """

    inputs = INPUTS
    outputs = OUTPUTS

    def __init__(
        self, *, vectors: Vectors, items: ItemIds, report: MemoryReport, swapping: Swapping | None = None
    ) -> None:
        self._vectors = vectors
        self._items = items
        self._report = report
        self._swapping = swapping

    @classmethod
    def load(
        cls, release: Release, environment: Environment, prepared: Prepared | None = None
    ) -> "Retriever":
        """The retriever of a release.

        Args:
            release: to serve.
            environment: what the service is told.
            prepared: what the host did before it forked the workers; done here if there is no host.

        Raises:
            MemoryLimitError: no index fits.
        """
        prepared = prepared or Prepared.of(release, environment, decide(release, environment))
        plan, board = prepared.plan, prepared.board
        vectors = prepared.vectors or Vectors.of(release, plan.chosen.name)
        # Into this process's page table too.
        vectors.index.load()
        swapping = Swapping(release, plan, board, vectors) if board else None
        return cls(vectors=vectors, items=release.row_of, report=MemoryReport(plan), swapping=swapping)

    @property
    def vectors(self) -> Vectors:
        """What is searched now."""
        return self._swapping.vectors if self._swapping else self._vectors

    def routes(self) -> Sequence[BaseRoute]:
        """`/v1/memory`, and with hot swap the two paths that put vectors."""
        return [*self._report.routes(), *(self._swapping.routes() if self._swapping else ())]

    def observe(self, metrics: Metrics) -> None:
        """Export the memory plan and what is measured."""
        self._report.observe(metrics)

    def warm_up(self) -> None:
        """Search once."""
        self.infer(Inference(inputs={"user_vector": np.ones(self.vectors.index.dimensions, np.float32)}))

    def infer(self, request: Inference) -> dict[str, Array]:
        """Answer one request.

        Raises:
            ProtocolError: no query or more than one, a row that does not exist, a wrong type or size.
        """
        # One request, one index: a swap in the middle of it changes the next.
        vectors, inputs = self.vectors, request.inputs
        index = vectors.index
        asked = _rows(inputs, "score_rows", index.items)
        k = _k(request)
        allowed = _allowed(inputs, index.items)
        excluded = _rows(inputs, "exclude_rows", index.items)
        exclude = excluded if len(excluded) else None
        match [name for name in QUERIES if name in inputs]:
            case ["similar_to"]:
                rows = _rows(inputs, "similar_to", index.items)
                found, scores, asked_scores = _nearest_to(index, rows, k, allowed, exclude, asked)
            case [_]:
                user = self._user(vectors, inputs)
                found, scores, asked_scores = _best_for(index, user, k, allowed, exclude, asked)
            case several:
                raise ProtocolError(
                    "exactly one query is needed",
                    hint=f"One of {', '.join(QUERIES)}.",
                    found=", ".join(several) or "none",
                )
        answer: dict[str, Array] = {"rows": found, "scores": scores, "asked_scores": asked_scores}
        if "item_ids" in request.outputs:
            answer["item_ids"] = self._ids(found)
        return answer

    def _user(self, vectors: Vectors, inputs: Mapping[str, Array]) -> Floats | None:
        """The vector of who asks; None if nothing is known of them."""
        index = vectors.index
        if "user_vector" in inputs:
            return _finite(inputs, "user_vector", index.dimensions)
        rows = self._history(inputs, index.items)
        weights = np.ones(len(rows), np.float32)
        if "history_weights" in inputs:
            weights = _finite(inputs, "history_weights", len(rows))
            if len(weights) and weights.min() < 0:
                raise ProtocolError("a weight must not be negative", tensor="history_weights")
        known = rows >= 0
        if not known.any():
            return None
        rows, weights = rows[known], weights[known]
        every = np.arange(len(rows), dtype=np.int32)
        return fold_in(index.vectors(rows), vectors.gram, every, weights, alpha=vectors.alpha)

    def _history(self, inputs: Mapping[str, Array], items: int) -> Rows:
        if "history_items" not in inputs:
            return _rows(inputs, "history_rows", items)
        ids = _flat(inputs, "history_items", np.object_).tolist()
        return self._items.rows([ItemId(each.decode("utf-8", "replace")) for each in ids])

    def _ids(self, rows: Rows) -> Array:
        ids = np.empty(len(rows), object)
        ids[:] = [each.encode() for each in self._items.ids(rows)]
        return ids


def _best_for(
    index: Index,
    user: Floats | None,
    k: int,
    allowed: NDArray[np.bool_] | None,
    exclude: Rows | None,
    asked: Rows,
) -> tuple[Rows, Floats, Floats]:
    if user is None:
        return _nothing(asked)
    rows, scores = index.search(user, k, allowed, exclude)
    return rows, scores, index.scores_of(user, asked)


def _nearest_to(
    index: Index,
    rows: Rows,
    k: int,
    allowed: NDArray[np.bool_] | None,
    exclude: Rows | None,
    asked: Rows,
) -> tuple[Rows, Floats, Floats]:
    if not len(rows):
        return _nothing(asked)
    found, scores = index.similar(rows, k, allowed, exclude)
    return found, scores, directions(index.vectors(asked)) @ direction(index.vectors(rows))


def _nothing(asked: Rows) -> tuple[Rows, Floats, Floats]:
    return np.empty(0, np.int32), np.empty(0, np.float32), np.full(len(asked), np.nan, np.float32)


def _allowed(inputs: Mapping[str, Array], items: int) -> NDArray[np.bool_] | None:
    if "allowed_bits" not in inputs:
        return None
    bits = _flat(inputs, "allowed_bits", np.uint8, -(-items // 8))
    return np.unpackbits(bits, count=items).view(np.bool_)


def _rows(inputs: Mapping[str, Array], name: str, items: int) -> Rows:
    if name not in inputs:
        return np.empty(0, np.int32)
    rows: Rows = _flat(inputs, name, np.int32)
    if len(rows) and not (rows.min() >= 0 and rows.max() < items):
        raise ProtocolError("there is no such item row", tensor=name, items=items)
    return rows


def _k(request: Inference) -> int:
    given = request.inputs.get("k", request.parameters.get("k", 100))
    if isinstance(given, np.ndarray):
        given = given.item() if given.size == 1 and given.dtype.kind in "iu" else None
    if type(given) is not int or not 0 <= given <= MAX_K:
        raise ProtocolError(f"k must be a number from 0 to {MAX_K}", k=given)
    return given


def _finite(inputs: Mapping[str, Array], name: str, length: int) -> Floats:
    values: Floats = _flat(inputs, name, np.float32, length)
    # Products of the values must be finite too, else one search compares infinities.
    with np.errstate(over="ignore"):
        if not np.isfinite(values @ values):
            raise ProtocolError("a value is not finite, or too large", tensor=name)
    return values


def _flat(inputs: Mapping[str, Array], name: str, dtype: type, length: int | None = None) -> Array:
    array = inputs[name].ravel()
    if array.dtype != dtype:
        raise ProtocolError("wrong datatype", tensor=name, expected=np.dtype(dtype), actual=array.dtype)
    if length is not None and len(array) != length:
        raise ProtocolError("wrong size", tensor=name, expected=length, actual=len(array))
    return array
