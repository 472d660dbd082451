"""People in front of a recommender: returning, new and cold users who ask for slates.

    locust -f loadtests/locustfile.py --host http://127.0.0.1:PORT

Each simulated person asks once a second, so `--users` is the rate in requests/s. User ids come from the
project's data (`build/data/interactions.parquet`); without it every user is new.
"""

import json
import random
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from shoppers import PATH, SEED, known_users, wish

KNOWN: list[str] = []
TIMES: list[float] = []
SEEDS = random.Random(SEED)


@events.init_command_line_parser.add_listener
def options(parser: LocustArgumentParser) -> None:
    """Options of our own, beside Locust's."""
    parser.add_argument("--project", default=".", help="directory of the project whose users ask")
    parser.add_argument("--slate", type=int, default=10, help="length of the slate asked for")
    parser.add_argument("--gateway-host", default="", help="host name that the Gateway knows the shop by")
    parser.add_argument(
        "--any-slate",
        action="store_true",
        help="count by status alone: short slates and fallbacks are answers",
    )
    parser.add_argument("--times", default="", help="file that gets every answer's milliseconds, not rounded")


@events.test_start.add_listener
def know_the_users(environment: Environment, **_: object) -> None:
    """Read the ids of real users once."""
    KNOWN.extend(known_users(Path(environment.parsed_options.project)))


@events.request.add_listener
def remember(response_time: float, exception: BaseException | None, **_: object) -> None:
    """Keep the time of an answer as it was; Locust's own statistics round it."""
    if exception is None:
        TIMES.append(response_time)


@events.quitting.add_listener
def write_times(environment: Environment, **_: object) -> None:
    """Leave the times where they were asked for."""
    file = environment.parsed_options.times
    if file:
        errors = {str(each.error): each.occurrences for each in environment.stats.errors.values()}
        told = {"milliseconds": TIMES, "failed": environment.stats.total.num_failures, "errors": errors}
        Path(file).write_text(json.dumps(told), encoding="ascii")


class Person(FastHttpUser):
    """Nine in ten are known; one in twenty is new to the shop; one in twenty says nothing of herself."""

    def on_start(self) -> None:
        """Give each person a random stream of her own, and her own place in the second."""
        self.random = random.Random(SEEDS.random())
        self.due = time.monotonic() + self.random.random()
        gevent.sleep(self.due - time.monotonic())

    def wait_time(self) -> float:
        """Ask once a second by the clock: people do not come in step, and do not fall into it either."""
        self.due += 1.0
        return max(0.0, self.due - time.monotonic())

    @task
    def ask(self) -> None:
        """Ask for a slate; anything but a 200 with a full slate is a failure."""
        body, headers = wish(self.random, KNOWN, slate=self.environment.parsed_options.slate)
        if self.environment.parsed_options.gateway_host:
            headers["host"] = self.environment.parsed_options.gateway_host
        with self.client.post(
            PATH, json=body, headers=headers, catch_response=True, name="recommendations"
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif self.environment.parsed_options.any_slate:
                answer.success()
            elif len(answer.json()["items"]) != body["k"]:
                answer.failure("a short slate")
            elif answer.json().get("fallback"):
                answer.failure(f"fallback {answer.json()['fallback']}")
