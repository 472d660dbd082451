"""The `[packaging]` table of `tonnage.toml`."""

from pathlib import Path

from pydantic import Field

from tonnage.settings import Section

BENTOS = ("retriever", "ranker", "recommender")
"""The services of a release; each is one bento and one image."""


class PackagingConfig(Section):
    """How images are made and what they are called."""

    repository: str = Field("localhost/tonnage", pattern=r"^[a-z0-9.:-]+(/[a-z0-9._-]+)+$")
    """Images are `<repository>/<bento>`; `--registry HOST/PATH` takes its place when they are pushed."""

    suite: str = "bookworm"
    """The Debian release of the base layer; its python3 must be 3.11."""

    mirror: str | None = None
    """Debian mirror of the base layer; by default debootstrap's own."""

    base_image: str = "docker.io/library/python:3.11-slim-bookworm"
    """What `bentoml containerize` starts from (backends docker, podman and buildah)."""

    sources: Path | None = None
    """A checkout of Tonnage (`bentos/`, `requirements/`, `src/`); by default this package's own."""
