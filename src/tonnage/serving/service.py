"""The recommender's application: everything of this package put together, and its life from start to stop."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tonnage.domain import ItemId, UserId
from tonnage.errors import DependencyError
from tonnage.releases.release import ITEM_LOOKUP, ITEMS, NEIGHBOUR_ROWS, NEIGHBOUR_WEIGHTS, Release
from tonnage.serving.candidates import Proposals
from tonnage.serving.catalogue import Catalogue
from tonnage.serving.clock import clock_for
from tonnage.serving.collector import quiet_collector
from tonnage.serving.edge import EdgeSettings
from tonnage.serving.environment import Environment
from tonnage.serving.lifecycle import Running, open_servable, running
from tonnage.serving.ports import Call
from tonnage.serving.recommender import Recommender
from tonnage.serving.remote import RemoteModel, RemoteRanking, RemoteRetrieval
from tonnage.serving.users import StoredUsers, open_users

WARM_UP_S = 5.0
"""How long the first read of the online store may take."""

FILES = (ITEMS, ITEM_LOOKUP, NEIGHBOUR_ROWS, NEIGHBOUR_WEIGHTS)
"""Of a release, what the recommender reads: vectors and models are its neighbours' business."""

READY_CACHE_S = 1.0
"""How long the neighbours' readiness is taken to stay as it is."""


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The recommender while it serves."""

    running: Running
    recommender: Recommender
    users: StoredUsers
    neighbours: tuple[RemoteModel, ...]

    def price_of(self, item: ItemId) -> float | None:
        """The price that the release has for an item."""
        catalogue = self.recommender.catalogue
        price = float(catalogue.prices[catalogue.ids[item]])
        return None if math.isnan(price) else price


class RecommenderService:
    """What the API stands on; it serves between the start and the end of its `lifespan`.

    Args:
        environment: what the service is told.
        edge: learns who answers.
        release: the one to serve, where the process that forked this one opened and proved it already.
    """

    def __init__(self, environment: Environment, edge: EdgeSettings, release: Release | None = None) -> None:
        self._environment = environment
        self._release = release
        self._edge = edge
        self._serving: Serving | None = None
        self._met_neighbours = False
        self._asked_at = -math.inf

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Open the release, the online store and the connections; close them afterwards.

        Raises:
            TonnageError: the release cannot be served, or the online store cannot be opened.
        """
        environment = self._environment
        async with AsyncExitStack() as stack:
            release = self._release or open_servable(environment, only=FILES)
            own = stack.enter_context(running("recommender", environment, self._edge, release))
            retriever, ranker = _neighbours(environment, own)
            stack.callback(retriever.close)
            stack.callback(ranker.close)
            users = open_users(environment.online_store)
            stack.push_async_callback(users.close)
            # The first read connects: no request should pay for it. A store may come later.
            with suppress(DependencyError):
                await users.read(UserId("nobody"), Call(request_id="warm-up", timeout_s=WARM_UP_S))
            recommender = _recommender(own.release, users, retriever, ranker, environment)
            await stack.enter_async_context(quiet_collector())
            self._serving = Serving(
                running=own, recommender=recommender, users=users, neighbours=(retriever, ranker)
            )
            yield
            self._serving = None

    def serving(self) -> Serving:
        """What serves now.

        Raises:
            DependencyError: nothing yet, or no more.
        """
        if self._serving is None:
            raise DependencyError("the service has not started")
        return self._serving

    async def is_ready(self) -> bool:
        """Whether requests are welcome: nobody told the service to stop, and it has met its neighbours.

        Retriever and ranker of the same release must each have been ready once. One that goes away later is
        a named fallback: were it unreadiness, every recommender would leave its Service at once, and nobody
        could answer with the fallback.
        """
        if self._serving is None or self._serving.running.draining.begun:
            return False
        now = time.monotonic()
        if not self._met_neighbours and now - self._asked_at >= READY_CACHE_S:
            self._asked_at = now
            asked = [each.is_ready(READY_CACHE_S) for each in self._serving.neighbours]
            self._met_neighbours = all(await asyncio.gather(*asked))
        return self._met_neighbours


def _neighbours(environment: Environment, own: Running) -> tuple[RemoteModel, RemoteModel]:
    def model(name: str, url: str) -> RemoteModel:
        return RemoteModel(name=name, url=url, release=own.release.id, metrics=own.metrics)

    return model("retriever", environment.retriever_url), model("ranker", environment.ranker_url)


def _recommender(
    release: Release,
    users: StoredUsers,
    retriever: RemoteModel,
    ranker: RemoteModel,
    environment: Environment,
) -> Recommender:
    catalogue = Catalogue.of(release)
    manifest = release.manifest
    return Recommender(
        catalogue=catalogue,
        proposals=Proposals.of(release),
        vocabularies=manifest.vocabularies,
        features=manifest.features.all,
        users=users,
        retrieval=RemoteRetrieval(retriever),
        ranking=RemoteRanking(ranker),
        clock=clock_for(replay=manifest.replay, until=manifest.window.until),
        deadline_s=environment.deadline_ms / 1000,
    )
