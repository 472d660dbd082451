"""Small images: four layers of one file each, in an OCI layout that is real."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tonnage.packaging.images import Image, Layout
from tonnage.packaging.layers import Layer, Tree

ROLES = ("base", "environment", "code", "model")


def _layers(layout: Layout, directory: Path, release: str) -> list[Layer]:
    return [_layer(layout, directory, role, release if role == "model" else "same") for role in ROLES]


def _layer(layout: Layout, directory: Path, role: str, content: str) -> Layer:
    source = directory / f"{role}-{content}"
    source.mkdir(exist_ok=True)
    (source / "file").write_text(f"{role} {content}", encoding="ascii")

    @contextmanager
    def make() -> Iterator[Sequence[Tree]]:
        yield [Tree(source=source, at=f"/{role}")]

    return layout.layer(f"{role}-{content}", role, make)


def image(layout: Layout, directory: Path, release: str) -> Image:
    """An image of a release; only its model layer differs from another release's."""
    return layout.add(
        bento="retriever",
        release=release,
        name=f"localhost/tonnage/retriever:{release}",
        machine="x86_64",
        layers=_layers(layout, directory, release),
    )
