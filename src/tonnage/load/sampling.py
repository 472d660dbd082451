"""Look at the pods of a deployment again and again while somebody else makes the load."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.judge.pods import Object, memory_told
from tonnage.errors import ClusterError
from tonnage.load.api_server import Ask, api_server
from tonnage.load.readings import MEASURED_AT, Told, Whose, of_kubelet, of_pod, rows, without_repeats
from tonnage.load.runs import SERVER, Columns, Run, write_server

EVERY_S = 5.0
"""Seconds between two looks. The kubelet measures every ten or so: who looks as often knows when it did."""

Read = TypeVar("Read")


class Sampler:
    """Looks at every pod of a Helm release, and keeps what it saw.

    Args:
        ask: reads the API server.
        name: the Helm release.
        namespace: where it is.

    Attributes:
        missing: why something could not be read, by what it is; the reason seen last.
    """

    def __init__(self, ask: Ask, *, name: str, namespace: str) -> None:
        self._ask, self._name, self._namespace = ask, name, namespace
        self._since = datetime.now(UTC)
        self._seen: list[tuple[datetime, dict[str, Any]]] = []
        self._ooms: dict[Whose, float] = {}
        self._measured: dict[Whose, float] = {}
        self.missing: dict[str, str] = {}

    def look(self) -> None:
        """Look once.

        Raises:
            ClusterError: the pods cannot be listed, or there are none; all else is only missing.
        """
        at = datetime.now(UTC)
        told = self._told()
        first_ooms = {whose: each.get("oom_events", 0.0) for whose, each in told.kubelet.items()}
        self._ooms = {**first_ooms, **self._ooms}
        found = rows(told, since=self._since, ooms_before=self._ooms)
        if not found and not self._seen:
            raise ClusterError(
                "the Helm release has no pods to look at",
                hint="Are its name and namespace right?",
                name=self._name,
                namespace=self._namespace,
            )
        self._seen += [(at, row) for row in found]

    def columns(self, *, started: datetime, seconds: float) -> Columns | None:
        """What was seen during a run, as columns of `runs.SERVER`; None when nothing was.

        Args:
            started: when the run began.
            seconds: its length.
        """
        timed = [((at - started).total_seconds(), row) for at, row in self._seen]
        # The last look before tells what the pods had at the beginning, the first after it how they ended.
        during = [
            {"at_s": min(max(at_s, 0.0), seconds), **row}
            for at_s, row in timed
            if -EVERY_S <= at_s <= seconds + EVERY_S
        ]
        return {name: [row[name] for row in during] for name in SERVER.names} if during else None

    def _told(self) -> Told:
        selector = quote(f"app.kubernetes.io/instance={self._name}", safe="")
        within = f"/api/v1/namespaces/{self._namespace}/pods"
        pods: list[Object] = json.loads(self._ask(f"{within}?labelSelector={selector}"))["items"]
        own = {
            pod["metadata"]["name"]: told
            for pod in pods
            if (port := _port(pod)) is not None
            and (told := self._own(f"{within}/{pod['metadata']['name']}:{port}/proxy/metrics"))
        }
        kubelet: dict[Whose, dict[str, float]] = {}
        for node in sorted({pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")}):
            for page in ("resource", "cadvisor"):
                for whose, figures in self._kubelet(f"/api/v1/nodes/{node}/proxy/metrics/{page}").items():
                    kubelet.setdefault(whose, {}).update(figures)
        fresh = without_repeats(kubelet, self._measured)
        self._measured |= {whose: each[MEASURED_AT] for whose, each in kubelet.items() if MEASURED_AT in each}
        return Told(pods=pods, kubelet=fresh, memory=self._memory(), own=own)

    def _own(self, path: str) -> Mapping[str, float]:
        return self._or_missing("pods' own metrics", lambda: of_pod(self._ask(path)), {})

    def _kubelet(self, path: str) -> Mapping[Whose, Mapping[str, float]]:
        def read() -> Mapping[Whose, Mapping[str, float]]:
            return of_kubelet(self._ask(path), namespace=self._namespace)

        return self._or_missing("the kubelet's CPU and memory", read, {})

    def _memory(self) -> Mapping[Whose, int]:
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self._namespace}/pods"
        return self._or_missing("the metrics API", lambda: memory_told(json.loads(self._ask(path))), {})

    def _or_missing(self, what: str, read: Callable[[], Read], otherwise: Read) -> Read:
        try:
            return read()
        except (ClusterError, ValueError, KeyError, TypeError) as error:
            self.missing[what] = str(error)
            return otherwise


def _port(pod: Object) -> int | None:
    """The port of a pod's own metrics, once it may answer."""
    if pod.get("status", {}).get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return None
    ports = (port for each in pod["spec"]["containers"] for port in each.get("ports", []))
    return next((port["containerPort"] for port in ports if port.get("name") == "http"), None)


def add_samples(folder: Path, sampler: Sampler) -> Columns | None:
    """Add to a run what was seen during it; None when nothing was.

    Raises:
        LoadError: there is no run.
    """
    facts = Run(folder).facts
    columns = sampler.columns(started=facts.started, seconds=facts.seconds)
    if columns is not None:
        write_server(folder, columns)
    return columns


@contextmanager
def sampling(
    access: ClusterAccess, *, name: str, namespace: str, every_s: float = EVERY_S
) -> Iterator[Sampler]:
    """Look at the pods in a thread of its own until the block ends; the first and the last look are certain.

    Raises:
        RequirementError: there is no kubectl.
        ClusterError: the pods cannot be listed at the beginning.
    """
    with api_server(access) as ask:
        sampler = Sampler(ask, name=name, namespace=namespace)
        sampler.look()
        over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(sampler, every_s, over), daemon=True)
        watcher.start()
        try:
            yield sampler
        finally:
            over.set()
            watcher.join()


def _watch(sampler: Sampler, every_s: float, over: threading.Event) -> None:
    due = time.monotonic()
    ended = False
    while not ended:
        due = max(due + every_s, time.monotonic())
        ended = over.wait(due - time.monotonic())
        try:
            sampler.look()
        except ClusterError as error:
            # The API server may be as busy as the rest; the gate asks for how long nobody looked.
            sampler.missing["pods"] = str(error)
