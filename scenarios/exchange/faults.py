"""
What can go wrong between a venue and whoever talks to it.

A script says which faults are in force, on which requests, how often; one seed decides the rest.
The words are those of scenario files where they mean the same (``lose_requests``,
``lose_answers``, ``rate_limit``, ``down``); those of the wire alone are added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from messages import Explained
from scenarios.model.base import Offset, Table

Action = Literal[
    "submit",
    "amend",
    "cancel",
    "cancel_all",
    "order",
    "orders",
    "trades",
    "account",
    "positions",
    "settings",
    "news",
    "market",
    "bars",
    "book",
    "rules",
    "time",
    "key",
    "dial",
]
"""What a request asks for; ``news`` is what a stream delivers, ``dial`` its opening."""


class WireFaultKind(Explained):
    """What goes wrong with one request, or with the news."""

    LOSE_REQUESTS = "lose_requests", "the request never arrives; the connection drops"
    DELAY_REQUESTS = "delay_requests", "the request arrives `by` later"
    REPEAT_REQUESTS = "repeat_requests", "the request arrives twice"
    HANG = "hang", "the request never arrives, and the connection stays open without a word"
    FAIL_BEFORE = "fail_before", "HTTP 503 (or `status`), and the venue has not looked at it"
    FAIL_AFTER = "fail_after", "HTTP 502 (or `status`), and the venue has done what was asked"
    ERROR_BEFORE = "error_before", "the venue's own error `code`, and it has not looked"
    ERROR_AFTER = "error_after", "the venue's own error `code`, and it has done what was asked"
    BLANK_ANSWERS = "blank_answers", "done, and HTTP 200 with `body` instead of the answer"
    LOSE_ANSWERS = "lose_answers", "the venue does what was asked; the connection drops"
    DELAY_ANSWERS = "delay_answers", "the answer comes `by` later"
    REPEAT_ANSWERS = "repeat_answers", "the answer is sent twice on the same connection"
    CUT_ANSWERS = "cut_answers", "the answer ends in its middle"
    RATE_LIMIT = "rate_limit", "HTTP 429 with a Retry-After of `by`; not looked at"
    BAN = "ban", "HTTP 418, then the same for everything until `by` has passed"
    MAINTENANCE = "maintenance", "HTTP 503 for everything, and empty books"
    DOWN = "down", "every connection drops, whatever is asked"
    SKEW_CLOCK = "skew_clock", "the clock is `skew_ms` ahead, and gains `drift_ppm` of its run"
    HIDE_ORDERS = "hide_orders", "an order that came less than `by` ago is not found"
    HIDE_FILLS = "hide_fills", "positions are told as they were before the fills of the last `by`"
    RACE_FILLS = "race_fills", "the order that is to be cancelled is filled first"
    FILL_PARTS = "fill_parts", "`share` of an order is filled as it comes"
    LIQUIDATE = "liquidate", "every position is liquidated, whatever its margin"
    DELEVERAGE = "deleverage", "`share` of every position is closed against others' losses"
    CHANGE_RULES = "change_rules", "price tick and lot step become ten times as large"
    STALE_BARS = "stale_bars", "the newest closed bar is not there yet"
    MISSING_BARS = "missing_bars", "a bar in the middle is missing"
    REVISED_BARS = "revised_bars", "the newest closed bar closes a tenth higher than it did"
    FROZEN_BARS = "frozen_bars", "every bar is the first one's close, without volume"
    LOSE_NEWS = "lose_news", "news leaves its first item out"
    DELAY_NEWS = "delay_news", "news comes `by` later; on a stream, with all that follows"
    DUPLICATE_NEWS = "duplicate_news", "every item of news comes twice"
    REORDER_NEWS = "reorder_news", "the items of news come in any order"
    FILLS_FIRST = "fills_first", "fills come before the news that their order was accepted"
    ANSWER_FIRST = "answer_first", "news comes after the answer to what brought it about"
    CLOSE_STREAM = "close_stream", "the stream is closed in due form; its news is lost"
    ABORT_STREAM = "abort_stream", "the stream's connection drops; its news is lost"
    SILENCE_STREAM = "silence_stream", "the stream stays open without a word, pings included"
    EXPIRE_KEY = "expire_key", "the listen key expires: the stream says so, and is closed"
    REFUSE_STREAM = "refuse_stream", "HTTP 403 (or `status`) to whoever opens a stream"


K = WireFaultKind

NEWS_FAULTS = frozenset({K.LOSE_NEWS, K.DELAY_NEWS, K.DUPLICATE_NEWS, K.REORDER_NEWS})
STREAM_FAULTS = frozenset(
    {
        K.FILLS_FIRST,
        K.ANSWER_FIRST,
        K.CLOSE_STREAM,
        K.ABORT_STREAM,
        K.SILENCE_STREAM,
        K.EXPIRE_KEY,
    }
)
BAR_FAULTS = frozenset({K.STALE_BARS, K.MISSING_BARS, K.REVISED_BARS, K.FROZEN_BARS})
PLAIN_FAULTS = NEWS_FAULTS | {
    K.LOSE_REQUESTS,
    K.DELAY_REQUESTS,
    K.REPEAT_REQUESTS,
    K.HANG,
    K.FAIL_BEFORE,
    K.FAIL_AFTER,
    K.LOSE_ANSWERS,
    K.DELAY_ANSWERS,
    K.REPEAT_ANSWERS,
    K.CUT_ANSWERS,
    K.RATE_LIMIT,
    K.DOWN,
}
"""What the plain dialect knows; what else there is needs streams, or a venue's own words."""

