"""What the safety system did, as tables of text: holds, kills, commands, limits, circuits, data."""

from __future__ import annotations

from messages import Hold
from state.projections.report_text import (
    NONE,
    amount,
    count,
    duration,
    hold_until,
    moment,
    places_for,
    scope_text,
    short,
)
from state.projections.safety_summary import (
    CircuitOpening,
    CommandResult,
    HoldEnd,
    HoldResult,
    KillResult,
    OpeningEnd,
)
from state.projections.summary import Summary
from state.projections.tables import Section, Table, more
from state.register import STOPPING

NEWEST_KEPT = "the first ones and the newest are shown"


def hold_table(summary: Summary) -> Table:
    """Return every placement of every hold: its cause, who placed it, how it ended."""
    left_out = sum(kind.count for kind in summary.holds_left_out)
    notes = []
    if any(row.placement > 1 for row in summary.holds):
        notes.append("A number in parentheses counts the placements of the same hold.")
    if left_out:
        kinds = ", ".join(f"{kind.count:,} {kind.kind}" for kind in summary.holds_left_out)
        notes.append(f"{left_out:,} more, each lifted again ({kinds}): see events.ndjson.")
    return Table(
        "Holds and halts",
        (
            "Hold",
            "Placed",
            "Cause",
            "Mode",
            "Scope",
            "By",
            "Until",
            "Lifted at",
            "Lifted by",
            "Why",
        ),
        tuple(
            (
                _hold_name(row),
                _placed(row),
                short(row.hold.cause),
                row.hold.mode.value,
                scope_text(row.hold.scope),
                row.hold.set_by,
                hold_until(row.hold),
                *_ended(row),
            )
            for row in summary.holds
        ),
        note=" ".join(notes),
    )


def _hold_name(row: HoldResult) -> str:
    return row.hold.hold_id if row.placement == 1 else f"{row.hold.hold_id} ({row.placement})"


def _placed(row: HoldResult) -> str:
    if not row.carried_over:
        return moment(row.placed_at)
    return f"{moment(row.hold.since)}, in an earlier session"


def _ended(row: HoldResult) -> tuple[str, str, str]:
    if row.end is HoldEnd.IN_FORCE:
        return ("in force; it outlives the session" if row.outlives else "in force", NONE, NONE)
    at = moment(row.lifted_at)
    if row.end is HoldEnd.REPLACED:
        return (f"replaced {at}", row.lifted_by or NONE, short(row.lift_reason) or NONE)
    return (at, row.lifted_by or NONE, short(row.lift_reason) or NONE)


# -- kills


def kill_sections(summary: Summary) -> tuple[Section, ...]:
    """Return a section for every kill: what pulled it, its stages, every cause in force."""
    left_out = summary.safety.kills_total - len(summary.safety.kills)
    sections = [
        (_kill_facts(kill), _stage_table(kill), _cause_table(kill)) for kill in summary.safety.kills
    ]
    if left_out:
        first, *others = sections[-1]
        note = f"{left_out:,} more kills came before this one: see events.ndjson."
        facts = Table(first.title, (), first.rows, note=note)
        sections[-1] = (facts, others[0], others[1])
    return tuple(sections)


def _kill_facts(kill: KillResult) -> Table:
    pulled = moment(kill.at)
    if kill.carried_over:
        pulled += ", going on with the kill that an earlier session left"
    rows = [
        ("Pulled", pulled),
        ("By", kill.by or NONE),
        ("Cause", short(kill.cause)),
        ("Flatten", _flatten(kill)),
        ("Confirmed by the venue", _confirmed(kill)),
    ]
    if kill.reported_at is not None:
        rows += [
            ("Open orders left", _left(kill.open_orders, kill.open_orders_total)),
            ("Positions left", _left(kill.positions, kill.positions_total)),
        ]
    rows.append(("Unlatched", _unlatched(kill)))
    return Table(f"Kill {kill.kill_id}", (), tuple(rows))


