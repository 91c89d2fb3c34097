"""
One doubt: an order, or a cancel, whose answer is missing.

Theory of operation. A doubt begins when the answer to a submit or a cancel is lost or does not come
in time. Nothing is sent again because of it; the venue is *asked*, at once and then with growing
pauses, for ever. What is found decides:

    SUBMIT  open: it is there        ended: take its end      absent: it never arrived
    CANCEL  open: cancel once more   ended: take its end
    END     open: it is not over     ended: take its end
    FILLS   it is over: settled once the venue has told of all that it was filled with
    STRAY   open: cancel once more   ended: the doubt is over

"Unknown" is no proof while the request may still be under way. A venue refuses a request that is
older than its *receive window*; once that has passed, by a clock that may differ from ours by so
much, and a margin with it, an order that the venue does not know, *asked then*, never arrived. An
order that turns up after that proof is a stray: nobody wants it any more, so it is cancelled, and
what it traded is booked.

A doubt that outlasts its budget is *held*: nothing opens where it may matter until it is settled. A
stray is held from its beginning, because a proof has failed; so is a doubt about the fills of an
order that has ended with fewer than the venue counts, because nothing is reserved for it any more.

This module decides and does nothing: each method returns what is to be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import msgspec

from messages import Scope


@dataclass(frozen=True, slots=True)
class DoubtPlan:
    """How doubts are settled; all spans are int ms."""

    answer_timeout_ms: int = 10_000
    """How long an answer is waited for before there is a doubt."""
    receive_window_ms: int = 5_000
    """After this a venue takes no request any more."""
    clock_skew_ms: int = 1_000
    """How far the venue's clock may be from ours."""
    margin_ms: int = 2_000
    """Added to the two, for what a venue needs until its own copies agree."""
    pause_ms: int = 1_000
    """From the first question to the second."""
    pause_growth: int = 2
    pause_ms_max: int = 30_000
    budget_ms: int = 60_000
    """How long a doubt may last before it is held."""

    def absent_after(self, sent_at: int) -> int:
        """Return from when on "unknown" is proof, of a request that left at ``sent_at``."""
        return sent_at + self.receive_window_ms + self.clock_skew_ms + self.margin_ms


PLAN: Final = DoubtPlan()
"""For venues that answer within seconds."""


class DoubtKind(Enum):
    """What is in doubt."""

    SUBMIT = "submit"  # whether the order is there
    CANCEL = "cancel"  # whether it still is
    END = "end"  # the venue called it over, and did not tell all about it
    FILLS = "fills"  # whether all fills of an order that is over were told
    STRAY = "stray"  # it is there although it was proven absent


AFTER_THE_END: Final = frozenset({DoubtKind.FILLS, DoubtKind.STRAY})
"""Doubts about orders that are over by our books."""


class Finding(Enum):
    """What an answer of the venue amounts to."""

    OPEN = "open"
    ENDED = "ended"  # over, with all of its fills told
    ABSENT = "absent"  # unknown, and that is proof
    UNPROVEN = "unproven"  # unknown, and it may still be under way
    PARTIAL = "partial"  # over, but not everything about it was told


class Step(Enum):
    """What is to be done."""

    ASK = "ask"
    HOLD = "hold"
    LIFT = "lift"
    CANCEL = "cancel"
    TAKE_END = "take_end"
    PROVE_ABSENT = "prove_absent"
    SETTLE = "settle"


