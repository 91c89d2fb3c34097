"""
What a broker is to the rest of the house.

A broker takes requests by synchronous hand-over and never answers in place: every piece of
news, the acceptance included, comes back later as a ``VenueReport`` through ``deliver``. The
simulated venue and a real one are thereby the same to Execution. An answer that is lost is
reported as SILENCE, never as a rejection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from messages import OrderRequest, ToolReport, VenueOrder, VenueReport

News = VenueReport | VenueOrder
"""What a broker says of orders: what happened to one, and what there is to one that was asked."""


class VenueSilent(Exception):
    """The venue does not answer: nobody knows what it holds."""


class Broker(Protocol):
    """
    The way to one account at one venue.

    ``submit``, ``cancel`` and ``query`` hand over and return at once; they raise only for
    programming errors. News of one order is delivered in the order in which the venue produced it.
    ``brackets`` says whether the venue lets a stop and a take-profit of one position rest side by
    side; where it does not, Execution sees to it that only one is there. ``answers_at_once`` says
    that the venue is in this process: the answer to a submit follows in the very step or is
    reported as lost, and nobody need wait for it.
    """

    name: str
    brackets: bool
    answers_at_once: bool

    def bind(self, deliver: Callable[[News], object]) -> None:
        """Say where reports go; called once, before anything else."""

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order at session time ``now`` (int ms UTC)."""

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order; an order unknown or already final brings no report."""

    def query(self, client_order_id: str, now: int) -> None:
        """
        Ask what there is to an order; the answer is a ``VenueOrder``, or does not come.

        The answer's ``asked_at`` is this ``now``: by it an answer to an earlier question is told
        from one to a later one.
        """


class Probed(Protocol):
    """
    A broker whose venue can be asked for a sign of life.

    News of the venue itself (a call that failed, a rate limit, the answer to a probe) goes where
    ``watch`` said, as a ``ToolReport`` of the tool ``venue:NAME``.
    """

    name: str

    def watch(self, tell: Callable[[ToolReport], object]) -> None:
        """Say where news of the venue goes; unwatched, it goes nowhere."""

    def probe(self, now: int) -> None:
        """Ask the venue something harmless; the answer comes with ``probe`` set, or not at all."""
