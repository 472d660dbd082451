"""Requests that wait at the same time, computed in one call.

A call of XGBoost prepares every tree before it looks at the first row: for 300 trees that is as much work as
50 rows. Four requests stacked into one call took a fifth less time than one after the other. Nobody waits for
others to come: what is there when the event loop comes round is computed.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

from tonnage.errors import TonnageError
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.protocol.tensors import Tensors


@runtime_checkable
class Batched(Protocol):
    """A model that answers several requests in one call."""

    @property
    def together(self) -> int:
        """How many at most."""
        ...

    def infer_together(self, requests: Sequence[Inference]) -> Sequence[Tensors | TonnageError]:
        """Answer each request, in their order, with tensors or with what is wrong with it."""
        ...


class Together:
    """Collects what is asked for within one round of the event loop.

    Args:
        model: computes; whoever lets requests in keeps their number at `model.together`.
        thread: where it computes; by default on the event loop, which saves two hand-overs.
    """

    def __init__(self, model: Batched, thread: ThreadPoolExecutor | None = None) -> None:
        self._model, self._thread = model, thread
        self._waiting: list[tuple[Inference, asyncio.Future[Tensors]]] = []

    async def infer(self, request: Inference) -> Tensors:
        """Answer one request, together with others that are there.

        Raises:
            TonnageError: what is wrong with this request.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._compute)
        answer: asyncio.Future[Tensors] = loop.create_future()
        self._waiting.append((request, answer))
        try:
            return await answer
        finally:
            # An error knows this frame, and would know itself through it: a cycle, with the request in it.
            del answer

    def _compute(self) -> None:
        waiting, self._waiting = self._waiting, []
        requests = [request for request, _ in waiting]
        if self._thread is None:
            self._tell(waiting, self._answers(requests))
            return
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._answers, requests)
        done.add_done_callback(lambda answers: self._tell(waiting, answers.result()))

    def _answers(self, requests: Sequence[Inference]) -> Sequence[Tensors | Exception]:
        try:
            return self._model.infer_together(requests)
        except Exception as error:  # noqa: BLE001
            # Each of them has to hear it, or its caller waits for ever.
            return [error] * len(requests)

    def _tell(
        self,
        waiting: Sequence[tuple[Inference, asyncio.Future[Tensors]]],
        answers: Sequence[Tensors | Exception],
    ) -> None:
        for (_, future), answer in zip(waiting, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