def _flatten(kill: KillResult) -> str:
    if not kill.flatten:
        return "no: positions stay, and reducing orders that protect them"
    told = "yes: nothing may stay open or held"
    if kill.flatten_at is None:
        return told
    cause = short(kill.flatten_cause) or "no reason given"
    return f"{told}; added {moment(kill.flatten_at)} by {kill.flatten_by}: {cause}"


def _confirmed(kill: KillResult) -> str:
    if kill.confirmed is None:
        return "NO: the journal holds no evidence"
    if kill.confirmed:
        return f"yes, {moment(kill.reported_at)}"
    return f"NO, {moment(kill.reported_at)}: {short(kill.detail) or 'no detail'}"


def _left(names: tuple[str, ...], total: int) -> str:
    if not total:
        return "none"
    hidden = total - len(names)
    return f"{total:,}: {', '.join(names)}" + (f" and {hidden:,} more" if hidden else "")


def _unlatched(kill: KillResult) -> str:
    if kill.unlatched_at is None:
        return "no: latched at the end"
    return f"{moment(kill.unlatched_at)} by {kill.unlatched_by}: {short(kill.unlatch_reason)}"


def _stage_table(kill: KillResult) -> Table:
    return Table(
        f"Stages of {kill.kill_id}",
        ("Stage", "After, ms", "Count", "At", "Detail"),
        tuple(
            (
                step.stage.value,
                count(step.elapsed_ms),
                count(step.count),
                moment(step.at),
                short(step.detail) or NONE,
            )
            for step in kill.stages
        ),
        numeric=(1, 2),
    )


def _cause_table(kill: KillResult) -> Table:
    return Table(
        f"Held at {kill.kill_id}",
        ("Hold", "Since", "Cause", "Mode", "Scope", "By"),
        tuple(_cause_row(hold) for hold in kill.causes),
        note=more(kill.causes_total - len(kill.causes)),
    )


def _cause_row(hold: Hold) -> tuple[str, ...]:
    return (
        hold.hold_id,
        moment(hold.since),
        short(hold.cause),
        hold.mode.value,
        scope_text(hold.scope),
        hold.set_by,
    )


# -- commands and limits


def command_table(summary: Summary) -> Table:
    """Return the operators' commands, each with what became of it."""
    safety = summary.safety
    left_out = safety.commands_total - len(safety.commands)
    refused = f"{safety.commands_refused:,} of {safety.commands_total:,} were refused."
    notes = [refused] if safety.commands_refused else []
    if left_out:
        notes.append(f"{left_out:,} more; {NEWEST_KEPT}: see events.ndjson.")
    return Table(
        "Commands",
        ("At", "Command", "By", "Scope", "Terms", "Reason", "Outcome"),
        tuple(
            (
                moment(command.at),
                command.verb.value.replace("_", "-"),
                command.by,
                scope_text(command.scope),
                _terms(command) or NONE,
                short(command.reason) or NONE,
                f"refused: {short(command.refused)}" if command.refused else "taken",
            )
            for command in safety.commands
        ),
        note=" ".join(notes),
    )


def _terms(command: CommandResult) -> str:
    terms = []
    if command.hold_id:
        terms.append(f"hold {command.hold_id}")
    if command.until is not None:
        terms.append(f"until {moment(command.until)}")
    if command.flatten:
        terms.append("flatten")
    if command.unlatch:
        terms.append("unlatch")
    return ", ".join(terms)


def breach_table(summary: Summary) -> Table:
    """Return the limits whose breach brought about more than a refusal, with their figures."""
    places = places_for(summary)
    return Table(
        "Breached limits",
        ("Limit", "Consequence", "Count", "First at", "Figures", "Equity", "Newest at", "Newest"),
        tuple(
            (
                breach.guard,
                breach.action.value.replace("_", " "),
                count(breach.count),
                moment(breach.first_at),
                f"{breach.code}: {short(breach.first_detail)}",
                amount(breach.first_equity, places),
                moment(breach.newest_at) if breach.count > 1 else NONE,
                short(breach.newest_detail) if breach.count > 1 else NONE,
            )
            for breach in summary.safety.breaches
        ),
        numeric=(2, 5),
    )


