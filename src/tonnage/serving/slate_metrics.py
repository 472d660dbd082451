"""What the slates are like, cheap enough to count at every one: microseconds."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from prometheus_client import CollectorRegistry, Counter, Histogram

from tonnage.domain import ItemId
from tonnage.serving.slates import Slate

BUCKETS = 64
"""Into so many the items are hashed: few enough for a series each, enough to see slates narrow or differ."""

COUNTED = 10
"""Items of a slate that are counted, from its top: what people see, and a bound for the time it takes."""

AGREEMENTS = tuple(step / 20 for step in range(1, 20))
SCORES = (-16.0, -8.0, -4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def bucket_of(item: ItemId) -> int:
    """The bucket of an item, from 0 to 63: the same in every process and every release."""
    return crc32(item.encode()) % BUCKETS


class SlateMetrics:
    """The counters of what slates show. All are there from the start, so that nothing shown is seen too.

    Args:
        registry: where they are added.
        labels: of every sample.
    """

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        items = Counter(
            "tonnage_slate_items",
            f"Items shown, the first {COUNTED} of each slate, by a hash of their id.",
            (*labels, "bucket"),
            registry=registry,
        )
        self._items = [items.labels(**labels, bucket=f"{bucket:02x}") for bucket in range(BUCKETS)]

        def histogram(name: str, says: str, buckets: Sequence[float]) -> Histogram:
            made = Histogram(name, says, tuple(labels), registry=registry, buckets=buckets)
            return made.labels(**labels)

        self._agreement = histogram(
            "tonnage_slate_agreement",
            "How far slate and sources agree: 1 has what promised most, 0 what promised least.",
            AGREEMENTS,
        )
        self._score = histogram("tonnage_slate_score", "Score of the first item of a slate.", SCORES)

    def made(self, slate: Slate) -> None:
        """Count a slate for which there was a choice; the others show what they were asked for."""
        agreement = slate.agreement
        if agreement is None:
            return
        self._agreement.observe(agreement)
        self._score.observe(slate.items[0].score)
        for each in slate.items[:COUNTED]:
            self._items[bucket_of(each.item)].inc()
