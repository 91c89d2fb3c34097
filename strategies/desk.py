"""
The desk: a strategy's view of its own affairs, and the only maker of its intents.

A strategy that forgets everything else still finds its affairs here: the desk outlives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from messages import (
    MARKET,
    CancelIntent,
    ExecutionPolicy,
    Intent,
    IntentAction,
    OpenIntent,
    OrderType,
    PauseIntent,
    Plan,
    PlanIntent,
    PositionSide,
    ReduceIntent,
    Side,
    Sizing,
)
from strategies.affairs import FINAL, Affairs, is_over

_BOTH: Final = PositionSide.BOTH
_ENTRY: Final = IntentAction.ENTRY
_REDUCE: Final = IntentAction.REDUCE
_EXPLICIT: Final = Sizing.EXPLICIT

Asked = Intent | CancelIntent | PlanIntent | PauseIntent
"""Whatever a strategy may return."""


class Desk(Affairs):
    """
    A strategy's view of its own affairs, and the only maker of its intents.

    Whatever is made here has the strategy's name, the session's time and an id of its own; it is
    asked for only when a hook returns it.
    """

    __slots__ = ()

    # -- intents that add exposure

    def open(
        self,
        symbol: str,
        side: Side,
        quantity: Decimal | None = None,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy = MARKET,
        decision_price: float | Decimal | None = None,
        valid_until: int | None = None,
        tag: str = "",
        planned_stop: float | Decimal | None = None,
        planned_target: float | Decimal | None = None,
        action: IntentAction = _ENTRY,
        notional: Decimal | None = None,
        plan_id: str = "",
    ) -> OpenIntent:
        """
        Return an intent that adds exposure.

        How much is ``quantity``, or else ``notional`` divided by the worst price to expect.
        ``planned_stop`` and ``planned_target`` say where the strategy means to leave, for the
        reward-to-risk limit; no order is made of them.
        """
        intent = OpenIntent(
            self._next_id(),
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
            action,
            _EXPLICIT if notional is None else Sizing.DELEGATE_NOTIONAL,
            notional,
            plan_id,
        )
        self._draft(intent)
        return intent

    def add(
        self, symbol: str, side: Side, quantity: Decimal | None = None, **terms: Any
    ) -> OpenIntent:
        """Return an intent that adds to a position (DCA, scaling in): ``open`` by another name."""
        return self.open(symbol, side, quantity, action=IntentAction.ADD, **terms)

    # -- intents that can only reduce it

    def reduce(
        self,
        symbol: str,
        side: Side,
        quantity: Decimal | None,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy = MARKET,
        decision_price: float | Decimal | None = None,
        valid_until: int | None = None,
        tag: str = "",
        action: IntentAction = _REDUCE,
        notional: Decimal | None = None,
        plan_id: str = "",
        replaces: str = "",
    ) -> ReduceIntent:
        """Return an intent that can only reduce exposure."""
        intent = ReduceIntent(
            self._next_id(),
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
            None,
            None,
            action,
            _EXPLICIT if notional is None else Sizing.DELEGATE_NOTIONAL,
            notional,
            plan_id,
            replaces,
        )
        self._draft(intent)
        return intent

    def close(
        self, symbol: str, *, position_side: PositionSide = _BOTH, **terms: Any
    ) -> ReduceIntent:
        """
        Return an intent to close a whole book now, however much it holds by then.

        What rests to leave the same book (stops, take-profits) does not stand in its way, and
        ends with the position.
        """
        side = self.closing_side(symbol, position_side)
        return self.reduce(
            symbol, side, None, position_side=position_side, action=IntentAction.CLOSE, **terms
        )

    def partial_close(
        self,
        symbol: str,
        quantity: Decimal,
        *,
        position_side: PositionSide = _BOTH,
        **terms: Any,
    ) -> ReduceIntent:
        """Return an intent to close a part of a book now."""
        return self.reduce(
            symbol,
            self.closing_side(symbol, position_side),
            quantity,
            position_side=position_side,
            action=IntentAction.PARTIAL_CLOSE,
            **terms,
        )

    def set_stop(
        self,
        symbol: str,
        price: float | Decimal,
        quantity: Decimal | None = None,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy | None = None,
        **terms: Any,
    ) -> ReduceIntent:
        """Return an intent to leave at a loss at ``price``: by default all, at market."""
        how = policy or ExecutionPolicy(OrderType.STOP)
        return self._protect(
            IntentAction.SET_STOP,
            symbol,
            quantity,
            position_side,
            msgspec.structs.replace(how, stop_price=exact(price)),
            terms,
        )

    def set_take_profit(
        self,
        symbol: str,
        price: float | Decimal,
        quantity: Decimal | None = None,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy | None = None,
        **terms: Any,
    ) -> ReduceIntent:
        """Return an intent to leave at a profit at ``price``: by default all, by a limit order."""
        how = policy or ExecutionPolicy(OrderType.LIMIT)
        field = "limit_price" if how.order_type is OrderType.LIMIT else "stop_price"
        return self._protect(
            IntentAction.SET_TAKE_PROFIT,
            symbol,
            quantity,
            position_side,
            msgspec.structs.replace(how, **{field: exact(price)}),
            terms,
        )

    def trail(
        self,
        symbol: str,
        trail_bps: Decimal,
        quantity: Decimal | None = None,
        *,
        position_side: PositionSide = _BOTH,
        policy: ExecutionPolicy | None = None,
        **terms: Any,
    ) -> ReduceIntent:
        """Return an intent for a stop that follows the best price ``trail_bps`` behind it."""
        how = policy or ExecutionPolicy(OrderType.TRAILING_STOP)
        return self._protect(
            IntentAction.TRAIL,
            symbol,
            quantity,
            position_side,
            msgspec.structs.replace(how, trail_bps=trail_bps),
            terms,
        )

    def _protect(
        self,
        action: IntentAction,
        symbol: str,
        quantity: Decimal | None,
        position_side: PositionSide,
        policy: ExecutionPolicy,
        terms: Mapping[str, Any],
    ) -> ReduceIntent:
        held = abs(self.position(symbol, position_side))
        return self.reduce(
            symbol,
            self.closing_side(symbol, position_side),
            held if quantity is None else quantity,
            position_side=position_side,
            policy=policy,
            action=action,
            **terms,
        )

    # -- everything else

    def cancel(self, symbol: str, order_id: str = "", *, tag: str = "") -> CancelIntent:
        """Return an intent to cancel one order, or every order of this strategy on ``symbol``."""
        return CancelIntent(self._next_id(), self.strategy, symbol, self._clock.now, order_id, tag)

    def update_plan(
        self,
        symbol: str,
        plan: Plan | None,
        *,
        position_side: PositionSide = _BOTH,
        tag: str = "",
    ) -> PlanIntent:
        """Return an intent to have a book's plan carried out from now on; ``None`` drops it."""
        return PlanIntent(
            self._next_id(), self.strategy, symbol, self._clock.now, position_side, plan, tag
        )

    def pause(self, until: int, reason: str, *, symbol: str = "") -> PauseIntent:
        """Return an intent to open nothing until then: of one symbol, or nothing at all."""
        return PauseIntent(self._next_id(), self.strategy, self._clock.now, until, reason, symbol)


def exact(price: float | Decimal | None) -> Decimal | None:
    """Return the decimal that a market-data float stands for: its shortest exact text."""
    return Decimal(repr(price)) if isinstance(price, float) else price


__all__ = ["FINAL", "Asked", "Desk", "exact", "is_over"]
