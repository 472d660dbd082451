"""How a stage reads its part of `tonnage.toml`: typed, frozen, and strict about unknown keys."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tonnage.errors import ConfigError


class Section(BaseModel):
    """One table of `tonnage.toml`. Each stage declares its own, beside the code that uses it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, table: Mapping[str, object], *, where: str) -> Self:
        """Check a table and make it a value.

        Args:
            table: the keys as parsed.
            where: how a person finds the table, such as `tonnage.toml [training]`.

        Raises:
            ConfigError: every unknown key and every wrong value, named.
        """
        try:
            return cls.model_validate(dict(table))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'table'}: {_in_words(each['type'], each['msg'])}"
                for each in error.errors()
            )
            known = ", ".join(cls.model_fields)
            raise ConfigError(f"{where}: {problems}.", hint=f"Known keys: {known}.") from error


def _in_words(kind: str, message: str) -> str:
    return "unknown key" if kind == "extra_forbidden" else message[0].lower() + message[1:]


def read_toml(path: Path) -> dict[str, object]:
    """Parse a TOML file.

    Raises:
        ConfigError: the file is absent or is not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            "there is no such file", hint="Start from examples/tonnage.toml.", file=path
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", file=path) from error
