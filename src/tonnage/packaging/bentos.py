"""`bentoml build`, with the release inside."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tonnage.errors import RequirementError
from tonnage.files import whole_file
from tonnage.packaging.bytecode import compile_tree
from tonnage.packaging.commands import run
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.dockerfile import dockerfile_template
from tonnage.packaging.layers import Tree, digest_of, key_of
from tonnage.packaging.runtime import BENTO, OPTIMIZATION, RELEASE
from tonnage.packaging.scratch import scratch
from tonnage.packaging.sources import Sources
from tonnage.releases.release import Release

_RECIPE = 2
_OTHER_LAYERS = shutil.ignore_patterns("release", "requirements.txt", "__pycache__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bento:
    """One built bento.

    Attributes:
        name: such as `retriever`.
        directory: where it lies, in a BentoML store of its own.
        code_key: what its code and its own description depend on.
        key: what all of it depends on, the release included.
    """

    name: str
    directory: Path
    code_key: str
    key: str

    @property
    def version(self) -> str:
        """The release's id."""
        return self.directory.name

    @property
    def tag(self) -> str:
        """Its name in BentoML."""
        return f"{self.name}:{self.version}"

    @property
    def home(self) -> Path:
        """BentoML's home directory that holds it."""
        return self.directory.parents[2]


def demand_visible(directory: Path) -> None:
    """Refuse a directory that BentoML would not build in, before anything is made there.

    Raises:
        RequirementError: it lies in a hidden one.
    """
    resolved = directory.resolve()
    hidden = [part for part in resolved.parts if part.startswith(".")]
    if hidden:
        raise RequirementError(
            f"BentoML builds nothing below a hidden directory, and {hidden[0]} is one",
            hint="Move the project to a place without a directory whose name begins with a dot.",
            directory=resolved,
        )


def build_bento(name: str, release: Release, config: PackagingConfig, sources: Sources, home: Path) -> Bento:
    """Build one bento, unless the store already has the one that would come out.

    Args:
        name: which of `BENTOS`.
        release: goes in whole.
        config: names the Dockerfile's base image.
        sources: the checkout.
        home: BentoML's home directory to build into; a person's own is left alone.

    Raises:
        ClusterError: BentoML refused; the message is its own.
    """
    with scratch(home.parent) as directory:
        context = directory / name
        sources.lay_out(name, context)
        code_key = key_of("code", _RECIPE, name, digest_of(context), BENTO, OPTIMIZATION, version("bentoml"))
        (context / "Dockerfile.j2").write_text(dockerfile_template(config.base_image), encoding="utf-8")
        shutil.copy(sources.requirements(name), context / "requirements.txt")
        key = key_of("bento", _RECIPE, digest_of(context), release.manifest.digest, version("bentoml"))
        target = home / "bentos" / name / release.id
        bento = Bento(name=name, directory=target, code_key=code_key, key=key)
        record = home / "keys" / f"{name}.{release.id}"
        if target.is_dir() and record.exists() and record.read_text(encoding="ascii") == key:
            return bento
        record.unlink(missing_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        _bentoml_build(context, release.id, home)
        # BentoML would copy it twice for each service; a large catalogue's indexes are gigabytes.
        shutil.copytree(release.directory, target / "src" / "release", copy_function=_link_or_copy)
        with whole_file(record) as fresh:
            fresh.write_text(key, encoding="ascii")
    return bento


def _link_or_copy(source: str, target: str) -> None:
    """The same file under another name, or its copy where that is another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _bentoml_build(context: Path, version_: str, home: Path) -> None:
    # A process of its own: the three services are all called `service`, and one process imports that once.
    run(
        [sys.executable, "-m", "bentoml", "build", "--version", version_, "--output", "tag", str(context)],
        hint="Install Tonnage with the extra [pipeline].",
        # BentoML imports the service: 10 s without stored bytecode, 6 s with Feast's type checks.
        environment={
            "BENTOML_HOME": str(home),
            "BENTOML_DO_NOT_TRACK": "True",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONOPTIMIZE": OPTIMIZATION,
        },
        directory=context,
    )


@contextmanager
def code_trees(bento: Bento) -> Iterator[Sequence[Tree]]:
    """The code layer's files: the code with its bytecode, and the bento's description of itself.

    They are there until the block ends.
    """
    with scratch(bento.home.parent) as directory:
        source = directory / "src"
        shutil.copytree(bento.directory / "src", source, ignore=_OTHER_LAYERS)
        compile_tree(source, seen_as=f"{BENTO}/src")
        (directory / "bento").mkdir()
        (directory / "bento" / "bento.yaml").write_text(
            _of_the_code(bento, (bento.directory / "bento.yaml").read_text(encoding="utf-8")),
            encoding="utf-8",
        )
        yield [Tree(source=directory / "bento", at=BENTO), Tree(source=source, at=f"{BENTO}/src")]


def _of_the_code(bento: Bento, described: str) -> str:
    """A bento's description without what changes when its code does not: the hour and the release.

    In an image the version is the code's; the release, a layer of its own, has its id in the image's labels.
    """
    same = re.sub(r"(?m)^creation_time: .*$", "creation_time: '1980-01-01T00:00:00+00:00'", described)
    return re.sub(r"(?m)^version: .*$", f"version: code-{bento.code_key[:12]}", same)


@contextmanager
def model_trees(release: Release) -> Iterator[Sequence[Tree]]:
    """The model layer's files: the release and nothing else, so that all images have the same one."""
    yield [Tree(source=release.directory, at=RELEASE)]
