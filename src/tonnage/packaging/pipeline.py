"""From a release to its images and the Helm values that pin them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tonnage.packaging import loadtest
from tonnage.packaging.base import base_key, base_trees
from tonnage.packaging.bentos import Bento, build_bento, code_trees, demand_visible, model_trees
from tonnage.packaging.config import BENTOS, PackagingConfig
from tonnage.packaging.environment import environment_key, environment_trees
from tonnage.packaging.images import Image, Layout
from tonnage.packaging.layers import Layer, Tree, key_of
from tonnage.packaging.runtime import RELEASE, SERVICE, Process
from tonnage.packaging.scratch import alone_in
from tonnage.packaging.sinks import ImageRef, ImageSink
from tonnage.packaging.sources import Sources
from tonnage.packaging.store import LayerStore, Make
from tonnage.packaging.values import write_loadtest_values, write_values
from tonnage.releases.release import Release
from tonnage.telemetry import Progress

_SIDE_BY_SIDE = 2
"""Installing waits for the disk and the network, compressing for a core: two at a time keep both busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """What packaging a release gave.

    Attributes:
        release: id of the release.
        images: how a cluster names the image of each bento, and that of the load test.
        built: the images with their layers; empty where another tool made them.
        bentos: tags in the BentoML store below the output directory.
        values_path: the Helm values file.
        loadtest_values: that of charts/loadtest; None when its image was not asked for.
    """

    release: str
    images: Mapping[str, ImageRef]
    built: Mapping[str, Image]
    bentos: tuple[str, ...]
    values_path: Path
    loadtest_values: Path | None = None

    def as_dict(self) -> dict[str, object]:
        """The same as JSON values; sizes in bytes."""
        sizes = {
            bento: {
                "unpacked": image.unpacked,
                "size": image.size,
                "layers": [asdict(each) for each in image.layers],
            }
            for bento, image in self.built.items()
        }
        images = {bento: {**asdict(ref), **sizes.get(bento, {})} for bento, ref in self.images.items()}
        told: dict[str, object] = {
            "release": self.release,
            "images": images,
            "bentos": list(self.bentos),
            "values": str(self.values_path),
        }
        return told | ({"loadtest_values": str(self.loadtest_values)} if self.loadtest_values else {})


