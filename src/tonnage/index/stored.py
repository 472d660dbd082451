"""One index variant of a release, open: a scan or a graph, what was replaced since, and what scores again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tonnage.domain import Floats, Rows
from tonnage.errors import IntegrityError, NotFoundError
from tonnage.index import graphs
from tonnage.index.graphs import Graph
from tonnage.index.overlay import Overlay
from tonnage.index.search import (
    BY_DIRECTION,
    SPARE,
    Index,
    Mask,
    best,
    direction,
    expansion_of,
    fetch_of,
    merged,
    scan_is_cheaper,
)
from tonnage.index.tables import FileTable, Mapped, Table
from tonnage.index.variants import Precision, variant

DESCRIPTION = "index/index.json"
"""File beside the vectors that says how each variant is opened."""

DTYPES: dict[Precision, type] = {"f32": np.float32, "f16": np.float16, "i8": np.int8, "i8half": np.int8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How far a search looks, tuned for one depth.

    Attributes:
        depth: items that a search asks for.
        expansion: candidates that a graph keeps at least (ef of the HNSW paper).
        again: how many are scored again for each that is asked for, where finer vectors do that.
    """

    depth: int = 100
    expansion: int = 0
    again: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one variant is opened.

    Attributes:
        file: that holds its vectors, and the graph if it has one.
        scale: what a stored component is multiplied with.
        efforts: one for each depth that it was tuned for, ascending.
        axes: file of the directions that are stored, float32 [d, stored]; none if all are.
        lengths: file with the length of each vector as it is stored, float32 [n]; with finer vectors, theirs.
    """

    file: str
    lengths: str
    scale: float
    efforts: tuple[Effort, ...] = (Effort(),)
    axes: str | None = None

    def effort(self, k: int) -> Effort:
        """That of the least depth which covers a search for `k` items, or of the deepest."""
        return next((each for each in self.efforts if each.depth >= k), self.efforts[-1])


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: a vector, how far to look, and whether lengths of items count."""

    query: Floats
    effort: Effort
    by_direction: bool


