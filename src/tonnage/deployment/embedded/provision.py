"""Everything a cluster is made from, built or fetched once and then taken from the cache."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tonnage.deployment.embedded import addons, builds, debian, images
from tonnage.deployment.embedded.builds import Programs
from tonnage.deployment.embedded.config import EmbeddedConfig
from tonnage.deployment.embedded.images import Image
from tonnage.deployment.embedded.network import Addresses
from tonnage.telemetry import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisions:
    """What is at hand before anything starts.

    Args:
        programs: what was built.
        runtime: root of the unpacked container runtime packages.
        images: the add-ons' images, by short name.
        manifests: directory of rendered manifests.
    """

    programs: Programs
    runtime: Path
    images: Mapping[str, Image]
    manifests: Path


def provide(config: EmbeddedConfig, addresses: Addresses, progress: Progress) -> Provisions:
    """Build and fetch what the cache does not hold, side by side where one does not need the other.

    Raises:
        RequirementError: this machine lacks something; the message says what to do.
        ClusterError: a build or a download failed.
    """
    with ThreadPoolExecutor(max_workers=3) as workers:
        runtime = workers.submit(runtime_packages, config)
        kubernetes = workers.submit(_told, progress, "build Kubernetes and etcd", builds.kubernetes, config)
        tools = workers.submit(_told, progress, "build Helm and the add-ons", builds.tools, config)
        programs = Programs(kubernetes=kubernetes.result(), tools=tools.result())
    with progress.stage("images and manifests of the add-ons"):
        recipes = images.read_recipes(config.sources / "images.toml")
        built = images.build(recipes, (programs.kubernetes, programs.tools), config.cache)
        manifests = addons.render(config.sources, config.cache, programs, built, addresses)
    return Provisions(programs=programs, runtime=runtime.result(), images=built, manifests=manifests)


def runtime_packages(config: EmbeddedConfig) -> Path:
    """The unpacked packages of the container runtime, for those who need a program of theirs."""
    return debian.unpacked(config.cache, "runtime", debian.listed(config.sources / "unpacked.txt"))


def _told(progress: Progress, name: str, build: Callable[[Path, Path], Path], config: EmbeddedConfig) -> Path:
    with progress.stage(name):
        return build(config.sources, config.cache)
