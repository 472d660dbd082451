"""People in front of a recommender, or of a retriever or a ranker alone.

    locust -f loadtests/locustfile.py --host http://127.0.0.1:PORT
    locust -f loadtests/locustfile.py --host http://127.0.0.1:PORT Returning New Cold --shape spike

Without class names it is `Person` who asks: once a second by the clock, so `--users` is the rate in
requests/s. The others are named on the command line, as Locust has it. User ids come from the project's
data (`build/data/interactions.parquet`); without it every user is new.
"""

import json
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import gevent
from flask import Response, jsonify, request
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

import models
from following import Following
from hosts import HTTP, Address, require_allowed, require_recommender
from models import RankerBinary, RankerGrpc, RankerJson, RetrieverBinary, RetrieverGrpc, RetrieverJson
from recording import Gathering, Recording, RunFolder, Sending
from shapes import SHAPES, STEADY
from shoppers import SEED
from shopping import Cold, New, Person, Returning, gather, known_to
from tonnage.errors import ConfigError, TonnageError

USERS = (
    *(Person, Returning, New, Cold),
    *(RetrieverJson, RetrieverBinary, RetrieverGrpc, RankerJson, RankerBinary, RankerGrpc),
)
"""Classes to choose from; Locust finds them by their names in this module."""

TIMES: list[float] = []


@events.init_command_line_parser.add_listener
def options(parser: LocustArgumentParser) -> None:
    """Options of our own, beside Locust's."""
    add = parser.add_argument
    add("--slate", type=int, default=10, help="length of the slate asked for")
    add("--gateway-host", default="", help="host name that the Gateway knows the shop by")
    add(
        "--any-slate",
        action="store_true",
        help="count by status alone: short slates and fallbacks are answers",
    )
    add("--seed", type=int, default=SEED, help="of everything that people choose")
    add("--pace", type=float, default=1.0, help="seconds between two requests of one who asks by the clock")
    add(
        "--shape",
        choices=[STEADY, *SHAPES],
        default=STEADY,
        help="how many people there are over time, up to --users, for --run-time",
    )
    add("--think", type=float, default=3.0, help="mean seconds between two things that a shopper does")
    add("--filtered", type=float, default=0.15, help="share of a shopper's slates with a filter")
    add("--zipf", type=float, default=0.0, help="exponent by which users return; 0: as often as each bought")
    add("--no-events", action="store_true", help="shoppers tell nothing of what they do: nothing is stored")
    _add_places(partial(add, include_in_web_ui=False))


def _add_places(add: Callable[..., object]) -> None:
    """Files of this machine, and leave to load others: nothing for a web page to decide."""
    add("--project", default=".", help="directory of the project whose users ask")
    add("--release", default="", help="directory of the release that a model serves")
    add("--times", default="", help="file that gets every answer's milliseconds, not rounded")
    add("--run-dir", default="", help="folder that gets every request of the test and what it was")
    add(
        "--yes-load",
        action="append",
        default=[],
        metavar="HOST",
        help="another machine's name or address, which may be loaded",
    )


@events.init.add_listener
def begin(environment: Environment, runner: Any, web_ui: Any = None, **_: object) -> None:
    """Choose who asks, and prove that they may, before anybody does."""
    gevent.signal_handler(signal.SIGINT, _interrupt)
    try:
        _begin(environment, runner, web_ui)
    except TonnageError as error:
        _end(error)


def _interrupt() -> NoReturn:
    # gevent hands it to the main greenlet. Python's own handler raises it in whichever runs, and Locust's
    # printers and writers of statistics swallow it.
    raise KeyboardInterrupt


def _begin(environment: Environment, runner: Any, web_ui: Any) -> None:
    given = environment.parsed_options
    _check(given)
    if not isinstance(runner, MasterRunner):
        # Read before the test starts: its time is not for reading.
        known_to(Path(given.project), given.zipf, given.seed)
    if isinstance(runner, WorkerRunner):
        _listen(environment, Sending(environment, runner))
        return
    if not given.user_classes and not given.class_picker:
        environment.user_classes = [Person]
    follow(environment, given.shape)
    confirmed = tuple(given.yes_load)
    if web_ui:
        _guard(environment, web_ui, confirmed)
    if given.headless or given.autostart:
        require_fit(environment, environment.host, confirmed)
    if not isinstance(runner, MasterRunner):
        events.test_start.add_listener(start)
    if given.run_dir:
        gathers = isinstance(runner, MasterRunner)
        recording = Gathering(environment, runner) if gathers else Recording(environment)
        _keep(RunFolder(environment, recording, Path(given.run_dir)))


def follow(environment: Environment, name: str) -> None:
    """Let the number of people follow a shape, or Locust's own options."""
    environment.shape_class = None if name == STEADY else Following(name, environment.parsed_options)
    if environment.shape_class:
        environment.shape_class.runner = environment.runner


def _check(given: Any) -> None:
    for name, value in (("--pace", given.pace), ("--think", given.think), ("--slate", given.slate)):
        if value <= 0:
            raise ConfigError(f"{name} has to be more than 0", given=value)
    if not 0 <= given.filtered <= 1:
        raise ConfigError("--filtered is a share, from 0 to 1", given=given.filtered)
    if given.zipf < 0:
        raise ConfigError("--zipf has to be 0 or more", given=given.zipf)


def _end(error: TonnageError) -> NoReturn:
    print(f"locust: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


def require_fit(environment: Environment, host: str | None, confirmed: tuple[str, ...]) -> None:
    """Prove that everybody's host may be loaded and is what they ask for.

    Args:
        environment: Locust's.
        host: for all; None where each class has its own.
        confirmed: hosts of other machines that may be loaded.

    Raises:
        TonnageError: one is not.
    """
    for each in environment.user_classes:
        where = host or each.host
        if not where:
            raise ConfigError("nobody says whom to ask.", hint="Give --host http://HOST:PORT.")
        model = issubclass(each, models.ModelUser)
        address = Address.of(where, each.schemes if model else HTTP)
        require_allowed(address, confirmed)
        if model:
            models.release_of(environment.parsed_options, each.release_at(address))
        else:
            require_recommender(address, environment.parsed_options.gateway_host)


def _guard(environment: Environment, web_ui: Any, confirmed: tuple[str, ...]) -> None:
    @web_ui.app.before_request
    def refuse() -> Response | None:
        """The web page starts tests too, and may name another host."""
        if request.method != "POST" or not request.path.endswith("/swarm"):
            return None
        host = request.form.get("host") or environment.host
        try:
            require_fit(environment, host, confirmed)
        except TonnageError as error:
            return jsonify({"success": False, "message": str(error), "host": host})
        if environment.runner.state not in (STATE_SPAWNING, STATE_RUNNING):
            follow(environment, request.form.get("shape", environment.parsed_options.shape))
        return None


def _listen(environment: Environment, recording: Recording) -> None:
    @events.test_start.add_listener
    def started(**_: object) -> None:
        start(environment)
        if environment.parsed_options.run_dir:
            recording.begin()

    @events.test_stopping.add_listener
    def stopping(**_: object) -> None:
        recording.end()


def _keep(folder: RunFolder) -> None:
    events.test_start.add_listener(lambda **_: folder.begin())
    events.test_stopping.add_listener(lambda **_: folder.stopping())
    events.test_stop.add_listener(lambda **_: folder.write())


def start(environment: Environment, **_: object) -> None:
    """Make the people of a test, where they live."""
    gather(environment)
    models.prepare(environment)


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
