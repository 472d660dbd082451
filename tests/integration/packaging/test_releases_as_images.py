"""Three images of a release: small, made once, and moved one layer at a time."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from socket import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.integration.packaging.conftest import Dock

from tonnage.deployment.embedded.debian import unpacked
from tonnage.packaging.config import BENTOS
from tonnage.packaging.loadtest import HOME
from tonnage.packaging.pipeline import Packaged
from tonnage.packaging.sinks import Loaded, Registry
from tonnage.releases.release import open_release
from tonnage.telemetry import Silent

LIMIT = 600_000_000
"""Bytes of an image's root file system."""


@pytest.mark.parametrize("bento", BENTOS)
def test_an_image_is_at_most_600_mb(bento: str, packaged: tuple[Packaged, Packaged]) -> None:
    assert packaged[0].built[bento].unpacked <= LIMIT


@pytest.mark.parametrize("bento", BENTOS)
def test_a_second_release_changes_only_the_model_layer(
    bento: str, packaged: tuple[Packaged, Packaged]
) -> None:
    first, second = (each.built[bento] for each in packaged)
    assert [layer.role for layer in first.layers] == ["base", "environment", "code", "model"]
    assert first.layers[:3] == second.layers[:3]
    assert first.layers[3].digest != second.layers[3].digest


def test_the_three_images_of_a_release_share_its_layer(packaged: tuple[Packaged, Packaged]) -> None:
    """Gigabytes of a large catalogue are compressed, moved and unpacked once, not three times."""
    assert len({image.layers[3].digest for image in packaged[0].built.values()}) == 1


def test_the_load_tests_image_takes_base_and_release_from_the_bentos_and_changes_none_of_them(
    dock: Dock, packaged: tuple[Packaged, Packaged], tmp_path: Path
) -> None:
    """Whoever asks for a load test must not roll the shop by it."""
    pq.write_table(pa.table({"user_id": ["somebody"]}), tmp_path / "interactions.parquet")
    made = dock.package(dock.second, people=tmp_path)
    assert {bento: made.images[bento] for bento in BENTOS} == packaged[1].images
    layers = {layer.role: layer.digest for layer in made.built["loadtest"].layers}
    assert list(layers) == ["base", "environment", "code", "model", "people"]
    served = {layer.role: layer.digest for layer in made.built["ranker"].layers}
    assert (layers["base"], layers["model"]) == (served["base"], served["model"])
    assert made.loadtest_values is not None
    pinned = yaml.safe_load(made.loadtest_values.read_text(encoding="utf-8"))["image"]
    assert pinned["digest"] == made.images["loadtest"].digest
    config = json.loads(dock.layout.blob(made.built["loadtest"].config).read_bytes())["config"]
    assert "ExposedPorts" not in config
    assert config["WorkingDir"] == HOME


def test_a_bento_holds_its_release_for_whoever_serves_it_without_an_image(
    dock: Dock, packaged: tuple[Packaged, Packaged]
) -> None:
    held = dock.out / "bentoml" / "bentos" / "ranker" / dock.first.id / "src" / "release"
    assert open_release(held).id == dock.first.id


def test_the_same_release_is_the_same_image_also_when_all_of_the_project_is_made_again(
    dock: Dock, packaged: tuple[Packaged, Packaged], tmp_path: Path
) -> None:
    """Digests that depend on the machine or the hour would restart every pod at each packaging."""
    again = Dock(out=tmp_path, cache=dock.cache, first=dock.first, second=dock.second).package(dock.second)
    assert again.images == packaged[1].images


def test_packaging_a_release_again_makes_nothing(dock: Dock, packaged: tuple[Packaged, Packaged]) -> None:
    files = {file: file.stat().st_mtime_ns for file in (dock.out / "images" / "blobs").rglob("*")}
    bentos = {file: file.stat().st_mtime_ns for file in dock.out.glob("bentoml/bentos/*/*/bento.yaml")}
    assert dock.package(dock.second).images == packaged[1].images
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert {file: file.stat().st_mtime_ns for file in bentos} == bentos


def test_a_runtime_that_has_the_first_release_receives_kilobytes(
    dock: Dock, packaged: tuple[Packaged, Packaged]
) -> None:
    sizes: list[int] = []
    first, second = packaged
    had = {image.digest for image in first.built.values()}
    sink = Loaded(load=lambda archive: sizes.append(archive.stat().st_size), present=lambda: had)
    sink.deliver(dock.layout, list(second.built.values()), Silent())
    assert sizes[0] < second.built["ranker"].layers[3].size + 200_000


@pytest.fixture
def registry(dock: Dock, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Debian's docker-registry, only unpacked: installed, it would be a service of this machine."""
    program = unpacked(dock.cache.parent, "docker-registry", ["docker-registry"]) / "usr/bin/docker-registry"
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    data = tmp_path / "registry"
    config = tmp_path / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: '{address}'}}\n",
        encoding="utf-8",
    )
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([str(program), "serve", str(config)], stdout=log, stderr=log)
    try:
        answer = ["curl", "--silent", "--fail", "--retry", "50", "--retry-delay", "0", "--retry-connrefused"]
        subprocess.run(
            [*answer, "--retry-max-time", "20", f"http://{address}/v2/"], check=True, capture_output=True
        )
        yield address, data
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_a_registry_holds_the_same_digests_and_receives_only_what_it_lacks(
    dock: Dock, packaged: tuple[Packaged, Packaged], registry: tuple[str, Path]
) -> None:
    address, data = registry
    sink = Registry(path=f"{address}/shop", plain_http=True)
    images = [list(each.built.values()) for each in packaged]
    sink.deliver(dock.layout, images[0], Silent())
    before = _blobs(data)
    refs = sink.deliver(dock.layout, images[1], Silent())
    models = {image.layers[3].digest.removeprefix("sha256:") for image in images[1]}
    manifests = {part.removeprefix("sha256:") for image in images[1] for part in (image.digest, image.config)}
    assert _blobs(data) - before == models | manifests
    for bento, ref in refs.items():
        assert ref.repository == f"{address}/shop/{bento}"
        named = f"docker://{ref.repository}:{ref.tag}"
        inspect = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", named]
        assert (
            subprocess.run(inspect, check=True, capture_output=True, text=True).stdout.strip() == ref.digest
        )


def _blobs(data: Path) -> set[str]:
    return {file.parent.name for file in data.glob("docker/registry/v2/blobs/sha256/*/*/data")}
