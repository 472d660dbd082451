"""What is known of each item at the start of each day: Ibis expressions, run by DuckDB here.

An order is a user and a UTC day on which that user had the item, as in `rows.py`. A snapshot for the start
of a day counts what came before, and is stamped one microsecond before that day begins.
"""

import ibis
from ibis import _
from ibis.expr.types import FloatingValue, Table

from tonnage.features.history import with_days
from tonnage.features.rows import DAY_S

WINDOWS = (7, 14, 28, 90)
"""Days that a recent count looks back."""

COUNTS = (*(f"buyers_{days}" for days in WINDOWS), "buyers_all", "orders_all", "units_all")
"""Columns that are 0 for an item nobody has had. buyers: distinct users with an order in the window."""

LEVELS = (
    "repeat_rate",
    "trend_week",
    "trend_month",
    "log_price",
    "log_units_per_order",
    "age_days",
    "idle_days",
)
"""Columns that are NaN for an item nobody has had, `log_price` also where no event had a price.

repeat_rate: share of the buyers that had it on two days or more, drawn towards 1/10 by ten more buyers ·
trend_week, trend_month: log of the daily buyers of 7 (28) days against those of 28 (90) days, one more each ·
log_price: log(1 + spend / units) · age_days, idle_days: since the first and the latest day with an order.
"""

ITEM_COLUMNS = COUNTS + LEVELS
"""Every feature column of `item_stats`, float64."""


def item_stats(interactions: Table, *, every_days: int) -> Table:
    """One row per item and snapshot, from the day after its first event to the day after the data's end.

    Args:
        interactions: the table of that name; see `tonnage.datasets`.
        every_days: days between snapshots; the last one is always there.

    Returns:
        item_id, event_timestamp and the columns of `ITEM_COLUMNS`.
    """
    orders = _orders(with_days(interactions))
    days = _calendar(_daily(orders, _leavers(orders)))
    return _levels(_snapshots(days, every_days))


def _orders(events: Table) -> Table:
    """One row per user, item and day, with its number for that user and item, and the next one's day."""
    orders = events.group_by("user_id", "item_id", "day").agg(
        units=_.quantity.sum(),
        spend=(_.quantity * _.price).sum().fill_null(0.0),
        priced_units=ibis.ifelse(_.price.notnull(), _.quantity, 0.0).sum(),
    )
    by_day = ibis.window(group_by=["user_id", "item_id"], order_by="day")
    return orders.mutate(number=ibis.row_number().over(by_day), next_day=_.day.lead().over(by_day))


def _leavers(orders: Table) -> Table:
    """The buyers of each item that leave each window on each day.

    An order brings its user in. It stops counting when it is out of the window, or when the user's next order
    brings the user in again: so the running sum of orders minus leavers is the number of distinct users.
    """
    leaving = []
    for window in WINDOWS:
        out_of_window = orders.day + window
        stops = ibis.least(out_of_window, orders.next_day.fill_null(out_of_window))
        left = {f"left_{each}": ibis.literal(float(each == window)) for each in WINDOWS}
        leaving.append(orders.select("item_id", day=stops, **left))
    return ibis.union(*leaving)


def _daily(orders: Table, leavers: Table) -> Table:
    """Sums of each item and day on which something changed."""
    arrivals = orders.select(
        "item_id",
        "day",
        "units",
        "spend",
        "priced_units",
        orders=ibis.literal(1.0),
        first=(orders.number == 0).cast("float64"),
        second=(orders.number == 1).cast("float64"),
    )
    left = {name: ibis.literal(0.0) for name in leavers.columns if name not in arrivals.columns}
    none = {name: ibis.literal(0.0) for name in arrivals.columns if name not in leavers.columns}
    changes = ibis.union(arrivals.mutate(**left), leavers.mutate(**none).select(*arrivals.columns, *left))
    return changes.group_by("item_id", "day").agg(**{name: changes[name].sum() for name in (*none, *left)})


def _calendar(daily: Table) -> Table:
    """Every item and day from the item's first to the data's last, zeros where nothing happened."""
    sold = daily.filter(daily.orders > 0)
    first = sold.group_by("item_id").agg(first_day=_.day.min())
    span = sold.agg(since=_.day.min(), until=_.day.max())
    days = span.select("until", day=ibis.range(span.since, span.until + 1).unnest())
    filled = first.join(days, days.day >= first.first_day).left_join(daily, ["item_id", "day"])
    return filled.select(
        "item_id",
        "day",
        "first_day",
        "until",
        *[filled[name].fill_null(0.0).name(name) for name in daily.columns if name not in ("item_id", "day")],
        order_day=ibis.ifelse(filled.orders > 0, filled.day, ibis.null("int64")),
    )


def _snapshots(days: Table, every_days: int) -> Table:
    so_far = ibis.window(group_by="item_id", order_by="day", following=0)

    def total(name: str) -> FloatingValue:
        return days[name].sum().over(so_far)

    counted = days.select(
        "item_id",
        "day",
        "first_day",
        "until",
        **{f"buyers_{window}": total("orders") - total(f"left_{window}") for window in WINDOWS},
        buyers_all=total("first"),
        repeaters=total("second"),
        orders_all=total("orders"),
        units_all=total("units"),
        spend=total("spend"),
        priced_units=total("priced_units"),
        last_day=days.order_day.max().over(so_far),
    )
    return counted.filter((counted.until - counted.day) % every_days == 0)


def _levels(counted: Table) -> Table:
    def trend(short: int, long: int) -> FloatingValue:
        recent, usual = counted[f"buyers_{short}"] + 1, counted[f"buyers_{long}"] + 1
        return (recent / short).ln() - (usual / long).ln()

    priced = counted.priced_units > 0
    midnight = ((counted.day + 1) * DAY_S).as_timestamp("s").cast("timestamp('UTC', 6)")
    return counted.select(
        "item_id",
        *COUNTS,
        event_timestamp=midnight - ibis.interval(microseconds=1),
        repeat_rate=(counted.repeaters + 1) / (counted.buyers_all + 10),
        trend_week=trend(7, 28),
        trend_month=trend(28, 90),
        log_price=ibis.ifelse(priced, (1 + counted.spend / counted.priced_units).ln(), float("nan")),
        log_units_per_order=(counted.units_all / counted.orders_all).ln(),
        age_days=(counted.day + 1 - counted.first_day).cast("float64"),
        idle_days=(counted.day + 1 - counted.last_day).cast("float64"),
    )
