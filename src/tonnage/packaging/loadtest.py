"""The image of charts/loadtest: Locust, this project's people, and the release that they may ask about."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from tonnage.errors import NotFoundError
from tonnage.packaging.bytecode import compile_tree
from tonnage.packaging.layers import Tree, digest_of, key_of
from tonnage.packaging.runtime import ENVIRONMENT, OPTIMIZATION, PYTHON_VARIABLES, RELEASE, Process
from tonnage.packaging.scratch import scratch
from tonnage.packaging.sources import Sources

NAME = "loadtest"
"""Of the image, and of the file with its locked requirements."""

HOME = "/home/bentoml/loadtest"
"""Where the locustfile is, and what it takes for a project: `build/data` and `build/releases` are below."""

PROCESS = Process(
    entrypoint=(f"{ENVIRONMENT}/bin/python", "-m", "tonnage.cli"),
    variables={**PYTHON_VARIABLES, "PYTHONPATH": HOME},
    directory=HOME,
    port=None,
)

NEEDED = {"interactions.parquet": ("user_id",), "items.parquet": ("category", "price")}
"""Columns of the project's tables from which people are drawn; nothing else of them is in the image."""

_RECIPE = 1


def code_key(sources: Sources, cache: Path) -> str:
    """What the code layer depends on.

    Raises:
        RequirementError: the checkout has no load tests.
    """
    with scratch(cache) as directory:
        laid_out = _laid_out(sources, directory)
        return key_of("loadtest code", _RECIPE, digest_of(laid_out), HOME, OPTIMIZATION)


@contextmanager
def code_trees(sources: Sources, cache: Path) -> Iterator[Sequence[Tree]]:
    """The code layer's files, with their bytecode; they are there until the block ends."""
    with scratch(cache) as directory:
        laid_out = _laid_out(sources, directory)
        compile_tree(laid_out, seen_as=HOME)
        yield [Tree(source=laid_out, at=HOME)]


def people_key(tables: Path, release: str) -> str:
    """What the layer of people depends on.

    Args:
        tables: the project's, `build/data`.
        release: id of the release that is in the image.

    Raises:
        NotFoundError: there are no people.
    """
    if not (tables / "interactions.parquet").is_file():
        raise NotFoundError(
            "a load test's people are the users of the project's data, and there are none",
            hint="Prepare the data first: tonnage data.",
            directory=tables,
        )
    held = {file.name: _digest(file) for file in _present(tables)}
    return key_of("loadtest people", _RECIPE, held, NEEDED, release, RELEASE, HOME)


@contextmanager
def people_trees(tables: Path, release: str, cache: Path) -> Iterator[Sequence[Tree]]:
    """The layer of people: columns of the project's tables, and the release's name where it is looked for.

    They are there until the block ends.
    """
    with scratch(cache) as directory:
        build = directory / "build"
        (build / "data").mkdir(parents=True)
        for file in _present(tables):
            # In their order: by it and a seed, people are the same as those of a run in the checkout.
            table = pq.read_table(file, columns=list(NEEDED[file.name]))
            pq.write_table(table, build / "data" / file.name, compression="zstd")
        (build / "releases").mkdir()
        (build / "releases" / release).symlink_to(RELEASE)
        yield [Tree(source=build, at=f"{HOME}/build")]


def _laid_out(sources: Sources, directory: Path) -> Path:
    laid_out = directory / NAME
    laid_out.mkdir()
    sources.lay_out_loadtest(laid_out)
    return laid_out


def _present(tables: Path) -> list[Path]:
    return [tables / name for name in NEEDED if (tables / name).is_file()]


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
