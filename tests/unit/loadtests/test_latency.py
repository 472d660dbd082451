"""What the people of a latency run ask for, and what they take for an answer."""

import json
import random

import pytest

from latency import SLATE, complaint, question
from shoppers import wish
from tonnage.serving.wire import Answer

KNOWN = ["17850", "12347"]


def answer(status: int = 200, items: int = SLATE, **more: object) -> Answer:
    return Answer(status, {}, json.dumps({"items": [{}] * items, **more}).encode())


def test_most_people_are_known_and_some_say_nothing_of_themselves():
    chance = random.Random(7)
    wishes = [wish(chance, KNOWN, slate=SLATE) for _ in range(2000)]
    assert all(headers.get("x-user-id") == body.get("user_id") for body, headers in wishes)
    known = sum(body.get("user_id") in KNOWN for body, _ in wishes)
    silent = sum("user_id" not in body for body, _ in wishes)
    assert 1750 < known < 1850
    assert 60 < silent < 140


def test_without_data_everybody_is_new_or_silent():
    chance = random.Random(7)
    users = [wish(chance, [], slate=SLATE)[0].get("user_id", "new-") for _ in range(200)]
    assert all(str(user).startswith("new-") for user in users)


def test_a_question_names_the_shop_that_the_gateway_knows():
    head, body = question("shop.test", {"k": SLATE}, {"x-user-id": "17850"})
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/recommendations HTTP/1.1"
    assert {"host: shop.test", "x-user-id: 17850"} <= set(lines)
    assert head.endswith(b"\r\n")
    assert json.loads(body) == {"k": SLATE}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (answer(), ""),
        (answer(503), "status 503"),
        (answer(items=SLATE - 1), "a short slate"),
        (answer(fallback="deadline"), "fallback deadline"),
    ],
)
def test_only_a_full_slate_without_a_fallback_counts(told: Answer, wrong: str):
    """A fallback is quick, and would make the latency look good."""
    assert complaint(told) == wrong
