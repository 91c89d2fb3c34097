"""How each strategy's wishes were carried out: the values that reports are made of."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class TripsResult(msgspec.Struct, frozen=True):
    """
    A strategy's round trips that are over, and how many are open.

    ``won`` and ``lost`` go by the net profit, ``expectancy`` is its mean. ``fees``, ``funding``
    and ``slippage`` are costs, positive when paid, of open trips too; ``slippage_bps`` is the
    slippage in basis points of the notional that was decided on.
    """

    closed: int
    open: int
    won: int
    lost: int
    net_pnl: Decimal
    expectancy: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    fees: Decimal
    funding: Decimal
    slippage: Decimal
    slippage_bps: Decimal | None


class PlansResult(msgspec.Struct, frozen=True):
    """What became of a strategy's plans; ``steps`` counts those whose price or time has come."""

    adopted: int = 0
    refused: int = 0
    replaced: int = 0
    dropped: int = 0
    done: int = 0
    steps: int = 0


class ExecutionResult(msgspec.Struct, frozen=True):
    """
    How one strategy's intents were carried out.

    ``orders`` were made of the ``intents``, ``retries``, ``reprices`` and ``fallbacks`` because
    their policies permit it. ``refusals`` are intents that Risk refused, by family of orders;
    ``follow_ups_refused`` are further orders that it refused. ``backoffs`` counts the rests after
    refusals, ``resting`` the families that still rest at the end.
    """

    strategy: str
    intents: int
    unfinished: int
    orders: int
    retries: int
    reprices: int
    fallbacks: int
    refusals: dict[str, int]
    follow_ups_refused: int
    rolled_back: int
    superseded: int
    backoffs: int
    longest_backoff_ms: int
    resting: int
    plans: PlansResult
    trips: TripsResult