class Doubt:
    """One doubt; see the module's theory of operation. Times are int ms UTC."""

    __slots__ = (
        "_pause_ms",
        "_plan",
        "absent_after",
        "asked",
        "client_order_id",
        "found",
        "hold_at",
        "is_held",
        "kind",
        "next_ask_at",
        "order_id",
        "scope",
        "since",
        "symbol",
    )

    def __init__(
        self,
        kind: DoubtKind,
        order_id: str,
        client_order_id: str,
        symbol: str,
        *,
        now: int,
        sent_at: int,
        plan: DoubtPlan,
    ) -> None:
        """Begin at ``now``; the request cannot have left later than ``sent_at``."""
        assert sent_at <= now, "nothing is in doubt before it was sent"
        self.kind = kind
        self.order_id = order_id
        self.client_order_id = client_order_id
        self.symbol = symbol
        self.since = now
        self.absent_after = plan.absent_after(sent_at)
        self.next_ask_at = now
        self.hold_at = now if kind is DoubtKind.STRAY else now + plan.budget_ms
        self.is_held = False
        self.scope: Scope | None = None
        """What is held because of it; ``None`` while nothing is."""
        self.asked = 0
        self.found: Finding | None = None
        self._plan = plan
        self._pause_ms = plan.pause_ms

    def __repr__(self) -> str:
        """Show what is in doubt, and how often the venue was asked."""
        found = "no answer" if self.found is None else self.found.value
        held = " held" if self.is_held else ""
        return f"<Doubt {self.kind.value} {self.order_id} asked={self.asked} {found}{held}>"

    def snapshot(self) -> dict[str, Any]:
        """Return what a restart of the process must know, JSON-ready: it asks at once again."""
        names = ("order_id", "client_order_id", "symbol", "since", "absent_after", "hold_at")
        kept = {name: getattr(self, name) for name in names}
        scope = None if self.scope is None else msgspec.to_builtins(self.scope)
        return {**kept, "kind": self.kind.value, "is_held": self.is_held, "scope": scope}

    @classmethod
    def of(cls, state: Mapping[str, Any], plan: DoubtPlan) -> Doubt:
        """Return the doubt that ``snapshot`` described."""
        since = int(state["since"])
        names = state["order_id"], state["client_order_id"], state["symbol"]
        doubt = cls(DoubtKind(state["kind"]), *names, now=since, sent_at=since, plan=plan)
        doubt.absent_after = int(state["absent_after"])
        doubt.hold_at = int(state["hold_at"])
        doubt.is_held = bool(state["is_held"])
        doubt.scope = msgspec.convert(state["scope"], Scope | None)
        return doubt

    @property
    def next_at(self) -> int:
        """Return when there is something to do next."""
        return self.next_ask_at if self.is_held else min(self.next_ask_at, self.hold_at)

    def due(self, now: int) -> tuple[Step, ...]:
        """Return what is to be done at ``now``: to hold, to ask, both or nothing."""
        steps: tuple[Step, ...] = ()
        if not self.is_held and now >= self.hold_at:
            self.is_held = True
            steps = (Step.HOLD,)
        if now >= self.next_ask_at:
            self.asked += 1
            self.next_ask_at = self._after_pause(now)
            steps += (Step.ASK,)
        return steps

    def _after_pause(self, now: int) -> int:
        plan = self._plan
        at = now + self._pause_ms
        self._pause_ms = min(self._pause_ms * plan.pause_growth, plan.pause_ms_max)
        # The first moment at which "unknown" is an answer is one to ask at.
        return self.absent_after if now < self.absent_after < at else at

    def judged(self, finding: Finding, now: int) -> tuple[Step, ...]:
        """Return what an answer that amounts to ``finding`` has be done."""
        self.found = finding
        match self.kind, finding:
            case DoubtKind.SUBMIT | DoubtKind.END, Finding.OPEN:
                return (Step.SETTLE,)
            case DoubtKind.CANCEL, Finding.OPEN:
                # What is there is known: only a new cancel begins now, with a budget of its own.
                self.hold_at = now + self._plan.budget_ms
                lifted = (Step.LIFT,) if self.is_held else ()
                self.is_held = False
                return (*lifted, Step.CANCEL)
            case DoubtKind.STRAY, Finding.OPEN:
                return (Step.CANCEL,)
            case DoubtKind.FILLS | DoubtKind.STRAY, Finding.ENDED:
                return (Step.SETTLE,)
            case _, Finding.ENDED:
                return (Step.TAKE_END,)
            case DoubtKind.SUBMIT, Finding.ABSENT:
                return (Step.PROVE_ABSENT,)
            case _:
                # Also of an order that was there and now is said never to have been: it is asked
                # for again, and held in time, because one of the two words is wrong.
                return ()
