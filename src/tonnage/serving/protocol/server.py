"""The Open Inference Protocol over HTTP and gRPC for one model: what retriever and ranker share."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tonnage.errors import TonnageError
from tonnage.releases.release import Release
from tonnage.serving.admission.admission import Reason, RefusedError
from tonnage.serving.admission.door import STATE, Door
from tonnage.serving.admission.watching import watched
from tonnage.serving.collector import quiet_collector
from tonnage.serving.edge import RELEASE, Edge, EdgeSettings, NothingThere
from tonnage.serving.environment import Environment
from tonnage.serving.ledger import Ledger
from tonnage.serving.lifecycle import running
from tonnage.serving.metrics import CONTENT_TYPE
from tonnage.serving.protocol.dataplane import MAX_BODY, DataPlane, Model, Observed, Routed, about_server
from tonnage.serving.protocol.inference import Inference


class InferenceServer:
    """One model behind the protocol, as an ASGI application in `app`.

    Args:
        name: of the model and of the service.
        load: makes the model from a release.
        environment: what the service is told.
        release: open and proven already; by default it is opened when the application starts.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[Release, Environment], Model],
        environment: Environment,
        release: Release | None = None,
    ) -> None:
        self._name, self._load, self._environment = name, load, environment
        self._release = release
        self._plane: DataPlane | None = None
        routes = self._routes()
        self._edge = EdgeSettings(
            refuse=_refuse,
            max_body=MAX_BODY,
            routes=_paths(routes),
            ledger=Ledger(log_every=environment.access_log_every),
        )
        self.app = Starlette(
            routes=[*routes, NothingThere()],
            middleware=[
                Middleware(Edge, settings=self._edge),
                Middleware(Inference, name=name, plane=lambda: self._plane),
            ],
            exception_handlers={HTTPException: _http_error, TonnageError: _tonnage_error},
            lifespan=self._lifespan,
        )

    def is_ready(self) -> bool:
        """Whether requests are welcome: the model is loaded and nobody told the service to stop."""
        return self._plane is not None and self._plane.is_ready()

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
                # `Inference` answers before anything is routed; here it is for the other methods' 405.
                Route(f"{prefix}/infer", _live, methods=["POST"]),
            ]
        return routes

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        environment = self._environment
        async with AsyncExitStack() as stack:
            own = stack.enter_context(running(self._name, environment, self._edge, self._release))
            model = self._load(own.release, environment)
            model.warm_up()
            if isinstance(model, Observed):
                model.observe(own.metrics)
            if isinstance(model, Routed):
                stack.enter_context(self._routed(model))
            # gRPC takes calls in on the event loop, one by one: while that computes, they pile up inside of
            # gRPC, where nobody refuses them.
            thread = stack.enter_context(ThreadPoolExecutor(1)) if environment.grpc_port else None
            plane = DataPlane.of(self._name, own, model, budget_s=environment.queue_ms / 1000, thread=thread)
            await stack.enter_async_context(watched(plane.admission, own.metrics))
            if environment.grpc_port:
                # grpc weighs 24 MB, for nothing where the port is shut.
                from tonnage.serving.protocol.grpc_door import second_door

                await stack.enter_async_context(second_door(plane, environment.grpc_port, self._edge.ledger))
            await stack.enter_async_context(quiet_collector())
            self._plane = plane
            yield {STATE: Door(plane.admission, [f"/v2/models/{self._name}/infer"], self._edge)}
            self._plane = None

    @contextmanager
    def _routed(self, model: Routed) -> Iterator[None]:
        """Serve the model's own paths while the context lasts."""
        before, known = list(self.app.router.routes), self._edge.routes
        routes = model.routes()
        self.app.router.routes[:0] = routes
        self._edge.routes = known | _paths(routes)
        yield
        self.app.router.routes[:] = before
        self._edge.routes = known

    def _own(self, request: Request) -> DataPlane:
        if self._plane is None:
            raise HTTPException(503, "the model is not loaded")
        self._plane.check(release=request.headers.get(RELEASE), version=request.path_params.get("version"))
        return self._plane

    async def _server(self, _request: Request) -> Response:
        return _json(about_server(self._name))

    async def _ready(self, request: Request) -> Response:
        ready = self.is_ready()
        if ready:
            self._own(request)
        return _json({"name": self._name, "ready": ready}, 200 if ready else 503)

    async def _metadata(self, request: Request) -> Response:
        return _json(self._own(request).about_model())

    async def _metrics(self, _request: Request) -> Response:
        if self._plane is None:
            raise HTTPException(503, "the service has not started")
        render = self._plane.running.metrics.render
        return Response(await run_in_threadpool(render), media_type=CONTENT_TYPE)


def _paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    return frozenset(route.path for route in routes if isinstance(route, Route))


async def _live(_request: Request) -> Response:
    return _json({"live": True})


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _refuse(error: TonnageError, _request_id: str) -> Response:
    if isinstance(error, RefusedError):
        return _overloaded(error.reason)
    return _json({"error": str(error)}, error.http_status)


@cache
def _overloaded(reason: Reason) -> Response:
    # Made once: at four times what the service sustains, most answers are this one.
    error = RefusedError(reason)
    response = _json({"error": str(error)}, error.http_status)
    response.headers["retry-after"] = str(error.retry_after_s)
    return response


async def _tonnage_error(_request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, getattr(error, "http_status", 500))


async def _http_error(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    return _json({"error": getattr(error, "detail", str(error))}, status)
