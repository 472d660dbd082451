"""Sessions in Redis: per user a hash of events, and a sorted set that says which is the oldest."""

from collections.abc import Mapping, Sequence

from tonnage.domain import UserId
from tonnage.features.address import online_store_errors
from tonnage.features.redis_client import connect
from tonnage.features.rows import SessionEvent
from tonnage.features.sessions import RECENT, TTL_S, by_user, decode, encode, latest_first

APPEND = """
local new = 0
local added = {}
for i = 3, #ARGV, 3 do
  if redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 2]) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
    added[ARGV[i]] = true
    new = new + 1
    if redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[1]) then
      local oldest = redis.call('ZPOPMIN', KEYS[2])[1]
      redis.call('HDEL', KEYS[1], oldest)
      if added[oldest] then new = new - 1 end
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return new
"""
"""Keys: events, times. Arguments: how many to keep, seconds to live; of each event id, time and payload."""


class RedisSessions:
    """`Sessions` in Redis; safe to share between threads."""

    def __init__(self, url: str, *, timeout_s: float, ttl_s: int = TTL_S) -> None:
        self._url = url
        self._redis = connect(url, timeout_s=timeout_s)
        self._ttl_s = ttl_s

    def append(self, events: Sequence[SessionEvent]) -> int:
        """See `Sessions`."""
        with online_store_errors(self._url), self._redis.pipeline(transaction=True) as batch:
            for user, theirs in by_user(events):
                fields = [
                    part for event in theirs for part in (event.event_id, repr(event.at), encode(event))
                ]
                batch.eval(APPEND, 2, *_keys(user), RECENT, self._ttl_s, *fields)
            return sum(batch.execute())

    def read(self, user: UserId) -> list[SessionEvent]:
        """See `Sessions`."""
        with online_store_errors(self._url):
            return events_of(user, self._redis.hgetall(events_key(user)))


def events_key(user: UserId) -> str:
    """The hash of a user's events."""
    # The braces keep both keys of a user on one node of a Redis Cluster.
    return f"tonnage:session:{{{user}}}:events"


def events_of(user: UserId, kept: Mapping[bytes, bytes]) -> list[SessionEvent]:
    """What that hash holds, the latest first."""
    return latest_first(decode(user, event_id.decode(), payload) for event_id, payload in kept.items())


def _keys(user: UserId) -> tuple[str, str]:
    return events_key(user), f"tonnage:session:{{{user}}}:times"
