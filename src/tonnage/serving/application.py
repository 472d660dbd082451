"""The recommender as an ASGI application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from tonnage import __version__
from tonnage.errors import DependencyError, TonnageError
from tonnage.releases.release import Release
from tonnage.serving import problems
from tonnage.serving.admission.admission import Admission
from tonnage.serving.admission.door import STATE, Door
from tonnage.serving.admission.pace import Pace
from tonnage.serving.admission.watching import watched
from tonnage.serving.api import routes
from tonnage.serving.edge import Edge, EdgeSettings, NothingThere
from tonnage.serving.environment import Environment
from tonnage.serving.ledger import Ledger
from tonnage.serving.recommendations import MAX_BODY, Recommendations
from tonnage.serving.service import RecommenderService

FIRST, LEAST, MOST = 8, 1, 64
"""Requests worked on at once: when the service starts, while it is slow, and while it mostly waits. With four
at least, a pod that got a tenth of a core took all of them past their deadline, and gave fallbacks alone."""

PATIENCE = 1 / 3
"""Share of the deadline that a recommendation may take in the mean before fewer are worked on at once: with
more, the deadline's fallback would answer in place of the pipeline."""


class RecommenderServer:
    """The public endpoint, as an ASGI application in `app`.

    Args:
        environment: what the service is told; the release is opened when the application starts.
        release: the one to serve, where it is open already.
    """

    def __init__(self, environment: Environment, release: Release | None = None) -> None:
        self._admission = Admission(
            concurrency=Pace(
                first=FIRST, least=LEAST, most=MOST, target_s=PATIENCE * environment.deadline_ms / 1000
            ),
            budget_s=environment.queue_ms / 1000,
        )
        self._edge = edge = EdgeSettings(
            refuse=problems.of_error,
            max_body=MAX_BODY,
            admission=self._admission,
            admitted=frozenset({"/v1/recommendations", "/v1/similar-items", "/v1/events"}),
            json_only=True,
            ledger=Ledger(log_every=environment.access_log_every),
        )
        self._service = RecommenderService(environment, edge, release)
        self.app = FastAPI(
            title="Tonnage recommender",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            lifespan=self._lifespan,
            middleware=[
                Middleware(Edge, settings=edge),
                Middleware(Recommendations, service=self._service),
            ],
            exception_handlers={
                HTTPException: problems.on_http_error,
                RequestValidationError: problems.on_invalid_request,
                TonnageError: problems.on_tonnage_error,
            },
        )
        router = routes(self._service)
        edge.routes = frozenset(route.path for route in router.routes if isinstance(route, Route))
        self.app.include_router(router)
        self.app.router.routes.append(NothingThere())

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with self._service.lifespan(app):
            metrics = self._edge.ledger.metrics
            if metrics is None:
                raise DependencyError("the service has not started")
            async with watched(self._admission, metrics):
                yield {STATE: Door(self._admission, self._edge.admitted, self._edge)}

    async def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return await self._service.is_ready()
