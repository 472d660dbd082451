"""`tonnage package`: a release as three bentos, their images, and the Helm values that pin them."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonnage.cli import stages
from tonnage.cli.options import DEFAULT, As, Output, ProjectFile
from tonnage.cli.project import Project
from tonnage.errors import ConfigError
from tonnage.telemetry import Spoken

if TYPE_CHECKING:
    from rich.table import Table

    from tonnage.deployment.embedded.config import EmbeddedConfig
    from tonnage.packaging.containerize import Destination, Tool
    from tonnage.packaging.pipeline import Packaged
    from tonnage.packaging.sinks import ImageSink


class Backend(StrEnum):
    """Who makes the images."""

    OCI = "oci"
    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"


_TOOLS: dict[Backend, "Tool"] = {
    Backend.DOCKER: "docker",
    Backend.PODMAN: "podman",
    Backend.BUILDAH: "buildah",
}

app = typer.Typer(help="Make a release three bentos, images, and Helm values that pin them by digest.")


@app.callback(invoke_without_command=True)
def package(
    release: Annotated[
        str,
        typer.Option(
            "--release", help="Release id, champion, challenger, previous, or latest (trained here)."
        ),
    ] = "latest",
    registry: Annotated[
        str | None, typer.Option("--registry", help="HOST/PATH to push to, instead of the embedded cluster.")
    ] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="The registry has no TLS.")] = False,
    on_disk: Annotated[
        bool, typer.Option("--on-disk", help="Leave the images in build/packaging/images.")
    ] = False,
    backend: Annotated[
        Backend,
        typer.Option("--backend", help="oci writes images itself; the others run `bentoml containerize`."),
    ] = Backend.OCI,
    track: Annotated[str, typer.Option("--track", help="The track that the values file is for.")] = "stable",
    loadtest: Annotated[
        bool, typer.Option("--loadtest", help="Make the image of charts/loadtest too, with the data's users.")
    ] = False,
    refresh_base: Annotated[
        bool, typer.Option("--refresh-base", help="Make the Debian layer again, with its present packages.")
    ] = False,
    project: ProjectFile = DEFAULT,
    output: As = Output.TABLE,
) -> None:
    """Package a release.

    Images go into the embedded cluster, or with --registry to a registry, or with --on-disk nowhere.
    What has not changed since the last time is not made again.
    """
    from tonnage.packaging.base import base_key
    from tonnage.packaging.config import PackagingConfig
    from tonnage.packaging.containerize import containerize
    from tonnage.packaging.pipeline import package as make
    from tonnage.packaging.store import LayerStore

    tool = _TOOLS.get(backend)
    if tool is not None and loadtest:
        raise ConfigError(
            "the load test is no bento, so BentoML does not make its image", hint="--backend oci"
        )
    opened = Project.open(project)
    config = opened.section("packaging", PackagingConfig)
    chosen = stages.release_named(opened, release)
    if tool is not None:
        where = _destination(registry, plain_http=plain_http, on_disk=on_disk)
        packaged = containerize(
            chosen,
            config,
            opened.packaging,
            tool=tool,
            destination=where,
            progress=Spoken(),
            track=track,
        )
    else:
        cache = stages.layer_cache()
        if refresh_base:
            LayerStore(cache).forget(base_key(config))
        sink = _sink(registry, plain_http=plain_http, on_disk=on_disk)
        packaged = make(
            chosen,
            config,
            opened.packaging,
            cache=cache,
            sink=sink,
            progress=Spoken(),
            track=track,
            people=opened.data if loadtest else None,
        )
    _print(packaged, output)


def _sink(registry: str | None, *, plain_http: bool, on_disk: bool) -> "ImageSink":
    from tonnage.packaging.sinks import OnDisk, Registry

    if registry:
        return Registry(path=registry, plain_http=plain_http)
    if on_disk:
        return OnDisk()
    return stages.embedded_sink(_embedded())


def _destination(registry: str | None, *, plain_http: bool, on_disk: bool) -> "Destination":
    from tonnage.packaging.containerize import Destination

    if registry or on_disk:
        return Destination(registry=registry, plain_http=plain_http)
    from tonnage.deployment.embedded.cluster import load_image

    cluster = _embedded()
    return Destination(load=lambda archive: load_image(cluster, archive))


def _embedded() -> "EmbeddedConfig":
    """The embedded cluster, if there is one: better to know before minutes of work than after."""
    from tonnage.deployment.embedded.cluster import access
    from tonnage.deployment.embedded.config import EmbeddedConfig

    cluster = EmbeddedConfig.of(os.environ)
    access(cluster)
    return cluster


def _print(packaged: "Packaged", output: Output) -> None:
    following = f"helm install shop charts/recommender -f {_shown(packaged.values_path)}"
    if output is Output.JSON:
        typer.echo(json.dumps({**packaged.as_dict(), "next": following}, indent=2))
        return
    from rich.console import Console

    console = Console()
    repository = next(iter(packaged.images.values())).repository.rpartition("/")[0]
    console.print(f"release {packaged.release}: images {repository}/<bento>", highlight=False)
    console.print(_table(packaged), highlight=False)
    typer.echo(f"\nNext: {following}")
    if packaged.loadtest_values:
        typer.echo(
            f"      helm install load charts/loadtest -f {_shown(packaged.loadtest_values)} --set host=..."
        )


def _shown(file: Path) -> Path:
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _table(packaged: "Packaged") -> "Table":
    """One row per image; sizes are megabytes of files, `moved` is what a registry stores."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("image", "digest"):
        table.add_column(column, overflow="fold")
    roles = ["base", "environment", "code", "model", *(["people"] if packaged.loadtest_values else [])]
    for column in ("MB", "moved", *roles):
        table.add_column("python" if column == "environment" else column, justify="right", no_wrap=True)
    for bento, ref in packaged.images.items():
        image = packaged.built.get(bento)
        sums = [f"{image.unpacked / 1e6:.0f}", f"{image.size / 1e6:.0f}"] if image else []
        held = {layer.role: f"{layer.unpacked / 1e6:.1f}" for layer in image.layers} if image else {}
        layers = [held.get(role, "") for role in roles]
        table.add_row(bento, (ref.digest or "").removeprefix("sha256:")[:12], *sums, *layers)
    return table
