"""
Hold what was expected against what came.

Every expectation is a function of the record, the looks and the files; one that is not met
becomes a ``Miss``: what was expected, what came instead, and where in the timeline to look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from scenarios.artifacts import SessionFiles
from scenarios.fates import Lack, OrderFates
from scenarios.model.base import format_offset
from scenarios.model.expect import (
    Account,
    Artifact,
    Expectation,
    Holds,
    Never,
    Position,
    Report,
    Seen,
    Sight,
    Within,
)
from scenarios.record import Event, Record
from scenarios.sight import find, same
from scenarios.snapshot import Snapshot

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Miss:
    """
    One expectation that was not met.

    ``place`` is its path in the document (or the invariant's name); ``around`` is the place in
    the timeline to look at, as an index of the record's events.
    """

    place: str
    expected: str
    found: str
    around: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What expectations are held against."""

    record: Record
    looks: dict[int, Snapshot]
    final: Sequence[Snapshot]
    outcomes: Sequence[tuple[str, int]]
    files: Callable[[int], SessionFiles]


def check(expected: Sequence[Expectation], evidence: Evidence) -> list[Miss]:
    """Return every expectation that was not met, in the order of the document."""
    judge = Judge(evidence)
    misses: list[Miss] = []
    for place, expectation in enumerate(expected):
        judge.number = place
        judge.place = f"expect[{place}].{expectation.kind}"
        misses += judge.judge(expectation)
    return misses


class Judge:
    """Judge one expectation after the other."""

    def __init__(self, evidence: Evidence) -> None:
        """Judge by ``evidence``."""
        self.evidence = evidence
        self.record = evidence.record
        self.fates = OrderFates(evidence.record)
        self.number = 0
        self.place = ""

    def judge(self, expectation: Expectation) -> Iterable[Miss]:
        """Yield what is missing."""
        if expectation.seen is not None:
            return self.seen(expectation.seen)
        if expectation.never is not None:
            return self.never(expectation.never)
        if expectation.order is not None:
            return self._of_orders(self.fates.order(expectation.order))
        if expectation.refusal is not None:
            return self._of_orders(self.fates.refusal(expectation.refusal))
        if expectation.position is not None:
            return self.position(expectation.position)
        if expectation.account is not None:
            return self.account(expectation.account)
        if expectation.holds is not None:
            return self.holds(expectation.holds)
        if expectation.within is not None:
            return self.within(expectation.within)
        if expectation.artifact is not None:
            return self.artifact(expectation.artifact)
        if expectation.report is not None:
            return self.report(expectation.report)
        return self.end(expectation)

    def miss(self, expected: str, found: str, around: int | None = None) -> list[Miss]:
        """Return the one miss of this expectation."""
        return [Miss(self.place, expected, found, around)]

    def _of_orders(self, lacks: Sequence[Lack]) -> list[Miss]:
        return [Miss(self.place, expected, found, around) for expected, found, around in lacks]

    # -- messages

    def _found(self, sight: Seen | Never) -> list[Event]:
        start = self.record.start_ms
        found = [
            event
            for event in find(sight, self.record)
            if (sight.from_ is None or event.at >= start + sight.from_)
            and (sight.until is None or event.at <= start + sight.until)
        ]
        if sight.after is None:
            return found
        first = next(iter(find(sight.after, self.record)), None)
        if first is None:
            return []
        begin = self.record.events.index(first)
        return [event for event in found if self.record.events.index(event) > begin]

    def seen(self, seen: Seen) -> list[Miss]:
        """Judge that a message is there, as often as it should be."""
        found = self._found(seen)
        wanted = seen.times if seen.times is not None else seen.at_least
        if len(found) == wanted or (seen.times is None and len(found) > wanted):
            return []
        often = f"{wanted} times" if seen.times is not None else f"at least {wanted} times"
        if seen.after is not None and not any(True for _ in find(seen.after, self.record)):
            return self.miss(
                f"{said(seen)} after {said(seen.after)}", f"no {said(seen.after)} at all"
            )
        near = self._nearest(seen)
        text = "never" if not found else f"{len(found)} times"
        if not found and near is not None:
            text += f"; the nearest is: {self.record.line(self.record.events[near]).strip()}"
        around = self.record.events.index(found[-1]) if found else near
        return self.miss(f"{said(seen)} {often}{self._window(seen)}", text, around)

    def never(self, never: Never) -> list[Miss]:
        """Judge that a message is not there."""
        found = self._found(never)
        if not found:
            return []
        first = self.record.events.index(found[0])
        text = f"{len(found)} times, first: {self.record.line(found[0]).strip()}"
        return self.miss(f"never {said(never)}{self._window(never)}", text, first)

    def _window(self, sight: Seen | Never) -> str:
        parts = []
        if sight.from_ is not None:
            parts.append(f" from {format_offset(sight.from_)}")
        if sight.until is not None:
            parts.append(f" until {format_offset(sight.until)}")
        if sight.after is not None:
            parts.append(f" after {said(sight.after)}")
        return "".join(parts)

    def _nearest(self, sight: Sight) -> int | None:
        """Return the last message like it, else of its class: what came in place of another."""
        alike = list(find(sight, self.record))
        if alike:
            return self.record.events.index(alike[-1])
        for index in range(len(self.record.events) - 1, -1, -1):
            entry = self.record.events[index].entry
            if entry is not None and type(entry.message).__name__ == sight.message:
                return index
        return None

    def within(self, within: Within) -> list[Miss]:
        """Judge the time from one message to another."""
        expected = f"{said(within.event)} within {within.at_most} ms of {said(within.trigger)}"
        trigger = next(iter(find(within.trigger, self.record)), None)
        if trigger is None:
            return self.miss(expected, f"no {said(within.trigger)} at all")
        begin = self.record.events.index(trigger)
        for event in find(within.event, self.record):
            index = self.record.events.index(event)
            if index >= begin and event is not trigger:
                took = event.at - trigger.at
                if took <= within.at_most:
                    return []
                return self.miss(expected, f"it took {took} ms", index)
        return self.miss(expected, f"no {said(within.event)} after it", begin)

    # -- what is held

    def _look(self) -> Snapshot | None:
        return self.evidence.looks.get(self.number)

    def _moment(self, expected: Position | Account | Holds) -> tuple[Snapshot | None, str]:
        if expected.at is None and expected.bar is None:
            final = self.evidence.final
            return (final[-1] if final else None), "at the end"
        look = self._look()
        if look is None:
            return None, "then"
        return look, f"at {format_offset(look.at - self.record.start_ms)}"

    def _at(self, look: Snapshot) -> int | None:
        """Return the last event at or before a look."""
        found = [i for i, event in enumerate(self.record.events) if event.at <= look.at]
        return found[-1] if found else None

    def position(self, expected: Position) -> list[Miss]:
        """Judge what is held of a symbol."""
        look, when = self._moment(expected)
        side = expected.position_side
        what = f"position {expected.symbol}" + (f" {side.value}" if side else "")
        if look is None:
            return self.miss(f"{what} {expected.quantity} {when}", "the session was over by then")
        found = [
            quantity
            for (strategy, symbol, own), quantity in look.positions.items()
            if symbol == expected.symbol
            and expected.strategy in (None, strategy)
            and side in (None, own)
        ]
        held = sum(found, ZERO)
        if held == expected.quantity:
            return []
        return self.miss(f"{what} {expected.quantity} {when}", str(held), self._at(look))

    def account(self, expected: Account) -> list[Miss]:
        """Judge the account's figures."""
        look, when = self._moment(expected)
        misses: list[Miss] = []
        for name in ("cash", "equity", "realized_pnl", "unrealized_pnl", "fees", "funding"):
            wanted = getattr(expected, name)
            if wanted is None:
                continue
            if look is None or look.account is None:
                misses += self.miss(f"{name} {wanted} {when}", "nobody could value the account")
                continue
            found = getattr(look.account, name)
            if found != wanted:
                misses += self.miss(f"{name} {wanted} {when}", str(found), self._at(look))
        return misses

    def holds(self, expected: Holds) -> list[Miss]:
        """Judge which holds are in force."""
        look, when = self._moment(expected)
        if look is None:
            return self.miss(f"holds {when}", "the session was over by then")
        found = ", ".join(look.holds) or "none"
        around = self._at(look)
        if expected.are is not None and sorted(expected.are) != sorted(look.holds):
            wanted = ", ".join(expected.are) or "none"
            return self.miss(f"holds {when}: {wanted}", found, around)
        lacking = [hold_id for hold_id in expected.include if hold_id not in look.holds]
        if lacking:
            return self.miss(f"holds {when} include {', '.join(lacking)}", found, around)
        unwanted = [hold_id for hold_id in expected.exclude if hold_id in look.holds]
        if unwanted:
            return self.miss(f"holds {when} without {', '.join(unwanted)}", found, around)
        return []

    # -- files and the end

    def _session(self, asked: int | None) -> int:
        return asked or len(self.evidence.outcomes)

    def artifact(self, expected: Artifact) -> list[Miss]:
        """Judge the rows of a CSV file."""
        number = self._session(expected.session)
        what = f"{expected.file} of session {number}"
        if number > len(self.evidence.outcomes):
            return self.miss(what, f"there were {len(self.evidence.outcomes)} sessions")
        columns, rows = self.evidence.files(number).rows(expected.file)
        unknown = [name for name in expected.where if name not in columns]
        if unknown:
            return self.miss(
                f"{what} has a column {unknown[0]}", f"its columns are {', '.join(columns)}"
            )
        found = [
            row
            for row in rows
            if all(same(row[name], text) for name, text in expected.where.items())
        ]
        if len(found) == expected.count or (expected.count is None and found):
            return []
        where = ", ".join(f"{name}={text}" for name, text in expected.where.items()) or "any"
        wanted = "at least 1" if expected.count is None else str(expected.count)
        shown = [
            " ".join(f"{name}={row[name]}" for name in expected.where or columns[:6])
            for row in rows[:5]
        ]
        came = f"{len(found)} of {len(rows)}" + (f"; rows: {'; '.join(shown)}" if shown else "")
        return self.miss(f"{wanted} rows of {what} with {where}", came)

    def report(self, expected: Report) -> list[Miss]:
        """Judge what session.md says."""
        number = self._session(expected.session)
        if number > len(self.evidence.outcomes):
            return self.miss("session.md", f"there were {len(self.evidence.outcomes)} sessions")
        text = self.evidence.files(number).session_md()
        misses: list[Miss] = []
        for wanted in expected.contains:
            if wanted not in text:
                misses += self.miss(f"session.md contains {wanted!r}", "it does not")
        for unwanted in expected.lacks:
            if unwanted in text:
                misses += self.miss(f"session.md lacks {unwanted!r}", "it says so")
        return misses

    def end(self, expectation: Expectation) -> list[Miss]:
        """Judge how the last session ended."""
        outcome, exit_code = self.evidence.outcomes[-1] if self.evidence.outcomes else ("none", -1)
        last = len(self.record.events) - 1
        if expectation.outcome is not None and expectation.outcome != outcome:
            return self.miss(f"outcome {expectation.outcome}", outcome, last)
        if expectation.exit_code is not None and expectation.exit_code != exit_code:
            return self.miss(f"exit code {expectation.exit_code}", f"{exit_code} ({outcome})", last)
        return []


def said(sight: Sight) -> str:
    """Return what is looked for in words."""
    parts = [f"{name}={value}" for name, value in sight.where.items()]
    parts += [f"{name}~{text!r}" for name, text in sight.contains.items()]
    if sight.tag is not None:
        parts.append(f"tag={sight.tag}")
    if sight.session is not None:
        parts.append(f"session={sight.session}")
    return f"{sight.message}({', '.join(parts)})" if parts else sight.message


__all__ = ["Evidence", "Judge", "Miss", "check"]
