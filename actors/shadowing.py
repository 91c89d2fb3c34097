"""What a shadow puts on record: every order that has not left, and what the market showed then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.paper import ShadowBroker
from messages import OrderRequest, OrderWithheld, Quote

if TYPE_CHECKING:
    from actors.runtime import Dispatcher, SimulatedClock


class Shadowing:
    """Listens to the twin of one session, and writes into its journal."""

    def __init__(self, twin: ShadowBroker, dispatcher: Dispatcher, clock: SimulatedClock) -> None:
        """Listen to ``twin`` from now on."""
        self._dispatcher = dispatcher
        self._clock = clock
        self._source = f"venue:{twin.name}"
        self._quotes: dict[str, tuple[Quote, int]] = {}
        twin.quoted = self._quoted
        twin.withheld = self._withheld

    def _quoted(self, quote: Quote) -> None:
        # By our own clock: how old a price is for us is when it came, whatever it is dated.
        self._quotes[quote.symbol] = quote, self._clock.now

    def _withheld(self, request: OrderRequest, now: int) -> None:
        quote, came_at = self._quotes.get(request.symbol, (None, None))
        withheld = OrderWithheld(
            now,
            request.client_order_id,
            request.strategy,
            request.symbol,
            request.side,
            request.quantity,
            request.decision_price,
            None if quote is None else quote.bid,
            None if quote is None else quote.ask,
            came_at,
        )
        self._dispatcher.journal.append(now, self._source, "", "", withheld)
