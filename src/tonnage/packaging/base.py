"""The base layer: a small Debian with Python 3.11 and nothing that only a person at a shell would need."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tonnage.errors import RequirementError
from tonnage.packaging.bytecode import compile_tree
from tonnage.packaging.commands import run
from tonnage.packaging.config import PackagingConfig
from tonnage.packaging.layers import Tree, key_of
from tonnage.packaging.runtime import UID
from tonnage.packaging.scratch import scratch

PACKAGES = ("libpython3.11-stdlib", "python3.11-minimal")

UNNEEDED = (
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "var/log",
    "usr/lib/python3.11/lib2to3",
    "usr/lib/python3.11/test",
)
"""Left out of the layer. dpkg's records stay, so that scanners know what is installed, and so do licences."""

_EMPTY = ("etc/hostname", "etc/machine-id", "etc/resolv.conf")
"""debootstrap copies these from the machine it runs on."""

_RECIPE = 2


def base_key(config: PackagingConfig) -> str:
    """What the base layer depends on."""
    return key_of("base", _RECIPE, config.suite, config.mirror, PACKAGES, UNNEEDED, os.uname().machine)


@contextmanager
def base_trees(config: PackagingConfig, cache: Path) -> Iterator[Sequence[Tree]]:
    """Make the root file system; it is there until the block ends.

    Raises:
        RequirementError: not root, or no debootstrap.
        ClusterError: debootstrap failed, for example without a network.
    """
    if os.geteuid() != 0:
        raise RequirementError(
            "the base layer is made by debootstrap, which must be root",
            hint="Run as root, or use --backend docker or podman.",
        )
    with scratch(cache) as directory:
        root = directory / "root"
        _bootstrap(config, root)
        _slim(root)
        _identify(root)
        compile_tree(root / "usr/lib/python3.11", seen_as="/usr/lib/python3.11")
        yield [Tree(source=root, at="/", owners=True, excluded=frozenset({"dev", "proc", "sys", "run"}))]


def _bootstrap(config: PackagingConfig, root: Path) -> None:
    # A mount namespace of its own: what debootstrap mounts is gone with it, however it ends.
    isolated = ("unshare", "--mount", "--fork", "--kill-child")
    options = ("--variant=minbase", f"--include={','.join(PACKAGES)}")
    mirror = (config.mirror,) if config.mirror else ()
    run(
        [*isolated, "debootstrap", *options, config.suite, str(root), *mirror],
        hint="Install the Debian package debootstrap.",
    )


def _slim(root: Path) -> None:
    for path in UNNEEDED:
        shutil.rmtree(root / path, ignore_errors=True)
    for cached in root.rglob("__pycache__"):
        shutil.rmtree(cached)
    for copyright_of in (root / "usr/share/doc").iterdir():
        for file in [copyright_of] if copyright_of.is_symlink() else list(copyright_of.iterdir()):
            if file.name != "copyright":
                shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()


def _identify(root: Path) -> None:
    for name in _EMPTY:
        (root / name).write_text("", encoding="ascii")
    for name, line in (
        ("passwd", f"bentoml:x:{UID}:{UID}::/home/bentoml:/usr/sbin/nologin\n"),
        ("group", f"bentoml:x:{UID}:\n"),
        ("shadow", "bentoml:!::::::::\n"),
        ("gshadow", "bentoml:!::\n"),
    ):
        # Backup copies hold the day of the last change; so does field three of shadow, cleared here.
        (root / f"etc/{name}-").unlink(missing_ok=True)
        file = root / "etc" / name
        lines = file.read_text(encoding="ascii").splitlines(keepends=True)
        if name == "shadow":
            lines = [":".join([*each.split(":")[:2], "", *each.split(":")[3:]]) for each in lines]
        file.write_text("".join(lines) + line, encoding="ascii")
