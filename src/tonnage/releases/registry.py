"""The registry: which releases there are, who is champion, who was when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tonnage.domain import ReleaseId
from tonnage.errors import InputError, IntegrityError, NotFoundError
from tonnage.files import whole_directory
from tonnage.releases import promotions
from tonnage.releases.mlflow_store import MlflowStore, Version
from tonnage.releases.promotions import Action, Entry
from tonnage.releases.release import Release, open_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One release as the registry knows it.

    Attributes:
        version: number of the model version in MLflow.
        status: `accepted`, or `rejected` where a baseline was better.
        digest: of the manifest's content, hex.
        aliases: of champion, previous and challenger, those that the release has.
        registered_at: UTC.
        run_id: the MLflow run that holds its metrics and files.
    """

    id: ReleaseId
    version: int
    status: str
    digest: str
    aliases: tuple[str, ...]
    registered_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """One release with what is kept about its training."""

    registered: Registered
    metrics: Mapping[str, float]
    params: Mapping[str, str]


class Registry:
    """Releases in MLflow, at any URI that MLflow takes.

    Every method raises DependencyError when MLflow fails or does not answer. The promotion log decides who is
    champion; MLflow's aliases follow it. An interruption between the two does no harm: readers ask the log,
    and the next command sets the aliases right.

    Args:
        uri: of tracking and registry: `sqlite:///...`, `http://...`, ...
        model_name: name of the registered model.
        artifacts: where files go, URI; None leaves it to the server.
    """

    def __init__(self, uri: str, model_name: str, artifacts: str | None = None) -> None:
        self._store = MlflowStore(uri, model_name, artifacts)

    def register(self, release: Release) -> Registered:
        """Record a release with its metrics and files, as challenger if it was accepted; once is enough."""
        if all(each.release != release.id for each in self._store.versions()):
            self._store.create(release)
        self._align()
        return self.show(release.id).registered

    def promote(self, name: str, *, by: str, reason: str = "", force: bool = False) -> Registered:
        """Make a release champion; the former champion becomes `previous`.

        Args:
            name: release id, or an alias such as `challenger`.
            by: who does it, for the history.
            reason: why, for the history; required with `force`.
            force: also where a baseline was better.

        Raises:
            NotFoundError: there is no such release.
            InputError: it was rejected and is not forced with a reason, or somebody else changed the champion
                meanwhile; nothing was done.
        """
        log = self._store.log()
        version = self._find(name, log)
        if version.status != "accepted" and not (force and reason.strip()):
            raise InputError(
                "the release does not beat its baselines, so it was rejected",
                hint="Promote it all the same with --force and --reason.",
                release=version.release,
            )
        if promotions.champions(log)[-1:] != [version.release]:
            self._append("promote", version, log, by=by, reason=reason)
        self._align()
        return self.show(version.release).registered

    def rollback(self, *, by: str, reason: str = "") -> Registered:
        """Make the champion before this one champion again; once more walks one further back.

        Raises:
            NotFoundError: there was no champion before.
            InputError: somebody else changed the champion meanwhile; nothing was done.
        """
        log = self._store.log()
        standing = promotions.champions(log)
        if len(standing) < 2:
            raise NotFoundError("no champion to roll back to", hint="See `tonnage release history`.")
        version = self._find(standing[-2], log)
        self._append("rollback", version, log, by=by, reason=reason)
        self._align()
        return self.show(version.release).registered

    def champion(self) -> Registered | None:
        """The release that should serve, or None before the first promotion."""
        return next((each for each in self.list() if promotions.CHAMPION in each.aliases), None)

    def list(self) -> Sequence[Registered]:
        """Every release, the newest first."""
        versions = self._store.versions()
        names = _aliases(self._store.log(), versions)
        return [_registered(each, names) for each in reversed(versions)]

    def show(self, name: str) -> Details:
        """One release by its id or by an alias.

        Raises:
            NotFoundError: there is none.
        """
        log = self._store.log()
        version = self._find(name, log)
        metrics, params = self._store.run(version)
        registered = _registered(version, _aliases(log, self._store.versions()))
        return Details(registered=registered, metrics=metrics, params=params)

    def history(self) -> Sequence[Entry]:
        """Every change of the champion that held, oldest first."""
        return promotions.in_force(self._store.log())

    def fetch(self, name: str, directory: Path) -> Release:
        """Download a release to `directory/<id>`, whole or not at all; a whole copy there is left alone.

        Raises:
            NotFoundError: there is no such release.
            IntegrityError: what the registry holds is not what was registered.
        """
        version = self._find(name, self._store.log())
        target = directory / version.release
        try:
            return _genuine(target, version)
        except (NotFoundError, IntegrityError):
            directory.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=directory, prefix=".") as place:
            source = self._store.download(version, Path(place))
            _genuine(source, version)
            with whole_directory(target) as fresh:
                for child in source.iterdir():
                    child.rename(fresh / child.name)
        return _genuine(target, version)

    def _find(self, name: str, log: Sequence[Entry]) -> Version:
        versions = self._store.versions()
        wanted = _aliases(log, versions).get(name) or name
        for each in versions:
            if each.release == wanted:
                return each
        raise NotFoundError(
            f"no release {name!r} is registered",
            hint="List them with `tonnage release list`.",
            model=self._store.model,
        )

    def _append(
        self, action: Action, version: Version, log: Sequence[Entry], *, by: str, reason: str
    ) -> None:
        known = promotions.head(promotions.in_force(log))
        number = self._store.append(action, version, based_on=known, by=by, reason=reason)
        if all(entry.number != number for entry in self.history()):
            now = promotions.champions(self._store.log())[-1]
            raise InputError(
                f"somebody else made {now} champion at the same moment, so nothing was done",
                hint="Look at `tonnage release history`, then run it again if you still want to.",
                release=version.release,
            )

    def _align(self) -> None:
        """Make MLflow's aliases what the log says."""
        wanted: dict[str, int | None] | None = None
        # Somebody may write between our reading and our writing; whoever reads what he wrote is done.
        while wanted != (now := self._wanted_aliases()):
            wanted = now
            self._store.set_aliases(wanted)

    def _wanted_aliases(self) -> dict[str, int | None]:
        versions = self._store.versions()
        numbers = {each.release: each.number for each in versions}
        names = _aliases(self._store.log(), versions)
        return {alias: numbers.get(release) if release else None for alias, release in names.items()}


def _aliases(log: Sequence[Entry], versions: Sequence[Version]) -> dict[str, ReleaseId | None]:
    numbers = {each.release: each.number for each in versions}
    accepted = [each.release for each in versions if each.status == "accepted"]
    return promotions.aliases(log, numbers, accepted)


def _registered(version: Version, names: Mapping[str, ReleaseId | None]) -> Registered:
    return Registered(
        id=version.release,
        version=version.number,
        status=version.status,
        digest=version.digest,
        aliases=tuple(alias for alias, release in names.items() if release == version.release),
        registered_at=version.registered_at,
        run_id=version.run_id,
    )


def _genuine(directory: Path, version: Version) -> Release:
    release = open_release(directory)
    if release.manifest.digest != version.digest:
        raise IntegrityError(
            "this is not the release that was registered",
            release=version.release,
            expected=version.digest,
            actual=release.manifest.digest,
        )
    return release
