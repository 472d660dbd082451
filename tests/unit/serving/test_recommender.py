"""The way from a request to a slate, with neighbours that answer as told."""

import asyncio
import math

import numpy as np
import pytest
from tests.factories.release import VOCABULARIES, release

from tonnage.domain import ItemId, UserId
from tonnage.errors import DependencyError
from tonnage.features import ranking
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.candidates import Proposals
from tonnage.serving.catalogue import Catalogue, Filters
from tonnage.serving.ports import LateError, Nearest
from tonnage.serving.recommender import Recommender
from tonnage.serving.slates import Ask

NOW = 1_323_435_000.0


class Neighbours:
    """Users, retrieval and ranking in one; what is in `broken` fails as it says."""

    def __init__(self, broken=()):
        self.broken = dict(broken)
        self.asked = {}

    async def _answer(self, part, call, value):
        self.asked[part] = call
        if part in self.broken:
            raise self.broken[part]
        return value

    async def read(self, user, call):
        events = [
            SessionEvent(
                event_id=f"e{row}",
                user_id=user,
                item_id=ItemId(f"{10_000 + row}"),
                kind="x",
                at=NOW - 9 - row,
            )
            for row in (0, 3, 6)
        ]
        return await self._answer("features", call, with_session(UserRow.cold(), events))

    async def nearest(self, call, *, history_rows, weights, k, score_rows, allowed):
        rows = np.arange(30, 50, dtype=np.int32)
        rows = rows if allowed is None else rows[allowed[rows]]
        found = Nearest(
            rows=rows,
            scores=np.linspace(1, 0.1, len(rows), dtype=np.float32),
            asked_scores=np.full(len(score_rows), 0.05, np.float32),
        )
        return await self._answer("retrieval", call, found)

    async def similar(self, call, *, rows, k, allowed):
        found = Nearest(
            rows=np.array([11, 12], np.int32),
            scores=np.array([0.9, 0.8], np.float32),
            asked_scores=np.empty(0, np.float32),
        )
        return await self._answer("retrieval", call, found)

    async def score(self, call, shortlist):
        # The highest row wins, so that the order can only come from here.
        return await self._answer("ranking", call, shortlist.rows.astype(np.float32))

    async def explain(self, call, shortlist):
        names = ranking.names(VOCABULARIES).all
        contributions = np.zeros((len(shortlist.rows), len(names) + 1), np.float32)
        contributions[:, 2] = 0.5
        return await self._answer("explain", call, contributions)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return release(
        tmp_path_factory.mktemp("releases"), names=ranking.names(VOCABULARIES), vocabularies=VOCABULARIES
    )


@pytest.fixture
def recommender(opened):
    def build(**broken):
        neighbours = Neighbours(broken)
        return Recommender(
            catalogue=Catalogue.of(opened),
            proposals=Proposals.of(opened),
            vocabularies=VOCABULARIES,
            features=opened.manifest.features.all,
            users=neighbours,
            retrieval=neighbours,
            ranking=neighbours,
            clock=lambda: NOW,
            deadline_s=0.1,
        )

    return build


def ask(**about):
    return Ask(**{"request_id": "r", "user": UserId("u"), "k": 5, **about})


async def test_the_ranker_has_the_last_word(recommender):
    slate = await recommender().recommend(ask())
    assert [each.item for each in slate.items] == ["10059", "10058", "10057", "10056", "10055"]
    assert slate.fallbacks == ()
    assert not slate.cold


async def test_every_source_is_named_only_where_it_proposed(recommender):
    """The vectors score everything; who is listed must have proposed the item."""
    slate = await recommender().recommend(ask(k=60))
    sources = {each.item: each.sources for each in slate.items}
    assert "repeats" in sources["10003"]
    assert "vectors" not in sources["10003"]
    assert "vectors" in sources["10030"]
    assert slate.candidates["repeats"] == 3
    assert slate.candidates["vectors"] == 20


@pytest.mark.parametrize(
    ("part", "error", "fallback"),
    [
        ("features", DependencyError("gone"), ("features-unavailable",)),
        ("retrieval", DependencyError("gone"), ("retriever-unavailable",)),
        ("ranking", DependencyError("gone"), ("ranker-unavailable",)),
        ("ranking", LateError("slow"), ("deadline", "ranker-unavailable")),
    ],
)
async def test_a_part_that_is_missing_is_named_and_the_slate_stands(recommender, part, error, fallback):
    slate = await recommender(**{part: error}).recommend(ask())
    assert slate.fallbacks == fallback
    assert len(slate.items) == 5


async def test_an_explanation_that_fails_costs_only_the_explanation(recommender):
    slate = await recommender(explain=DependencyError("gone")).recommend(ask(explain=True))
    assert slate.fallbacks == ("explanation-unavailable",)
    assert slate.items[0].item == "10059"
    explained = await recommender().recommend(ask(explain=True))
    assert explained.items[0].reasons == [("item_buyers_28", 0.5)]


async def test_each_stage_is_left_with_time_for_the_next(recommender):
    """Were one stage given all of the deadline, a hanging store would leave nothing for the ranker."""
    made = recommender()
    await made.recommend(ask())
    allowed = [made.users.asked[part].timeout_s for part in ("features", "retrieval", "ranking")]
    assert 0 < allowed[0] <= 0.04 < allowed[1] <= 0.07 < allowed[2] <= 0.1


async def test_nobody_known_is_cold_and_needs_no_store(recommender):
    made = recommender(features=AssertionError("must not be asked"))
    slate = await made.recommend(ask(user=None))
    assert slate.cold
    assert slate.fallbacks == ()
    assert "retrieval" not in made.users.asked


async def test_what_is_in_view_counts_and_does_not_come_back(recommender):
    made = recommender()
    slate = await made.recommend(ask(user=None, context=["10001", "nope"], k=60))
    assert not slate.cold
    assert "retrieval" in made.users.asked
    assert "10001" not in {each.item for each in slate.items}
    assert slate.unknown == ["nope"]


async def test_rules_hold_for_every_source(recommender):
    rules = ask(k=60, filters=Filters(category="garden"), exclude=["10030"], exclude_seen=True)
    slate = await recommender().recommend(rules)
    rows = [int(each.item) - 10_000 for each in slate.items]
    assert rows
    assert all(row % 3 == 0 for row in rows)
    assert not {0, 3, 6, 30} & set(rows)


async def test_a_filter_that_nothing_passes_gives_an_empty_slate(recommender):
    slate = await recommender().recommend(ask(filters=Filters(category="boats")))
    assert list(slate.items) == []


async def test_similar_items_come_from_co_purchase_when_the_retriever_is_away(recommender, opened):
    neighbour = int(opened.neighbour_rows[4][0])
    slate = await recommender(retrieval=DependencyError("gone")).similar(ask(user=None), ItemId("10004"))
    assert slate.fallbacks == ("retriever-unavailable",)
    assert slate.items[0].item == f"{10_000 + neighbour}"
    assert slate.items[0].sources == ["co_purchase"]
    assert all(math.isfinite(each.score) for each in slate.items)


async def test_equal_requests_get_equal_slates(recommender):
    made = recommender()
    first, second = await asyncio.gather(made.recommend(ask(k=20)), made.recommend(ask(k=20)))
    assert first.items == second.items
