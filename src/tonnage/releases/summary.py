"""What a model registry shows of a release: its metrics by name, and what it was made with."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tonnage.releases.manifest import Manifest


def metrics_of(manifest: Manifest) -> dict[str, float]:
    """Every number of the evaluation, named by its path: `slate/all/ndcg_at_10`."""
    return dict(_numbers(manifest.evaluation.results, ()))


def params_of(manifest: Manifest) -> dict[str, str]:
    """What the release was made with, as text."""
    window = manifest.window.model_dump(mode="json")
    retrieval = manifest.retrieval.model_dump(mode="json")
    return {
        **{f"window.{name}": str(value) for name, value in window.items()},
        **{f"retrieval.{name}": str(value) for name, value in retrieval.items()},
        **{f"library.{name}": value for name, value in manifest.libraries.items()},
        "features.fingerprint": manifest.features.fingerprint,
        "features.count": str(len(manifest.features.all)),
    }


def _numbers(value: object, path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        # A row of a table is named by its words, in their order; its numbers lie below.
        words = tuple(each for each in value.values() if isinstance(each, str))
        for key, each in value.items():
            yield from _numbers(each, (*path, *words, str(key)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        rows = all(isinstance(each, Mapping) for each in value)
        for position, each in enumerate(value):
            yield from _numbers(each, path[:-1] if rows else (*path, str(position)))
    elif isinstance(value, int | float):
        yield _metric_name(path), float(value)


def _metric_name(path: Sequence[str]) -> str:
    # MLflow takes letters, digits, _ - . : / and spaces.
    return re.sub(r"[^\w\-./: ]", "_", "/".join(path).replace("@", "_at_"), flags=re.ASCII)
