"""What a preflight looked at, and how it was found; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from brokers.ccxt.identity import PREFIX

SHOWN_MAX: Final = 5
"""Most orders and positions that are named: the rest is a number."""

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that was looked at.

    ``ok``; ``warn``: a session may start, and someone should know; ``fail``: it would be refused,
    or would not do what the configuration says.
    """

    status: Status
    subject: str
    detail: str


def passed(subject: str, detail: str) -> Finding:
    """Return that it is as it should be."""
    return Finding("ok", subject, detail)


def warned(subject: str, detail: str) -> Finding:
    """Return that somebody should know of it."""
    return Finding("warn", subject, detail)


def failed(subject: str, detail: str) -> Finding:
    """Return that no session could go on with it."""
    return Finding("fail", subject, detail)


@dataclass(frozen=True, slots=True)
class Accepts:
    """What a session begins beside, by the policies of its reconciliation."""

    foreign_orders: bool = False
    stray_orders: bool = False
    positions: bool = False


def open_orders(names: Collection[str], accepts: Accepts) -> Iterator[Finding]:
    """Judge the account's open orders by their names here: ours, and anybody else's."""
    ours = sorted(name for name in names if name.startswith(PREFIX))
    foreign = sorted(name for name in names if not name.startswith(PREFIX))
    if not names:
        yield passed("venue.orders", "none open in our symbols")
    if ours:
        told = warned if accepts.stray_orders else failed
        yield told(
            "venue.orders",
            f"{len(ours)} open with ids of ours ({some(ours)}): `tidegate trade --resume` goes on "
            "with the session that sent them; for a new one see "
            "reconciliation.policies.stray_order",
        )
    if foreign:
        told = warned if accepts.foreign_orders else failed
        yield told(
            "venue.orders",
            f"{len(foreign)} open that no session of ours has sent ({some(foreign)}): cancel them "
            "at the venue, or see reconciliation.policies.foreign_order",
        )


def held(positions: Sequence[str], accepts: Accepts) -> Finding:
    """Judge the account's positions: a venue does not say whose they are."""
    if not positions:
        return passed("venue.positions", "none")
    told = warned if accepts.positions else failed
    return told(
        "venue.positions",
        f"{some(positions)}: `tidegate trade --resume` knows those of its session; for a new one "
        "see reconciliation.policies.external_position",
    )


def some(names: Sequence[str]) -> str:
    """Return the first of many names, and how many there are besides."""
    more = len(names) - SHOWN_MAX
    return ", ".join(names[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
