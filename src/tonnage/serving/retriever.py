"""The retriever: from what a user did, or from an item, to the nearest items."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats, ItemId, Rows
from tonnage.features.sources import fold_in
from tonnage.releases.release import Release
from tonnage.serving.environment import Environment
from tonnage.serving.inference_server import TensorSpec
from tonnage.serving.oip import Inference
from tonnage.serving.tensors import Array, ProtocolError

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


class Retriever:
    """Exact inner-product search over the item vectors of one release.

    A query is what the user did (`history_rows` or `history_items`, with `history_weights`), a
    `user_vector`, or items to be `similar_to` (then the score is the cosine). `allowed_bits` has one bit
    per item row, the first row in the highest bit of the first byte (numpy's `packbits`); `exclude_rows`
    are left out besides. Answered are the best `k` `rows` with their `scores`, and `asked_scores`, one for
    each of `score_rows`. Who has no known history gets no rows, and NaN for what is asked.
    """

    inputs = INPUTS
    outputs = OUTPUTS

    def __init__(
        self, *, item_vectors: Floats, gram: Floats, alpha: float, row_of: Mapping[ItemId, int]
    ) -> None:
        # A copy in memory, not the mapped file: a page that the kernel dropped must not cost a request.
        self._vectors = np.array(item_vectors, np.float32, order="C")
        self._gram = np.array(gram, np.float32)
        self._alpha = alpha
        self._row_of = row_of
        self._ids = np.array([item.encode() for item in row_of], object)
        lengths = np.linalg.norm(self._vectors, axis=1)
        self._scales = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    @classmethod
    def load(cls, release: Release, _environment: Environment) -> "Retriever":
        """The retriever of a release."""
        return cls(
            item_vectors=release.item_vectors,
            gram=release.gram,
            alpha=release.manifest.retrieval.alpha,
            row_of=release.row_of,
        )

    def warm_up(self) -> None:
        """Touch every vector once."""
        self.infer(Inference(inputs={"user_vector": np.zeros(self._vectors.shape[1], np.float32)}))

    def infer(self, request: Inference) -> dict[str, Array]:
        """Answer one request.

        Raises:
            ProtocolError: no query or more than one, a row that does not exist, a wrong type or size.
        """
        inputs = request.inputs
        asked = self._rows(inputs, "score_rows")
        scores = self._scores(inputs)
        if scores is None:
            rows, best = np.empty(0, np.int32), np.empty(0, np.float32)
            asked_scores = np.full(len(asked), np.nan, np.float32)
        else:
            asked_scores = scores[asked]
            rows, best = top_k(scores, _k(request), self._barred(inputs))
        answer: dict[str, Array] = {"rows": rows, "scores": best, "asked_scores": asked_scores}
        if "item_ids" in request.outputs:
            answer["item_ids"] = self._ids[rows]
        return answer

    def _scores(self, inputs: Mapping[str, Array]) -> Floats | None:
        queries = [
            name for name in ("history_rows", "history_items", "user_vector", "similar_to") if name in inputs
        ]
        match queries:
            case ["user_vector"]:
                return self._vectors @ _flat(inputs, "user_vector", np.float32, self._vectors.shape[1])
            case ["similar_to"]:
                return self._similarities(self._rows(inputs, "similar_to"))
            case ["history_rows" | "history_items"]:
                return self._tastes(inputs)
        raise ProtocolError(
            "exactly one query is needed",
            hint="One of history_rows, history_items, user_vector and similar_to.",
            found=", ".join(queries) or "none",
        )

    def _tastes(self, inputs: Mapping[str, Array]) -> Floats | None:
        rows = self._history(inputs)
        weights = np.ones(len(rows), np.float32)
        if "history_weights" in inputs:
            weights = _flat(inputs, "history_weights", np.float32, len(rows))
        known = rows >= 0
        if not known.any():
            return None
        user = fold_in(self._vectors, self._gram, rows[known], weights[known], alpha=self._alpha)
        return self._vectors @ user

    def _history(self, inputs: Mapping[str, Array]) -> Rows:
        if "history_items" not in inputs:
            return self._rows(inputs, "history_rows")
        items = _flat(inputs, "history_items", np.object_).tolist()
        return np.array(
            [self._row_of.get(ItemId(item.decode("utf-8", "replace")), -1) for item in items], np.int32
        )

    def _similarities(self, rows: Rows) -> Floats | None:
        if not len(rows):
            return None
        query = (self._vectors[rows] * self._scales[rows, None]).mean(axis=0)
        length = float(np.linalg.norm(query))
        cosines: Floats = (self._vectors @ query) * self._scales
        return cosines / np.float32(length) if length > 0 else cosines

    def _barred(self, inputs: Mapping[str, Array]) -> NDArray[np.bool_] | None:
        if "allowed_bits" not in inputs and "exclude_rows" not in inputs:
            return None
        barred = np.zeros(len(self._vectors), np.bool_)
        if "allowed_bits" in inputs:
            bits = _flat(inputs, "allowed_bits", np.uint8, -(-len(barred) // 8))
            barred |= ~np.unpackbits(bits, count=len(barred)).view(np.bool_)
        barred[self._rows(inputs, "exclude_rows")] = True
        return barred

    def _rows(self, inputs: Mapping[str, Array], name: str) -> Rows:
        if name not in inputs:
            return np.empty(0, np.int32)
        rows: Rows = _flat(inputs, name, np.int32)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self._vectors)):
            raise ProtocolError("there is no such item row", tensor=name, items=len(self._vectors))
        return rows


def top_k(scores: Floats, k: int, barred: NDArray[np.bool_] | None = None) -> tuple[Rows, Floats]:
    """The `k` best rows that are not barred, best first, and their scores.

    Args:
        scores: one per item row.
        k: how many at most.
        barred: rows that must not come, bool of the same shape.
    """
    if barred is not None:
        scores = np.where(barred, -np.inf, scores).astype(np.float32)
        k = min(k, len(scores) - int(barred.sum()))
    k = min(k, len(scores))
    if k <= 0:
        return np.empty(0, np.int32), np.empty(0, np.float32)
    best = np.argpartition(scores, -k)[-k:]
    best = best[np.argsort(-scores[best], kind="stable")]
    return best.astype(np.int32), scores[best]


def _k(request: Inference) -> int:
    given = request.inputs.get("k", request.parameters.get("k", 100))
    if isinstance(given, np.ndarray):
        given = given.item() if given.size == 1 and given.dtype.kind in "iu" else None
    if type(given) is not int or not 0 <= given <= MAX_K:
        raise ProtocolError(f"k must be a number from 0 to {MAX_K}", k=given)
    return given


def _flat(inputs: Mapping[str, Array], name: str, dtype: type, length: int | None = None) -> Array:
    array = inputs[name].ravel()
    if array.dtype != dtype:
        raise ProtocolError("wrong datatype", tensor=name, expected=np.dtype(dtype), actual=array.dtype)
    if length is not None and len(array) != length:
        raise ProtocolError("wrong size", tensor=name, expected=length, actual=len(array))
    return array
