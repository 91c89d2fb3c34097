"""
Turn what happened in a recorded session into a scenario that anybody can run.

The scenario has the session's own strategies, rules and limits, its market from the first bar to a
little after the event, and what came from outside: commands at their time, ends of the process as
power cuts. It expects what the journal has around the event, each message at its time. What names
only this one session (ids, its measured times) is left out, so what is expected is decisions.

A venue elsewhere becomes one in the scenario's process, with the recorded one's faults; what it
said in its own time is expected within bars of it. A live feed's market is the journal's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from feeds.contract import BarFeed
from feeds.recorded import RecordedFeed
from feeds.timeframe import format_timeframe
from messages import (
    IN_DOUBT_HOLDS,
    CancelIntent,
    CommandRefused,
    ExecutionReport,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    KillReport,
    KillStep,
    Message,
    OpenIntent,
    OperatorCommand,
    OrderEvent,
    ReduceIntent,
    RiskDecision,
    SessionStarted,
)
from scenarios.model.base import parse_offset
from scenarios.runner import ScenarioResult, run_scenario
from state.journal import Entry, JournalError
from state.journal.reader import read_journal
from state.manifest import Manifest
from state.projections import iso_ms
from state.register import STOPPING
from tidegate.archive import Recorded
from tidegate.exits import UsageRefused, Wanting
from tidegate.recorded_market import MarketOnRecord, between_bars
from tidegate.venue_faults import (
    SLACK_BARS,
    faults_of,
    is_elsewhere,
    is_idle,
    is_of_the_line,
    settlements,
)
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

TAG: Final = "s1"
"""How the ids of a scenario's first session begin."""

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
    slack_ms = None
    if isinstance(feed, RecordedFeed):
        # Its bars came a little after their close, which is when a scenario's come.
        slack_ms = feed.timeframe_ms
        start -= start % feed.timeframe_ms
        feed = MarketOnRecord(entries, feed.timeframe_ms)
    near = entries[max(event.seq - 1 - before, 0) : last.seq]
    elsewhere = is_elsewhere(entries)
    if elsewhere:
        # What became of an order in doubt belongs to it, whenever that was known.
        near += [entry for entry in settlements(near, entries) if entry.seq > last.seq]
        last = near[-1]
    kind = type(event.message).__name__
    steps = steps_of(entries[: last.seq], start)
    if len(steps) > ROWS_MAX:
        raise UsageRefused(
            f"found {len(steps)} quotes, trades and commands before the event, expected at most "
            f"{ROWS_MAX}: too much for a scenario"
        )
    if elsewhere:
        slack_ms = SLACK_BARS * feed.timeframe_ms
        # As far as the journal goes: what an order came to may be known only later.
        faults = [step for step in faults_of(entries, start) if _at(step) <= last.ts - start]
        steps = sorted((*steps, *faults), key=_at)
    expected = list(_expected(near, start, slack_ms))
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
        "steps": steps,
        "expect": expected,
    }


def _at(step: Mapping[str, Any]) -> int:
    return parse_offset(step["at"])


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


def steps_of(entries: Sequence[Entry], start: int) -> list[dict[str, Any]]:
    """Return what came from outside, in the order in which it came, with times from ``start``."""
    found = (*_steps(entries, start), *between_bars(entries, start))
    return [step for _, step in sorted(found, key=lambda each: (_at(each[1]), each[0]))]


