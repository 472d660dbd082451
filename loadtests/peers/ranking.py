"""The ranker beside its peers: the same model, the same candidates, one core, rounds that alternate."""

import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import large
from measures import Measure, at_least, at_most
from peers import model
from peers.environments import python_of
from peers.servers import ONE_THREAD, PROGRAMS, Contestant, Form, contestants, own_python, protocol
from processes import Server, ask, server
from simulated import Shape
from tonnage.domain import Floats
from tonnage.errors import DependencyError, TonnageError
from tonnage.files import cache_home
from tonnage.serving.local import free_port
from tonnage.telemetry import Progress
from wrk import Load, drive

ALONE = "inplace_predict alone"

WARM_UP_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How long everybody is measured."""

    count: int = 3
    seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One server asked in one form, and what was seen of it in each round."""

    running: Server
    form: Form
    loads: list[Load] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Requests per second of each round."""
        return [load.rate for load in self.loads]

    def median(self, name: str) -> float:
        """The median over rounds of one figure of `Load`."""
        return float(statistics.median(getattr(load, name) for load in self.loads))


def measure(rounds: Rounds, progress: Progress) -> list[Measure]:
    """Every promise of the ranker's speed."""
    candidates = model.candidates()
    with TemporaryDirectory(prefix="peers-") as scratch, ExitStack() as stack:
        entries, problems = _started(stack, candidates, Path(scratch), progress)
        alone: list[float] = []
        for number in range(rounds.count):
            with progress.stage(f"round {number + 1} of {rounds.count}"):
                for entry in entries.values():
                    with entry.running.awake():
                        _drive(entry.running, entry.form, WARM_UP_S)
                        entry.loads.append(_drive(entry.running, entry.form, rounds.seconds))
                alone.append(_alone(Path(scratch), rounds.seconds))
        ceiling = _ceiling(Path(scratch), candidates, rounds.seconds)
    for line in table(entries, alone, ceiling):
        progress.say(line)
    return promises(entries, alone, ceiling, problems)


def promises(
    entries: Mapping[str, Entry], alone: Sequence[float], ceiling: float, problems: Mapping[str, str]
) -> list[Measure]:
    """What was promised of the ranker beside what was seen. Pure."""
    ours = entries.get("Tonnage, OIP binary")
    if ours is None:
        why = problems.get("Tonnage", "it was not measured")
        return [Measure(name="ranker beside its peers", target="measured", measured=why, holds=False)]
    measures = [
        _faster(ours, entries, problems, "KServe SDK", 3.0),
        _faster(ours, entries, problems, "MLServer", 1.8),
    ]
    mlserver = entries.get("MLServer, OIP JSON")
    if mlserver is not None:
        theirs = mlserver.median("p99")
        measures.append(at_most("ranker p99 (limit: MLServer's)", theirs, ours.median("p99"), "ms"))
    share = statistics.median(ratios(ours.rates, alone))
    measures.append(at_least(f"ranker requests/s, share of {ALONE}", 0.7, share))
    failed = sum(load.failed for entry in entries.values() for load in entry.loads)
    measures.append(at_most("requests that failed, all servers", 0, failed, ""))
    fastest = max(statistics.median(entry.rates) for entry in entries.values())
    measures.append(at_least("load generator's own ceiling over the fastest", 3, ceiling / fastest, "x"))
    return measures


def _faster(
    ours: Entry, entries: Mapping[str, Entry], problems: Mapping[str, str], peer: str, limit: float
) -> Measure:
    name = f"ranker requests/s over {peer}'s (OIP JSON there, binary here)"
    theirs = entries.get(f"{peer}, OIP JSON")
    if theirs is None:
        why = problems.get(peer, "it was not measured")
        return Measure(name=name, target=f">= {limit:g} x", measured=why, holds=False)
    return at_least(name, limit, statistics.median(ratios(ours.rates, theirs.rates)), "x")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs in each round, since both saw the same machine then."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def table(entries: Mapping[str, Entry], alone: Sequence[float], ceiling: float) -> Iterator[str]:
    """What everybody did, as lines: medians over the rounds, and the rate as a share of ours."""
    ours = entries.get("Tonnage, OIP binary")
    for name, entry in entries.items():
        share = statistics.median(ratios(ours.rates, entry.rates)) if ours else float("nan")
        rate = statistics.median(entry.rates)
        p50, p99 = entry.median("p50"), entry.median("p99")
        yield f"{name:28} {rate:7.0f} req/s  p50 {p50:5.1f} ms  p99 {p99:6.1f} ms  ours is {share:5.2f} x"
    yield f"{ALONE:28} {statistics.median(alone):7.0f} calls/s"
    yield f"{'load generator alone':28} {ceiling:7.0f} req/s"


