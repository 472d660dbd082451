"""Retriever and ranker over the network, by the Open Inference Protocol with binary tensors."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np

from tonnage.domain import Floats, ReleaseId, Rows
from tonnage.errors import DependencyError
from tonnage.serving.catalogue import Allowed
from tonnage.serving.edge import DEADLINE, RELEASE, REQUEST_ID
from tonnage.serving.metrics import Metrics
from tonnage.serving.ports import Call, LateError, Nearest, Shortlist
from tonnage.serving.protocol import oip
from tonnage.serving.protocol.tensors import Array, ProtocolError, Tensors
from tonnage.serving.wire import Wire


class RemoteModel:
    """One model of one release, wherever it is served.

    Args:
        name: of the model.
        url: of the service.
        release: the only one whose answers are taken.
        metrics: counts conflicts.
    """

    def __init__(self, *, name: str, url: str, release: ReleaseId, metrics: Metrics) -> None:
        self._name = name
        self._metrics = metrics
        self._wire = Wire(url)
        path, binary = f"/v2/models/{name}", {"content-type": "application/octet-stream"}
        self._infer = self._wire.head("POST", f"{path}/infer", {RELEASE: release, **binary})
        self._ready = self._wire.head("GET", f"{path}/ready", {RELEASE: release})

    async def infer(
        self, call: Call, inputs: Tensors, parameters: Mapping[str, Any] | None = None
    ) -> dict[str, Array]:
        """Ask the model; where a pod fails or holds another release, ask once more on a fresh connection.

        Raises:
            LateError: no answer in time.
            DependencyError: neither attempt was answered by this release.
        """
        body, length = oip.encode_request(inputs, parameters=parameters)
        # The edge lets no request id in that could end a line.
        head = (
            f"{REQUEST_ID}: {call.request_id}\r\n"
            f"{DEADLINE}: {1000 * call.timeout_s:.1f}\r\n"
            f"{oip.HEADER_LENGTH}: {len(body) if length is None else length}\r\n"
        )
        question = self._infer + head.encode("latin-1")
        try:
            async with asyncio.timeout(call.timeout_s):
                try:
                    return await self._ask(question, body, anew=False)
                except DependencyError:
                    return await self._ask(question, body, anew=True)
        except TimeoutError as error:
            raise LateError(f"the {self._name} did not answer in time", timeout_s=call.timeout_s) from error

    async def is_ready(self, timeout_s: float) -> bool:
        """Whether a service of this release says that it is ready."""
        try:
            async with asyncio.timeout(timeout_s):
                return (await self._wire.ask(self._ready, anew=True)).status == 200
        except (TimeoutError, OSError):
            return False

    def close(self) -> None:
        """Let the connections go."""
        self._wire.close()

    async def _ask(self, question: bytes, body: bytes, *, anew: bool) -> dict[str, Array]:
        try:
            answer = await self._wire.ask(question, body, anew=anew)
        except OSError as error:
            raise DependencyError(f"the {self._name} does not answer: {error}") from error
        if answer.status == 409:
            self._metrics.conflict()
        if answer.status != 200:
            said = answer.body[:300].decode("utf-8", "replace")
            raise DependencyError(f"the {self._name} refused: {said}", status=answer.status)
        length = answer.headers.get(oip.HEADER_LENGTH.encode(), b"")
        try:
            return oip.decode_response(answer.body, int(length) if length.isdigit() else None)
        except ProtocolError as error:
            raise DependencyError(f"the {self._name} answers nonsense: {error}") from error


class RemoteRetrieval:
    """Retrieval by a remote retriever."""

    def __init__(self, model: RemoteModel) -> None:
        self._model = model

    async def nearest(
        self,
        call: Call,
        *,
        history_rows: Rows,
        weights: Floats,
        k: int,
        score_rows: Rows,
        allowed: Allowed | None,
    ) -> Nearest:
        """See `Retrieval.nearest`."""
        inputs: dict[str, Array] = {
            "history_rows": history_rows,
            "history_weights": weights,
            "score_rows": score_rows,
        }
        return await self._ask(call, inputs, k, allowed)

    async def similar(self, call: Call, *, rows: Rows, k: int, allowed: Allowed | None) -> Nearest:
        """See `Retrieval.similar`."""
        return await self._ask(call, {"similar_to": rows}, k, allowed)

    async def _ask(self, call: Call, inputs: dict[str, Array], k: int, allowed: Allowed | None) -> Nearest:
        if allowed is not None:
            inputs["exclude_rows"] = allowed.barred
            if allowed.passing is not None:
                inputs["allowed_bits"] = np.packbits(allowed.passing)
        found = await self._model.infer(call, inputs, {"k": k})
        return Nearest(rows=found["rows"], scores=found["scores"], asked_scores=found["asked_scores"])


class RemoteRanking:
    """Ranking by a remote ranker."""

    def __init__(self, model: RemoteModel) -> None:
        self._model = model

    async def score(self, call: Call, shortlist: Shortlist) -> Floats:
        """See `Ranking.score`."""
        return (await self._model.infer(call, shortlist.tensors()))["scores"]

    async def explain(self, call: Call, shortlist: Shortlist) -> Floats:
        """See `Ranking.explain`."""
        return (await self._model.infer(call, shortlist.tensors(), {"explain": True}))["contributions"]
