"""The ranker: from candidates and a user to scores. It holds the item features, so callers send rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from tonnage.domain import MAX_CANDIDATES, SOURCES, Floats, History, ItemId, Rows
from tonnage.errors import IntegrityError, TonnageError
from tonnage.features import ranking
from tonnage.releases.release import Release
from tonnage.serving.catalogue import category_codes
from tonnage.serving.environment import Environment
from tonnage.serving.memory.cgroup import threads
from tonnage.serving.ports import Shortlist
from tonnage.serving.protocol.dataplane import TensorSpec
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import Array, ProtocolError, Tensors

MAX_ROWS = 4 * MAX_CANDIDATES
"""Most rows that one request may score."""

OWN = "features"
"""The input that stands for all others: the assembled matrix."""

INPUTS = (
    TensorSpec("rows", "INT32"),
    TensorSpec("sources", "FP32", (-1, len(SOURCES))),
    TensorSpec("user", "FP32"),
    TensorSpec("history_rows", "INT32"),
    TensorSpec("history_orders", "FP32"),
    TensorSpec("history_quantities", "FP32"),
    TensorSpec("history_first_at", "FP64"),
    TensorSpec("history_last_at", "FP64"),
    TensorSpec("at", "FP64", (1,)),
)

OUTPUTS = (TensorSpec("scores", "FP32"), TensorSpec("contributions", "FP32", (-1, -1)))


class Ranker:
    """XGBoost over the candidates of one slate.

    Takes the assembled `features` [n, n_features] in the manifest's order, NaN for what is missing; or, so
    that a slate crosses the network as row numbers, candidate `rows`, what each source thinks of them
    (`sources`, NaN for nothing), the `user` features of `ranking.user_features`, the user's history (rows
    and four columns, most recent last) and the time `at`. Answers `scores`; and with the parameter
    `explain`, `contributions`: for each row what each feature adds to its score, in the manifest's order of
    features, and last the bias.
    """

    outputs = OUTPUTS
    together = 4

    def __init__(
        self, *, booster: xgboost.Booster, item_features: Floats, categories: Rows, n_user: int
    ) -> None:
        self._booster = booster
        self._width = booster.num_features()
        self.inputs = (TensorSpec(OWN, "FP32", (-1, self._width)), *INPUTS)
        self._items = np.ascontiguousarray(item_features, np.float32)
        self._categories = categories
        self._n_user = n_user

    @classmethod
    def load(cls, release: Release, environment: Environment) -> "Ranker":
        """The ranker of a release.

        Raises:
            IntegrityError: the model does not fit the release's features.
        """
        features = release.manifest.features
        booster = load_booster(release.ranker_path, threads=threads(environment.workers))
        known = booster.feature_names or list(features.all)
        if booster.num_features() != len(features.all) or known != list(features.all):
            raise IntegrityError("the model does not fit the features of its release", release=release.id)
        return cls(
            booster=booster,
            item_features=release.item_features,
            categories=category_codes(release.items)[0],
            n_user=len(features.user),
        )

    def warm_up(self) -> None:
        """Predict once for a cold user: XGBoost's first calls take ten times as long."""
        rows = np.arange(min(len(self._items), MAX_CANDIDATES), dtype=np.int32)
        cold = Shortlist(
            rows=rows,
            sources=np.full((len(rows), len(SOURCES)), np.nan, np.float32),
            user=np.full(self._n_user, np.nan, np.float32),
            history_rows=np.empty(0, np.int32),
            history=History(),
            at=0.0,
        )
        for explain in (False, False, True):
            self.infer(Inference(inputs=cold.tensors(), parameters={"explain": explain}))

    def infer(self, request: Inference) -> Tensors:
        """Answer one request.

        Raises:
            ProtocolError: a tensor is missing, of another type or size, or names a row that does not exist.
        """
        (answer,) = self.infer_together([request])
        if isinstance(answer, TonnageError):
            raise answer
        return answer

    def infer_together(self, requests: Sequence[Inference]) -> Sequence[Tensors | TonnageError]:
        """Answer several requests with one call of XGBoost; each for itself where they cannot be stacked."""
        matrices = [self._prepared(request) for request in requests]
        rows = [matrix for matrix in matrices if not isinstance(matrix, TonnageError)]
        if not rows:
            return [matrix for matrix in matrices if isinstance(matrix, TonnageError)]
        scores = iter(np.split(self._scores(rows), np.cumsum([len(each) for each in rows])[:-1]))
        return [
            matrix if isinstance(matrix, TonnageError) else self._answer(request, matrix, next(scores))
            for request, matrix in zip(requests, matrices, strict=True)
        ]

    def _prepared(self, request: Inference) -> Floats | TonnageError:
        try:
            # What a caller makes up may divide by nothing; XGBoost says what it cannot take.
            with np.errstate(all="ignore"):
                return self._own(request.inputs) if OWN in request.inputs else self._matrix(request.inputs)
        except ProtocolError as error:
            return error

    def _scores(self, matrices: Sequence[Floats]) -> Floats:
        matrix = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
        if not len(matrix):
            return np.empty(0, np.float32)
        scores = self._booster.inplace_predict(matrix, validate_features=False, predict_type="margin")
        return np.asarray(scores, np.float32)

    def _answer(self, request: Inference, matrix: Floats, scores: Floats) -> Tensors | TonnageError:
        if request.parameters.get("explain") is not True or not len(matrix):
            return {"scores": scores}
        try:
            # The matrix has no column names to validate; `load` compared the model's own with the release's.
            data = xgboost.DMatrix(matrix)
            added = self._booster.predict(data, pred_contribs=True, validate_features=False)
        except xgboost.core.XGBoostError as error:
            return ProtocolError(f"the features cannot be scored: {error}")
        return {"scores": scores, "contributions": added}

    def _own(self, inputs: Mapping[str, Array]) -> Floats:
        if len(inputs) > 1:
            others = ", ".join(name for name in inputs if name != OWN)
            raise ProtocolError("features stand alone, or not at all", also=others)
        matrix: Floats = _tensor(inputs, OWN, np.float32)
        if matrix.ndim != 2 or matrix.shape[1] != self._width:
            raise ProtocolError(
                "wrong shape", tensor=OWN, expected=[-1, self._width], actual=list(matrix.shape)
            )
        return _few(OWN, matrix)

    def _matrix(self, inputs: Mapping[str, Array]) -> Floats:
        rows = _few("rows", self._rows(inputs, "rows", least=0))
        at = float(_tensor(inputs, "at", np.float64, (1,))[0])
        history_rows, history = self._history(inputs)
        return ranking.assemble(
            item=self._items[rows],
            user=_tensor(inputs, "user", np.float32, (self._n_user,)),
            user_item=ranking.user_item_features(history_rows, history, rows, self._categories, at=at),
            sources=_tensor(inputs, "sources", np.float32, (len(rows), len(SOURCES))),
        )

    def _history(self, inputs: Mapping[str, Array]) -> tuple[Rows, History]:
        rows = self._rows(inputs, "history_rows", least=-1)
        shape = (len(rows),)
        return rows, History(
            # The features go by rows; the ids stay with the caller.
            items=[ItemId("")] * len(rows),
            orders=_tensor(inputs, "history_orders", np.float32, shape),
            quantities=_tensor(inputs, "history_quantities", np.float32, shape),
            first_at=_tensor(inputs, "history_first_at", np.float64, shape),
            last_at=_tensor(inputs, "history_last_at", np.float64, shape),
        )

    def _rows(self, inputs: Mapping[str, Array], name: str, *, least: int) -> Rows:
        rows: Rows = _tensor(inputs, name, np.int32)
        if rows.ndim != 1 or (len(rows) and not (rows.min() >= least and rows.max() < len(self._items))):
            raise ProtocolError("there is no such item row", tensor=name, items=len(self._items))
        return rows


def load_booster(path: Path, *, threads: int) -> xgboost.Booster:
    """Read a model and set how many threads it computes with.

    Raises:
        IntegrityError: the file is not a model.
    """
    try:
        booster = xgboost.Booster(model_file=path)
    except xgboost.core.XGBoostError as error:
        raise IntegrityError("this is not an XGBoost model", file=path) from error
    booster.set_param({"nthread": threads})
    return booster


def _few(name: str, rows: Array) -> Array:
    if len(rows) > MAX_ROWS:
        raise ProtocolError("too many rows", tensor=name, limit=MAX_ROWS, actual=len(rows))
    return rows


def _tensor(inputs: Mapping[str, Array], name: str, dtype: type, shape: tuple[int, ...] | None = None) -> Any:
    array = inputs.get(name)
    if array is None:
        raise ProtocolError("a tensor is missing", tensor=name)
    if array.dtype != dtype:
        raise ProtocolError("wrong datatype", tensor=name, expected=np.dtype(dtype), actual=array.dtype)
    if shape is not None and array.shape != shape:
        raise ProtocolError("wrong shape", tensor=name, expected=list(shape), actual=list(array.shape))
    return array
