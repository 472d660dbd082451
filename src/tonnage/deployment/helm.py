"""Install, upgrade and uninstall the chart, as a person with Helm would."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.diagnosis import Seen, explain, observed, refusal, starts, troubles
from tonnage.errors import ClusterError, RequirementError
from tonnage.telemetry import Progress

LOOK_EVERY_S = 5.0

PASSING = ("NotReady", "ContainerCreating", "PodInitializing")
"""Reasons that most pods have for a while."""

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def make_namespace(access: ClusterAccess, name: str) -> None:
    """Make a namespace that enforces Pod Security `restricted`; one that is there stays as it is.

    Raises:
        ClusterError: the cluster refused.
    """
    if access.run_kubectl("get", "namespace", name, "--ignore-not-found", "--output", "name"):
        return
    labels = "".join(f"    {key}: {value}\n" for key, value in RESTRICTED.items())
    manifest = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n{labels}"
    access.run_kubectl("apply", "--filename", "-", stdin=manifest)


def upgrade_arguments(
    version: str,
    *,
    name: str,
    namespace: str,
    chart: Path,
    values: Sequence[Path],
    settings: Mapping[str, str],
    timeout_s: float,
) -> list[str]:
    """What to tell Helm. Pure.

    Args:
        version: Helm's own, such as `v4.3.1`.
        name: the Helm release.
        namespace: where.
        chart: the chart's directory.
        values: files, each over those before.
        settings: single values over the files, by dotted key, as text.
        timeout_s: how long it may wait.
    """
    arguments = ["upgrade", "--install", name, str(chart), "--namespace", namespace]
    for file in values:
        arguments += ["--values", str(file)]
    for key, value in settings.items():
        arguments += ["--set-literal", f"{key}={value}"]
    arguments += ["--wait", "--timeout", f"{timeout_s:.0f}s"]
    if not version.startswith("v3."):
        # `kubectl rollout undo` makes kubectl the owner of what it put back; Helm 4 would stop there.
        arguments.append("--force-conflicts")
    return arguments


def install(
    access: ClusterAccess,
    *,
    name: str,
    namespace: str,
    chart: Path,
    values: Sequence[Path],
    settings: Mapping[str, str] | None = None,
    timeout_s: float = 600,
    progress: Progress,
) -> None:
    """Install the chart, or upgrade to these values, and wait until every pod is ready.

    The wait ends early when a pod of the new values refuses to start, such as a retriever within whose memory
    limit no index fits.

    Raises:
        RequirementError: there is no Helm.
        ClusterError: Helm failed, or a pod did not get ready; the message says which and why.
    """
    version = access.run_helm("version", "--template", "{{.Version}}")
    files = [file for file in (access.chart_values, *values) if file is not None]
    arguments = upgrade_arguments(
        version,
        name=name,
        namespace=namespace,
        chart=chart,
        values=files,
        settings=settings or {},
        timeout_s=timeout_s,
    )
    with progress.stage(f"helm upgrade --install {name}"):
        await_turn(access, name=name, namespace=namespace, timeout_s=timeout_s, progress=progress)
        said = _watched(access, arguments, name=name, namespace=namespace, progress=progress)
        if said is None:
            return
        why = explain(access, name=name, namespace=namespace)
        # Helm 4 says the same twice, first as a log line.
        _, found, problem = said.partition("Error: ")
        problem = problem if found else said
        raise ClusterError(
            f"helm: {problem}" + (f"\n{why}" if why else ""),
            hint=f"\nLook further with: kubectl --namespace {namespace} get pods,events",
        )


def await_turn(
    access: ClusterAccess, *, name: str, namespace: str, timeout_s: float, progress: Progress
) -> None:
    """Wait until no other Helm is at work on the release. One that was killed is forgotten after `timeout_s`.

    Helm notes that it is at work in a Secret, and refuses to begin while one says so; a Helm that was killed
    leaves the note behind. What it had applied by then stays, and the next one takes it over.

    Raises:
        ClusterError: the cluster does not answer.
    """
    arguments = ("list", "--namespace", namespace, "--pending", "--filter", f"^{name}$", "--output", "json")
    told = False
    while pending := json.loads(access.run_helm(*arguments)):
        since = began(pending[0]["updated"])
        if datetime.now(UTC) - since > timedelta(seconds=timeout_s):
            progress.say(f"a Helm that began at {since:%H:%M:%S} has not ended in time; going on without it")
            note = f"sh.helm.release.v1.{name}.v{pending[0]['revision']}"
            access.run_kubectl("delete", "secret", note, "--namespace", namespace, "--ignore-not-found")
            return
        if not told:
            progress.say(f"another Helm is at work on {name} since {since:%H:%M:%S}; waiting for it")
            told = True
        time.sleep(LOOK_EVERY_S)


def began(updated: str) -> datetime:
    """When, in UTC, from how `helm list` writes it: `2026-01-31 13:47:24.044246456 +0100 CET`. Pure."""
    day, clock, offset = updated.split()[:3]
    return datetime.strptime(f"{day} {clock[:8]} {offset}", "%Y-%m-%d %H:%M:%S %z").astimezone(UTC)


def uninstall(access: ClusterAccess, *, name: str, namespace: str, timeout_s: float = 300) -> None:
    """Take everything of a Helm release away, and wait until it is gone. Nothing there is fine too.

    Raises:
        ClusterError: Helm failed, or something would not go.
    """
    waiting = ("--ignore-not-found", "--wait", "--timeout", f"{timeout_s:.0f}s")
    access.run_helm("uninstall", name, "--namespace", namespace, *waiting, timeout_s=timeout_s + 30)
    gone = ("--for=delete", "pod", "--selector", f"app.kubernetes.io/instance={name}")
    access.run_kubectl(
        "wait", *gone, "--namespace", namespace, f"--timeout={timeout_s:.0f}s", timeout_s=timeout_s + 30
    )


def _watched(
    access: ClusterAccess, arguments: Sequence[str], *, name: str, namespace: str, progress: Progress
) -> str | None:
    """Run Helm and tell meanwhile which workloads are ready; what Helm said when it failed, else None.

    Raises:
        ClusterError: a pod refuses to start, so that to go on waiting is in vain; Helm is stopped then.
    """
    before = starts(_look(access, name=name, namespace=namespace))
    told: set[str] = set()
    with tempfile.TemporaryFile("w+") as errors:
        with _running(access, arguments, errors) as helm:
            while (code := _ended(helm)) is None:
                seen = _look(access, name=name, namespace=namespace)
                for line in news(seen):
                    if line not in told:
                        progress.say(line)
                        told.add(line)
                if found := refusal(seen, before):
                    raise ClusterError(
                        f"pod/{found.pod} refuses to start: {found.says}",
                        hint="\nHelm was stopped: waiting changes nothing. What ran before goes on serving."
                        f"\nLook at it with: kubectl --namespace {namespace} describe pod {found.pod}",
                    )
        errors.seek(0)
        return errors.read().strip() or f"exit code {code}" if code else None


@contextmanager
def _running(
    access: ClusterAccess, arguments: Sequence[str], errors: IO[str]
) -> Iterator[subprocess.Popen[str]]:
    """Helm at work; stopped when the block fails, which it then notes as a failed release."""
    command, environment = access.helm_command(*arguments), {**os.environ, **access.environment}
    try:
        helm = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, text=True, env=environment)
    except FileNotFoundError as error:
        raise RequirementError(f"there is no command {access.helm}.", hint="Install Helm 4.") from error
    with helm:
        try:
            yield helm
        except BaseException:
            helm.terminate()
            raise


def _ended(process: subprocess.Popen[str]) -> int | None:
    try:
        return process.wait(timeout=LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def _look(access: ClusterAccess, *, name: str, namespace: str) -> Seen:
    """What the cluster has of the release; nothing when it does not answer, which Helm will tell."""
    try:
        return observed(access, name=name, namespace=namespace)
    except ClusterError:
        return Seen()


def news(seen: Seen) -> list[str]:
    """How many pods of each workload are ready, and what keeps others from it. Pure."""
    ready = [
        f"{each['metadata']['name']} {each['status'].get('readyReplicas', 0)}/{each['spec']['replicas']}"
        for each in seen.workloads
    ]
    # Merely not ready is how every pod begins.
    found = [str(each) for each in troubles(seen.workloads, seen.pods) if each.reason not in PASSING]
    return [", ".join(ready), *found] if ready else found
