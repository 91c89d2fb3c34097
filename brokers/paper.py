"""The paper broker: the matching engine behind the broker's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from brokers.contract import News
from brokers.matching import FundingPayment, MatchingEngine
from brokers.matching.orders import WorkingOrder
from messages import (
    Bar,
    FundingRate,
    MinimumOrder,
    OrderRequest,
    Quote,
    Tick,
    ToolReport,
    VenueReport,
)
from state.reconciliation import AccountView


class PaperBroker:
    """
    A broker whose venue is simulated, and which therefore must be shown the market.

    Each piece of data is shown here before the strategies see it. Reports are handed to
    ``deliver`` in the call that brought them about, after the engine is done with that call:
    what ``deliver`` sets off may submit and cancel at once.
    """

    name = "paper"
    answers_at_once = True

    def __init__(self, engine: MatchingEngine) -> None:
        """Stand in front of ``engine``."""
        self.engine = engine
        self.brackets = engine.config.brackets
        self._deliver: Callable[[News], object] = _unbound
        self._tell: Callable[[ToolReport], object] = _unwatched

    @property
    def working(self) -> Mapping[str, Mapping[str, WorkingOrder]]:
        """
        Return the live orders by symbol: always the same object, to be kept and looked into.

        A bar of a symbol that is not in it need not be shown.
        """
        return self.engine.working

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Send all news to ``deliver``."""
        self._deliver = deliver

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Send news of the venue itself to ``tell``."""
        self._tell = tell

    def probe(self, now: int) -> None:
        """Answer at once and well: a venue in this process is there."""
        self._tell(ToolReport(f"venue:{self.name}", ok=True, at=now, probe=True))

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order; its acceptance or rejection is delivered."""
        self._hand_over(self.engine.submit(request, now))

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order; an order unknown or already final brings no report."""
        self._hand_over(self.engine.cancel(client_order_id, now))

    def query(self, client_order_id: str, now: int) -> None:
        """Tell what there is to an order."""
        self._deliver(self.engine.order(client_order_id, now))

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Let the venue ask for another least order from now on."""
        self.engine.set_minimum(minimum)

    def on_bar(self, bar: Bar) -> None:
        """Match the symbol's live orders within a closed bar."""
        self._hand_over(self.engine.on_bar(bar))

    def on_quote(self, quote: Quote) -> None:
        """Match the symbol's live orders on a quote."""
        self._hand_over(self.engine.on_quote(quote))

    def on_tick(self, tick: Tick) -> None:
        """Match the symbol's live orders on a public trade."""
        self._hand_over(self.engine.on_tick(tick))

    def on_time(self, now: int) -> None:
        """End what ends by itself; called after the data of the same instant."""
        self._hand_over(self.engine.on_time(now))

    def next_end(self) -> int | None:
        """Return when ``on_time`` is next due, or None."""
        return self.engine.next_end()

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> list[FundingPayment]:
        """Settle funding; return one payment per position, for the ledger to book."""
        return self.engine.on_funding(rate, mark)

    def account(self) -> AccountView:
        """Return what the venue says it holds; raises ``VenueSilent`` when it does not answer."""
        engine = self.engine
        positions = engine.positions()
        balance = engine.balance()
        return AccountView(
            {(held.symbol, held.position_side): held.quantity for held in positions},
            frozenset(order.client_order_id for order in engine.open_orders()),
            balance.net_flow,
            balance.fees,
            -balance.funding,
            {(held.symbol, held.position_side): held.average_price for held in positions},
        )

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """Return the venue's state, JSON-ready: resting orders survive a restart by it."""
        return self.engine.snapshot(ends=ends)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self.engine.restore(state)

    def _hand_over(self, reports: list[VenueReport]) -> None:
        deliver = self._deliver
        for report in reports:
            deliver(report)


class ShadowBroker(PaperBroker):
    """
    The twin of a session that would have traded at a venue: every order is filled here instead.

    It has no address, no credentials and no connection, and cannot be given any.
    """

    name = "shadow"

    def __init__(self, engine: MatchingEngine) -> None:
        """
        Stand in front of ``engine``.

        ``withheld`` is told of each order before it is placed, ``quoted`` of each quote as it
        comes.
        """
        super().__init__(engine)
        self.withheld: Callable[[OrderRequest, int], object] = _untold
        self.quoted: Callable[[Quote], object] = _unwatched

    def on_quote(self, quote: Quote) -> None:
        """Match on a quote, after telling that it has come."""
        self.quoted(quote)
        super().on_quote(quote)

    def submit(self, request: OrderRequest, now: int) -> None:
        """Tell that the order stays here, and have the twin fill it."""
        self.withheld(request, now)
        super().submit(request, now)


def _unbound(news: News) -> object:
    raise AssertionError(f"news before bind: {news}")


def _untold(request: OrderRequest, _now: int) -> object:
    raise AssertionError(f"a shadow's order that nobody puts on record: {request}")


def _unwatched(_told: object) -> object:
    return None
