"""The venue as its endpoints see it: core, records and market, brought up to date in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from brokers.matching.account import Position
from messages import PositionSide
from scenarios.exchange.binanceusdm.budget import Limits
from scenarios.exchange.binanceusdm.events import Account, Event, market_events
from scenarios.exchange.binanceusdm.listing import Listings
from scenarios.exchange.binanceusdm.market import Market
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.parsing import Scene
from scenarios.exchange.binanceusdm.records import Order, Records
from scenarios.exchange.facts import Fact
from scenarios.exchange.venue import Venue


class Book:
    """
    What is true now, in the venue's terms.

    ``take`` folds facts as soon as they are made, each once; the events that they give wait in
    ``pending`` until they may be told. ``wall`` is the machine's clock, which dates what comes.
    """

    def __init__(
        self, venue: Venue, past: Sequence[Fact], wall: Callable[[], int], limits: Limits
    ) -> None:
        """Fold what the log has."""
        self.venue = venue
        self.wall = wall
        self.limits = limits
        self.records = Records()
        self.market = Market()
        self.listings = Listings(venue.rules)
        self.may_trade = True
        """What the account's key may do, as the venue tells: orders are not refused for it."""
        self.may_withdraw = False
        self.countdowns: dict[str, int] = {}
        """When everything in a symbol is cancelled, by the machine's clock."""
        self.wanted: set[str] = set()
        """The public streams that somebody listens to."""
        self.pending: list[tuple[int, Event]] = []
        self.hidden_since: int | None = None
        """Orders that came at this time of the machine's or later are not told of."""
        self._came: dict[str, int] = {}
        self._filled: list[int] = []
        """When each trade came about, by the machine's clock."""
        self._wall = 0
        self._old: tuple[Position, ...] | None = None
        self._account = Account(self.records, self.market, self.listings)
        self._folded = 0
        self._ids = 0
        self.take(past)
        self.pending.clear()

    def take(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """Fold facts that were not folded yet, and return them all."""
        for fact in facts:
            if fact.n <= self._folded:
                continue
            self._folded = fact.n
            self._wall = fact.wall or self._wall
            order, trade = self.records.apply(fact)
            if order is not None:
                self._came.setdefault(order.name, self._wall)
            if trade is not None:
                self._filled.append(self._wall)
            events = self._account.events(fact, order, trade)
            if fact.shown is not None:
                self.market.take(fact.shown)
                events += market_events(fact, self.market, self.listings, self.wanted)
            self.pending += [(fact.n, event) for event in events]
        return facts

    def told(self, durable: int) -> list[Event]:
        """Take the events of facts up to number ``durable`` out, in order."""
        count = 0
        for number, _ in self.pending:
            if number > durable:
                break
            count += 1
        events = [event for _, event in self.pending[:count]]
        del self.pending[:count]
        return events

    def scene(self, params: Params) -> Scene:
        """Return what an order is judged by."""
        symbol = self.listings.symbol(params.text("symbol"))
        return Scene(
            self.listings, self.venue.position_mode, self.venue.now, self.market.price(symbol)
        )

    def is_order(self, order: Order) -> bool:
        """Tell whether it is one to the order endpoints: what waits for a trigger is not."""
        if not order.conditional or order.trades:
            return True
        return order.live and not self.venue.engine.waits(order.name)

    def shown(self, order: Order) -> bool:
        """Tell whether questions about orders know of this one."""
        return self.hidden_since is None or self._came.get(order.name, 0) < self.hidden_since

    @contextmanager
    def as_before(self, cut: int) -> Iterator[None]:
        """Tell positions without the fills that came at ``cut`` of the machine's clock or later."""
        old: dict[tuple[str, PositionSide], Position] = {}
        for each in self.venue.engine.account.margined:
            old[each.symbol, each.side] = self._flat(each)
        for trade, came in zip(self.records.trades, self._filled, strict=True):
            position = old.get((trade.fill.symbol, trade.fill.position_side))
            if came < cut and position is not None:
                signed = trade.fill.quantity * trade.fill.side.sign
                position.add(signed, trade.fill.price, signed * trade.fill.price)
        self._old = tuple(old.values())
        try:
            yield
        finally:
            self._old = None

    def _flat(self, position: Position) -> Position:
        flat = Position(self.listings.rules(position.symbol), position.side)
        flat.initial_margin = position.initial_margin
        return flat

    @property
    def positions(self) -> tuple[Position, ...]:
        """Return the positions that are told of, flat ones too."""
        return self.venue.engine.account.margined if self._old is None else self._old

    def new_client_id(self) -> str:
        """Return a client order id for whoever sent none."""
        self._ids += 1
        return f"venue_{len(self.records.orders)}_{self._ids}"

    def cancel_all(self, symbol: str, *, algo: bool | None = None) -> list[Fact]:
        """Cancel a symbol's live orders: those of one kind of endpoint, or all."""
        facts: list[Fact] = []
        for order in self.records.live(symbol):
            if algo is None or algo is self.venue.engine.waits(order.name):
                facts += self.venue.cancel(order.name, self.wall())
        self.take(facts)
        return facts
