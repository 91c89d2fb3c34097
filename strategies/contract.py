"""
What a strategy is: pure decisions.

A strategy sees market data, its own orders, fills and refusals, and returns intents. It
never awaits, reads no clock, talks to no broker and keeps no reference to the system: its
``desk`` is all it knows of the world, and everything that must survive a restart is in
``snapshot``. The runner invents nothing: what the strategy does not ask for does not happen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict

from messages import (
    MARKET,
    Bar,
    CancelIntent,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    Intent,
    OpenIntent,
    OrderStatus,
    PositionSide,
    Quote,
    ReasonCode,
    ReduceIntent,
    RiskDecision,
    Side,
    Tick,
    Verdict,
)

Intents = Iterable[Intent | CancelIntent] | None
ZERO = Decimal(0)


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY
_DENIED: Final = Verdict.DENIED
_BOTH: Final = PositionSide.BOTH


class HasNow(Protocol):
    """Whatever tells the session's time."""

    now: int


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: frozen, unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Desk:
    """
    A strategy's view of its own affairs, and the only maker of its intents.

    Positions follow from fills alone. ``pending`` counts this strategy's orders that are not
    finished. Intent ids are ``<session tag>-<strategy ordinal>-<number>``: they never repeat,
    and a restart goes on counting.
    """

    __slots__ = (
        "_clock",
        "_count",
        "_drafted_at",
        "_drafts",
        "_pending",
        "_positions",
        "_prefix",
        "strategy",
        "symbols",
    )

    def __init__(
        self, strategy: str, symbols: Sequence[str], *, prefix: str, clock: HasNow
    ) -> None:
        """Make the desk of ``strategy``; ``prefix`` starts every intent id."""
        self.strategy = strategy
        self.symbols = tuple(symbols)
        self._clock = clock
        self._prefix = prefix
        self._count = 0
        self._drafts: dict[str, tuple[str, PositionSide]] = {}
        self._drafted_at = 0
        self._positions: dict[tuple[str, PositionSide], Decimal] = {}
        self._pending: dict[str, tuple[str, PositionSide]] = {}

    @property
    def id_prefix(self) -> str:
        """Return what the ids of all of this strategy's intents start with."""
        return f"{self._prefix}-"

    @property
    def now(self) -> int:
        """Return the session's time, int ms UTC."""
        return self._clock.now

    def position(self, symbol: str, position_side: PositionSide = _BOTH) -> Decimal:
        """Return the signed quantity held (short books are negative)."""
        return self._positions.get((symbol, position_side), ZERO)

    def pending(self, symbol: str, position_side: PositionSide = _BOTH) -> int:
        """Return how many of this strategy's orders on the book of ``symbol`` are unfinished."""
        if not self._pending and not self._drafts:
            return 0
        key = (symbol, position_side)
        return sum(1 for book in self._unfinished().values() if book == key)

    def _unfinished(self) -> dict[str, tuple[str, PositionSide]]:
        """Return the orders that are pending and the intents being made at this moment."""
        if self._drafts and self._drafted_at == self._clock.now:
            return {**self._pending, **self._drafts}
        return self._pending

    def open(
        self,
        symbol: str,
        side: Side,
        quantity: Decimal,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy = MARKET,
        decision_price: float | Decimal | None = None,
        valid_until: int | None = None,
        tag: str = "",
        planned_stop: float | Decimal | None = None,
        planned_target: float | Decimal | None = None,
    ) -> OpenIntent:
        """
        Return an intent that adds exposure.

        ``planned_stop`` and ``planned_target`` say where the strategy means to leave, for the
        reward-to-risk limit; no order is made of them.
        """
        return OpenIntent(
            self._next_id(symbol, position_side),
            self.strategy,
            symbol,
            side,
            quantity,
            self._clock.now,
            position_side,
            policy,
            valid_until,
            exact(decision_price),
            tag,
            None if planned_stop is None else exact(planned_stop),
            None if planned_target is None else exact(planned_target),
        )

    def reduce(
        self,
        symbol: str,
        side: Side,
        quantity: Decimal,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy = MARKET,
        decision_price: float | Decimal | None = None,
        valid_until: int | None = None,
        tag: str = "",
    ) -> ReduceIntent:
        """Return an intent that can only reduce exposure."""
        return ReduceIntent(
            self._next_id(symbol, position_side),
            self.strategy,
            symbol,
            side,
            quantity,
            self._clock.now,
            position_side,
            policy,
            valid_until,
            exact(decision_price),
            tag,
        )

    def cancel(self, symbol: str, order_id: str = "", *, tag: str = "") -> CancelIntent:
        """Return an intent to cancel one order, or every order of this strategy on ``symbol``."""
        self._count += 1
        return CancelIntent(
            f"{self._prefix}-{self._count}", self.strategy, symbol, self._clock.now, order_id, tag
        )

    def _next_id(self, symbol: str, position_side: PositionSide) -> str:
        self._count += 1
        intent_id = f"{self._prefix}-{self._count}"
        if self._drafts and self._drafted_at != self._clock.now:
            self._drafts.clear()  # made earlier and never returned
        self._drafted_at = self._clock.now
        self._drafts[intent_id] = (symbol, position_side)
        return intent_id

    def settle_drafts(self, sent: Iterable[Intent | CancelIntent]) -> None:
        """Let the intents among ``sent`` be pending; what was made here and not sent never was."""
        for intent in sent:
            book = self._drafts.get(intent.intent_id)
            if book is not None:
                self._pending[intent.intent_id] = book
        self._drafts.clear()

    def withdraw(self, intent_ids: Iterable[str]) -> None:
        """Forget intents that were returned and will not be sent."""
        for intent_id in intent_ids:
            self._pending.pop(intent_id, None)
            self._drafts.pop(intent_id, None)

    # -- kept up to date by the strategy actor, before the strategy's own hooks run

    def record_report(self, report: ExecutionReport) -> None:
        """Take an order's step into the view: fills move the position, final states end pending."""
        if report.fill is not None:
            fill = report.fill
            key = (fill.symbol, fill.position_side)
            signed = fill.quantity if fill.side is _BUY else -fill.quantity
            self._positions[key] = self._positions.get(key, ZERO) + signed
        if report.status in FINAL:
            self.withdraw((report.order_id,))

    def record_decision(self, decision: RiskDecision) -> None:
        """Take a refusal into the view; that of a repeat says nothing about the first."""
        if decision.verdict is not _DENIED:
            return
        if all(cause.code is not ReasonCode.DUPLICATE_INTENT for cause in decision.causes):
            self.withdraw((decision.intent_id,))

    def snapshot(self) -> dict[str, Any]:
        """Return the durable state, JSON-ready."""
        return {
            "count": self._count,
            "positions": [
                [symbol, side.value, str(quantity)]
                for (symbol, side), quantity in sorted(self._positions.items())
                if quantity
            ],
            "pending": [
                [intent_id, symbol, side.value]
                for intent_id, (symbol, side) in self._unfinished().items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self._count = int(state["count"])
        self._positions = {
            (symbol, PositionSide(side)): Decimal(quantity)
            for symbol, side, quantity in state["positions"]
        }
        self._pending = {
            intent_id: (symbol, PositionSide(side)) for intent_id, symbol, side in state["pending"]
        }


FINAL = frozenset(
    {
        OrderStatus.DENIED,
        OrderStatus.SUPPRESSED,
        OrderStatus.REJECTED,
        OrderStatus.FILLED,
        OrderStatus.CANCELLED,
        OrderStatus.EXPIRED,
    }
)


class Strategy(ABC):
    """
    Base of every strategy: override ``on_bar`` and whatever else is needed.

    Hooks return the intents to submit, in order, or ``None``. An exception in a hook is a
    failure of this strategy alone: it is restarted from its last snapshot, and quarantined
    when it fails too often.
    """

    Params: ClassVar[type[StrategyParams]] = StrategyParams

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        """Keep the desk and the validated parameters."""
        self.desk = desk
        self.params = params

    def on_start(self) -> Intents:
        """Be told that the incarnation starts, after ``restore`` if there is a snapshot."""
        return None

    @abstractmethod
    def on_bar(self, bar: Bar) -> Intents:
        """Decide at the close of a bar."""

    def on_quote(self, quote: Quote) -> Intents:
        """Decide on a quote."""
        return None

    def on_tick(self, tick: Tick) -> Intents:
        """Decide on a public trade."""
        return None

    def on_fill(self, fill: Fill) -> Intents:
        """React to a fill of an own order; the desk's position already includes it."""
        return None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """React to any step in the life of an own order, after ``on_fill`` if it is a fill."""
        return None

    def on_order_rejected(self, decision: RiskDecision) -> Intents:
        """React to a refusal by risk or by a hold."""
        return None

    def snapshot(self) -> dict[str, Any]:
        """Return all state that decisions depend on, JSON-ready."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave; called on a fresh object before ``on_start``."""


def exact(price: float | Decimal | None) -> Decimal | None:
    """Return the decimal that a market-data float stands for: its shortest exact text."""
    return Decimal(repr(price)) if isinstance(price, float) else price
