"""Images by `bentoml containerize`, for whoever has Docker, Podman or Buildah and wants theirs made by it."""

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tonnage.errors import RequirementError
from tonnage.packaging.bentos import Bento, build_bento, demand_visible
from tonnage.packaging.commands import run
from tonnage.packaging.config import BENTOS, PackagingConfig
from tonnage.packaging.pipeline import Packaged
from tonnage.packaging.scratch import alone_in, scratch
from tonnage.packaging.sinks import ImageRef
from tonnage.packaging.sources import Sources
from tonnage.packaging.values import write_values
from tonnage.releases.release import Release
from tonnage.telemetry import Progress

Tool = Literal["docker", "podman", "buildah"]

_TIMEOUT_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where images go out of the tool's own store.

    Attributes:
        registry: `HOST/PATH` to push to.
        plain_http: that registry has no TLS.
        load: imports an archive into a container runtime. Without both, images stay where they are.
    """

    registry: str | None = None
    plain_http: bool = False
    load: Callable[[Path], object] | None = None


def containerize(
    release: Release,
    config: PackagingConfig,
    out_dir: Path,
    *,
    tool: Tool,
    destination: Destination,
    progress: Progress,
    track: str = "stable",
) -> Packaged:
    """Build the bentos of a release, have a container tool make their images by BentoML, write the values.

    Args:
        release: an open release.
        config: names the Dockerfile's base image.
        out_dir: receives `bentoml/` and the values file.
        tool: makes the images, with its own store and cache.
        destination: where they go.
        progress: who is told.
        track: see `pipeline.package`.

    Raises:
        RequirementError: the tool is not installed, or the output lies below a hidden directory.
        ClusterError: BentoML or the tool failed; the message is theirs.
    """
    if shutil.which(tool) is None:
        raise RequirementError(f"there is no command {tool}", hint=_hint(tool))
    demand_visible(out_dir)
    sources = Sources.find(config)
    refs: dict[str, ImageRef] = {}
    bentos: list[Bento] = []
    with alone_in(out_dir):
        for name in BENTOS:
            with progress.stage(f"{name}: bento and image by {tool}"):
                bento = build_bento(name, release, config, sources, out_dir / "bentoml")
                bentos.append(bento)
                refs[name] = _image(
                    bento, f"{destination.registry or config.repository}/{name}", tool, destination
                )
    return Packaged(
        release=release.id,
        images=refs,
        built={},
        bentos=tuple(bento.tag for bento in bentos),
        values_path=write_values(out_dir, release.id, refs, track=track),
    )


def _image(bento: Bento, repository: str, tool: Tool, destination: Destination) -> ImageRef:
    reference = f"{repository}:{bento.version}"
    _build(bento, reference, tool)
    digest = None
    if destination.registry:
        digest = _push(reference, tool, plain_http=destination.plain_http)
    elif destination.load:
        with tempfile.TemporaryDirectory(dir=bento.home.parent) as directory:
            archive = Path(directory) / "image.tar"
            run([tool, *_saving(tool, reference, archive)], hint=_hint(tool))
            destination.load(archive)
    return ImageRef(repository=repository, tag=bento.version, digest=digest)


def _build(bento: Bento, reference: str, tool: Tool) -> None:
    # Locks name no index, so uv asks whichever this machine is set up for, over this machine's network.
    options = ("--backend", tool, "--image-tag", reference, "--opt", "network=host")
    with scratch(bento.home.parent) as directory:
        run(
            [sys.executable, "-m", "bentoml", "containerize", bento.tag, *options],
            hint="Install Tonnage with the extra [pipeline].",
            # BentoML 1.4 copies the Dockerfile template to a temporary directory, and reads it only if that
            # lies below the working directory.
            environment={
                "BENTOML_HOME": str(bento.home),
                "BENTOML_DO_NOT_TRACK": "True",
                "TMPDIR": str(directory),
            },
            directory=directory,
            timeout_s=_TIMEOUT_S,
        )


def _push(reference: str, tool: Tool, *, plain_http: bool) -> str:
    if tool == "docker":
        run(["docker", "push", "--quiet", reference], hint=_hint(tool), timeout_s=_TIMEOUT_S)
        pinned = run(
            ["docker", "inspect", "--format", "{{index .RepoDigests 0}}", reference], hint=_hint(tool)
        )
        return pinned.strip().rpartition("@")[2]
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as digest:
        tls = ["--tls-verify=false"] if plain_http else []
        run(
            [tool, "push", "--quiet", *tls, "--digestfile", digest.name, reference],
            hint=_hint(tool),
            timeout_s=_TIMEOUT_S,
        )
        return Path(digest.name).read_text(encoding="ascii").strip()


def _saving(tool: Tool, reference: str, archive: Path) -> list[str]:
    if tool == "buildah":
        return ["push", "--quiet", reference, f"docker-archive:{archive}:{reference}"]
    return ["save", "--output", str(archive), reference]


def _hint(tool: Tool) -> str:
    return f"Install {tool}, or use --backend oci."
