"""What each component of Kubernetes is told: command lines, kubeconfigs, configuration files."""

import os
from dataclasses import dataclass
from pathlib import Path
from string import Template

import yaml

from tonnage.deployment.embedded.builds import Programs
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.embedded.network import GATEWAY_NODE_PORT, PROMETHEUS_NODE_PORT, Addresses
from tonnage.deployment.embedded.pki import NODE
from tonnage.deployment.embedded.processes import Daemon

KUBECONFIGS = {
    "admin": "admin",
    "controller-manager": "controller-manager",
    "scheduler": "scheduler",
    "proxy": "proxy",
    "kubelet": "node",
}
"""Each kubeconfig and the certificate in it."""

RUNTIME_SOCKET = "/run/containerd/containerd.sock"
"""As the cluster's mount namespace sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that the command lines are made from.

    Args:
        config: where the cluster lives.
        addresses: its addresses and ports.
        programs: what was built.
        runtime: root of the unpacked container runtime packages.
        pause_image: image that holds a pod's namespaces.
    """

    config: EmbeddedConfig
    addresses: Addresses
    programs: Programs
    runtime: Path
    pause_image: str

    @property
    def pki(self) -> Path:
        """Directory of the certificates."""
        return self.config.state / "pki"

    @property
    def path(self) -> str:
        """PATH of the container runtime: its own programs first."""
        own = [self.runtime / "usr" / "bin", self.runtime / "usr" / "sbin"]
        return os.pathsep.join([*map(str, own), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])

    def kubeconfig(self, name: str) -> str:
        """Path of one kubeconfig."""
        return str(self.config.kubeconfig.with_name(f"{name}.yaml"))


def write_files(parts: Parts) -> None:
    """Write kubeconfigs and the configuration of runtime, network and kubelet."""
    state = parts.config.state
    for directory in ("kubeconfig", "cni", "registries", "kubelet", "logs/pods"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    for name, certificate in KUBECONFIGS.items():
        file = Path(parts.kubeconfig(name))
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(_kubeconfig(parts, certificate)))
    # Names of the outside world do not resolve in pods: the cluster's network ends at this machine.
    (state / "resolv.conf").write_text("options ndots:1\n")
    values = {
        "state": str(state),
        "cgroup": parts.config.cgroup,
        "cni_plugins": str(parts.runtime / "usr" / "lib" / "cni"),
        "dns_ip": parts.addresses.dns,
        "node_ip": parts.addresses.node,
        "pause_image": parts.pause_image,
        "pod_cidr": parts.addresses.pods,
    }
    for source, target in (
        ("containerd.toml", "containerd.toml"),
        ("kubelet.yaml", "kubelet.yaml"),
        ("cni.conflist", "cni/10-tonnage.conflist"),
    ):
        template = Template((parts.config.sources / "config" / source).read_text())
        (state / target).write_text(template.substitute(values))


def store(parts: Parts) -> Daemon:
    """Etcd."""
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return _kubernetes(
        parts,
        "etcd",
        name=NODE,
        data_dir=parts.config.state / "etcd",
        listen_client_urls=client,
        advertise_client_urls=client,
        listen_peer_urls=peer,
        initial_advertise_peer_urls=peer,
        initial_cluster=f"{NODE}={peer}",
        log_level="warn",
        # A cluster to develop on may lose its last second in a power cut; waiting for the disk costs more.
        unsafe_no_fsync="true",
    )


def runtime(parts: Parts) -> Daemon:
    """Containerd."""
    program = str(parts.runtime / "usr" / "bin" / "containerd")
    return Daemon(
        name="containerd",
        command=(program, "--config", str(parts.config.state / "containerd.toml")),
        environment={"PATH": parts.path},
    )


