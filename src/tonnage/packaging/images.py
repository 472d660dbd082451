"""Images as an OCI image layout on disk: layers, config, manifest, index, and archives of them.

Written straight to the specification (https://github.com/opencontainers/image-spec, v1.1): an image is two
small JSON documents over its layers, and no container store, daemon or privilege is needed to write them.
"""

import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tonnage.files import whole_file
from tonnage.packaging.layers import TIME_S, Layer
from tonnage.packaging.runtime import SERVICE, UID, Process, labels
from tonnage.packaging.store import LayerStore

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"

NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What OCI calls a processor, by what the kernel calls it."""

_CREATED = "1980-01-01T00:00:00Z"
_KEPT_RELEASES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image in a layout.

    Attributes:
        bento: which service it runs; `loadtest` for the load test's.
        release: which release it holds.
        name: `repository:tag` in the layout.
        digest: `sha256:...` of its manifest.
        config: `sha256:...` of its config.
        layers: from the bottom up.
    """

    bento: str
    release: str
    name: str
    digest: str
    config: str
    layers: tuple[Layer, ...]

    @property
    def unpacked(self) -> int:
        """Bytes of the files of the root file system."""
        return sum(layer.unpacked for layer in self.layers)

    @property
    def size(self) -> int:
        """Bytes of the layers as they are moved."""
        return sum(layer.size for layer in self.layers)

    @property
    def blobs(self) -> tuple[str, ...]:
        """Everything that the image consists of."""
        return (self.digest, self.config, *(layer.digest for layer in self.layers))


class Layout(LayerStore):
    """An OCI image layout that holds the images of the latest releases."""

    def add(
        self,
        *,
        bento: str,
        release: str,
        name: str,
        machine: str,
        layers: Sequence[Layer],
        process: Process = SERVICE,
    ) -> Image:
        """Make layers of this store an image.

        Args:
            bento: which service it runs; `loadtest` for the load test's.
            release: which release it holds.
            name: `repository:tag`.
            machine: processor, as the kernel calls it.
            layers: from the bottom up.
            process: what it runs.
        """
        about = labels(bento=bento, release=release)
        config = self.put(_canonical(_config(about, ARCHITECTURES[machine], layers, process)))
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(CONFIG, config),
            "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
            "annotations": about,
        }
        digest = self.put(_canonical(manifest))
        return Image(
            bento=bento, release=release, name=name, digest=digest, config=config, layers=tuple(layers)
        )

    def publish(self, images: Collection[Image]) -> None:
        """Name images in the index, before those of the release before, and remove everything older."""
        named = {image.name: self._named(image.digest, image.name) for image in images}
        former = [each for each in self._index() if each["annotations"][NAME] not in named]
        # An image of these releases that is not among these, such as their load test's, is none of another.
        present = dict.fromkeys(image.release for image in images)
        before = dict.fromkeys(_tag(each) for each in former if _tag(each) not in present)
        releases = {*present, *list(before)[: _KEPT_RELEASES - 1]}
        manifests = [*named.values(), *(each for each in former if _tag(each) in releases)]
        with whole_file(self.directory / "oci-layout") as fresh:
            fresh.write_bytes(_canonical({"imageLayoutVersion": "1.0.0"}))
        with whole_file(self.directory / "index.json") as fresh:
            fresh.write_bytes(_index(manifests))
        self.keep_only(digest for each in manifests for digest in self._reachable(each["digest"]))

    def write_archive(self, images: Collection[Image], out: Path, *, without: Collection[str] = ()) -> None:
        """Write images as one tar archive, for `ctr images import`, `podman load` or `docker load`.

        Args:
            images: which.
            out: the archive; whole or not there.
            without: blobs that the receiver has already.
        """
        manifests = [self._named(image.digest, image.name) for image in images]
        needed = {digest for image in images for digest in image.blobs} - set(without)
        with whole_file(out) as fresh, tarfile.open(fresh, "w") as archive:
            _add(archive, "oci-layout", _canonical({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", _index(manifests))
            for digest in sorted(needed):
                info = tarfile.TarInfo(f"blobs/{digest.replace(':', '/')}")
                info.size, info.mtime = self.blob(digest).stat().st_size, TIME_S
                with self.blob(digest).open("rb") as content:
                    archive.addfile(info, content)

    def parts(self, digests: Collection[str]) -> set[str]:
        """Every blob of those of the images that this layout has."""
        held = [digest for digest in digests if self.blob(digest).exists()]
        return {blob for digest in held for blob in self._reachable(digest)}

    def _index(self) -> list[dict[str, Any]]:
        file = self.directory / "index.json"
        manifests: list[dict[str, Any]] = json.loads(file.read_bytes())["manifests"] if file.exists() else []
        return manifests

    def _named(self, digest: str, name: str) -> dict[str, Any]:
        return {**self._descriptor(MANIFEST, digest), "annotations": {NAME: name, CONTAINERD_NAME: name}}

    def _descriptor(self, media_type: str, digest: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": digest, "size": self.blob(digest).stat().st_size}

    def _reachable(self, digest: str) -> list[str]:
        manifest = json.loads(self.blob(digest).read_bytes())
        return [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]


def _config(
    about: Mapping[str, str], architecture: str, layers: Sequence[Layer], process: Process
) -> dict[str, Any]:
    ports: dict[str, Any] = {"ExposedPorts": {f"{process.port}/tcp": {}}} if process.port else {}
    return {
        "created": _CREATED,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{UID}:{UID}",
            **ports,
            "Env": [f"{name}={value}" for name, value in process.variables.items()],
            "Entrypoint": list(process.entrypoint),
            "WorkingDir": process.directory,
            "Labels": dict(about),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": _CREATED, "created_by": f"tonnage package: {layer.role}"} for layer in layers
        ],
    }


def _tag(descriptor: Mapping[str, Any]) -> str:
    name: str = descriptor["annotations"][NAME]
    return name.rsplit(":", 1)[1]


def _index(manifests: Sequence[Mapping[str, Any]]) -> bytes:
    return _canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)})


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = len(content), TIME_S
    archive.addfile(info, io.BytesIO(content))
