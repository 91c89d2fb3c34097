"""What a virtual exchange says before a session begins: its account is read, and nothing sent."""

from __future__ import annotations

from functools import partial
from typing import Final

from brokers.findings import Accepts, Finding, failed, held, open_orders, passed
from brokers.virtual import wire
from brokers.virtual.address import MachineClock, VenueAddress
from brokers.virtual.calls import Done, Line, asked_again, words
from state.money import plain

QUESTION: Final = "preflight"
"""The name of the one question; an answer to another is none."""


async def inspected(address: VenueAddress, clock: MachineClock, accepts: Accepts) -> list[Finding]:
    """Return what the exchange holds; one that does not answer, or not to us, is a finding."""
    line = Line(address.url, address.key, address.timeout_s, lambda: QUESTION)
    try:
        outcome = await asked_again(partial(line.get, wire.ACCOUNT), clock.sleep_s)
    finally:
        await line.close()
    account = outcome.answer.account if isinstance(outcome, Done) else None
    if account is None:
        told = words(outcome) or "it does not say what it holds"
        return [failed("venue.key", f"{address.url}: {told}; nothing more was asked")]
    positions = [
        f"{symbol} {side.value} {plain(quantity)}" for symbol, side, quantity in account.positions
    ]
    return [
        passed("venue.key", f"taken by {address.url}"),
        *open_orders(account.open_orders, accepts),
        held(positions, accepts),
    ]
