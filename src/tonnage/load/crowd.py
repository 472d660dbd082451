"""One load run: Locust in a process of its own, and the pods looked at meanwhile."""

import importlib.util
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import LoadError, RequirementError
from tonnage.load.runs import FACTS_FILE, Run, require_free
from tonnage.load.sampling import EVERY_S, add_samples, sampling

if TYPE_CHECKING:
    from tonnage.load.sampling import Sampler

CONNECTIONS = 400
"""People at the most: each asks over a connection of their own, and at higher rates each asks more often."""

PACE_S = 1.0
"""Between two questions of one of few people."""

STDERR = 2

PATIENCE_S = 20.0
"""Seconds that an interrupted Locust gets to write what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """Whose pods are looked at during a run.

    Attributes:
        access: the cluster.
        name: the Helm release.
        namespace: where it is.
        every_s: seconds between two looks.
    """

    access: ClusterAccess
    name: str
    namespace: str
    every_s: float = EVERY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """People who ask by the clock, so that their number is a rate.

    Attributes:
        locustfile: of theirs.
        host: whom they ask, such as `http://127.0.0.1:30080`.
        people: names of classes in the locustfile; none leaves it to the locustfile.
        processes: of Locust.
        options: more of Locust's own, such as `--gateway-host shop.example`.
    """

    locustfile: Path
    host: str
    people: tuple[str, ...] = ()
    processes: int = 1
    options: tuple[str, ...] = ()

    def arguments(self, *, rate: float, seconds: float) -> list[str]:
        """Locust's command line for a steady rate. Pure.

        Args:
            rate: requests per second.
            seconds: to ask for.
        """
        users = min(max(1, math.ceil(rate * PACE_S)), CONNECTIONS)
        return [
            *("--locustfile", str(self.locustfile), "--host", self.host),
            *("--users", str(users), "--spawn-rate", str(users), "--pace", f"{users / rate:.6g}"),
            *("--run-time", f"{math.ceil(seconds)}s"),
            *(("--processes", str(self.processes)) if self.processes > 1 else ()),
            *self.options,
            *self.people,
        ]


def load(arguments: Sequence[str], folder: Path, *, pods: Pods | None = None, log: Path | None = None) -> Run:
    """Run Locust to its end, and add to its run what the pods did meanwhile.

    Args:
        arguments: Locust's own, without those that make it write a run and need no page.
        folder: gets the run; not there yet, or empty.
        pods: whom to look at; None: nobody.
        log: gets what Locust prints, instead of this process's own output.

    Raises:
        LoadError: Locust wrote no run, or the folder is taken.
        RequirementError: there is no Locust, or no kubectl.
        ClusterError: the pods cannot be listed.
        KeyboardInterrupt: so it was; Locust has ended, and what it measured is in the folder.
    """
    require_free(folder)
    if importlib.util.find_spec("locust") is None:
        raise RequirementError(
            "there is no Locust in this environment", hint="Install it: pip install locust"
        )
    command = [sys.executable, "-m", "locust", *arguments, "--headless", "--run-dir", str(folder)]
    with ExitStack() as stack:
        sampler = stack.enter_context(_sampling(pods)) if pods else None
        interrupted = _to_its_end(command, log)
    if not (folder / FACTS_FILE).exists() and not interrupted:
        raise LoadError("Locust wrote no run", hint=_last_words(log), folder=folder)
    if sampler is not None and (folder / FACTS_FILE).exists():
        add_samples(folder, sampler)
    if interrupted:
        raise KeyboardInterrupt
    return Run(folder)


def _sampling(pods: Pods) -> "AbstractContextManager[Sampler]":
    return sampling(pods.access, name=pods.name, namespace=pods.namespace, every_s=pods.every_s)


def _to_its_end(command: Sequence[str], log: Path | None) -> bool:
    """Run it; whether it was interrupted. Its exit code says less than the run: failed requests are 1 too."""
    with ExitStack() as stack:
        # This process's standard output is for the verdict, which a script may read.
        out = stack.enter_context(log.open("wb")) if log else STDERR
        # Of a session of its own: Ctrl-C reaches it once, through us, however many processes it has.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            return True
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return False


def _last_words(log: Path | None) -> str:
    """What Locust said last of what went wrong; nothing where a person has read it already."""
    if log is None:
        return "It has said why."
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    ours = [line.removeprefix("locust: ") for line in said if line.startswith("locust: ")]
    return (ours or said or ["It said nothing."])[-1]
