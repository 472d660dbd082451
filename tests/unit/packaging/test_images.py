"""Images are what the OCI specification says; a second release is the first with another top layer."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.factories.image import image

from tonnage.packaging.images import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "images")


def test_a_second_release_moves_only_the_model_layer(layout: Layout, tmp_path: Path) -> None:
    first, second = image(layout, tmp_path, "r-1"), image(layout, tmp_path, "r-2")
    moved = {layer.role for layer in second.layers} - {
        layer.role for layer in first.layers if layer in second.layers
    }
    assert moved == {"model"}
    assert first.digest != second.digest


def test_the_same_release_is_the_sameimage(layout: Layout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert image(layout, tmp_path, "r-1") == image(Layout(elsewhere / "images"), elsewhere, "r-1")


def test_an_image_runs_as_a_numeric_user_that_is_not_root(layout: Layout, tmp_path: Path) -> None:
    """Kubernetes can check `runAsNonRoot` only against a number."""
    built = image(layout, tmp_path, "r-1")
    config = json.loads(layout.blob(built.config).read_bytes())
    assert config["config"]["User"] == "1034:1034"
    assert config["config"]["Labels"]["tonnage.dev/release"] == "r-1"
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in built.layers]
    environment = dict(each.split("=", 1) for each in config["config"]["Env"])
    writable = [environment[name] for name in ("HOME", "BENTOML_HOME")]
    assert all(Path(path).is_relative_to("/tmp") for path in writable)  # noqa: S108


def test_the_layout_keeps_this_release_and_the_one_before(layout: Layout, tmp_path: Path) -> None:
    """The one before is what a rollback needs; keeping all would grow for ever."""
    images = [image(layout, tmp_path, release) for release in ("r-1", "r-2", "r-3")]
    for release in ("r-1", "r-2", "r-3"):
        layout.publish([image(layout, tmp_path, release)])
    index = json.loads((layout.directory / "index.json").read_bytes())
    assert [each["digest"] for each in index["manifests"]] == [images[2].digest, images[1].digest]
    assert not layout.blob(images[0].digest).exists()
    assert all(layout.blob(digest).exists() for each in images[1:] for digest in each.blobs)


def test_an_archive_leaves_out_what_the_receiver_has(layout: Layout, tmp_path: Path) -> None:
    first, second = image(layout, tmp_path, "r-1"), image(layout, tmp_path, "r-2")
    layout.write_archive([second], tmp_path / "second.tar", without=layout.parts([first.digest]))
    with tarfile.open(tmp_path / "second.tar") as archive:
        blobs = {f"sha256:{Path(name).name}" for name in archive.getnames() if name.startswith("blobs/")}
    assert blobs == {second.digest, second.config, second.layers[-1].digest}


def test_packaging_without_the_load_test_keeps_its_image_and_the_release_before(
    layout: Layout, tmp_path: Path
) -> None:
    """An image of the same release that is not made this time is no release of its own."""
    first = image(layout, tmp_path, "r-1")
    layout.publish([first])
    second = image(layout, tmp_path, "r-2")
    load = replace(second, bento="loadtest", name="localhost/tonnage/loadtest:r-2")
    layout.publish([second, load])
    layout.publish([second])
    index = json.loads((layout.directory / "index.json").read_bytes())
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]]
    assert names == [second.name, load.name, first.name]
    assert all(layout.blob(digest).exists() for digest in first.blobs)
