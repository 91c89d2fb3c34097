"""
Notices: an operator is told of what he should not have to look for.

Whatever the journal tells of holds, kills, quarantines, halts, open circuits and breached limits
becomes a line; so does, once a day, that the daemon lives. Lines wait in a bounded place and are
sent by a thread of their own, all that wait in one message: trading never waits for a chat
server, and a flood is one message. What cannot be sent is tried again a few times, then counted
and dropped. Addresses hold passwords: no log, error or ``repr`` shows one, only its number and
its kind.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from messages import (
    BreachAction,
    CircuitOpened,
    Escalated,
    HoldLifted,
    HoldPlaced,
    KillReport,
    KillStage,
    KillStep,
    Message,
    Reconciled,
    RiskBreached,
    SessionEnded,
    SessionStarted,
    StrategyQuarantined,
)
from state.projections.timestamps import iso_ms
from state.register import STOPPING
from tidegate.control import limits

SHORTEST_PART = 6
"""A shorter part of an address is a word, not a secret: hiding it would mask half of every line."""


class NoticesRefused(Exception):
    """An address that cannot be used; the message says which and why, and does not show it."""


class Target(Protocol):
    """Somebody who can be told."""

    def notify(self, body: str, title: str = "") -> bool | None:
        """Send one message; return whether it arrived."""


class Notices:
    """
    Tell ``targets`` what happens to the session called ``name``.

    ``tell`` takes every journaled message and is quick; ``start`` and ``stop`` bracket the sending.
    """

    def __init__(self, name: str, targets: Sequence[Target]) -> None:
        """Send to ``targets``, each apart from the others."""
        self.name = name
        self.counts: Counter[str] = Counter()
        self._targets = tuple(targets)
        self._waiting: deque[str] = deque(maxlen=limits.NOTICES_WAITING_MAX)
        self._dropped = 0
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._log = structlog.get_logger("notices")
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    # -- any thread

    def tell(self, message: Message) -> None:
        """Say of a journaled message what an operator would want to know, if anything."""
        words = WORDS.get(message.__class__)
        if words is not None and (line := words(message)):
            self.say(line)

    def say(self, line: str) -> None:
        """Have a line sent; the oldest one that waits makes room for it."""
        if len(self._waiting) == limits.NOTICES_WAITING_MAX:
            self._dropped += 1
            self.counts["dropped"] += 1
        self._waiting.append(line)
        self._woken.set()

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, for a bounded time, and end."""
        self._stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(limits.STOP_S)

    # -- the thread

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            while self._waiting:
                self._send(self._message())
                if not self._stopping.is_set():
                    self._stopping.wait(limits.NOTICES_EVERY_S)
            if self._stopping.is_set():
                return

    def _message(self) -> str:
        lines = [
            self._waiting.popleft() for _ in range(min(len(self._waiting), limits.NOTICE_LINES_MAX))
        ]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(f"{dropped} older lines were dropped")
        return "\n".join(lines)

    def _send(self, body: str) -> None:
        for number, target in enumerate(self._targets):
            if self._reached(target, body):
                self.counts["sent"] += 1
                continue
            self.counts["failed"] += 1
            self._log.warning(
                "notice_not_sent", target=f"notify[{number}]", kind=type(target).__name__
            )

    def _reached(self, target: Target, body: str) -> bool:
        for delay_s in (0.0, *limits.NOTICE_RETRIES_S):
            if delay_s and self._stopping.wait(delay_s):
                return False  # the daemon ends: it was tried
            try:
                if target.notify(body, title=f"Tidegate {self.name}"):
                    return True
            except Exception as error:  # noqa: BLE001 - a library's; its text may hold the address
                self._log.warning("notice_failed", error=type(error).__name__)
        return False


def targets_of(addresses: Sequence[str]) -> list[Target]:
    """
    Return who is behind each address, as the library ``apprise`` understands it.

    Raises ``NoticesRefused`` without the library, or for an address that it does not know.
    """
    try:
        import apprise
    except ImportError:
        raise NoticesRefused(
            "telemetry.notify needs a package that is not installed; install tidegate[notify]"
        ) from None
    # What it writes into logs may hold parts of an address; failures are told by us.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    targets: list[Target] = []
    for number, address in enumerate(addresses):
        target: Any = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if target is None:
            kind = address.partition("://")[0] if "://" in address else ""
            known = kind if kind.isalnum() and len(kind) < 20 else "no kind of address"
            raise NoticesRefused(
                f"telemetry.notify[{number}]: found an address ({known}) that apprise does not "
                "know, expected one of its forms, like mailto://... or discord://..."
            )
        targets.append(target)
    return targets


def secrets_of(addresses: Sequence[str]) -> list[str]:
    """Return every text of addresses that must not be shown: the whole and its parts."""
    found: list[str] = []
    for address in addresses:
        parts = urlsplit(address)
        values = [value for _, value in parse_qsl(parts.query)]
        pieces = [*parts.netloc.replace("@", ":").split(":"), *parts.path.split("/"), *values]
        found.append(address)
        found += [each for piece in pieces for each in (piece, unquote(piece))]
    return [text for text in dict.fromkeys(found) if len(text) >= SHORTEST_PART]


# ------------------------------------------------------------------------------- what is told


def _placed(message: HoldPlaced) -> str:
    hold = message.hold
    if hold.hold_id.startswith(STOPPING):
        return ""
    end = "" if hold.until is None else f" until {iso_ms(hold.until)}"
    place = f"{hold.hold_id}, {hold.mode.value}, {hold.scope}"
    return f"HELD ({place}) by {hold.set_by}{end}: {hold.cause}"


def _lifted(message: HoldLifted) -> str:
    hold = message.hold
    if hold.hold_id.startswith(STOPPING):
        return ""
    return f"lifted {hold.hold_id} by {message.lifted_by}: {message.reason}"


def _step(step: KillStep) -> str:
    return f"KILL {step.kill_id}: {step.detail}" if step.stage is KillStage.LATCHED else ""


def _report(report: KillReport) -> str:
    word = "confirmed by the venue" if report.confirmed else "NOT CONFIRMED by the venue"
    orders, positions = len(report.open_orders), len(report.positions)
    left = f"{orders} open orders and {positions} positions left"
    return "; ".join(filter(None, (f"KILL {report.kill_id}: {word}", left, report.detail)))


def _ended(message: SessionEnded) -> str:
    return f"session {message.session_id} ended: {message.outcome}, exit code {message.exit_code}"


def _breached(message: RiskBreached) -> str:
    if message.action is BreachAction.REFUSE:
        return ""
    return f"LIMIT {message.guard} breached ({message.action.value}): {message.cause}"


def _reconciled(message: Reconciled) -> str:
    return f"BOOKS DIFFER: {'; '.join(message.differences)}" if message.differences else ""


WORDS: dict[type[Message], Callable[[Any], str]] = {
    CircuitOpened: lambda m: f"CIRCUIT of {m.tool} opened after {m.failures} failures: {m.reason}",
    Escalated: lambda m: f"ESCALATED to {m.rung}: {m.reason}",
    HoldLifted: _lifted,
    HoldPlaced: _placed,
    KillReport: _report,
    KillStep: _step,
    Reconciled: _reconciled,
    RiskBreached: _breached,
    SessionEnded: _ended,
    SessionStarted: lambda m: f"session {m.session_id} started ({m.mode})",
    StrategyQuarantined: lambda m: f"QUARANTINED {m.strategy}: {m.reason}",
}
"""What is told of each class of message; an empty line is none."""
