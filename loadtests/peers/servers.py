"""How each server is started with the model, asked with the candidates, and understood."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tonnage.domain import Floats
from tonnage.serving.protocol import oip

PROGRAMS = Path(__file__).with_name("programs")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form of the request.

    Attributes:
        name: what is asked with, in words.
        path: to POST to.
        headers: of the request.
        body: of the request.
        scores: reads them from the headers and the body of the answer.
    """

    name: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    scores: Callable[[Mapping[str, str], bytes], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One server.

    Attributes:
        name: of it.
        lock: names the environment; None for the project's own.
        command: from interpreter, model and port to what starts it, run in `PROGRAMS`.
        ready: path that answers 200 when it is.
        forms: in which it is asked.
        environment: more variables, from the model's path and a directory for its own files.
    """

    name: str
    lock: str | None
    command: Callable[[Path, Path, int], Sequence[str]]
    ready: str
    forms: Sequence[Form]
    environment: Callable[[Path, Path], Mapping[str, str]] = field(default=lambda _model, _own: {})


def contestants(candidates: Floats, release_dir: Path) -> list[Contestant]:
    """Ours first, then its peers, each as its own documentation starts it.

    Args:
        candidates: what each is asked with.
        release_dir: a release for ours to identify itself by.
    """
    plain = json.dumps({"features": candidates.tolist()}).encode()
    ours = "/v2/models/ranker/infer"
    theirs = "/v2/models/scorer/infer"
    return [
        Contestant(
            name="Tonnage",
            lock=None,
            command=lambda python, model, port: [str(python), "tonnage_server.py", str(model), str(port)],
            ready="/v2/health/ready",
            forms=[protocol(ours, candidates, binary=True), protocol(ours, candidates, binary=False)],
            environment=lambda _model, _own: {
                "TONNAGE_RELEASE_DIR": str(release_dir),
                "TONNAGE_ACCESS_LOG_EVERY": "1000000",
            },
        ),
        Contestant(
            name="KServe SDK",
            lock="kserve",
            command=lambda python, model, port: [
                *(str(python), "kserve_server.py", str(model)),
                *("--http_port", str(port), "--enable_grpc", "false"),
            ],
            ready="/v2/health/ready",
            forms=[protocol(theirs, candidates, binary=False), protocol(theirs, candidates, binary=True)],
        ),
        Contestant(
            name="MLServer",
            lock="mlserver",
            command=lambda python, _model, port: [str(python), "mlserver_server.py", str(port)],
            ready="/v2/models/scorer/ready",
            forms=[protocol(theirs, candidates, binary=False)],
            environment=lambda model, own: {"MODEL": str(model), "HOME": str(own)},
        ),
        Contestant(
            name="LitServe",
            lock="litserve",
            command=lambda python, model, port: [str(python), "litserve_server.py", str(model), str(port)],
            ready="/health",
            forms=[Form(name="JSON", path="/predict", headers=JSON, body=plain, scores=_litserve)],
        ),
        Contestant(
            name="BentoML, plain",
            lock="bentoml",
            command=lambda python, _model, port: [
                *(str(python), "-m", "bentoml", "serve", "bentoml_service:Scorer"),
                *("--host", "127.0.0.1", "--port", str(port), "--timeout-keep-alive", "75"),
            ],
            ready="/readyz",
            forms=[Form(name="JSON", path="/score", headers=JSON, body=plain, scores=_plain)],
            environment=lambda model, own: {"MODEL": str(model), "BENTOML_HOME": str(own)},
        ),
    ]


def protocol(path: str, candidates: Floats, *, binary: bool) -> Form:
    """The Open Inference Protocol, with the matrix as JSON or behind it as bytes."""
    body, length = oip.encode_request({"features": candidates}, binary=binary)
    if length is None:
        return Form(name="OIP JSON", path=path, headers=JSON, body=body, scores=_protocol)
    headers = {"content-type": "application/octet-stream", oip.HEADER_LENGTH: str(length)}
    return Form(name="OIP binary", path=path, headers=headers, body=body, scores=_protocol)


def own_python() -> Path:
    """The project's own interpreter."""
    return Path(sys.executable)


def _protocol(headers: Mapping[str, str], body: bytes) -> Floats:
    length = headers.get(oip.HEADER_LENGTH.lower())
    answer = oip.decode_response(body, None if length is None else int(length))
    return np.asarray(next(iter(answer.values())), np.float32).ravel()


def _litserve(_headers: Mapping[str, str], body: bytes) -> Floats:
    return np.array(json.loads(body)["scores"], np.float32)


def _plain(_headers: Mapping[str, str], body: bytes) -> Floats:
    return np.array(json.loads(body), np.float32)
