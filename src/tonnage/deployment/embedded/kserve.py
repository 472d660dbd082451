"""KServe on the cluster, for those who ask for it: its kinds, its controller, its webhooks."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import yaml

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.embedded import addons, boot, builds, images, pki
from tonnage.deployment.embedded.components import Parts
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.embedded.images import Image
from tonnage.deployment.embedded.store import ImageStore
from tonnage.errors import ClusterError
from tonnage.files import whole_directory
from tonnage.telemetry import Progress

NAMESPACE = "kserve"
CONTROLLER = "kserve-controller-manager"
STAGES = ("definitions", "controller", "webhooks")
"""Manifests in the order they are applied. A webhook that nobody answers refuses what it is asked about."""

CERTIFICATE = pki.Wanted("kserve-webhook", hosts=(f"kserve-webhook-server-service.{NAMESPACE}.svc",))
SECRET = "kserve-webhook-server-cert"  # noqa: S105 - the name of one, which the controller's volume asks for

PROBE = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "tonnage-probe"},
    "spec": {"containers": [{"name": "kserve-container", "image": "none"}]},
}
"""Asked about and never made: whether the webhooks answer."""

Documents = list[dict[str, Any]]


def manifests(config: EmbeddedConfig) -> Path:
    """The directory of the manifests that were applied; there is none in a cluster without KServe."""
    return config.state / "kserve"


def add(parts: Parts, access: ClusterAccess, store: ImageStore, progress: Progress) -> None:
    """Build KServe if the cache does not hold it, and apply it to a running cluster; again is fine.

    Raises:
        RequirementError: there is no Go.
        ClusterError: something did not build, was refused or did not get ready; the message says which.
    """
    sources, cache = parts.config.sources, parts.config.cache
    with progress.stage("build KServe"):
        programs = builds.kserve(sources, cache)
        recipes = images.read_recipes(sources / "kserve" / "images.toml")
        built = images.build(recipes, (programs,), cache)
    boot.load(store, built.values(), progress)
    with progress.stage("KServe"):
        _write(parts, programs, built)
        _apply(parts, access)


def state(access: ClusterAccess) -> str:
    """`available` or `not available`, as Kubernetes says of the controller.

    Raises:
        ClusterError: the API server did not answer.
    """
    condition = '{.status.conditions[?(@.type=="Available")].status}'
    named = ("--namespace", NAMESPACE, "--ignore-not-found", "--output", f"jsonpath={condition}")
    answer = access.run_kubectl("get", "deployment", CONTROLLER, *named)
    return "available" if answer == "True" else "not available"


def fitted(documents: Iterable[dict[str, Any]], authority: bytes) -> Documents:
    """KServe's own manifests without what is not here: cert-manager and its kinds, a proxy of metrics.

    Args:
        documents: as the chart renders them.
        authority: the certificate, PEM, that the API server proves the webhooks' with.
    """
    kept = [each for each in documents if each and not each["apiVersion"].startswith("cert-manager.io/")]
    for document in kept:
        for webhook in document.get("webhooks", ()):
            webhook["clientConfig"]["caBundle"] = _encoded(authority)
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            pod["containers"] = [each for each in pod["containers"] if each["name"] == "manager"]
            # It is up within seconds; the chart would not ask for half a minute.
            pod["containers"][0]["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 1}
    return kept


def waits_for_controller(document: Mapping[str, Any]) -> bool:
    """Whether a manifest is applied only once the controller answers."""
    return "webhooks" in document or document["kind"] == "ClusterStorageContainer"


def _write(parts: Parts, programs: Path, built: Mapping[str, Image]) -> None:
    pki.issue(parts.pki, CERTIFICATE)
    with whole_directory(manifests(parts.config)) as into:
        values = into / "values"
        template = Template((parts.config.sources / "kserve" / "values.yaml").read_text())
        values.write_text(template.substitute(addons.image_placeholders(built)))
        definitions, own = (_rendered(parts, programs, name, values) for name in builds.KSERVE_CHARTS)
        documents = fitted(yaml.safe_load_all(own), (parts.pki / "ca.crt").read_bytes())
        late = [each for each in documents if waits_for_controller(each)]
        early = [_secret(parts), *(each for each in documents if not waits_for_controller(each))]
        (into / "definitions.yaml").write_text(f"{_dumped([_namespace()])}---\n{definitions}")
        # The webhooks' key is in it.
        (into / "controller.yaml").touch(mode=0o600)
        (into / "controller.yaml").write_text(_dumped(early))
        (into / "webhooks.yaml").write_text(_dumped(late))


def _apply(parts: Parts, access: ClusterAccess) -> None:
    definitions, controller, webhooks = STAGES
    addons.apply(access, manifests(parts.config), (definitions,))
    addons.await_definitions(access)
    addons.apply(access, manifests(parts.config), (controller,))
    available = ("--for=condition=Available", "--namespace", NAMESPACE, f"deployment/{CONTROLLER}")
    addons.await_condition(access, *available)
    addons.apply(access, manifests(parts.config), (webhooks,))
    boot.await_answer(parts, "kube-apiserver", lambda: _admits(access))


def _admits(access: ClusterAccess) -> bool:
    probe = ("apply", "--server-side", "--dry-run=server", "--filename", "-")
    try:
        access.run_kubectl(*probe, stdin=yaml.safe_dump(PROBE))
    except ClusterError as error:
        if "failed calling webhook" in str(error):
            return False
        raise
    return True


def _rendered(parts: Parts, programs: Path, name: str, values: Path) -> str:
    chart = addons.Chart(name, NAMESPACE)
    return addons.rendered(parts.programs.helm, programs / "charts" / name, chart, values)


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _secret(parts: Parts) -> dict[str, Any]:
    files = {f"tls.{end}": (parts.pki / f"{CERTIFICATE.name}.{end}").read_bytes() for end in ("crt", "key")}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "data": {name: _encoded(content) for name, content in files.items()},
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _dumped(documents: Documents) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)
