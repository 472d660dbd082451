"""An unattended canary: walk the steps, judge as it goes, promote or abort.

What it must know stands in the cluster, so that a run which was killed is taken up by the next one.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tonnage.deployment.canary.decision import Decision, End, Go, Standing, Stay, decide
from tonnage.deployment.canary.lease import HeldError, State
from tonnage.deployment.canary.plan import Aim, Goal
from tonnage.deployment.canary.rollout import LateError, Look, RefusedError, Rollout
from tonnage.deployment.canary.tracks import CANARY, Track, check_weights, running
from tonnage.deployment.canary.verbs import aborting, beginning, held, promoting
from tonnage.deployment.canary.watching import Judged, Watch
from tonnage.deployment.judge import reading
from tonnage.deployment.judge.verdict import Outcome, Verdict
from tonnage.errors import ClusterError, NotFoundError

PODS_EVERY_S = 2.0
"""Seconds between two looks at the canary's containers; requests are judged once a window."""

MOST_REASON = 1000
"""Characters of a reason that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended.

    Args:
        outcome: `pass` when the canary was promoted, `fail` when it was aborted, else it was left as it is.
        says: why.
        verdict: the last one; None where this run reached none.
    """

    outcome: Outcome
    says: str
    verdict: Verdict | None = None


