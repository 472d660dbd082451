"""`--run-dir`: what a test did, left as the folder that `tonnage load` judges.

One process records its own requests. Of several, each worker sends its master what it has seen every second,
and the last of it when the test ends. The master asks for that, because Locust tells its workers to stop only
after it has told its listeners that the test has: there would be rows missing, and load while it writes.
"""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from following import Following
from rows import Parcel, Rows, Watch, Work
from shapes import STEADY
from tonnage.load.runs import Facts, Generator, require_free, write_run

SEEN, END = "tonnage_seen", "tonnage_end"
"""Names of messages: what a worker has seen; and that it shall stop its people and send the last of it."""

EVERY_S = 1.0
WORKERS_S = 10.0
"""Longest time that the master waits for its workers' last rows."""

SILENT_S = 5.0
"""A worker that has sent nothing for so long is lost, and what it would have asked is missing."""

SLACK_S = 1.0
"""A test that ended this much before its time was not interrupted."""

RELEASE = "x-tonnage-release"
RETRY_AFTER = "retry-after"


@dataclass(slots=True)
class Seen:
    """What one process has seen, or several together.

    Attributes:
        rows: of requests.
        work: of each process that made requests.
        releases: that answered.
        people: at the most.
        lost: whether a worker left, so that the test was not what was asked for.
    """

    rows: Rows = field(default_factory=Rows)
    work: dict[str, Work] = field(default_factory=dict)
    releases: set[str] = field(default_factory=set)
    people: int = 0
    lost: bool = False

    def generator(self) -> Generator:
        """How busy those who asked were: the busiest of them."""
        return Generator(
            processes=max(1, len(self.work)),
            cpu_share_mean=max((each.mean for each in self.work.values()), default=0.0),
            cpu_share_max=max((each.most for each in self.work.values()), default=0.0),
            cores=os.cpu_count() or 1,
        )


class Recording:
    """Records a test in the process that it is in, from `begin` to `end`.

    Args:
        environment: Locust's.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._seen, self._watch = Seen(), Watch()
        self._ticking: gevent.Greenlet | None = None

    @property
    def seen(self) -> Seen:
        """So far."""
        return self._seen

    def begin(self) -> None:
        """Forget what was, and listen."""
        self._seen, self._watch = Seen(), Watch()
        self._seen.work["local"] = self._watch.work
        self._environment.events.request.add_listener(self.add)
        self._ticking = gevent.spawn(self._tick)

    def end(self) -> None:
        """Listen no longer; without an effect where nobody listens."""
        if self._ticking is not None:
            self._ticking.kill()
            self._ticking = None
            self._environment.events.request.remove_listener(self.add)
            self.look()

    def look(self) -> None:
        """Measure this process's work and count its people."""
        self._watch.look()
        self._seen.people = max(self._seen.people, self._environment.runner.user_count)

    def each_time(self) -> None:
        """What is done every second."""
        self.look()

    def add(
        self,
        *,
        name: str,
        response_time: float,
        exception: BaseException | None = None,
        start_time: float = 0.0,
        response: Any = None,
        **_: object,
    ) -> None:
        """Locust's listener of requests."""
        headers = getattr(response, "headers", None) or {}
        release = headers.get(RELEASE)
        if release and release not in self._seen.releases:
            self._seen.releases.add(release)
        self._seen.rows.add(
            began=start_time,
            ms=response_time,
            status=getattr(response, "status_code", 0) or 0,
            name=name,
            failure="" if exception is None else str(exception) or type(exception).__name__,
            retry_after=headers.get(RETRY_AFTER) is not None,
        )

    def _tick(self) -> None:
        while True:
            gevent.sleep(EVERY_S)
            self.each_time()


