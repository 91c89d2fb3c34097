"""
What can go wrong between a venue and whoever talks to it.

A script says which faults are in force, on which requests, how often; one seed decides the rest.
The words are those of scenario files where they mean the same (``lose_requests``,
``lose_answers``, ``rate_limit``, ``down``); those of the wire alone are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from brokers.virtual.wire import NewsItem
from messages import Explained
from scenarios.model.base import Offset, Table

Action = Literal[
    "submit", "cancel", "cancel_all", "order", "orders", "trades", "account", "news", "market"
]


class WireFaultKind(Explained):
    """What goes wrong with one request, or with the news."""

    LOSE_REQUESTS = "lose_requests", "the request never arrives; the connection drops"
    DELAY_REQUESTS = "delay_requests", "the request arrives `by` later"
    REPEAT_REQUESTS = "repeat_requests", "the request arrives twice"
    HANG = "hang", "the request never arrives, and the connection stays open without a word"
    FAIL_BEFORE = "fail_before", "HTTP 503, and the venue has not looked at the request"
    FAIL_AFTER = "fail_after", "HTTP 502, and the venue has done what was asked"
    LOSE_ANSWERS = "lose_answers", "the venue does what was asked; the connection drops"
    DELAY_ANSWERS = "delay_answers", "the answer comes `by` later"
    REPEAT_ANSWERS = "repeat_answers", "the answer is sent twice on the same connection"
    CUT_ANSWERS = "cut_answers", "the answer ends in its middle"
    RATE_LIMIT = "rate_limit", "HTTP 429 with a Retry-After of `by`; not looked at"
    DOWN = "down", "every connection drops, whatever is asked"
    LOSE_NEWS = "lose_news", "an answer of news leaves its first item out"
    DELAY_NEWS = "delay_news", "an answer of news comes `by` later"
    DUPLICATE_NEWS = "duplicate_news", "every item of an answer of news comes twice"
    REORDER_NEWS = "reorder_news", "the items of an answer of news come in any order"


NEWS_FAULTS = frozenset(
    {
        WireFaultKind.LOSE_NEWS,
        WireFaultKind.DELAY_NEWS,
        WireFaultKind.DUPLICATE_NEWS,
        WireFaultKind.REORDER_NEWS,
    }
)
NEEDS_TIME = frozenset(
    {
        WireFaultKind.DELAY_REQUESTS,
        WireFaultKind.DELAY_ANSWERS,
        WireFaultKind.DELAY_NEWS,
        WireFaultKind.RATE_LIMIT,
    }
)


class WireFault(Table):
    """One fault: what, on which requests, after how many of them, how often."""

    fault: WireFaultKind = Field(description="what goes wrong")
    on: tuple[Action, ...] = Field((), description="requests it strikes (default: all)")
    after: int = Field(0, ge=0, description="so many such requests are let through first")
    count: int | None = Field(None, ge=1, description="how often (default: always)")
    chance: float = Field(1.0, gt=0, le=1, description="how likely it strikes each request")
    by: Offset = Field(0, description="how late; rate_limit: when to ask again")

    @model_validator(mode="after")
    def _check(self) -> WireFault:
        if self.fault in NEEDS_TIME and not self.by:
            raise ValueError(f"{self.fault.value} needs `by`")
        if self.fault in NEWS_FAULTS and self.on not in {(), ("news",)}:
            raise ValueError(f"{self.fault.value} is about news only")
        return self


class FaultScript(Table):
    """A faults file."""

    seed: int = Field(0, description="decides what chance decides")
    faults: tuple[WireFault, ...] = Field((), description="in this order: the first that strikes")


class FaultsRefused(ValueError):
    """A faults file that cannot be used; one line a problem."""


def read_script(content: bytes) -> FaultScript:
    """Return a script; raises ``FaultsRefused`` that names every wrong field."""
    try:
        return FaultScript.model_validate_json(content)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise FaultsRefused("\n".join(lines)) from None


@dataclass(slots=True)
class _InForce:
    fault: WireFault
    seen: int = 0
    struck: int = 0


class Faults:
    """The faults in force; the same script and the same requests are struck the same way."""

    def __init__(self, script: FaultScript | None = None) -> None:
        """Put ``script`` in force; without one, nothing goes wrong."""
        self.replace(script or FaultScript())

    def replace(self, script: FaultScript) -> None:
        """Put another script in force, from its beginning."""
        self._random = Random(script.seed)  # seam: seeded by the script
        self._in_force = [_InForce(fault) for fault in script.faults]

    @property
    def struck(self) -> int:
        """Return how many requests were struck so far."""
        return sum(each.struck for each in self._in_force)

    def strike(self, action: Action) -> WireFault | None:
        """Return what goes wrong with one request, at most one thing, and count it."""
        for each in self._in_force:
            fault = each.fault
            if fault.fault in NEWS_FAULTS:
                if action != "news":
                    continue
            elif fault.on and action not in fault.on:
                continue
            each.seen += 1
            if each.seen <= fault.after or each.struck == fault.count:
                continue
            if fault.chance < 1 and self._random.random() >= fault.chance:
                continue
            each.struck += 1
            return fault
        return None

    def disturbed(self, kind: WireFaultKind, items: Sequence[NewsItem]) -> tuple[NewsItem, ...]:
        """Return the items of an answer of news as a news fault leaves them."""
        if kind is WireFaultKind.LOSE_NEWS:
            return tuple(items[1:])
        if kind is WireFaultKind.DUPLICATE_NEWS:
            return tuple(item for each in items for item in (each, each))
        if kind is WireFaultKind.REORDER_NEWS:
            shuffled = list(items)
            self._random.shuffle(shuffled)
            return tuple(shuffled)
        return tuple(items)
