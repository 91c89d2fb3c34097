"""
A strategy's affairs: what it holds, what it has asked for, kept up to date by its actor.

Positions and average prices follow from fills alone; ``pending`` counts what was asked for and
is not finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from messages import (
    ExecutionReport,
    Intent,
    IntentEnded,
    MinimumOrder,
    OpenIntent,
    OrderEvent,
    OrderStatus,
    PositionSide,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Rollback,
    Side,
    Verdict,
)
from state.instruments import Instrument

ZERO: Final = Decimal(0)

# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_DENIED: Final = Verdict.DENIED
_BOTH: Final = PositionSide.BOTH
_SHORT: Final = PositionSide.SHORT
_NEVER: Final = Rollback.NEVER

FINAL: Final = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.SUPPRESSED,
        OrderStatus.REJECTED,
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.EXPIRED,
    }
)

_ENDS: Final = frozenset(
    {
        OrderEvent.DENIED,
        OrderEvent.SUPPRESSED,
        OrderEvent.REJECTED,
        OrderEvent.PROVEN_ABSENT,
        OrderEvent.FILLED,
        OrderEvent.CANCELLED,
        OrderEvent.EXPIRED,
    }
)


def is_over(report: ExecutionReport) -> bool:
    """
    Return whether a step ends an order for which its intent's policy has nothing follow.

    What is told late of one that has ended before (that it was accepted, a fill) is no end: another
    order may be out for the same intent by then.
    """
    return report.status in FINAL and report.then is None and report.event in _ENDS


class HasNow(Protocol):
    """Whatever tells the session's time."""

    now: int


class Kept(msgspec.Struct):
    """The state of a book before an intent that rolls back, and what it must still be by then."""

    symbol: str
    position_side: PositionSide
    before: str
    after: str = ""


