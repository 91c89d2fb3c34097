"""
The bodies of commands: what a client may say, checked at the border.

Every field is named; one that is not known is an error, so that a mistyped scope never becomes
a command about everything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from actors.commands import Request
from messages import CommandVerb, Scope
from tidegate.control import limits

PAUSE_S_MAX = 31_622_400.0
"""366 days: a longer pause is not one."""

UNTIL_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999, int ms UTC: later times cannot be written down."""

Reason = Annotated[str, msgspec.Meta(max_length=limits.REASON_CHARS_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=PAUSE_S_MAX)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=UNTIL_MAX)]


class BodyRefused(ValueError):
    """A body that is no command; the message says what is wrong with it."""


class ScopeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command covers; without any field: everything."""

    venue: Name | None = None
    strategy: Name | None = None
    symbol: Name | None = None
    side: Name | None = None

    def scope(self) -> Scope:
        """Return the scope."""
        return Scope(self.venue, self.strategy, self.symbol, self.side)


class KillBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kill; it covers everything."""

    reason: Reason = ""
    flatten: bool = False

    def request(self, by: str) -> Request:
        """Return the command."""
        return Request(
            verb=CommandVerb.KILL, by=by, reason=one_line(self.reason), flatten=self.flatten
        )


class StopBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No new orders, until resumed."""

    reason: Reason = ""
    scope: ScopeBody = ScopeBody()

    def request(self, by: str) -> Request:
        """Return the command."""
        return Request(
            verb=CommandVerb.STOP_NEW_ORDERS,
            by=by,
            reason=one_line(self.reason),
            scope=self.scope.scope(),
        )


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    A pause with its end: after ``for_s`` seconds, or ``until`` a moment.

    Both are session time; ``until`` is int ms UTC or ISO-8601 with a zone.
    """

    reason: Reason = ""
    scope: ScopeBody = ScopeBody()
    for_s: Seconds | None = None
    until: Moment | Name | None = None

    def request(self, by: str) -> Request:
        """Return the command; raises ``BodyRefused`` without exactly one end."""
        if (self.for_s is None) == (self.until is None):
            raise BodyRefused("a pause needs one end: for_s or until")
        until = moment(self.until) if isinstance(self.until, str) else self.until
        return Request(
            verb=CommandVerb.PAUSE,
            by=by,
            reason=one_line(self.reason),
            scope=self.scope.scope(),
            for_s=self.for_s,
            until=until,
        )


class ResumeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lift holds: all of the operator's, those of a scope, or one by its id."""

    reason: Reason = ""
    scope: ScopeBody = ScopeBody()
    hold: Annotated[str, msgspec.Meta(max_length=500)] = ""
    unlatch: bool = False

    def request(self, by: str) -> Request:
        """Return the command."""
        return Request(
            verb=CommandVerb.RESUME,
            by=by,
            reason=one_line(self.reason),
            scope=self.scope.scope(),
            hold_id=self.hold,
            unlatch=self.unlatch,
        )


Body = KillBody | StopBody | PauseBody | ResumeBody

BODIES: dict[str, type[Body]] = {
    "kill": KillBody,
    "stop-new-orders": StopBody,
    "pause": PauseBody,
    "resume": ResumeBody,
}
"""The body of each command by the command's name in its address."""


def request_of(command: str, content: bytes, by: str) -> Request:
    """Return the command that a body asks for; raises ``BodyRefused``."""
    try:
        body = msgspec.json.decode(content or b"{}", type=BODIES[command])
    except msgspec.MsgspecError as error:
        words = str(error)
        if not words.startswith("JSON"):
            words = f"{words[:1].lower()}{words[1:]}"
        raise BodyRefused(f"{command}: {words}") from None
    return body.request(by)


def moment(text: str) -> int:
    """Return int ms UTC of an ISO-8601 time with a zone; raises ``BodyRefused``."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BodyRefused(f"until: found {text!r}, expected ISO-8601 with a zone") from None
    if at.tzinfo is None:
        raise BodyRefused(f"until: found {text!r}, expected a zone too: a Z, or +01:00")
    return round(at.timestamp() * 1000)


def one_line(text: str) -> str:
    """Return a reason as one line without control characters: it goes to logs and terminals."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
