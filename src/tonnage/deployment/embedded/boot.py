"""Starting a cluster: what depends on what, and waiting for it to be true."""

import http.client
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import addons, cgroups, components, namespaces, pki, processes
from tonnage.deployment.embedded.components import Parts
from tonnage.deployment.embedded.images import Image
from tonnage.deployment.embedded.processes import Daemon
from tonnage.deployment.embedded.provision import Provisions
from tonnage.deployment.embedded.store import ImageStore
from tonnage.errors import ClusterError
from tonnage.telemetry import Progress

STARTING_TIMEOUT_S = 90.0
POLL_S = 0.1


def boot(parts: Parts, provisions: Provisions, access: ClusterAccess, progress: Progress) -> None:
    """Start what does not run, apply what is not applied, and return when all of it serves.

    Raises:
        ClusterError: something ended or did not get ready in time; the message says which.
    """
    anchor = _prepare(parts)
    store = ImageStore(runtime=parts.runtime, anchor=anchor)
    with progress.stage("control plane"):
        _start(
            parts, anchor, [components.store(parts), components.runtime(parts), components.api_server(parts)]
        )
        _await_runtime(parts, store)
    with ThreadPoolExecutor(max_workers=3) as workers:
        loaded = workers.submit(load, store, provisions.images.values(), progress)
        await_answer(parts, "kube-apiserver", lambda: access.run_kubectl("get", "--raw", "/readyz") == "ok")
        _start(parts, anchor, components.control_loops(parts))
        if _applied(parts) != str(provisions.manifests):
            definitions = workers.submit(addons.apply_definitions, access, provisions.manifests)
            # A pod that comes before its image waits ten seconds for the next try.
            loaded.result()
            addons.apply(access, provisions.manifests, addons.BASE)
            definitions.result()
            addons.apply(access, provisions.manifests, addons.GATEWAY)
        loaded.result()
    with progress.stage("add-ons"):
        _start(parts, anchor, [components.forwarder(parts)])
        addons.await_deployments(access)
        addons.await_services(access)
        for port in (parts.addresses.gateway_port, parts.addresses.prometheus_port):
            await_answer(parts, "forward", lambda port=port: _answers(port))  # type: ignore[misc]
    _record(parts).write_text(str(provisions.manifests))


def _prepare(parts: Parts) -> int:
    """The control group, certificates, files and namespaces; returns the anchor's pid."""
    if processes.running(parts.config, namespaces.ANCHOR) is None:
        # Without the anchor, whatever still runs hangs in namespaces that nothing new can enter.
        cgroups.kill(parts.config.cgroup)
        # And a new kubelet would spend three seconds on each group of a container that is no more.
        cgroups.remove(parts.config.cgroup)
    cgroups.create(parts.config.cgroup)
    pki.write(parts.pki, parts.addresses)
    components.write_files(parts)
    return namespaces.enter(parts.config, parts.addresses)


def _start(parts: Parts, anchor: int, daemons: Iterable[Daemon]) -> None:
    for daemon in daemons:
        processes.start(parts.config, daemon, anchor=anchor)


def _await_runtime(parts: Parts, store: ImageStore) -> None:
    await_answer(parts, "containerd", lambda: store.digests() is not None)


def load(store: ImageStore, wanted: Iterable[Image], progress: Progress) -> None:
    """Load the images that the cluster does not have, by their names.

    Raises:
        ClusterError: containerd refused one.
    """
    present = store.digests()
    absent = [image.archive for image in wanted if image.reference not in present]
    if absent:
        with progress.stage("load images"), ThreadPoolExecutor(max_workers=3) as workers:
            list(workers.map(store.load, absent))


def await_answer(parts: Parts, name: str, answers: Callable[[], bool]) -> None:
    """Ask until a process answers; one that has ended, or a time that is up, ends the waiting.

    Raises:
        ClusterError: it has ended, or did not answer; the message says which.
    """
    deadline = time.monotonic() + STARTING_TIMEOUT_S
    while True:
        try:
            if answers():
                return
            reason = "not yet"
        except ClusterError as error:
            reason = str(error)
        processes.require(parts.config, name)
        if time.monotonic() > deadline:
            log = processes.log_of(parts.config, name)
            raise ClusterError(f"{name} did not answer within {STARTING_TIMEOUT_S:.0f} s: {reason}", log=log)
        time.sleep(POLL_S)


def _answers(port: int) -> bool:
    """Whether an HTTP server answers there; which status it has does not matter."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _record(parts: Parts) -> Path:
    return parts.config.state / "applied"


def _applied(parts: Parts) -> str:
    record = _record(parts)
    return record.read_text() if record.exists() else ""
