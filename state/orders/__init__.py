"""Orders: the checked table of their life, the order itself, and the store of all of them."""

from state.orders.kept import KeptOrder, KeptOrders
from state.orders.order import Order
from state.orders.store import (
    FINISHED_ORDERS_MAX,
    TRADE_IDS_MAX,
    DuplicateOrder,
    OrderStore,
    RecentIds,
)
from state.orders.table import (
    FILL_EVENTS,
    START,
    TERMINAL,
    TRANSITIONS,
    VENUE_EVIDENCE,
    IllegalTransition,
    OverFill,
    check_table,
    diagram,
    reachable,
    step,
)

__all__ = [
    "FILL_EVENTS",
    "FINISHED_ORDERS_MAX",
    "START",
    "TERMINAL",
    "TRADE_IDS_MAX",
    "TRANSITIONS",
    "VENUE_EVIDENCE",
    "DuplicateOrder",
    "IllegalTransition",
    "KeptOrder",
    "KeptOrders",
    "Order",
    "OrderStore",
    "OverFill",
    "RecentIds",
    "check_table",
    "diagram",
    "reachable",
    "step",
]