def api_server(parts: Parts) -> Daemon:
    """The API server, with the aggregator that metrics-server needs."""
    pki = parts.pki
    return _kubernetes(
        parts,
        "kube-apiserver",
        advertise_address=parts.addresses.node,
        allow_privileged="true",
        authorization_mode="Node,RBAC",
        client_ca_file=pki / "ca.crt",
        enable_admission_plugins="NodeRestriction",
        enable_aggregator_routing="true",
        etcd_servers="http://127.0.0.1:2379",
        kubelet_certificate_authority=pki / "ca.crt",
        kubelet_client_certificate=pki / "apiserver-kubelet-client.crt",
        kubelet_client_key=pki / "apiserver-kubelet-client.key",
        kubelet_preferred_address_types="InternalIP",
        proxy_client_cert_file=pki / "front-proxy-client.crt",
        proxy_client_key_file=pki / "front-proxy-client.key",
        requestheader_allowed_names="front-proxy-client",
        requestheader_client_ca_file=pki / "ca.crt",
        requestheader_extra_headers_prefix="X-Remote-Extra-",
        requestheader_group_headers="X-Remote-Group",
        requestheader_username_headers="X-Remote-User",
        secure_port="6443",
        service_account_issuer="https://kubernetes.default.svc.cluster.local",
        service_account_key_file=pki / "service-accounts.pub",
        service_account_signing_key_file=pki / "service-accounts.key",
        service_cluster_ip_range=parts.addresses.services,
        tls_cert_file=pki / "apiserver.crt",
        tls_private_key_file=pki / "apiserver.key",
    )


def control_loops(parts: Parts) -> tuple[Daemon, ...]:
    """Everything that starts once the API server answers, in any order."""
    return _controller_manager(parts), _scheduler(parts), _kubelet(parts), _proxy(parts)


def forwarder(parts: Parts) -> Daemon:
    """The ports on 127.0.0.1 that lead into the cluster's network."""
    addresses = parts.addresses
    pairs = (
        f"127.0.0.1:{addresses.gateway_port}={addresses.node}:{GATEWAY_NODE_PORT}",
        f"127.0.0.1:{addresses.prometheus_port}={addresses.node}:{PROMETHEUS_NODE_PORT}",
    )
    return Daemon(name="forward", command=(str(parts.programs.kubernetes / "forward"), *pairs), inside=False)


def _controller_manager(parts: Parts) -> Daemon:
    kubeconfig, pki = parts.kubeconfig("controller-manager"), parts.pki
    return _kubernetes(
        parts,
        "kube-controller-manager",
        authentication_kubeconfig=kubeconfig,
        authorization_kubeconfig=kubeconfig,
        bind_address="127.0.0.1",
        cluster_signing_cert_file=pki / "ca.crt",
        cluster_signing_key_file=pki / "ca.key",
        kubeconfig=kubeconfig,
        leader_elect="false",
        root_ca_file=pki / "ca.crt",
        service_account_private_key_file=pki / "service-accounts.key",
        use_service_account_credentials="true",
    )


def _scheduler(parts: Parts) -> Daemon:
    kubeconfig = parts.kubeconfig("scheduler")
    return _kubernetes(
        parts,
        "kube-scheduler",
        authentication_kubeconfig=kubeconfig,
        authorization_kubeconfig=kubeconfig,
        bind_address="127.0.0.1",
        kubeconfig=kubeconfig,
        leader_elect="false",
    )


def _kubelet(parts: Parts) -> Daemon:
    state = parts.config.state
    return _kubernetes(
        parts,
        "kubelet",
        cert_dir=parts.pki,
        config=state / "kubelet.yaml",
        hostname_override=NODE,
        kubeconfig=parts.kubeconfig("kubelet"),
        node_ip=parts.addresses.node,
        root_dir=state / "kubelet",
    )


def _proxy(parts: Parts) -> Daemon:
    return _kubernetes(
        parts,
        "kube-proxy",
        cluster_cidr=parts.addresses.pods,
        # The limits of connection tracking belong to the whole machine: zero leaves them alone.
        conntrack_max_per_core="0",
        conntrack_min="0",
        conntrack_tcp_timeout_close_wait="0s",
        conntrack_tcp_timeout_established="0s",
        hostname_override=NODE,
        kubeconfig=parts.kubeconfig("proxy"),
        proxy_mode="iptables",
    )


def _kubernetes(parts: Parts, component: str, /, **flags: str | Path) -> Daemon:
    arguments = (f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())
    return Daemon(name=component, command=(str(parts.programs.kubernetes / component), *arguments))


def _kubeconfig(parts: Parts, certificate: str) -> dict[str, object]:
    server = f"https://{parts.addresses.node}:6443"
    user = {
        "client-certificate": str(parts.pki / f"{certificate}.crt"),
        "client-key": str(parts.pki / f"{certificate}.key"),
    }
    cluster = {"server": server, "certificate-authority": str(parts.pki / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tonnage", "cluster": cluster}],
        "users": [{"name": certificate, "user": user}],
        "contexts": [{"name": "tonnage", "context": {"cluster": "tonnage", "user": certificate}}],
        "current-context": "tonnage",
    }
