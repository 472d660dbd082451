"""What a precision loses is bounded, whatever the size of the numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tonnage.index.tables import as_floats, quantise

MATRICES = arrays.arrays(np.float32, (5, 4), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


@pytest.mark.parametrize(
    ("dtype", "relative", "of_largest"), [(np.int8, 0, 0.5 / 127), (np.float16, 2**-11, 2**-34)]
)
@given(vectors=MATRICES)
def test_a_component_is_off_by_half_a_step_at_most(
    dtype: type, relative: float, of_largest: float, vectors: np.ndarray
):
    stored, scale = quantise(vectors, dtype)
    back = stored.astype(np.float64) * scale
    bound = relative * np.abs(vectors) + 1.001 * of_largest * np.abs(vectors).max() + 1e-30
    assert (np.abs(back - vectors) <= bound).all()


def test_the_quick_way_from_half_to_single_is_the_same_way():
    """It moves bits; one that is lost would show only as worse recall."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    finite = np.isfinite(halves)
    found = as_floats(halves, np.empty(halves.shape, np.float32))
    np.testing.assert_array_equal(found[finite], halves.astype(np.float32)[finite])


def test_null_vectors_stay_null():
    for dtype in (np.int8, np.float16, np.float32):
        stored, scale = quantise(np.zeros((3, 2), np.float32), dtype)
        assert scale > 0
        assert not stored.any()