def package(
    release: Release,
    config: PackagingConfig,
    out_dir: Path,
    *,
    cache: Path,
    sink: ImageSink,
    progress: Progress,
    track: str = "stable",
    people: Path | None = None,
) -> Packaged:
    """Make the three bentos and images of a release, deliver them, and write the values that pin them.

    What has not changed since the last time is not made again; a layer that changes takes no other with it.
    May be interrupted at any moment and run again.

    Args:
        release: an open release, its digests checked.
        config: how images are made.
        out_dir: receives `bentoml/`, `images/` (an OCI image layout) and the values file.
        cache: where layers that outlive a project are kept: the base and the Python environments.
        sink: takes the images.
        progress: who is told.
        track: the track of the values file; see `write_values`.
        people: the project's tables: with them, the image of charts/loadtest is made too.

    Raises:
        RequirementError: not root, a tool is missing, or the output lies below a hidden directory.
        NotFoundError: there are no people in the tables.
        ClusterError: a tool failed; the message is its own.
    """
    demand_visible(out_dir)
    sources = Sources.find(config)
    layout = Layout(out_dir / "images")
    work = _Work(config=config, sources=sources, layout=layout, cache=cache, progress=progress)
    with alone_in(out_dir):
        bentos, images = work.images(release, out_dir / "bentoml")
        if people is not None:
            images.append(work.loadtest(release, people))
        layout.publish(images)
        refs = sink.deliver(layout, images, progress)
    served = {bento: refs[bento] for bento in BENTOS}
    return Packaged(
        release=release.id,
        images=refs,
        built={image.bento: image for image in images},
        bentos=tuple(bento.tag for bento in bentos),
        values_path=write_values(out_dir, release.id, served, track=track),
        loadtest_values=write_loadtest_values(out_dir, refs[loadtest.NAME], track=track) if people else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Every layer of all images, each made only where it is not there, two at a time."""

    config: PackagingConfig
    sources: Sources
    layout: Layout
    cache: Path
    progress: Progress

    def images(self, release: Release, home: Path) -> tuple[list[Bento], list[Image]]:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            base = pool.submit(self._base)
            # The largest first: what is left at the end should be small.
            environments = {name: pool.submit(self._environment, name) for name in reversed(BENTOS)}
            bentos = {name: pool.submit(self._bento, name, release, home) for name in BENTOS}
            codes = {name: pool.submit(self._code, bentos[name]) for name in BENTOS}
            model = pool.submit(self._model, release)
            try:
                _all_done([base, *environments.values(), *bentos.values(), *codes.values(), model])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        images = [
            self._image(
                name,
                release,
                (base.result(), environments[name].result(), codes[name].result(), model.result()),
            )
            for name in BENTOS
        ]
        return [bentos[name].result() for name in BENTOS], images

    def loadtest(self, release: Release, people: Path) -> Image:
        """Its base and its model are the bentos' own."""
        sources, cache, id_ = self.sources, self.cache, release.id
        code = loadtest.code_key(sources, cache)
        known = loadtest.people_key(people, id_)
        with self.progress.stage("load test: code and people"):
            layers = (
                self._base(),
                self._environment(loadtest.NAME),
                self.layout.layer(code, "code", lambda: loadtest.code_trees(sources, cache)),
                self._model(release),
                self.layout.layer(known, "people", lambda: loadtest.people_trees(people, id_, cache)),
            )
        return self._image(loadtest.NAME, release, layers, loadtest.PROCESS)

    def _image(
        self, name: str, release: Release, layers: Sequence[Layer], process: Process = SERVICE
    ) -> Image:
        return self.layout.add(
            bento=name,
            release=release.id,
            name=f"{self.config.repository}/{name}:{release.id}",
            machine=os.uname().machine,
            layers=layers,
            process=process,
        )

    def _base(self) -> Layer:
        make = self._told("base layer (debootstrap)", lambda: base_trees(self.config, self.cache))
        return self._shared("base", base_key(self.config), make)

    def _environment(self, name: str) -> Layer:
        locked = self.sources.requirements(name)
        make = self._told(f"{name}: Python environment", lambda: environment_trees(locked, self.cache))
        return self._shared("environment", environment_key(locked), make)

    def _bento(self, name: str, release: Release, home: Path) -> Bento:
        with self.progress.stage(f"{name}: bento"):
            return build_bento(name, release, self.config, self.sources, home)

    def _code(self, bento: "Future[Bento]") -> Layer:
        built = bento.result()
        return self.layout.layer(built.code_key, "code", lambda: code_trees(built))

    def _model(self, release: Release) -> Layer:
        """One layer for all images: it is made, moved and kept on a node once."""
        key = key_of("model", release.manifest.digest, RELEASE)
        return self.layout.layer(key, "model", lambda: model_trees(release))

    def _shared(self, role: str, key: str, make: Make) -> Layer:
        """A layer that outlives the project: kept in the cache, linked into the layout."""
        store = LayerStore(self.cache)
        layer = store.layer(key, role, make)
        self.layout.adopt(layer, store)
        return layer

    def _told(self, name: str, make: Make) -> Make:
        """The same, telling that it is made and how long it took."""

        @contextmanager
        def making() -> Iterator[Sequence[Tree]]:
            with self.progress.stage(name), make() as trees:
                yield trees

        return making


def _all_done(futures: Sequence[Future[Any]]) -> None:
    """Wait for all; the first failure is raised when it happens, not when the others have ended."""
    finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in finished:
        future.result()
