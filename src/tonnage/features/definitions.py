"""What Feast knows of our features: entities, views and services, in code and in one place.

The registry lives in memory. Definitions come with the code that reads them, so there is no file to keep in
step, none that two workers write at once, and a pod's root file system may be read-only.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.registry.registry_store import RegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.types import Array, Float32, Float64, String

from tonnage.features.config import MOST_DAYS
from tonnage.features.rows import HISTORY_COLUMNS, PROFILE_COLUMNS, VALUES

USER_HISTORY = "user_history"
USER_PROFILE = "user_profile"
ITEM_STATS = "item_stats"
USER_ROW = "user_row"
"""The feature service that gives everything a `UserRow` is made of."""
ITEM_ROW = "item_row"
"""The feature service that gives every item statistic."""

USER_VIEWS = (USER_HISTORY, USER_PROFILE)
"""Views that the online store holds."""

FOR_EVER = timedelta(0)
"""A Feast ttl: what a user did two years ago is still what that user did last."""

NO_ONLINE_STORE: dict[str, Any] = {"type": "sqlite", "path": ":memory:"}
"""For who only asks about the past; Feast wants one named."""

_HISTORY_TYPES = dict(zip(HISTORY_COLUMNS, (String, Float32, Float32, Float64, Float64), strict=True))


class MemoryRegistryStore(RegistryStore):  # type: ignore[misc]  # Feast ships no types
    """Keeps Feast's registry in this process."""

    def __init__(self, registry_config: object, repo_path: object) -> None:  # noqa: ARG002 — Feast's signature
        self._registry = Registry()

    def get_registry_proto(self) -> Registry:
        """The registry as last written."""
        # A copy, as from a file: Feast caches what it lists by the identity of the registry it lists from.
        registry = Registry()
        registry.CopyFrom(self._registry)
        return registry

    def update_registry_proto(self, registry_proto: Registry) -> None:
        """Replace the registry."""
        self._registry.CopyFrom(registry_proto)

    def teardown(self) -> None:
        """Forget it."""
        self._registry = Registry()


def open_store(
    rows: Path, *, offline: dict[str, Any], online: dict[str, Any], item_columns: Sequence[str] = ()
) -> FeatureStore:
    """Open Feast with our definitions applied.

    Args:
        rows: directory of the Parquet files; serving, which never reads them, may name any.
        offline: Feast's settings of the offline store.
        online: Feast's settings of the online store.
        item_columns: the item statistics; none where only users are read.
    """
    registry = {"registry_store_type": f"{__name__}.{MemoryRegistryStore.__name__}", "cache_ttl_seconds": 0}
    store = FeatureStore(
        config=RepoConfig(
            project="tonnage",
            provider="local",
            registry=registry,
            offline_store=offline,
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    store.apply(_definitions(rows, item_columns), skip_feature_view_validation=True)
    return store


def _definitions(rows: Path, item_columns: Sequence[str]) -> list[Any]:
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    history = _view(
        USER_HISTORY, user, rows, {**dict.fromkeys(VALUES, Float64), **_array_types(_HISTORY_TYPES)}
    )
    profile = _view(USER_PROFILE, user, rows, _array_types(dict.fromkeys(PROFILE_COLUMNS, String)))
    users = [user, history, profile, FeatureService(name=USER_ROW, features=[history, profile])]
    if not item_columns:
        return users
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)
    # Every item has every snapshot, so a join need not look at older ones; a year of them made it slow.
    recent = timedelta(days=MOST_DAYS)
    stats = _view(ITEM_STATS, item, rows, dict.fromkeys(item_columns, Float64), ttl=recent, online=False)
    return [*users, item, stats, FeatureService(name=ITEM_ROW, features=[stats])]


def _array_types(elements: dict[str, Any]) -> dict[str, Any]:
    return {name: Array(element) for name, element in elements.items()}


def _view(
    name: str,
    entity: Entity,
    rows: Path,
    types: dict[str, Any],
    *,
    ttl: timedelta = FOR_EVER,
    online: bool = True,
) -> FeatureView:
    key = Field(name=entity.join_key, dtype=String)
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=ttl,
        online=online,
        source=FileSource(
            name=name, path=str(rows.absolute() / f"{name}.parquet"), timestamp_field="event_timestamp"
        ),
        schema=[key, *(Field(name=column, dtype=kind) for column, kind in types.items())],
    )
