"""
The channel breakout: in where a close leaves the channel, out by a stop and a trail in ranges.

Theory of operation. What is seen (two talipp indicators, floats) and what is held (a book, exact)
are apart: a bar first meets the channel of the bars *before* it, then joins it. A position is
protected by a plan that is handed in with the first news of it, so its stop is asked for in the
same step; from then on the plan keeper compares what should rest with what does. The book is
compared with the desk in the same manner: at fills, at the end of the entry, at closes while there
is a trade, and at a start. So a partial fill, a missed one or a restart needs no case of its own.

A position that cannot be protected (its plan or its stop is refused for good) leaves at market, and
is asked to leave at every close until it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from messages import (
    Bar,
    ExecutionReport,
    Fill,
    IntentAction,
    IntentEnded,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    OrderType,
    Plan,
    PlanPlace,
    PlanStop,
    PlanTrail,
    PositionSide,
    ReasonCode,
    Side,
)
from state.money import RATIO_QUANTUM, ZERO, exact, ratio
from strategies.backoff import StrategyRejectionBackoff
from strategies.breakout import Book, BreakoutParams, Market
from strategies.breakout.params import LEAVE
from strategies.contract import Intents, Rejection, Strategy
from strategies.desk import Asked, Desk, is_over

WHOLE_BPS: Final = Decimal(10_000)
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_ENTRY: Final = OrderFamily.ENTRY
_PROTECTS: Final = frozenset({IntentAction.SET_STOP, IntentAction.TRAIL})
_WAYS: Final = {PositionSide.LONG: (1,), PositionSide.SHORT: (-1,), PositionSide.BOTH: (1, -1)}


class DonchianBreakoutParams(BreakoutParams):
    """The parameters of a breakout from Donchian's channel."""


