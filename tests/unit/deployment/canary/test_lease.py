"""One operator at a time, and what the next one must know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.lease import Reached, Server

from tonnage.deployment.canary import lease as lease_
from tonnage.deployment.canary.lease import HeldError, Lease, State
from tonnage.deployment.canary.plan import Goal
from tonnage.errors import ClusterError

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


def of(server: Server, holder: str) -> Lease:
    return Lease(Reached(server=server), name="shop", namespace="shop", holder=holder)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(lease_, "HOLD_S", 0.2)
    monkeypatch.setattr(lease_, "LOOK_S", 0.02)
    return Server()


@given(
    release=TEXTS,
    weight=st.integers(0, 100),
    reasons=TEXTS,
    writing=st.integers(0, 10**6),
    goal=st.sampled_from(list(Goal)),
)
def test_the_next_operator_knows_what_the_last_one_wrote(
    release: str, weight: int, reasons: str, writing: int, goal: Goal
):
    server = Server()
    first, second = of(server, "first"), of(server, "second")
    first.acquire()
    first.renew(release=release, weight=weight, reasons=reasons, writing=writing, goal=goal)
    first.release()
    assert second.acquire() == ""
    assert second.state == State(
        release=release, weight=weight, reasons=reasons, writing=writing, goal=str(goal)
    )


def test_a_second_operator_is_told_who_has_it_and_since_when(server: Server, monkeypatch: pytest.MonkeyPatch):
    first, second = of(server, "alice@desk"), of(server, "bob@desk")
    first.acquire()
    monkeypatch.setattr(lease_.time, "sleep", lambda _: first.renew())
    with pytest.raises(HeldError, match=r"in the hands of alice@desk, since 20\d\d-.*, last seen 20\d\d-"):
        second.acquire()
    first.renew()


def test_a_dead_operators_hold_ends(server: Server):
    of(server, "dead").acquire()
    assert of(server, "next").acquire() == "dead"


def test_an_abort_takes_it_at_once_and_the_former_holder_writes_nothing_more(server: Server):
    first, second = of(server, "first"), of(server, "second")
    first.acquire()
    assert second.acquire(force=True) == "first"
    second.renew(goal=Goal.ABORT)
    for write in (first.renew, first.release):
        with pytest.raises(HeldError, match="in the hands of second"):
            write()
    assert second.read().state.goal == "abort"


def test_an_abort_takes_it_even_from_who_renews_at_that_moment(server: Server):
    """The holder writes between the abort's look and its own writing."""
    first, second = of(server, "first"), of(server, "second")
    first.acquire()
    server.between = lambda: first.renew(weight=25)
    assert second.acquire(force=True) == "first"
    assert second.state.weight == 25
    with pytest.raises(HeldError, match="in the hands of second"):
        first.renew()


def test_two_who_begin_at_once_do_not_both_get_it(server: Server):
    """The second looked just before the first had it."""
    of(server, "first").acquire()
    server.late = True
    with pytest.raises(HeldError, match="in the hands of first"):
        of(server, "second").acquire()


def test_a_lost_answer_is_no_lost_lease(server: Server):
    holder = of(server, "me")
    holder.acquire()
    server.loses_answers = True
    with pytest.raises(ClusterError, match="EOF"):
        holder.renew(weight=5)
    server.loses_answers = False
    holder.renew(weight=25)
    assert holder.read().state.weight == 25


def test_an_api_server_that_is_away_is_said_as_such(server: Server):
    holder = of(server, "me")
    holder.acquire()
    server.away = True
    with pytest.raises(ClusterError, match="connection refused") as failure:
        holder.renew()
    assert not isinstance(failure.value, HeldError)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), None),
        (State(goal="serve"), None),
        (State(goal="promote"), Goal.PROMOTE),
        (State(goal="abort"), Goal.ABORT),
        (State(goal="abort", ended="aborted"), None),
    ],
)
def test_what_was_begun_and_not_ended_is_under_way(state: State, expected: Goal | None):
    assert state.under_way is expected
