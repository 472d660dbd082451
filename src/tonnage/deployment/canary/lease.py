"""Who runs the canary, and how far it is: one Lease beside the Helm release.

Only one operator moves a canary. Its holder renews the Lease at every look; who finds it held waits and sees
whether it is renewed, so that no two clocks are compared.
"""

import json
import time
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from getpass import getuser
from os import getpid
from socket import gethostname
from typing import TYPE_CHECKING, Any

from tonnage.deployment.access import ClusterAccess
from tonnage.deployment.canary.plan import Goal
from tonnage.deployment.canary.tracks import Track
from tonnage.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOLD_S = 20
"""Seconds after which a holder that no longer renews is believed dead."""

RENEW_S = 5.0
LOOK_S = 1.0

TAKES = 5
"""Attempts to take it from a holder who may renew it at the same moment."""

PREFIX = "tonnage.dev/"


class HeldError(ClusterError):
    """Another operator moves this canary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What must be remembered of a canary beside the Helm values.

    Args:
        release: the canary's.
        goal: what was aimed at last.
        weight: of the canary, for `serve`.
        began: when its traffic began, ISO 8601.
        since: when it got its present weight, ISO 8601.
        outcome: the last verdict.
        judged: when that was, ISO 8601.
        reasons: why it was so.
        writing: number of the Helm revision that is, or was last, being written.
        before: stable as it was before its promotion began, as JSON.
        ended: `promoted` or `aborted`; empty while it goes on.
    """

    release: str = ""
    goal: str = ""
    weight: int = 0
    began: str = ""
    since: str = ""
    outcome: str = ""
    judged: str = ""
    reasons: str = ""
    writing: int = 0
    before: str = ""
    ended: str = ""

    @property
    def before_promotion(self) -> Track | None:
        """Stable before its promotion began; None when none began."""
        return json.loads(self.before) if self.before else None

    @property
    def under_way(self) -> Goal | None:
        """A promotion or an abort that was begun and has not ended."""
        goal = Goal(self.goal) if self.goal and not self.ended else Goal.SERVE
        return None if goal is Goal.SERVE else goal


