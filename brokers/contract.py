"""
What a broker is to the rest of the house.

A broker takes requests by synchronous hand-over and never answers in place: every piece of
news, the acceptance included, comes back later as a ``VenueReport`` through ``deliver``. The
simulated venue and a real one are thereby the same to Execution. An answer that is lost is
reported as SILENCE, never as a rejection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from messages import (
    Bar,
    Cause,
    Fill,
    FundingRate,
    MinimumOrder,
    OrderRequest,
    Quote,
    Tick,
    ToolReport,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueTrades,
)
from state.precedence import Precedence
from state.reconciliation import AccountView

News = VenueReport | VenueOrder | VenueTrades | VenuePayment
"""
What a broker says: what happened to an order, what there is to one, which have traded, and what
funding was paid.
"""

Word = ToolReport | MinimumOrder
"""What a broker says of the venue itself: how a call went, and that its least order is another."""


class VenueSilent(Exception):
    """The venue does not answer: nobody knows what it holds."""


class VenueUnreachable(Exception):
    """The venue does not answer at the start of a session; the message says how."""


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


class SessionBroker(Broker, Probed, Protocol):
    """
    What a session needs of its broker: a venue that is shown the market, and that has an account.

    A broker whose venue has a market of its own may do nothing with what it is shown. ``working``
    is always the same object: a bar of a symbol that is not in it need not be shown.
    """

    name: str
    brackets: bool

    @property
    def working(self) -> Mapping[str, object]:
        """Return what maps each symbol that must be shown to something."""

    def on_bar(self, bar: Bar) -> None:
        """Show a closed bar."""

    def on_quote(self, quote: Quote) -> None:
        """Show a quote."""

    def on_tick(self, tick: Tick) -> None:
        """Show a public trade."""

    def on_time(self, now: int) -> None:
        """End what ends by itself; called before the data of the same instant."""

    def on_funding(self, rate: FundingRate, mark: float | Decimal) -> object:
        """Settle funding at ``mark``."""

    def set_minimum(self, minimum: MinimumOrder) -> None:
        """Let the venue ask for another least order from now on."""

    def snapshot(self, *, ends: bool = True) -> dict[str, Any]:
        """
        Return what of the venue, or of the way to it, must survive a restart; JSON-ready.

        Without ``ends``, how orders ended is left out: for whoever has that in a journal.
        """

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave, before anything else."""

    def account(self) -> AccountView:
        """Return what the venue says it holds; raises ``VenueSilent`` when it does not answer."""


@runtime_checkable
class TradeLister(Protocol):
    """
    A broker whose venue can list what has traded.

    ``trades_overlap`` is how far behind a watermark to begin, in its own units: venues list trades
    late, and in no strict order.
    """

    trades_overlap: int

    def list_trades(self, since: int, now: int) -> None:
        """
        Ask for the trades after watermark ``since``, a page at most; 0 is the session's start.

        The answer is a ``VenueTrades``, or does not come.
        """


@runtime_checkable
class Acquaintance(Protocol):
    """A broker whose venue wants to be told more of an order than our id when asked about it."""

    def acquaint(self, requests: Iterable[OrderRequest]) -> None:
        """Know the orders that an earlier process may have sent; comes after ``restore``."""


@runtime_checkable
class LooksAgain(Protocol):
    """A broker that has orders wait before they leave, and asks once more when one is to."""

    look: Callable[[OrderRequest], Cause | None]
    """
    Called in the very step in which an order's request leaves; what it returns is why it must not.

    The order is then reported as REJECTED for that cause: nothing of it has left.
    """


@runtime_checkable
class KnowsTheMarket(Protocol):
    """A broker that wants to know where the market is, for limits that are too far from it."""

    mark: Callable[[str], Decimal | None]
    """Return the newest price of a symbol that the session has seen, ``None`` before any."""


@runtime_checkable
class ChangesLeast(Protocol):
    """A broker whose venue may ask for another least order in the middle of a session."""

    tell_least: Callable[[MinimumOrder], object]
    """Called whenever it does; set together with where reports go."""


@runtime_checkable
class SetsUp(Protocol):
    """A broker that sets its account up, and cannot always read back what it has set."""

    unverified: Mapping[str, str]
    """After ``connect``: the settings that nobody knows to be in force, each with what is known."""


@runtime_checkable
class KeepsAlive(Protocol):
    """
    A broker whose venue acts by itself once it has not heard from us for a while.

    From ``connect`` on it may, and until ``close``: so long ``keep_alive`` goes on, beside ``run``
    and whatever else is awaited. It is still there while ``close`` says that this is the end, or a
    sign of life that is under way could come after it.
    """

    async def keep_alive(self) -> None:
        """Let the venue hear from us, and do nothing else, until cancelled or closed."""


@runtime_checkable
class StepsAside(Protocol):
    """
    A broker whose readings take time of the session's thread, and that has them step aside.

    It holds the precedence itself while a request that changes something is about to leave.
    """

    precedence: Precedence
    """Set before ``connect``; nobody else's until then."""


@dataclass(frozen=True, slots=True)
class Survey:
    """
    What the venue holds at one moment, before the session's first step.

    ``fills`` are the trades that it made before that moment and has not told this session of yet,
    ``payments`` the funding that it has settled since the session began.
    """

    account: AccountView
    fills: tuple[Fill, ...] = ()
    payments: tuple[VenuePayment, ...] = ()


class Surveyed(Protocol):
    """A venue that outlives our processes: before a session begins it is asked what it holds."""

    async def survey(self) -> Survey:
        """Return what the venue holds; raises ``VenueUnreachable`` where it does not answer."""

    async def withdraw(self, client_order_id: str) -> None:
        """Cancel one order at once; a survey shows whether."""


@runtime_checkable
class Remote(Surveyed, Protocol):
    """
    A broker whose venue is not in this process: what it says comes when it comes.

    News, that of the venue itself included, is delivered in the session's event loop and never
    within a call. ``working`` is constant: everything is shown, or nothing. ``connect`` comes
    before the session starts, ``run`` goes on beside it until it is cancelled, ``close`` ends it.
    It is surveyed between ``connect`` and ``run``. One that was cancelled may be run again, at the
    end of a session whose venue has said something meanwhile.
    """

    wake: Callable[[], object]
    """Called after every delivery, and when a request is over: for a driver that waits."""

    async def connect(self) -> None:
        """Find the venue; raises ``VenueUnreachable``, with nothing left open."""

    async def run(self) -> None:
        """Make the calls and hear the news, until cancelled."""

    @property
    def is_quiet(self) -> bool:
        """Return whether every request is over and no news is known to be missing."""

    async def refresh(self) -> None:
        """Ask once more what the venue holds."""

    async def close(self) -> None:
        """Close the connections."""


class RemoteBroker(SessionBroker, Remote, Protocol):
    """A session's broker whose venue is not in this process."""

    name: str
    brackets: bool
