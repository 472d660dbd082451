"""Redis as Feast's online store, with a client that fails within its deadline."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from feast import FeatureStore
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from redis import Redis

from tonnage.domain import UserId
from tonnage.features.redis_client import connect


class BoundedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no types
    """Feast's settings, with the URL and the timeout that its connection string cannot hold."""

    type: Literal["tonnage.features.redis_online.BoundedRedisOnlineStore"]
    url: str
    timeout_s: float
    # Feast would keep a row whose time is not older than the new one's. A rebuilt row has the time of the
    # same last event, and going back to an earlier build is a person's decision: the last writer must win.
    skip_dedup: bool = True


class BoundedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]  # Feast ships no types
    """Feast's Redis store on our client."""

    _client: Redis | None = None

    def _get_client(self, online_store_config: Any) -> Redis:
        if self._client is None:
            self._client = connect(online_store_config.url, timeout_s=online_store_config.timeout_s)
        return self._client


class UserFormat(BoundedRedisOnlineStore):
    """Where Feast's Redis store keeps the features of one user, and what they look like there.

    Feast stays the writer, and its own code says what key, fields and values are; a reader that asks for
    something else along with them needs only their names.

    Args:
        store: with the definitions.
        service: name of the feature service that a row is made of; all its views are of users.
    """

    def __init__(self, store: FeatureStore, service: str) -> None:
        self._config = store.config
        self._join_key = store.get_entity("user").join_key
        self._names: list[str] = []
        self.fields: list[Any] = []
        """Of the user's hash, one for each feature."""
        for view in store.get_feature_service(service).feature_view_projections:
            names = [feature.name for feature in view.features]
            # Feast appends the row's time to both.
            _, keys = self._generate_hset_keys_for_features(view, list(names), fv_name_override=view.name)
            self._names += names
            self.fields += keys[: len(names)]

    def key(self, user: UserId) -> bytes:
        """The user's hash."""
        entity = EntityKey(join_keys=[self._join_key], entity_values=[Value(string_val=user)])
        key: bytes = self._generate_redis_keys_for_entities(self._config, [entity])[0]
        return key

    def features(self, values: Sequence[bytes | None]) -> Mapping[str, Any]:
        """Features by name.

        Args:
            values: of `fields`, as Redis has them; None where there is none.
        """
        return {
            name: None if value is None else _plain(Value.FromString(value))
            for name, value in zip(self._names, values, strict=True)
        }


def _plain(value: Value) -> Any:
    """What Feast's own function answers, which looks through some twenty other types first."""
    kind = value.WhichOneof("val")
    if kind == "double_val":
        return value.double_val
    if kind in ("double_list_val", "float_list_val", "string_list_val"):
        return list(getattr(value, kind).val)
    return feast_value_type_to_python_type(value)
