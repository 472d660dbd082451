"""The memory plan: what a pod serves within its limit, and what it says when nothing fits."""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.release import release

from tonnage.index import RECALL_FLOOR
from tonnage.serving.admission.admission import MEMORY_WATERMARK
from tonnage.serving.environment import Environment
from tonnage.serving.memory.plan import MemoryLimitError, Term, Verdict, plan
from tonnage.serving.memory.quantity import MIB
from tonnage.serving.memory.start import files_of, plan_for


@dataclass(frozen=True)
class Measured:
    """What the manifest says of a variant."""

    name: str
    resident_bytes: int
    recall_at_100: float
    recall_at_500: float = 0.9


def term(size):
    return Term(name="processes", bytes=size, says="for a test")


recalls = st.floats(0.8, 1)
variants = st.lists(st.tuples(st.integers(1, 2**31), recalls, recalls), min_size=1, max_size=6).map(
    lambda drawn: [Measured(f"index-{at}", *each) for at, each in enumerate(drawn)]
)
sizes = st.integers(1, 2**31)


@given(variants, sizes, sizes, st.booleans())
def test_what_is_picked_fits_and_reaches_the_floor(choices, fixed, limit, hot_swap):
    """A pod that exceeds its limit is killed, and admission lets nobody in above the watermark."""
    try:
        made = plan(limit=limit, terms=[term(fixed)], variants=choices, hot_swap=hot_swap)
    except MemoryLimitError:
        copies = 2 if hot_swap else 1
        for each in choices:
            needed = fixed + copies * each.resident_bytes
            assert each.recall_at_100 < RECALL_FLOOR or needed > limit * MEMORY_WATERMARK - 1
        return
    assert made.planned_bytes <= limit * MEMORY_WATERMARK + 1
    assert made.chosen.recall_at_100 >= RECALL_FLOOR
    if hot_swap:
        assert made.chosen.swap_bytes == made.chosen.resident_bytes


@given(variants, sizes, sizes, sizes)
def test_more_memory_never_picks_a_less_exact_index(choices, fixed, limit, more):
    """The variants of a release come from the most exact to the least."""

    def picked(limit):
        try:
            chosen = plan(limit=limit, terms=[term(fixed)], variants=choices).chosen.name
        except MemoryLimitError:
            return len(choices)
        return [each.name for each in choices].index(chosen)

    assert picked(None) <= picked(limit + more) <= picked(limit)


@given(variants, sizes, st.booleans())
def test_the_smallest_limit_of_the_sentence_suffices_and_one_mib_less_does_not(choices, fixed, hot_swap):
    """Who reads the refusal sets that limit and expects the pod to start."""
    choices = [*choices, Measured("last", 3 * MIB, 1.0)]

    def at(limit):
        return plan(limit=limit, terms=[term(fixed)], variants=choices, hot_swap=hot_swap)

    with pytest.raises(MemoryLimitError) as refused:
        at(1)
    (said,) = re.findall(r"smallest limit that would do is (\d+)Mi", str(refused.value))
    assert at(int(said) * MIB).smallest_limit == int(said) * MIB
    with pytest.raises(MemoryLimitError):
        at((int(said) - 1) * MIB)


def test_the_refusal_is_one_sentence_with_the_limit_and_every_need():
    choices = [
        Measured("hnsw-f32", 600 * MIB, 0.99),
        Measured("hnsw-i8", 250 * MIB, 0.97),
        Measured("hnsw-b1", 90 * MIB, 0.91),
    ]
    with pytest.raises(MemoryLimitError) as refused:
        plan(limit=200 * MIB, terms=[term(95 * MIB)], variants=choices)
    assert str(refused.value) == (
        "no index of this release fits the memory limit of 200Mi: 95Mi are taken before the first vector, "
        "with them hnsw-f32 needs 732Mi, hnsw-i8 needs 364Mi, and below the recall floor of 0.95 is "
        "hnsw-b1 (0.910); the smallest limit that would do is 364Mi"
    )
    assert refused.value.exit_code == 9


def test_an_index_below_the_floor_is_served_at_no_limit():
    choices = [Measured("hnsw-b1", MIB, 0.91)]
    with pytest.raises(MemoryLimitError, match="no memory limit would do"):
        plan(limit=None, terms=[], variants=choices)
    assert plan(limit=None, terms=[], variants=choices, floor=0.9).chosen.name == "hnsw-b1"


def test_an_index_that_is_asked_for_is_served_or_refused_but_never_replaced():
    choices = [Measured("exact-f32", 400 * MIB, 1.0), Measured("exact-i8", 100 * MIB, 0.98)]
    asked = plan(limit=None, terms=[], variants=choices, only="exact-i8")
    assert asked.chosen.name == "exact-i8"
    assert asked.choices[0].verdict is Verdict.NOT_ASKED_FOR
    with pytest.raises(MemoryLimitError, match="exact-f32 needs 422Mi"):
        plan(limit=200 * MIB, terms=[], variants=choices, only="exact-f32")
    with pytest.raises(MemoryLimitError, match="no index exact-f64, it has exact-f32, exact-i8"):
        plan(limit=None, terms=[], variants=choices, only="exact-f64")


def test_the_plan_of_a_release_counts_every_worker_and_reads_only_what_it_serves(tmp_path):
    opened = release(tmp_path)
    one, two = (
        plan_for(opened, Environment(workers=workers), limit=None, measured=False) for workers in (1, 2)
    )
    parts = [{each.name: each.bytes for each in made.terms} for made in (one, two)]
    assert parts[1]["processes"] > parts[0]["processes"]
    assert parts[1]["requests"] == 2 * parts[0]["requests"]
    assert one.chosen.resident_bytes == two.chosen.resident_bytes
    assert one.chosen.name == "exact-f32"
    small = plan_for(opened, Environment(index="exact-i8"), limit=None, measured=False)
    assert not any("item_vectors" in name or "ranker" in name for name in files_of(small, opened))
    swapping = plan_for(opened, Environment(hot_swap=True), limit=None, measured=False)
    assert swapping.planned_bytes > one.planned_bytes + one.chosen.resident_bytes
