"""Compiling Python ahead: a pod's root is read-only, what is not compiled here is compiled at each start."""

import platform
import sys
from pathlib import Path

from tonnage.errors import ClusterError, RequirementError
from tonnage.packaging.commands import run
from tonnage.packaging.runtime import OPTIMIZATION


def python_of_images() -> str:
    """An interpreter that compiles what the image's reads.

    Raises:
        RequirementError: this is not Python 3.11, and uv knows none either.
    """
    if platform.python_version_tuple()[:2] == ("3", "11"):
        return sys.executable
    try:
        return run(["uv", "python", "find", "3.11"], hint="Install uv.").strip()
    except ClusterError as error:
        raise RequirementError(
            "images run Python 3.11, and this machine has none to compile their bytecode with",
            hint="`uv python install 3.11`.",
        ) from error


def compile_tree(directory: Path, *, seen_as: str) -> None:
    """Compile every module below a directory, reproducibly.

    Args:
        directory: what to compile.
        seen_as: its path in the image; tracebacks show it.
    """
    # Unchecked hashes: no times in the files, and none compared at import.
    # Hash seed: sets are stored in its order.
    run(
        [
            *(python_of_images(), "-m", "compileall", "-q", "-o", OPTIMIZATION),
            *("--invalidation-mode", "unchecked-hash"),
            *("-s", str(directory), "-p", seen_as, str(directory)),
        ],
        hint="Install Python 3.11.",
        environment={"PYTHONHASHSEED": "0"},
    )