class DonchianBreakout(Strategy):
    """
    One position per book, entered on a break, protected from the first fill on.

    In hedge mode the long and the short book of a symbol know nothing of each other; in one-way
    mode the book goes either way, and is flat in between. Raises ``ValueError`` where ``sides``
    leaves nothing that a symbol could be traded in.
    """

    Params = DonchianBreakoutParams
    uses_plans = True
    hears_progress = False

    def __init__(self, desk: Desk, params: DonchianBreakoutParams) -> None:
        """Start flat, without a bar."""
        super().__init__(desk, params)
        self._set = params
        self._minimums: dict[str, MinimumOrder] = {}
        self._markets: dict[str, Market] = {}
        self._kept_at: dict[str, int] = {}
        self._entry_policy = params.entry_policy()
        self._stop_policy = params.stop_policy(OrderType.STOP)
        self._trail_policy = params.stop_policy(OrderType.TRAILING_STOP)
        self._backoff = StrategyRejectionBackoff(
            base_s=params.backoff_base_s,
            factor=params.backoff_factor,
            max_s=params.backoff_max_s,
            tolerated=params.backoff_tolerated,
        )
        self._books = {symbol: self._new_books(symbol) for symbol in desk.symbols}

    def _new_books(self, symbol: str) -> tuple[Book, ...]:
        rules = self.desk.instruments.get(symbol)
        ways = self._set.sides.ways
        if rules is not None and rules.is_spot:
            ways = tuple(way for way in ways if way > 0)
            if not ways:
                raise ValueError(f"sides is {self._set.sides.value}: {symbol} cannot be sold short")
        return tuple(
            Book(symbol, side, tuple(way for way in _WAYS[side] if way in ways))
            for side in self.desk.books(symbol)
        )

    def _all_books(self) -> Iterator[Book]:
        for books in self._books.values():
            yield from books

    def _book(self, symbol: str, side: PositionSide) -> Book | None:
        for book in self._books.get(symbol, ()):  # asked of every book at every bar
            if book.side is side:
                return book
        return None

    # -- the market

    def on_start(self) -> Intents:
        """Protect what a crash has left without its stop."""
        asked: list[Asked] = []
        for book in self._all_books():
            if self._set.place is PlanPlace.VENUE and book.size and not self._is_protected(book):
                book.settled = False
                book.touch()
            asked.extend(self._follow(book, None))
        return asked or None

    def warm_up(self, bar: Bar) -> None:
        """Take a bar from before the session into the channel."""
        self._market_at(bar).push(bar)

    def features(self) -> dict[str, Any]:
        """Return the indicators by symbol."""
        return {symbol: market.state() for symbol, market in sorted(self._markets.items())}

    def take_features(self, features: Mapping[str, Any]) -> None:
        """Take the indicators back."""
        for symbol, kept in features.items():
            self._markets[symbol] = Market(self._set)
            self._markets[symbol].restore(kept)

    def on_bar(self, bar: Bar) -> Intents:
        """Compare the close with the channel of the bars before, and take the bar into it."""
        symbol = bar.symbol
        market = self._markets.get(symbol)
        if market is None or self._kept_at:
            market = self._market_at(bar)
        close = bar.close
        broke = 1 if close > market.upper else -1 if close < market.lower else 0
        turned = -1 if close > market.exit_upper else 1 if close < market.exit_lower else 0
        market.push(bar)
        asked: list[Asked] | None = None
        for book in self._books[symbol]:
            if book.sign:
                asked = (asked or []) + self._watch(book, close, turned)
            elif broke in book.ways:
                asked = (asked or []) + self._enter(book, bar, broke, market.atr)
        return asked or None

    def _market_at(self, bar: Bar) -> Market:
        symbol = bar.symbol
        market = self._markets.get(symbol)
        # Bars missed since the snapshot would leave a hole in the channel: start anew.
        if market is None or bar.timestamp > self._kept_at.get(symbol, bar.timestamp):
            market = self._markets[symbol] = Market(self._set)
        self._kept_at.pop(symbol, None)
        return market

    # -- in

    def _enter(self, book: Book, bar: Bar, sign: int, atr: float | None) -> list[Asked]:
        """Return the entry on a break, if nothing keeps it back."""
        desk, symbol, side = self.desk, book.symbol, book.side
        if not atr or symbol in desk.restricted or desk.pending(symbol, side):
            return []
        if desk.now < max(book.rest_until, self._backoff.until(symbol, _ENTRY)):
            return []
        close, range_ = exact(bar.close), exact(atr)
        distance = self._set.stop_atr * range_
        stop = close - sign * distance
        quantity = self._quantity(symbol, close, distance)
        if stop <= ZERO or quantity == ZERO:
            return []
        way = _BUY if sign > 0 else _SELL
        rules = desk.instruments.get(symbol)
        intent = desk.open(
            symbol,
            way,
            quantity,
            notional=self._set.notional,
            position_side=side,
            policy=self._entry_policy,
            decision_price=close,
            planned_stop=stop if rules is None else rules.round_stop(stop, _other(way)),
            tag="long entry" if sign > 0 else "short entry",
        )
        ends_at = None
        if self._set.max_bars is not None:
            ends_at = bar.timestamp + (1 + self._set.max_bars) * bar.timeframe_ms
        book.begin(
            sign, range_, entry=intent.intent_id, ends_at=ends_at, timeframe_ms=bar.timeframe_ms
        )
        return [intent]

    def _quantity(self, symbol: str, close: Decimal, distance: Decimal) -> Decimal | None:
        """
        Return how much to order: ``None`` leaves it to Risk, zero means that it is too little.

        What is risked is never exceeded to reach a minimum.
        """
        risk = self._set.risk_quote
        if risk is None:
            return self._set.quantity
        rules, minimum = self.desk.instruments.get(symbol), self._minimums.get(symbol)
        quantity = ratio(risk, distance)
        if quantity * distance > risk:  # rounded the wrong way
            quantity -= RATIO_QUANTUM
        if rules is not None:
            quantity = rules.round_quantity(quantity)
        if minimum is not None:
            least, worth = minimum.min_quantity or ZERO, minimum.min_notional or ZERO
            if quantity < least or quantity * close < worth:
                return ZERO
        return quantity

    # -- what is held

    def _watch(self, book: Book, close: float, turned: int) -> list[Asked]:
        """Look at a trade at a close: what was missed, what has to leave."""
        asked = self._follow(book, None)
        if not book.size or asked:
            return asked
        if book.leaving:
            return self._leave(book, "again", close)
        if self._set.exit_period is None:
            return []
        if not book.active:
            gain = (exact(close) - book.price) * book.sign
            if book.range is None or gain < self._set.activate_atr * book.range:
                return []
            book.active = True
            book.touch()
        return self._leave(book, "channel", close) if turned == book.sign else []

    def _follow(self, book: Book, price: Decimal | None) -> list[Asked]:
        """Take the desk's position into the book; return the plan that it now needs, if any."""
        desk = self.desk
        held = desk.position(book.symbol, book.side)
        if not held:
            if book.size:
                self._left(book, price)
            elif book.sign and desk.intent(book.entry) is None:
                book.finish()
            return []
        sign, size = (1 if held > ZERO else -1), abs(held)
        if sign != book.sign:  # nothing that this book has asked for, or not any more
            book.begin(sign, self._range_now(book.symbol))
        if size == book.size and book.settled:
            return []
        grown, first = size > book.size, not book.size
        whole = not book.entry or desk.intent(book.entry) is None
        if size != book.size:
            book.size = size
            book.settled = book.settled and not grown
            book.touch()
        if book.settled or not (first or whole):
            return []
        return self._plan(book, whole=whole)

    def _left(self, book: Book, price: Decimal | None) -> None:
        """End a trade; one whose end was missed is taken for a loss."""
        lost = price is None or (price - book.price) * book.sign < ZERO
        rests = self._set.cooldown_bars * book.timeframe_ms
        book.finish(self.desk.now + rests if lost else 0)

    def _range_now(self, symbol: str) -> Decimal | None:
        market = self._markets.get(symbol)
        return None if market is None or not market.atr else exact(market.atr)

    def _plan(self, book: Book, *, whole: bool) -> list[Asked]:
        """Return the plan for a position at its mean entry price, or what takes it out at once."""
        before, book.price = book.price, self.desk.average_price(book.symbol, book.side)
        kept = whole and book.price == before and self._is_protected(book)
        book.settled, book.by_distance = whole, False
        book.touch()
        if kept:
            return []  # the plan in force has these prices, and follows the size by itself
        if book.range is None:
            return self._leave(book, "unprotected", None)
        return self._hand_in(book, PlanStop(price=self._stop_price(book), how=self._stop_policy))

    def _plan_by_distance(self, book: Book) -> list[Asked]:
        """
        Return the same plan by the stop's distance, which is not compared with the market.

        Where only bars come, the last price may be a night old when an entry fills far from it.
        Whether the stop is beyond the market by now, the venue knows.
        """
        book.by_distance = True
        book.touch()
        away = abs(book.price - self._stop_price(book))
        bps = ratio(away * WHOLE_BPS, book.price)
        return self._hand_in(book, PlanStop(distance_bps=bps, how=self._stop_policy))

    def _hand_in(self, book: Book, stop: PlanStop) -> list[Asked]:
        return [
            self.desk.update_plan(
                book.symbol,
                Plan(
                    stop=stop,
                    trail=self._trail(book),
                    time_stop=book.ends_at,
                    close_how=LEAVE,
                    place=self._set.place,
                ),
                position_side=book.side,
                tag="long" if book.sign > 0 else "short",
            )
        ]

    def _stop_price(self, book: Book) -> Decimal:
        assert book.range is not None, "a plan is made of a range"
        price = book.price - book.sign * self._set.stop_atr * book.range
        rules = self.desk.instruments.get(book.symbol)
        return price if rules is None else rules.round_stop(price, _SELL if book.sign > 0 else _BUY)

    def _trail(self, book: Book) -> PlanTrail | None:
        """
        Return the trail: its distance is that of the ranges at the price that activates it.

        A venue's trailing stop follows at a fraction of the price. One that would be as wide as
        the price itself protects nothing, and is left out, as is one that no price can activate.
        """
        if self._set.trail_atr is None or book.range is None:
            return None
        activate = book.price + book.sign * self._set.activate_atr * book.range
        distance = self._set.trail_atr * book.range
        if activate <= ZERO or distance >= activate:
            return None
        rules = self.desk.instruments.get(book.symbol)
        if rules is not None:
            activate = rules.round_target(activate, _SELL if book.sign > 0 else _BUY)
        if activate <= ZERO:
            return None
        bps = ratio(distance * WHOLE_BPS, activate)
        return PlanTrail(bps, activate_price=activate, how=self._trail_policy)

    def _is_protected(self, book: Book) -> bool:
        """Return whether a stop of the book is under way or rests."""
        return any(
            intent.action in _PROTECTS for intent in self.desk.unfinished(book.symbol, book.side)
        )

    def _leave(self, book: Book, why: str, close: float | None) -> list[Asked]:
        """Return the close of the whole book, unless one is under way."""
        if not book.leaving:
            book.leaving = True
            book.touch()
        under_way = self.desk.unfinished(book.symbol, book.side)
        if any(intent.action is IntentAction.CLOSE for intent in under_way):
            return []
        return [
            self.desk.close(
                book.symbol, position_side=book.side, policy=LEAVE, decision_price=close, tag=why
            )
        ]

    # -- what became of its orders

    def on_fill(self, fill: Fill) -> Intents:
        """Take a fill into its book; the first of a position brings its plan."""
        book = self._book(fill.symbol, fill.position_side)
        return None if book is None else self._follow(book, fill.price) or None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """Take the end of an entry into its book."""
        if report.fill is None and is_over(report):
            return self._entry_over(report.symbol, report.root_id or report.order_id)
        return None

    def on_intent_ended(self, ended: IntentEnded) -> Intents:
        """Take the end of an entry that needed more than one order into its book."""
        return self._entry_over(ended.symbol, ended.intent_id)

    def _entry_over(self, symbol: str, intent_id: str) -> Intents:
        for book in self._books.get(symbol, ()):
            if book.entry == intent_id and not book.settled:
                return self._follow(book, None) or None
        return None

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """Let a position leave whose stop or plan is refused for good."""
        book = self._book(rejection.symbol, rejection.position_side)
        if book is None or not book.size or not rejection.final:
            return None
        if any(cause.code is ReasonCode.DUPLICATE_INTENT for cause in rejection.causes):
            return None
        if rejection.action is IntentAction.UPDATE_PLAN:
            if not book.by_distance and self._stop_price(book) > ZERO:
                return self._plan_by_distance(book)
        elif rejection.action not in _PROTECTS or self._is_protected(book):
            return None
        return self._leave(book, "unprotected", None) or None

    # -- its own brakes

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """Let nothing restricted open, and nothing be opened on top of a position or an entry."""
        symbol, side = intent.symbol, intent.position_side
        if symbol in self.desk.restricted:
            return f"{symbol} is restricted"
        if self.desk.position(symbol, side):
            return f"the {side.value} book is not flat"
        for other in self.desk.unfinished(symbol, side):
            if isinstance(other, OpenIntent) and other.intent_id != intent.intent_id:
                return f"{other.tag} is under way as {other.intent_id}"
        return None

    def execution_backoff(self) -> StrategyRejectionBackoff:
        """Return the backoff of this strategy's orders, by symbol and family."""
        return self._backoff

    def set_broker_min_order(self, minimum: MinimumOrder) -> None:
        """Measure what is risked by another minimum from now on."""
        self._minimums[minimum.symbol] = minimum

    # -- its state

    def snapshot(self) -> dict[str, Any]:
        """Return indicators by symbol and until when they have seen every bar, and the books."""
        now = self.desk.now
        return {
            "markets": [
                [symbol, self._kept_at.get(symbol, now), market.state()]
                for symbol, market in sorted(self._markets.items())
            ],
            "books": [[book.symbol, book.side.value, book.state()] for book in self._all_books()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the indicators and books back; indicators of other periods begin anew."""
        for symbol, at, kept in state["markets"]:
            market = Market(self._set)
            try:
                market.restore(kept)
            except ValueError:  # the parameters have changed since
                continue
            self._markets[symbol], self._kept_at[symbol] = market, int(at)
        for symbol, side, kept in state["books"]:
            self.restore_book(symbol, PositionSide(side), kept)

    def book_state(self, symbol: str, position_side: PositionSide) -> Any:
        """Return a book's phase, direction, range, position and rest."""
        book = self._book(symbol, position_side)
        return None if book is None else book.encoded()

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take a book back."""
        book = self._book(symbol, position_side)
        if book is not None and state is not None:
            book.restore(state)


def _other(side: Side) -> Side:
    return _SELL if side is _BUY else _BUY
