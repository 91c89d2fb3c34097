"""
The account is explained before a session begins: orders, positions and money that the books have.

Theory of operation. Nothing of the session has happened yet, nobody is waiting, and no news is
taken: so what the venue holds is asked for, once, and compared with the books that the session
would begin with: empty ones and its cash, or those of its journal, the trades that were on their
way when it was left, and those that the venue has not told of yet. What differs is somebody
else's, or an earlier session's, or a mistake. By policy the session does not start, takes it over,
or cancels what is its own; and looks again.

What the news or an answer will settle by itself is left to them: trades of our orders, orders that
are over, and whatever an order in doubt may have done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from actors.agreement import own_by
from actors.assembly import Assembly
from actors.execution.outside import assume_price
from actors.reconciler import local_view
from brokers.contract import Remote, SetsUp, Survey, Surveyed
from messages import AccountAdopted, Adoption
from state.lease import LIVE
from state.money import ZERO
from state.outside import adopt, adoption_of, settled
from state.reconciliation import (
    Mismatch,
    MismatchKind,
    diff,
    unbooked_of,
    with_payments,
)
from state.reconciliation_policy import Policy

if TYPE_CHECKING:
    from actors.turns import Session

SETTLE_THEMSELVES: Final = frozenset({MismatchKind.MISSING_FILL, MismatchKind.STALE_ORDER})
"""What news, or an answer about the order, is going to explain."""

CANCEL_ROUNDS_MAX: Final = 3
"""How often own stray orders are cancelled before the start is given up."""


@dataclass(frozen=True, slots=True)
class Unexplained:
    """One thing of the venue's account that the books cannot explain, and why that is the end."""

    mismatch: Mismatch
    policy: Policy
    why: str = ""


class AccountUnexplained(Exception):
    """The venue holds what the books cannot explain, and no policy permits to go on."""

    def __init__(self, found: Iterable[Unexplained]) -> None:
        """Name everything that was found, at least one thing."""
        self.found = tuple(found)
        super().__init__("; ".join(str(one.mismatch) for one in self.found))


async def set_up(remote: Remote) -> None:
    """Find a venue elsewhere, and say which of the account's settings nobody could read back."""
    await remote.connect()
    if isinstance(remote, SetsUp):
        log = structlog.get_logger("session")
        for setting, detail in remote.unverified.items():
            log.warning("venue_setting_unverified", setting=setting, detail=detail)


async def explain(session: Session, venue: Surveyed) -> tuple[Adoption, ...]:
    """
    Return what is to be adopted for the books to be the venue's; raise ``AccountUnexplained``.

    Raises ``VenueUnreachable`` where the venue does not answer. Nothing is in the books yet when
    this returns; own stray orders have been cancelled if the policy says so.
    """
    for _ in range(CANCEL_ROUNDS_MAX):
        survey = await venue.survey()
        found = differences(session, survey)
        strays = [
            mismatch.subject for mismatch in found if _policy(session, mismatch) is Policy.CANCEL
        ]
        if not strays:
            break
        for name in strays:
            await venue.withdraw(name)
    adoptions: list[Adoption] = []
    unexplained: list[Unexplained] = []
    for mismatch in found:
        policy = _policy(session, mismatch)
        if policy is not Policy.ADOPT:
            why = "still there after it was cancelled" if policy is Policy.CANCEL else ""
            unexplained.append(Unexplained(mismatch, policy, why))
            continue
        adoption = _adoption(session, mismatch, len(adoptions))
        if isinstance(adoption, str):
            unexplained.append(Unexplained(mismatch, policy, adoption))
        else:
            adoptions.append(adoption)
    if unexplained:
        raise AccountUnexplained(unexplained)
    adoptions = settled(adoptions)
    if not session.goes_on:
        adoptions.extend(_totals(survey))
    return tuple(adoptions)


def _policy(session: Session, mismatch: Mismatch) -> Policy:
    """
    Return what is done about a difference before the session's first step.

    What a live account has of money is no difference then: nobody writes it into a configuration to
    the last digit, so the books begin with it. Who has said otherwise is heeded; and once they have
    begun, money that nothing explains is a difference as everywhere.
    """
    plan, kind = session.spec.reconciliation, mismatch.kind
    is_opening_balance = (
        kind is MismatchKind.BALANCE_DRIFT and session.spec.mode == LIVE and not session.goes_on
    )
    if is_opening_balance and kind not in plan.policies:
        return Policy.ADOPT
    return plan.policy_of(kind)


def differences(session: Session, survey: Survey) -> list[Mismatch]:
    """Return what the session's books cannot explain of what the venue holds."""
    assembly = session.assembly
    books = assembly.books
    local = local_view(books, session.spec.instruments)
    if not session.goes_on:
        # What the account paid before is nobody's debt: see ``_totals``.
        local = msgspec.structs.replace(local, fees=None, funding=None)
    parts = assembly.core.parts
    is_own = own_by(parts.own_tags | {parts.tag})
    missing = unbooked_of(
        # What the last process had heard, and not booked, is in no later answer of the venue.
        (*session.fills_on_their_way, *survey.fills),
        books.orders.booked,
        lambda name: books.orders.by_client_id(name) is not None,
    )
    # The news of these is there already, and is taken first thing.
    paid = books.orders.payments
    unpaid = [each for each in survey.payments if not paid.has(each.payment_id, each.timestamp)]
    local = with_payments(local, unpaid)
    found = diff(local, survey.account, unbooked=missing, is_own=is_own)
    return [mismatch for mismatch in found if mismatch.kind not in SETTLE_THEMSELVES]


def _adoption(session: Session, mismatch: Mismatch, number: int) -> Adoption | str:
    assembly = session.assembly
    key = mismatch.key
    return adoption_of(
        mismatch,
        instruments=session.spec.instruments,
        currency=session.spec.currency,
        mark=None if key is None else assembly.board.mark(key[0]),
        at=assembly.clock.now,
        number=f"{assembly.clock.now}-{assembly.books.outside.adopted + number}",
    )


def _totals(survey: Survey) -> Iterable[Adoption]:
    """Note what the account had paid before the session began, if it had paid anything."""
    fees, funding = survey.account.fees or ZERO, survey.account.funding or ZERO
    if fees or funding:
        yield Adoption("paid before the session began", fees=fees, funding=funding)


def adopt_at_start(assembly: Assembly, adoptions: Iterable[Adoption]) -> None:
    """Enter what the session begins with beside its own; no actor has started yet."""
    books = assembly.books
    for adoption in adoptions:
        booking = adopt(adoption, books.ledger, books.orders, books.outside)
        assume_price(assembly.board, adoption)
        adopted = AccountAdopted(
            "session", assembly.clock.now, adoption, books.ledger.cash, booking, "start"
        )
        assembly.dispatcher.publish("session", adopted)
