"""
Turn what happened in a recorded session into a scenario that anybody can run.

The scenario has the session's own strategies, rules and limits, its market from the first bar to a
little after the event, and what came from outside: commands at their time, ends of the process as
power cuts. It expects what the journal has around the event, each message at its time. What names
only this one session (ids, its measured times) is left out, so what is expected is decisions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from feeds.contract import BarFeed
from feeds.timeframe import format_timeframe
from messages import (
    CancelIntent,
    CommandRefused,
    ExecutionReport,
    HoldLifted,
    HoldPlaced,
    KillReport,
    KillStep,
    Message,
    OpenIntent,
    OperatorCommand,
    ReduceIntent,
    RiskDecision,
    SessionStarted,
)
from scenarios.runner import ScenarioResult, run_scenario
from state.journal import Entry, JournalError
from state.journal.reader import read_journal
from state.manifest import Manifest
from state.projections import iso_ms
from tidegate.archive import Recorded
from tidegate.exits import UsageRefused, Wanting
from tidegate.verification import session_again

SAID: Final[Mapping[type[Message], tuple[str, ...]]] = {
    OpenIntent: ("strategy", "symbol", "side", "quantity"),
    ReduceIntent: ("strategy", "symbol", "side", "quantity", "action"),
    CancelIntent: ("strategy", "symbol"),
    RiskDecision: ("strategy", "symbol", "verdict", "quantity"),
    ExecutionReport: ("strategy", "symbol", "event", "status", "filled"),
    HoldPlaced: ("hold",),
    HoldLifted: ("hold", "lifted_by", "reason"),
    OperatorCommand: ("verb", "by", "reason", "flatten", "unlatch"),
    CommandRefused: ("verb", "by", "reason"),
    KillStep: ("stage", "count"),
    KillReport: ("cause", "by", "flatten", "confirmed"),
}
"""What is expected of a message, where one of these is near the event: the rest has no decision."""

ROWS_MAX: Final = 20_000
"""Bars that a scenario file may have: about 1 MB."""

_OF_A_HOLD: Final = ("hold_id", "cause", "mode", "set_by", "latched")
_OF_AN_INSTRUMENT: Final = (
    "price_tick",
    "lot_step",
    "min_quantity",
    "max_quantity",
    "min_notional",
    "maker_fee_bps",
    "taker_fee_bps",
    "initial_margin",
)
_OF_THE_VENUE: Final = (
    "position_mode",
    "fee_bps",
    "slippage_bps",
    "latency_ms",
    "participation",
    "brackets",
)


def write_incident(
    recorded: Recorded, around: str, path: Path, *, before: int, after: int
) -> tuple[Entry, ScenarioResult]:
    """
    Write the scenario of what is around an event to ``path``, run it, and return both.

    ``around`` is an entry's number, or ``TYPE`` or ``TYPE:N`` for the Nth entry of a type. Expected
    is what is at most ``before`` entries earlier and ``after`` entries later. Raises
    ``UsageRefused`` for an event that is not there, and a session that no scenario can have.
    """
    if path.exists():
        raise UsageRefused(f"{path} exists; nothing was written")
    try:
        entries = list(read_journal(recorded.journal))
    except (JournalError, OSError) as error:
        raise Wanting(f"session {recorded.manifest.session_id}: {error}") from None
    event = find_event(entries, around)
    last = entries[min(event.seq + after, len(entries)) - 1]
    document = scenario_of(
        recorded.manifest, session_again(recorded.manifest).feed, entries, event, before, last
    )
    path.write_text(f"{json.dumps(document, indent=1)}\n", encoding="utf-8")
    return event, run_scenario(path)


def find_event(entries: list[Entry], around: str) -> Entry:
    """Return the entry that ``around`` names; raises ``UsageRefused`` where there is none."""
    if around.isdecimal():
        if not 0 < int(around) <= len(entries):
            raise UsageRefused(f"--around {around}: found {len(entries)} entries in the journal")
        return entries[int(around) - 1]
    name, _, number = around.partition(":")
    nth = int(number) if number.isdecimal() else 1
    found = [entry for entry in entries if type(entry.message).__name__ == name]
    if (number and not number.isdecimal()) or not 0 < nth <= len(found):
        raise UsageRefused(
            f"--around {around}: found {len(found)} events {name}, expected an entry's number, "
            "TYPE or TYPE:N"
        )
    return found[nth - 1]


def scenario_of(
    manifest: Manifest,
    feed: BarFeed,
    entries: list[Entry],
    event: Entry,
    before: int,
    last: Entry,
) -> dict[str, Any]:
    """Return the scenario document of what is around ``event``, up to the entry ``last``."""
    config = manifest.config
    start = manifest.started_at
    near = entries[max(event.seq - 1 - before, 0) : last.seq]
    again = next(
        (e.seq for e in entries[1:] if isinstance(e.message, SessionStarted)), last.seq + 1
    )
    kind = type(event.message).__name__
    expected = list(_expected(near, start, again))
    if not expected:
        raise UsageRefused(
            f"--around {event.seq}: nothing near it is a decision; expected more of --before, "
            "--after"
        )
    return {
        "scenario": f"{manifest.session_id}: what was around entry {event.seq} ({kind})",
        "why": f"It happened at {iso_ms(event.ts)}, session time.",
        "session": {
            "mode": "replay" if manifest.mode == "replay" else "paper",
            "cash": config["session"]["cash"],
            "seed": manifest.seed,
            "start": iso_ms(start),
            "timeframe": format_timeframe(feed.timeframe_ms),
            **{name: config["venue"][name] for name in _OF_THE_VENUE},
        },
        "risk": _given(config["risk"]),
        "execution": _given(config["execution"]),
        "instruments": {
            symbol: _given({name: rules[name] for name in _OF_AN_INSTRUMENT})
            for symbol, rules in config["instruments"].items()
        },
        "strategies": [_strategy(section, manifest) for section in config["strategies"]],
        "market": _market(feed, start, last.ts),
        "steps": list(_steps(entries[: last.seq], start)),
        "expect": expected,
    }


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value not in (None, {}, [])}


def _strategy(section: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    names = ("name", "symbols", "params", "lot_method", "budget")
    kept = _given({name: section.get(name) for name in names})
    return {**kept, "use": manifest.places["strategies"][section["name"]]}


def _market(feed: BarFeed, start: int, until: int) -> dict[str, Any]:
    """Return the bars of each symbol to the one after ``until``, by number."""
    rows: dict[str, list[list[float]]] = {}
    count = 0
    for group in feed.groups():
        number = (group[0].timestamp - start) // feed.timeframe_ms + 1
        for bar in group:
            row = [number, bar.open, bar.high, bar.low, bar.close, bar.volume]
            rows.setdefault(bar.symbol, []).append(row)
            count += 1
        if group[0].timestamp >= until:
            break
        if count > ROWS_MAX:
            raise UsageRefused(
                f"the event is more than {ROWS_MAX} bars after the start: too much for a scenario"
            )
    return {symbol: {"rows": found} for symbol, found in rows.items()}


def _steps(entries: Iterable[Entry], start: int) -> Iterator[dict[str, Any]]:
    refused = {
        entry.message.command_id for entry in entries if isinstance(entry.message, CommandRefused)
    }
    starts = 0
    for entry in entries:
        message, at = entry.message, f"{entry.ts - start}ms"
        if isinstance(message, SessionStarted):
            starts += 1
            if starts > 1:
                yield {"at": at, "power_cut": {"restart": True}}
        elif isinstance(message, OperatorCommand):
            plain = msgspec.to_builtins(message)
            names = ("verb", "by", "reason", "scope", "hold_id", "flatten", "unlatch")
            command = {name: plain[name] for name in names if plain.get(name)}
            if message.until is not None:
                command["until"] = f"{message.until - start}ms"
            if message.command_id in refused:
                command["refused"] = True
            when = "commit" if entry.causation.startswith("disk:") else "after"
            yield {"at": at, "when": when, "command": command}


def _expected(near: Iterable[Entry], start: int, again: int) -> Iterator[dict[str, Any]]:
    """
    Yield that each message near is seen at its time, as often as it was.

    From entry ``again`` on, where a next process went on with the session, holds only: in a
    scenario the daemon is started again with a new session, whose strategies begin anew.
    """
    counts: Counter[str] = Counter()
    for entry in near:
        names = SAID.get(type(entry.message))
        if names is None or (entry.seq >= again and not _outlives(entry.message)):
            continue
        plain = msgspec.to_builtins(entry.message)
        where = {name: plain[name] for name in names if plain.get(name) not in (None, "")}
        if "hold" in where:
            hold = where["hold"]
            where["hold"] = {name: hold[name] for name in _OF_A_HOLD if name in hold}
        offset = f"{entry.ts - start}ms"
        seen = {"message": type(entry.message).__name__, "where": where}
        counts[json.dumps({**seen, "from": offset, "until": offset})] += 1
    for text, times in counts.items():
        yield {"seen": {**json.loads(text), "at_least": times}}


def _outlives(message: Message) -> bool:
    if not isinstance(message, HoldPlaced | HoldLifted):
        return False
    return message.hold.latched


def default_path(recorded: Recorded, event: str) -> Path:
    """Return where a scenario goes that nobody gave a place."""
    word = "".join(islice((c if c.isalnum() else "_" for c in event.lower()), 60))
    return Path(f"{recorded.manifest.session_id}_{word}.scenario.json")


__all__ = ["default_path", "find_event", "scenario_of", "write_incident"]
