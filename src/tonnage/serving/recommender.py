"""From a request to a slate: the user's row, candidates, scores, order. It knows no HTTP and no framework.

Nothing here fails because a neighbour does: what is missing is named in the slate, and the rest goes on.
"""

import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from tonnage.domain import Floats, ItemId, Rows, UserId
from tonnage.errors import DependencyError
from tonnage.features import ranking
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.features.sources import PROPOSED, promise
from tonnage.serving.candidates import Pool, Proposals
from tonnage.serving.catalogue import NO_ROWS, Allowed, Catalogue
from tonnage.serving.clock import Clock
from tonnage.serving.ports import Call, LateError, Nearest, Ranking, Retrieval, Shortlist, Users
from tonnage.serving.slates import Ask, Placed, Slate, best, place, reasons

DEADLINE = "deadline"
RANKER = "ranker-unavailable"
RETRIEVER = "retriever-unavailable"
FEATURES = "features-unavailable"
EXPLANATION = "explanation-unavailable"

FALLBACKS = (DEADLINE, RANKER, RETRIEVER, FEATURES, EXPLANATION)
"""Names of what a slate may lack, the most harmful first; a part that is late has `deadline` too."""

SHARES: Mapping[str, float] = {"features": 0.4, "retrieval": 0.7, "ranking": 1.0}
"""Part of the deadline by which each stage must have ended, so that a late one leaves time to the next."""

T = TypeVar("T")


@dataclass(slots=True)
class _Trace:
    """What happens while one slate is made."""

    request_id: str
    started: float
    deadline_s: float
    missing: set[str] = field(default_factory=set)
    seconds: dict[str, float] = field(default_factory=dict)

    def call(self, stage: str) -> Call:
        left = self.started + self.deadline_s * SHARES[stage] - time.perf_counter()
        return Call(request_id=self.request_id, timeout_s=max(left, 0.0))

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = time.perf_counter() - started

    async def attempt(self, stage: str, name: str, work: Awaitable[T]) -> T | None:
        """What a neighbour answers; None, and a named fallback, when it does not."""
        with self.timed(stage):
            try:
                return await work
            except LateError:
                self.missing |= {DEADLINE, name}
            except DependencyError:
                self.missing.add(name)
        return None

    @property
    def fallbacks(self) -> tuple[str, ...]:
        return tuple(name for name in FALLBACKS if name in self.missing)


