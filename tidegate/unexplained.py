"""What is told of an account that the books cannot explain, and whose orders are ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.opening import AccountUnexplained, Unexplained
from actors.turns import tag_of
from state.reconciliation import MismatchKind
from tidegate.exits import StartRefused

COLUMNS = ("class", "subject", "expected", "found", "policy")


def refusal(unexplained: AccountUnexplained, instead: str = "") -> StartRefused:
    """
    Return the refusal of a start: one line, a table, and what JSON has instead of it.

    ``instead`` is what could be started instead.
    """
    found = unexplained.found
    things = "1 thing" if len(found) == 1 else f"{len(found)} things"
    refused = StartRefused(
        f"start-up refused: the venue holds {things} that the books cannot explain; "
        f"[reconciliation] policy decides what is done about it (refuse, adopt, cancel){instead}"
    )
    refused.table = (COLUMNS, [_row(one) for one in found])
    refused.details = {"differences": [_plain(one) for one in found]}
    return refused


def tags_in(sessions: Path) -> frozenset[str]:
    """Return the tags of all sessions recorded in a folder: what their orders are known by."""
    if not sessions.is_dir():
        return frozenset()
    return frozenset(tag_of(folder.name) for folder in sessions.iterdir() if folder.is_dir())


def _row(one: Unexplained) -> tuple[str, ...]:
    mismatch = one.mismatch
    policy = f"{one.policy.value}: {one.why}" if one.why else one.policy.value
    return mismatch.kind.value, mismatch.subject, mismatch.local, mismatch.venue, policy


def _plain(one: Unexplained) -> dict[str, Any]:
    mismatch = one.mismatch
    return {
        "class": mismatch.kind.value,
        "meaning": MismatchKind(mismatch.kind).meaning,
        "subject": mismatch.subject,
        "expected": mismatch.local,
        "found": mismatch.venue,
        "policy": one.policy.value,
        "why": one.why,
    }
