"""MLServer with its XGBoost runtime: `python mlserver_server.py PORT`, the model in the environment."""

import json
import os
import socket
import sys
from pathlib import Path


def free_port() -> int:
    """A port for gRPC, which MLServer always opens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    home = Path(os.environ["HOME"])
    settings = {
        "host": "127.0.0.1",
        "http_port": int(sys.argv[1]),
        "grpc_port": free_port(),
        "metrics_endpoint": None,
        # In the server's own process: the hop to a worker costs more than it brings on one core.
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": "scorer",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": os.environ["MODEL"]},
    }
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model))
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", str(home)])  # noqa: S606
