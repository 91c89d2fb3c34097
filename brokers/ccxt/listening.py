"""What the private stream says, told as news: each thing once, in the order in which it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from brokers.ccxt.columns import Capabilities, FillSource
from brokers.ccxt.identity import decoded
from brokers.ccxt.known import ENDS, KnownOrder, KnownOrders
from brokers.ccxt.rounding import MarketRules
from brokers.ccxt.stream import READERS, Heard, says, texts_in
from brokers.ccxt.translate import position_side_of, traded
from messages import Cause, OrderEvent, ReasonCode, Side, VenueReport
from state.money import EXACT


class Listener:
    """
    Reads raw messages.

    ``tell`` takes the reports, ``check`` the names of orders of which the messages do not say all;
    ``paid`` hears that there is a payment to ask for.
    """

    def __init__(
        self,
        row: Capabilities,
        orders: KnownOrders,
        rules: Mapping[str, MarketRules],
        tell: Callable[[Iterable[VenueReport]], object],
        check: Callable[[str], object],
    ) -> None:
        """Listen for ``orders`` in the markets of ``rules``."""
        self._row = row
        self._orders = orders
        self._by_market = {(each.market_id, each.is_contract): each for each in rules.values()}
        self._tell = tell
        self._check = check
        self.paid: Callable[[], object] = lambda: None
        self._read = READERS[row.venue] if row.fill_source is FillSource.STREAM else None
        self.foreign = 0
        """Messages about markets that the session does not trade, counted."""

    def hear(self, message: Any) -> None:
        """Take one raw message."""
        if says(message, self._row.payment_words):
            self.paid()
        if self._read is None:
            texts = set(texts_in(message))
            texts |= {decoded(text, self._row) for text in texts}
            for order in self._orders.mentioned(texts):
                self._check(order.name)
            return
        for heard in self._read(message):
            rules = self._by_market.get((heard.market_id, heard.is_contract))
            if rules is None:
                self.foreign += 1
            else:
                self._hear(heard, rules)

    def _hear(self, heard: Heard, rules: MarketRules) -> None:
        order = self._order_of(heard, rules)
        told = order.accept(heard.at) if heard.event is OrderEvent.ACCEPTED else []
        counted = None if heard.counted is None else rules.to_base(heard.counted)
        if heard.trade_id and (not heard.by_count or _follows(heard, order, rules, counted)):
            trade = traded(
                order,
                rules,
                trade_id=heard.trade_id,
                amount=heard.last,
                price=heard.price,
                paid=heard.paid,
                maker=heard.maker,
                at=heard.at,
            )
            told += order.fill(trade)
        if heard.event in ENDS:
            assert heard.event is not None, "an end is an event"
            told += order.end(heard.event, heard.at, counted, _cause(heard))
        elif heard.is_filled and counted is not None:
            told += order.end_as_sent(heard.at, counted)
        self._tell(told)
        if counted is not None and counted > order.gross:
            # A message before this one was lost.
            self._check(order.name)

    def _order_of(self, heard: Heard, rules: MarketRules) -> KnownOrder:
        name = decoded(heard.client_id, self._row)
        order = self._orders.named(name) or self._orders.of_venue(rules.symbol, heard.venue_id)
        if order is None:
            order = KnownOrder(
                name, rules.symbol, Side(heard.side), position_side_of(heard.position_side)
            )
            self._orders.add(order)
        self._orders.identify(order, heard.venue_id)
        stranger = self._orders.of_venue(rules.symbol, heard.becomes)
        self._orders.has_become(order, heard.becomes)
        if stranger is not None and stranger is not order:
            # It was told of as somebody else's before it was known whose it is.
            self._check(order.name)
        return order


def _follows(heard: Heard, order: KnownOrder, rules: MarketRules, counted: Decimal | None) -> bool:
    """Return whether an execution is the next one by our own count."""
    return counted == EXACT.add(order.gross, rules.to_base(heard.last))


def _cause(heard: Heard) -> Cause | None:
    if heard.event is OrderEvent.REJECTED:
        return Cause(ReasonCode.VENUE_REJECTED, heard.reason)
    if heard.event is OrderEvent.EXPIRED:
        return Cause(ReasonCode.VENUE_REJECTED, f"expired {heard.reason}".rstrip())
    return None
