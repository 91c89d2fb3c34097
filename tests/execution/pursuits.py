"""Intents, policies and moments for the pursuit of one intent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from messages import (
    Cause,
    ExecutionPolicy,
    FallbackOn,
    MarketFallback,
    OpenIntent,
    OrderType,
    ReasonCode,
    Side,
)

NOW = 1_000_000
HUNDRED = Decimal(100)
BOTH = MarketFallback((FallbackOn.REJECT, FallbackOn.TIMEOUT))
TIMED_OUT = Cause(ReasonCode.TIMED_OUT)


def intent(policy: ExecutionPolicy, **terms: Any) -> OpenIntent:
    return OpenIntent(
        "abc-1-7", "one", "BTC/USDT", Side.BUY, Decimal(3), NOW, policy=policy, **terms
    )


def limit(**terms: Any) -> ExecutionPolicy:
    return ExecutionPolicy(OrderType.LIMIT, limit_price=HUNDRED, **terms)


def only(moves: list[Any], kind: type[Any]) -> Any:
    (found,) = [move for move in moves if isinstance(move, kind)]
    return found
