"""What goes into the image of a load test: a locustfile that imports, known users, and no more of them."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tonnage.errors import NotFoundError, RequirementError
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.loadtest import HOME, code_key, code_trees, people_key, people_trees
from tonnage.packaging.runtime import RELEASE
from tonnage.packaging.sinks import ImageRef
from tonnage.packaging.sources import Sources
from tonnage.packaging.values import write_loadtest_values

BOUGHT = "what-she-bought"


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A project's data, with more in it than people need."""
    data = tmp_path / "data"
    data.mkdir()
    seen = {"user_id": ["b", "a", "b"], "item_id": [BOUGHT] * 3}
    pq.write_table(pa.table(seen), data / "interactions.parquet")
    items = {"item_id": [BOUGHT], "category": ["mugs"], "price": [2.5]}
    pq.write_table(pa.table(items), data / "items.parquet")
    return data


def test_the_locustfile_and_the_gate_run_from_what_is_laid_out_alone(tmp_path: Path) -> None:
    """A module that somebody adds to the locustfile's imports has to come along."""
    with code_trees(Sources.find(PackagingConfig()), tmp_path) as (tree,):
        assert tree.at == HOME
        for arguments in (
            ["-m", "locust", "--locustfile=locustfile.py", "--list"],
            ["-m", "tonnage.cli", "load", "gate", "--help"],
        ):
            ran = subprocess.run(
                [sys.executable, *arguments],
                cwd=tree.source,
                env={"PYTHONPATH": str(tree.source), "HOME": str(tmp_path)},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert ran.returncode == 0, ran.stderr[-2000:]


def test_nothing_that_only_a_persons_machine_can_do_is_laid_out(tmp_path: Path) -> None:
    with code_trees(Sources.find(PackagingConfig()), tmp_path) as (tree,):
        assert not (tree.source / "tonnage" / "deployment" / "embedded").exists()
        assert not (tree.source / "canary.py").exists()


def test_people_are_ids_and_what_filters_need_and_nothing_else_of_the_data(
    tables: Path, tmp_path: Path
) -> None:
    """Whoever may pull the image may read it."""
    with people_trees(tables, "r-1", tmp_path) as (tree,):
        files = {path.relative_to(tree.source).as_posix() for path in tree.source.rglob("*.parquet")}
        assert files == {"data/interactions.parquet", "data/items.parquet"}
        seen = pq.read_table(tree.source / "data" / "interactions.parquet")
        assert seen.to_pydict() == {"user_id": ["b", "a", "b"]}
        assert pq.read_table(tree.source / "data" / "items.parquet").column_names == ["category", "price"]
        assert (tree.source / "releases" / "r-1").readlink() == Path(RELEASE)


def test_the_layer_of_people_is_made_again_when_they_change(tables: Path) -> None:
    first = people_key(tables, "r-1")
    assert first == people_key(tables, "r-1") != people_key(tables, "r-2")
    pq.write_table(pa.table({"user_id": ["c"]}), tables / "interactions.parquet")
    assert people_key(tables, "r-1") != first


def test_a_project_without_data_has_nobody_to_send(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there are none.*tonnage data"):
        people_key(tmp_path, "r-1")


def test_a_checkout_without_load_tests_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequirementError, match=r"loadtests/locustfile\.py.*requirements/loadtest\.txt"):
        code_key(Sources(tmp_path / "nowhere"), tmp_path)


@pytest.mark.parametrize(
    ("track", "name"), [("stable", "values-loadtest.yaml"), ("canary", "values-loadtest-canary.yaml")]
)
def test_the_values_pin_the_image_for_the_chart(track: str, name: str, tmp_path: Path) -> None:
    ref = ImageRef(repository="localhost/tonnage/loadtest", tag="r-1", digest="sha256:" + "5" * 64)
    file = write_loadtest_values(tmp_path, ref, track=track)
    assert file.name == name
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == {
        "image": {"repository": ref.repository, "tag": ref.tag, "digest": ref.digest}
    }
