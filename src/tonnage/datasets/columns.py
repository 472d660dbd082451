"""Cells of a file as the types of our tables; whatever cannot become one is a problem with its rows."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tonnage.datasets.files import Raw
from tonnage.datasets.problems import Problem
from tonnage.datasets.tables import TIME
from tonnage.datasets.times import to_utc

# A date alone ends in -dd as an offset may, so a time of day must stand before it.
WITH_OFFSET = r"[Tt ]\d{2}[\d:.,]*\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"

Mask = NDArray[np.bool_]


class Columns:
    """Reads one file's columns, and gathers what is wrong with them.

    Every method returns values indexed by row number, null where a cell is empty or is a problem.

    Attributes:
        problems: found so far.
        odd_times: how many times lay in an hour that the clock skips or repeats.
    """

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.problems: list[Problem] = []
        self.odd_times = 0

    def __contains__(self, name: str) -> bool:
        return name in self.raw.names

    def text(self, name: str) -> "pd.Series[Any]":
        """Identifiers and words, as str without surrounding spaces; a whole number is its digits."""
        cells = self._cells(name)
        if pa.types.is_floating(cells.type):
            whole = pc.equal(pc.floor(cells), cells)
            self._add(
                name, _mask(pc.invert(whole)), "not whole numbers", "an identifier is text or a whole number"
            )
            cells = pc.if_else(whole, cells, None).cast(pa.int64(), safe=False)
        if not (_is_text(cells) or pa.types.is_integer(cells.type) or pa.types.is_null(cells.type)):
            return self._wrong_type(name, "text")
        trimmed = pc.utf8_trim_whitespace(cells.cast(pa.large_string()))
        return self._series(pc.if_else(pc.equal(trimmed, ""), None, trimmed).to_pandas().astype(object))

    def number(self, name: str) -> "pd.Series[float]":
        """Finite numbers as float64."""
        cells = self._cells(name)
        if _is_text(cells):
            parsed = pd.to_numeric(cells.to_pandas().astype(object), errors="coerce")
            values = np.array(parsed, dtype=float)
            given = _mask(cells.is_valid())
        elif _is_number(cells) or pa.types.is_null(cells.type):
            values = np.array(cells.cast(pa.float64(), safe=False).to_numpy(), dtype=float)
            given = ~np.isnan(values)
        else:
            return self._wrong_type(name, "a number").astype(float)
        bad = given & ~np.isfinite(values)
        self._add(name, bad, "not finite numbers", "write 1234.5, without a unit or a thousands separator")
        return self._series(np.where(bad, np.nan, values)).astype(float)

    def time(self, name: str, *, zone: str | None, form: str | None) -> "pd.Series[Any]":
        """Moments as datetime64[us, UTC].

        Args:
            name: our column name.
            zone: IANA name for the ones that carry no zone.
            form: strptime format; ISO 8601 where None.
        """
        cells = self._cells(name)
        if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
            naive = getattr(cells.type, "tz", None) is None
            stamps = self._series(
                pd.to_datetime(cells.to_pandas().astype("datetime64[us]" if naive else TIME))
            )
            return self._local(name, stamps, zone) if naive else stamps.astype(TIME)
        if not _is_text(cells):
            return self._wrong_type(name, "a timestamp")
        text = self._series(cells.to_pandas().astype(object)).str.strip()
        aware = text.str.contains(WITH_OFFSET, regex=True, na=False)
        if form is not None:
            aware = aware & ("%z" in form)
        # Apart: pandas reads a wall-clock time with the offset of the row before it, where there is one.
        moments, local = (self._parsed(name, part, form) for part in (text.where(aware), text.mask(aware)))
        return moments.fillna(self._local(name, local.dt.tz_localize(None).astype("datetime64[us]"), zone))

    def _parsed(self, name: str, text: "pd.Series[Any]", form: str | None) -> "pd.Series[Any]":
        """Moments in UTC; wall-clock times are taken as if their zone were UTC."""
        parsed = pd.to_datetime(text, format=form or "ISO8601", errors="coerce", utc=True)
        bad = (text.notna() & parsed.isna()).to_numpy()
        remedy = "write 2024-05-31T16:20:00+02:00, or say time_format in [dataset.interactions]"
        self._add(name, bad, "not a time", remedy)
        return parsed.astype(TIME)

    def _local(self, name: str, naive: "pd.Series[Any]", zone: str | None) -> "pd.Series[Any]":
        if zone is None:
            remedy = 'say timezone = "Europe/Berlin", or whichever it is, in [dataset.interactions]'
            self._add(name, naive.notna().to_numpy(), "times without a time zone", remedy)
            return pd.Series(pd.NaT, index=naive.index, dtype=TIME)
        moments, odd = to_utc(naive, zone)
        self.odd_times += odd
        return moments

    def _cells(self, name: str) -> pa.ChunkedArray:
        cells = self.raw.cells[name]
        return cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells

    def _series(self, values: Any) -> "pd.Series[Any]":
        return pd.Series(
            np.asarray(values) if not isinstance(values, pd.Series) else values.array, index=self.raw.numbers
        )

    def _wrong_type(self, name: str, wanted: str) -> "pd.Series[Any]":
        self._add(
            name, np.ones(0, bool), f"is {self.raw.cells[name].type}, not {wanted}", "convert it", always=True
        )
        return pd.Series(None, index=self.raw.numbers, dtype=object)

    def _add(self, name: str, bad: Mask, what: str, remedy: str, *, always: bool = False) -> None:
        if not always and not bad.any():
            return
        at = np.flatnonzero(bad)
        cells = self.raw.cells[name]
        self.problems.append(
            Problem(
                file=self.raw.file,
                column=self.raw.names[name],
                what=what,
                remedy=remedy,
                rows=self.raw.numbers[at].tolist(),
                values=[str(cells[int(position)].as_py()) for position in at[:5]],
            )
        )


def _is_text(cells: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type))


def _is_number(cells: pa.ChunkedArray) -> bool:
    kind = cells.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _mask(values: Any) -> Mask:
    """True where the value is true; null is not."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=bool)
