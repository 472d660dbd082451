"""A log that keeps what was said."""

from typing import Any


class Log:
    """Keeps each event with what was said about it, in `lines`."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **about: Any) -> None:
        """Keep it."""
        self.lines.append((event, about))

    warning = exception = info
