"""Every rule for Online Retail keeps what it should, and counts what it leaves out."""

from typing import Any

import pandas as pd
import pytest

from tonnage.datasets.online_retail import tables
from tonnage.datasets.tables import Loaded
from tonnage.errors import DataError

LINE: dict[str, Any] = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HEART",
    "Quantity": 6,
    "InvoiceDate": pd.Timestamp("2011-01-05 08:26"),
    "UnitPrice": 2.55,
    "CustomerID": 17850.0,
    "Country": "United Kingdom",
}


def loaded(*changes: dict[str, Any]) -> Loaded:
    """The good line, and one line per change of it."""
    return tables(pd.DataFrame([LINE, *({**LINE, **change} for change in changes)]), origin="test")


def left_out(result: Loaded) -> dict[str, int]:
    return {each.rule: each.rows for each in result.report.decisions if each.rows}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"InvoiceNo": "C536379", "Quantity": -1}, "cancellation (invoice begins with C)"),
        ({"Quantity": -3}, "quantity not above zero"),
        ({"StockCode": "POST", "Description": "POSTAGE"}, "not goods (code does not begin with a digit)"),
        ({"StockCode": "gift_0001_20"}, "not goods (code does not begin with a digit)"),
        ({"CustomerID": None}, "no customer"),
        ({"UnitPrice": 0.0}, "price not above zero"),
        ({"Description": None}, "no description"),
        ({}, "line repeated word for word within an invoice"),
    ],
)
def test_a_row_that_is_no_purchase_is_left_out_and_counted(change: dict[str, Any], rule: str):
    result = loaded(change)
    assert len(result.tables.interactions) == 1
    assert left_out(result) == {rule: 1}


def test_a_row_counts_at_the_first_rule_that_it_meets():
    """The counts must add up to the rows that are missing."""
    result = loaded({"InvoiceNo": "C1", "Quantity": -1, "StockCode": "POST", "CustomerID": None})
    assert sum(left_out(result).values()) == 1


def test_a_cancellation_does_not_take_the_purchase_with_it():
    """At the time of the purchase nobody knew of it: taking it away would tell training the future."""
    result = loaded({"InvoiceNo": "C536379", "Quantity": -6, "InvoiceDate": pd.Timestamp("2011-02-01")})
    assert result.tables.interactions["quantity"].tolist() == [6.0]


def test_times_are_uk_wall_clock_and_become_utc():
    summer = loaded({"InvoiceDate": pd.Timestamp("2011-07-05 08:26"), "InvoiceNo": "2"})
    assert [str(at) for at in summer.tables.interactions["at"]] == [
        "2011-01-05 08:26:00+00:00",
        "2011-07-05 07:26:00+00:00",
    ]


def test_an_event_keeps_its_id_when_other_rows_of_its_invoice_are_left_out():
    """Ids are the line's number on the invoice, so a new rule does not make old events new."""
    with_postage = loaded({"StockCode": "POST"}, {"StockCode": "22423"})
    assert with_postage.tables.interactions["event_id"].tolist() == ["536365-1", "536365-3"]


def test_codes_that_differ_in_case_are_one_item():
    assert loaded({"StockCode": "85123a", "Quantity": 1}).tables.items["item_id"].tolist() == ["85123A"]


def test_the_title_is_what_was_written_most_often_and_latest_of_equals():
    day = pd.Timestamp("2011-03-01")
    often = loaded({"Description": "TYPO", "InvoiceDate": day}, {"Quantity": 1})
    assert often.tables.items["title"].tolist() == ["WHITE HEART"]
    renamed = loaded({"Description": "CREAM  HEART ", "InvoiceDate": day})
    assert renamed.tables.items["title"].tolist() == ["CREAM HEART"]


def test_the_price_is_the_median_so_that_wholesale_does_not_set_it():
    result = loaded({"UnitPrice": 2.55, "Quantity": 2}, {"UnitPrice": 0.4, "Quantity": 2000})
    assert result.tables.items["price"].tolist() == [2.55]


def test_the_users_country_is_the_latest():
    moved = loaded({"Country": "France", "InvoiceDate": pd.Timestamp("2011-05-01")})
    assert moved.tables.users.to_dict("records") == [{"user_id": "17850", "country": "France"}]


def test_a_file_that_is_something_else_is_named():
    with pytest.raises(DataError, match="no column StockCode"):
        tables(pd.DataFrame([LINE]).drop(columns="StockCode"), origin="other.parquet")


@pytest.mark.parametrize(
    ("column", "value"), [("InvoiceDate", "2011-01-05"), ("Quantity", "six"), ("CustomerID", "x")]
)
def test_a_column_of_another_type_is_named(column: str, value: str):
    with pytest.raises(DataError, match=f"{column} is object"):
        tables(pd.DataFrame([{**LINE, column: value}]), origin="other.parquet")


def test_nothing_left_is_an_error_and_not_an_empty_table():
    with pytest.raises(DataError, match="no purchase is left"):
        tables(pd.DataFrame([{**LINE, "CustomerID": float("nan")}]), origin="test")
