"""What `[registry]` and `[index]` in `tonnage.toml` may say."""

from pathlib import Path

from pydantic import Field, field_validator

from tonnage.index import RECALL_FLOOR, VARIANTS
from tonnage.settings import Section


class RegistryConfig(Section):
    """Where releases are registered.

    Attributes:
        uri: an MLflow server or database; by default an SQLite file in the project's `build/mlflow`.
        model: name of the registered model; `<model>.promotions` beside it holds the history.
        artifacts: where a database keeps files, URI; a server decides that itself.
    """

    uri: str | None = None
    model: str = Field(default="recommender", pattern=r"^[A-Za-z0-9_.-]+$", max_length=200)
    artifacts: str | None = None

    def location(self, home: Path) -> tuple[str, str | None]:
        """URI of the registry, and of the files where it is a database.

        Args:
            home: directory for the registry that needs no server.
        """
        if self.uri is not None:
            return self.uri, self.artifacts
        return f"sqlite:///{home / 'mlflow.db'}", self.artifacts or (home / "artifacts").as_uri()


class IndexConfig(Section):
    """Which index variants a release holds.

    Attributes:
        variants: names from `tonnage.index.VARIANTS`; by default all that fit the catalogue's size.
        recall_floor: no pod serves a variant that finds a smaller share of the exact top 100.
    """

    variants: tuple[str, ...] | None = Field(default=None, min_length=1)
    recall_floor: float = Field(default=RECALL_FLOOR, ge=0, le=1)

    @field_validator("variants")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        unknown = sorted(set(names or ()) - set(VARIANTS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such variant; there are {', '.join(VARIANTS)}")
        return names
