"""Locust's people in front of a recommender: those who ask by the clock, and those who go shopping."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, User, task
from locust.env import Environment

from people import Act, Arrive, Buy, Kind, Known, Look, Manners, Similar, Slate, Step, life
from shoppers import PATH, complaint, known_shop, known_users, wish

SIMILAR_PATH = "/v1/similar-items"
EVENTS_PATH = "/v1/events"

MAX_NAMED = 100
"""Items that a request names at most, to be left out or as looked at."""

ROOMY = 0.5
"""A slate has to be full only where it and what was left out are at most this share of the shop's items."""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """What all people of this process share: `environment.crowd`, made anew when a test starts.

    Attributes:
        run: sets this test's new users and events apart from those of any other.
        ids: of users with a history, for those who ask by the clock.
        known: of the shop, for those who go shopping.
        manners: of those.
        events: whether they tell what they do.
        seed: of everything that is drawn in this process.
        seeds: of the streams of those who ask by the clock.
        born: people so far, by class.
    """

    run: str
    ids: Sequence[str]
    known: Known
    manners: Manners
    events: bool
    seed: str
    seeds: random.Random
    born: Counter[str] = field(default_factory=Counter)

    def stream(self, name: str) -> random.Random:
        """A random stream of her own for the next person of a class."""
        self.born[name] += 1
        return random.Random(f"{self.seed}/{name}/{self.born[name]}")


@cache
def known_to(project: Path, zipf: float, seed: int) -> tuple[Sequence[str], Known]:
    """Ids of users, and what else is known of a shop; read once, since a big shop takes a while."""
    return known_users(project), known_shop(project, zipf=zipf, seed=seed)


def gather(environment: Environment) -> None:
    """Make the crowd of a test, as its options say."""
    options = environment.parsed_options
    # The first worker draws what a single process would; the others draw something else.
    index = max(0, environment.runner.worker_index)
    seed: int | str = f"{options.seed}/{index}" if index else options.seed
    ids, known = known_to(Path(options.project), options.zipf, options.seed)
    environment.crowd = Crowd(
        run=f"{time.time_ns() // 1_000_000:x}-{index}",
        ids=ids,
        known=known,
        manners=Manners(think_s=options.think, filtered=options.filtered),
        events=not options.no_events,
        seed=str(seed),
        seeds=random.Random(seed),
    )


class ByTheClock(User):
    """Asks at her own moment of each second (or of each `--pace`), late only where her last answer was."""

    abstract = True

    def on_start(self) -> None:
        """Give each person a random stream of her own, and her own place in the second."""
        self.crowd: Crowd = self.environment.crowd
        self.random = self.stream()
        self.pace = float(self.environment.parsed_options.pace)
        self.due = time.monotonic() + self.pace * self.random.random()
        gevent.sleep(self.due - time.monotonic())

    def stream(self) -> random.Random:
        """What decides what she does."""
        return self.crowd.stream(type(self).__name__)

    def wait_time(self) -> float:
        """Ask once a second by the clock: people do not come in step, and do not fall into it either."""
        self.due += self.pace
        return max(0.0, self.due - time.monotonic())


class Person(ByTheClock, FastHttpUser):
    """Nine in ten are known; one in twenty is new to the shop; one in twenty says nothing of herself."""

    def stream(self) -> random.Random:
        """As `latency.py` seeds its people: they ask the same as these."""
        return random.Random(self.crowd.seeds.random())

    @task
    def ask(self) -> None:
        """Ask for a slate; anything but a 200 with a full slate is a failure."""
        options = self.environment.parsed_options
        body, headers = wish(self.random, self.crowd.ids, slate=options.slate)
        if options.gateway_host:
            headers["host"] = options.gateway_host
        with self.client.post(
            PATH, json=body, headers=headers, catch_response=True, name="recommendations"
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif options.any_slate:
                answer.success()
            elif wrong := complaint(answer.json(), least=options.slate):
                answer.failure(wrong)


class Shopper(FastHttpUser):
    """Comes for a session, asks for slates, looks at items, asks for similar ones, buys, and comes again.

    What she does is `people.life`; here it meets the API, and the places in slates become items.
    """

    abstract = True
    kind: ClassVar[Kind]

    def on_start(self) -> None:
        """Begin her life."""
        self.crowd: Crowd = self.environment.crowd
        name = type(self).__name__
        chance = self.crowd.stream(name)
        self.steps = life(self.kind, chance, self.crowd.manners, self.crowd.known)
        self.numbers = itertools.count(1)
        self.label = f"{self.crowd.run}-{name}-{self.crowd.born[name]}".lower()
        self.rest = 0.0
        self.user = ""
        self.slate: list[str] = []
        self.shown: list[str] = []
        self.looked: list[str] = []
        # People are at some point of their day when a test starts.
        gevent.sleep(chance.uniform(0, self.crowd.manners.think_s))

    def wait_time(self) -> float:
        """Think."""
        return self.rest

    @task
    def live(self) -> None:
        """Do the next thing."""
        step: Step = next(self.steps)
        self.rest = step.then_s
        self._do(step.act)

    def _do(self, act: Act) -> None:
        match act:
            case Arrive(user):
                new = self.kind is not Kind.COLD and not user
                self.user = f"new-{self.label}-{next(self.numbers)}" if new else user
                self.slate, self.shown, self.looked = [], [], []
            case Slate(filters):
                self._ask(filters)
            case _ if not self.slate:
                # She was shown nothing; there is nothing to do with it.
                pass
            case Look(place):
                self.looked.append(self._at(place))
                self._tell("view", self._at(place))
            case Similar(place):
                self._ask_for_similar(self._at(place))
            case Buy(place, quantity):
                self._tell("purchase", self._at(place), quantity)

    def _at(self, place: int) -> str:
        """The item at a place of the last slate; of a short one, counted round."""
        return self.slate[place % len(self.slate)]

    def _headers(self) -> dict[str, str]:
        gateway = self.environment.parsed_options.gateway_host
        return {
            **({"x-user-id": self.user} if self.user else {}),
            **({"host": gateway} if gateway else {}),
        }

    def _ask(self, filters: Mapping[str, str | float]) -> None:
        options = self.environment.parsed_options
        # Long sessions would ask for more than a shop has.
        barred = self.shown[-MAX_NAMED:]
        body: dict[str, Any] = {"k": options.slate}
        if self.user:
            body["user_id"] = self.user
        elif self.looked:
            body["context"] = {"items": self.looked[-MAX_NAMED:]}
        if filters:
            body["filters"] = dict(filters)
        if barred:
            body["exclude"] = barred
        name = "recommendations-filtered" if filters else "recommendations"
        # How many items pass a filter is the shop's business.
        roomy = options.slate + len(barred) <= ROOMY * self.crowd.known.items
        least = options.slate if not filters and (roomy or not barred) else 0
        told = self._post(PATH, body, name, least=least, barred=barred)
        self.slate = [each["item_id"] for each in told.get("items", ())]
        self.shown += self.slate

    def _ask_for_similar(self, item: str) -> None:
        body = {"item_id": item, "k": self.environment.parsed_options.slate}
        self._post(SIMILAR_PATH, body, "similar-items", least=0, barred=[item])

    def _tell(self, kind: str, item: str, quantity: int = 1) -> None:
        if not (self.crowd.events and self.user):
            return
        event = {
            "event_id": f"load-{self.label}-{next(self.numbers)}",
            "user_id": self.user,
            "item_id": item,
            "kind": kind,
            "quantity": quantity,
        }
        with self.client.post(
            EVENTS_PATH, json={"events": [event]}, headers=self._headers(), catch_response=True, name="events"
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif answer.json()["known"]:
                answer.failure("a new event was known")

    def _post(
        self, path: str, body: Mapping[str, Any], name: str, *, least: int, barred: Collection[str]
    ) -> Mapping[str, Any]:
        """The slate that was answered, good or not; empty when none was."""
        with self.client.post(
            path, json=body, headers=self._headers(), catch_response=True, name=name
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
                return {}
            told: Mapping[str, Any] = answer.json()
            wrong = complaint(told, least=least, barred=barred)
            if wrong and not self.environment.parsed_options.any_slate:
                answer.failure(wrong)
            return told


class Returning(Shopper):
    """A user with a history: as often as she has bought, or by Zipf's law."""

    kind = Kind.RETURNING
    weight = 17


class New(Shopper):
    """A user with an id that the shop has not seen before her session."""

    kind = Kind.NEW
    weight = 2


class Cold(Shopper):
    """Somebody without an id; what she looks at travels with her requests."""

    kind = Kind.COLD
    weight = 1
