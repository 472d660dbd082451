"""Where images go: a registry, a container runtime on this machine, or nowhere but the layout on disk."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tonnage.packaging.commands import run
from tonnage.packaging.images import Image, Layout
from tonnage.telemetry import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """How a cluster names an image.

    Attributes:
        repository: the name without a tag.
        tag: the release's id.
        digest: `sha256:...` of the manifest: with it the name can never mean another image. None where only
            the runtime that loads it will know.
    """

    repository: str
    tag: str
    digest: str | None


class ImageSink(Protocol):
    """Somebody who takes images."""

    def deliver(self, layout: Layout, images: Sequence[Image], progress: Progress) -> Mapping[str, ImageRef]:
        """Take images out of a layout, and say what they are called from now on, by bento.

        Raises:
            ClusterError: they could not be delivered.
            RequirementError: a tool is missing.
        """
        ...


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Leave images in the layout, for a person's own tools: `skopeo copy oci:<layout>:<name> ...`."""

    def deliver(self, layout: Layout, images: Sequence[Image], progress: Progress) -> Mapping[str, ImageRef]:
        """Name them as they are."""
        progress.say(f"images are in {layout.directory} (an OCI image layout)")
        return {image.bento: _as_named(image) for image in images}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Hand images to a container runtime that imports archives, such as the embedded cluster's.

    Attributes:
        load: imports one archive (a tar of an OCI image layout).
        present: digests of the manifests of the images that the runtime has. What it has stays out of the
            archive.
    """

    load: Callable[[Path], object]
    present: Callable[[], Collection[str]] = frozenset

    def deliver(self, layout: Layout, images: Sequence[Image], progress: Progress) -> Mapping[str, ImageRef]:
        """Import what the runtime lacks: with a second release, its model layers."""
        present = set(self.present())
        lacking = [image for image in images if image.digest not in present]
        if lacking:
            archive = layout.directory.parent / "images.tar"
            layout.write_archive(lacking, archive, without=layout.parts(present))
            with progress.stage(f"load images ({archive.stat().st_size / 1e6:.1f} MB)"):
                try:
                    self.load(archive)
                finally:
                    archive.unlink()
        return {image.bento: _as_named(image) for image in images}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Push images to a registry with skopeo, which skips what is there and knows a person's credentials.

    Attributes:
        path: `HOST[:PORT]/PATH`; images are `<path>/<bento>:<release>`.
        plain_http: talk to it without TLS.
    """

    path: str
    plain_http: bool = False

    def deliver(self, layout: Layout, images: Sequence[Image], progress: Progress) -> Mapping[str, ImageRef]:
        """Push them, byte by byte as they are in the layout, so that digests stay."""
        pushed = {}
        for image in images:
            repository = f"{self.path.rstrip('/')}/{image.bento}"
            with progress.stage(f"push {repository}:{image.release}"):
                self._push(f"oci:{layout.directory}:{image.name}", f"docker://{repository}:{image.release}")
            pushed[image.bento] = ImageRef(repository=repository, tag=image.release, digest=image.digest)
        return pushed

    def _push(self, source: str, target: str) -> None:
        tls = ("--dest-tls-verify=false",) if self.plain_http else ()
        run(
            ["skopeo", "copy", "--quiet", "--preserve-digests", *tls, source, target],
            hint="Install the Debian package skopeo.",
        )


def _as_named(image: Image) -> ImageRef:
    repository, tag = image.name.rsplit(":", 1)
    return ImageRef(repository=repository, tag=tag, digest=image.digest)
