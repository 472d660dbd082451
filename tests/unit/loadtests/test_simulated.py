"""The simulated shop is the same every time, and hard in the ways that real ones are."""

import numpy as np

from latency import quantile
from simulated import Shape, Simulated
from tonnage.deployment.revisions import merged

SHAPE = Shape(items=3_000, dimensions=16, users=20)


def test_the_same_shape_gives_the_same_vectors():
    assert np.array_equal(Simulated(SHAPE).vectors, Simulated(SHAPE).vectors)


def test_an_item_is_never_its_own_neighbour_and_none_comes_twice():
    simulated = Simulated(SHAPE)
    rows, weights = simulated.neighbours()
    for item, own in enumerate(rows.tolist()):
        known = [row for row in own if row >= 0]
        assert item not in known
        assert len(set(known)) == len(known)
        assert all(simulated.cluster[row] == simulated.cluster[item] for row in known)
    assert not weights[rows < 0].any()


def test_popular_items_have_long_vectors():
    """Without it, an index that is only good at directions would look right."""
    simulated = Simulated(SHAPE)
    lengths = np.linalg.norm(simulated.vectors, axis=1)
    assert np.corrcoef(np.log1p(simulated.buyers), lengths)[0, 1] > 0.5


def test_a_few_directions_hold_most_of_the_variance():
    vectors = Simulated(SHAPE).vectors
    energy = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    assert energy[:4].sum() / energy.sum() > 0.5


def test_values_are_laid_over_values_as_helm_does():
    base = {"retriever": {"autoscaling": {"enabled": False}}, "gateway": {"hostnames": ["a"]}}
    over = {"retriever": {"resources": {}}, "gateway": {"hostnames": ["b"]}}
    assert merged(base, over) == {
        "retriever": {"autoscaling": {"enabled": False}, "resources": {}},
        "gateway": {"hostnames": ["b"]},
    }


def test_a_quantile_is_a_time_that_was_seen():
    assert quantile([1.0, 2.0, 3.0, 40.0], 0.5) == 3.0
    assert quantile([1.0, 2.0, 3.0, 40.0], 0.99) == 40.0
