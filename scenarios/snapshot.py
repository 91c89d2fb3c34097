"""What a session holds at one moment: for expectations that look at a time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from actors.execution import ExecutionActor
from actors.turns import Session
from messages import PortfolioMarked, PositionSide


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Positions by (strategy, symbol, side), the account as valued then, the holds in force."""

    at: int
    positions: dict[tuple[str, str, PositionSide], Decimal]
    account: PortfolioMarked | None
    holds: tuple[str, ...]


def look_at(session: Session) -> Snapshot:
    """Return what ``session`` holds now; looking changes nothing."""
    assembly = session.assembly
    execution = assembly.execution_cell.actor
    valued = (
        execution.valuation(assembly.clock.now, "look")
        if isinstance(execution, ExecutionActor)
        else None
    )
    return Snapshot(
        assembly.clock.now,
        {
            (position.strategy, position.symbol, position.position_side): position.quantity
            for position in assembly.books.ledger.positions()
            if position.quantity
        },
        valued,
        tuple(assembly.holds.view()),
    )
