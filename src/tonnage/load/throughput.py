"""The highest rate of a place as a function of what a search looks at, fitted to measured rates.

A request takes `a + b * g` seconds of a server, where g is what a search looks at: for a scan
items * dimensions, for a graph log2(items) * dimensions, since a search of HNSW visits a number of nodes that
grows with the logarithm (Malkov and Yashunin 2018, section 4.2). A larger graph also leaves the processor's
caches, and is searched more widely for the same recall: from 25,000 to 400,000 items the time doubled, where
the logarithm alone allows a quarter more. So the logarithm has an exponent, `growth`, which is fitted where
there are graphs. b differs somewhat between precisions. As many servers work as the pod has cores. The memory
above what the plan keeps holds further requests, and who finds no room is refused; `queueing` says which rate
that queue carries.

The parameters are positive, so their logarithms are fitted, by least squares of the logarithms of the rates.
Each has a wide prior: what the points do not tell stays wide in the interval of what is predicted, instead of
being refused. The intervals hold 90 % and follow from the curvature (Gauss-Newton) and the residuals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from tonnage.errors import LoadError
from tonnage.load.line import Objective, Place
from tonnage.load.queueing import Queue

Floats = NDArray[np.float64]

WITHIN_90 = 1.645
"""Standard deviations of a normal distribution, either side, that hold 90 %."""

NOISE = 0.04
"""Standard deviation of the logarithm of a measured rate, at least: searches end that far from each other."""

GRAPH = "hnsw"

USABLE = 0.95
"""Share of a limit below which admission lets requests in, hence what a plan divides by."""

PRIORS = {
    "a": (math.log(2e-3), 2.0),
    "exact": (math.log(1e-8), 3.0),
    "hnsw": (math.log(1e-5), 3.0),
    "growth": (0.0, 0.5),
    "request": (math.log(256 * 1024), 2.0),
    "kept": (math.log(16), 1.5),
}
"""Mean and standard deviation of a parameter's logarithm: seconds for `a`; seconds per component looked at
for the searches; no unit for `growth`; bytes of a request inside; requests inside that the plan keeps room
for."""

USUAL_DEPTH = 17.0
"""Logarithm of the items of a usual graph, about which `growth` turns: so it says nothing of the rest."""

PRECISION_SPREAD = 0.3
"""Standard deviation of the logarithm of what one precision takes against another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured point, or one that is asked for."""

    place: Place
    items: int
    dimensions: int
    objective: Objective
    rate: float = math.nan

    @property
    def search(self) -> str:
        """`exact` or `hnsw`."""
        return self.place.precision.partition("-")[0]

    @property
    def looked_at(self) -> float:
        """Components that a search looks at, but for a factor."""
        visited = self.items if self.search == "exact" else math.log2(max(self.items, 2))
        return visited * self.dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The fitted model of rates.

    Attributes:
        names: of the parameters: `a`, the searches and precisions that were measured, `growth` where there
            were graphs, `request`, `kept`.
        logs: their logarithms.
        covariance: of these.
        spread: standard deviation of the logarithm of a rate around the model.
    """

    names: tuple[str, ...]
    logs: Floats
    covariance: Floats
    spread: float

    @classmethod
    def fit(cls, samples: Sequence[Sample]) -> "Throughput":
        """Fit to measured rates.

        Raises:
            LoadError: there is none.
        """
        measured = [each for each in samples if each.rate > 0]
        if not measured:
            raise LoadError("no highest rate was measured", hint="A model needs one at least.")
        searches = sorted({each.search for each in measured})
        precisions = sorted({each.place.precision for each in measured})
        growth = ("growth",) if GRAPH in searches else ()
        names = ("a", *searches, *growth, *precisions, "request", "kept")
        means = np.array([PRIORS.get(name, (0.0, 0.0))[0] for name in names])
        widths = np.array([PRIORS.get(name, (0.0, PRECISION_SPREAD))[1] for name in names])
        rates = np.log([each.rate for each in measured])

        def residuals(logs: Floats) -> Floats:
            values = dict(zip(names, logs.tolist(), strict=True))
            modelled = np.array([_log_rate(values, each) for each in measured])
            return np.concatenate([(modelled - rates) / NOISE, (logs - means) / widths])

        found = least_squares(residuals, means, method="trf", x_scale=widths)
        off = found.fun[: len(rates)]
        # More points than parameters show how far the model itself is off; fewer show nothing.
        known = max(len(rates) - _effective(found.jac, len(rates)), 1.0)
        scale = max(1.0, float(off @ off) / known)
        return cls(
            names=names,
            logs=found.x,
            covariance=np.linalg.inv(found.jac.T @ found.jac) * scale,
            spread=NOISE * math.sqrt(scale),
        )

    def service_s(self, asked: Sample) -> float:
        """Seconds that a server works on a request."""
        return _service_s(dict(zip(self.names, self.logs.tolist(), strict=True)), asked)

    def require(self, variant: str) -> None:
        """Refuse to predict a kind of search of which nothing is known.

        Raises:
            LoadError: no point of it was measured.
        """
        search = variant.partition("-")[0]
        if search not in self.names:
            raise LoadError(
                f"no {'graph' if search == GRAPH else 'scan'} was measured, so none can be predicted",
                hint="Measure a line of a catalogue that is searched so.",
                variant=variant,
            )

    def predict(self, asked: Sample) -> tuple[float, float, float]:
        """The highest rate, and the two ends of an interval that holds it 9 times of 10.

        Raises:
            LoadError: no point of that kind of search was measured.
        """
        self.require(asked.place.precision)
        values = dict(zip(self.names, self.logs.tolist(), strict=True))
        log_rate = _log_rate(values, asked)
        slope = np.array(
            [
                (_log_rate(values | {name: values[name] + 1e-3}, asked) - log_rate) / 1e-3
                for name in self.names
            ]
        )
        variance = float(slope @ self.covariance @ slope) + self.spread**2
        if asked.place.precision not in self.names:
            variance += PRECISION_SPREAD**2
        width = WITHIN_90 * math.sqrt(variance)
        return math.exp(log_rate), math.exp(log_rate - width), math.exp(log_rate + width)


def _service_s(logs: dict[str, float], sample: Sample) -> float:
    factor = math.exp(logs[sample.search] + logs.get(sample.place.precision, 0.0))
    if sample.search == GRAPH:
        depth = math.log2(max(sample.items, 2)) / USUAL_DEPTH
        factor *= depth ** (math.exp(logs["growth"]) - 1)
    return math.exp(logs["a"]) + factor * sample.looked_at


def _log_rate(logs: dict[str, float], sample: Sample) -> float:
    place = sample.place
    spare = max(0.0, USABLE * (place.memory_limit_bytes - place.needed_bytes))
    queue = Queue(
        service_s=_service_s(logs, sample),
        servers=max(1, round(place.cpu_cores)),
        room=max(1.0, math.exp(logs["kept"]) + spare / math.exp(logs["request"])),
    )
    rate = queue.highest(sample.objective.latency_ms / 1000, sample.objective.quantile)
    # Where nothing holds the logarithm must still say in which direction it is better.
    return math.log(rate) if rate > 0 else -math.log(queue.service_s) - 10


def _effective(jacobian: Floats, points: int) -> float:
    """Parameters that the points decide, each as far as they and not the prior do."""
    weight = np.linalg.inv(jacobian.T @ jacobian)
    return float(np.trace(jacobian[:points] @ weight @ jacobian[:points].T))
