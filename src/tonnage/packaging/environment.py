"""The environment layer: what `requirements/<bento>.txt` locks, without what a server never reads."""

import fnmatch
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tonnage.errors import RequirementError
from tonnage.packaging.bytecode import compile_tree, python_of_images
from tonnage.packaging.commands import run
from tonnage.packaging.layers import Tree, key_of
from tonnage.packaging.runtime import ENVIRONMENT, PYTHON, SITE_PACKAGES
from tonnage.packaging.scratch import scratch

UNNEEDED_FILES = (
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.pxi",
    "*.h",
    "*.hpp",
    "*.c",
    "*.cc",
    "*.cpp",
    "*.a",
    "*.js.map",
)
"""For type checkers and compilers."""

UNNEEDED_DIRECTORIES = ("__pycache__", "tests")
"""At any depth. Libraries' own tests; what they import at run time is called `testing`."""

UNNEEDED_PATHS = (
    "*__mypyc.*.so",  # of the type checker, see mypy below; no other library compiled so lies at the top
    "bin",  # their first line names the interpreter that installed them; the entry point runs modules
    "dask/*/tests",
    "feast/ui",  # a web application
    "mypy",  # a type checker, required by feast's extras of SQLAlchemy
    "mypyc",
    "pyarrow/_flight.*",  # RPC between Arrow processes; `import pyarrow` links every other large library
    "pyarrow/include",
    "pyarrow/libarrow_flight.*",
    "pyarrow/libarrow_python_flight.*",
    "pyarrow/src",
    "requirements",  # feast's own lock files
)
"""Below `site-packages`: large, and imported by nothing that serves (a test starts each image)."""

_RECIPE = 2
_PLATFORMS = {"x86_64": "x86_64-manylinux_2_36", "aarch64": "aarch64-manylinux_2_36"}


def environment_key(requirements: Path) -> str:
    """What the environment layer depends on."""
    unneeded = (UNNEEDED_FILES, UNNEEDED_DIRECTORIES, UNNEEDED_PATHS)
    locked = requirements.read_text(encoding="utf-8")
    return key_of("environment", _RECIPE, locked, unneeded, ENVIRONMENT, PYTHON, os.uname().machine)


@contextmanager
def environment_trees(requirements: Path, cache: Path) -> Iterator[Sequence[Tree]]:
    """Install what a file locks as a virtual environment; it is there until the block ends.

    Only wheels, and only those whose hash the file has. Made by this machine's uv and copied into the image,
    so that neither the network nor a certificate of this machine is ever in one.

    Raises:
        RequirementError: no uv, or a processor that images are not made for.
        ClusterError: uv failed: no network, a wheel is missing, or a hash is wrong.
    """
    with scratch(cache) as directory:
        root = directory / "venv"
        packages = root / Path(SITE_PACKAGES).relative_to(ENVIRONMENT)
        packages.mkdir(parents=True)
        _install(requirements, packages)
        _prune(packages)
        compile_tree(packages, seen_as=SITE_PACKAGES)
        (root / "pyvenv.cfg").write_text(
            f"home = {Path(PYTHON).parent}\ninclude-system-site-packages = false\nversion = 3.11\n",
            encoding="ascii",
        )
        (root / "bin").mkdir()
        for name in ("python", "python3", "python3.11"):
            (root / "bin" / name).symlink_to(PYTHON)
        yield [Tree(source=root, at=ENVIRONMENT)]


def _install(requirements: Path, packages: Path) -> None:
    machine = os.uname().machine
    if machine not in _PLATFORMS:
        raise RequirementError(f"images are made for {' and '.join(_PLATFORMS)}, not for {machine}")
    run(
        [
            *("uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--python", python_of_images(), "--python-version", "3.11"),
            *(
                "--python-platform",
                _PLATFORMS[machine],
                "--target",
                str(packages),
                "--requirements",
                str(requirements),
            ),
        ],
        hint="Install uv.",
    )


def _prune(packages: Path) -> None:
    for pattern in UNNEEDED_PATHS:
        for path in packages.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for directory, children, files in os.walk(packages):
        for name in [child for child in children if child in UNNEEDED_DIRECTORIES]:
            shutil.rmtree(Path(directory, name))
            children.remove(name)
        for name in files:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in UNNEEDED_FILES):
                Path(directory, name).unlink()
