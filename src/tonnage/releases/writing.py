"""Writing a release: the same training result gives the same bytes, the same digest and the same id."""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

import tonnage
from tonnage.errors import IntegrityError, NotFoundError
from tonnage.files import sha256_of, whole_directory
from tonnage.index import Measured, build
from tonnage.releases.config import IndexConfig
from tonnage.releases.item_ids import lookup_of
from tonnage.releases.manifest import (
    FILE_NAME,
    Evaluation,
    Features,
    FileDigest,
    IndexVariant,
    Manifest,
    Retrieval,
    Window,
)
from tonnage.releases.release import (
    GRAM,
    ITEM_LOOKUP,
    ITEM_VECTORS,
    ITEMS,
    NEIGHBOUR_ROWS,
    NEIGHBOUR_WEIGHTS,
    RANKER,
    RETRIEVAL,
    Release,
    open_release,
)
from tonnage.telemetry import Progress, Silent
from tonnage.training.trained import Names, Trained

LIBRARIES = ("numpy", "pyarrow", "scipy", "scikit-learn", "implicit", "usearch", "xgboost-cpu", "xgboost")
"""Whose versions can change what training finds; the ones that are installed are recorded."""


def write_release(
    trained: Trained,
    releases_dir: Path,
    *,
    index: IndexConfig | None = None,
    progress: Progress | None = None,
) -> Release:
    """Write a release to `releases_dir/<id>`, whole or not at all; one that is there already is left alone.

    Args:
        trained: what it is made of.
        releases_dir: where releases lie beside each other.
        index: the table `[index]`.
        progress: is told of each index variant.

    Raises:
        IntegrityError: the parts do not fit each other, so that no pod could serve them.
    """
    releases_dir.mkdir(parents=True, exist_ok=True)
    # The id follows from the content, so the content is written first, under no name.
    with TemporaryDirectory(dir=releases_dir, prefix=".") as unnamed:
        staged = Path(unnamed)
        _check_vectors(trained)
        _write_files(trained, staged)
        settings = index or IndexConfig()
        measured = build(
            np.load(staged / ITEM_VECTORS, mmap_mode="r", allow_pickle=False),
            staged / RETRIEVAL,
            variants=settings.variants,
            queries=trained.queries,
            recall=settings.recall_floor,
            progress=progress or Silent(),
        )
        manifest = _manifest(trained, staged, measured, settings)
        (staged / FILE_NAME).write_text(manifest.as_json(), encoding="utf-8")
        open_release(staged, verify=False)
        target = releases_dir / manifest.id
        if not _is_whole(target):
            with whole_directory(target) as fresh:
                for child in staged.iterdir():
                    child.rename(fresh / child.name)
    return open_release(target)


def _is_whole(directory: Path) -> bool:
    try:
        open_release(directory)
    except (NotFoundError, IntegrityError):
        return False
    return True


def _write_files(trained: Trained, directory: Path) -> None:
    (directory / RETRIEVAL).mkdir()
    arrays: dict[str, tuple[Any, type]] = {
        ITEM_LOOKUP: (lookup_of(trained.items["item_id"]), np.uint32),
        ITEM_VECTORS: (trained.item_vectors, np.float32),
        GRAM: (trained.gram, np.float32),
        NEIGHBOUR_ROWS: (trained.neighbour_rows, np.int32),
        NEIGHBOUR_WEIGHTS: (trained.neighbour_weights, np.float32),
    }
    for name, (array, dtype) in arrays.items():
        np.save(directory / name, np.ascontiguousarray(array, dtype=dtype), allow_pickle=False)
    (directory / RANKER).write_bytes(trained.ranker)
    # One chunk and no metadata of the library that made it: equal tables give equal bytes.
    items = trained.items.replace_schema_metadata(None).combine_chunks()
    with pa.OSFile(str(directory / ITEMS), "wb") as sink, pa.ipc.new_file(sink, items.schema) as writer:
        writer.write_table(items)


def _check_vectors(trained: Trained) -> None:
    """Before an index is built over them, which takes its time, and could not be right."""
    expected = (len(trained.items), trained.gram.shape[0])
    if trained.item_vectors.shape != expected:
        raise IntegrityError(
            f"{ITEM_VECTORS} does not fit the item table and the gram matrix",
            expected=expected,
            actual=trained.item_vectors.shape,
        )
    if not np.isfinite(trained.item_vectors).all():
        raise IntegrityError(f"{ITEM_VECTORS} holds a number that is not finite")


def _manifest(
    trained: Trained, directory: Path, measured: Sequence[Measured], settings: IndexConfig
) -> Manifest:
    vectors = trained.item_vectors
    return Manifest.of(
        replay=trained.replay,
        window=Window(**asdict(trained.window)),
        features=_features(trained.names),
        vocabularies={name: tuple(values) for name, values in trained.vocabularies.items()},
        retrieval=Retrieval(
            dimensions=vectors.shape[1],
            neighbours=trained.neighbour_rows.shape[1],
            alpha=trained.alpha,
            recall_floor=settings.recall_floor,
        ),
        index=tuple(_variant(each) for each in measured),
        evaluation=Evaluation(
            accepted=trained.evaluation.accepted,
            reasons=tuple(trained.evaluation.reasons),
            results=_plain(trained.evaluation.as_dict()),
        ),
        libraries=_libraries(),
        files=_digests(directory),
    )


def _variant(measured: Measured) -> IndexVariant:
    files = tuple(f"{RETRIEVAL}/{file}" for file in measured.files)
    return IndexVariant(**asdict(measured) | {"files": files})


def _features(names: Names) -> Features:
    return Features(
        fingerprint=names.fingerprint(),
        item=tuple(names.item),
        user=tuple(names.user),
        user_item=tuple(names.user_item),
        sources=tuple(names.sources),
        cross=tuple(names.cross),
        all=tuple(names.all),
    )


def _digests(directory: Path) -> dict[str, FileDigest]:
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    return {
        file.relative_to(directory).as_posix(): FileDigest(sha256=sha256_of(file), bytes=file.stat().st_size)
        for file in files
    }


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version(), "tonnage": tonnage.__version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: object) -> Any:
    """The same value in JSON's types; a number that is not finite becomes null, which JSON can say."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Sequence | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None
