"""How a service begins, and what it is while it runs."""

import logging
import sys
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from tonnage.errors import RequirementError
from tonnage.features import ranking
from tonnage.releases.release import Release, open_release
from tonnage.serving.draining import Draining, drained_on_sigterm
from tonnage.serving.edge import EdgeSettings, Identity
from tonnage.serving.environment import Environment
from tonnage.serving.metrics import Metrics
from tonnage.telemetry import log_as_json

HOSTS = ("bentoml", "uvicorn", "gunicorn.error")
"""Loggers of those who host our applications."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What every running service has.

    Attributes:
        release: open and proven whole.
        identity: who answers.
        metrics: of this process.
        draining: whether it has been told to stop.
        log: says the identity in every line.
    """

    release: Release
    identity: Identity
    metrics: Metrics
    draining: Draining
    log: Any


@contextmanager
def running(
    service: str, environment: Environment, edge: EdgeSettings, release: Release | None = None
) -> Iterator[Running]:
    """Open the release and tell the edge who answers; entered in the event loop, when the server starts.

    Args:
        service: retriever, ranker or recommender.
        environment: what it is told.
        edge: learns who answers.
        release: the one to serve, where the process that forked this one opened and proved it already.

    Raises:
        TonnageError: the release cannot be served, see `open_servable`.
    """
    all_logs_as_json(service)
    release = release or open_servable(environment)
    identity = Identity(service=service, track=environment.track, release=release.id)
    log = structlog.get_logger().bind(service=service, track=identity.track, release=identity.release)
    metrics = Metrics(service=service, track=identity.track, release=identity.release)
    edge.serve_as(identity, metrics, log)
    with drained_on_sigterm(environment.drain_s, edge.leave) as draining:
        log.info("started", directory=str(environment.release_dir))
        yield Running(release=release, identity=identity, metrics=metrics, draining=draining, log=log)
    log.info("stopped")


def all_logs_as_json(service: str) -> None:
    """Make each log line one JSON object: our own, and those of BentoML, uvicorn and gunicorn."""
    log_as_json(service)

    def named(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"service": service, **event}

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                named,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    for name in HOSTS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False


def open_servable(
    environment: Environment, *, verify: bool = True, only: Collection[str] | None = None
) -> Release:
    """Open the release, if it is whole and this code computes the features that its ranker was trained with.

    Args:
        environment: says where it lies.
        verify: read the files and compare their digests, not only names and sizes.
        only: the files that are read for that, see `open_release`.

    Raises:
        NotFoundError: there is no release.
        IntegrityError: a file is not the one that the manifest records.
        RequirementError: another version of this package wrote it, with other feature definitions.
    """
    release = open_release(environment.release_dir, verify=verify, only=only)
    trained_with = release.manifest.features.fingerprint
    own = ranking.names(release.manifest.vocabularies).fingerprint()
    if own != trained_with:
        raise RequirementError(
            "the release was trained with other feature definitions than this service has",
            hint="Serve it with the version of tonnage that trained it, or train again.",
            release=release.id,
            expected=trained_with,
            actual=own,
        )
    return release
