"""Prometheus over its HTTP API: samples of counters on a grid of times, and what they grew by."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from tonnage.deployment.judge.evidence import Ints
from tonnage.errors import ConfigError, DependencyError

MOST_POINTS = 11_000
"""What Prometheus gives in one answer per series."""


Result = Mapping[str, Any]
"""One series as Prometheus says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series on the grid.

    Args:
        labels: without the name of the metric.
        values: float [times]; not a number where there is no sample.
    """

    labels: Mapping[str, str]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Times at which everything is asked.

    Args:
        start: seconds since the epoch.
        step: seconds between two times.
        windows: how many steps; there is one time more.
    """

    start: int
    step: int
    windows: int

    @property
    def end(self) -> int:
        """The last time."""
        return self.start + self.step * self.windows


class Prometheus:
    """One server.

    Args:
        url: its address, such as `http://127.0.0.1:9090`.
        timeout_s: seconds that one answer may take.

    Raises:
        ConfigError: that is no address.
    """

    def __init__(self, url: str, *, timeout_s: float = 10) -> None:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc:
            raise ConfigError("not the address of a Prometheus", hint="It begins with http://.", url=url)
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def series(self, query: str, grid: Grid) -> list[Series]:
        """Every series of a query, on the grid.

        Raises:
            ConfigError: the grid has more times than Prometheus gives.
            DependencyError: Prometheus cannot be reached, or refuses the query; the message is its own.
        """
        if grid.windows >= MOST_POINTS:
            raise ConfigError(
                f"{grid.windows:,} windows are more than Prometheus gives at a time",
                hint="Begin later, or take longer windows.",
            )
        asked = {"query": query, "start": grid.start, "end": grid.end, "step": grid.step}
        return [_on(grid, each) for each in self._ask("/api/v1/query_range", asked)]

    def _ask(self, path: str, form: Mapping[str, object]) -> Sequence[Result]:
        request = Request(f"{self.url}{path}", data=urlencode(form).encode())  # noqa: S310
        try:
            # The scheme was checked when this was made.
            with urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310
                content = json.load(answer)
            found: Sequence[Result] = content["data"]["result"]
        except HTTPError as error:
            says = error.read(2_000).decode(errors="replace")
            raise DependencyError(f"Prometheus refuses with {error.code}: {says}", url=self.url) from error
        except (URLError, OSError) as error:
            raise DependencyError(
                f"Prometheus does not answer: {getattr(error, 'reason', error)}", url=self.url
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DependencyError("what answers there is not Prometheus", url=self.url) from error
        return found


def _on(grid: Grid, result: Result) -> Series:
    values = np.full(grid.windows + 1, np.nan)
    for at, value in result["values"]:
        values[round((at - grid.start) / grid.step)] = float(value)
    return Series(labels=result["metric"], values=values)


def growth(values: NDArray[np.float64], alive: NDArray[np.bool_]) -> Ints:
    """What a counter grew by in each window, int [windows].

    A counter that falls was reset, and began again at zero. One that appears began at zero too, if Prometheus
    had samples of its kind just before; else nobody knows when it counted what it shows. Between samples that
    are missing, the growth counts where it is seen.

    Args:
        values: float [windows + 1], not a number where there is no sample.
        alive: bool [windows + 1], whether Prometheus had samples at that time at all.
    """
    grown = np.zeros(len(values) - 1, dtype=np.int64)
    last = 0.0 if np.isnan(values[0]) and alive[0] else values[0]
    for window, value in enumerate(values[1:]):
        if np.isnan(value):
            # Absent while others are there: when it comes, it comes from zero.
            last = 0.0 if np.isnan(last) and alive[window + 1] else last
            continue
        if not np.isnan(last):
            grown[window] = round(value - last if value >= last else value)
        last = value
    return grown
