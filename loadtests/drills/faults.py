"""Canaries that are bad on purpose, each in its own way, and `tonnage canary run` that must find them out.

A fault comes from outside, as it would in life: a file that Python runs at its start (`sitecustomize`), put
into the canary's recommender by a ConfigMap, or a release that was trained to say the opposite. Nothing of it
is in the services.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from drills.asking import RATE, asking
from drills.scene import NAME, WORK, Scene
from measures import FAILURES, Measure, told
from spoiling import spoiling
from tonnage.deployment.canary.tracks import CANARY

LOOK_S = 0.5
LONGEST_S = 600
SETTLED_S = 60
"""Seconds of stable alone, from which the judge learns how it is."""

HOOK = spoiling(
    "tonnage.serving.recommender",
    """

def spoil(module):
    recommender = module.Recommender
    usual = recommender.recommend

    async def recommend(self, ask):
        return await spoiled(usual, self, ask)

    recommender.recommend = recommend
""",
)

ERRS = """
import random


async def spoiled(usual, self, ask):
    if random.random() < 0.05:
        raise RuntimeError("a drill: one in twenty fails")
    return await usual(self, ask)
"""

SLOW = """
import asyncio
import time


async def spoiled(usual, self, ask):
    # A tenth of the users wait less for each other: twice stable's time is more than twice its own.
    started = time.perf_counter()
    slate = await usual(self, ask)
    await asyncio.sleep(1.3 * (time.perf_counter() - started))
    return slate
"""

EMPTY = """
from dataclasses import replace


async def spoiled(usual, self, ask):
    return replace(await usual(self, ask), items=())
"""

FILLS_MEMORY = """
KEPT = []


