"""Retriever and ranker over the network, by the Open Inference Protocol with binary tensors."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np

from tonnage.domain import Floats, ReleaseId, Rows
from tonnage.errors import DependencyError
from tonnage.serving import oip
from tonnage.serving.catalogue import Allowed
from tonnage.serving.edge import DEADLINE, RELEASE, REQUEST_ID
from tonnage.serving.metrics import Metrics
from tonnage.serving.ports import Call, LateError, Nearest, Shortlist
from tonnage.serving.tensors import Array, ProtocolError, Tensors

KEEP_ALIVE_S = 4.0
"""Idle time after which a connection is not used again; below uvicorn's 5 s, or a call meets a closed one."""

CONNECTIONS = 64
"""Kept to each neighbour at most."""


class RemoteModel:
    """One model of one release, wherever it is served.

    Args:
        name: of the model.
        url: of the service.
        release: the only one whose answers are taken.
        kept: session with kept connections.
        fresh: session that connects anew for each call, so that a Service picks another pod.
        metrics: counts conflicts.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        release: ReleaseId,
        kept: aiohttp.ClientSession,
        fresh: aiohttp.ClientSession,
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._url = f"{url.rstrip('/')}/v2/models/{name}"
        self._release = release
        self._kept, self._fresh = kept, fresh
        self._metrics = metrics

    async def infer(
        self, call: Call, inputs: Tensors, parameters: Mapping[str, Any] | None = None
    ) -> dict[str, Array]:
        """Ask the model; where a pod fails or holds another release, ask once more on a fresh connection.

        Raises:
            LateError: no answer in time.
            DependencyError: neither attempt was answered by this release.
        """
        body, length = oip.encode_request(inputs, parameters=parameters)
        headers = {
            RELEASE: self._release,
            REQUEST_ID: call.request_id,
            DEADLINE: f"{1000 * call.timeout_s:.1f}",
            "content-type": "application/octet-stream",
            **({oip.HEADER_LENGTH: str(length)} if length is not None else {}),
        }
        try:
            async with asyncio.timeout(call.timeout_s):
                try:
                    return await self._post(self._kept, body, headers)
                except DependencyError:
                    return await self._post(self._fresh, body, headers)
        except TimeoutError as error:
            raise LateError(f"the {self._name} did not answer in time", timeout_s=call.timeout_s) from error

    async def is_ready(self, timeout_s: float) -> bool:
        """Whether a service of this release says that it is ready."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._fresh.get(f"{self._url}/ready", headers={RELEASE: self._release}) as answer,
            ):
                return answer.status == 200
        except (TimeoutError, aiohttp.ClientError, OSError):
            return False

    async def _post(
        self, session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, Array]:
        try:
            async with session.post(f"{self._url}/infer", data=body, headers=headers) as answer:
                content = await answer.read()
                if answer.status == 409:
                    self._metrics.conflict()
                if answer.status != 200:
                    raise DependencyError(
                        f"the {self._name} refused: {content[:300].decode('utf-8', 'replace')}",
                        status=answer.status,
                    )
                length = answer.headers.get(oip.HEADER_LENGTH)
                return oip.decode_response(content, int(length) if length else None)
        except (aiohttp.ClientError, OSError) as error:
            raise DependencyError(f"the {self._name} does not answer: {error}") from error
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


@asynccontextmanager
async def connections() -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    """Two sessions: one that keeps its connections, and one that never does."""
    kept = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S)
    fresh = aiohttp.TCPConnector(limit=0, force_close=True)
    async with _session(kept) as kept_session, _session(fresh) as fresh_session:
        yield kept_session, fresh_session


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Each call has its own limit around it.
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    )
