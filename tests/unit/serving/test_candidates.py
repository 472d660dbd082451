"""Candidates as serving finds them are those that training taught the ranker on."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tests.factories.release import VOCABULARIES, release

from tonnage.domain import Floats, ItemId, UserId
from tonnage.features import ranking, sources
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.candidates import Proposals
from tonnage.serving.catalogue import Catalogue, Filters
from tonnage.serving.environment import Environment
from tonnage.serving.ports import Nearest
from tonnage.serving.protocol.oip import Inference
from tonnage.serving.recommender import Recommender
from tonnage.serving.retriever import Retriever
from tonnage.serving.slates import Ask
from tonnage.training import als, moment

AT = datetime(2011, 12, 10, tzinfo=UTC)
ITEMS = 1500
"""More than a source proposes, and more than become candidates: so every cut is compared too."""


class Neighbours:
    """The store answers with one user, retrieval is the real one, and the ranker notes what it is asked."""

    def __init__(self, opened, user):
        self.retriever = Retriever.load(opened, Environment())
        self.user = user
        self.shortlist = None

    async def read(self, _user, _call):
        return self.user

    async def nearest(self, _call, *, history_rows, weights, k, score_rows, allowed):
        inputs = {"history_rows": history_rows, "history_weights": weights, "score_rows": score_rows}
        if allowed is not None:
            inputs["exclude_rows"] = allowed.barred
            if allowed.passing is not None:
                inputs["allowed_bits"] = np.packbits(allowed.passing)
        return Nearest(**self.retriever.infer(Inference(inputs=inputs, parameters={"k": k})))

    async def score(self, _call, shortlist):
        self.shortlist = shortlist
        return np.zeros(len(shortlist.rows), np.float32)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return release(
        tmp_path_factory.mktemp("releases"),
        items=ITEMS,
        names=ranking.names(VOCABULARIES),
        vocabularies=VOCABULARIES,
    )


def who_had(*items: str) -> UserRow:
    events = [view(item, AT.timestamp() - 86_400 * (place + 1)) for place, item in enumerate(items)]
    return with_session(UserRow.cold(), events) if events else UserRow.cold()


def view(item: str, at: float) -> SessionEvent:
    return SessionEvent(event_id=item, user_id=UserId("u"), item_id=ItemId(item), kind="view", at=at)


def as_training_knows(opened) -> moment.Moment:
    def column(name: str) -> Floats:
        return opened.items[name].to_numpy().astype(np.float32)

    return moment.Moment(
        at=AT,
        catalogue=moment.Catalogue(
            items=list(opened.row_of),
            row_of=opened.row_of,
            categories=np.full(ITEMS, -1, np.int32),
            content=np.empty((ITEMS, 0), np.float32),
            vocabularies=VOCABULARIES,
        ),
        vectors=als.Vectors(
            items=opened.item_vectors, gram=opened.gram, alpha=opened.manifest.retrieval.alpha
        ),
        neighbours=(opened.neighbour_rows, opened.neighbour_weights),
        statistics=opened.item_features,
        popularity=column("popularity"),
        demand=np.empty((ITEMS, 0)),
        recent_popularity=column("recent_popularity"),
        long_run=sources.long_run(column("item_buyers_all")),
        allowed=np.ones(ITEMS, np.bool_),
    )


@pytest.mark.parametrize(
    "items",
    [(), ("nope",), ("10000", "10007", "nope", "11000")],
    ids=["a cold user", "one who had only what the release lacks", "a known user"],
)
async def test_serving_finds_the_candidates_that_training_taught_on(opened, items):
    """Otherwise the ranker meets scores that it never saw, and the evaluation is of something else."""
    user = who_had(*items)
    found = await asked_to_rank(opened, user)
    taught = as_training_knows(opened).candidates(user)
    np.testing.assert_array_equal(found.rows, taught.rows)
    np.testing.assert_array_equal(found.sources, taught.scores)


@pytest.mark.parametrize(
    "rules",
    [
        {"filters": Filters(category="garden")},
        {"filters": Filters(category="toys", price_min=3, price_max=3.2)},
        {"filters": Filters(price_max=15), "exclude": [f"{10_000 + row}" for row in range(400)]},
        {"exclude_seen": True},
        {"context": ["10003", "10900"], "exclude": ["nope"]},
    ],
    ids=["a wide filter", "a tight one", "a filter and a long list", "nothing seen", "a few in view"],
)
@pytest.mark.parametrize("items", [(), ("10000", "10007", "nope", "11000")], ids=["cold", "known"])
async def test_rules_leave_the_candidates_that_a_whole_mask_leaves(opened, rules, items):
    """Shortcuts around looking at every item must find what looking at every item finds."""
    user = who_had(*items)
    found = await asked_to_rank(opened, user, **rules)
    if "context" in rules:
        user = with_session(user, [view(item, AT.timestamp()) for item in rules["context"]])
    expected = plainly(opened, user, mask_of(opened, user, **rules))
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.sources, expected.scores)


def mask_of(opened, user, *, filters=None, exclude=(), exclude_seen=False, context=()):
    filters = filters or Filters()
    table = opened.items.select(["item_id", "category", "price"]).to_pylist()
    barred = {*exclude, *context, *(user.history.items if exclude_seen else ())}
    return np.array(
        [
            item["item_id"] not in barred
            and filters.category in (None, item["category"])
            and (filters.price_min is None or item["price"] >= filters.price_min)
            and (filters.price_max is None or item["price"] <= filters.price_max)
            for item in table
        ]
    )


def plainly(opened, user, mask):
    """Candidates by masks over every item."""
    rows = opened.row_of.rows(user.history.items)
    weights = sources.interaction_weights(user.history, AT.timestamp())
    name = "popularity" if (rows >= 0).any() else "recent_popularity"
    popularity = opened.items[name].to_numpy().astype(np.float32)
    again, worth = everything = sources.repeats(rows, weights)
    again, worth = again[mask[again]], worth[mask[again]]
    together = sources.co_purchase(opened.neighbour_rows, opened.neighbour_weights, rows, weights)
    trend = sources.trend(popularity, allowed=mask)
    vectors = (np.empty(0, np.int32), np.empty(0, np.float32))
    if (rows >= 0).any():
        alpha = opened.manifest.retrieval.alpha
        taste = sources.fold_in(opened.item_vectors, opened.gram, *everything, alpha=alpha)
        vectors = np.arange(ITEMS, dtype=np.int32), opened.item_vectors @ taste
    pool = np.concatenate([again, trend[0], *(sources.best(each, mask)[0] for each in (vectors, together))])
    found = [vectors, (again, worth), together, trend]
    if (rows >= 0).any():
        long_run = sources.long_run(opened.items["item_buyers_all"].to_numpy())
        lean = np.float32(sources.LEAN * np.log(sources.USUAL / (1 + len(everything[0]))))
        popularity = popularity + lean * long_run
    return sources.merge(found, pool=pool, popularity=popularity)


async def asked_to_rank(opened, user, **rules):
    """What the ranker is asked for one user."""
    neighbours = Neighbours(opened, user)
    recommender = Recommender(
        catalogue=Catalogue.of(opened),
        proposals=Proposals.of(opened),
        vocabularies=VOCABULARIES,
        features=opened.manifest.features.all,
        users=neighbours,
        retrieval=neighbours,
        ranking=neighbours,
        clock=AT.timestamp,
        deadline_s=60.0,
    )
    await recommender.recommend(Ask(request_id="r", user=UserId("u"), k=5, **rules))
    return neighbours.shortlist
