"""
What the venue is asked before and after a cancel: the order's fills.

News of a fill can be lost or late, and a cancel crosses fills on the wire. So a cancel that is in
no hurry is asked for only after the venue has told what it has of the order, and an order is over
only when its final fills have been told as well; what is left of it is known exactly by then. The
same goes for an end that came by itself and counts fills of which no news has come. A venue that
does not answer delays a cancel by ``ANSWER_PATIENCE_MS`` and no longer, and what it said of the end
then stands; unless something would follow for a rest that nobody knows: then the end is kept, the
order stays live in our books, and the venue is asked on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from messages import VenueReport

ANSWER_PATIENCE_MS: Final = 2_000
"""How long an answer is waited for: venues answer such a question within a second."""

TIMER: Final = "inquiries"


@dataclass(slots=True)
class Inquiry:
    """One question under way: before the cancel, or (``ended`` given) after it."""

    client_order_id: str
    until: int
    ended: VenueReport | None = None


@dataclass(slots=True)
class Inquiries:
    """The questions under way, and whose cancels were asked for, by client order id."""

    open: dict[str, Inquiry] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    """Orders whose cancel has been sent and that have not ended yet."""
    kept: dict[str, VenueReport] = field(default_factory=dict)
    """Ends that the venue has told of, while fills that belong to them are missing."""

    def before_cancel(self, client_order_id: str, now: int) -> bool:
        """Note a question before a cancel; return whether it is a new one."""
        if client_order_id in self.open:
            return False
        self.open[client_order_id] = Inquiry(client_order_id, now + ANSWER_PATIENCE_MS)
        return True

    def is_over(self, client_order_id: str) -> bool:
        """Return whether the venue has ended a live order whose final fills are asked for."""
        if client_order_id in self.kept:
            return True
        inquiry = self.open.get(client_order_id)
        return inquiry is not None and inquiry.ended is not None

    def after_end(self, report: VenueReport, now: int) -> None:
        """Note a question about the final fills of an order that ``report`` ends."""
        name = report.client_order_id
        self.cancelled.discard(name)
        self.open[name] = Inquiry(name, now + ANSWER_PATIENCE_MS, report)

    def answered(self, client_order_id: str, asked_at: int | None) -> Inquiry | None:
        """
        Return the question that an answer is for, which is over now.

        One that left before that question (``asked_at``, where the venue's answer says) was
        another's: it may not have the final fills yet.
        """
        asked = self.open.get(client_order_id)
        if asked is None or (asked_at is not None and asked_at < asked.until - ANSWER_PATIENCE_MS):
            return None
        return self.open.pop(client_order_id)

    def overdue(self, now: int) -> list[Inquiry]:
        """Return the questions that were not answered in time; they are over now."""
        late = [inquiry for inquiry in self.open.values() if inquiry.until <= now]
        for inquiry in late:
            del self.open[inquiry.client_order_id]
        return late

    def forget(self, client_order_id: str) -> None:
        """Forget an order that has ended."""
        self.open.pop(client_order_id, None)
        self.cancelled.discard(client_order_id)
        self.kept.pop(client_order_id, None)

    @property
    def next_at(self) -> int | None:
        """Return when the first answer is overdue."""
        return min((inquiry.until for inquiry in self.open.values()), default=None)
