"""The Go programs of the cluster, built from pinned modules."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tonnage.deployment.access import run
from tonnage.deployment.embedded.artifacts import made
from tonnage.errors import RequirementError

KUBERNETES = "v1.35.4"
"""The version that the components tell each other; the one in `devcluster/kubernetes/go.mod`."""

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
"""What the one Kubernetes program can be."""

CHARTS = {
    "metrics-server": ("sigs.k8s.io/metrics-server", "charts/metrics-server"),
    "envoy-gateway": ("github.com/envoyproxy/gateway", "charts/gateway-helm"),
    "gateway-crds": ("github.com/envoyproxy/gateway", "charts/gateway-crds-helm"),
}
"""Charts that travel inside the modules of the programs they install."""

KSERVE_CHARTS = {
    "kserve-crd": ("github.com/kserve/kserve", "charts/kserve-crd"),
    "kserve-resources": ("github.com/kserve/kserve", "charts/kserve-resources"),
}
"""Those of KServe, which is built for those who ask for it."""

GO_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin")
"""Where Go's archive and Debian's package put it, in case PATH does not say."""

TAGS = "remove_all_sd,enable_kubernetes_sd"
"""Prometheus finds targets in Kubernetes; the ways of a dozen clouds are most of what it would compile."""

BUILD_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Directories of built programs.

    Args:
        kubernetes: every component under its own name, with `pause` and `forward`.
        tools: `helm`, `helm-unittest` and the add-ons' programs, and `charts/`.
    """

    kubernetes: Path
    tools: Path

    @property
    def kubectl(self) -> Path:
        """The kubectl of the cluster's own version."""
        return self.kubernetes / "kubectl"

    @property
    def helm(self) -> Path:
        """Helm 4."""
        return self.tools / "helm"


def kubernetes(sources: Path, cache: Path) -> Path:
    """Build Kubernetes and etcd into one program, and the two small ones beside it.

    Raises:
        RequirementError: there is no Go.
        ClusterError: the build failed; the message is the compiler's.
    """
    module = sources / "kubernetes"
    files = sorted(module.rglob("*.go"))

    def recipe(into: Path) -> None:
        _go_build(module, into, f"-s -w {_version_flags()}", "./...")
        for name in COMPONENTS:
            (into / name).symlink_to("kubernetes")

    return made(cache, "kubernetes", [module / "go.mod", module / "go.sum", *files, KUBERNETES], recipe)


def tools(sources: Path, cache: Path) -> Path:
    """Build Helm, helm-unittest and the add-ons' programs; one module, so that they share what they compile.

    Raises:
        RequirementError: there is no Go.
        ClusterError: the build failed; the message is the compiler's.
    """
    return _tools(sources / "tools", cache, CHARTS)


def kserve(sources: Path, cache: Path) -> Path:
    """Build KServe's controller (`manager`) and its graph router, with its charts.

    Raises:
        RequirementError: there is no Go.
        ClusterError: the build failed; the message is the compiler's.
    """
    return _tools(sources / "kserve", cache, KSERVE_CHARTS)


def _tools(module: Path, cache: Path, charts: Mapping[str, tuple[str, str]]) -> Path:
    """Build what a module names as its tools, and put the charts from the modules beside it."""

    def recipe(into: Path) -> None:
        _go_build(module, into, "-s -w", "tool")
        for name, (path, folder) in charts.items():
            root = run(_go(module, "list", "-m", "-f", "{{.Dir}}", path), timeout_s=BUILD_TIMEOUT_S).strip()
            _copy_chart(Path(root) / folder, into / "charts" / name)

    return made(cache, module.name, [module / "go.mod", module / "go.sum", repr(charts), TAGS], recipe)


def _go_build(module: Path, into: Path, link_flags: str, packages: str) -> None:
    arguments = (
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-tags",
        TAGS,
        "-ldflags",
        link_flags,
        "-o",
        f"{into}/",
        packages,
    )
    run(_go(module, *arguments), timeout_s=BUILD_TIMEOUT_S, environment={"CGO_ENABLED": "0", "GOWORK": "off"})


def _go(module: Path, *arguments: str) -> list[str]:
    program = shutil.which("go") or shutil.which("go", path=os.pathsep.join(GO_PLACES))
    if program is None:
        raise RequirementError(
            "there is no Go to build Kubernetes with",
            hint="Install Go 1.26 or later from https://go.dev/dl/ and put its bin folder in PATH.",
        )
    return [program, "-C", str(module), *arguments]


def _version_flags() -> str:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    return " ".join(
        f"-X {package}.gitVersion={KUBERNETES} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )


def _copy_chart(source: Path, target: Path) -> None:
    """Copy a chart out of the module cache, whose files are read-only."""
    shutil.copytree(source, target)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    template = target / "values.tmpl.yaml"
    if template.exists():
        # The project's release process fills these in; our values file names the image again.
        filled = Template(template.read_text()).safe_substitute(
            GatewayImage="unset", GatewayImagePullPolicy=""
        )
        (target / "values.yaml").write_text(filled)
