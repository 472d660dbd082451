"""The add-ons' images: a program and the libraries it needs."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from tonnage.deployment.access import run
from tonnage.deployment.embedded import debian
from tonnage.deployment.embedded.archive import FORMAT, write_archive
from tonnage.deployment.embedded.artifacts import made
from tonnage.errors import ConfigError
from tonnage.settings import Section, read_toml

PREFIX = "localhost/tonnage"
ARCHIVE = "image.tar"
DOCUMENTATION = tuple(
    f"usr/share/{folder}" for folder in ("bug", "doc", "doc-base", "lintian", "locale", "man")
)
WHEEL_TIMEOUT_S = 600.0


class Wheel(Section):
    """Files out of a Python package: a pinned requirement, and which of its files go where."""

    requirement: str
    files: dict[str, str]


class Recipe(Section):
    """What goes into an image, as `devcluster/images.toml` says it."""

    version: str
    entrypoint: list[str]
    go: dict[str, str] = Field(default_factory=dict)
    debian: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    python: Wheel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image ready to be loaded.

    Args:
        repository: name without a tag, such as `localhost/tonnage/redis`.
        tag: version.
        archive: docker-archive file.
    """

    repository: str
    tag: str
    archive: Path

    @property
    def reference(self) -> str:
        """Name and tag, as a pod asks for it."""
        return f"{self.repository}:{self.tag}"


def read_recipes(file: Path) -> dict[str, Recipe]:
    """Every image's recipe.

    Raises:
        ConfigError: the file is not TOML, or a recipe has an unknown key.
    """
    recipes: dict[str, Recipe] = {}
    for name, table in read_toml(file).items():
        if not isinstance(table, dict):
            raise ConfigError(f"{name} is not the recipe of an image", file=file)
        recipes[name] = Recipe.read(table, where=f"{file.name} [{name}]")
    return recipes


def build(recipes: Mapping[str, Recipe], programs: Sequence[Path], cache: Path) -> dict[str, Image]:
    """Build every image that the cache does not hold yet, side by side.

    Args:
        recipes: by short name.
        programs: directories of built programs.
        cache: where images are kept.

    Raises:
        ClusterError: a package or a wheel could not be fetched.
    """
    with ThreadPoolExecutor(max_workers=4) as workers:
        built = workers.map(lambda name: _build(name, recipes[name], programs, cache), recipes)
        return dict(zip(recipes, built, strict=True))


def _build(name: str, recipe: Recipe, programs: Sequence[Path], cache: Path) -> Image:
    contents = [
        FORMAT,
        recipe.model_dump_json(),
        *(str(_program(programs, program)) for program in recipe.go),
    ]

    def fill(into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=cache) as scratch, (into / ARCHIVE).open("wb") as out:
            files = {
                f"{target}".lstrip("/"): _program(programs, source) for source, target in recipe.go.items()
            }
            files |= _wheel_files(recipe.python, Path(scratch)) if recipe.python else {}
            files |= _debian_files(name, recipe, cache)
            write_archive(out, f"{PREFIX}/{name}:{recipe.version}", recipe.entrypoint, files)

    directory = made(cache, f"image-{name}", contents, fill)
    return Image(repository=f"{PREFIX}/{name}", tag=recipe.version, archive=directory / ARCHIVE)


def _program(programs: Sequence[Path], name: str) -> Path:
    return next(place / name for place in programs if (place / name).exists())


def _debian_files(name: str, recipe: Recipe, cache: Path) -> dict[str, Path]:
    if not recipe.debian:
        return {}
    root = debian.unpacked(cache, name, recipe.debian)
    unwanted = (*DOCUMENTATION, *recipe.leave_out)
    found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*"))}
    return {name: path for name, path in found.items() if not _is_below(name, unwanted)}


def _is_below(name: str, folders: tuple[str, ...]) -> bool:
    return any(name == folder or name.startswith(f"{folder}/") for folder in folders)


def _wheel_files(wheel: Wheel, scratch: Path) -> dict[str, Path]:
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(scratch)]
    run([*install, "--python", sys.executable, wheel.requirement], timeout_s=WHEEL_TIMEOUT_S)
    return {target.lstrip("/"): scratch / source for source, target in wheel.files.items()}
