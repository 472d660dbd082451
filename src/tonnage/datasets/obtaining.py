"""Getting Online Retail: the file that the project names, the copy kept from last time, or UCI."""

import hashlib
import http.client
import io
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from tonnage.datasets.config import DatasetConfig
from tonnage.datasets.online_retail import COLUMNS
from tonnage.errors import DataError, DependencyError
from tonnage.files import whole_file
from tonnage.telemetry import Progress

DIGEST = "754806c9d5229450efc6177066e7ca1bd58c3615685293c36e407f791059a997"
"""`content_digest` of the 541,909 published rows."""

ANSWER_S = 15
TOTAL_S = 300
TOTAL_BYTES = 200_000_000
"""The published CSV has about 50 MB."""


def online_retail(config: DatasetConfig, *, root: Path, progress: Progress) -> tuple[pd.DataFrame, str]:
    """The published rows, and where they were found.

    Raises:
        DataError: what was found is not Parquet, or what UCI sent is not Online Retail as published.
        DependencyError: it is not on this machine, and UCI cannot be reached.
    """
    given, kept = root / config.path, config.download
    for path, name in ((given, str(config.path)), (kept, str(kept))):
        if path.is_file():
            progress.say(f"reading {name}")
            return _read(path), name
    progress.say(f"neither {config.path} nor {kept} is there: downloading {config.url}")
    raw = _parsed(_download(config.url))
    if (found := content_digest(raw)) != DIGEST:
        what = "what was downloaded is not Online Retail as published"
        raise DataError(what, url=config.url, expected=DIGEST, actual=found)
    with whole_file(kept) as fresh:
        raw.to_parquet(fresh, index=False)
    return raw, config.url


def content_digest(raw: pd.DataFrame) -> str:
    """Digest of the rows, hex; the same for a CSV, a spreadsheet and a Parquet file of the same content."""
    columns = {
        "InvoiceNo": raw["InvoiceNo"].astype(str),
        "StockCode": raw["StockCode"].astype(str),
        "Description": raw["Description"].fillna("").astype(str).str.split().str.join(" "),
        "Quantity": raw["Quantity"].astype("int64").astype(str),
        "InvoiceDate": raw["InvoiceDate"].dt.strftime("%Y-%m-%dT%H:%M"),
        "UnitPrice": (raw["UnitPrice"] * 1000).round().astype("int64").astype(str),
        "CustomerID": raw["CustomerID"].fillna(0).astype("int64").astype(str),
        "Country": raw["Country"].astype(str),
    }
    digest = hashlib.sha256()
    for values in columns.values():
        digest.update("\n".join(values).encode() + b"\0")
    return digest.hexdigest()


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        what = f"not a Parquet file: {str(error).splitlines()[0][:200]}"
        raise DataError(what, hint="Delete it; it is downloaded again.", file=path) from error


def _download(url: str) -> bytes:
    deadline, content = time.monotonic() + TOTAL_S, bytearray()
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:  # noqa: S310 - the setting takes only http(s)
            while piece := answer.read(1 << 20):
                content += piece
                if time.monotonic() > deadline or len(content) > TOTAL_BYTES:
                    raise TimeoutError(f"{len(content):,} bytes in {TOTAL_S} s are not the end of it")
    except (OSError, http.client.HTTPException) as error:
        raise DependencyError(
            f"Online Retail is not on this machine and cannot be downloaded: {error}",
            hint='Put it where [dataset] path says, or set source = "simulator" (`tonnage data --simulate`).',
            url=url,
        ) from error
    return bytes(content)


def _parsed(content: bytes) -> pd.DataFrame:
    text: Any = dict.fromkeys(("InvoiceNo", "StockCode", "Description", "InvoiceDate", "Country"), str)
    try:
        # "NA" is no missing value here: the words of a description are whatever they are.
        raw = pd.read_csv(io.BytesIO(content), dtype=text, keep_default_na=False, na_values=[""])
        times = pd.to_datetime(raw["InvoiceDate"], format="%m/%d/%Y %H:%M").astype("datetime64[us]")
        return raw.assign(InvoiceDate=times)[list(COLUMNS)]
    except (ValueError, KeyError) as error:
        raise DataError(f"what was downloaded is not Online Retail's CSV: {error}") from error
