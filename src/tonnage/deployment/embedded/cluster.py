"""The embedded cluster: bring it up, take it down, ask how it is, give it an image."""

import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import boot, cgroups, kserve, namespaces, processes, provision, requirements
from tonnage.deployment.embedded.components import Parts
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.embedded.locks import exclusive
from tonnage.deployment.embedded.network import Addresses, choose
from tonnage.deployment.embedded.store import ImageRef, ImageStore
from tonnage.errors import ClusterError, ConfigError, NotFoundError
from tonnage.files import whole_directory
from tonnage.telemetry import Progress

DAEMONS = (
    namespaces.ANCHOR,
    "etcd",
    "containerd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "forward",
)
"""Every process of the cluster's own, in the order they start."""

LINKS = ("kubectl", "helm", "helm-unittest", "ctr", "docker-registry")


class Extra(StrEnum):
    """What a cluster has only if somebody asks for it."""

    KSERVE = "kserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """How a cluster is.

    Args:
        running: every process runs and the node is ready.
        processes: pid of each process, None where it does not run.
        node: `Ready`, or what Kubernetes says instead; empty while nothing can be asked.
        pods: pods by phase.
        extras: `available` or not, by name, for those that were asked for.
        state: where everything of this cluster lies.
        kubeconfig: the administrator's.
        gateway_url: where the Gateway answers.
        prometheus_url: where Prometheus answers.
    """

    running: bool
    processes: dict[str, int | None]
    node: str
    pods: dict[str, int]
    extras: dict[str, str]
    state: str
    kubeconfig: str
    gateway_url: str | None
    prometheus_url: str | None

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def up(config: EmbeddedConfig, *, progress: Progress, extras: Collection[Extra] = ()) -> ClusterAccess:
    """Bring the cluster up: all of it, or what is missing of one that was interrupted.

    Args:
        config: which cluster.
        progress: told of each stage.
        extras: what to add; what was added before stays.

    Raises:
        ConfigError: something else lies in the state directory.
        RequirementError: this machine lacks something; the message says what to do.
        ClusterError: something did not build, start or get ready; the message says which.
    """
    requirements.check_rights()
    requirements.provide_packages(config.sources / "packages.txt", progress)
    with exclusive(_lock(config)):
        _demand_own(config)
        addresses = _addresses(config)
        provisions = provision.provide(config, addresses, progress)
        parts = Parts(
            config=config,
            addresses=addresses,
            programs=provisions.programs,
            runtime=provisions.runtime,
            pause_image=provisions.images["pause"].reference,
        )
        _link_programs(parts)
        shutil.copy(provisions.manifests / "chart.values.yaml", _chart_values(config))
        reached = access(config)
        boot.boot(parts, provisions, reached, progress)
        if Extra.KSERVE in extras:
            kserve.add(parts, reached, _store(config), progress)
        return reached


def down(config: EmbeddedConfig, *, progress: Progress) -> None:
    """Take away everything that `up` made, whole or half, except the cache; nothing there is fine too.

    Raises:
        ConfigError: something else lies in the state directory; it is left alone.
        RequirementError: this is not root.
        ClusterError: a process would not end.
    """
    requirements.check_rights()
    with exclusive(_lock(config)), progress.stage("take the cluster down"):
        _demand_own(config)
        cgroups.kill(config.cgroup)
        cgroups.remove(config.cgroup)
        namespaces.unlink(config)
        if config.state.exists():
            _remove(config)


def status(config: EmbeddedConfig) -> ClusterStatus:
    """How the cluster is now; one that was never brought up is simply not running."""
    found = {name: processes.running(config, name) for name in DAEMONS}
    addresses = Addresses.read(_addresses_file(config))
    reached = access(config) if addresses else None
    node, pods = _asked(reached) if reached and found["kube-apiserver"] else ("", {})
    extras = {}
    if reached and node and kserve.manifests(config).exists():
        extras[Extra.KSERVE.value] = kserve.state(reached)
    return ClusterStatus(
        running=all(found.values()) and node == "Ready",
        processes=found,
        node=node,
        pods=pods,
        extras=extras,
        state=str(config.state),
        kubeconfig=str(config.kubeconfig),
        gateway_url=reached.gateway_url if reached else None,
        prometheus_url=reached.prometheus_url if reached else None,
    )


def access(config: EmbeddedConfig) -> ClusterAccess:
    """How to reach a cluster that was brought up.

    Raises:
        NotFoundError: it was not.
    """
    addresses = Addresses.read(_addresses_file(config))
    if addresses is None:
        raise NotFoundError(
            "there is no embedded cluster", hint="Run tonnage cluster up.", state=config.state
        )
    programs = config.state / "bin"
    return ClusterAccess(
        kubectl=str(programs / "kubectl"),
        helm=str(programs / "helm"),
        kubeconfig=config.kubeconfig,
        context="tonnage",
        gateway_url=f"http://127.0.0.1:{addresses.gateway_port}",
        prometheus_url=f"http://127.0.0.1:{addresses.prometheus_port}",
        helm_unittest=str(programs / "helm-unittest"),
        node_ip=addresses.node,
        chart_values=_chart_values(config),
        cache=config.state / "kubectl",
    )


def load_image(config: EmbeddedConfig, tar: Path) -> ImageRef:
    """Load a docker-archive with one image, so that pods can run it, by its tag or pinned by its digest.

    Raises:
        NotFoundError: the cluster is not running.
        InputError: the file is not an image archive.
        ClusterError: containerd refused it.
    """
    return _store(config).load(tar)[0]


def image_digests(config: EmbeddedConfig) -> set[str]:
    """Digests of the manifests of all images that the cluster has, so that nothing is handed over twice.

    Raises:
        NotFoundError: the cluster is not running.
    """
    return set(_store(config).digests().values())


def host_address(config: EmbeddedConfig) -> str:
    """The address under which pods and the node see this machine; a registry for them listens there.

    Raises:
        NotFoundError: the cluster was not brought up.
    """
    return _chosen(config).host


def allow_plain_http(config: EmbeddedConfig, registry: str) -> None:
    """Let the cluster pull from a registry without TLS; it holds from the next pull on.

    Args:
        config: which cluster.
        registry: `HOST:PORT`, as it stands in an image's name.
    """
    with whole_directory(config.state / "registries" / registry) as directory:
        (directory / "hosts.toml").write_text(
            f'server = "http://{registry}"\n[host."http://{registry}"]\ncapabilities = ["pull", "resolve"]\n'
        )


def _store(config: EmbeddedConfig) -> ImageStore:
    anchor = processes.running(config, namespaces.ANCHOR)
    if anchor is None:
        raise NotFoundError(
            "the embedded cluster is not running", hint="Run tonnage cluster up.", state=config.state
        )
    return ImageStore(runtime=provision.runtime_packages(config), anchor=anchor)


def _demand_own(config: EmbeddedConfig) -> None:
    """All of the state directory goes away with the cluster: nothing else may lie in it."""
    state = config.state
    if state.exists() and any(state.iterdir()) and not _addresses_file(config).exists():
        raise ConfigError(
            "the state directory holds something else than a cluster",
            hint="Set TONNAGE_STATE_DIR to a directory that is empty or not there.",
            directory=state,
        )


def _remove(config: EmbeddedConfig) -> None:
    # What tells that it is ours goes last: whoever interrupts this can begin again.
    for each in config.state.iterdir():
        if each != _addresses_file(config):
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    shutil.rmtree(config.state)


def _addresses(config: EmbeddedConfig) -> Addresses:
    """The cluster's addresses, chosen once and kept."""
    file = _addresses_file(config)
    addresses = Addresses.read(file)
    if addresses is None:
        addresses = choose()
        addresses.write(file)
    return addresses


