"""Asking a shop through the Gateway, once or steadily."""

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any
from urllib.parse import urlsplit

WAIT_S = 10
PAUSE_S = 0.1
"""Between two steady requests, so at most ten a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: the status (0: nothing did), the body, and the track that the Gateway chose."""

    status: int
    body: Mapping[str, Any]
    track: str = ""

    @property
    def items(self) -> list[str]:
        """Item ids of a slate, in order."""
        return [item["item_id"] for item in self.body["items"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One installed shop as its clients see it: the Gateway's address and the shop's host name."""

    gateway: str
    host: str

    def ask(
        self, path: str, body: Mapping[str, object] | None = None, *, user: str = "", track: str = ""
    ) -> Answer:
        """Send a request, to a track if one is named; a refusal or a broken connection is an answer too."""
        headers = {"host": self.host, "content-type": "application/json"}
        headers |= {"x-user-id": user} if user else {}
        headers |= {"x-tonnage-track": track} if track else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.gateway}{path}", data=data, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310
                text, status, track = answer.read(), answer.status, answer.headers.get("x-tonnage-track", "")
        except urllib.error.HTTPError as refusal:
            text, status, track = refusal.read(), refusal.code, ""
        except (OSError, http.client.HTTPException) as broken:
            return Answer(status=0, body={"detail": repr(broken)})
        try:
            return Answer(status=status, body=json.loads(text), track=track)
        except ValueError:
            return Answer(status=status, body={"detail": text.decode(errors="replace")}, track=track)

    def slate(self, user: str | None, *, k: int = 10) -> Answer:
        """Ask for a slate, as a shop's front would: with the user in body and header."""
        who = {} if user is None else {"user_id": user}
        return self.ask("/v1/recommendations", {**who, "k": k}, user=user or "")


@dataclass(slots=True)
class Traffic:
    """What steady traffic got so far."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def failures(self) -> list[Answer]:
        """Every answer that is not a slate."""
        return [answer for answer in self.answers if answer.status != 200]

    @property
    def fallbacks(self) -> list[str]:
        """The names of the fallbacks that were served."""
        return [answer.body["fallback"] for answer in self.answers if answer.body.get("fallback")]

    @property
    def releases(self) -> set[str]:
        """The releases that answered."""
        return {answer.body["release"] for answer in self.answers if answer.status == 200}


@contextmanager
def steady(shop: Shop, users: Sequence[str]) -> Iterator[Traffic]:
    """Ask for the users' slates in turn, for as long as it is inside."""
    traffic, over = Traffic(), threading.Event()

    def ask() -> None:
        for user in cycle(users):
            traffic.answers.append(shop.slate(user))
            if over.wait(PAUSE_S):
                return

    asking = threading.Thread(target=ask, name="traffic")
    asking.start()
    try:
        yield traffic
    finally:
        over.set()
        asking.join()


@contextmanager
def hammering(shop: Shop, *, connections: int = 4) -> Iterator[Counter[int]]:
    """Ask which release serves, without a pause, each time as somebody else; the statuses that came back."""
    at, over, statuses = (
        urlsplit(shop.gateway),
        threading.Event(),
        [Counter[int]() for _ in range(connections)],
    )

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=WAIT_S)
        for asked in count():
            if over.is_set():
                break
            who = {"host": shop.host, "x-user-id": f"{number}-{asked}"}
            try:
                connection.request("GET", "/v1/release", headers=who)
                answer = connection.getresponse()
                answer.read()
                statuses[number][answer.status] += 1
            except (OSError, http.client.HTTPException):
                statuses[number][0] += 1
                connection.close()
        connection.close()

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(connections)]
    for each in asking:
        each.start()
    together = Counter[int]()
    try:
        yield together
    finally:
        over.set()
        for each, own in zip(asking, statuses, strict=True):
            each.join()
            together.update(own)
