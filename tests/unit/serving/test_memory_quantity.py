"""Amounts of memory as Kubernetes writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.errors import ConfigError
from tonnage.serving.environment import Environment
from tonnage.serving.memory.quantity import in_mib, read_quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512Mi", 512 * 2**20),
        ("2Gi", 2 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("64k", 64_000),
        ("64Ki", 65_536),
        ("536870912", 2**29),
        ("129e6", 129_000_000),
        ("128974848000m", 128_974_848),
    ],
)
def test_what_kubernetes_writes_is_read(text, size):
    assert read_quantity(text) == size


@pytest.mark.parametrize(
    "text", ["", "512MB", "512mi", "Mi", "-1Mi", "1,5Gi", "0", "0.1", "1e3Mi", "lots", "1 Gi", "٣Mi"]
)
def test_anything_else_is_refused_with_the_way_to_write_it(text):
    """A limit that is misread by a factor of a million starts a pod that is killed at once."""
    with pytest.raises(ConfigError):
        read_quantity(text)


def test_a_wrong_limit_in_the_environment_names_its_variable():
    with pytest.raises(ConfigError, match=r"TONNAGE_MEMORY_LIMIT: .*512MB.* 512Mi"):
        Environment.read({"TONNAGE_MEMORY_LIMIT": "512MB"})
    assert Environment.read({"TONNAGE_MEMORY_LIMIT": "512Mi"}).memory_limit == 2**29


@given(st.integers(1, 2**50))
def test_a_size_told_in_mib_is_never_told_too_small(size):
    assert size <= read_quantity(in_mib(size)) < size + 2**20
