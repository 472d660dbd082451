"""What every module of the package promises."""

import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tonnage
from tonnage.errors import TonnageError

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tonnage.__path__, "tonnage.")
    if not module.name.endswith("__main__")
)
FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc"}


def test_every_public_exception_descends_from_the_root():
    """One root decides exit codes and HTTP statuses; a stray class would be a traceback for a person."""
    strays = [
        f"{name}.{member.__name__}"
        for name in MODULES
        for member in vars(importlib.import_module(name)).values()
        if inspect.isclass(member)
        and issubclass(member, Exception)
        and member.__module__ == name
        and not member.__name__.startswith("_")
        and not issubclass(member, TonnageError)
    ]
    assert strays == []


def test_no_module_is_a_room_without_a_name():
    assert [name for name in MODULES if FORBIDDEN & set(name.split("."))] == []


def test_no_module_is_longer_than_four_hundred_lines():
    package = Path(tonnage.__file__).parent
    lengths = {file.name: len(file.read_text().splitlines()) for file in package.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_importing_does_nothing(tmp_path: Path):
    """No directory made, no variable needed: it imports with an empty environment in an empty folder."""
    done = subprocess.run(
        [sys.executable, "-c", "import tonnage.cli, tonnage.serving, tonnage.releases, tonnage.features"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bentoml", "feast", "mlflow", "ibis", "xgboost"])
def test_the_command_starts_without_heavy_libraries(name: str):
    """`tonnage --help` must answer at once."""
    code = f"import sys, tonnage.cli; tonnage.cli.build(); sys.exit({name!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
