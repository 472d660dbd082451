"""A rate as Locust's command line, and how long it must be asked for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tonnage.load.crowd import CONNECTIONS, Crowd
from tonnage.load.slo import Slo
from tonnage.load.walked import seconds_at

RATES = st.floats(0.1, 20_000)


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


@given(rate=RATES)
def test_people_by_the_clock_are_the_rate(rate: float):
    arguments = Crowd(locustfile=Path("people.py"), host="http://127.0.0.1:1").arguments(
        rate=rate, seconds=20.2
    )
    users, pace = int(option(arguments, "--users")), float(option(arguments, "--pace"))
    assert users / pace == pytest.approx(rate, rel=1e-5)
    assert 1 <= users <= CONNECTIONS
    assert option(arguments, "--spawn-rate") == str(users), "all from the start"
    assert option(arguments, "--run-time") == "21s"


def test_people_and_options_are_handed_on_and_one_process_is_not_named():
    crowd = Crowd(
        locustfile=Path("p.py"),
        host="grpc://127.0.0.1:1",
        people=("RankerGrpc",),
        options=("--release", "r"),
    )
    arguments = crowd.arguments(rate=1, seconds=1)
    assert arguments[-3:] == ["--release", "r", "RankerGrpc"]
    assert "--processes" not in arguments


@given(rate=RATES, least=st.integers(100, 5000), seconds=st.floats(5, 100))
def test_every_rate_is_asked_for_long_enough_to_be_judged(rate: float, least: int, seconds: float):
    slo = Slo.read(
        {"requests": {"warm_up_s": 10, "least": least, "least_seconds": 45}, "latency": {}}, where="a test"
    )
    lasts = seconds_at(rate, slo, seconds)
    assert lasts >= max(seconds, 55)
    assert (lasts - 10) * rate >= least