async def spoiled(usual, self, ask):
    slate = await usual(self, ask)
    KEPT.append(b"x")
    if len(KEPT) == 40:
        KEPT.append(b"x" * 2**32)
    return slate
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A bad canary, and how soon it must be gone.

    Attributes:
        name: in words.
        within_s: seconds from its first users, or from the end of its container, to its last.
        check: that must have failed, as a regular expression.
        code: what Python runs at the start of its recommender; nothing for a bad release.
    """

    name: str
    within_s: float
    check: str
    code: str = ""


FAULTS = (
    Fault(name="errs on 5 % of requests", within_s=60, check="errors", code=ERRS),
    Fault(name="twice as slow", within_s=120, check="p50|p99", code=SLOW),
    Fault(name="OOMKilled", within_s=10, check="restarts", code=FILLS_MEMORY),
    Fault(name="empty slates", within_s=300, check="empty slates", code=EMPTY),
    Fault(name="scores reversed", within_s=300, check="score shift"),
)


DECIDED = (0, 1)
"""Exit codes of a run that promoted or aborted."""


@dataclass(slots=True)
class Seen:
    """What was seen of a canary's run.

    Attributes:
        began: when users met it, seconds since the epoch; 0 if they never did.
        left: when the last did.
        killed: when a container of it was OOMKilled.
        code: with which the run ended.
        said: its answer.
    """

    began: float = 0.0
    left: float = 0.0
    killed: float = 0.0
    code: int = -1
    said: Any = None

    @property
    def reasons(self) -> str:
        """Why it ended so, in its own words."""
        return str(self.said.get("says", self.said)) if isinstance(self.said, dict) else str(self.said)


def measure(scene: Scene) -> list[Measure]:
    """Every bad canary beside the time that was promised, then an equal one and a good other one."""
    with asking(scene):
        time.sleep(SETTLED_S)
        measures = [_aborted(scene, fault) for fault in FAULTS]
        measures.append(_promoted(scene, "equal to stable", scene.releases.first, "--same"))
        measures.append(_promoted(scene, "another good release", scene.releases.second))
    return measures


def _aborted(scene: Scene, fault: Fault) -> Measure:
    what = f"a canary that is bad ({fault.name}) at 10 % and {RATE} requests/s: aborted after"
    target = f"<= {fault.within_s:g} s"
    try:
        with scene.progress.stage(fault.name), _candidate(scene, fault) as values:
            seen = _run(scene, values, settings="faults.toml")
    except FAILURES as error:
        return Measure(name=what, target=target, measured=f"could not: {told(error)}", holds=False)
    since = seen.killed if fault.check == "restarts" else seen.began
    took = seen.left - since
    found = seen.code == 1 and re.search(fault.check, seen.reasons) is not None and since > 0 and took >= -1
    says = f"{max(took, 0):.0f} s" if found else f"exit code {seen.code}"
    return Measure(
        name=what,
        target=target,
        measured=f"{says} ({seen.reasons[:200]})",
        holds=found and took <= fault.within_s,
    )


def _promoted(scene: Scene, name: str, release: Path, *more: str) -> Measure:
    what = f"a canary that is good ({name}): promoted"
    try:
        with scene.progress.stage(name):
            seen = _run(scene, release, *more, settings="walk.toml")
    except FAILURES as error:
        return Measure(name=what, target="promoted", measured=f"could not: {told(error)}", holds=False)
    took = f"exit code {seen.code} after {time.time() - seen.began:.0f} s"
    return Measure(
        name=what, target="promoted", measured=f"{took} ({seen.reasons[:200]})", holds=seen.code == 0
    )


@contextmanager
def _candidate(scene: Scene, fault: Fault) -> Iterator[Path]:
    """The values file of the bad canary; its ConfigMap goes when it does."""
    if not fault.code:
        yield scene.releases.reversed_
        return
    code = {"sitecustomize.py": HOOK + fault.code}
    name = f"{NAME}-fault"
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": code}
    scene.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(config_map))
    content = yaml.safe_load(scene.releases.second.read_text(encoding="utf-8"))
    (track,) = content["tracks"].values()
    mounted = {
        "env": {"PYTHONPATH": "/drill"},
        "volumes": [{"name": "drill", "configMap": {"name": name}}],
        "volumeMounts": [{"name": "drill", "mountPath": "/drill", "readOnly": True}],
    }
    file = WORK / "fault.yaml"
    faulty = {**track, "overrides": {"recommender": mounted}}
    file.write_text(yaml.safe_dump({"tracks": {CANARY: faulty}}), encoding="utf-8")
    try:
        yield file
    finally:
        scene.kubectl("delete", "configmap", name, "--ignore-not-found")


def _run(scene: Scene, values: Path, *more: str, settings: str) -> Seen:
    """`tonnage canary run` to its end, watched from outside."""
    seen, until = Seen(), time.monotonic() + LONGEST_S
    command = scene.command("run", str(values), *more, settings=settings)
    with (
        (WORK / "run.json").open("w+", encoding="utf-8") as out,
        (WORK / "run.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=out, stderr=log, stdin=subprocess.DEVNULL) as run,
    ):
        try:
            while run.poll() is None and time.monotonic() < until:
                _look(scene, seen)
                time.sleep(LOOK_S)
        finally:
            if run.poll() is None:
                run.terminate()
                run.wait(60)
        _look(scene, seen)
        out.seek(0)
        said = out.read().strip()
    seen.code, seen.said = run.returncode, json.loads(said.splitlines()[-1]) if said else "it said nothing"
    if seen.code not in DECIDED:
        # It left the canary as it was, for a person to look at; the next drill needs the place.
        scene.canary("abort")
    return seen


def _look(scene: Scene, seen: Seen) -> None:
    weight, now = scene.weight(), time.time()
    if weight and not seen.began:
        seen.began = now
    if seen.began and not weight and not seen.left:
        seen.left = now
    if seen.began and not seen.killed and not seen.left:
        seen.killed = _killed(scene)


def _killed(scene: Scene) -> float:
    """When a container of the canary was OOMKilled first, seconds since the epoch; 0 when none was."""
    pods: Any = scene.shop.access.get("pods", "--namespace", NAME, "-l", f"tonnage.dev/track={CANARY}")[
        "items"
    ]
    ends = (
        state["terminated"]
        for pod in pods
        for each in pod["status"].get("containerStatuses", ())
        for state in (each.get("state", {}), each.get("lastState", {}))
        if "terminated" in state
    )
    times = [
        datetime.fromisoformat(end["finishedAt"]).timestamp() for end in ends if end["reason"] == "OOMKilled"
    ]
    return min(times, default=0.0)