NEEDS_TIME = frozenset(
    {
        K.DELAY_REQUESTS,
        K.DELAY_ANSWERS,
        K.DELAY_NEWS,
        K.RATE_LIMIT,
        K.BAN,
        K.HIDE_ORDERS,
        K.HIDE_FILLS,
    }
)
ABOUT: dict[WireFaultKind, frozenset[Action]] = {
    **dict.fromkeys(NEWS_FAULTS | STREAM_FAULTS, frozenset[Action]({"news"})),
    **dict.fromkeys(BAR_FAULTS, frozenset[Action]({"bars"})),
    K.REFUSE_STREAM: frozenset({"dial"}),
    K.HIDE_ORDERS: frozenset({"order", "orders", "trades"}),
    K.HIDE_FILLS: frozenset({"positions", "account"}),
    K.RACE_FILLS: frozenset({"cancel"}),
    K.FILL_PARTS: frozenset({"submit"}),
}
"""Faults that are about some requests only; the others are about all but ``news`` and ``dial``."""

_NOT_REQUESTS: frozenset[Action] = frozenset({"news", "dial"})


class WireFault(Table):
    """One fault: what, on which requests, after how many of them, how often."""

    fault: WireFaultKind = Field(description="what goes wrong")
    on: tuple[Action, ...] = Field((), description="requests it strikes (default: all)")
    after: int = Field(0, ge=0, description="so many such requests are let through first")
    count: int | None = Field(None, ge=1, description="how often (default: always)")
    chance: float = Field(1.0, gt=0, le=1, description="how likely it strikes each request")
    by: Offset = Field(0, description="how late; rate_limit: when to ask again")
    status: int | None = Field(None, ge=400, le=599, description="HTTP status instead")
    code: int | None = Field(None, lt=0, description="the venue's own error")
    body: Literal["empty", "html", "object", "list"] = Field(
        "empty", description="blank_answers: nothing, a page, `{}` or `[]`"
    )
    share: Decimal = Field(Decimal("0.5"), gt=0, le=1, description="how much of it")
    skew_ms: int = Field(0, description="how far ahead the clock is (negative: behind)")
    drift_ppm: int = Field(0, description="how much it gains, in millionths (negative: loses)")

    @model_validator(mode="after")
    def _check(self) -> WireFault:
        kind = self.fault
        if kind in NEEDS_TIME and not self.by:
            raise ValueError(f"{kind.value} needs `by`")
        if kind in {K.ERROR_BEFORE, K.ERROR_AFTER} and self.code is None:
            raise ValueError(f"{kind.value} needs `code`")
        if kind is K.SKEW_CLOCK and not (self.skew_ms or self.drift_ppm):
            raise ValueError(f"{kind.value} needs `skew_ms` or `drift_ppm`")
        about = ABOUT.get(kind)
        if about is not None and not about.issuperset(self.on):
            raise ValueError(f"{kind.value} is about {', '.join(sorted(about))} only")
        return self

    def strikes(self, action: Action) -> bool:
        """Tell whether it is about requests of this kind."""
        about = ABOUT.get(self.fault)
        if self.on:
            return action in self.on
        return action in about if about is not None else action not in _NOT_REQUESTS


