"""usearch alone: `python bare_index.py DIRECTORY VARIANT QUERIES.npy K SECONDS` prints searches per second.

The same file, the same graph, and as many candidates as the retriever keeps; no line of ours in the loop.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pyarrow  # noqa: F401, ICN001 - before usearch, whose C++ streams break those of what is loaded later
from usearch.index import Index

from tonnage.index.search import expansion_of, fetch_of
from tonnage.index.stored import layouts
from tonnage.index.variants import PADDING, variant


def opened(directory: Path, name: str, k: int) -> tuple[Index, np.ndarray]:
    """The graph of a variant, by the library, and the mapped file, which must outlive it.

    Raises:
        SystemExit: the variant is a scan, which no library does.
    """
    if variant(name).search != "hnsw":
        raise SystemExit(f"{name} is a scan: there is no library to compare with")
    layout = layouts(directory)[name]
    effort = layout.effort(k)
    stored = np.memmap(directory / layout.file, np.uint8, mode="r")
    index = Index.restore(stored[PADDING:].data, view=True)
    every = {"items": len(index), "allowed": len(index)}
    fetched = fetch_of(k * effort.again, spare=0, **every)
    index.expansion_search = expansion_of(effort.expansion, fetch=fetched, **every)
    return index, stored


def rate(index: Index, queries: np.ndarray, k: int, seconds: float) -> float:
    """Searches per second, one after the other in one thread."""
    for query in queries:
        index.search(query, k, threads=1)
    searches, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        index.search(queries[searches % len(queries)], k, threads=1)
        searches += 1
    return searches / (time.perf_counter() - started)


if __name__ == "__main__":
    place, name, file, count, duration = sys.argv[1:]
    graph, mapped = opened(Path(place), name, int(count))
    asked = np.load(file)[:, : graph.ndim]
    print(rate(graph, asked, int(count), float(duration)))
