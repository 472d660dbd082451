"""What is counted of slates, and how it is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tonnage.domain import ItemId
from tonnage.serving.metrics import Metrics
from tonnage.serving.slate_metrics import BUCKETS, COUNTED, SlateMetrics, bucket_of
from tonnage.serving.slates import Placed, Slate

LABELS = {"service": "recommender", "track": "stable", "release": "r-20260101-00000000"}


def slate(positions: list[int], candidates: int = 500) -> Slate:
    items = [
        Placed(item=ItemId(f"{10000 + at}"), title=None, score=2.5, sources=[], position=at)
        for at in positions
    ]
    return Slate(items=items, at=0.0, candidates={"all": candidates})


def test_agreement_is_one_at_the_top_zero_at_the_end_and_near_a_half_by_chance():
    assert slate([2, 0, 1]).agreement == pytest.approx(1.0)
    assert slate([499, 497, 498]).agreement == pytest.approx(0.0)
    anywhere = np.random.default_rng(1).permutation(500)[:100].tolist()
    assert slate(anywhere).agreement == pytest.approx(0.5, abs=0.1)


@given(st.sets(st.integers(0, 39), min_size=1, max_size=39))
def test_agreement_lies_between_zero_and_one(positions: set[int]):
    agreement = slate(list(positions), candidates=40).agreement
    assert agreement is not None
    assert -1e-9 <= agreement <= 1 + 1e-9


def test_where_there_was_nothing_to_choose_there_is_no_agreement():
    """Or a filter that leaves ten items would make every model look like every other."""
    assert slate([]).agreement is None
    assert slate([0, 1, 2], candidates=3).agreement is None


def test_an_items_bucket_never_changes():
    """It is compared between releases, and between processes."""
    assert [bucket_of(ItemId(each)) for each in ("85123A", "22423", "POST")] == [25, 58, 57]


def test_the_first_items_of_a_slate_are_counted_once_each():
    registry = CollectorRegistry()
    SlateMetrics(registry, LABELS).made(slate(list(range(3 * COUNTED))))
    counts = [
        registry.get_sample_value("tonnage_slate_items_total", {**LABELS, "bucket": f"{bucket:02x}"})
        for bucket in range(BUCKETS)
    ]
    assert sum(count or 0 for count in counts) == COUNTED
    assert registry.get_sample_value("tonnage_slate_agreement_count", LABELS) == 1
    assert registry.get_sample_value("tonnage_slate_score_bucket", {**LABELS, "le": "4.0"}) == 1


def test_only_a_recommender_has_series_of_slates():
    for service, expected in (("recommender", True), ("ranker", False)):
        metrics = Metrics(service=service, track="stable", release="r-20260101-00000000")
        names = {family.name for family in metrics.registry.collect()}
        assert ("tonnage_slate_items" in names) is expected
