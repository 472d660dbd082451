"""One model behind the Open Inference Protocol, whatever door a request comes through: HTTP or gRPC."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from starlette.routing import BaseRoute

from tonnage import __version__
from tonnage.errors import NotFoundError, RequestError
from tonnage.serving.admission.admission import Admission
from tonnage.serving.lifecycle import Running
from tonnage.serving.metrics import Metrics
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import ProtocolError, Tensors
from tonnage.serving.protocol.together import Batched, Together

MAX_BODY = 4 * 2**20
"""Bytes of one request, through either door; gRPC's own default. It holds 2,000 rows of features four times
as JSON, and the filter of a million items thirty times."""

EXTENSIONS = ("binary_tensor_data",)


class ReleaseConflictError(RequestError):
    """The caller works with another release than this service holds."""

    http_status = 409


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor as the model's metadata describe it; -1 is any size."""

    name: str
    datatype: str
    shape: Sequence[int] = (-1,)

    def as_json(self) -> dict[str, object]:
        """The protocol's form."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


class Model(Protocol):
    """What answers inference requests. It computes for milliseconds and holds the event loop meanwhile."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """Tensors it takes."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """Tensors it gives."""
        ...

    def infer(self, request: Inference) -> Tensors:
        """Answer one request.

        Raises:
            ProtocolError: the inputs are not what the model takes.
        """
        ...

    def warm_up(self) -> None:
        """Compute once, so that no request pays for first times."""
        ...


@runtime_checkable
class Routed(Protocol):
    """A model with paths of its own beside the protocol's."""

    def routes(self) -> Sequence[BaseRoute]:
        """What it answers besides; asked once, when it is loaded."""
        ...


@runtime_checkable
class Observed(Protocol):
    """A model that counts."""

    def observe(self, metrics: Metrics) -> None:
        """Add what it counts to the service's metrics; called once, when it is loaded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """One loaded model while it serves.

    Attributes:
        name: of the model.
        running: the service around it.
        model: what answers.
        admission: who gets in, through either door.
        together: computes requests that wait at the same time in one call, if the model can.
    """

    name: str
    running: Running
    model: Model
    admission: Admission
    together: Together | None = None

    @classmethod
    def of(
        cls,
        name: str,
        running: Running,
        model: Model,
        *,
        budget_s: float,
        thread: ThreadPoolExecutor | None = None,
    ) -> Self:
        """A model, and who gets in to it: as many at once as it computes together.

        Args:
            name: of the model.
            running: the service around it.
            model: what answers.
            budget_s: longest time that a request should spend inside.
            thread: where requests are computed together; by default on the event loop.
        """
        together = Together(model, thread) if isinstance(model, Batched) else None
        at_once = model.together if isinstance(model, Batched) else 1
        admission = Admission(concurrency=at_once, budget_s=budget_s)
        return cls(name=name, running=running, model=model, admission=admission, together=together)

    @property
    def release(self) -> str:
        """The release that is served; also the model's only version."""
        return str(self.running.release.id)

    def is_ready(self) -> bool:
        """Whether requests are welcome: nobody told the service to stop."""
        return not self.running.draining.begun

    def check(self, *, release: str | None = None, version: str | None = None) -> None:
        """Prove that a request is for what is served here.

        Args:
            release: that the caller works with, if it says so.
            version: of the model that is asked for, if one is.

        Raises:
            ReleaseConflictError: the caller works with another release.
            NotFoundError: there is no such version.
        """
        if release and release != self.release:
            self.running.metrics.conflict()
            raise ReleaseConflictError(
                f"this service holds release {self.release}, the call is for {release}"
            )
        if version and version != self.release:
            raise NotFoundError(f"there is no version {version}", hint=f"There is {self.release}.")

    async def infer(self, request: Inference) -> Tensors:
        """Answer one request; the caller holds a turn.

        Raises:
            ProtocolError: the inputs are not what the model takes, or an output is asked for that it lacks.
        """
        known = {spec.name for spec in self.model.inputs}
        if not known.issuperset(request.inputs):
            unknown = ", ".join(name for name in request.inputs if name not in known)
            raise ProtocolError(f"no such input: {unknown}", hint=f"There are: {', '.join(sorted(known))}.")
        if self.together:
            return await self.together.infer(request)
        return self.model.infer(request)

    def about_model(self) -> dict[str, object]:
        """The model's metadata, in the protocol's form."""
        return {
            "name": self.name,
            "versions": [self.release],
            "platform": "tonnage",
            "inputs": [each.as_json() for each in self.model.inputs],
            "outputs": [each.as_json() for each in self.model.outputs],
        }


def about_server(name: str) -> dict[str, object]:
    """The server's metadata, in the protocol's form."""
    return {"name": f"tonnage-{name}", "version": __version__, "extensions": list(EXTENSIONS)}
