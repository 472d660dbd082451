"""From packaged releases to a shop that answers: namespace, chart, features in its online store."""

import base64
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyarrow.parquet import ParquetFile

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.canary.tracks import running
from tonnage.deployment.config import DeploymentConfig, own_chart
from tonnage.deployment.forward import forwarded
from tonnage.deployment.helm import install, make_namespace
from tonnage.deployment.revisions import revision
from tonnage.errors import ClusterError, InputError, NotFoundError
from tonnage.telemetry import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A Helm release that answers.

    Args:
        name: of the Helm release.
        namespace: where it is.
        known_user: somebody whose features were brought to its online store.
        users: how many users' were; None where the online store is not the chart's own.
        host: the host name it answers to at the Gateway; empty for any, or without a Gateway.
    """

    name: str
    namespace: str
    known_user: str
    users: int | None
    host: str = ""


def deploy(
    access: ClusterAccess,
    config: DeploymentConfig,
    *,
    values: Sequence[Path],
    features: Path,
    progress: Progress,
) -> Deployed:
    """Install or upgrade the chart, wait for every pod, then bring the latest features to its online store.

    Args:
        access: the cluster.
        config: the table `[deployment]`.
        values: Helm values files, first of all the one that packaging wrote.
        features: the directory of feature rows.
        progress: who is told.

    Raises:
        NotFoundError: a values file or the feature rows are not there.
        InputError: a canary runs, which these values would take away under its users.
        ClusterError: the cluster refused, or a pod did not get ready; the message says which and why.
    """
    # Feast takes seconds to import, and only here is it needed.
    from tonnage.features.store import materialize

    for file in values:
        if not file.is_file():
            raise NotFoundError(
                "there is no such values file", hint="Run `tonnage package` first.", file=file
            )
    known = known_user(features)
    make_namespace(access, config.namespace)
    _demand_no_canary(access, config)
    install(
        access,
        name=config.name,
        namespace=config.namespace,
        chart=config.chart or own_chart(),
        values=[*values, *config.values],
        settings={"checks.knownUser": known},
        timeout_s=config.timeout_s,
        progress=progress,
    )
    users = None
    with progress.stage("features to the online store"), online_store(access, config) as url:
        if url is None:
            progress.say("the chart runs no Redis: bring features to your own store with `tonnage features`")
        else:
            users = materialize(features, url, progress=progress)
    return Deployed(
        name=config.name,
        namespace=config.namespace,
        known_user=known,
        users=users,
        host=_host(access, config),
    )


def _demand_no_canary(access: ClusterAccess, config: DeploymentConfig) -> None:
    try:
        installed = revision(access, name=config.name, namespace=config.namespace)
    except NotFoundError:
        return
    if canary := running(installed.values.get("tracks") or {}):
        raise InputError(
            f"a canary runs: release {canary['release']} at {canary['weight']} %",
            hint="Promote or abort it first: `tonnage canary promote`, `tonnage canary abort`.",
            name=config.name,
        )


def known_user(features: Path) -> str:
    """Somebody with a history among the feature rows.

    Raises:
        NotFoundError: there are no rows.
    """
    rows = features / "rows" / "user_history.parquet"
    if not rows.is_file():
        raise NotFoundError(
            "there are no feature rows", hint="Run `tonnage features build` first.", file=rows
        )
    with ParquetFile(rows) as file:
        for batch in file.iter_batches(batch_size=1, columns=["user_id"]):
            return str(batch.column("user_id")[0].as_py())
    raise NotFoundError("no user has a history", file=rows)


@contextmanager
def online_store(access: ClusterAccess, config: DeploymentConfig) -> Iterator[str | None]:
    """URL at which the chart's Redis answers on this machine while inside; None where it runs none.

    Raises:
        ClusterError: it cannot be reached.
    """
    mine = f"app.kubernetes.io/instance={config.name},app.kubernetes.io/component=redis"
    found: Any = access.get("statefulsets", "--namespace", config.namespace, "--selector", mine)["items"]
    if not found:
        yield None
        return
    target = f"service/{found[0]['metadata']['name']}"
    with forwarded(access, target, 6379, namespace=config.namespace) as port:
        yield f"redis://{_password(access, found[0], config.namespace)}127.0.0.1:{port}/0"


def _host(access: ClusterAccess, config: DeploymentConfig) -> str:
    mine = ("--namespace", config.namespace, "--selector", f"app.kubernetes.io/instance={config.name}")
    try:
        routes: Any = access.get("httproutes.gateway.networking.k8s.io", *mine)["items"]
    except ClusterError:
        return ""  # a cluster without the Gateway API has no such kind
    return str(next((host for route in routes for host in route["spec"].get("hostnames", [])), ""))


def _password(access: ClusterAccess, redis: Any, namespace: str) -> str:
    """`:password@` when the Redis asks for one, else nothing."""
    for variable in redis["spec"]["template"]["spec"]["containers"][0].get("env", []):
        if variable["name"] == "REDISCLI_AUTH":
            held = variable["valueFrom"]["secretKeyRef"]
            secret: Any = access.get("secret", held["name"], "--namespace", namespace)
            return f":{base64.b64decode(secret['data'][held['key']]).decode()}@"
    return ""


def commands(access: ClusterAccess, deployed: Deployed) -> list[str]:
    """What a person may type next, each line ready for a shell. Pure."""
    where = ("--namespace", deployed.namespace)
    mine = f"app.kubernetes.io/instance={deployed.name}"
    columns = "tonnage.dev/track,tonnage.dev/release"
    # Settings once, so that the lines are short enough to be read.
    lines = [f"export KUBECONFIG={shlex.quote(str(access.kubeconfig))}"] if access.kubeconfig else []
    if Path(access.kubectl).is_absolute():
        lines.append(f"export PATH={shlex.quote(str(Path(access.kubectl).parent))}:$PATH")
    short = replace(access, kubeconfig=None, kubectl=Path(access.kubectl).name, helm=Path(access.helm).name)
    typed = [
        short.kubectl_command(*where, "get", "pods", "--selector", mine, "--label-columns", columns),
        short.kubectl_command(*where, "rollout", "status", "deployment", "--selector", mine),
        short.helm_command("test", deployed.name, *where, "--logs"),
        short.kubectl_command(
            *where, "rollout", "undo", "deployment", "--selector", f"{mine},tonnage.dev/track=stable"
        ),
    ]
    if access.gateway_url:
        body = f'{{"user_id": "{deployed.known_user}", "k": 10}}'
        headers = ["--header", f"host: {deployed.host}"] if deployed.host else []
        headers += ["--header", f"x-user-id: {deployed.known_user}"]
        typed.append(["curl", *headers, "--json", body, f"{access.gateway_url}/v1/recommendations"])
    return [*lines, *(shlex.join(each) for each in typed)]
