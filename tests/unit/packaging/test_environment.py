"""What is cut from an environment is what no server reads."""

from pathlib import Path

from tonnage.packaging import environment
from tonnage.packaging.environment import environment_key

KEPT = ("pyarrow/lib.so", "numpy/testing/__init__.py", "pandas/core/frame.py", "numpy-2.dist-info/METADATA")
CUT = (
    "pyarrow/libarrow_flight.so.2500",
    "pyarrow/include/arrow/api.h",
    "pandas/tests/frame/test_api.py",
    "numpy/__init__.pyi",
    "bin/uvicorn",
    "mypy/build.py",
    "pydantic/__pycache__/main.cpython-311.pyc",
)


def test_only_what_serves_stays(tmp_path: Path) -> None:
    for name in (*KEPT, *CUT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment._prune(tmp_path)
    left = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()}
    assert left == set(KEPT)


def test_another_lock_is_another_environment(tmp_path: Path) -> None:
    lock = tmp_path / "ranker.txt"
    lock.write_text("numpy==2.4.6 --hash=sha256:aa\n", encoding="utf-8")
    before = environment_key(lock)
    assert environment_key(lock) == before
    lock.write_text("numpy==2.4.6 --hash=sha256:bb\n", encoding="utf-8")
    assert environment_key(lock) != before
