"""What the cluster brings beside Kubernetes itself: DNS, metrics, a Gateway, Prometheus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tonnage.deployment.access import ClusterAccess, run
from tonnage.deployment.embedded.artifacts import made
from tonnage.deployment.embedded.builds import Programs
from tonnage.deployment.embedded.images import Image
from tonnage.deployment.embedded.network import GATEWAY_NODE_PORT, PROMETHEUS_NODE_PORT, Addresses


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart rendered into manifests; each has a values file of its name under `devcluster/addons`."""

    name: str
    namespace: str


CHARTS = (
    Chart("gateway-crds", "envoy-gateway-system"),
    Chart("metrics-server", "kube-system"),
    Chart("envoy-gateway", "envoy-gateway-system"),
)

BASE = ("coredns", "chart-metrics-server", "prometheus")
"""Applied as soon as the images are there."""

GATEWAY = ("chart-envoy-gateway", "gateway")
"""Applied once the kinds they are of, and watch, are known: the controller ends without them."""

DEPLOYMENTS = {
    "kube-system": ("coredns", "metrics-server"),
    "monitoring": ("prometheus",),
    "envoy-gateway-system": ("envoy-gateway",),
}
"""What must be available before the cluster is called ready."""

RENDER_TIMEOUT_S = 60.0
APPLY_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 240.0


def render(
    sources: Path, cache: Path, programs: Programs, images: Mapping[str, Image], addresses: Addresses
) -> Path:
    """A directory of finished manifests, and the values that fit our chart to this cluster."""
    values = placeholders(images, addresses)
    templates = sorted((sources / "addons").glob("*.yaml"))

    def recipe(into: Path) -> None:
        for template in templates:
            (into / template.name).write_text(Template(template.read_text()).substitute(values))
        for chart in CHARTS:
            folder, own = programs.tools / "charts" / chart.name, into / f"{chart.name}.values.yaml"
            (into / f"chart-{chart.name}.yaml").write_text(rendered(programs.helm, folder, chart, own))

    return made(cache, "manifests", [*templates, repr(sorted(values.items())), str(programs.tools)], recipe)


def apply(access: ClusterAccess, manifests: Path, names: Sequence[str]) -> None:
    """Apply manifests by name, in one call.

    Raises:
        ClusterError: the API server refused something; the message is kubectl's.
    """
    named = [argument for name in names for argument in ("--filename", str(manifests / f"{name}.yaml"))]
    # Server-side: the definitions are too large for the annotation that a client-side apply leaves.
    access.run_kubectl("apply", "--server-side", "--force-conflicts", *named, timeout_s=APPLY_TIMEOUT_S)


def apply_definitions(access: ClusterAccess, manifests: Path) -> None:
    """Apply the Gateway's kinds and the namespaces, and wait until they are known.

    Raises:
        ClusterError: the API server refused something; the message is kubectl's.
    """
    apply(access, manifests, ("namespaces", "chart-gateway-crds"))
    await_definitions(access)


def await_definitions(access: ClusterAccess) -> None:
    """Wait until every kind that was defined is known.

    Raises:
        ClusterError: one is not in time.
    """
    established = (
        "wait",
        "--for=condition=Established",
        "customresourcedefinition",
        "--all",
        "--timeout=60s",
    )
    access.run_kubectl(*established, timeout_s=APPLY_TIMEOUT_S)


def await_deployments(access: ClusterAccess) -> None:
    """Wait until every add-on's Deployment is available.

    Raises:
        ClusterError: one did not get there in time.
    """
    for namespace, names in DEPLOYMENTS.items():
        wanted = [f"deployment/{name}" for name in names]
        await_condition(access, "--for=condition=Available", "--namespace", namespace, *wanted)


def await_services(access: ClusterAccess) -> None:
    """Wait until the metrics API answers and the Gateway is programmed.

    Raises:
        ClusterError: one did not get there in time.
    """
    await_condition(access, "--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io")
    await_condition(access, "--for=condition=Programmed", "--namespace", "tonnage-gateway", "gateway/tonnage")


def placeholders(images: Mapping[str, Image], addresses: Addresses) -> dict[str, str]:
    """What the templates under `devcluster/addons` are filled with."""
    values = {"dns_ip": addresses.dns, "gateway_node_port": str(GATEWAY_NODE_PORT)}
    values["prometheus_node_port"] = str(PROMETHEUS_NODE_PORT)
    return values | image_placeholders(images)


def image_placeholders(images: Mapping[str, Image]) -> dict[str, str]:
    """What templates name images by."""
    values: dict[str, str] = {}
    for name, image in images.items():
        key = name.replace("-", "_")
        values |= {
            f"{key}_image": image.reference,
            f"{key}_repository": image.repository,
            f"{key}_tag": image.tag,
        }
    return values


def rendered(helm: Path, folder: Path, chart: Chart, values: Path) -> str:
    """The manifests of the chart in a folder.

    Raises:
        ClusterError: it cannot be rendered; the message is Helm's.
    """
    named = ("--namespace", chart.namespace, "--values", str(values), "--skip-crds")
    return run([str(helm), "template", chart.name, str(folder), *named], timeout_s=RENDER_TIMEOUT_S)


def await_condition(access: ClusterAccess, *what: str) -> None:
    """Wait for a condition, in kubectl's words.

    Raises:
        ClusterError: it did not come true in time.
    """
    access.run_kubectl("wait", *what, f"--timeout={READY_TIMEOUT_S:.0f}s", timeout_s=READY_TIMEOUT_S + 10)
