"""Candidates as serving finds them are those that training taught the ranker on."""

from datetime import UTC, datetime

import numpy as np
import pytest
from tests.factories.release import VOCABULARIES, release

from tonnage.domain import Floats, ItemId, UserId
from tonnage.features import ranking
from tonnage.features.rows import SessionEvent, UserRow, with_session
from tonnage.serving.candidates import Proposals
from tonnage.serving.catalogue import Catalogue
from tonnage.serving.environment import Environment
from tonnage.serving.oip import Inference
from tonnage.serving.ports import Nearest
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
        assert allowed is None
        inputs = {"history_rows": history_rows, "history_weights": weights, "score_rows": score_rows}
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
    events = [
        SessionEvent(
            event_id=item,
            user_id=UserId("u"),
            item_id=ItemId(item),
            kind="purchase",
            at=AT.timestamp() - 86_400 * (place + 1),
        )
        for place, item in enumerate(items)
    ]
    return with_session(UserRow.cold(), events) if events else UserRow.cold()


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
        recent_popularity=column("recent_popularity"),
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
    await recommender.recommend(Ask(request_id="r", user=UserId("u"), k=5))
    taught = as_training_knows(opened).candidates(user)
    np.testing.assert_array_equal(neighbours.shortlist.rows, taught.rows)
    np.testing.assert_array_equal(neighbours.shortlist.sources, taught.scores)
