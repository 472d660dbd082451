"""`tonnage serve`, from the command line."""

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest


def test_serve_answers_and_leaves_nothing_behind(shop, tmp_path):
    """The command that is printed works, and ending the command ends all three services."""
    (tmp_path / "tonnage.toml").touch()
    command = [
        *(sys.executable, "-c", "from tonnage.cli import main; main()", "serve", "--port", "0"),
        *("--release", str(shop.release.directory), "--project", str(tmp_path / "tonnage.toml")),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if "Ctrl-C" in line:
                break
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    text = "".join(said)
    curl = next(line for line in said if line.startswith("curl"))
    port = int(curl.rstrip().rsplit(":", 1)[1].split("/")[0])
    answer = json.loads(text[text.index("{\n") : text.rindex("}") + 1])
    assert answer["release"] == shop.release.id
    assert len(answer["items"]) == 5
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection("127.0.0.1", port, timeout=5).connect()
