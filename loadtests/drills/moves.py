"""What people do to a shop that is asked meanwhile: every move, and whether a request failed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drills.asking import RATE, asking
from drills.scene import NAME, Scene
from measures import FAILURES, Measure, told
from shops import BENTOS

STABLE = f"app.kubernetes.io/instance={NAME},tonnage.dev/track=stable"
LEAST = 100
"""Requests during a move, that it may count as one under load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Something that people do to a shop.

    Attributes:
        name: in words.
        make: does it, and returns when all is quiet again.
        prepare: what must be so before; nobody asks meanwhile.
    """

    name: str
    make: Callable[[Scene], None]
    prepare: Callable[[Scene], None] = lambda _: None


def measure(scene: Scene) -> list[Measure]:
    """Every move, each under people's requests."""
    moves = [
        Move(name="promote", prepare=_canary_at_half, make=lambda scene: scene.canary("promote")),
        Move(name="kubectl rollout undo", make=_undo),
        Move(name="abort", prepare=_canary_again, make=lambda scene: scene.canary("abort")),
        Move(name="helm upgrade, then helm rollback", prepare=Scene.calm, make=_rollback),
        Move(name="scale up to two pods of each kind", make=lambda scene: _scale(scene, 2)),
        *(Move(name=f"a killed pod of the {bento}", make=_killing(bento)) for bento in BENTOS),
        Move(name="scale down to one pod of each kind", make=lambda scene: _scale(scene, 1)),
    ]
    return [_under_load(scene, move) for move in moves]


def _under_load(scene: Scene, move: Move) -> Measure:
    what, target = f"{move.name}, at {RATE} requests/s: requests that failed", "<= 0"
    try:
        with scene.progress.stage(move.name):
            move.prepare(scene)
            with asking(scene) as asked:
                move.make(scene)
                _quiet(scene)
    except FAILURES as error:
        return Measure(name=what, target=target, measured=f"could not: {told(error)}", holds=False)
    holds = asked.failed == 0 and asked.answered >= LEAST
    return Measure(name=what, target=target, measured=f"{asked.failed} {asked.says}", holds=holds)


def _canary_at_half(scene: Scene) -> None:
    scene.canary("start", str(scene.releases.second), "--weight", "50")


def _canary_again(scene: Scene) -> None:
    # What was undone by kubectl must be said to Helm too.
    scene.calm()
    _canary_at_half(scene)


def _undo(scene: Scene) -> None:
    scene.kubectl("rollout", "undo", "deployment", "--selector", STABLE)


def _rollback(scene: Scene) -> None:
    scene.install(scene.releases.second)
    _quiet(scene)
    scene.shop.access.run_helm(
        *("rollback", NAME, "--namespace", NAME, "--wait", "--timeout", "300s"), timeout_s=320
    )


def _scale(scene: Scene, pods: int) -> None:
    scene.kubectl("scale", "deployment", "--selector", STABLE, f"--replicas={pods}")


def _killing(bento: str) -> Callable[[Scene], None]:
    def kill(scene: Scene) -> None:
        mine = f"{STABLE},app.kubernetes.io/component={bento}"
        pod = scene.kubectl("get", "pods", "--selector", mine, "--output", "name").split()[0]
        scene.kubectl("delete", pod, "--grace-period=0", "--force")

    return kill


def _quiet(scene: Scene) -> None:
    """Wait until every pod of stable is ready, and those that were told to leave have left."""
    scene.kubectl("rollout", "status", "deployment", "--selector", STABLE, "--timeout=240s")
    pods: Any = scene.shop.access.get("pods", "--namespace", NAME)["items"]
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"]:
            scene.kubectl("wait", "--for=delete", f"pod/{pod['metadata']['name']}", "--timeout=240s")
