"""What a service is told by its environment, read once when it starts."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tonnage.errors import ConfigError

PREFIX = "TONNAGE_"

RELEASE_DIR = Path("/home/bentoml/bento/src/release")
"""Where packaging puts the release in an image; images hold no packaging to ask."""


class Environment(BaseModel):
    """The variables `TONNAGE_<FIELD>`; what is not set has the value for one service on one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_dir: Path = RELEASE_DIR
    """The release that the service holds."""

    track: str = Field("stable", pattern=r"^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$")
    """Name of the track that the service belongs to."""

    retriever_url: str = Field("http://127.0.0.1:3001", pattern=r"^https?://")
    ranker_url: str = Field("http://127.0.0.1:3002", pattern=r"^https?://")

    online_store: str = "sqlite:///online.db"
    """`redis://host:port/0` or `sqlite:///path`; of the recommender only."""

    deadline_ms: float = Field(250.0, gt=0)
    """Time within which a recommendation is answered, with what is there by then."""

    drain_s: float = Field(0.0, ge=0)
    """How long a service that was told to stop goes on serving while its readiness is off."""

    workers: int = Field(1, ge=1)
    """Processes of the service; each holds its own copy of what is not mapped from files."""

    access_log_every: int = Field(1, ge=1)
    """One in so many successful requests is logged; failures are logged always."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Environment":
        """Take the variables that have a field here.

        Others with the prefix are left alone: Kubernetes invents `TONNAGE_..._SERVICE_HOST` for a Service
        whose name begins with `tonnage-`.

        Raises:
            ConfigError: a value that cannot be; each is named.
        """
        given = {
            field: variables[name]
            for field in cls.model_fields
            if (name := f"{PREFIX}{field.upper()}") in variables
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{PREFIX}{'.'.join(map(str, each['loc'])).upper()}: {each['msg'].lower()}"
                for each in error.errors()
            )
            raise ConfigError(f"the environment is not usable: {problems}") from error
