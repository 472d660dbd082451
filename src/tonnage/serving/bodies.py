"""Bodies of requests: read up to a limit of bytes and of time, and inflated up to the same limit."""

import asyncio
import zlib
from collections.abc import Mapping

from starlette.types import Message, Receive

from tonnage.errors import InputError

TIMEOUT_S = 5.0
"""Longest time that a caller may take to send its body; it keeps a place in the queue meanwhile."""

_WINDOWS: Mapping[bytes, int] = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""zlib's window for each content coding: gzip's header, or zlib's (RFC 9110, section 8.4.1)."""


class TooLargeError(InputError):
    """A body is larger than the service reads."""

    http_status = 413


class TooSlowError(InputError):
    """A body did not come in time."""

    http_status = 408


class CodingError(InputError):
    """A body is compressed in a way that the service does not read."""

    http_status = 415


class GoneError(InputError):
    """The caller went away before its body was there; nobody reads the answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The body of a request, as sent.

    Raises:
        TooLargeError: it has more than `limit` bytes, or says so.
        TooSlowError: it did not come in time.
        GoneError: the caller went away.
    """
    check_announced(headers, limit)
    parts: list[bytes] = []
    left = limit
    try:
        async with asyncio.timeout(TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise GoneError("the caller went away")
                parts.append(message.get("body", b""))
                left -= len(parts[-1])
                if left < 0:
                    raise TooLargeError("the body is too large", limit_bytes=limit)
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise TooSlowError("the body did not come in time", timeout_s=TIMEOUT_S) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_announced(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Prove that a body does not say itself that it is too large.

    Raises:
        TooLargeError: it has more than `limit` bytes.
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise TooLargeError("the body is too large", limit_bytes=limit, announced=int(announced))


def limited(receive: Receive, limit: int) -> Receive:
    """What an application receives that reads its body itself; `TooLargeError` beyond the limit."""
    left = limit

    async def some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLargeError("the body is too large", limit_bytes=limit)
        return message

    return some


def replay(body: bytes, receive: Receive) -> Receive:
    """What an application receives from whose body was read already."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def inflate(body: bytes, coding: bytes, limit: int) -> bytes:
    """The body of a request, without its content coding.

    Raises:
        CodingError: the coding is unknown, or the body is not coded so.
        TooLargeError: it grows beyond `limit` bytes.
    """
    window = _WINDOWS.get(coding.strip().lower())
    if window is None:
        name = coding.decode("latin-1")[:50]
        raise CodingError("unknown content-encoding", hint="Send gzip, deflate or none.", coding=name)
    inflater = zlib.decompressobj(window)
    try:
        inflated = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise CodingError(f"the body is not {coding.decode('latin-1')}: {error}") from error
    if len(inflated) > limit:
        raise TooLargeError("the inflated body is too large", limit_bytes=limit)
    if not inflater.eof:
        raise CodingError("the compressed body is cut off")
    return inflated
