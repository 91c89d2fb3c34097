"""How a report writes numbers and words for people: rounded, grouped, never too long."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from messages import Hold, Scope
from state.projections.limits import TEXT_MAX
from state.projections.summary import Summary
from state.projections.timestamps import iso_ms
from state.register import STOPPING

NONE = "-"
"""What stands where there is no value."""

EXIT_CODES = {
    0: "done",
    1: "checked and found wanting",
    2: "usage or configuration",
    3: "halted by a risk guard",
    4: "kill switch",
    5: "start-up refused",
    6: "fault inside",
    130: "interrupted",
}

OUTCOMES = {
    "input_refused": "input refused",
    "risk_halted": "halted by a limit",
}
"""Outcomes in words, where they differ from their names."""


def places_for(summary: Summary) -> int:
    """Return the decimals that amounts of this session are shown with: by the account's size."""
    size = max((abs(account.first_equity) for account in summary.accounts), default=Decimal(0))
    if size >= 1_000:
        return 2
    return 4 if size >= 1 else 8


def amount(value: Decimal | None, places: int, *, signed: bool = False) -> str:
    """Return an amount of money, rounded half to even, grouped by thousands."""
    if value is None:
        return NONE
    text = f"{value:{'+' if signed else ''},.{places}f}"
    return without_sign_of_zero(text)


def price(value: Decimal | None) -> str:
    """Return a price or quantity with its own digits, at most ten decimals."""
    if value is None:
        return NONE
    text = f"{value:,.10f}".rstrip("0").rstrip(".")
    return without_sign_of_zero(text)


def percent(share: Decimal | float | None, *, signed: bool = False) -> str:
    """Return a share as a percentage with two decimals."""
    if share is None:
        return NONE
    return without_sign_of_zero(f"{share:{'+' if signed else ''}.2%}")


def count(number: int | None) -> str:
    """Return a number of things, grouped by thousands."""
    return NONE if number is None else f"{number:,}"


def moment(at: int | None) -> str:
    """Return a time (int ms UTC) to the second, finer where it has a finer part; or a dash."""
    if at is None:
        return NONE
    text = iso_ms(at)
    return f"{text[:10]} {text[11:].replace('.000', '')}"


def short(text: str) -> str:
    """Return ``text`` on one line, cut where it is too long for a table."""
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else f"{line[: TEXT_MAX - 1]}…"


def scope_text(scope: Scope) -> str:
    """Return what a hold covers."""
    parts = [
        f"{name.replace('_', ' ')} {value}"
        for name in scope.__struct_fields__
        if (value := getattr(scope, name)) is not None
    ]
    return ", ".join(parts) or "everything"


def duration(length_ms: int) -> str:
    """Return a span of time in its two largest units, exactly below a minute."""
    if length_ms < _MINUTE_MS:
        return f"{length_ms / 1000:g} s"
    for (unit, unit_ms), (part, part_ms) in pairwise(_UNITS):
        if length_ms >= unit_ms:
            whole, rest = divmod(length_ms, unit_ms)
            parts = rest // part_ms
            return f"{whole:,} {unit} {parts} {part}" if parts else f"{whole:,} {unit}"
    raise AssertionError("a minute is the smallest unit with parts")


_MINUTE_MS = 60_000
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", _MINUTE_MS), ("s", 1_000))


def hold_until(hold: Hold) -> str:
    """Return how long a hold was meant to last: to a moment, a command, evidence, or the end."""
    if hold.until is not None:
        return moment(hold.until)
    if hold.latched:
        return "unlatched"
    if hold.hold_id.startswith(STOPPING):
        return "the end"
    return "resumed" if hold.hold_id.startswith(RESUMED) else "evidence"


RESUMED = ("stop-new-orders", "pause", "risk:")
"""How the ids of holds begin that stay, unlatched, until somebody resumes."""


def outcome_text(summary: Summary) -> str:
    """Return how the session ended, in words."""
    if not summary.outcome and summary.exit_code is None:
        return "not ended: the journal stops here"
    code = summary.exit_code
    outcome = OUTCOMES.get(summary.outcome, summary.outcome)
    if code is None:
        return outcome
    meaning = EXIT_CODES.get(code, "")
    words = f"exit code {code}" + (f", {meaning}" if meaning not in ("", outcome) else "")
    return f"{outcome} ({words})" if outcome else words


def per_second(rate: float) -> str:
    """Return a number a second, of which there may be less than one."""
    return f"{rate:,.0f}" if rate >= 10 or not rate else f"{rate:.2g}"


def without_sign_of_zero(text: str) -> str:
    """Return a formatted number that has no sign where all its digits are zeros."""
    digits = text.strip("+-")
    return digits if text[:1] in "+-" and not digits.strip("0.,%") else text
