"""What a service is told by its environment, read once when it starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tonnage.errors import ConfigError
from tonnage.serving.memory.quantity import read_quantity

PREFIX = "TONNAGE_"

RELEASE_DIR = Path("/home/bentoml/bento/src/release")
"""Where packaging puts the release in an image; images hold no packaging to ask."""


def _bytes_of(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read_quantity(value)
    except ConfigError as error:
        # pydantic names the variable, this what is wrong with it.
        raise ValueError(str(error)) from error


Quantity = Annotated[int, BeforeValidator(_bytes_of)]
"""Bytes, written as Kubernetes writes them."""


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

    queue_ms: float = Field(100.0, gt=0)
    """Longest time that a request that is let in should spend inside; see `serving.admission`."""

    grpc_port: int = Field(0, ge=0, le=65535)
    """Port of the retriever's and the ranker's second door, gRPC; 0 leaves it shut."""

    memory_limit: Quantity | None = None
    """What the processes of the pod may use together, such as `512Mi`; by default the cgroup's limit."""

    index: str | None = None
    """The one index variant that the retriever may serve, such as `hnsw-i8`; by default the memory plan's."""

    hot_swap: bool = False
    """Whether the retriever takes new vectors and new indexes while it serves. Whoever reaches its port may
    send them, so the port must be reachable for trusted callers only."""

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
                f"{PREFIX}{'.'.join(map(str, loc)).upper()}: {said[0].lower()}{said[1:]}"
                for loc, said in ((each["loc"], each["msg"]) for each in error.errors())
            )
            raise ConfigError(f"the environment is not usable: {problems}") from error
