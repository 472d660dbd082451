"""uvicorn's HTTP protocol with a door before the application."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tonnage.serving.admission.door import STATE, Door


class _TurnedAway:
    """Stands where uvicorn keeps the request under way: it has its answer, what is left of it is not read."""

    response_complete = True
    message_event = asyncio.Event()


_TURNED_AWAY: Any = _TurnedAway()


class GuardedProtocol(HttpToolsProtocol):
    """One connection, whose requests pass the application's door, if its lifespan state has one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._door: Door | None = self.app_state.get(STATE)

    def on_headers_complete(self) -> None:
        """See `httptools`: the head of a request is there."""
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
            return
        self.cycle = _TURNED_AWAY
        self.transport.write(refusal)

    def on_message_complete(self) -> None:
        """See `httptools`: all of a request is there, so its connection is idle if it was turned away."""
        super().on_message_complete()
        if self.cycle is _TURNED_AWAY:
            self.on_response_complete()

    def _refusal(self) -> bytes | None:
        if self._door is None or self._is_peculiar():
            return None
        return self._door.refusal(self.parser.get_method(), self.url, self.headers)

    def _is_peculiar(self) -> bool:
        """Whether more is to be heeded than an answer after another: uvicorn does."""
        latest: RequestResponseCycle | None = self.cycle
        return (
            (latest is not None and not latest.response_complete)
            or self.flow.write_paused
            or self.expect_100_continue
            or self.parser.should_upgrade()
            or not self.parser.should_keep_alive()
        )