# -- circuits and data


def circuit_table(summary: Summary) -> Table:
    """Return each tool that failed: its rests, what it answered when asked, where it stands."""
    return Table(
        "Circuits",
        (
            "Tool",
            "Failures reported",
            "Rate limits",
            "Openings",
            "Paused",
            "Longest pause",
            "Probes",
            "Probes failed",
            "Closings",
            "At the end",
        ),
        tuple(
            (
                circuit.tool,
                count(circuit.failures),
                count(circuit.rate_limits),
                count(circuit.openings),
                duration(circuit.paused_ms),
                duration(circuit.longest_pause_ms),
                count(circuit.probes),
                count(circuit.probes_failed),
                count(circuit.closings),
                circuit.state.replace("_", "-"),
            )
            for circuit in summary.safety.circuits
        ),
        numeric=(1, 2, 3, 4, 5, 6, 7, 8),
    )


def opening_table(summary: Summary) -> Table:
    """Return the openings of circuits: why, for how long, and how each ended."""
    safety = summary.safety
    left_out = safety.openings_total - len(safety.openings)
    return Table(
        "Openings of circuits",
        ("At", "Tool", "Reason", "Failures", "In a row", "Pause", "Asked at", "Probes", "Ended"),
        tuple(
            (
                moment(opening.at),
                opening.tool,
                short(opening.reason) or NONE,
                count(opening.failures),
                count(opening.opening),
                duration(opening.pause_ms),
                moment(opening.half_open_at),
                count(opening.probes),
                _opening_end(opening),
            )
            for opening in safety.openings
        ),
        numeric=(3, 4, 5, 7),
        note=f"{left_out:,} more; {NEWEST_KEPT}: see events.ndjson." if left_out else "",
    )


def _opening_end(opening: CircuitOpening) -> str:
    if opening.end is OpeningEnd.NOTHING:
        return "open at the end" if opening.half_open_at is None else "half-open at the end"
    return f"{opening.end.value.replace('_', ' ')} {moment(opening.ended_at)}"


def stale_table(summary: Summary) -> Table:
    """Return the symbols whose data was too old, with how long."""
    return Table(
        "Stale data",
        ("Symbol", "Times", "While connected", "In all", "Longest", "Longest from", "At the end"),
        tuple(
            (
                stale.symbol,
                count(stale.spans),
                count(stale.silent),
                duration(stale.total_ms),
                duration(stale.longest_ms),
                moment(stale.longest_at),
                "fresh" if stale.since is None else f"stale since {moment(stale.since)}",
            )
            for stale in summary.safety.stale
        ),
        numeric=(1, 2, 3, 4),
    )


def safety_tables(summary: Summary) -> tuple[Table, ...]:
    """Return the tables that are left out where nothing of their kind happened."""
    tables = (
        breach_table(summary),
        command_table(summary),
        circuit_table(summary),
        opening_table(summary),
        stale_table(summary),
    )
    return tuple(table for table in tables if table.rows)


def held_at_the_end(summary: Summary) -> str:
    """Return what is still held, but for the end itself, in a sentence; empty if nothing is."""
    rows = [
        row
        for row in summary.holds
        if row.end is HoldEnd.IN_FORCE and not row.hold.hold_id.startswith(STOPPING)
    ]
    outliving = [row.hold.hold_id for row in rows if row.outlives]
    ending = [row.hold.hold_id for row in rows if not row.outlives]
    parts = []
    if outliving:
        parts.append(f"Held beyond the end: {_named(outliving)}.")
    if ending:
        parts.append(f"Held at the end: {_named(ending)}.")
    return " ".join(parts)


def _named(hold_ids: list[str]) -> str:
    shown = ", ".join(hold_ids[:HOLDS_NAMED])
    hidden = len(hold_ids) - HOLDS_NAMED
    return f"{shown} and {hidden:,} more" if hidden > 0 else shown


HOLDS_NAMED = 10
"""Holds named in the sentence at the top of a report; the table has all."""
