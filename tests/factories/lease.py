"""An API server with one Lease."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tonnage.deployment.access import ClusterAccess
from tonnage.errors import ClusterError


@dataclass
class Server:
    """The Lease of an API server: one object with a version, or none.

    Args:
        stored: as it was written last.
        away: whether it refuses connections.
        loses_answers: whether it does what it is told and nobody hears of it.
        late: whether its next answer to `get` is from before there was one.
        between: what happens after the next answer to `get`.
    """

    stored: dict[str, Any] | None = None
    away: bool = False
    loses_answers: bool = False
    late: bool = False
    between: Callable[[], object] | None = None

    def answer(self, verb: str, manifest: dict[str, Any] | None) -> str:
        """What kubectl prints."""
        if self.away:
            raise ClusterError("kubectl: connection refused")
        if verb == "get" and self.late:
            self.late = False
            return ""
        if verb == "get":
            found = json.dumps(self.stored) if self.stored else ""
            happens, self.between = self.between, None
            if happens:
                happens()
            return found
        assert manifest is not None
        if verb == "create" and self.stored is not None:
            raise ClusterError("kubectl: AlreadyExists")
        version = int(self.stored["metadata"]["resourceVersion"]) if self.stored else 0
        if verb == "replace" and manifest["metadata"]["resourceVersion"] != str(version):
            raise ClusterError("kubectl: the object has been modified")
        assert manifest["spec"].get("holderIdentity") != "", "Kubernetes refuses an empty holder"
        manifest["metadata"]["resourceVersion"] = str(version + 1)
        self.stored = manifest
        if self.loses_answers:
            raise ClusterError("kubectl: unexpected EOF")
        return json.dumps(manifest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached(ClusterAccess):
    """Access to it."""

    server: Server

    def run_kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """As kubectl would."""
        return self.server.answer(arguments[0], json.loads(stdin) if stdin else None)