@dataclass(frozen=True, kw_only=True)
class Recommender:
    """Makes slates from one release.

    Attributes:
        catalogue: the items.
        proposals: the sources of candidates that the release itself holds.
        vocabularies: known values of each demographic column.
        features: names of the ranker's features, in order.
        deadline_s: time within which a slate is made, with what is there by then.
    """

    catalogue: Catalogue
    proposals: Proposals
    vocabularies: Mapping[str, Sequence[str]]
    features: Sequence[str]
    users: Users
    retrieval: Retrieval
    ranking: Ranking
    clock: Clock
    deadline_s: float

    async def recommend(self, ask: Ask) -> Slate:
        """Make a slate."""
        trace = _Trace(ask.request_id, time.perf_counter(), self.deadline_s)
        now = self.clock()
        user = self._with_context(await self._user(ask, trace), ask, now)
        history_rows = self.catalogue.rows(user.history.items)
        allowed = self._allowed(ask, history_rows)
        pool = await self._pool(user, history_rows, allowed, now, trace)
        shortlist = self._shortlist(user, history_rows, pool, now)
        scores = await self._scores(shortlist, trace)
        items = await self._place(ask, shortlist, pool, scores, trace)
        return Slate(
            items=items,
            at=now,
            fallbacks=trace.fallbacks,
            unknown=self.catalogue.unknown([*ask.context, *ask.exclude]),
            candidates=pool.counts(),
            cold=not len(user.history),
            seconds=trace.seconds,
        )

    async def similar(self, ask: Ask, item: ItemId) -> Slate:
        """The items most like one that the release holds; by co-purchase where the retriever is missing."""
        trace = _Trace(ask.request_id, time.perf_counter(), self.deadline_s)
        rows = self.catalogue.rows([item])
        allowed = self._allowed(replace(ask, context=[item]), NO_ROWS)
        found = await trace.attempt(
            "retrieval",
            RETRIEVER,
            self.retrieval.similar(trace.call("retrieval"), rows=rows, k=ask.k, allowed=allowed),
        )
        pool, scores = self.proposals.like(rows, found, allowed)
        return Slate(
            items=place(pool, scores, best(scores, ask.k), self.catalogue),
            at=self.clock(),
            fallbacks=trace.fallbacks,
            unknown=self.catalogue.unknown(ask.exclude),
            candidates=pool.counts(),
            seconds=trace.seconds,
        )

    async def _user(self, ask: Ask, trace: _Trace) -> UserRow:
        if ask.user is None:
            return UserRow.cold()
        row = await trace.attempt("features", FEATURES, self.users.read(ask.user, trace.call("features")))
        return row or UserRow.cold()

    def _with_context(self, user: UserRow, ask: Ask, now: float) -> UserRow:
        known = [item for item in dict.fromkeys(ask.context) if item in self.catalogue.ids]
        events = [
            SessionEvent(
                event_id=f"{ask.request_id}-{place}",
                user_id=ask.user or UserId(""),
                item_id=item,
                kind="view",
                at=now,
            )
            for place, item in enumerate(known)
        ]
        return with_session(user, events) if events else user

    def _allowed(self, ask: Ask, history_rows: Rows) -> Allowed | None:
        barred = self.catalogue.rows([*ask.exclude, *ask.context])
        if ask.exclude_seen:
            barred = np.concatenate([barred, history_rows])
        return self.catalogue.allowed(ask.filters, barred)

    async def _pool(
        self, user: UserRow, history_rows: Rows, allowed: Allowed | None, now: float, trace: _Trace
    ) -> Pool:
        with trace.timed("sources"):
            local = self.proposals.local(user.history, history_rows, allowed, at=now)
        nearest: Nearest | None = None
        if len(local.history_rows):
            nearest = await trace.attempt(
                "retrieval",
                RETRIEVER,
                self.retrieval.nearest(
                    trace.call("retrieval"),
                    history_rows=local.history_rows,
                    weights=local.weights,
                    k=PROPOSED,
                    score_rows=local.rows,
                    allowed=allowed,
                ),
            )
        with trace.timed("merge"):
            return self.proposals.pool(local, nearest)

    def _shortlist(self, user: UserRow, history_rows: Rows, pool: Pool, now: float) -> Shortlist:
        return Shortlist(
            rows=pool.candidates.rows,
            sources=pool.candidates.scores,
            user=ranking.user_features(user, vocabularies=self.vocabularies, at=now),
            history_rows=history_rows,
            history=user.history,
            at=now,
        )

    async def _scores(self, shortlist: Shortlist, trace: _Trace) -> Floats:
        if not len(shortlist.rows):
            return np.empty(0, np.float32)
        call = trace.call("ranking")
        scores = await trace.attempt("ranking", RANKER, self.ranking.score(call, shortlist))
        return promise(shortlist.sources) if scores is None else scores

    async def _place(
        self, ask: Ask, shortlist: Shortlist, pool: Pool, scores: Floats, trace: _Trace
    ) -> list[Placed]:
        winners = best(scores, ask.k)
        because = None
        if ask.explain and len(winners) and RANKER not in trace.missing:
            slate = replace(shortlist, rows=shortlist.rows[winners], sources=shortlist.sources[winners])
            # An explanation is worth waiting for: whoever asks for it is a person.
            call = Call(request_id=ask.request_id, timeout_s=max(1.0, self.deadline_s))
            contributions = await trace.attempt("explain", EXPLANATION, self.ranking.explain(call, slate))
            because = None if contributions is None else reasons(contributions, self.features)
        return place(pool, scores, winners, self.catalogue, because)
