"""
What a strategy is: pure decisions.

A strategy sees market data, its own orders, fills and refusals, and returns intents. It
never awaits, reads no clock, talks to no broker and keeps no reference to the system: its
``desk`` is all it knows of the world, and everything that must survive a restart is in
``snapshot``. The runner invents nothing: what the strategy does not ask for does not happen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec
from pydantic import BaseModel, ConfigDict

from messages import (
    Bar,
    Cause,
    ExecutionReport,
    Fill,
    IntentAction,
    IntentEnded,
    MinimumOrder,
    OpenIntent,
    OrderFamily,
    PositionSide,
    Quote,
    Tick,
)
from messages.intents import FAMILIES
from state.ledger import LotMethod
from strategies.backoff import StrategyRejectionBackoff
from strategies.desk import Asked, Desk, exact

Intents = Iterable[Asked] | None
"""What a hook returns: the intents to submit, in order."""


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: frozen, unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """
    Something that the strategy asked for came to nothing, and every cause.

    ``by`` is who said so: ``risk`` (a guard, a hold), ``execution`` (the last look before it
    left), ``venue``, or ``strategy`` for a plan that cannot be. ``final`` is false while the
    intent's own policy has something follow.
    """

    intent_id: str
    order_id: str
    symbol: str
    position_side: PositionSide
    action: IntentAction
    causes: tuple[Cause, ...]
    at: int
    by: str
    final: bool = True

    @property
    def family(self) -> OrderFamily | None:
        """Return the family of orders that it belongs to; a plan belongs to none."""
        return FAMILIES.get(self.action)


class Strategy(ABC):
    """
    Base of every strategy: override ``on_bar`` and whatever else is needed.

    Hooks return the intents to submit, in order, or ``None``. An exception in a hook is a
    failure of this strategy alone: it is restarted from its last snapshot, and quarantined
    when it fails too often. The hooks in ``LIVE_HOOKS`` must be a strategy's own before it may
    trade real money: each of them is a decision that nobody can make for it.
    """

    Params: ClassVar[type[StrategyParams]] = StrategyParams
    uses_plans: ClassVar[bool] = False
    """Whether it may hand in plans (UPDATE_PLAN): they look at every piece of market data."""
    hears_progress: ClassVar[bool] = True
    """Whether ``on_order_update`` is told of steps that neither fill nor end an order, too."""
    no_warm_up: ClassVar[str] = ""
    """Why its decisions need no bars from before the session, where it leaves ``warm_up`` be."""
    lot_method: ClassVar[LotMethod | None] = None
    """Which of its lots a reduction closes, if its decisions need just that; ``None``: any."""

    def __init__(self, desk: Desk, params: StrategyParams) -> None:
        """Keep the desk and the validated parameters."""
        self.desk = desk
        self.params = params

    # -- the market

    def warm_up(self, bar: Bar) -> None:
        """Take in a closed bar from before the session, for indicators; nothing can be asked."""

    def features(self) -> Any:
        """Return all that ``warm_up`` has made of its bars, JSON-ready; ``None`` keeps nothing."""
        return None

    def take_features(self, features: Any) -> None:
        """Take back what ``features`` gave, in place of the same bars; on a fresh object."""

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

    # -- what became of its orders

    def on_fill(self, fill: Fill) -> Intents:
        """React to a fill of an own order; the desk's position already includes it."""
        return None

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """
        React to any step in the life of an own order, after ``on_fill`` if it is a fill.

        A class with ``hears_progress = False`` is told of fills and ends only.
        """
        return None

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """
        React to a refusal by Risk, by a hold, by the last look, by the venue.

        Of a final one a rollback has happened by then, and the backoff has counted it: what a
        policy has follow is not refused yet, and must not be kept back by the refusal before it.
        """
        return None

    def on_intent_ended(self, ended: IntentEnded) -> Intents:
        """React to the end of an intent whose policy permits more than one order."""
        return None

    # -- its own brakes

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """
        Return why this opening must not go out now, ``None`` if it may: the strategy's own circuit.

        Asked of every opening in its name, those of its plans included. What reduces is not asked.
        """
        return None

    def execution_backoff(self) -> StrategyRejectionBackoff | None:
        """Return the strategy's backoff, always the same object; ``None`` has none."""
        return None

    def set_broker_min_order(self, minimum: MinimumOrder) -> None:
        """Be told the least order of a symbol: before the start, and whenever it changes."""

    # -- its state

    def snapshot(self) -> dict[str, Any]:
        """Return all state that decisions depend on, JSON-ready."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave; called on a fresh object before ``on_start``."""

    def book_state(self, symbol: str, position_side: PositionSide) -> Any:
        """
        Return the state of one book, JSON-ready: its phase, rungs or lots, not the market's past.

        Every change of it is journaled, and it is what a failed intent of the book goes back to
        (``Rollback.IF_UNFILLED``, which needs it). The base has none.
        """
        return None

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take back what ``book_state`` gave; everything else goes on as it is."""


LIVE_HOOKS: Final = (
    "snapshot",
    "restore",
    "on_order_update",
    "on_fill",
    "on_order_rejected",
    "can_submit_order",
    "execution_backoff",
    "set_broker_min_order",
)
"""What a strategy has to decide for itself before it may trade real money."""


def missing_hooks(factory: type[Strategy]) -> list[str]:
    """Return the names of ``LIVE_HOOKS`` that a class leaves to the base."""
    return [name for name in LIVE_HOOKS if getattr(factory, name) is getattr(Strategy, name)]


__all__ = [
    "LIVE_HOOKS",
    "Asked",
    "Desk",
    "Intents",
    "Rejection",
    "Strategy",
    "StrategyParams",
    "exact",
    "missing_hooks",
]
