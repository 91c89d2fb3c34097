"""Ask a person whether a configuration may trade, and note the answer."""

from __future__ import annotations

import sys

from tidegate.clearance import (
    SHOWN,
    clearance_of,
    findings,
    note_approval,
    subject_of,
)
from tidegate.config import Configuration
from tidegate.exits import UsageRefused, Wanting
from tidegate.output import say_document, say_table
from tidegate.packages import uncovered


def approve(
    configuration: Configuration, *, by: str, reason: str, sure: bool, as_json: bool
) -> None:
    """
    Approve of what ``configuration`` would trade, in the name of ``by``.

    Raises ``Wanting`` where it was not rehearsed or a person says no, and ``UsageRefused`` where
    there is nobody to ask.
    """
    if not by.strip():
        raise UsageRefused("approve --by: found nothing, expected who approves")
    subject = subject_of(configuration)
    clearance = clearance_of(configuration, subject)
    if clearance.rehearsal is None:
        _, _, detail = next(findings(clearance))
        raise Wanting(f"not approved: {detail}")
    for name, detail in uncovered(configuration):
        sys.stderr.write(f"tidegate: warning: imports of {name}: {detail}: no approval covers it\n")
    if not sure:
        if as_json or not sys.stdin.isatty():
            raise UsageRefused("approve: there is nobody to ask; expected --yes or a terminal")
        say_table(("what would trade live", ""), subject.rows())
        sys.stdout.write("approve? [y/N] ")
        sys.stdout.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise Wanting("not approved: the answer was no")
    path = note_approval(configuration, subject, by.strip(), reason)
    if as_json:
        say_document({"subject": subject.sha256, "by": by.strip(), "file": path, "exit_code": 0})
    else:
        sys.stdout.write(f"approved: {subject.sha256[:SHOWN]} by {by.strip()}, in {path}\n")
