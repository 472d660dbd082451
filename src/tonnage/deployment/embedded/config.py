"""Where one embedded cluster keeps what."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tonnage.errors import ConfigError, RequirementError
from tonnage.files import cache_home

MASKED = (Path("/run"), Path("/var/lib"), Path("/var/log"))
"""The cluster sees its own empty file systems here, so its state cannot lie in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedConfig:
    """One embedded cluster; its state directory is its identity.

    Args:
        state: everything that belongs to this cluster; `down` removes it.
        cache: built programs and images, shared by all clusters of a user and kept by `down`.
        sources: the project's `devcluster` folder.
    """

    state: Path
    cache: Path
    sources: Path

    @classmethod
    def of(cls, environment: Mapping[str, str], *, sources: Path | None = None) -> "EmbeddedConfig":
        """The user's own cluster, by the XDG directories; `TONNAGE_STATE_DIR` names another state directory.

        Args:
            environment: usually `os.environ`; read here and nowhere deeper.
            sources: the `devcluster` folder; by default that of the checkout this package is in.

        Raises:
            RequirementError: this is not a checkout, so there is nothing to build a cluster from.
            ConfigError: the state or the cache would lie where the cluster cannot see it.
        """
        home = Path(environment.get("HOME", "/root"))
        state = environment.get("TONNAGE_STATE_DIR") or (
            Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state") / "tonnage" / "cluster"
        )
        sources = sources or Path(__file__).resolve().parents[4] / "devcluster"
        if not (sources / "kubernetes" / "go.mod").exists():
            raise RequirementError(
                "the embedded cluster is built from the project's devcluster folder, which is not there",
                hint="Run from a checkout of Tonnage, or use your own cluster with --context.",
                folder=sources,
            )
        config = cls(
            state=Path(state).resolve(), cache=cache_home(environment).resolve(), sources=sources.resolve()
        )
        config._check()
        return config

    @property
    def tag(self) -> str:
        """Six hex digits that tell the clusters of one machine apart; in the names of device and cgroup."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    @property
    def cgroup(self) -> str:
        """Name of the control group that holds every process of this cluster."""
        return f"tonnage-{self.tag}"

    @property
    def device(self) -> str:
        """Name of the network device on this machine's side."""
        return f"tng-{self.tag}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig" / "admin.yaml"

    @property
    def logs(self) -> Path:
        """One log file per process, and the pods' logs."""
        return self.state / "logs"

    def _check(self) -> None:
        for path in (self.state, self.cache, self.sources):
            for masked in MASKED:
                if path.is_relative_to(masked):
                    raise ConfigError(
                        f"the embedded cluster cannot use a directory under {masked}",
                        hint="Set TONNAGE_STATE_DIR or XDG_CACHE_HOME to another place.",
                        directory=path,
                    )
