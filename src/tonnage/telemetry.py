"""What long work says while it runs, and how services log."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TextIO

import structlog


class Progress(Protocol):
    """Somebody who wants to know how far the work is."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Enter a named stage; its time is told when it ends."""
        ...

    def say(self, line: str) -> None:
        """Tell one thing worth knowing now."""
        ...


class Silent:
    """Progress for nobody."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Enter a stage without a word."""
        yield

    def say(self, line: str) -> None:
        """Say nothing."""


class Spoken:
    """Progress as plain lines, the same in a terminal and in a CI log; stages may nest and run side by side.

    Args:
        out: where to write; standard error by default, so that results can be piped.
        record: file that receives one JSON object per ended stage (`stage`, `seconds`, `ok`).
    """

    def __init__(self, out: TextIO | None = None, record: Path | None = None) -> None:
        self._out = out or sys.stderr
        self._record = record

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Enter a stage; print when it starts, and how long it took when it ends."""
        self._write(f"==> {name}")
        started = time.monotonic()
        ok = False
        try:
            yield
            ok = True
        finally:
            seconds = time.monotonic() - started
            self._write(f"{'  ✓' if ok else '  ✗'} {name} {seconds:.1f} s")
            if self._record is not None:
                with self._record.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"stage": name, "seconds": round(seconds, 3), "ok": ok}) + "\n")

    def say(self, line: str) -> None:
        """Print one line below the stage."""
        self._write(f"    {line}")

    def _write(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def log_as_json(service: str) -> None:
    """Make every log line of this process one JSON object on standard output.

    Args:
        service: the name that stands in each line as `service`.
    """
    # Services have it; what is only built or trained with need not.
    import orjson

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Bytes: a line is made in half the time, and a service writes one for each request.
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
