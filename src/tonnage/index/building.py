"""Building the index variants of a release."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tonnage.domain import Floats
from tonnage.index import graphs
from tonnage.index.measuring import DEEPEST, Measured, Truth, measure, recall_of
from tonnage.index.stored import DESCRIPTION, DTYPES, Effort, Layout, describe, open_index
from tonnage.index.tables import PIECE, quantise
from tonnage.index.variants import RECALL_FLOOR, VARIANTS, Variant, variant, variants_for
from tonnage.telemetry import Progress

VECTORS = "item_vectors.npy"
"""The vectors as they were trained, float32; they are the table of the exact search over float32."""

AXES = "index/axes.npy"
"""float32 [d, d / 2], the principal axes of the vectors, those that hold most first."""

EXPANSIONS = (0, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048, 3072, 4096)
AGAIN: tuple[int, ...] = (2, 3, 4, 6, 8, 12, 16)
AGAIN_IN_GRAPHS = (4, 8)

DEPTHS: Mapping[int, float] = {100: 0.02, DEEPEST: 0.0}
"""Items that searches are tuned for, and for each the recall that is aimed at beyond what is asked for. The
recall of the first is a promise, and other users' queries are others; at 1,000,000 x 128 one hundredth more
of the second costs as much again as the whole search."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step of one build shares."""

    vectors: Floats
    directory: Path
    links: Callable[[], graphs.Links]


def build(
    vectors: Floats,
    directory: Path,
    *,
    variants: Sequence[str] | None = None,
    queries: Floats,
    recall: float = RECALL_FLOOR,
    progress: Progress,
) -> tuple[Measured, ...]:
    """Write index variants beside the vectors, and measure each. The same vectors, the same bytes.

    Args:
        vectors: float32 [n, d].
        directory: that holds `item_vectors.npy` with these vectors.
        variants: names; by default all that make sense for the size.
        queries: held-out user vectors, float32 [m, d]; a search is tuned on every other one, and measured
            on the rest.
        recall: share of the exact top 100, and 500, that a search must find, where it can.
        progress: is told of each step.

    Returns:
        One for each variant, the most exact first.

    Raises:
        InputError: there is no such variant.
    """
    asked = variants_for(len(vectors)) if variants is None else tuple(variants)
    chosen = [
        variant(name) for name in sorted(set(asked), key=lambda name: VARIANTS.index(variant(name).name))
    ]
    needed = list(dict.fromkeys([*chosen, *(each.finer for each in chosen if each.finer is not None)]))
    (directory / DESCRIPTION).parent.mkdir(exist_ok=True)
    work = _Work(vectors, directory, cache(lambda: _link(vectors, progress)))
    made = {each.name: _write(work, each) for each in needed}
    describe(directory, made)
    truth, held_out = Truth.of(vectors, queries[::2]), Truth.of(vectors, queries[1::2])
    for each in needed:
        with progress.stage(f"tune {each.name}"):
            made[each.name] = _tuned(directory, each, made, truth, recall)
    describe(directory, made)
    return tuple(measure(directory, each, _files(each, made), held_out) for each in chosen)


def _link(vectors: Floats, progress: Progress) -> graphs.Links:
    with progress.stage(f"link {len(vectors):,} items"):
        return graphs.link(vectors)


def _write(work: _Work, which: Variant) -> Layout:
    lengths = f"index/lengths-{(which.finer or which).precision}.npy"
    if which.name == "exact-f32":
        _write_lengths(work.directory / lengths, work.vectors, 1.0)
        return Layout(file=VECTORS, lengths=lengths, scale=1.0)
    vectors, axes = work.vectors, None
    if which.precision == "i8half":
        turn, axes = _principal_axes(vectors)[:, : which.stored_dimensions(vectors.shape[1])], AXES
        np.save(work.directory / AXES, np.ascontiguousarray(turn), allow_pickle=False)
        vectors = vectors @ turn
    stored, scale = quantise(vectors, DTYPES[which.precision])
    if which.search == "exact":
        file = f"index/{which.precision}.npy"
        np.save(work.directory / file, stored, allow_pickle=False)
    else:
        file = f"index/{which.name}.usearch"
        graphs.write(work.directory / file, stored, work.links())
    if which.finer is None:
        _write_lengths(work.directory / lengths, stored, scale)
    return Layout(file=file, lengths=lengths, scale=scale, axes=axes)


def _write_lengths(file: Path, stored: NDArray[Any], scale: float) -> None:
    lengths = np.empty(len(stored), np.float32)
    for start in range(0, len(stored), PIECE):
        piece = stored[start : start + PIECE].astype(np.float64)
        lengths[start : start + PIECE] = np.sqrt(np.einsum("ij,ij->i", piece, piece)) * scale
    np.save(file, lengths, allow_pickle=False)


def _principal_axes(vectors: Floats) -> Floats:
    """Orthonormal directions, float32 [d, d] by column; first those along which vectors reach farthest."""
    _, axes = np.linalg.eigh(_moment(vectors))
    axes = axes[:, ::-1]
    # Either end of an axis is as good; one must be chosen, or the same vectors could give other bytes.
    ends = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    turned: Floats = (axes * ends).astype(np.float32)
    return turned


def _moment(vectors: Floats) -> NDArray[np.float64]:
    total = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), 65_536):
        piece = vectors[start : start + 65_536].astype(np.float64)
        total += piece.T @ piece
    return total


def _tuned(directory: Path, which: Variant, made: dict[str, Layout], truth: Truth, recall: float) -> Layout:
    """The layout with the least work at each depth that finds enough, or as much as can be found."""
    layout = made[which.name]

    def found(effort: Effort) -> float:
        describe(directory, made | {which.name: replace(layout, efforts=(effort,))})
        return recall_of(open_index(directory, which.name), truth, effort.depth)

    efforts = [_first(_efforts(which, depth), found, recall + more) for depth, more in DEPTHS.items()]
    return replace(layout, efforts=tuple(efforts))


def _efforts(which: Variant, depth: int) -> Iterator[Effort]:
    """What may be tried at a depth, the least work first."""
    wider = EXPANSIONS if which.search == "hnsw" else (0,)
    again = (1,) if which.finer is None else AGAIN if which.search == "exact" else AGAIN_IN_GRAPHS
    for a in again:
        yield from (
            Effort(depth=depth, again=a, expansion=each) for each in wider if not each or each > a * depth
        )


def _first(efforts: Iterator[Effort], found: Callable[[Effort], float], wanted: float) -> Effort:
    tried: list[tuple[float, Effort]] = []
    for effort in efforts:
        tried.append((found(effort), effort))
        if tried[-1][0] >= wanted:
            return effort
    return max(tried, key=lambda each: each[0])[1]


def _files(which: Variant, made: dict[str, Layout]) -> tuple[str, ...]:
    layout = made[which.name]
    extra = () if which.finer is None else (made[which.finer.name].file,)
    axes = () if layout.axes is None else (layout.axes,)
    return (layout.file, layout.lengths, DESCRIPTION, *axes, *extra)
