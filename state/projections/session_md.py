"""``session.md``: a session told in plain text, the same bytes for the same session."""

from __future__ import annotations

from pathlib import Path

from state.admission import admission_line
from state.projections.admission_tables import admission_table, shadow_table
from state.projections.execution_tables import execution_tables
from state.projections.report_tables import (
    SYNTHETIC,
    actor_table,
    dead_letter_table,
    gap_table,
    incident_table,
    next_steps,
    position_table,
    refusal_table,
    result_facts,
    session_facts,
    strategy_table,
)
from state.projections.report_text import outcome_text
from state.projections.safety_tables import (
    held_at_the_end,
    hold_table,
    kill_sections,
    safety_tables,
)
from state.projections.summary import Summary
from state.projections.tables import Table

_SPECIAL = str.maketrans({special: f"\\{special}" for special in "\\`*[]<>|"})


def write_session_md(summary: Summary, path: Path) -> None:
    """Write the report to ``path``, in UTF-8 with lines ended by one newline."""
    path.write_bytes(session_md(summary).encode("utf-8"))


def session_md(summary: Summary) -> str:
    """Return the report: nothing of it depends on when or where the session ran."""
    facts = summary.facts
    parts = [f"# Session {_text(facts.session_id)}".rstrip() + "\n"]
    if facts.synthetic:
        parts.append(f"**{SYNTHETIC}.**\n")
    parts.append(
        f"{_text(facts.mode or 'unknown mode').capitalize()}: {_text(outcome_text(summary))}.\n"
    )
    if line := admission_line(facts.admission):
        parts.append(f"**{_text(line)}.**\n")
    held = held_at_the_end(summary)
    if held:
        parts.append(f"**{_text(held)}**\n")
    parts += [f"- {_text(note)}\n" for note in facts.notes]
    for first, *others in kill_sections(summary):
        parts.append(_section(first))
        parts += [_section(table, level=3) for table in others if table.rows]
    parts.append(_section(result_facts(summary)))
    parts.append(_section(strategy_table(summary), empty="No strategy sent an order."))
    parts += [_section(table) for table in (shadow_table(summary),) if table.rows]
    parts += [_section(table) for table in execution_tables(summary)]
    parts.append(_section(position_table(summary), empty="None."))
    parts.append(_section(hold_table(summary), empty="None: nothing was held."))
    parts += [_section(table) for table in safety_tables(summary)]
    parts.append(_section(refusal_table(summary), empty="None."))
    for table in (
        incident_table(summary),
        actor_table(summary),
        dead_letter_table(summary),
        gap_table(summary),
    ):
        if table.rows:
            parts.append(_section(table))
    parts += [_section(table) for table in (admission_table(summary),) if table.rows]
    parts.append(_section(session_facts(summary), title="What ran"))
    parts.append(_section(next_steps(summary)))
    parts.append("Amounts are rounded here; the CSV files have them exactly.\n")
    return "\n".join(parts)


def _section(table: Table, *, title: str = "", empty: str = "", level: int = 2) -> str:
    lines = [f"{'#' * level} {_text(title or table.title)}", ""]
    if not table.rows:
        return "\n".join([*lines, empty, ""])
    if not table.columns:
        mark = "`" if table.names_are_code else ""
        lines += [f"- {mark}{_text(name)}{mark}: {_text(value)}" for name, value in table.rows]
    else:
        lines.append(_row(table.columns))
        marks = ["--:" if index in table.numeric else "---" for index in range(len(table.columns))]
        lines.append(f"| {' | '.join(marks)} |")
        lines += [_row(row) for row in table.rows]
    if table.note and table.note != SYNTHETIC:
        lines += ["", _text(table.note)]
    return "\n".join([*lines, ""])


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    """Return ``text`` on one line, with what Markdown would take for markup escaped."""
    return " ".join(text.split()).translate(_SPECIAL)
