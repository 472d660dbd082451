"""How to reach one cluster: which kubeconfig, which tools, which addresses."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.errors import ClusterError, RequirementError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """One cluster, and the tools that talk to it; the embedded cluster and any kubeconfig context alike.

    Args:
        kubectl: command or path of kubectl; its version must suit the cluster.
        helm: command or path of Helm (4, or 3.14 and later).
        kubeconfig: file to use; None leaves it to `KUBECONFIG` and the home directory, as kubectl does.
        context: context in that file; None is its current one.
        gateway_url: where the shared Gateway answers from this machine, such as `http://127.0.0.1:30080`.
        prometheus_url: where Prometheus answers from this machine.
        helm_unittest: command or path of helm-unittest, where it is installed.
        node_ip: address of the node as pods and this machine see it (embedded cluster only).
        chart_values: Helm values that fit the chart to this cluster: its Gateway, an image it has for Redis.
        cache: where kubectl and Helm remember what kinds the cluster has; None: in the home directory.
    """

    kubectl: str = "kubectl"
    helm: str = "helm"
    kubeconfig: Path | None = None
    context: str | None = None
    gateway_url: str | None = None
    prometheus_url: str | None = None
    helm_unittest: str | None = None
    node_ip: str | None = None
    chart_values: Path | None = None
    cache: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the tools get beside this process's own."""
        return {"KUBECACHEDIR": str(self.cache)} if self.cache else {}

    def kubectl_command(self, *arguments: str) -> list[str]:
        """The argument list that runs kubectl against this cluster."""
        named = ["--context", self.context] if self.context else []
        return [self.kubectl, *self._kubeconfig(), *named, *arguments]

    def helm_command(self, *arguments: str) -> list[str]:
        """The argument list that runs Helm against this cluster."""
        named = ["--kube-context", self.context] if self.context else []
        return [self.helm, *self._kubeconfig(), *named, *arguments]

    def run_kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl to its end and return what it printed.

        Raises:
            RequirementError: there is no such command.
            ClusterError: it failed or took too long; the message is kubectl's own.
        """
        command = self.kubectl_command(*arguments)
        return run(command, stdin=stdin, timeout_s=timeout_s, environment=self.environment)

    def run_helm(self, *arguments: str, stdin: str | None = None, timeout_s: float = 600) -> str:
        """Run Helm to its end and return what it printed.

        Raises:
            RequirementError: there is no such command.
            ClusterError: it failed or took too long; the message is Helm's own.
        """
        command = self.helm_command(*arguments)
        return run(command, stdin=stdin, timeout_s=timeout_s, environment=self.environment)

    def get(self, *arguments: str) -> dict[str, object]:
        """One object or list as `kubectl get ... --output json` gives it.

        Raises:
            ClusterError: kubectl failed, for example because there is no such object.
        """
        answer: dict[str, object] = json.loads(self.run_kubectl("get", *arguments, "--output", "json"))
        return answer

    def _kubeconfig(self) -> list[str]:
        return ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []


def run(
    command: Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a tool to its end and return its standard output.

    Args:
        command: the program and its arguments; never a shell line.
        stdin: text to feed it; None feeds nothing.
        timeout_s: seconds after which it is stopped.
        environment: variables to add to this process's own.

    Raises:
        RequirementError: there is no such command.
        ClusterError: it failed or took too long; the message is the tool's own standard error.
    """
    tool = Path(command[0]).name
    try:
        ended = subprocess.run(
            command,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise RequirementError(f"there is no command {command[0]}.", hint=f"Install {tool}.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{tool} took more than {timeout_s:.0f} s", command=" ".join(command)) from error
    if ended.returncode != 0:
        said = ended.stderr.strip() or ended.stdout.strip() or f"exit code {ended.returncode}"
        raise ClusterError(f"{tool}: {said}", command=" ".join(command[:12]))
    return ended.stdout