class StoredIndex:
    """One variant over its mapped files; see `Index` for what it does.

    Args:
        name: of the variant.
        table: what a scan scores.
        mapped: the files that are kept in memory.
        lengths: of the vectors, float32 [n].
        layout: how the variant was built.
        graph: over the same table; None to scan.
        axes: the directions that the table holds; None for all.
        finer: scores again what the table finds.
    """

    def __init__(
        self,
        name: str,
        table: Table,
        mapped: Sequence[Mapped],
        lengths: Floats,
        layout: Layout,
        *,
        graph: Graph | None = None,
        axes: Floats | None = None,
        finer: FileTable | None = None,
    ) -> None:
        self.name = name
        self.items = len(table)
        self.dimensions = int(table.stored.shape[1] if axes is None else len(axes))
        pointers = 16 * self.items if graph is not None else 0
        self.resident_bytes = sum(each.resident_bytes for each in mapped) + pointers
        self._table, self._mapped, self._lengths, self._layout = table, mapped, lengths, layout
        self._graph, self._axes, self._finer = graph, axes, finer
        self._overlay = Overlay.empty(self.dimensions)

    def search(
        self, query: Floats, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the largest inner products; see `Index.search`."""
        asked = _Asked(np.asarray(query, np.float32), self._layout.effort(k), by_direction=False)
        return self._best(asked, self._overlay, k, allowed, exclude)

    def similar(
        self, rows: Rows, k: int, allowed: Mask | None = None, exclude: Rows | None = None
    ) -> tuple[Rows, Floats]:
        """The items with the nearest directions; see `Index.similar`."""
        deepest = self._layout.efforts[-1]
        effort = replace(deepest, expansion=max(deepest.expansion, BY_DIRECTION))
        asked = _Asked(direction(self.vectors(rows)), effort, by_direction=True)
        return self._best(asked, self._overlay, k, allowed, exclude)

    def scores_of(self, query: Floats, rows: Rows) -> Floats:
        """Inner products of the query with `rows`; see `Index`."""
        asked = _Asked(np.asarray(query, np.float32), self._layout.efforts[0], by_direction=False)
        return self._scores(asked, rows, self._overlay)

    def vectors(self, rows: Rows) -> Floats:
        """Vectors of rows as they are stored; see `Index`."""
        return self._overlay.vectors((self._finer or self._table).vectors(rows), rows)

    def load(self) -> None:
        """Make the working set resident; see `Index`."""
        for each in self._mapped:
            each.load()

    def put(self, row: int, vector: Floats) -> None:
        """Replace one item's vector in this process; see `Index.put`."""
        self._overlay = self._overlay.put(row, vector, items=self.items)

    def _best(
        self, asked: "_Asked", overlay: Overlay, k: int, allowed: Mask | None, exclude: Rows | None
    ) -> tuple[Rows, Floats]:
        k = min(k, self.items)
        if k <= 0:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        if self._graph is None and self._finer is None:
            rows = None if allowed is None else np.flatnonzero(allowed).astype(np.int32)
        else:
            dropped = len(overlay.rows) + (0 if exclude is None else len(exclude))
            rows = merged(self._candidates(asked, k, dropped, allowed), overlay, allowed)
        return best(rows, self._scores(asked, rows, overlay), k, exclude)

    def _candidates(self, asked: "_Asked", k: int, dropped: int, allowed: Mask | None) -> Rows:
        """Rows among which the best ones are, as far as the table can tell; only allowed ones."""
        effort, turned = asked.effort, self._turned(asked.query)
        wanted = k * effort.again + dropped
        passing = self.items if allowed is None else int(np.count_nonzero(allowed))
        if not passing:
            return np.empty(0, np.int32)
        fetch = fetch_of(k * effort.again, items=self.items, allowed=passing, spare=dropped)
        expansion = expansion_of(effort.expansion, fetch=fetch, items=self.items, allowed=passing)
        if self._graph is not None and not scan_is_cheaper(passing, expansion):
            rows = self._graph.nearest(turned, fetch, expansion, by_direction=asked.by_direction)
            found = rows if allowed is None else rows[allowed[rows]]
            if len(found) >= min(wanted, passing):
                return found
        # Few may come, or fewer than on average came: then all that may are scored.
        among = None if allowed is None else np.flatnonzero(allowed).astype(np.int32)
        scores = self._table.scores(turned, among)
        return best(among, self._per_length(scores, among) if asked.by_direction else scores, wanted)[0]

    def _scores(self, asked: "_Asked", rows: Rows | None, overlay: Overlay) -> Floats:
        if rows is None or self._finer is None:
            scores = self._table.scores(asked.query, rows)
        else:
            scores = self._finer.scores(asked.query, rows)
        if asked.by_direction:
            return overlay.cosines(asked.query, self._per_length(scores, rows), rows)
        return overlay.scores(asked.query, scores, rows)

    def _per_length(self, scores: Floats, rows: Rows | None) -> Floats:
        """Inner products divided by the lengths of the items' vectors; `scores` is changed."""
        lengths = self._lengths if rows is None else self._lengths[rows]
        return np.divide(scores, lengths, out=scores, where=lengths > 0)

    def _turned(self, query: Floats) -> Floats:
        return query if self._axes is None else query @ self._axes


def open_index(directory: Path, name: str) -> Index:
    """Open one variant, mapped and not yet loaded.

    Args:
        directory: of the item vectors, `retrieval` in a release.
        name: of the variant.

    Raises:
        InputError: there is no such variant.
        NotFoundError: the release was made without it.
        IntegrityError: its files do not hold what they should.
    """
    which, made = variant(name), layouts(directory)
    if name not in made:
        raise NotFoundError(f"this release has no index variant {name}", made=", ".join(made))
    try:
        table, mapped, _ = _table(directory, name, made[name])
        finer = None if which.finer is None else _finer(directory, which.finer.name, made)
        lengths = Mapped(directory / made[name].lengths)
        axes = None if made[name].axes is None else Mapped(directory / str(made[name].axes))
        return StoredIndex(
            name,
            table,
            [each for each in (mapped, lengths, axes) if each is not None],
            lengths.array(),
            made[name],
            graph=Graph(mapped, table) if which.search == "hnsw" else None,
            axes=None if axes is None else axes.array(),
            finer=finer,
        )
    except (ValueError, RuntimeError) as error:
        raise IntegrityError(
            f"an index cannot be read: {error}", variant=name, directory=directory
        ) from error


def layouts(directory: Path) -> dict[str, Layout]:
    """How each variant beside the vectors is opened, those that only score again included."""
    told = json.loads((directory / DESCRIPTION).read_text(encoding="ascii"))
    return {name: _layout(layout) for name, layout in told.items()}


def describe(directory: Path, made: dict[str, Layout]) -> None:
    """Write down how each variant is opened."""
    told = {name: asdict(layout) for name, layout in made.items()}
    (directory / DESCRIPTION).write_text(json.dumps(told, indent=2) + "\n", encoding="ascii")


def _layout(told: Mapping[str, Any]) -> Layout:
    plain = {name: value for name, value in told.items() if name not in {"efforts", "expansion", "again"}}
    # Releases were written with one effort for every depth, counted beyond what is asked for.
    again = told.get("again", 1)
    one = {"again": again, "expansion": 100 * again + SPARE + told.get("expansion", 0)}
    return Layout(**plain, efforts=tuple(Effort(**each) for each in told.get("efforts", [one])))


def _table(directory: Path, name: str, layout: Layout) -> tuple[Table, Mapped, int]:
    mapped, which = Mapped(directory / layout.file), variant(name)
    if which.search == "hnsw":
        table, start = graphs.table_of(mapped, DTYPES[which.precision], layout.scale)
        return table, mapped, start
    stored = mapped.array()
    return Table(stored, layout.scale), mapped, mapped.bytes.nbytes - stored.nbytes


def _finer(directory: Path, name: str, made: dict[str, Layout]) -> FileTable:
    table, mapped, start = _table(directory, name, made[name])
    return FileTable(table, mapped.file, start)
