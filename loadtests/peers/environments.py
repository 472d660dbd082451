"""A Python environment for each peer, from its lock, below the cache directory."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tonnage.files import cache_home
from tonnage.telemetry import Progress

LOCKS = Path(__file__).with_name("requirements")


def python_of(lock: str, progress: Progress) -> Path:
    """The interpreter of the environment that `requirements/<lock>.txt` describes, installed if need be.

    Raises:
        subprocess.CalledProcessError: uv could not install it.
    """
    file = LOCKS / f"{lock}.txt"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    place = cache_home() / "peers" / f"{lock}-{digest}"
    # An environment cannot be renamed into place, since its scripts name it; a mark says that it is whole.
    mark = place / ".whole"
    if not mark.exists():
        with progress.stage(f"install {lock}"):
            shutil.rmtree(place, ignore_errors=True)
            _uv("venv", "--quiet", "--python", sys.executable, str(place))
            _uv("pip", "sync", "--quiet", "--require-hashes", "--python", str(place), str(file))
        mark.touch()
    return place / "bin" / "python"


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([str(uv), *arguments], check=True, env=environment, stdin=subprocess.DEVNULL)
