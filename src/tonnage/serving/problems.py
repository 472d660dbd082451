"""Errors as RFC 9457 problem documents."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tonnage.errors import TonnageError

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    detail: str,
    request_id: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that says what went wrong.

    Args:
        status: HTTP status; its phrase is the title, so the type is `about:blank` (RFC 9457, section 4.2.1).
        detail: what is wrong with this request, and what to do.
        request_id: under which the log has it.
        errors: each wrong field: `field` as a JSON pointer, and `detail`.
        headers: further headers of the answer.
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = list(errors)
    return Response(orjson.dumps(document), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_error(error: TonnageError, request_id: str) -> Response:
    """The problem that an error of ours is."""
    headers = {"retry-after": "1"} if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(error.http_status, str(error), request_id, headers=headers)


async def on_tonnage_error(request: Request, error: Exception) -> Response:
    """Handler of errors of ours."""
    if not isinstance(error, TonnageError):
        raise error
    return of_error(error, request.scope["tonnage.request_id"])


async def on_http_error(request: Request, error: Exception) -> Response:
    """Handler of the framework's own refusals: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    if isinstance(error.__cause__, TonnageError):
        # FastAPI makes every failure to read a body a 400; ours know better.
        return await on_tonnage_error(request, error.__cause__)
    path = request.url.path
    detail = {
        404: f"there is no {path}; see /docs",
        405: f"{path} does not take {request.method}",
    }.get(error.status_code, str(error.detail))
    return problem(error.status_code, detail, request.scope["tonnage.request_id"], headers=error.headers)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Handler of bodies that do not fit: 400 where it is no JSON, else 422 with every wrong field."""
    if not isinstance(error, RequestValidationError):
        raise error
    request_id = request.scope["tonnage.request_id"]
    found = error.errors()
    for each in found:
        if each["type"] == "json_invalid":
            reason = each.get("ctx", {}).get("error", each["msg"])
            return problem(400, f"the body is not JSON: {reason}, at character {each['loc'][-1]}", request_id)
    errors = [{"field": _pointer(each["loc"]), "detail": each["msg"]} for each in found]
    detail = "; ".join(f"{each['field'] or 'the body'}: {each['detail']}" for each in errors[:5])
    return problem(422, detail, request_id, errors=errors)


def _pointer(location: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901) into the body."""
    inside = location[1:] if location and location[0] == "body" else location
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in inside)
