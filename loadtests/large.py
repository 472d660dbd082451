"""A simulated shop of a million items, as a project that `tonnage package` and `tonnage deploy` take.

    python loadtests/large.py                                # 1,000,000 items, 128 dimensions
    python loadtests/large.py --items 100000 --dimensions 64

Nothing is trained but the ranker; the rest is drawn, see `simulated.py`. The same options, the same bytes.
It is made once, below `build/measure/`; where is printed.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from measures import ROOT
from simulated import (
    CHUNK,
    DAYS,
    UNTIL,
    VOCABULARIES,
    Numbers,
    Shape,
    Simulated,
    interaction_table,
    item_table,
    user_table,
)
from tonnage.domain import SOURCES, Floats
from tonnage.features import ranking, sources
from tonnage.features.config import FeaturesConfig
from tonnage.files import whole_directory
from tonnage.releases.config import IndexConfig
from tonnage.releases.manifest import SCHEMA_VERSION
from tonnage.releases.release import Release, open_release
from tonnage.releases.writing import write_release
from tonnage.telemetry import Progress, Spoken
from tonnage.training.trained import DataWindow, Trained

ALPHA, REGULARIZATION = 40.0, 50.0
TUNED = 400
"""Users that the release itself measures its index with; `queries.npy` holds others."""

QUERIES = 2_000
"""Users in `queries.npy` at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Large:
    """A project directory: `tonnage.toml`, data, features and one release below `build/`, `queries.npy`."""

    root: Path

    @property
    def release_dir(self) -> Path:
        """The release."""
        releases = self.root / "build" / "releases"
        return releases / (releases / ".latest").read_text(encoding="ascii")

    def release(self) -> Release:
        """The release, opened without reading all of it."""
        return open_release(self.release_dir, verify=False)

    def queries(self) -> Floats:
        """Vectors of users with a history, float32 [2000, d]: what a retriever is asked with."""
        found: Floats = np.load(self.root / "queries.npy")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judgement of a release that nobody trained: taken, so that it can be packaged."""

    accepted: bool = True
    reasons: Sequence[str] = ("simulated: nothing was judged",)

    def as_dict(self) -> Mapping[str, object]:
        """No results."""
        return {"rows": []}


def key_of(shape: Shape) -> str:
    """Digest of everything that decides the bytes, hex."""
    package, here = Path(sources.__file__).parents[1], Path(__file__)
    writers = [here, here.with_name("simulated.py"), package / "releases" / "writing.py"]
    writers += sorted((package / "index").glob("*.py"))
    code = [hashlib.sha256(file.read_bytes()).hexdigest() for file in writers]
    told = [asdict(shape), SCHEMA_VERSION, ranking.names(VOCABULARIES).fingerprint(), code]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def provide(shape: Shape | None = None, *, below: Path | None = None, progress: Progress) -> Large:
    """The project of a shape, made if it is not there.

    Args:
        shape: what to simulate; a million items without it.
        below: directory to make it in; `build/measure` of the checkout without it. BentoML builds nothing
            below a directory whose name begins with a dot.
        progress: is told of each step.
    """
    shape = shape or Shape()
    name = f"large-{shape.items}x{shape.dimensions}-{key_of(shape)[:8]}"
    root = (below or ROOT / "build" / "measure") / name
    if not root.exists():
        with progress.stage(f"simulate {shape.items:,} items"), whole_directory(root) as fresh:
            _make(fresh, shape, progress)
    return Large(root=root)


def _make(root: Path, shape: Shape, progress: Progress) -> None:
    # Feast takes seconds to import, and who finds the project made needs none of it.
    from tonnage.features.store import build

    with progress.stage("items and vectors"):
        simulated = Simulated(shape)
        baskets = simulated.baskets()
        prices = simulated.random.lognormal(1.0, 0.8, shape.items).round(2)
    with progress.stage("users and their features"):
        data = root / "build" / "data"
        data.mkdir(parents=True)
        interactions = interaction_table(simulated, baskets, prices)
        interactions.to_parquet(data / "interactions.parquet")
        user_table(simulated).to_parquet(data / "users.parquet")
        build(data, root / "build" / "features", FeaturesConfig(item_every_days=DAYS), progress=progress)
    with progress.stage("release"):
        trained = _trained(simulated, prices, interactions)
        np.save(root / "queries.npy", trained.queries[TUNED:])
        trained = replace(trained, queries=trained.queries[:TUNED])
        releases = root / "build" / "releases"
        index = IndexConfig(variants=shape.variants or None)
        written = write_release(trained, releases, index=index, progress=progress)
        (releases / ".latest").write_text(written.id, encoding="ascii")
    (root / "tonnage.toml").write_text('[deployment]\nname = "large"\nnamespace = "large"\n')


def _queries(vectors: Floats, gram: Floats, interactions: pd.DataFrame) -> Floats:
    """Vectors of users as serving folds them in at the end of the data, float32 [m, d]."""
    rows = interactions["item_id"].str[1:].astype(np.int32).to_numpy()
    age_s = (pd.Timestamp(UNTIL) - interactions["at"]).dt.total_seconds().to_numpy()
    weights = sources.weights_of(np.ones(len(rows), np.float32), age_s)
    users = list(interactions.groupby("user_id").indices.values())[: TUNED + QUERIES]
    folded = [sources.fold_in(vectors, gram, rows[own], weights[own], alpha=ALPHA) for own in users]
    return np.stack(folded)


def _trained(simulated: Simulated, prices: Numbers, interactions: pd.DataFrame) -> Trained:
    shape, vectors = simulated.shape, simulated.vectors
    rows, weights = simulated.neighbours()
    items = item_table(simulated, prices)
    names = ranking.names(VOCABULARIES)
    statistics = np.column_stack([items[name].to_numpy()[:CHUNK] for name in names.item])
    gram = (vectors.T @ vectors + REGULARIZATION * np.eye(shape.dimensions)).astype(np.float32)
    return Trained(
        items=items,
        item_vectors=vectors,
        gram=gram,
        alpha=ALPHA,
        queries=_queries(vectors, gram, interactions),
        neighbour_rows=rows,
        neighbour_weights=weights,
        ranker=_ranker(simulated.random, names, statistics),
        vocabularies=VOCABULARIES,
        names=names,
        evaluation=Judged(),
        window=DataWindow(
            since=interactions["at"].min().to_pydatetime(),
            until=UNTIL,
            interactions=len(interactions),
            users=shape.users,
            items=shape.items,
            judged_from=UNTIL - timedelta(days=1),
            judged_until=UNTIL,
        ),
        replay=True,
    )


def _ranker(random: np.random.Generator, names: ranking.FeatureNames, statistics: Numbers) -> bytes:
    """As many and as deep trees as training grows by default, on candidates that nobody saw."""
    from tonnage.training import ranker
    from tonnage.training.config import TrainingConfig

    users, each = 300, 80
    rows = users * each
    scores = random.normal(size=(rows, len(SOURCES))).astype(np.float32)
    scores[random.random(scores.shape) < [0.1, 0.9, 0.5, 0.0]] = np.nan
    past = random.gamma(1.0, 2.0, (rows, len(names.user_item))).astype(np.float32)
    past[random.random(rows) < 0.9] = np.nan
    item = statistics[random.integers(0, len(statistics), rows)].astype(np.float32)
    features = np.concatenate(
        [
            ranking.assemble(
                item=item[own],
                user=random.gamma(2.0, 1.0, len(names.user)).astype(np.float32),
                user_item=past[own],
                sources=scores[own],
            )
            for own in (slice(user * each, (user + 1) * each) for user in range(users))
        ]
    )
    liking = sources.promise(scores) + 0.3 * item[:, 0] + random.normal(size=rows)
    taken = (liking > np.quantile(liking, 0.95)).astype(np.float32)
    sizes = np.full(users, each, np.int32)
    lesson = ranker.Lesson(features=features, taken=taken, sizes=sizes)
    booster = ranker.fit([lesson], names.all, TrainingConfig(threads=1))
    return bytes(booster.save_raw("ubj"))


def main() -> None:
    """Make a project from the command line, and print where it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Shape()
    for name in ("items", "dimensions", "neighbours", "users", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    parser.add_argument(
        "--variants", nargs="+", default=(), help="index variants; by default those of the size"
    )
    parser.add_argument("--below", type=Path, help="directory to make it in, instead of build/measure")
    given = vars(parser.parse_args())
    below: Path | None = given.pop("below")
    given["variants"] = tuple(given["variants"])
    large = provide(Shape(**given), below=below, progress=Spoken())
    print(large.root)
    print(large.release_dir)


if __name__ == "__main__":
    main()
