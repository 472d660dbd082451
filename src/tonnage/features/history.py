"""What each user had done by the end of each day they were active: Ibis expressions, run by DuckDB here.

The definitions are those of `rows.py`. A row is stamped with the last event folded into it.
"""

import ibis
from ibis import _
from ibis.expr.types import FloatingValue, StringValue, Table, TimestampValue

from tonnage.features.rows import DAY_S, HALF_LIFE_S, HISTORY_ITEMS

TOTALS = ("events", "units", "spend", "priced_events", "log_price_sum", "log_price_square_sum")
"""User values that are plain sums over events."""


def user_history(interactions: Table) -> Table:
    """One row per user and active UTC day: every value of `rows.VALUES`, and the history as arrays.

    Args:
        interactions: the table of that name; see `tonnage.datasets`.

    Returns:
        user_id, event_timestamp, the values (float64), `items` (array of string), `item_orders`,
        `item_quantities` (arrays of float32), `item_first_at`, `item_last_at` (arrays of float64), sorted by
        (item_last_at, items) and cut to the last `HISTORY_ITEMS`.
    """
    events = with_days(interactions)
    values = _values(events)
    entries = _entries(events, values.select("user_id", "day"))
    return values.inner_join(entries, ["user_id", "day"]).drop("day")


def user_profile(users: Table) -> Table:
    """Demographics, which have no time: stamped with the epoch, so that they hold at every moment.

    Two arrays, and not a column each, so that the definition in the feature store is the same for all data.
    """
    names = [column for column in users.columns if column != "user_id"]
    known = [ibis.ifelse(users[name].notnull(), ibis.literal(name), ibis.null("string")) for name in names]
    return users.select(
        user_id=_.user_id,
        event_timestamp=ibis.timestamp("1970-01-01 00:00:00", timezone="UTC"),
        demographics=_present(known),
        demographic_values=_present([users[name].cast("string") for name in names]),
    )


def with_days(interactions: Table) -> Table:
    """Interactions with `seconds` since the epoch (float64) and the number of their UTC `day` (int64)."""
    timed = interactions.mutate(seconds=_seconds(interactions["at"]))
    return timed.mutate(day=(timed.seconds / DAY_S).floor().cast("int64"))


def _seconds(at: TimestampValue) -> FloatingValue:
    # Through whole microseconds: it is what `datetime.timestamp` does, so both give the same float64.
    whole = at.truncate("s").epoch_seconds().cast("int64")
    return (whole * 1_000_000 + at.microsecond().cast("int64")) / 1e6


def _values(events: Table) -> Table:
    """Running values of each user at the end of each active day."""
    since_first = events.mutate(
        spent=events.quantity * events.price.fill_null(0.0),
        log_price=ibis.ifelse(events.price > 0, events.price, None).ln(),
        # Weights relative to the user's first event: 2^(t / half-life) of an absolute time would overflow.
        weight=2.0 ** ((_.seconds - _.seconds.min().over(group_by="user_id")) / HALF_LIFE_S),
    )
    daily = since_first.group_by("user_id", "day").agg(
        event_timestamp=_["at"].max(),
        first=_.seconds.min(),
        last_at=_.seconds.max(),
        last_weight=_.weight.max(),
        events=_.count().cast("float64"),
        units=_.quantity.sum(),
        spend=_.spent.sum(),
        weights=_.weight.sum(),
        weighted_spend=(_.weight * _.spent).sum(),
        priced_events=_.log_price.count().cast("float64"),
        log_price_sum=_.log_price.sum().fill_null(0.0),
        log_price_square_sum=(_.log_price * _.log_price).sum().fill_null(0.0),
    )
    days = ibis.window(group_by="user_id", order_by="day")
    so_far = ibis.window(group_by="user_id", order_by="day", following=0)
    return daily.select(
        "user_id",
        "day",
        "event_timestamp",
        "last_at",
        *[daily[name].sum().over(so_far).name(name) for name in TOTALS],
        orders=(ibis.row_number().over(days) + 1).cast("float64"),
        recent_events=daily.weights.sum().over(so_far) / daily.last_weight,
        recent_spend=daily.weighted_spend.sum().over(so_far) / daily.last_weight,
        first_at=daily["first"].min().over(so_far),
        previous_at=daily.last_at.lag().over(days).fill_null(float("nan")),
    )


def _entries(events: Table, days: Table) -> Table:
    """The items of each user at the end of each active day, as arrays."""
    versions = _item_versions(events)
    seen = days.inner_join(
        versions,
        [
            days.user_id == versions.user_id,
            days.day >= versions.since_day,
            (days.day < versions.until_day) | versions.until_day.isnull(),
        ],
    ).select(days.user_id, days.day, *ENTRY)
    # A struct sorts by its fields in order: latest time, then item, as `with_session` sorts.
    gathered = seen.group_by("user_id", "day").agg(
        entries=ibis.struct({name: seen[name] for name in ENTRY}).collect().sort()
    )
    kept = gathered.entries[(gathered.entries.length() - HISTORY_ITEMS).clip(lower=0) :]
    return gathered.select(
        "user_id",
        "day",
        items=kept.map(lambda entry: entry.item_id),
        item_orders=kept.map(lambda entry: entry.orders.cast("float32")),
        item_quantities=kept.map(lambda entry: entry.quantity.cast("float32")),
        item_first_at=kept.map(lambda entry: entry.first_at),
        item_last_at=kept.map(lambda entry: entry.last_at),
    )


ENTRY = ("last_at", "item_id", "first_at", "orders", "quantity")
"""Fields of one entry of a history."""


def _item_versions(events: Table) -> Table:
    """The state of each user and item after each day it changed, and the day of its next change."""
    daily = events.group_by("user_id", "item_id", "day").agg(
        first=_.seconds.min(), last_at=_.seconds.max(), units=_.quantity.sum()
    )
    days = ibis.window(group_by=["user_id", "item_id"], order_by="day")
    so_far = ibis.window(group_by=["user_id", "item_id"], order_by="day", following=0)
    return daily.select(
        "user_id",
        "item_id",
        "last_at",
        since_day=daily.day,
        until_day=daily.day.lead().over(days),
        orders=ibis.row_number().over(days) + 1,
        quantity=daily.units.sum().over(so_far),
        first_at=daily["first"].min().over(so_far),
    )


def _present(values: list[StringValue]) -> ibis.expr.types.ArrayValue:
    if not values:
        return ibis.literal([], type="array<string>")
    return ibis.array(values).filter(lambda value: value.notnull())
