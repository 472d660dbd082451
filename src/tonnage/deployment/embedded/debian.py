"""Debian packages: installed where that is harmless, else only unpacked into the cache."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from tonnage.deployment.access import run
from tonnage.deployment.embedded.artifacts import made
from tonnage.errors import ClusterError

APT_TIMEOUT_S = 900.0
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}


def listed(file: Path) -> list[str]:
    """The package names of a list, without comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed."""
    # dpkg-query fails when a single one is unknown; the rest of its answer is still good.
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n"]
    found: set[str] = set()
    for package in packages:
        try:
            answer = run([*asked, package], timeout_s=APT_TIMEOUT_S)
        except ClusterError:
            continue
        found.update(line.split()[1] for line in answer.splitlines() if line.startswith("installed "))
    return [package for package in packages if package not in found]


def install(packages: Sequence[str]) -> None:
    """Install packages with apt-get, asking nothing.

    Raises:
        ClusterError: apt-get failed; the message is its own.
    """
    _with_fresh_lists(["apt-get", "install", "--yes", "--no-install-recommends", *packages])


def unpacked(cache: Path, name: str, packages: Sequence[str]) -> Path:
    """A directory with the packages' files, as they would lie under `/`; nothing is installed or started.

    Raises:
        ClusterError: apt-get or dpkg-deb failed; the message is its own.
    """

    def recipe(into: Path) -> None:
        downloads = into / ".downloads"
        downloads.mkdir(mode=0o777)
        _with_fresh_lists(["apt-get", "download", *packages], folder=downloads)
        for archive in sorted(downloads.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(archive), str(into)], timeout_s=APT_TIMEOUT_S)
        shutil.rmtree(downloads)

    return made(cache, f"debian-{name}", sorted(packages), recipe)


def _with_fresh_lists(command: Sequence[str], *, folder: Path | None = None) -> None:
    """Run apt-get; when it fails, fetch the package lists, which a fresh machine may lack, and try again."""
    inside = ["env", f"--chdir={folder}"] if folder else []
    try:
        run([*inside, *command], timeout_s=APT_TIMEOUT_S, environment=QUIET)
    except ClusterError:
        run(["apt-get", "update"], timeout_s=APT_TIMEOUT_S, environment=QUIET)
        run([*inside, *command], timeout_s=APT_TIMEOUT_S, environment=QUIET)
