"""
The Reconciler: venue truth against local truth.

Theory of operation. It compares at the start, every midnight, after a restart of Execution, at the
end, and as often as its plan says. A difference that has lasted (``Watchlist``) holds OPEN
everywhere, by name; when a later comparison finds none, that hold is lifted again. A comparison
that nobody asked for by its occasion (a *look*) is journaled only where it finds something else
than the one before. While news is known to be under way a look waits; but no longer than the plan
says that looks are apart: an order that the venue never says all about must not blind the house.

What its plan permits is done about a difference, and by others: Execution fetches trades that were
missed and adopts, the broker asks and cancels. None of it is taken for done: only the next
comparison says. Whatever one look does is bounded; what is left is the next one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from actors.execution import Books
from actors.runtime import Actor, Clock, Effect, Effects, SetTimer
from actors.runtime.cell import Handler
from actors.runtime.clock import next_midnight
from actors.runtime.limits import RECONCILER_ACTS_MAX
from brokers.contract import VenueSilent
from messages import (
    AdoptAccount,
    Adoption,
    CompareAccount,
    DeadLetter,
    Message,
    OrderStatus,
    Reconciled,
    Side,
    SyncTrades,
    Wake,
)
from state.instruments import Instrument
from state.money import EXACT, ZERO
from state.orders import Order
from state.outside import adoption_of, settled
from state.reconciliation import (
    AccountView,
    Mismatch,
    MismatchKind,
    PositionKey,
    diff,
    nobodys,
)
from state.reconciliation_policy import OWN_EVIDENCE, Policy, ReconciliationPlan, Watchlist

MIDNIGHT: Final = "midnight"
LOOK: Final = "look"

LOOK_AGAIN_MS: Final = 1_000
"""How soon is looked again at what was seen only once, or at a venue with news under way."""

MOVED_FOR_MS: Final = 10_000
"""For how long looks follow each other so soon after an execution that is nobody's here: until it
was taken over, or more than anybody's account lags behind."""

NOT_AT_THE_VENUE = frozenset(
    {OrderStatus.INTENDED, OrderStatus.APPROVED, OrderStatus.JOURNALED, OrderStatus.SENT}
)
UNSETTLED: Final = frozenset({OrderStatus.JOURNALED, OrderStatus.SENT, OrderStatus.IN_DOUBT})
"""Where an order stands of which the venue has not said what became of it."""

TRADED: Final = frozenset(
    {
        MismatchKind.POSITION_DRIFT,
        MismatchKind.EXTERNAL_POSITION,
        MismatchKind.UNBOOKED_PAYMENT,
        MismatchKind.BALANCE_DRIFT,
    }
)
"""Differences that a trade whose news is missing would explain."""

UNPLANNED: Final = ReconciliationPlan(
    policies=dict.fromkeys(OWN_EVIDENCE, Policy.REFUSE), every_ms=0
)
"""For a venue in this process: looked at by occasion, believed at once, nothing done about it."""


@dataclass(frozen=True, slots=True)
class ReconcilerPorts:
    """
    What the Reconciler may have done.

    ``is_whole`` says whether no request and no news is known to be under way; ``ask`` and
    ``cancel`` are the broker's, for one client order id at session time; ``is_own`` says whether a
    client order id was given by a session of ours.
    """

    is_whole: Callable[[], bool] = lambda: True
    ask: Callable[[str, int], object] = lambda _name, _now: None
    cancel: Callable[[str, int], object] = lambda _name, _now: None
    is_own: Callable[[str], bool] = nobodys
    mark: Callable[[str], Decimal | None] = lambda _symbol: None


NO_PORTS: Final = ReconcilerPorts()


class Found:
    """
    What comparisons have found so far: one for a session, whatever becomes of an actor.

    A hold is over a difference, and ends when that is seen to be gone: an incarnation that had to
    see it anew first would take what it cannot compare at the moment for agreement.
    """

    def __init__(self, plan: ReconciliationPlan) -> None:
        """Begin with nothing found, and nothing seen to agree."""
        self.watchlist = Watchlist(plan)
        self.lasting: list[Mismatch] = []
        self.unexplained: dict[str, Mismatch] = {}
        self.carried: list[Mismatch] = []
        self.is_whole = False
        """Whether the last comparison compared everything, to the last unit."""
        self.is_sure = False
        """Whether what it did not compare is known: from the last one that was whole."""

    def take(self, now: int, found: list[Mismatch]) -> None:
        """Take what a comparison at ``now`` has found."""
        self.lasting = self.watchlist.look(now, found)
        self.unexplained.update(
            (each.subject, each) for each in self.lasting if each.kind in TRADED
        )
        if self.is_whole:
            # What was seen only once is carried on by nobody, and may have been held over before.
            self.is_sure = all(each in self.lasting for each in found if each.kind in TRADED)

    @property
    def is_evidence(self) -> bool:
        """Return whether what the last comparison did not find is seen to be gone."""
        return self.is_whole or self.is_sure


