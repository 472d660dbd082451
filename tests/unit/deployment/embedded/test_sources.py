"""The devcluster folder and the code that reads it say the same."""

import re
import tomllib
from pathlib import Path
from string import Template

import pytest
import yaml

from tonnage.deployment.embedded import addons, boot, builds, cluster, components, debian, images
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.embedded.network import Addresses
from tonnage.errors import ConfigError, RequirementError

SOURCES = Path(__file__).resolve().parents[4] / "devcluster"
ADDRESSES = Addresses("10.200.0.0/16", 8090, 9100)


@pytest.fixture
def parts(tmp_path: Path) -> components.Parts:
    """Command lines need no programs."""
    return components.Parts(
        config=EmbeddedConfig(state=tmp_path / "state", cache=tmp_path / "cache", sources=SOURCES),
        addresses=ADDRESSES,
        programs=builds.Programs(kubernetes=tmp_path / "k", tools=tmp_path / "t"),
        runtime=tmp_path / "runtime",
        pause_image="localhost/tonnage/pause:1.0",
    )


def _recipes() -> dict[str, images.Recipe]:
    return images.read_recipes(SOURCES / "images.toml")


def test_components_tell_each_other_the_version_they_are_built_from() -> None:
    """A wrong one makes the API server refuse what the kubelet of the same build asks."""
    module = (SOURCES / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes {builds.KUBERNETES}\n" in module
    staging = set(re.findall(r"k8s\.io/[a-z-]+ => k8s\.io/[a-z-]+ (v\S+)", module))
    assert staging == {builds.KUBERNETES.replace("v1.", "v0.")}


@pytest.mark.parametrize(
    ("image", "module"),
    [
        ("coredns", "github.com/coredns/coredns"),
        ("envoy-gateway", "github.com/envoyproxy/gateway"),
        ("metrics-server", "sigs.k8s.io/metrics-server"),
    ],
)
def test_an_image_is_tagged_with_the_version_of_the_module_it_is_built_from(image: str, module: str) -> None:
    pinned = re.search(
        rf"^\s+{re.escape(module)} v(\S+)", (SOURCES / "tools" / "go.mod").read_text(), re.MULTILINE
    )
    assert pinned is not None
    assert _recipes()[image].version == pinned.group(1)


def test_every_manifest_is_complete_and_every_image_in_it_is_one_of_ours() -> None:
    """Any other image would be pulled, and the cluster has no way out."""
    built = {
        name: images.Image(repository=f"{images.PREFIX}/{name}", tag=recipe.version, archive=Path())
        for name, recipe in _recipes().items()
    }
    values = addons.placeholders(built, ADDRESSES)
    references = {image.reference for image in built.values()}
    for template in (SOURCES / "addons").glob("*.yaml"):
        documents = list(yaml.safe_load_all(Template(template.read_text()).substitute(values)))
        assert documents
        assert _images_in(documents) <= references, template.name


def _images_in(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["image"]} if isinstance(node.get("image"), str) else set()
        return own.union(*(_images_in(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_images_in(value) for value in node))
    return set()


def test_every_manifest_that_is_applied_exists() -> None:
    files = {file.stem for file in (SOURCES / "addons").glob("*.yaml")}
    rendered = {f"chart-{chart.name}" for chart in addons.CHARTS}
    assert {*addons.BASE, *addons.GATEWAY} <= files | rendered
    assert {f"{chart.name}.values" for chart in addons.CHARTS} <= files


def test_status_asks_about_every_process_that_is_started(parts: components.Parts) -> None:
    """One that is forgotten could be dead while the cluster is called running."""
    started = [components.store(parts), components.runtime(parts), components.api_server(parts)]
    started += [*components.control_loops(parts), components.forwarder(parts)]
    assert {daemon.name for daemon in started} | {boot.namespaces.ANCHOR} == set(cluster.DAEMONS)


def test_configuration_files_come_out_whole(parts: components.Parts) -> None:
    components.write_files(parts)
    state = parts.config.state
    containerd = tomllib.loads((state / "containerd.toml").read_text())
    assert Path(containerd["root"]).is_relative_to(state)
    kubelet = yaml.safe_load((state / "kubelet.yaml").read_text())
    assert kubelet["clusterDNS"] == [ADDRESSES.dns]
    assert kubelet["cgroupRoot"] == f"/{parts.config.cgroup}"
    admin = parts.config.kubeconfig
    assert yaml.safe_load(admin.read_text())["clusters"][0]["cluster"]["server"].startswith("https://")
    assert admin.stat().st_mode & 0o077 == 0


def test_nothing_that_starts_a_service_is_installed() -> None:
    """Installing containerd or a Redis would push out a Docker's, or start a server on the machine."""
    assert not set(debian.listed(SOURCES / "packages.txt")) & set(debian.listed(SOURCES / "unpacked.txt"))
    services = {"containerd", "docker.io", "docker-registry", "prometheus", "redis-server"}
    assert not services & set(debian.listed(SOURCES / "packages.txt"))


def test_the_state_of_a_cluster_can_be_put_elsewhere(tmp_path: Path) -> None:
    here = EmbeddedConfig.of({"HOME": "/home/ann", "TONNAGE_STATE_DIR": str(tmp_path)})
    home = EmbeddedConfig.of({"HOME": "/home/ann"})
    assert here.state == tmp_path
    assert home.state == Path("/home/ann/.local/state/tonnage/cluster")
    assert here.device != home.device
    assert len(here.device) <= 15, "the kernel allows no longer name"


def test_a_place_the_cluster_cannot_see_is_refused() -> None:
    with pytest.raises(ConfigError, match="TONNAGE_STATE_DIR"):
        EmbeddedConfig.of({"HOME": "/home/ann", "TONNAGE_STATE_DIR": "/var/lib/tonnage"})


def test_without_a_checkout_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match="--context"):
        EmbeddedConfig.of({"HOME": "/home/ann"}, sources=tmp_path)