def _steps(entries: Iterable[Entry], start: int) -> Iterator[tuple[int, dict[str, Any]]]:
    refused = {
        entry.message.command_id for entry in entries if isinstance(entry.message, CommandRefused)
    }
    starts, unsent = 0, set[str]()
    stopped: Entry | None = None
    for entry in entries:
        message, at = entry.message, f"{entry.ts - start}ms"
        if isinstance(message, ExecutionReport):
            if message.event is OrderEvent.JOURNALED:
                unsent.add(message.order_id)
            else:
                unsent.discard(message.order_id)
        if isinstance(message, SessionStarted):
            starts += 1
            if starts > 1 and stopped is None:
                yield entry.seq, _power_cut(entry.ts - start, is_order_waiting=bool(unsent))
            elif stopped is not None:
                down = {"down": f"{entry.ts - stopped.ts}ms"} if entry.ts > stopped.ts else {}
                stop = {"at": f"{stopped.ts - start}ms", "stop": {"restart": True, **down}}
                yield stopped.seq, stop
            stopped = None
        elif isinstance(message, HoldPlaced) and _is_of_a_stop(message.hold):
            stopped = entry
        elif isinstance(message, OperatorCommand):
            plain = msgspec.to_builtins(message)
            names = ("verb", "by", "reason", "scope", "hold_id", "flatten", "unlatch")
            command = {name: plain[name] for name in names if plain.get(name)}
            if message.until is not None:
                command["until"] = f"{message.until - start}ms"
            if message.command_id in refused:
                command["refused"] = True
            when = "commit" if entry.causation.startswith("disk:") else "after"
            yield entry.seq, {"at": at, "when": when, "command": command}
    if stopped is not None:
        yield stopped.seq, {"at": f"{stopped.ts - start}ms", "stop": {}}


def _is_of_a_stop(hold: Hold) -> bool:
    """Return whether a session was stopped by this while there was more to come."""
    return hold.hold_id.startswith(STOPPING) and hold.mode is HoldMode.BLOCK


def _power_cut(at_ms: int, *, is_order_waiting: bool) -> dict[str, Any]:
    """Return the step by which a process ends; an order that was waiting is not sent any more."""
    if not is_order_waiting:
        return {"at": f"{at_ms}ms", "power_cut": {}}
    # Between the record and the sending, in the turn that this was the time of.
    return {"at": f"{max(at_ms - 1, 0)}ms", "when": "commit", "power_cut": {}}


def _expected(near: Iterable[Entry], start: int, slack_ms: int | None) -> Iterator[dict[str, Any]]:
    """
    Yield that each message near is seen at its time, as often as it was.

    With ``slack_ms`` it is a venue elsewhere that says when: each may be so much earlier or later.
    """
    counts: Counter[str] = Counter()
    for entry in near:
        names = SAID.get(type(entry.message))
        if names is None:
            continue
        elsewhere = slack_ms is not None
        if elsewhere and (is_idle(entry.message) or _is_of_the_line(entry.message)):
            continue
        plain = msgspec.to_builtins(entry.message)
        where = {name: plain[name] for name in names if plain.get(name) not in (None, "")}
        if "hold" in where:
            hold = where["hold"]
            # The cause of a hold of ours tells how long what was asked how often.
            told = [name for name in _OF_A_HOLD if name != "cause" or not elsewhere]
            where["hold"] = {name: hold[name] for name in told if name in hold}
            if elsewhere and hold["hold_id"].startswith(IN_DOUBT_HOLDS):
                own = hold["hold_id"].removeprefix(IN_DOUBT_HOLDS)
                where["hold"]["hold_id"] = f"{IN_DOUBT_HOLDS}{_own(own)}"
        if elsewhere and isinstance(entry.message, ExecutionReport):
            # In so wide a window it must be the very order.
            where["order_id"] = _own(entry.message.order_id)
        offset, slack = entry.ts - start, slack_ms or 0
        seen = {"message": type(entry.message).__name__, "where": where}
        window = {"from": f"{max(offset - slack, 0)}ms", "until": f"{offset + slack}ms"}
        told_again = elsewhere and "order_id" in where  # an answer and the news may say the same
        key = json.dumps({**seen, **window})
        counts[key] = 1 if told_again else counts[key] + 1
    for text, times in counts.items():
        yield {"seen": {**json.loads(text), "at_least": times}}


def _own(order_id: str) -> str:
    """Return the id that an order has in a scenario, whose decisions are the same."""
    return f"{TAG}-{order_id.partition('-')[2]}"


def _is_of_the_line(message: Message) -> bool:
    return isinstance(message, HoldPlaced | HoldLifted) and is_of_the_line(message.hold)


def default_path(recorded: Recorded, event: str) -> Path:
    """Return where a scenario goes that nobody gave a place."""
    word = "".join(islice((c if c.isalnum() else "_" for c in event.lower()), 60))
    return Path(f"{recorded.manifest.session_id}_{word}.scenario.json")


__all__ = ["default_path", "find_event", "scenario_of", "write_incident"]