class ReconcilerActor(Actor):
    """One incarnation of the Reconciler."""

    def __init__(
        self,
        books: Books,
        instruments: Mapping[str, Instrument],
        venue: Callable[[], AccountView],
        clock: Clock,
        on_result: Callable[[Reconciled, tuple[str, ...]], None],
        plan: ReconciliationPlan = UNPLANNED,
        ports: ReconcilerPorts = NO_PORTS,
        found: Found | None = None,
    ) -> None:
        """
        Compare ``books`` with what ``venue`` returns, and act on it by ``plan`` through ``ports``.

        ``on_result`` is told of each comparison, and which of its differences have lasted; whether
        it is evidence that any other is gone, ``found`` says, which earlier incarnations had too.
        """
        self.books = books
        self.instruments = instruments
        self.venue = venue
        self.clock = clock
        self.on_result = on_result
        self.plan = plan
        self.ports = ports
        self.found = found or Found(plan)
        self._told: tuple[str, ...] = ()
        self._waits_since: int | None = None
        self._moved_at: int | None = None

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Return the handlers."""
        return {Wake: self.on_wake, CompareAccount: self.on_moved}

    def on_start(self) -> Effects:
        """Compare at once and arm the timers."""
        now = self.clock.now
        result = self.compare("start")
        effects = [result, *self._act(), SetTimer(MIDNIGHT, next_midnight(now))]
        return (*effects, *self._next_look(now))

    def on_wake(self, wake: Wake) -> Effects:
        """Compare and arm the next one."""
        if wake.key == MIDNIGHT:
            result = self.compare(MIDNIGHT)
            return (result, *self._act(), SetTimer(MIDNIGHT, next_midnight(wake.at)))
        whole = self.ports.is_whole()
        if whole:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = wake.at
        again = (SetTimer(LOOK, wake.at + LOOK_AGAIN_MS),)
        if self._waits_since is not None and wake.at - self._waits_since < self.plan.every_ms:
            return again
        before, found = self._told, self._mismatches()
        if not whole and any(each.kind is MismatchKind.NO_ANSWER for each in found):
            return again
        result = self.compare(LOOK, found)
        told = () if result.differences == before else (result,)
        # Of what is under way nobody knows what it will explain: then trades are asked for at most.
        acts = self._act() if whole else self._asks()
        return (*told, *acts, *self._next_look(wake.at))

    def on_moved(self, asked: CompareAccount) -> Effects:
        """Look at once, and again soon, for what the account says may be older than that."""
        self._moved_at = asked.at
        return (SetTimer(LOOK, asked.at),)

    def _next_look(self, now: int) -> tuple[SetTimer, ...]:
        every_ms = self.plan.every_ms
        if self._moved_at is not None and now - self._moved_at < MOVED_FOR_MS:
            return (SetTimer(LOOK, now + LOOK_AGAIN_MS),)
        self._moved_at = None
        if not every_ms:
            return ()
        soon = self.plan.patient and self.found.watchlist.any_new
        return (SetTimer(LOOK, now + (min(LOOK_AGAIN_MS, every_ms) if soon else every_ms)),)

    # -- what is found

    def compare(self, occasion: str, found: list[Mismatch] | None = None) -> Reconciled:
        """Return what differs now, ``found`` if that is known, and tell what of it has lasted."""
        found = self._mismatches() if found is None else found
        now = self.clock.now
        self.found.take(now, found)
        self._told = tuple(map(str, found))
        result = Reconciled("reconciler", now, occasion, self._told)
        self.on_result(result, tuple(map(str, self.found.lasting)))
        return result

    def _mismatches(self) -> list[Mismatch]:
        local = local_view(self.books, self.instruments)
        try:
            venue = self.venue()
        except VenueSilent as silent:
            # What nobody can compare is not known to agree.
            self.found.is_whole = False
            return [Mismatch(MismatchKind.NO_ANSWER, "account", "", str(silent))]
        found = diff(local, venue, is_own=self.ports.is_own)
        self.found.is_whole = not local.unsettled
        if local.unsettled:
            # Money is not compared then, and a position not to the last unit: what has lasted until
            # then is not known to be over.
            there = {each.subject for each in found}
            before = self.found.unexplained.values()
            self.found.carried = [each for each in before if each.subject not in there]
        else:
            self.found.carried, self.found.unexplained = [], {}
        return [*found, *self.found.carried]

    # -- what is done about it

    def _act(self) -> list[Effect]:
        """Do what the plan permits about what the last comparison has found."""
        effects = self._asks()
        adoptions: list[Adoption] = []
        # What an order of ours may still explain is not taken for somebody else's.
        explained = self.found.watchlist.has_any({MismatchKind.STALE_ORDER})
        for mismatch in self.found.lasting[:RECONCILER_ACTS_MAX]:
            if mismatch in self.found.carried:
                continue  # it may have been taken over since it was seen
            policy = self.plan.policy_of(mismatch.kind)
            if policy is Policy.CANCEL:
                assert self.ports.is_own(mismatch.subject), "only orders of our own are cancelled"
                effects.extend(self._attempt(self.ports.cancel, mismatch))
            elif policy is Policy.ADOPT and mismatch.kind is MismatchKind.STALE_ORDER:
                effects.extend(self._attempt(self.ports.ask, mismatch))
            elif policy is Policy.ADOPT and not (explained and mismatch.kind in TRADED):
                adoption = self._adoption(mismatch, len(adoptions))
                if isinstance(adoption, Adoption):
                    adoptions.append(adoption)
        if adoptions:
            effects.append(AdoptAccount(tuple(settled(adoptions))))
        return effects

    def _asks(self) -> list[Effect]:
        """Have the trades asked for whose news may be missing."""
        return [SyncTrades(self.clock.now)] if self._may_have_missed_trades() else []

    def _may_have_missed_trades(self) -> bool:
        policy = self.plan.policy_of(MismatchKind.MISSING_FILL)
        return policy is Policy.ADOPT and self.found.watchlist.has_any(TRADED)

    def unheard(self, venue: AccountView) -> tuple[bool, tuple[str, ...]]:
        """
        Return whether trades are to be asked for, and which orders, by what the account shows.

        It is nobody's comparison: nothing is told of it.
        """
        found = diff(local_view(self.books, self.instruments), venue, is_own=self.ports.is_own)
        asks = {kind for kind in OWN_EVIDENCE if self.plan.policy_of(kind) is Policy.ADOPT}
        stale = tuple(each.subject for each in found if each.kind is MismatchKind.STALE_ORDER)
        traded = any(each.kind in TRADED for each in found)
        return (
            traded and MismatchKind.MISSING_FILL in asks,
            stale if MismatchKind.STALE_ORDER in asks else (),
        )

    def _attempt(
        self, act: Callable[[str, int], object], mismatch: Mismatch
    ) -> Iterable[DeadLetter]:
        now = self.clock.now
        try:
            act(mismatch.subject, now)
        except Exception as error:  # noqa: BLE001 - the next look finds it still there
            detail = f"{mismatch}: {error!r}"
            return (DeadLetter("reconciler", now, "request", "question_failed", detail),)
        return ()

    def _adoption(self, mismatch: Mismatch, number: int) -> Adoption | str:
        key = mismatch.key
        return adoption_of(
            mismatch,
            instruments=self.instruments,
            currency=self.books.ledger.currency,
            mark=None if key is None else self.ports.mark(key[0]),
            at=self.clock.now,
            number=f"{self.clock.now}-{self.books.outside.adopted + number}",
        )


def local_view(books: Books, instruments: Mapping[str, Instrument]) -> AccountView:
    """Return our own books as a venue would see them."""
    net: dict[PositionKey, Decimal] = {}
    ledger, outside = books.ledger, books.outside
    net_flow = ledger.cash
    for position in ledger.positions():
        key = (position.symbol, position.position_side)
        net[key] = net.get(key, ZERO) + position.quantity
        if not instruments[position.symbol].is_spot:
            net_flow -= position.cost
    live = books.orders.live()
    return AccountView(
        {key: quantity for key, quantity in net.items() if quantity},
        frozenset(order.request.client_order_id for order in live if _at_the_venue(order)),
        net_flow,
        # By the venue's count: what it had beside ours belongs to it.
        EXACT.add(ledger.fees, outside.fees),
        EXACT.add(ledger.funding, outside.funding),
        unsettled={order.request.client_order_id: _at_most(order) for order in _unsettled(books)},
        watched=frozenset(outside.watched),
        moving=frozenset((order.request.symbol, order.request.position_side) for order in live),
        currency=ledger.currency,
    )


def _unsettled(books: Books) -> list[Order]:
    """Return the orders of which the venue is still to say something, ended ones included."""
    unheard = [order for order in books.orders.live() if order.status in UNSETTLED]
    doubted = (books.orders.by_client_id(name) for name in books.doubts.open)
    return [*unheard, *(order for order in doubted if order is not None)]


def _at_most(order: Order) -> tuple[PositionKey, Decimal]:
    request = order.request
    rest = order.remaining if request.side is Side.BUY else EXACT.minus(order.remaining)
    return (request.symbol, request.position_side), rest


def _at_the_venue(order: Order) -> bool:
    return order.status not in NOT_AT_THE_VENUE
