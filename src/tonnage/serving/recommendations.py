"""A request for a slate, from its body to its answer."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tonnage.domain import ItemId, UserId
from tonnage.serving import bodies
from tonnage.serving.catalogue import Filters
from tonnage.serving.edge import HEADERS
from tonnage.serving.exposures import exposure
from tonnage.serving.schemas import FiltersBody, RecommendationsBody
from tonnage.serving.service import RecommenderService
from tonnage.serving.slates import Ask, Placed, Slate

PATH = "/v1/recommendations"

MAX_BODY = 2**20
"""Bytes of a request's body: a thousand excluded items fit ten times."""

USER_ID = b"x-user-id"


class Recommendations:
    """ASGI middleware that answers a request for a slate itself, if its body is what it should be.

    FastAPI documents the endpoint and says what is wrong with a request. To one with which nothing is wrong
    it adds routing, a stack of contexts and dependencies: ten times what validation takes.

    Args:
        app: answers everything else.
        service: makes slates.
    """

    def __init__(self, app: ASGIApp, service: RecommenderService) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await bodies.read(receive, scope[HEADERS], MAX_BODY)
        try:
            asked = RecommendationsBody.model_validate_json(body)
        except ValidationError:
            await self._app(scope, bodies.replay(body, receive), send)
            return
        response = await recommended(asked, scope, self._service)
        await response(scope, receive, send)


async def recommended(body: RecommendationsBody, scope: Scope, service: RecommenderService) -> Response:
    """The answer to one request for a slate, which is counted and logged."""
    started = time.perf_counter()
    own = service.serving()
    header_user = scope[HEADERS].get(USER_ID, b"").decode("latin-1")
    ask = _ask(body, scope["tonnage.request_id"], header_user)
    slate = await own.recommender.recommend(ask)
    ms = 1000 * (time.perf_counter() - started)
    # In the loop's next round, when the answer is on its way.
    asyncio.get_running_loop().call_soon(own.running.metrics.made, slate)
    shown = exposure(slate, request_id=ask.request_id, user=ask.user, header_user=header_user, k=ask.k, ms=ms)
    # Before it is sent, for what a user has seen must be on record: 0.03 ms.
    own.running.log.info("exposure", **shown)
    return json_answer(slate_answer(slate, ask.request_id, service))


def _ask(body: RecommendationsBody, request_id: str, header_user: str) -> Ask:
    user = body.user_id or header_user
    return Ask(
        request_id=request_id,
        user=UserId(user) if user else None,
        k=body.k,
        context=items(body.context.items),
        filters=filters(body.filters),
        exclude=items(body.exclude),
        exclude_seen=body.exclude_seen,
        explain=body.explain,
    )


def filters(body: FiltersBody) -> Filters:
    """The filters of a request."""
    return Filters(category=body.category, price_min=body.price_min, price_max=body.price_max)


def items(ids: Sequence[str]) -> list[ItemId]:
    """Item ids of a request."""
    return [ItemId(each) for each in ids]


def slate_answer(slate: Slate, request_id: str, service: RecommenderService) -> dict[str, Any]:
    """What `schemas.SlateAnswer` describes."""
    identity = service.serving().running.identity
    answer: dict[str, Any] = {
        "request_id": request_id,
        "release": identity.release,
        "track": identity.track,
        "items": [_item(each) for each in slate.items],
    }
    if slate.fallbacks:
        answer["fallback"] = slate.fallbacks[0]
    if slate.unknown:
        answer["unknown_items"] = slate.unknown
    return answer


def _item(placed: Placed) -> dict[str, Any]:
    item: dict[str, Any] = {"item_id": placed.item, "score": placed.score, "sources": placed.sources}
    if placed.title is not None:
        item["title"] = placed.title
    if placed.reasons is not None:
        item["reasons"] = [{"feature": feature, "contribution": value} for feature, value in placed.reasons]
    return item


def json_answer(content: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(content), status, media_type="application/json")
