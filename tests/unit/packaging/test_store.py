"""A layer is made once for what it depends on, and an interrupted one leaves nothing to trip over."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tonnage.packaging.layers import Tree
from tonnage.packaging.store import LayerStore, Make


def _maker(source: Path, made: list[str]) -> Make:
    @contextmanager
    def make() -> Iterator[Sequence[Tree]]:
        made.append("made")
        yield [Tree(source=source, at="/srv")]

    return make


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.py").write_text("a = 1\n", encoding="ascii")
    return tmp_path / "source"


def test_a_layer_is_made_once_for_a_key(tmp_path: Path, source: Path) -> None:
    made: list[str] = []
    layers = [LayerStore(tmp_path / "store").layer("key", "code", _maker(source, made)) for _ in range(2)]
    assert layers[0] == layers[1]
    assert len(made) == 1


@pytest.mark.parametrize("loss", ["blob", "record"])
def test_a_layer_that_was_lost_is_made_again(tmp_path: Path, source: Path, loss: str) -> None:
    """Somebody clears a cache, or a machine stops between the two writes."""
    store, made = LayerStore(tmp_path / "store"), list[str]()
    layer = store.layer("key", "code", _maker(source, made))
    if loss == "blob":
        store.blob(layer.digest).unlink()
    else:
        store.forget("key")
    assert store.layer("key", "code", _maker(source, made)) == layer
    assert store.blob(layer.digest).exists()
    assert len(made) == 2


def test_an_interrupted_layer_leaves_no_blob_and_no_record(tmp_path: Path, source: Path) -> None:
    @contextmanager
    def interrupted() -> Iterator[Sequence[Tree]]:
        yield [Tree(source=source, at="/srv"), Tree(source=tmp_path / "gone", at="/gone")]

    store = LayerStore(tmp_path / "store")
    with pytest.raises(FileNotFoundError):
        store.layer("key", "code", interrupted)
    assert [file for file in store.directory.rglob("*") if file.is_file()] == []


def test_a_shared_layer_is_the_same_file_in_both_stores(tmp_path: Path, source: Path) -> None:
    """A copy of every environment per project would fill the disk."""
    cache, layout = LayerStore(tmp_path / "cache"), LayerStore(tmp_path / "layout")
    layer = cache.layer("key", "environment", _maker(source, []))
    layout.adopt(layer, cache)
    layout.adopt(layer, cache)
    assert layout.blob(layer.digest).samefile(cache.blob(layer.digest))
