"""What values a Helm release has, and giving it others without waiting for a pod."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError, NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The latest revision of a Helm release.

    Args:
        number: counted from 1.
        status: Helm's own word, such as `deployed`, `failed` or `pending-upgrade`.
        began: when, in UTC.
        values: what was given to it, over the chart's own.
        server_side: whether its objects were applied by the API server, as Helm 4 does.
    """

    number: int
    status: str
    began: datetime
    values: Mapping[str, Any]
    server_side: bool = False


def revision(access: ClusterAccess, *, name: str, namespace: str) -> Revision:
    """Read the latest revision.

    Raises:
        NotFoundError: there is no such Helm release.
        ClusterError: the cluster does not answer.
    """
    where = (name, "--namespace", namespace, "--output", "json")
    try:
        said = json.loads(access.run_helm("get", "metadata", *where, timeout_s=30))
    except ClusterError as error:
        if "not found" not in error.problem:
            raise
        raise NotFoundError(
            "there is no such Helm release",
            hint="Install it with `tonnage deploy`.",
            name=name,
            namespace=namespace,
        ) from error
    # Read after the status: values that are newer than it are seen at the next look.
    values = json.loads(access.run_helm("get", "values", *where, timeout_s=30))
    began_at = datetime.fromisoformat(said["deployedAt"]).astimezone(UTC)
    return Revision(
        number=said["revision"],
        status=said["status"],
        began=began_at,
        values=values or {},
        server_side=said.get("applyMethod") == "ssa",
    )


def revalue(
    access: ClusterAccess,
    former: Revision,
    *,
    name: str,
    namespace: str,
    chart: Path,
    values: Mapping[str, Any],
    description: str,
    timeout_s: float = 60,
) -> None:
    """Upgrade from a revision to exactly these values, and wait for no pod.

    Raises:
        RequirementError: there is no Helm.
        ClusterError: Helm failed; the message is its own.
    """
    arguments = ["upgrade", name, str(chart), "--namespace", namespace, "--reset-values", "--values", "-"]
    arguments += ["--description", description, "--timeout", f"{timeout_s:.0f}s"]
    if former.server_side:
        # kubectl owns what `kubectl rollout undo` put back, and the autoscaler its number of pods.
        arguments.append("--force-conflicts")
    access.run_helm(*arguments, stdin=json.dumps(values), timeout_s=timeout_s + 10)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Helm's own way to lay values over values: maps are merged, everything else is replaced. Pure."""
    result = dict(base)
    for key, value in over.items():
        mine = result.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        result[key] = merged(mine, value) if both else value  # type: ignore[arg-type]
    return result
