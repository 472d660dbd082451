"""What every tier shares."""

from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run: a failure is of the change that it is reported on. New ones are looked for
# with `pytest --hypothesis-profile=explore`.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("fixed")

TIERS = ("unit", "contract", "model", "integration", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder is the marker, so nobody can forget one; cheap tiers run first."""
    for item in items:
        for tier in TIERS:
            if tier in Path(item.path).parts:
                item.add_marker(tier)
    items.sort(key=_tier_of)


def _tier_of(item: pytest.Item) -> int:
    return next((rank for rank, tier in enumerate(TIERS) if item.get_closest_marker(tier)), len(TIERS))
