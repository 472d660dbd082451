"""How each bento is set up where BentoML hosts it by itself; `host` says when it does not."""

from typing import Any

from tonnage.serving.environment import Environment
from tonnage.serving.host import THREADING

TIMEOUT_S = 10.0
"""BentoML's own limit of a request, behind the deadline; it keeps a timer that long for each request."""


def settings(environment: Environment, *, livez: str, readyz: str) -> dict[str, Any]:
    """Arguments of `@bentoml.service`.

    BentoML's request metrics label the raw path, so that a scanner could fill the memory; `serving.metrics`
    replaces them at `/metrics`, and `serving.edge` its access log.

    Args:
        environment: what the service is told.
        livez: path of the liveness probe; like readiness it stays out of BentoML's traffic limits.
        readyz: path of the readiness probe.
    """
    return {
        "workers": environment.workers,
        "endpoints": {"livez": livez, "readyz": readyz},
        "traffic": {"timeout": TIMEOUT_S},
        "metrics": {"enabled": False},
        "logging": {"access": {"enabled": False}},
        "envs": [{"name": name, "value": value} for name, value in THREADING.items()],
    }
