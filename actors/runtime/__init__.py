"""The actor runtime: cells, mailboxes, holds, dispatch, supervision, clocks."""

from actors.runtime.cell import Actor, AfterCommit, Cell, CellState, Effect, Effects, SetTimer
from actors.runtime.clock import Clock, Pacer, SimulatedClock
from actors.runtime.dispatch import Dispatcher
from actors.runtime.holds import HoldSet
from actors.runtime.mailbox import Mailbox, MailboxFull, MailboxStats, Origin
from actors.runtime.supervision import (
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    WhenExhausted,
    plan,
)
from actors.runtime.supervisor import Supervisor

__all__ = [
    "Actor",
    "AfterCommit",
    "Backoff",
    "Cell",
    "CellState",
    "ChildSpec",
    "Clock",
    "Dispatcher",
    "Effect",
    "Effects",
    "HoldSet",
    "Intensity",
    "Mailbox",
    "MailboxFull",
    "MailboxStats",
    "Origin",
    "Pacer",
    "Restart",
    "SetTimer",
    "SimulatedClock",
    "Supervisor",
    "WhenExhausted",
    "plan",
]
