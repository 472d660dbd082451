"""Hot swap: new vectors for one item or for all, while requests are answered.

`PUT /v1/items/{item_id}/vector` replaces one item's vector. `PUT /v1/index` takes the vectors of another
release of the same catalogue, from a directory that the pod can read. Both answer when every worker of the
pod serves what was put. Whoever can reach the port can put: it is for callers inside the cluster, and off by
default.

Each worker looks at the board (`swap_board`) from a thread of its own. A request keeps the index that it
began with, so none fails; the index before goes when the last such request has ended, and its pages leave
the page cache.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tonnage.domain import Floats, ItemId
from tonnage.errors import DependencyError, NotFoundError, RequestError, TonnageError
from tonnage.index import Index
from tonnage.releases.release import GRAM, ITEM_LOOKUP, Release, open_release
from tonnage.serving.memory.plan import Plan
from tonnage.serving.memory.swap_board import Board, Version
from tonnage.serving.protocol.tensors import ProtocolError

LOOK_EVERY_S = 0.02
"""Seconds between two looks at the board."""

PATIENCE_S = 60.0
"""Seconds within which every worker must serve what was put."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """What belongs together in one search.

    Attributes:
        index: to search.
        gram: float32 [d, d], of the same vectors.
        alpha: weight of an observed interaction.
        files: that the index is mapped from.
    """

    index: Index
    gram: Floats
    alpha: float
    files: tuple[Path, ...]

    @classmethod
    def of(cls, release: Release, name: str) -> "Vectors":
        """The vectors of a release in one variant, resident."""
        index = release.open_index(name)
        index.load()
        return cls(
            index=index,
            gram=np.array(release.gram, np.float32),
            alpha=release.manifest.retrieval.alpha,
            files=tuple(release.directory / name for name in release.variant(name).files),
        )


class Swapping:
    """One worker's side of hot swap.

    Args:
        release: that the pod serves.
        plan: of the pod.
        board: that its workers share.
        vectors: served at first.
    """

    def __init__(self, release: Release, plan: Plan, board: Board, vectors: Vectors) -> None:
        self.vectors = vectors
        self._release, self._plan, self._board = release, plan, board
        self._place = board.enrol()
        self._seen = Version()
        # A worker that takes the place of one that died begins with what was swapped before.
        self._catch_up()
        threading.Thread(target=self._keep_up, name="hot-swap", daemon=True).start()

    def routes(self) -> Sequence[BaseRoute]:
        """The two paths that put."""
        return [
            Route("/v1/items/{item_id:path}/vector", self._put_vector, methods=["PUT"]),
            Route("/v1/index", self._put_index, methods=["PUT"]),
        ]

    async def _put_vector(self, request: Request) -> Response:
        item = ItemId(request.path_params["item_id"])
        vector = _vector(_field(await request.body(), "vector"), self.vectors.index.dimensions)
        (row,) = self._release.row_of.rows([item]).tolist()
        if row < 0:
            raise NotFoundError("this release has no such item", item=item)
        await run_in_threadpool(self._put, lambda: self._board.put_vector(row, vector))
        return _json({"item_id": item, "row": row})

    async def _put_index(self, request: Request) -> Response:
        directory = _field(await request.body(), "directory")
        if not isinstance(directory, str):
            raise ProtocolError("directory must be a path", actual=type(directory).__name__)
        fresh = await run_in_threadpool(self._prove, Path(directory))
        await run_in_threadpool(self._put, lambda: self._board.put_index(directory))
        return _json({"vectors_of": fresh.id, "index": self._plan.chosen.name})

    def _put(self, put: Callable[[], Version]) -> None:
        """Put, and return when every worker serves it.

        Raises:
            DependencyError: one does not.
        """
        version = put()
        deadline = time.monotonic() + PATIENCE_S
        while not self._board.everyone_saw(version):
            if time.monotonic() > deadline:
                raise DependencyError("not every worker serves it yet", waited_s=PATIENCE_S)
            time.sleep(LOOK_EVERY_S / 2)

    def _prove(self, directory: Path) -> Release:
        """The release whose vectors are put, every file that is used proven.

        Raises:
            RequestError: its vectors cannot take the place of those served.
            TonnageError: it is not whole.
        """
        fresh = open_release(directory, verify=False)
        own, other = self._release.manifest, fresh.manifest
        name, room = self._plan.chosen.name, self._plan.chosen.swap_bytes
        for what, expected, actual in (
            ("item ids", own.files[ITEM_LOOKUP].sha256, other.files[ITEM_LOOKUP].sha256),
            ("dimensions", own.retrieval.dimensions, other.retrieval.dimensions),
        ):
            if expected != actual:
                raise RequestError(f"it has other {what}", expected=expected, actual=actual)
        variant = fresh.variant(name)
        if variant.recall_at_100 < self._plan.floor:
            raise RequestError(
                f"its {name} is below the recall floor",
                expected=self._plan.floor,
                actual=variant.recall_at_100,
            )
        if variant.resident_bytes > room:
            raise RequestError("the plan has no room for it", room=room, needed=variant.resident_bytes)
        return open_release(directory, only=[GRAM, *variant.files])

    def _keep_up(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(LOOK_EVERY_S)
            try:
                self._catch_up()
            except (TonnageError, OSError):
                structlog.get_logger().exception("swap failed")
                pause.wait(1)

    def _catch_up(self) -> None:
        while (there := self._board.version) != self._seen:
            if there.index != self._seen.index:
                self._take_index(there)
            replaced, complete = self._board.vectors_since(self._seen)
            if complete.index != self._seen.index:
                continue
            for row, vector in replaced:
                self.vectors.index.put(row, vector)
            self._seen = complete
        self._board.saw(self._place, self._seen)

    def _take_index(self, version: Version) -> None:
        # Proven by the worker that put it, moments ago.
        release = open_release(Path(self._board.path()), verify=False)
        before = self.vectors.files
        self.vectors = Vectors.of(release, self._plan.chosen.name)
        # Vectors that were put one by one since count from the beginning for this index.
        self._seen = Version(version.index, 0)
        _forget(before)


def _forget(files: Sequence[Path]) -> None:
    """Let the pages of files leave the page cache, except those that somebody still maps."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _field(body: bytes, name: str) -> Any:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != {name}:
        raise ProtocolError(f'the body must be {{"{name}": ...}} and nothing else')
    return content[name]


def _vector(given: Any, dimensions: int) -> Floats:
    if not isinstance(given, list) or not all(type(each) in {int, float} for each in given):
        raise ProtocolError("vector must be a list of numbers", expected=dimensions)
    if len(given) != dimensions:
        raise ProtocolError("the vector has the wrong width", expected=dimensions, actual=len(given))
    with np.errstate(over="ignore"):
        vector = np.array(given, np.float64).astype(np.float32)
        if not np.isfinite(vector @ vector):
            raise ProtocolError("a component is not finite, or too large")
    return vector


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
