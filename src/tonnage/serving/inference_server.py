"""The Open Inference Protocol over HTTP for one model: what retriever and ranker share."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tonnage import __version__
from tonnage.errors import NotFoundError, RequestError, TonnageError
from tonnage.releases.release import Release
from tonnage.serving import oip
from tonnage.serving.collector import quiet_collector
from tonnage.serving.edge import RELEASE, Edge, EdgeSettings, NothingThere
from tonnage.serving.environment import Environment
from tonnage.serving.lifecycle import Running, running
from tonnage.serving.metrics import CONTENT_TYPE
from tonnage.serving.tensors import ProtocolError, Tensors

MAX_BODY = 64 * 2**20
"""Bytes of a request's body."""


class ReleaseConflictError(RequestError):
    """The caller works with another release than this service holds."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as the model's metadata describe it; -1 is any size."""

    name: str
    datatype: str
    shape: Sequence[int] = (-1,)

    def as_json(self) -> dict[str, object]:
        """The protocol's form."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


class Model(Protocol):
    """What answers inference requests. It computes for milliseconds and holds the event loop meanwhile."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """Tensors it takes."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """Tensors it gives."""
        ...

    def infer(self, request: oip.Inference) -> Tensors:
        """Answer one request.

        Raises:
            ProtocolError: the inputs are not what the model takes.
        """
        ...

    def warm_up(self) -> None:
        """Compute once, so that no request pays for first times."""
        ...


class InferenceServer:
    """One model behind the protocol, as an ASGI application in `app`.

    Args:
        name: of the model and of the service.
        load: makes the model from a release.
        environment: what the service is told; the release is opened when the application starts.
    """

    def __init__(
        self, name: str, load: Callable[[Release, Environment], Model], environment: Environment
    ) -> None:
        self._name, self._load, self._environment = name, load, environment
        self._running: Running | None = None
        self._model: Model | None = None
        routes = self._routes()
        self._edge = EdgeSettings(
            routes=frozenset(route.path for route in routes),
            refuse=_refuse,
            max_body=MAX_BODY,
            log_every=environment.access_log_every,
        )
        self.app = Starlette(
            routes=[*routes, NothingThere()],
            middleware=[Middleware(Edge, settings=self._edge)],
            exception_handlers={HTTPException: _http_error, TonnageError: _tonnage_error},
            lifespan=self._lifespan,
        )

    def is_ready(self) -> bool:
        """Whether requests are welcome: the model is loaded and nobody told the service to stop."""
        return self._model is not None and self._running is not None and not self._running.draining.begun

    def _routes(self) -> list[Route]:
        model = f"/v2/models/{self._name}"
        routes = [
            Route("/v2", self._server),
            Route("/metrics", self._metrics),
            *(Route(path, _live) for path in ("/v2/health/live", "/livez")),
            *(Route(path, self._ready) for path in ("/v2/health/ready", "/readyz")),
        ]
        for prefix in (model, f"{model}/versions/{{version}}"):
            routes += [
                Route(prefix, self._metadata),
                Route(f"{prefix}/ready", self._ready),
                Route(f"{prefix}/infer", self._infer, methods=["POST"]),
            ]
        return routes

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._running = stack.enter_context(running(self._name, self._environment, self._edge))
            self._model = self._load(self._running.release, self._environment)
            self._model.warm_up()
            await stack.enter_async_context(quiet_collector())
            yield
            self._model = None

    def _own(self, request: Request) -> tuple[Running, Model]:
        if self._running is None or self._model is None:
            raise HTTPException(503, "the model is not loaded")
        release = self._running.release.id
        wanted = request.headers.get(RELEASE, release)
        if wanted != release:
            self._running.metrics.conflict()
            raise ReleaseConflictError(f"this service holds release {release}, the call is for {wanted}")
        version = request.path_params.get("version", release)
        if version != release:
            raise NotFoundError(f"there is no version {version}", hint=f"There is {release}.")
        return self._running, self._model

    async def _server(self, _request: Request) -> Response:
        return _json(
            {"name": f"tonnage-{self._name}", "version": __version__, "extensions": ["binary_tensor_data"]}
        )

    async def _ready(self, request: Request) -> Response:
        ready = self.is_ready()
        if ready:
            self._own(request)
        return _json({"name": self._name, "ready": ready}, 200 if ready else 503)

    async def _metadata(self, request: Request) -> Response:
        own, model = self._own(request)
        return _json(
            {
                "name": self._name,
                "versions": [own.release.id],
                "platform": "tonnage",
                "inputs": [each.as_json() for each in model.inputs],
                "outputs": [each.as_json() for each in model.outputs],
            }
        )

    async def _infer(self, request: Request) -> Response:
        own, model = self._own(request)
        inference = oip.decode_request(await request.body(), _header_length(request))
        body, length = oip.encode_response(
            self._name, model.infer(inference), inference, version=own.release.id
        )
        if length is None:
            return Response(body, media_type="application/json")
        return Response(body, media_type="application/octet-stream", headers={oip.HEADER_LENGTH: str(length)})

    async def _metrics(self, _request: Request) -> Response:
        if self._running is None:
            raise HTTPException(503, "the service has not started")
        return Response(await run_in_threadpool(self._running.metrics.render), media_type=CONTENT_TYPE)


def _header_length(request: Request) -> int | None:
    value = request.headers.get(oip.HEADER_LENGTH)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 12):
        raise ProtocolError(f"{oip.HEADER_LENGTH} is not a length", value=value)
    return int(value)


async def _live(_request: Request) -> Response:
    return _json({"live": True})


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _refuse(error: TonnageError, _request_id: str) -> Response:
    return _json({"error": str(error)}, error.http_status)


async def _tonnage_error(_request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, getattr(error, "http_status", 500))


async def _http_error(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _json({"error": getattr(error, "detail", str(error))}, status)