NOTHING = State()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A Lease as it was read.

    Args:
        holder: who holds it; empty when nobody does.
        acquired: since when, ISO 8601.
        renewed: when the holder said so last, ISO 8601.
        state: what it remembers.
        version: of the object, so that nobody writes over what another wrote meanwhile.
    """

    holder: str = ""
    acquired: str = ""
    renewed: str = ""
    state: State = NOTHING
    version: str = ""


def myself() -> str:
    """How this process signs."""
    return f"{getuser()}@{gethostname()}, process {getpid()}"


class Lease:
    """The Lease of one Helm release.

    Args:
        access: the cluster.
        name: the Helm release.
        namespace: where it is.
        holder: who this is.

    Set `owner` to a reference to the object with which the Lease shall go.
    """

    def __init__(
        self, access: ClusterAccess, *, name: str, namespace: str, holder: str | None = None
    ) -> None:
        self.holder = holder or myself()
        self.held = Held()
        self.owner: Mapping[str, Any] | None = None
        self._access, self._name, self._namespace = access, name, namespace
        self._written = -RENEW_S

    @property
    def state(self) -> State:
        """What is remembered, as last read or written."""
        return self.held.state

    def read(self) -> Held:
        """The Lease as it is; nobody's and without memory when there is none.

        Raises:
            ClusterError: the cluster does not answer.
        """
        said = self._kubectl("get", "lease", self._lease, "--ignore-not-found", "--output", "json")
        self.held = _parsed(json.loads(said)) if said else Held()
        return self.held

    def acquire(self, *, force: bool = False) -> str:
        """Hold it; who held it before, when it had to be taken away, else nothing.

        Args:
            force: take it from whoever has it.

        Raises:
            HeldError: somebody else holds it, and lives.
            ClusterError: the cluster does not answer.
        """
        first = self.read()
        until = time.monotonic() + HOLD_S
        while not force and self.held.holder not in {"", self.holder} and time.monotonic() < until:
            if (self.held.holder, self.held.renewed) != (first.holder, first.renewed):
                raise self._refusal()
            time.sleep(LOOK_S)
            self.read()
        for left in reversed(range(TAKES if force else 1)):
            taken = self.held.holder if self.held.holder != self.holder else ""
            now = _now()
            try:
                self._write(replace(self.held, holder=self.holder, acquired=now, renewed=now))
            except HeldError:
                # It was renewed since it was read, and is read again now.
                if not left:
                    raise
            else:
                break
        return taken

    def remember(self, **remembered: Any) -> None:
        """Have this written with the next renewal."""
        self.held = replace(self.held, state=replace(self.held.state, **remembered))

    def renew(self, **remembered: Any) -> None:
        """Say that this holder lives, and remember.

        Raises:
            HeldError: somebody took it away.
            ClusterError: the cluster does not answer.
        """
        self._demand_mine()
        self.remember(**remembered)
        self._write(replace(self.held, renewed=_now()))

    def keep(self) -> None:
        """Renew, when it is time to.

        Raises:
            HeldError: somebody took it away.
            ClusterError: the cluster does not answer.
        """
        if time.monotonic() - self._written >= RENEW_S:
            self.renew()

    def release(self) -> None:
        """Let others have it; what is remembered stays.

        Raises:
            HeldError: somebody took it away.
            ClusterError: the cluster does not answer.
        """
        self._demand_mine()
        self._write(replace(self.held, holder=""))

    def _demand_mine(self) -> None:
        # Who was refused once has read whose it is now, and must not write in that one's name.
        if self.held.holder != self.holder:
            raise self._refusal()

    def _write(self, held: Held) -> None:
        try:
            self._put(held)
        except ClusterError:
            # Both fail when somebody else was faster: `create` when there is one, `replace` by the version.
            if self.read().version == held.version:
                raise
            if self.held.holder != self.holder:
                raise self._refusal() from None
            # A person changed something of it, or the answer was lost.
            self._put(replace(held, version=self.held.version))

    def _put(self, held: Held) -> None:
        verb = "replace" if held.version else "create"
        said = self._kubectl(
            verb, "--filename", "-", "--output", "json", stdin=json.dumps(self._manifest(held))
        )
        self.held = _parsed(json.loads(said))
        self._written = time.monotonic()

    def _refusal(self) -> HeldError:
        who = self.held.holder or "nobody any more"
        return HeldError(
            f"the canary of {self._name} is in the hands of {who}, since {self.held.acquired}, "
            f"last seen {self.held.renewed}",
            hint=f"If that one is dead, its hold ends {HOLD_S} s after it was last seen; "
            "`tonnage canary abort` takes it at once.",
        )

    def _manifest(self, held: Held) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": self._lease,
            "namespace": self._namespace,
            "labels": {"app.kubernetes.io/instance": self._name, "app.kubernetes.io/part-of": "tonnage"},
            "annotations": {f"{PREFIX}{key}": value for key, value in _written(held.state).items()},
        }
        if held.version:
            metadata["resourceVersion"] = held.version
        if self.owner:
            metadata["ownerReferences"] = [self.owner]
        spec: dict[str, Any] = {
            "acquireTime": held.acquired,
            "renewTime": held.renewed,
            "leaseDurationSeconds": HOLD_S,
        }
        if held.holder:
            spec["holderIdentity"] = held.holder
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    @property
    def _lease(self) -> str:
        return f"{self._name}-canary"

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self._access.run_kubectl(*arguments, "--namespace", self._namespace, stdin=stdin, timeout_s=15)


def _parsed(content: Any) -> Held:
    annotations, spec = content["metadata"].get("annotations", {}), content.get("spec", {})
    remembered: dict[str, Any] = {
        each.name: type(getattr(NOTHING, each.name))(annotations[PREFIX + each.name])
        for each in fields(State)
        if PREFIX + each.name in annotations
    }
    return Held(
        holder=spec.get("holderIdentity", ""),
        acquired=spec.get("acquireTime", ""),
        renewed=spec.get("renewTime", ""),
        state=State(**remembered),
        version=content["metadata"]["resourceVersion"],
    )


def _written(state: State) -> dict[str, str]:
    """The annotations; what is empty is not written."""
    return {each.name: str(value) for each in fields(State) if (value := getattr(state, each.name))}


def _now() -> str:
    # A Lease's times have microseconds, always.
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