class FaultScript(Table):
    """A faults file."""

    seed: int = Field(0, description="decides what chance decides")
    faults: tuple[WireFault, ...] = Field((), description="in this order: the first that strikes")

    def beyond(self, known: frozenset[WireFaultKind]) -> list[str]:
        """Return the names of the faults that are not ``known``."""
        return sorted({each.fault.value for each in self.faults if each.fault not in known})


Item = TypeVar("Item")


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
        self.known = frozenset(WireFaultKind)
        self.replace(script or FaultScript())

    def limit(self, known: frozenset[WireFaultKind]) -> None:
        """Refuse scripts with other faults than these from now on, the one in force included."""
        self.known = known
        self._refuse_unknown(self._script)

    def _refuse_unknown(self, script: FaultScript) -> None:
        unknown = script.beyond(self.known)
        if unknown:
            raise FaultsRefused(f"faults: this dialect does not know {', '.join(unknown)}")

    def replace(self, script: FaultScript) -> None:
        """Put another script in force, from its beginning; raises ``FaultsRefused``."""
        self._refuse_unknown(script)
        self._script = script
        self._random = Random(script.seed)  # seam: seeded by the script
        self._in_force = [_InForce(fault) for fault in script.faults]

    @property
    def struck(self) -> int:
        """Return how many requests were struck so far."""
        return sum(each.struck for each in self._in_force)

    @property
    def struck_by_kind(self) -> Counter[WireFaultKind]:
        """Return how many requests were struck so far, by what; a clock that is off is one."""
        return Counter(
            {
                each.fault.fault: 1 if each.fault.fault is K.SKEW_CLOCK else each.struck
                for each in self._in_force
            }
        )

    def strike(self, action: Action) -> WireFault | None:
        """Return what goes wrong with one request, at most one thing, and count it."""
        for each in self._in_force:
            fault = each.fault
            if fault.fault is K.SKEW_CLOCK or not fault.strikes(action):
                continue
            each.seen += 1
            if each.seen <= fault.after or each.struck == fault.count:
                continue
            if fault.chance < 1 and self._random.random() >= fault.chance:
                continue
            each.struck += 1
            return fault
        return None

    def ahead_ms(self, run_ms: int) -> int:
        """Return how far ahead the clock is after a run of ``run_ms``; all such faults add up."""
        return sum(
            each.fault.skew_ms + run_ms * each.fault.drift_ppm // 1_000_000
            for each in self._in_force
            if each.fault.fault is K.SKEW_CLOCK
        )

    def disturbed(self, kind: WireFaultKind, items: Sequence[Item]) -> tuple[Item, ...]:
        """Return items of news as a news fault leaves them."""
        if kind is WireFaultKind.LOSE_NEWS:
            return tuple(items[1:])
        if kind is WireFaultKind.DUPLICATE_NEWS:
            return tuple(item for each in items for item in (each, each))
        if kind is WireFaultKind.REORDER_NEWS:
            shuffled = list(items)
            self._random.shuffle(shuffled)
            return tuple(shuffled)
        return tuple(items)
