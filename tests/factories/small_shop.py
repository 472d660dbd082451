"""`examples/small-shop`: what a small shop would export, made by the simulator. Run me to write it again."""

from pathlib import Path

import pandas as pd

from tonnage.datasets.config import SimulatorConfig
from tonnage.datasets.simulator import Simulator

SHOP = SimulatorConfig(
    seed=11, users=400, items=120, days=120, sessions_per_user=20, categories=6, slate=24, new_items=0.1
)
DIRECTORY = Path(__file__).parents[2] / "examples" / "small-shop"


def exports() -> dict[str, str]:
    """File name -> content."""
    tables = Simulator(SHOP).tables().tables
    bought = tables.interactions[tables.interactions["kind"] == "purchase"]
    # What a till writes: wall-clock times, and names that nobody chose for a recommender.
    local = bought["at"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None).dt.floor("s")
    orders = pd.DataFrame(
        {
            "order_line": bought["event_id"],
            "customer": bought["user_id"],
            "sku": bought["item_id"],
            "bought_at": local.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "qty": bought["quantity"].astype(int),
            "unit_price": bought["price"],
        }
    )
    items = tables.items.rename(columns={"item_id": "sku", "title": "name", "category": "department"})
    customers = tables.users.rename(columns={"user_id": "customer"})
    return {
        "orders.csv": orders.to_csv(index=False),
        "items.csv": items.to_csv(index=False),
        "customers.csv": customers.to_csv(index=False),
    }


if __name__ == "__main__":
    for name, content in exports().items():
        (DIRECTORY / name).write_text(content, encoding="utf-8")
