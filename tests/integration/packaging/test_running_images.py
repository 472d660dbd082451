"""Each image starts as a pod would start it: as nobody in particular, and unable to write but to /tmp."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
from tests.integration.packaging.conftest import Dock

from tonnage.packaging.config import BENTOS
from tonnage.packaging.images import Image, Layout
from tonnage.packaging.pipeline import Packaged
from tonnage.serving.local import free_port

START_TIMEOUT_S = 120.0

CONFINED = """
set -e
root=$1; user=$2; shift 2
mkdir -p "$root/proc" "$root/dev"
echo "127.0.0.1 localhost" > "$root/etc/hosts"
mount --bind "$root" "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,ro,bind "$root"
exec chroot --userspec="$user" "$root" env --ignore-environment "$@"
"""
"""The root read-only, /tmp its own file system, /etc/hosts as runtimes give it, the image's environment."""


def _unpack(layout: Layout, image: Image, root: Path) -> None:
    root.mkdir()
    for layer in image.layers:
        with subprocess.Popen(["tar", "-xpf", "-", "-C", str(root)], stdin=subprocess.PIPE) as tar:
            assert tar.stdin is not None
            with pa.input_stream(str(layout.blob(layer.digest)), compression="zstd") as content:
                shutil.copyfileobj(content, tar.stdin, 1 << 20)
        assert tar.returncode == 0


@contextmanager
def _running(layout: Layout, image: Image, root: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The image's own entry point, user and environment; its log lies beside the root."""
    config = json.loads(layout.blob(image.config).read_bytes())["config"]
    environment = [*config["Env"], f"BENTOML_PORT={port}", "TONNAGE_ONLINE_STORE=sqlite:////tmp/online.db"]
    isolated = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "sh",
        "-c",
        CONFINED,
        "sh",
        str(root),
    ]
    with root.with_suffix(".log").open("wb") as out:
        process = subprocess.Popen(
            [*isolated, config["User"], *environment, *config["Entrypoint"]], stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        _end(process)
        shutil.rmtree(root)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The program inside is the first of its own pid namespace: with it ends everything there.

    `unshare --kill-child` would not do: its signal is forgotten when the program changes its user.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    process.wait(timeout=20)


def _answer(url: str, process: subprocess.Popen[bytes]) -> str:
    """The first good answer, with its headers; nothing when the process ends before it."""
    ask = [
        "curl",
        "--silent",
        "--fail",
        "--include",
        "--max-time",
        "5",
        "--retry",
        "5",
        "--retry-all-errors",
        url,
    ]
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        asked = subprocess.run(ask, check=False, capture_output=True, text=True)
        if asked.returncode == 0:
            return asked.stdout
    return ""


@pytest.mark.parametrize("bento", BENTOS)
def test_a_service_starts_on_a_read_only_root_as_a_user_without_rights(
    bento: str, dock: Dock, packaged: tuple[Packaged, Packaged], tmp_path: Path
) -> None:
    """What was cut from the image, or wants to write beside itself, shows here and not in a cluster."""
    image = packaged[1].built[bento]
    _unpack(dock.layout, image, tmp_path / "root")
    port = free_port()
    # The recommender is ready only with its neighbours; alone it can say what it holds.
    path = {"recommender": "/v1/release"}.get(bento, "/v2/health/ready")
    with _running(dock.layout, image, tmp_path / "root", port) as process:
        answer = _answer(f"http://127.0.0.1:{port}{path}", process)
    log = (tmp_path / "root.log").read_text(encoding="utf-8")
    assert dock.second.id in answer, log[-3000:]
