"""What a cluster is told about images: their digests, and no more bytes than it lacks."""

import tarfile
from pathlib import Path

import pytest
import yaml
from tests.factories.image import image

from tonnage.packaging.images import Layout
from tonnage.packaging.sinks import ImageRef, Loaded
from tonnage.packaging.values import write_values
from tonnage.telemetry import Silent

REF = ImageRef(repository="registry.example/shop/ranker", tag="r-1", digest="sha256:" + "a" * 64)


def test_values_pin_the_digest_and_name_the_release(tmp_path: Path) -> None:
    file = write_values(tmp_path, "r-1", {"ranker": REF}, track="stable")
    track = yaml.safe_load(file.read_text(encoding="utf-8"))["tracks"]["stable"]
    assert track["release"] == "r-1"
    assert track["weight"] == 100
    assert track["images"]["ranker"] == {"repository": REF.repository, "tag": "r-1", "digest": REF.digest}


def test_packaging_a_canary_gives_it_no_traffic_and_leaves_stable_alone(tmp_path: Path) -> None:
    stable = write_values(tmp_path, "r-1", {"ranker": REF}, track="stable").read_text(encoding="utf-8")
    canary = write_values(tmp_path, "r-2", {"ranker": REF}, track="canary")
    assert yaml.safe_load(canary.read_text(encoding="utf-8"))["tracks"]["canary"]["weight"] == 0
    assert (tmp_path / "values.yaml").read_text(encoding="utf-8") == stable


def test_a_runtime_is_given_only_what_it_lacks(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    first, second = image(layout, tmp_path, "r-1"), image(layout, tmp_path, "r-2")
    had: set[str] = set()
    received: list[int] = []

    def load(archive: Path) -> None:
        with tarfile.open(archive) as opened:
            received.append(sum(name.startswith("blobs/") for name in opened.getnames()))

    for each in (first, second, second):
        Loaded(load=load, present=lambda: had).deliver(layout, [each], Silent())
        had.add(each.digest)
    assert received == [6, 3]


def test_the_archive_is_gone_also_when_loading_fails(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "images")
    built = image(layout, tmp_path, "r-1")

    def load(archive: Path) -> None:
        raise OSError(archive)

    with pytest.raises(OSError, match=r"images\.tar"):
        Loaded(load=load).deliver(layout, [built], Silent())
    assert not (tmp_path / "images.tar").exists()
