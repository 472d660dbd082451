"""How a canary stands: its tracks, its step, who runs it, and what was judged last."""

from dataclasses import asdict, dataclass
from typing import Any

from tonnage.deployment.canary.lease import Held
from tonnage.deployment.canary.plan import Seen
from tonnage.deployment.canary.rollout import Rollout
from tonnage.deployment.canary.steps import Steps
from tonnage.deployment.canary.tracks import STABLE, running
from tonnage.packaging.config import BENTOS


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look.

    Args:
        seen: the tracks and their pods.
        held: who moves the canary, and what is remembered of it.
        steps: of `[canary]`.
    """

    seen: Seen
    held: Held
    steps: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        canary = running(self.seen.tracks)
        return {
            "canary": canary["release"] if canary else None,
            "stable": self.seen.tracks[STABLE]["release"],
            "weight": canary["weight"] if canary else 0,
            "tracks": self._tracks(),
            "holder": self.held.holder or None,
            "held_since": self.held.acquired if self.held.holder else None,
            "last_seen": self.held.renewed or None,
            "step": self._step(),
            "steps": list(self.steps),
            "applied": self.seen.applied,
            "routed": self.seen.routed,
            "busy": self.seen.busy or None,
            **{key: value for key, value in asdict(self.held.state).items() if key not in OWN_MATTERS},
        }

    def lines(self) -> list[str]:
        """For a person."""
        form = "{:10} {:20} {:>6}  " + "  ".join(f"{{:>{len(bento)}}}" for bento in BENTOS)
        table = [form.format("track", "release", "weight", *BENTOS)]
        for name, of in self._tracks().items():
            pods = [f"{of['pods'][bento]['ready']}/{of['pods'][bento]['wanted']}" for bento in BENTOS]
            table.append(form.format(name, of["release"], of["weight"], *pods))
        return [*table, *self._remarks()]

    def _remarks(self) -> list[str]:
        state, canary = self.held.state, running(self.seen.tracks)
        lines = []
        if canary is None:
            ended = f"; the last one, {state.release}, was {state.ended}" if state.ended else ""
            lines.append(f"no canary runs{ended}")
        else:
            step = self._step()
            which = f"step {step} of {len(self.steps)}" if step else "before the first step"
            since = f", since {state.since}" if state.since else ""
            lines.append(f"{which} ({canary['weight']} %){since}")
        if state.under_way:
            lines.append(f"a {state.under_way} is under way")
        if self.held.holder:
            lines.append(
                f"run by {self.held.holder} since {self.held.acquired}, last seen {self.held.renewed}"
            )
        if state.outcome:
            lines.append(
                f"last verdict, {state.judged or 'while pods started'}: {state.outcome}: {state.reasons}"
            )
        if self.seen.busy:
            lines.append(self.seen.busy)
        if not self.seen.applied:
            lines.append("the last `helm upgrade` did not go through")
        return [*lines, *(f"{track} refuses: {why}" for track, why in self.seen.refuses.items())]

    def _tracks(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "release": track["release"],
                "weight": track.get("weight", 0),
                "pods": {
                    bento: {"ready": of.ready, "wanted": of.wanted}
                    for bento in BENTOS
                    for of in (self.seen.of(name, bento),)
                },
            }
            for name, track in self.seen.tracks.items()
        }

    def _step(self) -> int:
        """Which of the steps the canary has reached, counted from 1; 0 before the first."""
        canary = running(self.seen.tracks)
        return sum(step <= canary["weight"] for step in self.steps) if canary else 0


OWN_MATTERS = {"release", "weight", "writing", "before"}
"""What is remembered for the verbs alone, or is known better from the Helm release."""


def status(rollout: Rollout, config: Steps) -> Status:
    """Look, and hold nothing.

    Raises:
        NotFoundError: there is no such Helm release.
        ClusterError: the cluster does not answer.
    """
    seen = rollout.look().seen
    return Status(seen=seen, held=rollout.lease.read(), steps=config.steps)
