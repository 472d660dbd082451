"""`tonnage canary judge`: is the canary good enough to take the place of stable?"""

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tonnage.cli.deploy import cluster_of
from tonnage.cli.options import DEFAULT, As, Context, Name, Namespace, Output, ProjectFile, PrometheusAddress
from tonnage.cli.project import Project
from tonnage.errors import ConfigError, TonnageError

if TYPE_CHECKING:
    from tonnage.deployment.access import ClusterAccess
    from tonnage.deployment.canary.config import CanaryConfig
    from tonnage.deployment.config import DeploymentConfig
    from tonnage.deployment.judge.prometheus import Prometheus
    from tonnage.deployment.judge.verdict import Verdict

UNITS = {"s": 1, "m": 60, "h": 3600}
ERROR, MISUSE = 3, 2


class Judging(TyperCommand):
    """A command whose own mistakes are errors (3): 2 means that a canary is not judged yet."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # The class of a wrong command line has moved between versions of Typer; that it is 2 has not.
            if getattr(error, "exit_code", None) == MISUSE:
                vars(error)["exit_code"] = ERROR
            raise


def judge(
    project: ProjectFile = DEFAULT,
    stable: Annotated[str | None, typer.Option(help="Track or release id to compare with.")] = None,
    canary: Annotated[str | None, typer.Option(help="Track or release id on trial.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="When its traffic began: 10m ago, or a time as ISO 8601; else its first pod's."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Seconds per window.")] = None,
    prometheus: PrometheusAddress = None,
    name: Name = None,
    namespace: Namespace = None,
    context: Context = None,
    wait: Annotated[str, typer.Option(help="Look again every window, so long, until it is decided.")] = "0s",
    listen: Annotated[
        str | None, typer.Option(help="Serve Flagger's webhooks at HOST:PORT instead of judging once.")
    ] = None,
    output: As = Output.TABLE,
) -> None:
    """Judge the canary by what both tracks did since it began.

    Exit codes: 0 it passes, 1 it fails, 2 too few requests to tell (it says how many more are needed), 3
    something could not be measured. Looking often does no harm: the chance of a false fail counts all looks
    together.
    """
    try:
        options = {"stable": stable, "canary": canary, "window_s": window, "prometheus": prometheus}
        opened = Project.open(project)
        look = _looking(
            settings_of(opened, options),
            deployment_of(opened, {"name": name, "namespace": namespace, "context": context}),
            since,
        )
        if listen is not None:
            _serve(listen, look)
            return
        verdict = _await(look, seconds=_seconds(wait), every=settings_of(opened, options).window_s)
    except TonnageError as error:
        typer.echo(f"tonnage: {error}", err=True)
        raise typer.Exit(ERROR) from error
    _show(verdict, output)
    raise typer.Exit(verdict.outcome.exit_code)


def settings_of(project: Project, options: dict[str, Any]) -> "CanaryConfig":
    """The table `[canary]`, with what the command line says over it; None says nothing.

    Raises:
        ConfigError: a value that cannot be, named.
    """
    from tonnage.deployment.canary.config import CanaryConfig

    given = {key: value for key, value in options.items() if value is not None}
    table = {**project.tables.get("canary", {}), **given}
    return CanaryConfig.read(table, where=f"{project.file.name} [canary]")


def deployment_of(project: Project, given: dict[str, Any]) -> "DeploymentConfig":
    """The table `[deployment]`, with what the command line says over it; None says nothing.

    Raises:
        ConfigError: a value that cannot be, named.
    """
    from tonnage.deployment.config import DeploymentConfig

    return project.section("deployment", DeploymentConfig).overridden(root=project.root, **given)


def _looking(
    config: "CanaryConfig", deployment: "DeploymentConfig", since: str | None
) -> Callable[[], "Verdict"]:
    """What takes a look: it measures, and judges."""
    from tonnage.deployment.judge.judging import judge as judged
    from tonnage.deployment.judge.reading import Trial, began, observe

    access = cluster_seen(deployment)
    asked = prometheus_of(config, access)
    whose = {"name": deployment.name, "namespace": deployment.namespace}
    fixed = _moment(since) if since else None

    def look() -> "Verdict":
        start = fixed or began(access, canary=config.canary, **whose)
        trial = Trial(config=config, since=start, **whose)
        return judged(observe(trial, prometheus=asked, access=access, now=datetime.now(UTC)), config)

    return look


def prometheus_of(config: "CanaryConfig", access: "ClusterAccess") -> "Prometheus":
    """Who counts requests.

    Raises:
        ConfigError: nobody is named.
    """
    from tonnage.deployment.judge.prometheus import Prometheus

    address = config.prometheus or access.prometheus_url
    if address is None:
        raise ConfigError("no Prometheus is named", hint="Name it with --prometheus or [canary] prometheus.")
    return Prometheus(address)


def cluster_seen(deployment: "DeploymentConfig") -> "ClusterAccess":
    """The cluster that the settings name; in a pod without any, the pod's own."""
    from tonnage.deployment.access import ClusterAccess

    if "KUBERNETES_SERVICE_HOST" in os.environ and not (deployment.context or deployment.kubeconfig):
        # In a pod, kubectl reaches its own cluster with the pod's ServiceAccount.
        return ClusterAccess()
    return cluster_of(deployment)


def _await(look: Callable[[], "Verdict"], *, seconds: float, every: float) -> "Verdict":
    from tonnage.deployment.judge.verdict import Outcome

    until = time.monotonic() + seconds
    while True:
        verdict = look()
        if verdict.outcome in {Outcome.PASS, Outcome.FAIL} or time.monotonic() + every > until:
            return verdict
        typer.echo(f"{verdict.outcome}: {'; '.join(verdict.reasons)}", err=True)
        time.sleep(every)


def _serve(listen: str, look: Callable[[], "Verdict"]) -> None:
    from tonnage.deployment.judge.gate import serve
    from tonnage.deployment.judge.verdict import Finding, Outcome, together

    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise ConfigError("--listen takes HOST:PORT", listen=listen)

    def safely() -> "Verdict":
        try:
            return look()
        except TonnageError as error:
            return together([Finding(check="canary", outcome=Outcome.ERROR, reason=str(error))])

    with serve((host, int(port)), safely) as server:
        server.serve_forever()


def _show(verdict: "Verdict", output: Output) -> None:
    from tonnage.deployment.judge.gate import as_json

    if output is Output.JSON:
        typer.echo(as_json(verdict))
        return
    for each in verdict.findings:
        typer.echo(f"{each.outcome:13} {each.check}: {each.reason}")
    needs = f"; needs about {verdict.needs:,} more requests of the canary" if verdict.needs else ""
    typer.echo(f"verdict: {verdict.outcome}{needs}")


def _seconds(said: str) -> float:
    found = re.fullmatch(r"(\d+)([smh])", said)
    if found is None:
        raise ConfigError("not a length of time such as 90s, 15m or 2h", given=said)
    return int(found[1]) * UNITS[found[2]]


def _moment(said: str) -> datetime:
    """A time that lies back so long, or is written as ISO 8601."""
    if re.fullmatch(r"\d+[smh]", said):
        return datetime.now(UTC) - timedelta(seconds=_seconds(said))
    try:
        moment = datetime.fromisoformat(said)
    except ValueError as error:
        raise ConfigError("neither a length of time nor a time as ISO 8601", since=said) from error
    if moment.tzinfo is None:
        raise ConfigError("the time has no timezone", hint="End it with Z.", since=said)
    return moment
