"""Four times the load: pods follow, and go back when it is over."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import yaml

from drills.asking import asking
from drills.scene import NAME, WORK, Scene
from measures import FAILURES, Measure, at_most, unmeasured

BASE = 10
"""Requests per second before and after."""

FOLLOWS_S, WINDOW_S, PERIOD_S = 90, 60, 15
SLACK_S = 60
"""Seconds beyond the window that controllers and metrics take: a sync, an average of CPU, a drain."""

AUTOSCALING = {
    # So that four times a modest load is more than one pod should carry, also on a small machine.
    "ranker": {"autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 2, "targetCPU": "110m"}},
    "autoscaling": {
        "behavior": {
            "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]},
            "scaleDown": {
                "stabilizationWindowSeconds": WINDOW_S,
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": PERIOD_S}],
            },
        }
    },
}
SET = f"deployment/{NAME}-stable-ranker"


def measure(scene: Scene) -> list[Measure]:
    """How soon pods follow and go back, and whether a request failed."""
    what = f"load x4 ({BASE} to {4 * BASE} requests/s)"
    try:
        with scene.progress.stage(what):
            return _measured(scene, what)
    except FAILURES as error:
        return [unmeasured(what, error)]


def _measured(scene: Scene, what: str) -> list[Measure]:
    values = WORK / "autoscaling.yaml"
    values.write_text(yaml.safe_dump(AUTOSCALING), encoding="utf-8")
    scene.install(scene.releases.first, values)
    with asking(scene, rate=BASE) as calm:
        _until(lambda: _known(scene) and _ready(scene) == 1, 180)
        with asking(scene, rate=3 * BASE) as more:
            up = _until(lambda: _ready(scene) >= 2, 2 * FOLLOWS_S)
        down = _until(lambda: _ready(scene) == 1, WINDOW_S + PERIOD_S + 3 * SLACK_S)
        with suppress(*FAILURES):
            scene.kubectl("rollout", "status", SET, "--timeout=60s")
    failed = calm.failed + more.failed
    why = {**calm.errors, **more.errors}
    return [
        at_most(f"{what}: one pod more is ready after", FOLLOWS_S, up, "s"),
        at_most(f"{what}: back to one pod after", WINDOW_S + PERIOD_S + SLACK_S, down, "s"),
        at_most(
            f"{what}: requests that failed", 0, failed, f"of {calm.answered + more.answered:,} {why or ''}"
        ),
    ]


def _until(condition: Callable[[], bool], at_most_s: float) -> float:
    """Seconds until it holds; infinite when it does not in time."""
    started = time.monotonic()
    while time.monotonic() - started < at_most_s:
        if condition():
            return time.monotonic() - started
        time.sleep(1)
    return float("inf")


def _ready(scene: Scene) -> int:
    status: Any = scene.shop.access.get(SET, "--namespace", NAME)["status"]
    return int(status.get("readyReplicas", 0))


def _known(scene: Scene) -> bool:
    """Whether the autoscaler has a measurement."""
    found: Any = scene.shop.access.get("hpa", f"{NAME}-stable-ranker", "--namespace", NAME)
    return bool(found["status"].get("currentMetrics"))
