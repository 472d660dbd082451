"""The library alone: `python bare_index.py DIRECTORY VARIANT QUERIES.npy K SECONDS` prints searches/s."""

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

if __name__ == "__main__":
    from index import bare

    directory, variant, file, k, seconds = sys.argv[1:]
    queries = np.load(file)
    search = bare(Path(directory), variant)
    for query in queries:
        search(query, int(k))
    searches, started = 0, time.perf_counter()
    while time.perf_counter() - started < float(seconds):
        search(queries[searches % len(queries)], int(k))
        searches += 1
    print(searches / (time.perf_counter() - started))
