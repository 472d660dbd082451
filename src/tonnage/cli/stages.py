"""The stages of one project, each done only when something it depends on has changed.

A stage's key is a digest of its settings, its own source code, what it reads and the keys before it.
The key of the last finished run stands beside the stage's result; the same key means there is nothing to do.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import tonnage
from tonnage.cli.project import Project
from tonnage.errors import DependencyError, InputError, NotFoundError
from tonnage.files import cache_home
from tonnage.telemetry import Progress

if TYPE_CHECKING:
    from tonnage.datasets.config import DatasetConfig
    from tonnage.datasets.tables import Loaded
    from tonnage.deployment.embedded.config import EmbeddedConfig
    from tonnage.packaging.pipeline import Packaged
    from tonnage.packaging.sinks import ImageSink
    from tonnage.releases.registry import Registry
    from tonnage.releases.release import Release

LATEST = ".latest"
"""File among the releases that names the one that was trained last."""


def data(project: Project, progress: Progress) -> str:
    """Load the project's three tables, if they have changed.

    Returns:
        The stage's key.

    Raises:
        DataError: a file breaks the contract.
        DependencyError: Online Retail was asked for by name and cannot be had.
    """
    from tonnage.datasets.config import DatasetConfig
    from tonnage.datasets.tables import read_report, write

    config = project.section("dataset", DatasetConfig)
    # A source that is named must be had; one that is the default may be simulated.
    named = "source" in project.tables.get("dataset", {})
    sources = [stamp(file) for file in config.files(project.root) if file.exists()]
    key = key_of("data", config.model_dump(), named, sources, source_digest("datasets"))

    def work() -> None:
        write(_load(project, config, progress, named=named), project.data)

    unless_done("data", key, project.data, progress, work)
    if read_report(project.data).source != config.source:
        progress.say("NOTE: this is the simulator's shop; Online Retail could not be had")
    return key


def _load(project: Project, config: "DatasetConfig", progress: Progress, *, named: bool) -> "Loaded":
    from tonnage.datasets.loading import load

    try:
        return load(config, root=project.root, progress=progress)
    except DependencyError as error:
        if named:
            raise
        progress.say(f"{error}")
        return load(config.model_copy(update={"source": "simulator"}), root=project.root, progress=progress)


def features(project: Project, progress: Progress) -> str:
    """Compute the feature rows, if the data, their definitions or their settings have changed.

    Returns:
        The stage's key.
    """
    from tonnage.features.config import FeaturesConfig
    from tonnage.features.store import build

    below = data(project, progress)
    config = project.section("features", FeaturesConfig)
    key = key_of("features", below, config.model_dump(), source_digest("features"))

    def work() -> None:
        build(project.data, project.features, config, progress=progress)

    unless_done("features", key, project.features / "rows", progress, work)
    return key


def release(project: Project, progress: Progress) -> "Release":
    """Train, judge, write and register a release, if anything that it depends on has changed.

    Raises:
        IntegrityError: the release on disk is not what its manifest records.
    """
    from tonnage.releases.config import IndexConfig
    from tonnage.releases.release import open_release
    from tonnage.training.config import TrainingConfig

    below = features(project, progress)
    config = project.section("training", TrainingConfig)
    index = project.section("index", IndexConfig)
    definitions = source_digest("training", "index", "releases")
    key = key_of("release", below, config.model_dump(), index.model_dump(), definitions)
    # Releases stay beside each other, so the stage's result is not the directory but a name in it.
    latest = project.releases / LATEST

    def work() -> None:
        from tonnage.datasets.tables import read, read_report
        from tonnage.releases.writing import write_release
        from tonnage.training.training import train

        replay = read_report(project.data).replay
        trained = train(read(project.data), project.features, config, progress=progress, replay=replay)
        written = write_release(trained, project.releases, index=index, progress=progress)
        registry(project).register(written)
        latest.write_text(written.id, encoding="ascii")

    unless_done("train", key, latest, progress, work)
    return open_release(project.releases / latest.read_text(encoding="ascii"))


def package(project: Project, made: "Release", sink: "ImageSink", progress: Progress) -> "Packaged":
    """Make the three images of a release and hand them to a sink; a layer that is there is not made again."""
    from tonnage.packaging.config import PackagingConfig
    from tonnage.packaging.pipeline import package as package_release

    config = project.section("packaging", PackagingConfig)
    with progress.stage(f"package {made.id}"):
        return package_release(
            made, config, project.packaging, cache=layer_cache(), sink=sink, progress=progress
        )


def layer_cache() -> Path:
    """Where image layers that outlive a project are kept."""
    return cache_home() / "layers"


def embedded_sink(embedded: "EmbeddedConfig", ready: Callable[[], object] = lambda: None) -> "ImageSink":
    """A sink that loads images into the embedded cluster, only what it lacks.

    Args:
        embedded: the cluster.
        ready: waits until it runs; called before anything is asked of it.
    """
    from tonnage.deployment.embedded.cluster import image_digests, load_image
    from tonnage.packaging.sinks import Loaded

    def present() -> set[str]:
        ready()
        return image_digests(embedded)

    return Loaded(load=lambda archive: load_image(embedded, archive), present=present)


def release_named(project: Project, name: str) -> "Release":
    """The release that a name means: one of this project's directory, or one that the registry knows.

    Args:
        project: whose releases.
        name: a release id, `champion`, `challenger`, `previous`, or `latest`, the one trained here last.

    Raises:
        NotFoundError: there is none of that name.
        InputError: the latest was rejected, which only its own id may overrule.
    """
    from tonnage.releases.release import open_release

    if name == "latest":
        latest = project.releases / LATEST
        if not latest.exists():
            raise NotFoundError(
                "no release was trained here", hint="Run `tonnage train`.", directory=project.releases
            )
        newest = open_release(project.releases / latest.read_text(encoding="ascii"))
        judged = newest.manifest.evaluation
        if not judged.accepted:
            what = f"the latest release {newest.id} was rejected: {'; '.join(judged.reasons)}"
            raise InputError(what, hint=f"To use it all the same: --release {newest.id}")
        return newest
    if (project.releases / name / "release.json").exists():
        return open_release(project.releases / name)
    return registry(project).fetch(name, project.releases)


def registry(project: Project) -> "Registry":
    """The registry that the project's `[registry]` names."""
    from tonnage.releases.config import RegistryConfig
    from tonnage.releases.registry import Registry

    config = project.section("registry", RegistryConfig)
    uri, artifacts = config.location(project.mlflow)
    return Registry(uri, config.model, artifacts)


def source_digest(*subpackages: str) -> str:
    """Digest of the source files of subpackages of `tonnage`, hex."""
    digest = hashlib.sha256()
    package = Path(tonnage.__file__).parent
    for subpackage in subpackages:
        for file in sorted((package / subpackage).rglob("*.py")):
            digest.update(file.relative_to(package).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def key_of(*parts: object) -> str:
    """One key for everything a stage depends on; the parts must be JSON or have a `str`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def unless_done(name: str, key: str, directory: Path, progress: Progress, work: Callable[[], object]) -> None:
    """Run a stage, unless its last finished run had the same key.

    Args:
        name: what people read.
        key: everything the stage depends on, from `key_of`.
        directory: where the stage leaves its result, by renaming it into place.
        progress: who is told.
        work: does the stage.
    """
    # Beside the directory, not in it: the stage replaces the directory as a whole.
    record = directory.parent / f".{directory.name}.key"
    if directory.exists() and record.exists() and record.read_text(encoding="ascii") == key:
        progress.say(f"{name}: unchanged")
        return
    record.unlink(missing_ok=True)
    with progress.stage(name):
        work()
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(key, encoding="ascii")


def stamp(path: Path) -> list[object]:
    """What stands for a file's content in a key, without reading it: size and time of change."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]
