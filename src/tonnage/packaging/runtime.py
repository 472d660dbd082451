"""Where things are in an image and how its process runs; layers, config and Dockerfile agree on this."""

from collections.abc import Mapping
from dataclasses import dataclass

UID = 1034
"""User and group of the process; BentoML's own number, so that pods need not tell the images apart."""

PYTHON = "/usr/bin/python3.11"
ENVIRONMENT = "/opt/venv"
SITE_PACKAGES = f"{ENVIRONMENT}/lib/python3.11/site-packages"
BENTO = "/home/bentoml/bento"
RELEASE = f"{BENTO}/src/release"
"""`bentoml build` puts everything below `src`."""

PORT = 3000

OPTIMIZATION = "1"
"""Of Python: assertions are for tests. The layers hold bytecode of this level only."""

PYTHON_VARIABLES = {
    "PATH": f"{ENVIRONMENT}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Otherwise Feast adds type checks to itself at import: 3.6 s of CPU instead of 1.0, per process.
    "PYTHONOPTIMIZE": OPTIMIZATION,
    # /tmp is the only place that a pod with a read-only root can write to.
    "HOME": "/tmp",  # noqa: S108
}
"""What every process of an image runs with."""

VARIABLES = {
    **PYTHON_VARIABLES,
    "BENTOML_HOME": "/tmp/bentoml",  # noqa: S108
    "BENTOML_PORT": str(PORT),
    "BENTOML_CONTAINERIZED": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "TONNAGE_RELEASE_DIR": RELEASE,
}

ENTRYPOINT = (
    f"{ENVIRONMENT}/bin/python",
    *("-m", "bentoml", "serve", BENTO),
    # uvicorn's 5 s are shorter than the idle time of gateways and of our own pool: they would meet resets.
    *("--timeout-keep-alive", "75"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What an image runs.

    Attributes:
        entrypoint: the program and its first arguments.
        variables: its environment.
        directory: where it starts.
        port: that it listens on; None for a process that is told.
    """

    entrypoint: tuple[str, ...]
    variables: Mapping[str, str]
    directory: str
    port: int | None


SERVICE = Process(entrypoint=ENTRYPOINT, variables=VARIABLES, directory=BENTO, port=PORT)
"""A bento."""


def labels(*, bento: str, release: str) -> dict[str, str]:
    """Labels and annotations of an image, after the OCI image specification."""
    return {
        "org.opencontainers.image.title": bento,
        "org.opencontainers.image.description": f"Tonnage {bento} with release {release}",
        "org.opencontainers.image.version": release,
        "org.opencontainers.image.base.name": "debian",
        "tonnage.dev/bento": bento,
        "tonnage.dev/release": release,
    }