class Sending(Recording):
    """Records in a worker, and sends what it has seen to its master.

    Args:
        environment: Locust's.
        runner: the worker's.
    """

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        runner.register_message(END, self._stop)
        # Added after the runner's own, hence called before it, which takes leave of the master.
        environment.events.quitting.add_listener(lambda **_: self.end())

    def end(self) -> None:
        """Send the last of it."""
        if self._ticking is not None:
            super().end()
            self._send()

    def each_time(self) -> None:
        """Look, and send."""
        super().each_time()
        self._send()

    def _stop(self, msg: Message, **_: object) -> None:
        # What Locust's own message does that follows; it then finds nothing left to do.
        self._runner.stop()
        self._send(asked=msg.data)

    def _send(self, asked: object = None) -> None:
        work = self._watch.work
        parcel: Parcel = {
            "rows": self._seen.rows.take(),
            "work": [work.cpu_s, work.passed_s, work.most],
            "releases": sorted(self._seen.releases),
            "asked": asked,
        }
        self._runner.send_message(SEEN, parcel)


class Gathering(Recording):
    """Gathers in the master what its workers have seen.

    Args:
        environment: Locust's.
        runner: the master's.
    """

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._asked, self._told = 0, set[str]()
        self._heard: dict[str, float] = {}
        runner.register_message(SEEN, self._came)

    def begin(self) -> None:
        """The master makes no requests: only its workers' work counts."""
        super().begin()
        self._seen.work.clear()
        self._heard.clear()

    def end(self) -> None:
        """Wait until every worker has sent what it has seen until now, or has gone."""
        if self._ticking is not None:
            super().end()
            now = time.monotonic()
            self._seen.lost = any(now - heard > SILENT_S for heard in self._heard.values())
            self._asked += 1
            self._told.clear()
            self._runner.send_message(END, self._asked)
            with gevent.Timeout(WORKERS_S + self._environment.stop_timeout, exception=False):
                while set(self._runner.clients) - self._told:
                    gevent.sleep(0.02)

    def _came(self, msg: Message, **_: object) -> None:
        parcel = msg.data
        self._heard[msg.node_id] = time.monotonic()
        self._seen.rows.put(parcel["rows"])
        self._seen.work[msg.node_id] = Work(*parcel["work"])
        self._seen.releases.update(parcel["releases"])
        if parcel["asked"] == self._asked:
            self._told.add(msg.node_id)


class RunFolder:
    """Writes a recording when its test ends, however it ends.

    Args:
        environment: Locust's.
        recording: of it.
        folder: that gets the first test; those that are started in the web page after it get its name and a
            number.

    Raises:
        LoadError: something is there already.
    """

    def __init__(self, environment: Environment, recording: Recording, folder: Path) -> None:
        require_free(folder)
        self._environment, self._recording, self._folder = environment, recording, folder
        self._tests = 0
        self._began = self._ended = 0.0

    def begin(self) -> None:
        """A test begins."""
        self._tests += 1
        self._began = time.time()
        self._recording.begin()

    def stopping(self) -> None:
        """Nobody is to ask from now on; who has not been answered yet never is."""
        self._ended = time.time()
        self._recording.end()

    def write(self) -> None:
        """Leave the folder.

        Raises:
            LoadError: it was taken meanwhile.
        """
        seen = self._recording.seen
        folder = self._folder if self._tests == 1 else Path(f"{self._folder}-{self._tests}")
        run = write_run(folder, self._facts(folder.name), seen.rows.columns(self._began, self._ended))
        print(f"written: {folder}, {len(run.requests):,} requests")

    def _facts(self, name: str) -> Facts:
        options, shape = self._environment.parsed_options, self._environment.shape_class
        seconds = self._ended - self._began
        planned = shape.length_s if isinstance(shape, Following) else options.run_time
        return Facts(
            name=name,
            host=self._environment.host
            or ", ".join(sorted({str(each.host) for each in self._environment.user_classes})),
            started=datetime.fromtimestamp(self._began, UTC),
            seconds=seconds,
            shape=shape.name if isinstance(shape, Following) else STEADY,
            users=self._recording.seen.people,
            seed=options.seed,
            generator=self._recording.seen.generator(),
            releases=tuple(sorted(self._recording.seen.releases)),
            interrupted=self._recording.seen.lost or (bool(planned) and seconds < planned - SLACK_S),
        )