def _started(
    stack: ExitStack, candidates: Floats, scratch: Path, progress: Progress
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Every contestant, running, right, and asleep; and why the others are not."""
    cache = cache_home() / "peers"
    path = model.provide(cache)
    expected = _expected(path, candidates)
    np.save(scratch / "candidates.npy", candidates)
    entries: dict[str, Entry] = {}
    problems: dict[str, str] = {}
    # Small: nobody asks about its items.
    release_dir = large.provide(Shape(items=2_000, dimensions=32, users=50), progress=progress).release_dir
    for each in contestants(candidates, release_dir):
        try:
            with progress.stage(f"start {each.name}"):
                running = stack.enter_context(_running(each, path, scratch, progress))
                for form in each.forms:
                    _check(running, form, expected)
                    entries[f"{each.name}, {form.name}"] = Entry(running, form)
            stack.enter_context(running.asleep())
        except (TonnageError, subprocess.CalledProcessError, OSError) as error:
            problems[each.name] = str(error)
            progress.say(f"{each.name} is left out: {error}")
    return entries, problems


@contextmanager
def _running(each: Contestant, path: Path, scratch: Path, progress: Progress) -> Iterator[Server]:
    python = own_python() if each.lock is None else python_of(each.lock, progress)
    own = scratch / each.name.split()[0].lower().strip(",")
    own.mkdir()
    port = free_port()
    command = each.command(python, path, port)
    environment = {**ONE_THREAD, "BENTOML_DO_NOT_TRACK": "true", **each.environment(path, own)}
    log = own / "log"
    with server(
        each.name, command, port=port, log=log, directory=PROGRAMS, environment=environment
    ) as running:
        running.wait_until_ready(each.ready)
        yield running


def _check(running: Server, form: Form, expected: Floats) -> None:
    """Prove that a server computes what the others compute.

    Raises:
        DependencyError: it answers something else.
    """
    status, headers, body = ask(running.port, "POST", form.path, form.body, form.headers)
    if status != 200:
        raise DependencyError(f"{running.name} answers {status} to {form.name}: {body[:300]!r}")
    scores = form.scores(headers, body)
    if scores.shape != expected.shape or not np.allclose(scores, expected, atol=1e-4):
        raise DependencyError(f"{running.name} answers other scores to {form.name}: {scores[:3]}")


def _expected(path: Path, candidates: Floats) -> Floats:
    import xgboost

    booster = xgboost.Booster(model_file=path)
    booster.set_param({"nthread": 1})
    scores: Floats = booster.inplace_predict(candidates)
    return scores


def _drive(running: Server, form: Form, seconds: float) -> Load:
    return drive(running.port, form.path, [form.body], form.headers, seconds=seconds)


def _alone(scratch: Path, seconds: float) -> float:
    """Calls per second of `inplace_predict` on the servers' core."""
    path, told = model.provide(cache_home() / "peers"), scratch / "candidates.npy"
    pinned = ("taskset", "--cpu-list", "0", str(own_python()))
    said = subprocess.run(
        [*pinned, str(PROGRAMS / "alone.py"), str(path), str(told), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 120,
        stdin=subprocess.DEVNULL,
    ).stdout
    return float(said)


def _ceiling(scratch: Path, candidates: Floats, seconds: float) -> float:
    """Requests per second of the load generator against a server that computes nothing."""
    form = protocol("/", candidates, binary=True)
    port = free_port()
    command = [str(own_python()), "nothing.py", str(port)]
    with server(
        "nothing", command, port=port, log=scratch / "nothing.log", directory=PROGRAMS, environment={}
    ) as idle:
        while ask(port, "POST", "/", b"{}")[0] != 200:
            if idle.process.poll() is not None:
                return float("nan")
        return _drive(idle, form, min(seconds, 4.0)).rate
