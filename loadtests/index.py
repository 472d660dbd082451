"""Index libraries side by side: what each finds, how fast, in how much memory, and how it opens its file.

    python loadtests/index.py --items 100000
    python loadtests/index.py --items 100000 --python /elsewhere/bin/python   # that has faiss-cpu and hnswlib

Vectors and queries are those of `simulated.py`. Every library runs in a process of its own and in one thread;
one that is not installed is left out. Rates are of one machine and mean something beside each other only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

K = 100
EXPANSIONS = (100, 200, 400, 800)
LINKS, CONSTRUCTION = 12, 192
"""M and efConstruction, for all the same."""

Search = Callable[[np.ndarray, int], np.ndarray]
"""From a query and an expansion to rows."""


def usearch(place: Path, vectors: np.ndarray) -> tuple[Callable[[], None], Callable[[], Search]]:
    """The library usearch at int8 by its own quantisation, linked by inner product, opened by mmap."""
    import pyarrow  # noqa: F401, ICN001 - before usearch, whose C++ streams break those of what is loaded later
    from usearch.index import Index

    file = place / "usearch"

    def build() -> None:
        index = Index(
            ndim=vectors.shape[1], metric="ip", dtype="i8", connectivity=LINKS, expansion_add=CONSTRUCTION
        )
        scaled = np.rint(vectors * (127 / np.abs(vectors).max())).astype(np.int8)
        index.add(np.arange(len(vectors)), scaled, threads=1)
        index.save(file)

    def opened() -> Search:
        index = Index.restore(file, view=True, enable_key_lookups=False)

        def search(query: np.ndarray, expansion: int) -> np.ndarray:
            index.expansion_search = expansion
            asked = np.rint(query * (127 / np.abs(query).max())).astype(np.int8)
            found: np.ndarray = index.search(asked, K, threads=1).keys
            return found

        return search

    return build, opened


def faiss(place: Path, vectors: np.ndarray) -> tuple[Callable[[], None], Callable[[], Search]]:
    """The HNSW of faiss over an 8-bit scalar quantiser, opened by mmap where the index class can."""
    import faiss as library

    library.omp_set_num_threads(1)
    file = str(place / "faiss")

    def build() -> None:
        index = library.IndexHNSWSQ(
            vectors.shape[1], library.ScalarQuantizer.QT_8bit, LINKS, library.METRIC_INNER_PRODUCT
        )
        index.hnsw.efConstruction = CONSTRUCTION
        index.train(vectors)
        index.add(vectors)
        library.write_index(index, file)

    def opened() -> Search:
        index = library.read_index(file, getattr(library, "IO_FLAG_MMAP_IFC", library.IO_FLAG_MMAP))

        def search(query: np.ndarray, expansion: int) -> np.ndarray:
            index.hnsw.efSearch = expansion
            found: np.ndarray = index.search(query[None], K)[1][0]
            return found

        return search

    return build, opened


def hnswlib(place: Path, vectors: np.ndarray) -> tuple[Callable[[], None], Callable[[], Search]]:
    """The library hnswlib over float32, its only precision, loaded to the heap, its only way."""
    import hnswlib as library

    file = str(place / "hnswlib")

    def build() -> None:
        index = library.Index(space="ip", dim=vectors.shape[1])
        index.init_index(len(vectors), ef_construction=CONSTRUCTION, M=LINKS, random_seed=7)
        index.add_items(vectors, num_threads=1)
        index.save_index(file)

    def opened() -> Search:
        index = library.Index(space="ip", dim=vectors.shape[1])
        index.load_index(file)

        def search(query: np.ndarray, expansion: int) -> np.ndarray:
            index.set_ef(expansion)
            found: np.ndarray = index.knn_query(query, K, num_threads=1)[0][0]
            return found

        return search

    return build, opened


def tonnage(place: Path, vectors: np.ndarray) -> tuple[Callable[[], None], Callable[[], Search]]:
    """The index of a release at int8; `expansion` is set as the build would."""
    from dataclasses import replace

    from tonnage.index import build as build_index
    from tonnage.index import open_index
    from tonnage.index.stored import Effort, StoredIndex
    from tonnage.telemetry import Silent

    def build() -> None:
        np.save(place / "item_vectors.npy", vectors)
        build_index(vectors, place, variants=["hnsw-i8"], queries=vectors[:0], progress=Silent())

    def opened() -> Search:
        index = open_index(place, "hnsw-i8")
        assert isinstance(index, StoredIndex)  # noqa: S101
        layout = index._layout  # noqa: SLF001

        def search(query: np.ndarray, expansion: int) -> np.ndarray:
            index._layout = replace(layout, efforts=(Effort(expansion=expansion),))  # noqa: SLF001
            return index.search(query, K)[0]

        return search

    return build, opened


LIBRARIES = {each.__name__: each for each in (usearch, faiss, hnswlib, tonnage)}


def memory() -> dict[str, int]:
    """Resident memory of this process in MB, by what the kernel says is its own and what is a file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith("Rss")}
    return {"own": found["RssAnon"], "file": found["RssFile"]}


def run(name: str, place: Path) -> dict[str, Any]:
    """Build if it was not built, else open, and ask."""
    vectors, queries = np.load(place / "vectors.npy", mmap_mode="r"), np.load(place / "queries.npy")
    truth = np.load(place / "truth.npy")
    build, opened = LIBRARIES[name](place, np.asarray(vectors))
    if not (place / f"{name}.built").exists():
        started = time.perf_counter()
        build()
        (place / f"{name}.built").touch()
        return {"build_s": round(time.perf_counter() - started, 1)}
    del vectors
    before, search = memory(), opened()
    rates = []
    for expansion in EXPANSIONS:
        found = [search(query, expansion) for query in queries]
        started = time.perf_counter()
        for query in queries:
            search(query, expansion)
        rate = len(queries) / (time.perf_counter() - started)
        recall = np.mean([np.isin(each, best).mean() for each, best in zip(found, truth, strict=True)])
        rates.append({"expansion": expansion, "recall": round(float(recall), 4), "per_s": round(rate)})
    after = memory()
    return {"rates": rates} | {f"{kind}_mb": after[kind] - before[kind] for kind in after}


def prepare(place: Path, items: int, dimensions: int) -> None:
    """Vectors, queries and the exact answers."""
    from simulated import Shape, Simulated

    shop = Simulated(Shape(items=items, dimensions=dimensions, users=200))
    vectors = shop.vectors
    queries = np.stack([vectors[basket].sum(axis=0) for basket in shop.baskets()[:200]]).astype(np.float32)
    np.save(place / "vectors.npy", vectors)
    np.save(place / "queries.npy", queries)
    np.save(place / "truth.npy", np.stack([np.argsort(-(vectors @ query))[:K] for query in queries]))


def main() -> None:
    """Print one JSON object a library."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--python", default=sys.executable, help="for the libraries that this one lacks")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(run(given.one[0], Path(given.one[1]))))
        return
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with TemporaryDirectory() as place:
        prepare(Path(place), given.items, given.dimensions)
        for name in LIBRARIES:
            python = sys.executable if find_spec(name) else given.python
            command = [python, __file__, "--one", name, place]
            told: dict[str, Any] = {}
            for _ in ("build", "search"):
                done = subprocess.run(
                    command, env=os.environ | single, capture_output=True, text=True, check=False
                )
                told |= json.loads(done.stdout) if done.returncode == 0 else {"absent": done.stderr[-200:]}
            print(json.dumps({"library": name} | told), flush=True)


if __name__ == "__main__":
    main()