@dataclass(slots=True)
class Run:
    """One run. What is in here and not in the Lease begins anew with the next.

    Args:
        rollout: where.
        watch: who judges.
        candidate: what to begin with where no canary runs; None to take up only what runs.
        same_release: allow a canary that runs what stable runs.
    """

    rollout: Rollout
    watch: Watch
    candidate: Track | None = None
    same_release: bool = False
    _started: float = field(default_factory=time.monotonic)
    _blind_since: float | None = None
    _verdict: Verdict | None = None
    _reached: int | None = None
    _condemned: str = ""

    def to_its_end(self) -> Ended:
        """Run until the canary is promoted or aborted, or the time is over.

        Raises:
            HeldError: another operator has the canary, or moves it.
            InputError: the canary may not begin; see `beginning`.
            NotFoundError: no canary runs, and none was given to begin with.
            ClusterError: the cluster did not answer for too long, or pods did not get ready; traffic is where
                it was.
        """
        with held(self.rollout) as look:
            aim = self._first(look)
            while True:
                try:
                    ended = self._turn(aim)
                except RefusedError as error:
                    self._condemned, ended = error.problem, None
                except (HeldError, LateError):
                    raise
                except ClusterError as error:
                    self._bear(error)
                    continue
                if ended is not None:
                    return ended
                aim = None

    def _first(self, look: Look) -> Aim | None:
        """What to pursue before anything is judged; None to go on from where the canary is."""
        same_canary = self.candidate is None or self.candidate["release"] == self._state.release
        if self._state.under_way is not None and same_canary:
            return None
        if self.candidate is not None:
            weight = self.watch.config.steps[0]
            seen, same = look.seen, self.same_release
            return beginning(self.rollout, seen, self.candidate, weight=weight, same_release=same)
        if running(look.seen.tracks) is None:
            raise NotFoundError("no canary runs", hint="Name the values file of the release to begin with.")
        check_weights(look.seen.tracks)
        return None

    def _turn(self, aim: Aim | None) -> Ended | None:
        """One step, or one window; how it ended, or None while it goes on."""
        if self._condemned or self._state.under_way is Goal.ABORT:
            return self._abort()
        look = self.rollout.look()
        if self._state.under_way is Goal.PROMOTE:
            said = promoting(self.rollout, look)
            return Ended(outcome=Outcome.PASS, says=said, verdict=self._verdict)
        if aim is None:
            aim = self._unfinished(look)
        if aim is not None:
            self._serve(aim)
            return None
        return self._act(self._judged(look))

    def _abort(self) -> Ended:
        if self._condemned:
            self._say(f"aborts: {self._condemned}")
            why = self._condemned[:MOST_REASON]
            aborting(self.rollout, outcome=str(Outcome.FAIL), reasons=why)
        else:
            aborting(self.rollout)
        return Ended(outcome=Outcome.FAIL, says=self._state.reasons, verdict=self._verdict)

    def _unfinished(self, look: Look) -> Aim | None:
        """What a step that was interrupted was to reach; None where none was.

        Raises:
            HeldError: somebody moved the canary by other means.
        """
        canary = running(look.seen.tracks)
        has = None if canary is None else canary["weight"]
        if has is None or (self._reached is not None and has not in {self._reached, self._state.weight}):
            raise HeldError(
                f"somebody else moved the canary: it had {self._reached or 0} %, now it has {has or 0} %",
                hint="This run leaves it so. `tonnage canary run` takes it up again.",
            )
        if look.seen.applied and self._reached in {None, has}:
            return None
        return Aim(goal=Goal.SERVE, weight=has)

    def _serve(self, aim: Aim) -> None:
        self.rollout.pursue(aim)
        self._reached, self._blind_since = aim.weight, None
        self._say(f"the canary serves {aim.weight} %")

    def _judged(self, look: Look) -> Decision:
        """Judge, remember and tell it, and decide."""
        weight = look.seen.tracks[CANARY]["weight"]
        now = datetime.now(UTC)
        since = _moment(self._state.since) or now
        judged = self.watch.judge(began=self._began(), since=since) if weight else None
        if self._reached is None:
            self._reached = weight
        if judged is None:
            return decide(Standing(weight=weight), self.watch.config)
        self._remember(judged)
        decision = decide(self._standing(weight, judged, (now - since).total_seconds()), self.watch.config)
        waits = f"; {decision.says}" if isinstance(decision, Stay) else ""
        self._say(f"{line(judged, weight)}{waits}")
        return decision

    def _standing(self, weight: int, judged: Judged, at_weight_s: float) -> Standing:
        now = time.monotonic()
        return Standing(
            weight=weight,
            at_weight_s=at_weight_s,
            requests=judged.requests,
            verdict=judged.verdict,
            blind_s=0 if self._blind_since is None else now - self._blind_since,
            running_s=now - self._started,
        )

    def _remember(self, judged: Judged) -> None:
        self._verdict = judged.verdict
        if judged.verdict.outcome is not Outcome.ERROR:
            self._blind_since = None
        elif self._blind_since is None:
            self._blind_since = time.monotonic()
        reasons = "; ".join(judged.verdict.reasons)[:MOST_REASON]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.rollout.lease.renew(outcome=judged.verdict.outcome, judged=now, reasons=reasons)

    def _act(self, decision: Decision) -> Ended | None:
        match decision:
            case Stay():
                self._pause()
            case End():
                return Ended(outcome=decision.outcome, says=decision.says, verdict=self._verdict)
            case Go(goal=Goal.ABORT):
                self._condemned = decision.says
            case Go(goal=Goal.PROMOTE):
                self._say(f"promotes: {decision.says}")
                said = promoting(self.rollout, self.rollout.look())
                return Ended(outcome=Outcome.PASS, says=said, verdict=self._verdict)
            case Go():
                self._say(f"goes on to {decision.weight} %: {decision.says}")
                self._serve(Aim(goal=Goal.SERVE, weight=decision.weight))
        return None

    def _pause(self) -> None:
        """Wait until the next window ends, or a container of the canary does."""
        began = self._began()
        until = time.monotonic() + self.watch.until_next_window(began)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, PODS_EVERY_S))
            if fault := self.watch.fault(began=began):
                self._verdict, self._condemned = fault, "; ".join(fault.reasons)
                return
            self.rollout.lease.keep()

    def _bear(self, error: ClusterError) -> None:
        """Try again a little later, but not for ever.

        Raises:
            ClusterError: it was one for too long.
        """
        self._blind_since = self._blind_since or time.monotonic()
        if time.monotonic() - self._blind_since >= self.watch.config.patience_s:
            raise error
        self._say(f"the cluster does not answer, trying again: {error.problem}")
        time.sleep(PODS_EVERY_S)

    def _began(self) -> datetime:
        """When the canary's traffic began; somebody else may have begun it."""
        remembered = _moment(self._state.began)
        return remembered or reading.began(self.rollout.access, canary=CANARY, **self.rollout.where)

    @property
    def _state(self) -> State:
        return self.rollout.lease.state

    def _say(self, says: str) -> None:
        self.rollout.progress.say(f"{datetime.now().astimezone():%H:%M:%S} {says}")


def line(judged: Judged, weight: int) -> str:
    """One look in one line. Pure."""
    verdict = judged.verdict
    needs = f", needs about {verdict.needs:,} more" if verdict.needs else ""
    outlook = max(
        (each for each in verdict.findings if each.outcome is verdict.outcome),
        key=lambda each: each.needs or 0,
        default=None,
    )
    why = f" ({outlook.check}: {outlook.reason})" if outlook else ""
    return f"{judged.requests:,} requests at {weight} %: {verdict.outcome}{needs}{why}"


def _moment(said: str) -> datetime | None:
    return datetime.fromisoformat(said) if said else None
