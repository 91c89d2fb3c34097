"""The mechanics of pursuits: what a ``Pursuit`` decided is carried out here."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, assert_never

from actors.board import Board
from actors.execution.books import Books
from actors.execution.hands import Hands
from actors.execution.pursuit import CancelOrder, Move, Pursuit, Stage, WakeAt
from actors.runtime import Clock, Effect, SetTimer
from messages import (
    Fill,
    IntentEnded,
    OpenFollowUp,
    OrderRequest,
    ReduceFollowUp,
    RiskDecision,
)

TIMER: Final = "pursue:"


class Pursuing:
    """Carries out the pursuits of ``books``, by the actor's ``hands``."""

    def __init__(self, books: Books, board: Board, clock: Clock, hands: Hands) -> None:
        """Go on with whatever ``books`` say is under way."""
        self._books = books
        self._board = board
        self._clock = clock
        self._hands = hands

    def of(self, request: OrderRequest) -> Pursuit | None:
        """Return the pursuit that an order belongs to, if there is one."""
        return self._books.pursuits.get(request.root_id or request.order_id)

    def mark(self, pursuit: Pursuit) -> Decimal | None:
        """Return the newest price of what is pursued."""
        return self._board.mark(pursuit.intent.symbol)

    def moves(self, pursuit: Pursuit, moves: Iterable[Move]) -> list[Effect]:
        """Return the effects of what a pursuit decided."""
        effects: list[Effect] = []
        for move in moves:
            match move:
                case CancelOrder(order_id, cause):
                    order = self._books.orders.by_order_id(order_id)
                    if order is not None and order.live:
                        effects.extend(self._hands.cancel(order, cause))
                case WakeAt(at):
                    key = f"{TIMER}{pursuit.intent.intent_id}"
                    effects.append(SetTimer(key, max(at, self._clock.now)))
                case IntentEnded():
                    self._books.pursuits.pop(move.intent_id, None)
                    effects.append(move)
                case OpenFollowUp() | ReduceFollowUp():
                    effects.append(move)
                case _:
                    assert_never(move)
        return effects

    def sent(self, request: OrderRequest, now: int) -> list[Effect]:
        """Start the clocks of an order that has just left, where it is pursued."""
        pursuit = self.of(request)
        return [] if pursuit is None else self.moves(pursuit, pursuit.sent(now))

    def filled(self, request: OrderRequest, fill: Fill, *, whole: bool) -> list[Effect]:
        """Count a fill, where its order is pursued."""
        pursuit = self.of(request)
        if pursuit is None:
            return []
        moves = pursuit.filled_by(fill.quantity, self._clock.now, whole=whole)
        return self.moves(pursuit, moves)

    def refused(self, decision: RiskDecision) -> list[Effect]:
        """End the pursuit of an intent whose next order Risk has refused."""
        pursuit = self._books.pursuits.get(decision.root_id)
        if pursuit is None or not decision.causes:
            return []
        return self.moves(pursuit, pursuit.denied(decision.causes, self._clock.now))

    def restarted(self, now: int) -> list[Effect]:
        """
        Go on after a restart: of the actor, or of the process.

        What is due by now is done by its timer, one after the other and each with all that follows
        from it, as without the restart.
        """
        pursuits = list(self._books.pursuits.values())
        return [
            effect for pursuit in pursuits for effect in self.moves(pursuit, pursuit.restarted(now))
        ]

    def wake(self, key: str, now: int) -> list[Effect]:
        """Do what a timer is for."""
        pursuit = self._books.pursuits.get(key.removeprefix(TIMER))
        return [] if pursuit is None else self._woken(pursuit, now)

    def _woken(self, pursuit: Pursuit, now: int) -> list[Effect]:
        if pursuit.stage is Stage.WORKING and self._books.inquiries.kept:
            order = self._books.orders.by_order_id(pursuit.order_id)
            if order is not None and order.request.client_order_id in self._books.inquiries.kept:
                return []  # over by the venue's own doing, whatever time it is by now
        return self.moves(pursuit, pursuit.woken(now, self.mark(pursuit)))
