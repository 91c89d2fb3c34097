"""
How much may be asked: weights and orders by the minute, a ban for whoever does not listen.

Windows are those of the clock, as the venue's are: what is used up comes back with the next full
minute (ten seconds).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scenarios.exchange.binanceusdm.errors import (
    BANNED,
    TOO_MANY_ORDERS,
    TOO_MANY_REQUESTS,
    Refused,
)

MINUTE_MS: Final = 60_000
TEN_S_MS: Final = 10_000

IGNORED_MAX: Final = 10
"""So many requests past a limit are refused in one minute; the next one is a ban."""

BAN_MS: Final = 120_000
"""How long a first ban lasts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Weight per minute, orders per ten seconds and per minute."""

    weight_1m: int = 2_400
    orders_10s: int = 300
    orders_1m: int = 1_200

    def times(self, factor: int) -> Limits:
        """Return limits that are ``factor`` times as high."""
        return Limits(self.weight_1m * factor, self.orders_10s * factor, self.orders_1m * factor)


class _Window:
    """What was used of one limit in the running window."""

    def __init__(self, length_ms: int) -> None:
        self.length_ms = length_ms
        self.number = -1
        self.used = 0

    def at(self, now: int) -> int:
        """Return how much is used at ``now``."""
        number = now // self.length_ms
        if number != self.number:
            self.number, self.used = number, 0
        return self.used

    def left_ms(self, now: int) -> int:
        """Return how long the running window lasts."""
        return self.length_ms - now % self.length_ms


class Budget:
    """What one address has used of the limits."""

    def __init__(self, limits: Limits) -> None:
        """Begin with nothing used."""
        self.limits = limits
        self._weight = _Window(MINUTE_MS)
        self._ignored = _Window(MINUTE_MS)
        self._orders_10s = _Window(TEN_S_MS)
        self._orders_1m = _Window(MINUTE_MS)
        self._banned_until = 0

    def spend(self, weight: int, orders: int, now: int) -> dict[str, str]:
        """Count a request and return the headers of its answer, or refuse it (429, 418)."""
        if now < self._banned_until:
            raise self._ban(now)
        self._weight.at(now)
        self._weight.used += weight
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._weight.used)}
        if self._weight.used > self.limits.weight_1m:
            refused = Refused(
                TOO_MANY_REQUESTS,
                self.limits.weight_1m,
                status=429,
                headers=headers | _retry(self._weight.left_ms(now)),
            )
            raise self._past(refused, now)
        if orders:
            for window, most, name in (
                (self._orders_10s, self.limits.orders_10s, "10 seconds"),
                (self._orders_1m, self.limits.orders_1m, "1 minute"),
            ):
                if window.at(now) + orders > most:
                    left = _retry(window.left_ms(now))
                    refused = Refused(
                        TOO_MANY_ORDERS, most, name, status=429, headers=headers | left
                    )
                    raise self._past(refused, now)
            self._orders_10s.used += orders
            self._orders_1m.used += orders
            headers |= {
                "X-MBX-ORDER-COUNT-10S": str(self._orders_10s.used),
                "X-MBX-ORDER-COUNT-1M": str(self._orders_1m.used),
            }
        return headers

    def refuse(self, wait_ms: int) -> Refused:
        """Return a refusal as for a limit that is used up for ``wait_ms``."""
        return Refused(
            TOO_MANY_REQUESTS, self.limits.weight_1m, status=429, headers=_retry(wait_ms)
        )

    def ban(self, now: int, length_ms: int = BAN_MS) -> None:
        """Refuse everything for ``length_ms``."""
        self._banned_until = now + length_ms

    def _past(self, refused: Refused, now: int) -> Refused:
        """Return the refusal, or a ban for whoever has been refused too often."""
        if self._ignored.at(now) >= IGNORED_MAX:
            self.ban(now)
            return self._ban(now)
        self._ignored.used += 1
        return refused

    def _ban(self, now: int) -> Refused:
        left = _retry(self._banned_until - now)
        return Refused(BANNED, self._banned_until, status=418, headers=left)


def _retry(wait_ms: int) -> dict[str, str]:
    return {"Retry-After": str(max(1, -(-wait_ms // 1000)))}
