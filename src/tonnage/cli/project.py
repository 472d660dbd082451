"""The project a command works on: its `tonnage.toml`, and where its stages keep their results."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tonnage.errors import ConfigError
from tonnage.settings import Section, read_toml

SECTIONS = ("dataset", "features", "training", "index", "registry", "packaging", "deployment", "canary")

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory with a `tonnage.toml` (or none: then every default holds) and a `build/` beside it."""

    root: Path
    file: Path
    tables: dict[str, dict[str, object]]

    @classmethod
    def open(cls, file: Path = Path("tonnage.toml")) -> "Project":
        """Read the project's file once.

        Raises:
            ConfigError: the file is not TOML, or names a table that no stage has.
        """
        file = file.absolute()
        content = read_toml(file) if file.exists() or file.name != "tonnage.toml" else {}
        unknown = [name for name in content if name not in SECTIONS]
        if unknown:
            raise ConfigError(
                f"unknown {', '.join(f'[{name}]' for name in unknown)}",
                hint=f"Known tables: {', '.join(f'[{name}]' for name in SECTIONS)}.",
                file=file,
            )
        flat = [name for name, value in content.items() if not isinstance(value, dict)]
        if flat:
            raise ConfigError(f"{', '.join(flat)} must be a table, such as [{flat[0]}]", file=file)
        tables = {name: value for name, value in content.items() if isinstance(value, dict)}
        return cls(root=file.parent, file=file, tables=tables)

    def section(self, name: str, kind: type[S]) -> S:
        """The settings of one stage, checked.

        Raises:
            ConfigError: an unknown key or a wrong value, named with its table.
        """
        return kind.read(self.tables.get(name, {}), where=f"{self.file.name} [{name}]")

    @property
    def data(self) -> Path:
        """The three tables and their report."""
        return self.root / "build" / "data"

    @property
    def features(self) -> Path:
        """Feature rows, and the SQLite online store of `tonnage serve`."""
        return self.root / "build" / "features"

    @property
    def releases(self) -> Path:
        """One directory per release."""
        return self.root / "build" / "releases"

    @property
    def mlflow(self) -> Path:
        """The registry's database and artifacts, unless `[registry] uri` names a server."""
        return self.root / "build" / "mlflow"

    @property
    def packaging(self) -> Path:
        """Bentos, images and the Helm values that pin them."""
        return self.root / "build" / "packaging"
