"""Opening a release: prove that every byte is the one its manifest records, then map it into memory."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tonnage.domain import Floats, ReleaseId, Rows
from tonnage.errors import IntegrityError, NotFoundError
from tonnage.files import sha256_of
from tonnage.index import Index, open_index
from tonnage.releases.item_ids import ItemIds, Lookup
from tonnage.releases.manifest import FILE_NAME, IndexVariant, Manifest

ITEMS = "items.arrow"
RANKER = "ranker.ubj"
RETRIEVAL = "retrieval"
ITEM_LOOKUP = "retrieval/item_lookup.npy"
ITEM_VECTORS = "retrieval/item_vectors.npy"
GRAM = "retrieval/gram.npy"
NEIGHBOUR_ROWS = "retrieval/neighbour_rows.npy"
NEIGHBOUR_WEIGHTS = "retrieval/neighbour_weights.npy"


@dataclass(frozen=True, kw_only=True)
class Release:
    """One immutable unit, open for reading. Item row i is row i of every table and array here.

    Attributes:
        directory: where it lies.
        manifest: what it says about itself.
        items: the item table, memory-mapped.
        item_lookup: uint32 [2, n_items], see `item_ids`; memory-mapped and read-only, as are the next four.
        item_vectors: float32 [n_items, d], as they were trained; services read them through `open_index`.
        gram: float32 [d, d].
        neighbour_rows: int32 [n_items, m]; -1 where an item has fewer neighbours.
        neighbour_weights: float32 [n_items, m].
    """

    directory: Path
    manifest: Manifest
    items: pa.Table
    item_lookup: Lookup
    item_vectors: Floats
    gram: Floats
    neighbour_rows: Rows
    neighbour_weights: Floats

    @property
    def id(self) -> ReleaseId:
        """The release's one name."""
        return self.manifest.id

    @property
    def ranker_path(self) -> Path:
        """The XGBoost model, UBJSON."""
        return self.directory / RANKER

    @cached_property
    def row_of(self) -> ItemIds:
        """Item id to item row, read where it is mapped; `rows` and `ids` of it turn many at once."""
        return ItemIds(self.items["item_id"], self.item_lookup)

    def variant(self, name: str) -> IndexVariant:
        """What the manifest says of an index variant.

        Raises:
            NotFoundError: the release was made without it.
        """
        for each in self.manifest.index:
            if each.name == name:
                return each
        made = ", ".join(each.name for each in self.manifest.index)
        raise NotFoundError(f"this release has no index variant {name}", release=self.id, made=made)

    def open_index(self, name: str) -> Index:
        """An index variant, mapped and not yet loaded.

        Raises:
            NotFoundError: the release was made without it.
            IntegrityError: its files do not hold what they should.
        """
        self.variant(name)
        return open_index(self.directory / RETRIEVAL, name)

    @cached_property
    def item_features(self) -> Floats:
        """The ranker's item columns, float32 [n_items, n_item], in the order of `manifest.features.item`."""
        names = self.manifest.features.item
        # Column by column into one array: at a million items, each further copy is tens of megabytes.
        features = np.empty((len(self.items), len(names)), np.float32)
        for column, name in enumerate(names):
            features[:, column] = self.items[name].to_numpy()
        return features


def open_release(directory: Path, *, verify: bool = True, only: Collection[str] | None = None) -> Release:
    """Open a release, if it is whole.

    Args:
        directory: where it lies.
        verify: read every file and compare its digest; otherwise only names and sizes are compared.
        only: files that are read for that, by their paths in the release; all if None. A service that uses
            some of them need not bring the others into memory; their names and sizes are compared still.

    Raises:
        NotFoundError: there is no release.
        IntegrityError: a file is missing, superfluous, or not the one that the manifest records.
        RequirementError: another version of this package wrote it.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise NotFoundError(
            f"there is no {FILE_NAME}", hint="List releases with `tonnage release list`.", directory=directory
        )
    manifest = Manifest.from_json(path.read_bytes(), where=path)
    _check_names(directory, manifest)
    for name in manifest.files:
        _check_file(directory, name, manifest, read=verify and (only is None or name in only))
    release = _map(directory, manifest)
    _check_shapes(release)
    return release


def _check_names(directory: Path, manifest: Manifest) -> None:
    present = {
        file.relative_to(directory).as_posix()
        for file in directory.rglob("*")
        if not file.is_dir() or file.is_symlink()
    }
    missing = sorted(manifest.files.keys() - present)
    superfluous = sorted(present - manifest.files.keys() - {FILE_NAME})
    for problem, names in (("is missing", missing), ("does not belong to the release", superfluous)):
        if names:
            raise IntegrityError(
                f"{', '.join(names)} {problem}",
                hint="Fetch the release again.",
                release=manifest.id,
                directory=directory,
            )


def _check_file(directory: Path, name: str, manifest: Manifest, *, read: bool) -> None:
    promised = manifest.files[name]
    size = (directory / name).stat().st_size
    actual = sha256_of(directory / name) if read else promised.sha256
    if size != promised.bytes or actual != promised.sha256:
        raise IntegrityError(
            f"{name} is not the file that the manifest records",
            hint="Fetch the release again.",
            release=manifest.id,
            file=directory / name,
            expected=f"sha256:{promised.sha256} ({promised.bytes} bytes)",
            actual=f"sha256:{sha256_of(directory / name)} ({size} bytes)",
        )


def _map(directory: Path, manifest: Manifest) -> Release:
    def array(name: str) -> Any:
        return np.load(directory / name, mmap_mode="r", allow_pickle=False)

    try:
        return Release(
            directory=directory,
            manifest=manifest,
            items=pa.ipc.open_file(pa.memory_map(str(directory / ITEMS))).read_all(),
            item_lookup=array(ITEM_LOOKUP),
            item_vectors=array(ITEM_VECTORS),
            gram=array(GRAM),
            neighbour_rows=array(NEIGHBOUR_ROWS),
            neighbour_weights=array(NEIGHBOUR_WEIGHTS),
        )
    except (ValueError, OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            f"a file cannot be read: {error}", release=manifest.id, directory=directory
        ) from error


def _check_shapes(release: Release) -> None:
    n, d = len(release.items), release.manifest.retrieval.dimensions
    m = release.manifest.retrieval.neighbours
    arrays: dict[str, tuple[np.ndarray[Any, Any], tuple[int, ...], type]] = {
        ITEM_LOOKUP: (release.item_lookup, (2, n), np.uint32),
        ITEM_VECTORS: (release.item_vectors, (n, d), np.float32),
        GRAM: (release.gram, (d, d), np.float32),
        NEIGHBOUR_ROWS: (release.neighbour_rows, (n, m), np.int32),
        NEIGHBOUR_WEIGHTS: (release.neighbour_weights, (n, m), np.float32),
    }
    for name, (array, shape, dtype) in arrays.items():
        if array.shape != shape or array.dtype != dtype:
            raise IntegrityError(
                f"{name} does not fit the item table",
                release=release.id,
                expected=f"{np.dtype(dtype)} {shape}",
                actual=f"{array.dtype} {array.shape}",
            )
    unknown = {file for each in release.manifest.index for file in each.files} - release.manifest.files.keys()
    if unknown:
        raise IntegrityError(f"an index variant needs {', '.join(sorted(unknown))}", release=release.id)
    needed = {"item_id", "title", "popularity", "recent_popularity", *release.manifest.features.item}
    absent = needed - set(release.items.column_names)
    if absent:
        raise IntegrityError(f"{ITEMS} lacks {', '.join(sorted(absent))}", release=release.id)