class Affairs:
    """
    What one strategy holds and has asked for, over all of its incarnations.

    Intent ids are ``<session tag>-<strategy ordinal>-<number>``: they never repeat, and a restart
    goes on counting. ``restricted`` are symbols that the strategy was given and that may not be
    opened: a hint, for Risk refuses them anyway. ``minimums`` is the least order by symbol,
    ``instruments`` are the symbols' rules: what grid a price and a quantity end up on.
    """

    __slots__ = (
        "_averages",
        "_clock",
        "_count",
        "_drafted_at",
        "_drafts",
        "_filled",
        "_moment",
        "_pending",
        "_positions",
        "_prefix",
        "_said",
        "_sides",
        "instruments",
        "keep_book",
        "kept",
        "minimums",
        "restricted",
        "strategy",
        "symbols",
    )

    def __init__(
        self,
        strategy: str,
        symbols: Sequence[str],
        *,
        prefix: str,
        clock: HasNow,
        restricted: Iterable[str] = (),
        sides: Mapping[str, Sequence[PositionSide]] | None = None,
        instruments: Mapping[str, Instrument] | None = None,
    ) -> None:
        """Begin flat; ``prefix`` starts every intent id, ``sides`` are each symbol's books."""
        self.strategy = strategy
        self.symbols = tuple(symbols)
        self.restricted = frozenset(restricted)
        self.minimums: dict[str, MinimumOrder] = {}
        self.instruments: Mapping[str, Instrument] = instruments or {}
        self.keep_book: Callable[[str, PositionSide], str] = _no_state
        """Returns the strategy's state of a book, for what a failed intent goes back to."""
        self.kept: dict[str, Kept] = {}
        """The state of its book before each unfinished intent that rolls back, by intent id."""
        self._clock = clock
        self._prefix = prefix
        self._sides = dict(sides or {})
        self._count = 0
        self._drafts: dict[str, Intent] = {}
        self._drafted_at = 0
        self._moment = -1
        self._said = 0
        self._positions: dict[tuple[str, PositionSide], Decimal] = {}
        self._averages: dict[tuple[str, PositionSide], Decimal] = {}
        self._pending: dict[str, Intent] = {}
        self._filled: dict[str, Decimal] = {}

    @property
    def id_prefix(self) -> str:
        """Return what the ids of all of this strategy's intents start with."""
        return f"{self._prefix}-"

    @property
    def now(self) -> int:
        """Return the session's time, int ms UTC."""
        return self._clock.now

    # -- what there is

    def books(self, symbol: str) -> Sequence[PositionSide]:
        """Return a symbol's books: one net book, or, in hedge mode, the long and the short one."""
        return self._sides.get(symbol, (_BOTH,))

    def position(self, symbol: str, position_side: PositionSide = _BOTH) -> Decimal:
        """Return the signed quantity held (short books are negative)."""
        return self._positions.get((symbol, position_side), ZERO)

    def average_price(self, symbol: str, position_side: PositionSide = _BOTH) -> Decimal:
        """Return the mean price of the lots held, zero when flat."""
        return self._averages.get((symbol, position_side), ZERO)

    def pending(self, symbol: str, position_side: PositionSide = _BOTH) -> int:
        """Return how many of this strategy's orders on the book of ``symbol`` are unfinished."""
        if not self._pending and not self._drafts:
            return 0
        return sum(
            1
            for intent in self._unfinished().values()
            if intent.symbol == symbol and intent.position_side is position_side
        )

    def unfinished(self, symbol: str, position_side: PositionSide = _BOTH) -> list[Intent]:
        """Return the intents on a book whose orders are not finished, oldest first."""
        return [
            intent
            for intent in self._unfinished().values()
            if intent.symbol == symbol and intent.position_side is position_side
        ]

    def intent(self, intent_id: str) -> Intent | None:
        """Return an intent that is not finished, or ``None``."""
        return self._pending.get(intent_id) or self._drafts.get(intent_id)

    def intent_id_of(self, order_id: str) -> str:
        """Return the id of the intent that an order of this strategy's is made of, or its own."""
        if not order_id.startswith(self.id_prefix):
            return order_id
        number = order_id.removeprefix(self.id_prefix).partition("-")[0]
        return self.id_prefix + number

    def filled(self, intent_id: str) -> Decimal:
        """Return how much of an unfinished intent has been filled."""
        return self._filled.get(intent_id, ZERO)

    def _unfinished(self) -> dict[str, Intent]:
        """Return the orders that are pending and the intents being made at this moment."""
        if self._drafts and self._drafted_at == self._clock.now:
            return {**self._pending, **self._drafts}
        return self._pending

    def closing_side(self, symbol: str, position_side: PositionSide = _BOTH) -> Side:
        """Return the side that takes something off a book: what a flat one would be closed by."""
        short = self.position(symbol, position_side) < ZERO or position_side is _SHORT
        return _BUY if short else _SELL

    # -- ids and drafts

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _draft(self, intent: Intent) -> None:
        if self._drafts and self._drafted_at != self._clock.now:
            self._forget_drafts()  # made earlier and never returned
        self._drafted_at = self._clock.now
        self._drafts[intent.intent_id] = intent
        if intent.policy.rollback is not _NEVER:
            self._keep(intent)

    def _keep(self, intent: Intent) -> None:
        book = (intent.symbol, intent.position_side)
        state = self.keep_book(*book)
        for earlier in self._drafts:
            kept = self.kept.get(earlier)
            if kept is not None and not kept.after and (kept.symbol, kept.position_side) == book:
                kept.after = state  # to which a failure of this one leads back
        self.kept[intent.intent_id] = Kept(*book, state)

    def _forget_drafts(self) -> None:
        if self.kept:
            for intent_id in self._drafts:
                self.kept.pop(intent_id, None)
        self._drafts.clear()

    # -- kept up to date by the strategy actor, before the strategy's own hooks run

    def said(self, count: int) -> int:
        """Count intents that were returned; return how many there were at this session time."""
        now = self._clock.now
        if now != self._moment:
            self._moment, self._said = now, 0
        self._said += count
        return self._said

    def settle_drafts(self, sent: Iterable[Any]) -> None:
        """Let the intents among ``sent`` be pending; what was made here and not sent never was."""
        for intent in sent:
            if self._drafts.pop(intent.intent_id, None) is not None:
                self._pending[intent.intent_id] = intent
        if self._drafts:
            self._forget_drafts()

    def withdraw(self, intent_ids: Iterable[str]) -> None:
        """Forget intents that were returned and will not be sent, or are over."""
        for intent_id in intent_ids:
            self._pending.pop(intent_id, None)
            self._drafts.pop(intent_id, None)
            if self._filled:
                self._filled.pop(intent_id, None)

    def record_report(self, report: ExecutionReport) -> None:
        """Take an order's step into the view: fills move the position, final states end pending."""
        intent_id = report.root_id or report.order_id
        fill = report.fill
        if fill is not None:
            key = (fill.symbol, fill.position_side)
            signed = fill.quantity if fill.side is _BUY else -fill.quantity
            self._positions[key] = self._positions.get(key, ZERO) + signed
            if report.booking is not None:
                self._averages[key] = report.booking.average_price
        if is_over(report):
            self.withdraw((intent_id,))
        elif fill is not None and intent_id in self._pending:
            self._filled[intent_id] = self._filled.get(intent_id, ZERO) + fill.quantity

    def record_decision(self, decision: RiskDecision) -> None:
        """Take a refusal into the view; that of a repeat says nothing about the first."""
        if decision.verdict is not _DENIED:
            return
        if all(cause.code is not ReasonCode.DUPLICATE_INTENT for cause in decision.causes):
            self.withdraw((decision.root_id or decision.intent_id,))

    def record_end(self, ended: IntentEnded) -> None:
        """Take the end of an intent into the view that its last order has not told of."""
        self.withdraw((ended.intent_id,))

    # -- across restarts

    def snapshot(self) -> dict[str, Any]:
        """Return the durable state, JSON-ready."""
        return {
            "count": self._count,
            "positions": [
                [symbol, side.value, str(quantity), str(self._averages.get((symbol, side), ZERO))]
                for (symbol, side), quantity in sorted(self._positions.items())
                if quantity
            ],
            "pending": [msgspec.to_builtins(intent) for intent in self._unfinished().values()],
            "filled": {name: str(quantity) for name, quantity in sorted(self._filled.items())},
            "kept": {name: msgspec.to_builtins(kept) for name, kept in sorted(self.kept.items())},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self._count = int(state["count"])
        self._positions = {}
        self._averages = {}
        for symbol, side, quantity, average in state["positions"]:
            self._positions[symbol, PositionSide(side)] = Decimal(quantity)
            self._averages[symbol, PositionSide(side)] = Decimal(average)
        pending = msgspec.convert(state["pending"], list[OpenIntent | ReduceIntent])
        self._pending = {intent.intent_id: intent for intent in pending}
        self._filled = {name: Decimal(quantity) for name, quantity in state["filled"].items()}
        self.kept = msgspec.convert(state["kept"], dict[str, Kept])


def _no_state(_symbol: str, _position_side: PositionSide) -> str:
    return "null"
