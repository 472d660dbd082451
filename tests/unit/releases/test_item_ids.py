"""Ids are found where they are mapped, whatever they look like."""

import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.releases.item_ids import ItemIds, lookup_of

texts = st.text(st.characters(codec="utf-8"), max_size=12)


def ids_of(items: list[str], kind: pa.DataType | None = None) -> ItemIds:
    column = pa.chunked_array([pa.array(items, kind or pa.string())])
    return ItemIds(column, lookup_of(column))


@given(st.lists(texts, unique=True, max_size=40), st.lists(texts, max_size=10))
def test_it_answers_as_a_dictionary_would(items: list[str], others: list[str]):
    expected = {item: row for row, item in enumerate(items)}
    for kind in (pa.string(), pa.large_string()):
        ids = ids_of(items, kind)
        assert dict(ids) == expected
        asked = [*others, *items]
        assert ids.rows(asked).tolist() == [expected.get(item, -1) for item in asked]
        assert ids.ids(np.arange(len(items), dtype=np.int32)) == items


def test_ids_with_the_same_sum_are_told_apart():
    """CRC-32 of a million ids has collisions; each would show one item in place of another."""
    first, second = "plumless", "buckeroo"
    assert zlib.crc32(first.encode()) == zlib.crc32(second.encode())
    ids = ids_of(["a", second, "b", first])
    assert (ids[first], ids[second]) == (3, 1)


def test_text_that_is_no_utf_8_is_unknown():
    with pytest.raises(KeyError):
        ids_of(["a"])["\ud800"]
