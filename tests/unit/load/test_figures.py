"""Figures of the pods, from kubelets that measure more seldom than anybody looks."""

from pathlib import Path

import pytest
from tests.factories.load_run import Made, pod_rows

from tonnage.load.figures import cpu_per_answer
from tonnage.load.slo import Slo

SLO = Slo.read({"requests": {"warm_up_s": 10, "least": 100}}, where="slo")

MS_PER_ANSWER = 1000 * 0.2 / 40
"""Of the pods and the rate that the factory makes up, all requests being asked for."""


def measured_at(*moments: float) -> dict[str, object]:
    """CPU seconds as `pod_rows` has them, at some moments only."""
    return {"cpu_s": lambda at_s: 10 + 0.2 * at_s if at_s in moments else None}


@pytest.mark.parametrize("moments", [range(0, 61, 5), (10, 25, 40, 55), (20, 35, 45)])
def test_cpu_for_an_answer_is_the_same_however_seldom_it_is_measured(
    moments: range | tuple[int, ...], tmp_path: Path
) -> None:
    """A minute has four measurements or so; what lies outside of them is not for nothing."""
    made = Made(seconds=60, pods=pod_rows(60, every_s=5, **measured_at(*moments)))
    assert cpu_per_answer(made.write(tmp_path / "run"), SLO) == pytest.approx(MS_PER_ANSWER, rel=0.05)


def test_a_pod_that_came_late_and_is_measured_once_does_not_void_the_others(tmp_path: Path) -> None:
    late = [row for row in pod_rows(60, every_s=5, pod="late", **measured_at(50)) if row["at_s"] > 40]
    made = Made(seconds=60, pods=[*pod_rows(60, every_s=5), *late])
    assert cpu_per_answer(made.write(tmp_path / "run"), SLO) == pytest.approx(MS_PER_ANSWER, rel=0.05)


def test_one_measurement_tells_no_cpu_time(tmp_path: Path) -> None:
    made = Made(seconds=60, pods=pod_rows(60, every_s=5, **measured_at(30)))
    assert cpu_per_answer(made.write(tmp_path / "run"), SLO) is None
