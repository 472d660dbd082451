"""What a variant is predicted to keep in memory is what a process is seen to keep."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.factories.vectors import queries, vectors

from tonnage.index import VARIANTS, build, predict_bytes
from tonnage.telemetry import Silent

SEEN = """
import json, re, sys
from pathlib import Path
import numpy as np
from tonnage.index import open_index

def resident(directory):
    file, anonymous, inside = 0, 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = directory in line
        elif inside and line.startswith("Rss:"):
            file += int(line.split()[1]) * 1024
        elif line.startswith("Anonymous:"):
            anonymous += int(line.split()[1]) * 1024
    return file, anonymous

warm, directory, name = sys.argv[1:]
small = open_index(Path(warm), name)
small.load()
small.search(np.ones(small.dimensions, np.float32), 10)
for _ in range(3):
    _, before = resident(directory)
index = open_index(Path(directory), name)
index.load()
file, after = resident(directory)
for query in np.random.default_rng(1).normal(size=(50, index.dimensions)).astype(np.float32):
    index.search(query, 100)
print(json.dumps({"file": file, "anonymous": after - before, "searched": resident(directory)[0]}))
"""


def home_of(place: Path, items: int, dimensions: int) -> Path:
    place.mkdir()
    made = vectors(items, dimensions)
    np.save(place / "item_vectors.npy", made)
    build(made, place, variants=VARIANTS, queries=queries(made, 8), progress=Silent())
    return place


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    place = tmp_path_factory.mktemp("resident")
    return {items: home_of(place / str(items), items, 24) for items in (50, 1_000, 30_000)}


def seen(warm: Path, home: Path, name: str) -> dict[str, int]:
    command = [sys.executable, "-c", SEEN, str(warm), str(home), name]
    # Large blocks on pages of their own: in the heap they could fill what was free already.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    found: dict[str, int] = json.loads(subprocess.check_output(command, env=environment))
    return found


@pytest.mark.parametrize("name", VARIANTS)
def test_prediction_and_measurement_are_within_a_tenth(homes: dict[int, Path], name: str):
    for items in (1_000, 30_000):
        found = seen(homes[50], homes[items], name)
        pointers = 16 * items if name.startswith("hnsw") else 0
        predicted = predict_bytes(name, items, 24)
        assert found["file"] == pytest.approx(predicted - pointers, rel=0.1)
        # Searching brings nothing more: what is scored again does not come to be mapped.
        assert found["searched"] == found["file"]
        if items == 30_000 and pointers:
            assert found["file"] + found["anonymous"] == pytest.approx(predicted, rel=0.1)


def test_usearch_leaves_xgboost_whole():
    """Loaded first of all C++ libraries, it would leave every parameter of XGBoost unreadable."""
    script = (
        "import numpy as np; from tonnage.index import graphs;"
        " graphs.link(np.ones((3, 2), np.float32)); import xgboost;"
        " xgboost.DMatrix(np.ones((2, 2)), label=np.ones(2)); print('whole')"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "whole\n"
