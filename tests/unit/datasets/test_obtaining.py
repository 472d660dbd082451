"""Online Retail is read where it lies, else from the cache, else downloaded and proven."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tonnage.datasets import obtaining
from tonnage.datasets.config import DatasetConfig
from tonnage.errors import DataError, DependencyError
from tonnage.telemetry import Silent

CSV = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART,6,12/1/2010 8:26,2.55,17850.0,United Kingdom
536366,22633,NA,-1,12/1/2010 13:28,1.85,,France
"""


class _Mirror(http.server.BaseHTTPRequestHandler):
    content = CSV.encode()
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def mirror() -> Iterator[type[_Mirror]]:
    handler = type("Mirror", (_Mirror,), {"asked": 0})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}/data.csv"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def config(tmp_path: Path, url: str) -> DatasetConfig:
    return DatasetConfig(path=Path("absent.parquet"), cache=tmp_path / "cache", url=url)


def test_a_download_is_proven_and_kept(
    mirror: type[_Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    raw = obtaining._parsed(CSV.encode())
    monkeypatch.setattr(obtaining, "DIGEST", obtaining.content_digest(raw))
    for _ in range(2):
        found, _ = obtaining.online_retail(config(tmp_path, mirror.url), root=tmp_path, progress=Silent())
        pd.testing.assert_frame_equal(found, raw)
    assert mirror.asked == 1
    assert found["InvoiceDate"].tolist() == [
        pd.Timestamp("2010-12-01 08:26"),
        pd.Timestamp("2010-12-01 13:28"),
    ]
    assert found["Description"].tolist() == ["WHITE HANGING HEART", "NA"]


def test_a_download_with_other_content_is_refused_and_not_kept(mirror: type[_Mirror], tmp_path: Path):
    """A mirror that changed one number would change every figure that is compared."""
    with pytest.raises(DataError, match="not Online Retail as published"):
        obtaining.online_retail(config(tmp_path, mirror.url), root=tmp_path, progress=Silent())
    assert not (tmp_path / "cache").exists()


def test_a_page_that_is_no_csv_is_refused(mirror: type[_Mirror], tmp_path: Path):
    mirror.content = b"<html>Sign in to the guest network</html>"
    with pytest.raises(DataError, match="not Online Retail's CSV"):
        obtaining.online_retail(config(tmp_path, mirror.url), root=tmp_path, progress=Silent())


def test_an_address_that_does_not_answer_says_what_to_do_instead(tmp_path: Path):
    with pytest.raises(DependencyError, match="simulator"):
        obtaining.online_retail(
            config(tmp_path, "http://127.0.0.1:1/data.csv"), root=tmp_path, progress=Silent()
        )


def test_a_damaged_copy_is_named(tmp_path: Path):
    (tmp_path / "absent.parquet").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"absent\.parquet"):
        obtaining.online_retail(config(tmp_path, "http://127.0.0.1:1/"), root=tmp_path, progress=Silent())


def test_the_digest_does_not_depend_on_the_format(tmp_path: Path):
    raw = obtaining._parsed(CSV.encode())
    raw.to_parquet(tmp_path / "same.parquet")
    assert obtaining.content_digest(pd.read_parquet(tmp_path / "same.parquet")) == obtaining.content_digest(
        raw
    )
