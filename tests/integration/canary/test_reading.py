"""Both tracks as a real Prometheus has them."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.integration.canary.conftest import Exporter, Monitoring, awaited
from typer.testing import CliRunner

from tonnage.cli import build
from tonnage.deployment.judge.config import JudgeConfig
from tonnage.deployment.judge.gate import serve
from tonnage.deployment.judge.judging import judge
from tonnage.deployment.judge.measurements import AGREEMENT, ERRORS, ITEMS, LATENCY, Observed
from tonnage.deployment.judge.prometheus import Prometheus
from tonnage.deployment.judge.reading import Trial, observe
from tonnage.deployment.judge.verdict import Finding, Outcome, together
from tonnage.domain import ItemId
from tonnage.serving.slates import Placed, Slate

CONFIG = JudgeConfig(window_s=1, history_s=2, without=("restarts", "memory"))
ALL = 'tonnage_request_seconds_count{namespace="%s",track="%s",route="/v1/recommendations"}'
PRESENT = 'tonnage_requests_in_flight{namespace="%s"} * 0 + 1'


def look(monitoring: Monitoring, since: datetime, **changes: str) -> Observed:
    trial = Trial(name="shop", namespace=monitoring.namespace, config=CONFIG, since=since)
    return observe(
        replace(trial, **changes), prometheus=Prometheus(monitoring.url), access=None, now=datetime.now(UTC)
    )


def seen_until(monitoring: Monitoring, since: datetime, *, canary: int) -> Observed:
    """Look until so many requests of the canary lie in windows that are over."""
    looks: list[Observed] = []

    def reached() -> bool:
        looks.append(look(monitoring, since))
        counted = looks[-1].canary.counted.get(ERRORS)
        return counted is not None and int(counted.requests.sum()) == canary

    awaited(reached, f"{canary} requests of the canary")
    return looks[-1]


def scraped(monitoring: Monitoring, track: str, requests: int) -> None:
    awaited(
        lambda: monitoring.value(ALL % (monitoring.namespace, track)) == requests,
        f"a scrape of {requests} of {track}",
    )


def watched_for(monitoring: Monitoring, *, seconds: int) -> bool:
    return (
        monitoring.value(f"last_over_time(({PRESENT % monitoring.namespace})[1s:1s] offset {seconds}s)") == 2
    )


@pytest.fixture
def watched(monitoring: Monitoring) -> Monitoring:
    """Both services are scraped, and stable has been answering."""
    awaited(lambda: watched_for(monitoring, seconds=2), "two seconds of scrapes")
    monitoring.stable.answer(1500)
    scraped(monitoring, "stable", 1500)
    return monitoring


def test_every_request_is_counted_once_also_over_a_restart(watched: Monitoring):
    """A process that begins anew begins its counters at zero; sums over processes would hide it."""
    since = datetime.now(UTC)
    watched.stable.answer(300)
    watched.canary.answer(90, errors=5, seconds=0.035)
    seen_until(watched, since, canary=90)
    watched.canary.stop()
    again = Exporter.started("canary", port=watched.canary.port)
    try:
        again.answer(20)
        scraped(watched, "canary", 20)
        seen = seen_until(watched, since, canary=110)
    finally:
        again.stop()
    errors, latency = seen.canary.counted[ERRORS], seen.canary.timed[LATENCY]
    assert int(errors.events.sum()) == 5
    assert int(latency.counts.sum()) == 105
    slow = latency.bounds.index(0.03)
    assert int(latency.above(slow).events.sum()) == 85
    assert int(seen.stable.counted[ERRORS].requests.sum()) >= 300


def ten_of_fifty(first: int) -> Slate:
    items = [
        Placed(item=ItemId(f"{place}"), title=None, score=1.0, sources=[], position=place)
        for place in range(first, first + 10)
    ]
    return Slate(items=items, at=0.0, candidates={"all": 50})


def test_what_slates_show_and_where_they_stand_is_read_of_both_tracks(watched: Monitoring):
    """One shows the ten that promised most, the other the ten that promised least."""
    since = datetime.now(UTC)
    watched.stable.answer(60, slate=ten_of_fifty(0))
    watched.canary.answer(20, slate=ten_of_fifty(40))
    seen = seen_until(watched, since, canary=20)
    stable, canary = (track.spread[AGREEMENT].counts.sum(axis=0) for track in (seen.stable, seen.canary))
    assert (stable[-1], stable[:-1].sum()) == (60, 0)
    assert (canary[0], canary[1:].sum()) == (20, 0)
    items = [track.spread[ITEMS].counts.sum(axis=0) for track in (seen.stable, seen.canary)]
    assert [int(each.sum()) for each in items] == [600, 200]
    assert int(seen.canary.spread[ITEMS].asked.sum()) == 20


def test_a_canary_that_errs_fails_and_a_quiet_one_is_not_known_yet(watched: Monitoring):
    since = datetime.now(UTC)
    quiet = judge(look(watched, since - timedelta(seconds=1)), CONFIG)
    assert quiet.outcome is Outcome.INCONCLUSIVE
    verdicts = [quiet]

    def failed() -> bool:
        watched.stable.answer(40)
        watched.canary.answer(6, errors=3)
        verdicts.append(judge(look(watched, since), CONFIG))
        return verdicts[-1].outcome is Outcome.FAIL

    awaited(failed, "a verdict")
    assert verdicts[-1].reasons[0].startswith("errors: canary ")
    assert all(each.outcome is not Outcome.PASS for each in verdicts)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"namespace": "elsewhere"}, "no present series"),
        ({"config": CONFIG.model_copy(update={"canary": "blue"})}, "blue"),
    ],
)
def test_a_wrong_name_is_an_error_with_a_sentence(watched: Monitoring, changes: dict, says: str):
    verdict = judge(look(watched, datetime.now(UTC) - timedelta(seconds=2), **changes), CONFIG)
    assert verdict.outcome is Outcome.ERROR
    assert says in verdict.reasons[0]


def test_a_prometheus_that_is_away_and_one_that_is_something_else_are_errors(monitoring: Monitoring):
    trial = Trial(
        name="shop", namespace="shop", config=CONFIG, since=datetime.now(UTC) - timedelta(seconds=3)
    )
    for url, says in (
        ("http://127.0.0.1:1", "does not answer"),
        (f"http://127.0.0.1:{monitoring.stable.port}", "refuses with 405"),
    ):
        seen = observe(trial, prometheus=Prometheus(url), access=None, now=datetime.now(UTC))
        verdict = judge(seen, CONFIG)
        assert verdict.outcome is Outcome.ERROR
        assert says in verdict.reasons[0]


def test_the_command_answers_a_controller_by_its_exit_code(watched: Monitoring, tmp_path: Path):
    """0 promote, 1 abort, 2 not yet, 3 not measured: pods cannot be asked here, so nothing may pass."""
    (tmp_path / "tonnage.toml").write_text(
        '[deployment]\ncontext = "there-is-none"\n[canary]\nwindow_s = 1\nhistory_s = 2\n'
    )
    options = ["--project", str(tmp_path / "tonnage.toml"), "--prometheus", watched.url, "--output", "json"]
    result = CliRunner().invoke(
        build(), ["canary", "judge", "--since", "2s", "-n", watched.namespace, *options]
    )
    assert result.exit_code == 3, result.output
    said = json.loads(result.stdout)
    assert said["outcome"] == "error"
    assert {each["check"] for each in said["findings"] if each["outcome"] == "error"} == {
        "restarts",
        "memory",
    }


@pytest.mark.parametrize(
    ("outcome", "promotion", "rollback"),
    [
        (Outcome.PASS, 200, 403),
        (Outcome.FAIL, 403, 200),
        (Outcome.INCONCLUSIVE, 403, 403),
        (Outcome.ERROR, 403, 403),
    ],
)
def test_the_gate_opens_for_one_outcome_only(outcome: Outcome, promotion: int, rollback: int):
    """Flagger promotes, or rolls back, on any 2xx."""
    verdict = together([Finding(check=ERRORS, outcome=outcome, reason="as the test says")])
    with serve(("127.0.0.1", 0), lambda: verdict) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            assert posted(f"{url}/confirm-promotion") == (promotion, outcome)
            assert posted(f"{url}/rollback") == (rollback, outcome)
        finally:
            server.shutdown()
            thread.join()


def posted(url: str) -> tuple[int, str]:
    hook = json.dumps({"name": "shop", "namespace": "shop", "phase": "Progressing"}).encode()
    try:
        with urlopen(Request(url, data=hook), timeout=5) as answer:  # noqa: S310
            return answer.status, json.load(answer)["outcome"]
    except HTTPError as error:
        with error:
            return error.code, json.load(error)["outcome"]
