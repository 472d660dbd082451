"""Releases and promotions as MLflow holds them; nothing else in this package knows MLflow.

A release is a version of the registered model `<model>`, with a run that holds its metrics and files.
An entry of the promotion log is a version of `<model>.promotions`: MLflow numbers versions in one transaction
with their tags, which is the one atomic append that every MLflow server and database offers.
"""

import logging
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from tonnage.domain import ReleaseId
from tonnage.errors import DependencyError
from tonnage.releases.manifest import Manifest
from tonnage.releases.promotions import Action, Entry
from tonnage.releases.release import Release
from tonnage.releases.summary import metrics_of, params_of

ARTIFACT = "release"
"""Path of the release directory among a run's files."""

PAGE = 1000
"""Versions that one search asks for."""

METRICS_PER_CALL = 900
"""MLflow takes at most 1000 metrics, parameters and tags in one call."""

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The defaults keep a person waiting for minutes when the server's address is wrong.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
"""MLflow reads these from the environment only; a value that is set already is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One release as a model version.

    Attributes:
        number: of the version; a later one is higher.
        status: `accepted`, or `rejected` where a baseline was better.
        digest: of the manifest's content, hex.
        registered_at: UTC.
        run_id: the run with its metrics and files.
    """

    release: ReleaseId
    number: int
    status: str
    digest: str
    registered_at: datetime
    run_id: str


class MlflowStore:
    """Reads and writes at one MLflow; every method raises DependencyError when MLflow fails.

    Args:
        uri: of tracking and registry: `sqlite:///...`, `http://...`, whatever MLflow takes.
        model: name of the registered model.
        artifacts: where files go, URI; None leaves it to the server.
    """

    def __init__(self, uri: str, model: str, artifacts: str | None = None) -> None:
        self.uri = uri
        self.model = model
        self._log_model = f"{model}.promotions"
        self._artifacts = artifacts

    def versions(self) -> list[Version]:
        """Every release, oldest first. Registered twice at the same moment, it counts once."""
        with self._plainly() as client:
            found = [_version(each) for each in _all_versions(client, self.model) if "release" in each.tags]
        first = {each.release: each for each in reversed(found)}
        return sorted(first.values(), key=lambda each: each.number)

    def create(self, release: Release) -> None:
        """Add a release. The version comes last: an interruption leaves a run, never half a release."""
        manifest = release.manifest
        tags = {
            "release": release.id,
            "digest": manifest.digest,
            "status": "accepted" if manifest.evaluation.accepted else "rejected",
        }
        with self._plainly() as client:
            _ensure_model(client, self.model, "Releases of a recommender, one version each.")
            run = client.create_run(self._experiment(client), run_name=release.id, tags=tags)
            run_id = run.info.run_id
            _log_numbers(client, run_id, manifest)
            client.log_artifacts(run_id, str(release.directory), ARTIFACT)
            client.set_terminated(run_id)
            client.create_model_version(
                self.model,
                f"{run.info.artifact_uri}/{ARTIFACT}",
                run_id,
                tags=tags,
                description="\n".join(manifest.evaluation.reasons),
            )

    def run(self, version: Version) -> tuple[Mapping[str, float], Mapping[str, str]]:
        """Metrics and parameters of a release."""
        with self._plainly() as client:
            data = client.get_run(version.run_id).data
            return data.metrics, data.params

    def download(self, version: Version, directory: Path) -> Path:
        """Copy the files of a release below `directory`; returns where they lie."""
        with self._plainly() as client:
            return Path(client.download_artifacts(version.run_id, ARTIFACT, str(directory)))

    def log(self) -> list[Entry]:
        """Every entry of the promotion log, void ones too, oldest first."""
        with self._plainly() as client:
            entries = [_entry(each) for each in _all_versions(client, self._log_model)]
        return sorted(entries, key=lambda each: each.number)

    def append(self, action: Action, version: Version, *, based_on: int, by: str, reason: str) -> int:
        """Add an entry to the promotion log; returns its number."""
        tags = {"action": action, "release": version.release, "based_on": str(based_on), "by": by}
        with self._plainly() as client:
            _ensure_model(client, self._log_model, f"Who was champion of {self.model} when; append only.")
            source = f"{client.get_run(version.run_id).info.artifact_uri}/{ARTIFACT}"
            created = client.create_model_version(
                self._log_model, source, version.run_id, tags=tags | ({"reason": reason} if reason else {})
            )
            return int(created.version)

    def set_aliases(self, wanted: Mapping[str, int | None]) -> None:
        """Give each alias to the version with that number, or take it away; others stay as they are."""
        with self._plainly() as client:
            present = client.get_registered_model(self.model).aliases
            for alias, number in wanted.items():
                if number is None and alias in present:
                    client.delete_registered_model_alias(self.model, alias)
                elif number is not None and str(present.get(alias)) != str(number):
                    client.set_registered_model_alias(self.model, alias, str(number))

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.model)
        if found is None:
            return str(client.create_experiment(self.model, artifact_location=self._artifacts))
        return str(found.experiment_id)

    @cached_property
    def _client(self) -> Any:
        # At first use: MLflow takes seconds to import, and a database's tables are made here.
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        # Deprecations inside MLflow are not for people who run `tonnage`.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            client.search_registered_models(max_results=1)
        return client

    @contextmanager
    def _plainly(self) -> Iterator[Any]:
        """Yield the client; whatever it and the libraries below it raise becomes one kind of error."""
        try:
            yield self._client
        except Exception as error:
            if not _is_mlflow_failure(error):
                raise
            sentence = _without_password(str(error).split("\n", 1)[0][:300])
            raise DependencyError(
                f"the MLflow registry failed: {sentence}",
                hint="Is the server up, and [registry] uri in tonnage.toml right?",
                uri=_without_password(self.uri),
            ) from error


def _is_mlflow_failure(error: Exception) -> bool:
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    return isinstance(
        error, MlflowException | requests.RequestException | sqlalchemy.exc.SQLAlchemyError | OSError
    )


def _without_password(text: str) -> str:
    return re.sub(r"(://[^:/@\s]+):[^@\s]+@", r"\1:***@", text)


def _ensure_model(client: Any, name: str, description: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_numbers(client: Any, run_id: str, manifest: Manifest) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in metrics_of(manifest).items()]
    params = [Param(name, text) for name, text in params_of(manifest).items()]
    client.log_batch(run_id, metrics=metrics[:METRICS_PER_CALL], params=params)
    for start in range(METRICS_PER_CALL, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def _all_versions(client: Any, model: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{model}'", max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _version(found: Any) -> Version:
    return Version(
        release=ReleaseId(found.tags["release"]),
        number=int(found.version),
        status=found.tags["status"],
        digest=found.tags["digest"],
        registered_at=_moment(found.creation_timestamp),
        run_id=found.run_id,
    )


def _entry(found: Any) -> Entry:
    return Entry(
        number=int(found.version),
        based_on=int(found.tags["based_on"]),
        action=cast("Action", found.tags["action"]),
        release=ReleaseId(found.tags["release"]),
        at=_moment(found.creation_timestamp),
        by=found.tags["by"],
        reason=found.tags.get("reason", ""),
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