def _chosen(config: EmbeddedConfig) -> Addresses:
    addresses = Addresses.read(_addresses_file(config))
    if addresses is None:
        raise NotFoundError(
            "there is no embedded cluster", hint="Run tonnage cluster up.", state=config.state
        )
    return addresses


def _addresses_file(config: EmbeddedConfig) -> Path:
    return config.state / "addresses.json"


def _chart_values(config: EmbeddedConfig) -> Path:
    return config.state / "chart.values.yaml"


def _lock(config: EmbeddedConfig) -> Path:
    # Not in the state directory: that one goes away while the lock is held.
    return config.cache / "locks" / config.cgroup


def _link_programs(parts: Parts) -> None:
    """Give the programs a person uses a path that stays."""
    places = (parts.programs.kubernetes, parts.programs.tools, parts.runtime / "usr" / "bin")
    links = parts.config.state / "bin"
    links.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        link = links / name
        link.unlink(missing_ok=True)
        link.symlink_to(next(place / name for place in places if (place / name).exists()))


def _asked(reached: ClusterAccess) -> tuple[str, dict[str, int]]:
    """What the API server says of the node and the pods."""
    ready = '{range .items[*].status.conditions[?(@.type=="Ready")]}{.status} {.reason}{end}'
    try:
        state, _, reason = reached.run_kubectl("get", "nodes", "--output", f"jsonpath={ready}").partition(" ")
        phases = reached.run_kubectl(
            "get", "pods", "-A", "--output", "jsonpath={.items[*].status.phase}"
        ).split()
    except ClusterError:
        return "", {}
    node = "Ready" if state == "True" else reason or "not registered"
    return node, {phase: phases.count(phase) for phase in sorted(set(phases))}
