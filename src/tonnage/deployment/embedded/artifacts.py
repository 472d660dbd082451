"""Things made once and kept in the cache under the digest of what they are made from."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from tonnage.deployment.embedded.locks import exclusive
from tonnage.files import whole_directory

Recipe = Callable[[Path], None]
"""Fills an empty directory."""


def digest(parts: Iterable[str | Path]) -> str:
    """Twelve hex digits over texts and file contents, in order; a file's name counts too."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part.name.encode() + b"\0" + part.read_bytes()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()[:12]


def made(cache: Path, name: str, parts: Iterable[str | Path], recipe: Recipe) -> Path:
    """The directory `cache/name-digest`, made by `recipe` if it is not there yet; two runs make it once."""
    place = cache / f"{name}-{digest(parts)}"
    if not place.is_dir():
        with exclusive(cache / "locks" / place.name):
            if not place.is_dir():
                with whole_directory(place) as fresh:
                    recipe(fresh)
    return place
