"""Tracks as Helm values have them, and a cluster that does with them what Kubernetes would."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tonnage.deployment.canary.plan import Aim, Done, PodSet, Seen, Step, Write, next_step
from tonnage.deployment.canary.tracks import STABLE, Tracks, running
from tonnage.packaging.config import BENTOS

OLD, NEW = "r-20260101-00000001", "r-20260108-00000002"


def track(release: str, *, weight: int | None = None, **more: object) -> dict[str, Any]:
    """A track as `tonnage package` writes it."""
    images = {bento: {"repository": f"shop/{bento}", "tag": release} for bento in BENTOS}
    return {"release": release, "images": images, **({} if weight is None else {"weight": weight}), **more}


@dataclass
class Cluster:
    """One Helm release in a cluster where nothing happens by itself.

    Args:
        tracks: its values.
        autoscaled: whether autoscalers own the numbers of pods.
        applied: whether the last upgrade went through.
        route: weights of the HTTPRoute.
        routed: weights that the Gateway has taken from it.
        sets: pods by track and bento.
    """

    tracks: Tracks
    autoscaled: bool = True
    applied: bool = True
    route: Mapping[str, int] = field(default_factory=dict)
    routed: Mapping[str, int] = field(default_factory=dict)
    sets: dict[tuple[str, str], PodSet] = field(default_factory=dict)

    @classmethod
    def serving(cls, stable: Mapping[str, Any], *, pods: int = 1, autoscaled: bool = True) -> "Cluster":
        """Stable has everything, and is ready."""
        cluster = cls(tracks={STABLE: stable}, autoscaled=autoscaled)
        cluster._roll()
        cluster.route = cluster._weights
        for bento in BENTOS:
            cluster.sets[STABLE, bento] = replace(cluster.sets[STABLE, bento], wanted=pods)
        cluster.pods_get_ready()
        cluster.gateway_looks()
        return cluster

    def seen(self) -> Seen:
        """As the verbs see it."""
        routed = self.routed == self.route
        return Seen(tracks=self.tracks, sets=dict(self.sets), applied=self.applied, routed=routed)

    def write(self, step: Write) -> None:
        """As Helm does: values, then objects."""
        self.tracks, self.applied = step.tracks, True
        self._roll()
        self.route = self._weights
        for key, replicas in step.scale.items():
            self.sets[key] = replace(self.sets[key], wanted=replicas, rolled_out=False)

    def write_fails(self, step: Write, *, after_route: bool) -> None:
        """Helm keeps the values; of the objects, the route may have changed, or none."""
        self.tracks, self.applied = step.tracks, False
        if after_route:
            self.route = self._weights

    def pods_get_ready(self) -> None:
        """Every pod that should be there is, and no other."""
        for key, of in self.sets.items():
            self.sets[key] = replace(of, ready=of.wanted, rolled_out=True)

    def pods_die(self, name: str) -> None:
        """No pod of the track is ready any more."""
        for bento in BENTOS:
            if (name, bento) in self.sets:
                self.sets[name, bento] = replace(self.sets[name, bento], ready=0, rolled_out=False)

    def gateway_looks(self) -> None:
        """The Gateway takes what the route has."""
        self.routed = dict(self.route)

    def reached(self, aim: Aim, *, steps: int = 40) -> Done | None:
        """Take steps while everything goes well; None when that leads nowhere."""
        for _ in range(steps):
            step: Step = next_step(aim, self.seen())
            if isinstance(step, Done):
                return step
            if isinstance(step, Write):
                self.write(step)
            self.pods_get_ready()
            self.gateway_looks()
        return None

    @property
    def canary(self) -> Mapping[str, Any] | None:
        """The canary that runs."""
        return running(self.tracks)

    @property
    def _weights(self) -> dict[str, int]:
        return {name: of["weight"] for name, of in self.tracks.items()}

    def _roll(self) -> None:
        for name, of in self.tracks.items():
            for bento in BENTOS:
                former = self.sets.get((name, bento), PodSet())
                wanted = self._wanted(of, bento, former)
                changed = former.release != of["release"] or wanted != former.wanted
                self.sets[name, bento] = PodSet(
                    wanted=wanted,
                    ready=min(former.ready, wanted),
                    rolled_out=former.rolled_out and not changed,
                    autoscaled=self.autoscaled and (of.get("replicas") or {}).get(bento) is None,
                    release=of["release"],
                )

    def _wanted(self, of: Mapping[str, Any], bento: str, former: PodSet) -> int:
        fixed = (of.get("replicas") or {}).get(bento)
        if fixed is not None:
            return int(fixed)
        scaling = (of.get("overrides") or {}).get(bento, {}).get("autoscaling", {})
        return max(former.wanted, 1, scaling.get("minReplicas", 1))
