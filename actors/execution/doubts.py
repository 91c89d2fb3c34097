"""
The doubts of a session: what waits for an answer, what is in doubt, what was proven absent.

They outlive an incarnation of Execution. One timer serves them all: the earliest moment at which an
answer is overdue or a doubt has something to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from actors.execution.doubt import Doubt, DoubtKind, DoubtPlan
from messages import EVERYTHING, Scope
from state.orders import RecentIds

TIMER: Final = "doubts"

ABSENT_IDS_MAX: Final = 1_024
"""Orders that were proven absent and are surely remembered: each took seconds of a doubt."""


@dataclass(slots=True)
class Doubts:
    """What is in doubt, by client order id; times are int ms UTC."""

    open: dict[str, Doubt] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    """Orders whose first answer is waited for, and since when, oldest first."""
    cancels: dict[str, int] = field(default_factory=dict)
    """The same of cancels."""
    inherited: list[str] = field(default_factory=list)
    """Ids of orders that a process was about to send, or had sent, when it ended: in doubt."""
    absent: RecentIds = field(default_factory=lambda: RecentIds(ABSENT_IDS_MAX))
    armed_at: int | None = None
    """When the timer fires, if it is armed."""

    def forget_answered(
        self, is_unanswered: Callable[[str], bool], is_cancelling: Callable[[str], bool]
    ) -> None:
        """
        Forget the submits and the cancels whose answers have come.

        Done when the timer fires and not with every answer: an order without a doubt costs one
        entry here and no timer of its own.
        """
        self.sent = {name: at for name, at in self.sent.items() if is_unanswered(name)}
        self.cancels = {name: at for name, at in self.cancels.items() if is_cancelling(name)}

    def overdue(self, now: int, timeout_ms: int) -> tuple[list[str], list[str]]:
        """Take out, and return, whose answer has not come in time: to submits and to cancels."""
        return _take(self.sent, now - timeout_ms), _take(self.cancels, now - timeout_ms)

    def due(self, now: int) -> list[Doubt]:
        """Return the doubts that have something to do, in order of their beginning."""
        return [doubt for doubt in self.open.values() if doubt.next_at <= now]

    def next_at(self, timeout_ms: int) -> int | None:
        """Return when there is something to do next."""
        found = [doubt.next_at for doubt in self.open.values()]
        waiting = (next(iter(kept.values()), None) for kept in (self.sent, self.cancels))
        found.extend(since + timeout_ms for since in waiting if since is not None)
        return min(found, default=None)

    @property
    def held(self) -> list[Doubt]:
        """Return the doubts that have outlasted their budget."""
        return [doubt for doubt in self.open.values() if doubt.is_held]

    def scope_of(self, doubt: Doubt) -> Scope:
        """Return what a held doubt holds: its symbol, or, with others in other symbols, all."""
        alone = all(other.symbol == doubt.symbol for other in self.held)
        return Scope(symbol=doubt.symbol) if alone else EVERYTHING

    # -- across restarts of the process

    def snapshot(self) -> dict[str, Any]:
        """Return what is in doubt and what was proven absent, JSON-ready."""
        return {
            "open": [doubt.snapshot() for doubt in self.open.values()],
            "absent": self.absent.names(),
        }

    def restore(self, state: Mapping[str, Any], plan: DoubtPlan) -> None:
        """Take back what ``snapshot`` gave; what waited for an answer is found by the orders."""
        doubts = [Doubt.of(kept, plan) for kept in state["open"]]
        self.open = {doubt.client_order_id: doubt for doubt in doubts}
        for name in state["absent"]:
            self.absent.add(name)


def words(doubt: Doubt, now: int) -> str:
    """Return why a doubt is held, for an operator to read."""
    what = {
        DoubtKind.SUBMIT: "nobody knows whether the venue has it",
        DoubtKind.CANCEL: "nobody knows whether its cancel has taken effect",
        DoubtKind.END: "nobody knows how it ended",
        DoubtKind.FILLS: "nobody knows whether all of its fills were told",
        DoubtKind.STRAY: "it arrived after it was proven absent",
    }[doubt.kind]
    found = "no answer" if doubt.found is None else doubt.found.value
    return (
        f"order_id={doubt.order_id} client_order_id={doubt.client_order_id} "
        f"symbol={doubt.symbol} doubt_ms={now - doubt.since} asked={doubt.asked} "
        f"last={found}: {what}"
    )


def _take(waiting: dict[str, int], until: int) -> list[str]:
    late = []
    for name, since in waiting.items():
        if since > until:
            break
        late.append(name)
    for name in late:
        del waiting[name]
    return late
