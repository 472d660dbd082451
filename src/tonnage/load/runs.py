"""The folder of one load run: what was asked and answered, and what the pods did meanwhile.

run.json            `Facts`
requests.parquet    one row per request, `REQUESTS`
server.parquet      one row per pod and sample, `SERVER`; absent when nothing was sampled
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AwareDatetime, Field

from tonnage.errors import ConfigError, LoadError
from tonnage.files import whole_directory, whole_file
from tonnage.settings import Section

FACTS_FILE, REQUESTS_FILE, SERVER_FILE = "run.json", "requests.parquet", "server.parquet"

Columns = Mapping[str, Sequence[Any] | np.ndarray]
"""Values by column, all of one length."""


def _never(name: str, kind: Any) -> Any:
    return pa.field(name, kind, nullable=False)


REQUESTS = pa.schema(
    [
        _never("at_s", pa.float64()),  # start of the request, seconds since the run began
        _never("name", pa.string()),  # as in Locust's statistics
        _never("status", pa.uint16()),  # 0: nothing came back
        _never("ms", pa.float32()),  # until the answer was there, or was given up
        _never("failure", pa.string()),  # why it was no good answer; empty: it was
        _never("retry_after", pa.bool_()),  # whether the answer said when to come again
    ]
)
"""What is known of a request."""

SERVER = pa.schema(
    [
        _never("at_s", pa.float64()),  # seconds since the run began
        _never("pod", pa.string()),
        _never("track", pa.string()),
        _never("bento", pa.string()),
        _never("release", pa.string()),
        pa.field("memory_working_set", pa.uint64()),  # bytes
        _never("memory_limit", pa.uint64()),  # bytes; 0: none
        pa.field("cpu_s", pa.float64()),  # cumulative
        _never("cpu_limit", pa.float64()),  # cores; 0: none
        pa.field("periods", pa.uint64()),  # cumulative, of CFS bandwidth control
        pa.field("throttled", pa.uint64()),  # those of them in which the pod had to wait
        pa.field("queue", pa.float64()),  # requests that wait for their turn
        pa.field("in_flight", pa.float64()),  # requests being answered
        pa.field("refused", pa.float64()),  # cumulative
        _never("restarts", pa.uint32()),  # cumulative
        _never("oom_killed", pa.bool_()),  # whether a container ended so since the run began
        _never("ready", pa.bool_()),
    ]
)
"""What is known of a pod at one moment; null is what could not be measured."""


class Generator(Section):
    """How busy those who asked were: what they measure is their own slowness once they are too busy."""

    processes: int = Field(ge=1)
    """That made requests."""

    cpu_share_mean: float = Field(ge=0, allow_inf_nan=False)
    """Of one core, by the busiest process, over the run."""

    cpu_share_max: float = Field(ge=0, allow_inf_nan=False)
    """The same in its busiest moment."""

    cores: int = Field(ge=1)
    """That the machine of the processes has."""


class Facts(Section):
    """`run.json`: what the run was."""

    schema_version: Literal[1] = 1

    name: str
    """What a person calls it."""

    host: str
    """Address that was asked."""

    started: AwareDatetime
    """When, with its timezone."""

    seconds: float = Field(ge=0, allow_inf_nan=False)
    """How long requests were made."""

    shape: str
    """How the rate went over time: steady, ramp, spike, diurnal, soak."""

    users: int = Field(ge=0)
    """Simulated people at the most."""

    seed: int
    """Of everything that was drawn."""

    generator: Generator

    releases: tuple[str, ...] = ()
    """Ids of the releases that answered, as far as they said so."""

    interrupted: bool = False
    """Whether it was ended before its time."""


class Run:
    """One run as its folder tells it. Tables are read, and checked, when they are first asked for.

    Args:
        folder: of the run.

    Raises:
        LoadError: there is no run, or its facts are not those of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = _facts(folder)

    @cached_property
    def requests(self) -> Any:
        """Arrow table of `REQUESTS`.

        Raises:
            LoadError: it is absent, or holds something else.
        """
        table = _read(self.folder / REQUESTS_FILE, REQUESTS)
        _require_least(table, "at_s", "ms", file=self.folder / REQUESTS_FILE)
        return table

    @cached_property
    def server(self) -> Any | None:
        """Arrow table of `SERVER`; None when nothing was sampled.

        Raises:
            LoadError: it holds something else.
        """
        file = self.folder / SERVER_FILE
        if not file.exists():
            return None
        table = _read(file, SERVER)
        _require_least(table, "at_s", "cpu_s", "cpu_limit", "queue", "in_flight", "refused", file=file)
        return table


def require_free(folder: Path) -> None:
    """Check, before a run begins, that it can be written there.

    Raises:
        LoadError: something is there already.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise LoadError("something is there already", hint="Name a new folder for the run.", folder=folder)


def write_run(folder: Path, facts: Facts, requests: Columns, server: Columns | None = None) -> Run:
    """Write a run, whole or not at all.

    Args:
        folder: that does not exist yet, or is empty.
        facts: of it.
        requests: columns of `REQUESTS`.
        server: columns of `SERVER`; None when nothing was sampled.

    Raises:
        LoadError: the folder is taken, or columns are missing or of the wrong kind.
    """
    require_free(folder)
    tables = {REQUESTS_FILE: _table(requests, REQUESTS)}
    if server is not None:
        tables[SERVER_FILE] = _table(server, SERVER)
    with whole_directory(folder) as fresh:
        for name, table in tables.items():
            pq.write_table(table, fresh / name, compression="zstd")
        (fresh / FACTS_FILE).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Run(folder)


def write_server(folder: Path, server: Columns) -> None:
    """Add what the pods did to a run that is written already, in the place of what was there.

    Raises:
        LoadError: columns are missing or of the wrong kind.
    """
    with whole_file(folder / SERVER_FILE) as fresh:
        pq.write_table(_table(server, SERVER), fresh, compression="zstd")


def _table(columns: Columns, schema: Any) -> Any:
    try:
        return pa.table(dict(columns), schema=schema)
    except (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError) as error:
        raise LoadError(f"not the rows of a run: {error}", columns=", ".join(schema.names)) from error


def _facts(folder: Path) -> Facts:
    file = folder / FACTS_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadError("there is no run", hint=f"Its folder has a {FACTS_FILE}.", folder=folder) from error
    except ValueError as error:
        raise LoadError(f"not valid JSON: {error}", file=file) from error
    if not isinstance(content, dict):
        raise LoadError("not the facts of a run: no JSON object", file=file)
    try:
        return Facts.read(content, where=str(file))
    except ConfigError as error:
        raise LoadError(error.problem, hint=error.hint) from error


def _read(file: Path, schema: Any) -> Any:
    try:
        table = pq.read_table(file, partitioning=None)
        absent = [name for name in schema.names if name not in table.column_names]
        if absent:
            raise LoadError(f"columns are missing: {', '.join(absent)}", file=file)
        # A column without a value where there must be one cannot be cast either.
        table = table.select(schema.names).cast(schema)
        table.validate(full=True)
    except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
        raise LoadError(f"not the rows of a run: {_first_line(error)}", file=file) from error
    return table


def _require_least(table: Any, *columns: str, file: Path) -> None:
    """Times and counts are numbers from 0."""
    for column in columns:
        values = table[column].drop_null()
        if not pc.all(pc.and_(pc.is_finite(values), pc.greater_equal(values, 0)), min_count=0).as_py():
            raise LoadError(f"{column} has values that are no number from 0", file=file)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
