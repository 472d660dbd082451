"""Blobs by their digest, and layers by a key that stands for all they depend on."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from tonnage.files import whole_file
from tonnage.packaging.layers import Layer, Tree, write_layer

Make = Callable[[], AbstractContextManager[Sequence[Tree]]]
"""Opens the trees of a layer; they are needed only until it is closed."""


class LayerStore:
    """A directory of blobs, laid out as an OCI image layout is.

    Args:
        directory: holds `blobs/sha256/<digest>` and `layers/<key>.json`; made when something is put in.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def layer(self, key: str, role: str, make: Make) -> Layer:
        """The layer of a key; made now if it never was, or if its blob is gone.

        Args:
            key: digest over everything that the layer's content depends on.
            role: what it holds.
            make: opens the layer's trees.
        """
        record = self._record(key)
        if record.exists():
            layer = Layer(**json.loads(record.read_text(encoding="utf-8")))
            if self.blob(layer.digest).exists():
                return layer
        with make() as trees:
            layer = self._write(role, trees)
        with whole_file(record) as fresh:
            fresh.write_text(json.dumps(asdict(layer)), encoding="utf-8")
        return layer

    def forget(self, key: str) -> None:
        """Make the layer of a key again when it is next asked for."""
        self._record(key).unlink(missing_ok=True)

    def blob(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self.directory / "blobs" / digest.replace(":", "/")

    def put(self, content: bytes) -> str:
        """Keep bytes as a blob, and return their digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.blob(digest).exists():
            with whole_file(self.blob(digest)) as fresh:
                fresh.write_bytes(content)
        return digest

    def adopt(self, layer: Layer, other: "LayerStore") -> None:
        """Have a layer of another store here as well; a hard link where both are on one file system."""
        here = self.blob(layer.digest)
        if here.exists():
            return
        with whole_file(here) as fresh:
            try:
                fresh.hardlink_to(other.blob(layer.digest))
            except OSError:
                shutil.copyfile(other.blob(layer.digest), fresh)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Remove every other blob."""
        kept = {self.blob(digest) for digest in digests}
        for blob in (self.directory / "blobs" / "sha256").glob("*"):
            if blob not in kept:
                blob.unlink()

    def _record(self, key: str) -> Path:
        return self.directory / "layers" / f"{key}.json"

    def _write(self, role: str, trees: Sequence[Tree]) -> Layer:
        blobs = self.directory / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        # A blob's name is known only when it is written.
        descriptor, name = tempfile.mkstemp(prefix=f".{role}.", suffix=".partial", dir=blobs)
        fresh = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                layer = write_layer(role, trees, out)
                out.flush()
                os.fsync(out.fileno())
            fresh.chmod(0o644)
            fresh.replace(self.blob(layer.digest))
        finally:
            fresh.unlink(missing_ok=True)
        return layer
