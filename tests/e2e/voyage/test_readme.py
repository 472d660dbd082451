"""What a newcomer reads in the README works as it stands there. The tier's last: it ends with `make down`."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tonnage.deployment.embedded import cluster
from tonnage.deployment.embedded.config import EmbeddedConfig

ROOT = Path(__file__).resolve().parents[3]


def commands() -> list[str]:
    """Every line of the README's `sh` blocks, without its comment, in the order that it stands there."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def environment(cluster_config: EmbeddedConfig) -> dict[str, str]:
    """A newcomer's: the environment of the checkout on the PATH, the tier's own cluster."""
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TONNAGE_STATE_DIR": str(cluster_config.state)}


def run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=2400,
        check=False,
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def told(environment: dict[str, str]) -> Iterator[str]:
    """What `make up` printed; the test of `make down` takes it away again."""
    return run("make up", environment)


def test_make_up_ends_with_a_curl_that_works_and_its_answer(told: str, environment: dict[str, str]):
    curl = next(line for line in told.splitlines() if line.startswith("curl "))
    answer = json.loads(run(curl, environment))
    assert len(answer["items"]) == 10
    assert "fallback" not in answer
    assert answer["release"] in told


def test_make_up_shows_how_good_the_release_is_and_how_to_look_around(told: str):
    assert "Judged on unseen days" in told
    for tool in ("kubectl", "helm"):
        assert tool in told


def test_the_commands_for_data_of_your_own_work(told: str, environment: dict[str, str]):
    """Training, packaging and deploying the example beside the shop that is there."""
    own = [command for command in commands() if not command.startswith("make")]
    assert own, "the README shows no command for data of one's own"
    for command in own:
        run(command, environment)


def test_make_serve_answers_within_ninety_seconds(told: str, environment: dict[str, str]):
    """On a laptop, without the cluster; everything before it is there already."""
    serving = subprocess.Popen(
        ["make", "serve"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Ends the services, and so the reading below, when nothing has come by then.
    deadline = threading.Timer(90, os.killpg, (serving.pid, signal.SIGTERM))
    deadline.start()
    said = ""
    try:
        assert serving.stdout is not None
        for line in serving.stdout:
            said += line
            if '"items"' in said:
                break
        assert '"items"' in said, f"no recommendation within 90 s:\n{said}"
    finally:
        deadline.cancel()
        os.killpg(serving.pid, signal.SIGTERM)
        serving.communicate(timeout=60)


def test_make_down_takes_the_cluster_away(
    told: str, environment: dict[str, str], cluster_config: EmbeddedConfig
):
    assert "make down" in commands()
    run("make down", environment)
    assert not cluster.status(cluster_config).running
    assert not cluster_config.state.exists()
