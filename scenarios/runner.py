"""Run a scenario and say what came of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.runtime.clock import monotonic_s
from scenarios.artifacts import SessionFiles, write_files
from scenarios.cast import cast_of
from scenarios.director import Alter, Director
from scenarios.errors import ScenarioError
from scenarios.expectations import Evidence, Miss, check
from scenarios.invariants import check_invariants
from scenarios.market import Place, market_feed
from scenarios.model import Scenario, format_offset
from scenarios.reading import read_scenario
from scenarios.record import Record
from scenarios.stage import FAULT
from state.money import use_exact_context

AROUND = 5
"""Lines of the timeline that a miss shows on either side."""

FAILURES_SHOWN = 3
"""Different errors of actors that a report of a failed scenario names."""


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """
    What became of a scenario.

    ``misses`` is empty exactly when it ``passed``. ``timeline`` is the whole story, a line an
    event; ``story`` the journal's lines of all sessions, byte by byte what determinism is
    compared by. ``outcomes`` has (outcome, exit code) of each session; ``virtual_ms`` is how
    much session time passed, ``wall_ms`` how much real time. ``failures`` are the errors of actors
    on the way, a line each: expected or not, they come before every other explanation of a miss.
    """

    path: Path | None
    scenario: str
    passed: bool
    misses: tuple[Miss, ...]
    timeline: tuple[str, ...]
    story: bytes
    outcomes: tuple[tuple[str, int], ...]
    virtual_ms: int
    wall_ms: float
    failures: tuple[str, ...] = ()

    def report(self) -> str:
        """Return the misses in words, each with the timeline around it and how to run it again."""
        lines: list[str] = []
        if self.misses and self.failures:
            more = len(self.failures) - FAILURES_SHOWN
            lines += [
                "failed on the way:",
                *(f"  {each}" for each in self.failures[:FAILURES_SHOWN]),
            ]
            lines += [f"  and {more} more", ""] if more > 0 else [""]
        for miss in self.misses:
            lines += [
                miss.place,
                f"  expected: {miss.expected}",
                f"  found:    {miss.found.replace(chr(10), chr(10) + '            ')}",
            ]
            near = timeline_around(self.timeline, miss.around)
            if near:
                lines.append("  around it:")
                lines += [f"  {line}" for line in near]
            lines.append("")
        if self.path is not None:
            lines.append(f"run it alone: tidegate scenario run {self.path}")
        return "\n".join(lines).rstrip()


def timeline_around(timeline: Sequence[str], index: int | None) -> list[str]:
    """Return the lines around ``index``, which is marked; none where there is nothing to see."""
    if index is None:
        return []
    first, last = max(0, index - AROUND), min(len(timeline), index + AROUND)
    return [f"{'>' if at == index else ' '} {timeline[at]}" for at in range(first, last)]


def run_scenario(
    source: Path | str | Scenario,
    *,
    alter: Alter | None = None,
    queued: bool = False,
    folder: Path | None = None,
) -> ScenarioResult:
    """
    Run a scenario, by its file or as a model, and return what came of it.

    ``alter`` is called with each session after its assembly and before its start: the seam for
    ablations. ``queued`` runs under the dispatcher that sends everything through mailboxes; the
    story is the same. Files of a model are looked for in ``folder``. Raises ``ScenarioError`` for
    what cannot be run.
    """
    path = None if isinstance(source, Scenario) else Path(source)
    scenario = source if isinstance(source, Scenario) else read_scenario(Path(source))
    started_s = monotonic_s()
    use_exact_context()
    beside = folder or (Path() if path is None else path.parent)
    with tempfile.TemporaryDirectory(prefix="scenario-") as scratch:
        place = Place(beside, Path(scratch))
        try:
            director = _prepared(scenario, place, queued=queued, alter=alter)
            director.run()
        except ScenarioError as error:
            name = str(path) if path is not None else "scenario"
            raise ScenarioError(*(f"{name}: {line}" for line in error.problems)) from error
        misses = _judged(director, Path(scratch))
    return ScenarioResult(
        path,
        scenario.scenario,
        not misses,
        tuple(misses),
        tuple(director.record.line(event) for event in director.record.events),
        _story(director.record),
        tuple((ending.outcome, ending.exit_code) for ending in director.endings),
        director.stage.clock.now - director.start_ms if director.stages else 0,
        (monotonic_s() - started_s) * 1000,
        tuple(director.record.failures()),
    )


def _prepared(scenario: Scenario, place: Place, *, queued: bool, alter: Alter | None) -> Director:
    market = market_feed(scenario.market, scenario.session, scenario.feed, place)
    cast = cast_of(scenario, place.folder)
    return Director(cast, market, place.scratch, queued=queued, alter=alter)


def _judged(director: Director, scratch: Path) -> list[Miss]:
    stages, record = director.stages, director.record
    written: dict[int, SessionFiles] = {}

    def files(number: int) -> SessionFiles:
        if number not in written:
            folder = scratch / f"session-{number}"
            stage = director.endings[number - 1].stage
            if stage is not None:
                write_files(folder, stage.session, record.journal(number))
            written[number] = SessionFiles(folder, scratch / f"quarantine-{number}.csv")
        return written[number]

    evidence = Evidence(
        record,
        director.looks,
        director.final,
        [(ending.outcome, ending.exit_code) for ending in director.endings],
        files,
    )
    misses = check(director.scenario.expect, evidence)
    misses += [
        Miss(
            f"steps[{place}].command",
            "refused" if command.refused else "carried out",
            f"{'carried out' if command.refused else 'refused'}: {text}",
        )
        for place, command, text in director.surprises
    ]
    misses += [
        Miss(f"steps[{place}].start", "the session has ended by then", "it is running")
        for place in director.too_early
    ]
    misses += [
        Miss(
            step,
            "a session to go on with",
            "it has ended: only a new one can start",
        )
        for step in director.ended
    ]
    misses += [
        Miss("fault", "no exception outside the actors", ending.fault, len(record.events) - 1)
        for ending in director.endings
        if ending.outcome == FAULT
    ]
    misses += check_invariants(record, stages)
    faults = [ending.fault for ending in director.endings if ending.fault]
    return [_with_fault(miss, faults) for miss in misses] if faults else misses


def _with_fault(miss: Miss, faults: Sequence[str]) -> Miss:
    """Say of a session that ended badly what ended it: the likeliest reason of every miss."""
    if miss.place.endswith(("outcome", "exit_code")):
        return Miss(miss.place, miss.expected, f"{miss.found}: {'; '.join(faults)}", miss.around)
    return miss


def _story(record: Record) -> bytes:
    from state.journal.entry import encode_lines

    return encode_lines(record.entries())


def duration(virtual_ms: int) -> str:
    """Return a span of session time for people."""
    return format_offset(virtual_ms).partition(".")[0]
