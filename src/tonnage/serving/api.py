"""The public HTTP API: requests in, slates out."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from tonnage.domain import ItemId, UserId
from tonnage.errors import NotFoundError
from tonnage.features.rows import SessionEvent
from tonnage.serving.metrics import CONTENT_TYPE
from tonnage.serving.recommendations import (
    PATH,
    filters,
    items,
    json_answer,
    recommended,
    slate_answer,
)
from tonnage.serving.schemas import (
    EventBody,
    EventsAnswer,
    EventsBody,
    Problem,
    RecommendationsBody,
    ReleaseAnswer,
    SimilarItemsBody,
    SlateAnswer,
)
from tonnage.serving.service import RecommenderService
from tonnage.serving.slates import Ask

STATIC = "/static_content"
"""Where the files of Swagger UI are, which BentoML ships, so that `/docs` works without the internet."""

EVENTS_TIMEOUT_S = 2.0
"""Storing events may take longer than a recommendation: nobody looks at a page meanwhile."""

_PROBLEMS: Mapping[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": says, "content": {"application/problem+json": {}}}
    for status, says in {
        400: "The body is not JSON.",
        413: "The body is too large.",
        415: "The body's media type is not JSON.",
        422: "A field is wrong; `errors` names each.",
        500: "Something broke; the log has it under the request's id.",
        503: "The service, or what it cannot do without, is not there.",
    }.items()
}


def routes(service: RecommenderService) -> APIRouter:
    """The endpoints over one service."""
    router = APIRouter(responses=dict(_PROBLEMS))
    _add_slates(router, service)
    _add_events(router, service)
    _add_operations(router, service)
    router.mount(STATIC, StaticFiles(directory=_static_files(), check_dir=False))
    return router


def _add_slates(router: APIRouter, service: RecommenderService) -> None:
    @router.post(PATH, response_model=SlateAnswer, response_model_exclude_none=True)
    async def recommendations(body: RecommendationsBody, request: Request) -> Response:
        """Items for a user, best first."""
        return await recommended(body, request.scope, service)

    @router.post(
        "/v1/similar-items",
        response_model=SlateAnswer,
        response_model_exclude_none=True,
        responses={404: {**_PROBLEMS[422], "description": "The release has no such item."}},
    )
    async def similaritems(body: SimilarItemsBody, request: Request) -> Response:
        """Items like one item."""
        own = service.serving()
        item = ItemId(body.item_id)
        if item not in own.recommender.catalogue.ids:
            raise NotFoundError("the release has no such item", item_id=item)
        ask = Ask(
            request_id=request.scope["tonnage.request_id"],
            user=None,
            k=body.k,
            filters=filters(body.filters),
            exclude=items(body.exclude),
        )
        slate = await own.recommender.similar(ask, item)
        own.running.metrics.made(slate)
        return json_answer(slate_answer(slate, ask.request_id, service))


def _add_events(router: APIRouter, service: RecommenderService) -> None:
    @router.post("/v1/events", response_model=EventsAnswer, response_model_exclude_none=True)
    async def events(body: EventsBody, request: Request) -> Response:
        """What users did; the next recommendation knows it. Sending a batch again changes nothing."""
        own = service.serving()
        now = own.recommender.clock()
        catalogue = own.recommender.catalogue
        unknown = catalogue.unknown(ItemId(each.item_id) for each in body.events)
        absent = frozenset(unknown)
        kept = [_event(each, now, own.price_of) for each in body.events if each.item_id not in absent]
        new = await own.users.append(kept, timeout_s=EVENTS_TIMEOUT_S) if kept else 0
        own.running.metrics.events(new=new, known=len(kept) - new)
        answer = {"request_id": request.scope["tonnage.request_id"], "new": new, "known": len(kept) - new}
        return json_answer({**answer, **({"unknown_items": unknown} if unknown else {})})


def _add_operations(router: APIRouter, service: RecommenderService) -> None:
    @router.get("/v1/release", response_model=ReleaseAnswer)
    async def release() -> Response:
        """What is served."""
        own = service.serving()
        manifest = own.running.release.manifest
        return json_answer(
            {
                "id": manifest.id,
                "track": own.running.identity.track,
                "until": manifest.window.until,
                "items": len(own.recommender.catalogue),
                "fingerprint": manifest.features.fingerprint,
                "accepted": manifest.evaluation.accepted,
            }
        )

    @router.get("/livez")
    async def livez() -> Response:
        """Whether the process lives."""
        return json_answer({"live": True})

    @router.get("/readyz")
    async def readyz() -> Response:
        """Whether requests are welcome."""
        ready = await service.is_ready()
        return json_answer({"ready": ready}, 200 if ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        """Prometheus' text format."""
        render = service.serving().running.metrics.render
        return Response(await run_in_threadpool(render), media_type=CONTENT_TYPE)

    @router.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("/docs")

    @router.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Tonnage recommender",
            swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{STATIC}/favicon-light-32x32.png",
        )


def _static_files() -> Path:
    # Found, not imported: BentoML weighs more than the service.
    bentoml = find_spec("bentoml")
    where = Path(bentoml.origin).parent if bentoml and bentoml.origin else Path()
    return where / "_internal" / "server" / "static_content"


def _event(body: EventBody, now: float, price_of: Callable[[ItemId], float | None]) -> SessionEvent:
    item = ItemId(body.item_id)
    return SessionEvent(
        event_id=body.event_id,
        user_id=UserId(body.user_id),
        item_id=item,
        kind=body.kind,
        at=now if body.at is None else min(now, body.at.timestamp()),
        quantity=body.quantity,
        price=price_of(item) if body.price is None else body.price,
    )
