"""The cluster's image store: loading archives into its containerd."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tonnage.deployment.access import run
from tonnage.deployment.embedded.components import RUNTIME_SOCKET
from tonnage.deployment.embedded.config import MASKED
from tonnage.errors import ClusterError, InputError

LOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image as the cluster's store holds it.

    Args:
        name: repository and tag.
        digest: `sha256:...` of its manifest; a pod may pin `repository@digest`.
    """

    name: str
    digest: str

    @property
    def repository(self) -> str:
        """The name without its tag."""
        repository, _, tag = self.name.rpartition(":")
        return self.name if "/" in tag or not repository else repository

    @property
    def pinned(self) -> str:
        """The reference that can never mean another image."""
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStore:
    """Containerd's store, reached through the cluster's mount namespace.

    Args:
        runtime: root of the unpacked container runtime packages.
        anchor: pid of the process that holds the namespaces.
    """

    runtime: Path
    anchor: int

    def load(self, archive: Path) -> list[ImageRef]:
        """Load a docker-archive or OCI archive and give each image its digest as a second name.

        Raises:
            InputError: there is no such file, it is no archive, or it lies where the cluster cannot see it.
            ClusterError: containerd refused it; the message is its own.
        """
        archive = archive.resolve()
        if not archive.is_file() or not tarfile.is_tarfile(archive):
            raise InputError("not an image archive", hint="Give a docker-archive tar.", file=archive)
        if any(archive.is_relative_to(masked) for masked in MASKED):
            raise InputError(f"the cluster cannot see files under {MASKED}", hint="Move it.", file=archive)
        said = self._ctr("images", "import", "--digests=false", str(archive))
        names = [line.split()[1] for line in said.splitlines() if line.startswith("unpacking ")]
        digests = self.digests()
        loaded = [ImageRef(name, digests[name]) for name in names if name in digests]
        if not loaded:
            raise ClusterError("the archive names no image", hint="Give its image a tag.", file=archive)
        for image in loaded:
            self._ctr("images", "tag", "--force", image.name, image.pinned)
        return loaded

    def digests(self) -> dict[str, str]:
        """Every image's name and manifest digest."""
        rows = (line.split() for line in self._ctr("images", "list").splitlines()[1:])
        return {row[0]: row[2] for row in rows if len(row) > 2}

    def _ctr(self, *arguments: str) -> str:
        enter = ["nsenter", f"--net=/proc/{self.anchor}/ns/net", f"--mount=/proc/{self.anchor}/ns/mnt"]
        ctr = [
            str(self.runtime / "usr" / "bin" / "ctr"),
            "--address",
            RUNTIME_SOCKET,
            "--namespace",
            "k8s.io",
        ]
        return run(_sequence(enter, ctr, arguments), timeout_s=LOAD_TIMEOUT_S)


def _sequence(*parts: Sequence[str]) -> list[str]:
    return [word for part in parts for word in part]
