"""A setting of the index that means nothing is refused where it is read, not after an hour of training."""

import pytest
from tests.factories.release import release

from tonnage.errors import InputError
from tonnage.releases.config import IndexConfig
from tonnage.settings import Section


def test_the_default_is_every_variant_that_fits_and_a_floor_of_95_percent():
    assert issubclass(IndexConfig, Section)
    assert IndexConfig() == IndexConfig(variants=None, recall_floor=0.95)


@pytest.mark.parametrize("about", [{"variants": ["exact-f64"]}, {"variants": []}, {"recall_floor": 1.1}])
def test_an_unknown_variant_or_an_impossible_floor_is_refused(about: dict[str, object]):
    with pytest.raises((InputError, ValueError)):
        IndexConfig(**about)


def test_only_the_variants_asked_for_are_made(tmp_path):
    made = release(tmp_path, index=IndexConfig(variants=("exact-i8",), recall_floor=0.8))
    assert [each.name for each in made.manifest.index] == ["exact-i8"]
    assert made.manifest.retrieval.recall_floor == 0.8
    assert not any("f16" in file or "usearch" in file for file in made.manifest.files)
