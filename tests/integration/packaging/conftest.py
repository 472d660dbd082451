"""Two small releases, packaged for real: debootstrap, uv and BentoML."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.factories.release import VOCABULARIES, release

from tonnage.features import ranking
from tonnage.files import cache_home
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.images import Layout
from tonnage.packaging.pipeline import Packaged, package
from tonnage.packaging.sinks import ImageSink, OnDisk
from tonnage.releases.release import Release
from tonnage.telemetry import Silent


@dataclass(frozen=True)
class Dock:
    """Where releases are packaged, and two of them."""

    out: Path
    cache: Path
    first: Release
    second: Release

    @property
    def layout(self) -> Layout:
        return Layout(self.out / "images")

    def package(
        self, release: Release, sink: ImageSink | None = None, people: Path | None = None
    ) -> Packaged:
        return package(
            release,
            PackagingConfig(),
            self.out,
            cache=self.cache,
            sink=sink or OnDisk(),
            progress=Silent(),
            people=people,
        )


@pytest.fixture(scope="session")
def dock(tmp_path_factory: pytest.TempPathFactory) -> Dock:
    """With the person's own cache of base and environments, which take minutes and are keyed by content."""
    root = tmp_path_factory.mktemp("dock")
    about = {"names": ranking.names(VOCABULARIES), "vocabularies": VOCABULARIES}
    first, second = (release(root / "releases", seed=seed, **about) for seed in (7, 8))
    return Dock(out=root / "packaging", cache=cache_home() / "layers", first=first, second=second)


@pytest.fixture(scope="session")
def packaged(dock: Dock) -> tuple[Packaged, Packaged]:
    """Both releases, one after the other."""
    return dock.package(dock.first), dock.package(dock.second)
