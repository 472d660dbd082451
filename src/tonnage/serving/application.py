"""The recommender as an ASGI application."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from tonnage import __version__
from tonnage.errors import TonnageError
from tonnage.serving import problems
from tonnage.serving.api import routes
from tonnage.serving.edge import Edge, EdgeSettings, NothingThere
from tonnage.serving.environment import Environment
from tonnage.serving.service import RecommenderService

MAX_BODY = 2**20
"""Bytes of a request's body: a thousand excluded items fit ten times."""


class RecommenderServer:
    """The public endpoint, as an ASGI application in `app`.

    Args:
        environment: what the service is told; the release is opened when the application starts.
    """

    def __init__(self, environment: Environment) -> None:
        edge = EdgeSettings(
            refuse=problems.of_error,
            max_body=MAX_BODY,
            json_only=True,
            log_every=environment.access_log_every,
        )
        self._service = RecommenderService(environment, edge)
        self.app = FastAPI(
            title="Tonnage recommender",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            lifespan=self._service.lifespan,
            middleware=[Middleware(Edge, settings=edge)],
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

    async def is_ready(self) -> bool:
        """Whether requests are welcome."""
        return await self._service.is_ready()
