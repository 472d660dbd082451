"""What the public API promises, whatever it is sent. Its neighbours are away here: answers are fallbacks."""

import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tonnage.serving.recommendations import MAX_BODY
from tonnage.serving.schemas import EventsAnswer, Problem, RecommendationsBody, ReleaseAnswer, SlateAnswer

SLATES, SIMILAR, EVENTS = "/v1/recommendations", "/v1/similar-items", "/v1/events"


def assert_problem(answer, status):
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert problem.status == status
    assert problem.request_id == answer.headers["x-request-id"]
    return problem


WRONG_FIELDS = [
    (SLATES, {"k": 0}, "/k"),
    (SLATES, {"k": 101}, "/k"),
    (SLATES, {"k": "10"}, "/k"),
    (SLATES, {"k": 2.5}, "/k"),
    (SLATES, {"k": None}, "/k"),
    (SLATES, {"user_id": ""}, "/user_id"),
    (SLATES, {"user_id": 17850}, "/user_id"),
    (SLATES, {"usr_id": "x"}, "/usr_id"),
    (SLATES, {"filters": {"price_min": -1}}, "/filters/price_min"),
    (SLATES, {"filters": {"price_min": 2, "price_max": 1}}, "/filters"),
    (SLATES, {"filters": {"colour": "red"}}, "/filters/colour"),
    (SLATES, {"exclude": ["a", 3]}, "/exclude/1"),
    (SLATES, {"exclude": ["x"] * 1001}, "/exclude"),
    (SLATES, {"context": {"items": [{}]}}, "/context/items/0"),
    (SLATES, {"explain": "yes"}, "/explain"),
    (SLATES, [], ""),
    (SIMILAR, {}, "/item_id"),
    (EVENTS, {"events": []}, "/events"),
    (EVENTS, {"events": [{"event_id": "1", "user_id": "u"}]}, "/events/0/item_id"),
    (
        EVENTS,
        {"events": [{"event_id": "1", "user_id": "u", "item_id": "i", "at": "2026-01-01T00:00:00"}]},
        "/events/0/at",
    ),
    (
        EVENTS,
        {"events": [{"event_id": "1", "user_id": "u", "item_id": "i", "quantity": 0}]},
        "/events/0/quantity",
    ),
]


@pytest.mark.parametrize(("path", "body", "field"), WRONG_FIELDS)
def test_a_wrong_field_is_named(client, path, body, field):
    problem = assert_problem(client.post(path, body), 422)
    assert problem.errors is not None
    assert [each["field"] for each in problem.errors] == [field]
    assert field in problem.detail


@pytest.mark.parametrize("body", [b"{", b"{'k': 1}", b"\xff\xfe", b"[" * 5000, b'{"k": 1}}'])
def test_what_is_not_json_is_a_bad_request(client, body):
    assert_problem(client.post_raw(SLATES, body), 400)


def test_a_number_that_json_does_not_have_is_refused(client):
    """Python's parser lets NaN in; no price would pass such a filter, and nobody would know why."""
    body = b'{"filters": {"price_max": NaN}}'
    assert_problem(client.post_raw(SLATES, body), 422)


def test_other_refusals_are_problem_documents_too(client):
    assert_problem(client.post_raw(SLATES, b"k=1", {}), 415)
    assert_problem(client.post_raw(SLATES, b" " * (MAX_BODY + 1)), 413)
    chunks = (b" " * 65536 for _ in range(MAX_BODY // 65536 + 1))
    assert_problem(client.post_raw(SLATES, chunks), 413)
    assert_problem(client.get("/v1/nothing"), 404)
    assert "does not take GET" in assert_problem(client.get(SLATES), 405).detail
    assert "no such item" in assert_problem(client.post(SIMILAR, {"item_id": "x"}), 404).detail


def test_a_request_id_comes_back_and_a_strange_one_does_not(client):
    """An id with a line break would forge log lines."""
    assert client.get("/v1/release", **{"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for strange in ("", "a b", "x" * 129):
        given_back = client.get("/v1/release", **{"x-request-id": strange}).headers["x-request-id"]
        assert given_back != strange
        assert len(given_back) == 32


def test_without_its_neighbours_the_service_answers_and_says_so(client):
    answer = client.post(SLATES, {"user_id": "anybody", "k": 7, "context": {"items": ["10001"]}})
    slate = SlateAnswer.model_validate(answer.json())
    assert answer.status == 200
    assert len(slate.items) == 7
    assert slate.fallback == "ranker-unavailable"
    assert "10001" not in {item.item_id for item in slate.items}
    assert client.get("/readyz").status == 503


def test_answers_are_what_the_document_says(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {SLATES, SIMILAR, EVENTS, "/v1/release", "/livez", "/readyz", "/metrics"}
    for path in (SLATES, SIMILAR, EVENTS):
        answers = document["paths"][path]["post"]["responses"]
        assert {"200", "400", "413", "415", "422", "503"} <= set(answers)
        assert "application/problem+json" in answers["422"]["content"]
    event = {"event_id": "d1", "user_id": "u", "item_id": "10000", "at": "2099-01-01T00:00:00Z"}
    EventsAnswer.model_validate(client.post(EVENTS, {"events": [event]}).json())
    SlateAnswer.model_validate(client.post(SIMILAR, {"item_id": "10000"}).json())
    ReleaseAnswer.model_validate(client.get("/v1/release").json())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
almost_requests = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.text(max_size=20) | json_values,
        "k": st.integers(-1, 105) | json_values,
        "context": st.fixed_dictionaries({"items": st.lists(st.sampled_from(["10001", "x"]))}) | json_values,
        "filters": st.fixed_dictionaries({}, optional={"category": st.text(), "price_min": st.floats(0, 9)}),
        "exclude": st.lists(st.text(max_size=6), max_size=4) | json_values,
        "exclude_seen": st.booleans() | json_values,
    },
)


@given(body=almost_requests)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_breaks_the_service(client, body):
    """Whatever a client sends is answered or refused; never a 500."""
    try:
        content = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return
    answer = client.post_raw(SLATES, content)
    if answer.status == 200:
        SlateAnswer.model_validate(answer.json())
    else:
        assert_problem(answer, 422)


@given(body=almost_requests)
@settings(max_examples=200, deadline=None)
def test_a_body_is_judged_alike_on_both_ways(body):
    """What is right takes the short way past FastAPI, which reads JSON into Python objects first."""
    content = json.dumps(body)

    def judged(read, given):
        try:
            return read(given)
        except ValidationError:
            return None

    short = judged(RecommendationsBody.model_validate_json, content)
    assert short == judged(RecommendationsBody.model_validate, json.loads(content))
