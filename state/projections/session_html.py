"""
``session.html``: a session on one page that opens anywhere, without a network.

The page holds its own style, data and scripts, the plotting library included: that file is
taken from the installed plotly package as it is, because importing the package would cost more
than writing the page. Its content security policy forbids every request and every script but
those that are here, so no text out of a session can become code.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path

import msgspec

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
from state.projections.report_text import amount, count, moment, outcome_text, percent, places_for
from state.projections.safety_summary import HoldEnd
from state.projections.safety_tables import (
    held_at_the_end,
    hold_table,
    kill_sections,
    safety_tables,
)
from state.projections.summary import Summary
from state.projections.tables import Section, Table

_PAGE = Path(__file__).parent / "page"


class PlotlyScriptMissing(RuntimeError):
    """The plotting script that every session page carries is not installed."""


def write_session_html(summary: Summary, path: Path) -> None:
    """
    Write the page to ``path``, the same bytes for the same summary and plotly version.

    Raises ``PlotlyScriptMissing`` before anything is written.
    """
    script = plotly_script()
    library = script.read_bytes()
    if b"</script" in library:  # valid JavaScript either way, but only one is valid HTML
        library = library.replace(b"</script", b"<\\/script")
    before, after = _page(summary)
    with path.open("wb", buffering=0) as file:
        for part in (before.encode("utf-8"), library, after.encode("utf-8")):
            view = memoryview(part)
            while view:
                view = view[file.write(view) :]


def plotly_script() -> Path:
    """Return where plotly keeps its script, without importing it."""
    spec = find_spec("plotly")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        script = Path(place) / "package_data" / "plotly.min.js"
        if script.is_file():
            return script
    raise PlotlyScriptMissing(
        "session.html needs the file package_data/plotly.min.js of the package plotly>=6, "
        + ("which is not installed" if spec is None else f"not found in {spec.origin}")
    )


@cache
def _asset(name: str) -> str:
    return (_PAGE / name).read_text("utf-8")


def _page(summary: Summary) -> tuple[str, str]:
    """Return the page before and after the plotting library."""
    data = _chart_data(summary)
    # Whoever writes a name into a session cannot know a nonce made of all of it.
    nonce = hashlib.sha256(data.encode("utf-8")).hexdigest()[:32]
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    title = f"Session {summary.facts.session_id}".strip()
    before = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} · Tidegate</title>\n"
        f"<style>\n{_asset('session.css')}</style>\n</head>\n<body>\n"
        f'<div class="page">\n{_body(summary, title)}</div>\n'
        f'<script type="application/json" id="session-data">{data}</script>\n'
        f'<script nonce="{nonce}">'
    )
    after = (
        f'</script>\n<script nonce="{nonce}">\n{_asset("session.js")}</script>\n</body>\n</html>\n'
    )
    return before, after


def _body(summary: Summary, title: str) -> str:
    charts = summary.charts
    parts = [_header(summary, title)]
    if summary.facts.synthetic:
        parts.append(f'<p class="warning">{escape(SYNTHETIC)}.</p>\n')
    if line := admission_line(summary.facts.admission):
        parts.append(f'<p class="warning" id="admission">{escape(line)}.</p>\n')
    held = held_at_the_end(summary)
    if held:
        parts.append(f'<p class="warning" id="held">{escape(held)}</p>\n')
    parts.append(_tiles(summary))
    parts += [_section(section) for section in kill_sections(summary)]
    if charts.equity:
        chart = '<div id="account-chart" class="chart"></div>'
        if summary.holds:
            chart += '<p class="note">Shaded: a hold was in force.</p>'
        parts.append(_card("Account", chart))
    if charts.symbols:
        parts.append(_price_card(summary))
    parts.append(_table(strategy_table(summary), empty="No strategy sent an order."))
    parts += [_table(table) for table in (shadow_table(summary),) if table.rows]
    parts += [_table(table) for table in execution_tables(summary)]
    parts.append(_table(hold_table(summary), empty="None: nothing was held."))
    parts += [_table(table) for table in safety_tables(summary)]
    parts.append(_table(refusal_table(summary), empty="None."))
    parts += [
        _table(table)
        for table in (
            position_table(summary),
            incident_table(summary),
            actor_table(summary),
            dead_letter_table(summary),
            gap_table(summary),
        )
        if table.rows
    ]
    parts += [_table(table) for table in (admission_table(summary),) if table.rows]
    pair = _table(result_facts(summary)) + _table(session_facts(summary), title="What ran")
    parts.append(f'<div class="pair">\n{pair}</div>\n')
    parts.append(_table(next_steps(summary)))
    parts.append(
        "<footer>Made from the session's journal. Amounts are rounded here; the CSV files "
        "have them exactly. Times are UTC.</footer>\n"
    )
    return "".join(parts)


def _header(summary: Summary, title: str) -> str:
    facts = summary.facts
    start = facts.first_bar_at if facts.first_bar_at is not None else summary.started_at
    end = facts.last_bar_at if facts.last_bar_at is not None else summary.ended_at
    badges = [("", facts.mode), (_outcome_class(summary), outcome_text(summary))]
    if facts.seed is not None:
        badges.append(("", f"seed {facts.seed}"))
    if facts.synthetic:
        badges.append(("", "synthetic data"))
    badges += [("", note) for note in facts.notes]
    items = "".join(
        f'<li class="{kind}">{escape(text)}</li>' if kind else f"<li>{escape(text)}</li>"
        for kind, text in badges
        if text
    )
    return (
        f"<header>\n<div>\n<h1>{escape(title)}</h1>\n"
        f'<p class="period">{moment(start)} to {moment(end)}</p>\n'
        f'<ul class="badges">{items}</ul>\n</div>\n'
        '<button type="button" id="theme">Dark</button>\n</header>\n'
    )


def _outcome_class(summary: Summary) -> str:
    if summary.exit_code is None:
        return "bad"
    return "good" if summary.exit_code == 0 else "bad"


def _tiles(summary: Summary) -> str:
    places = places_for(summary)
    refused = sum(summary.orders.get(status, 0) for status in ("denied", "suppressed", "rejected"))
    in_force = sum(1 for result in summary.holds if result.end is HoldEnd.IN_FORCE)
    tiles: list[str] = []
    for account in summary.accounts[:1]:
        currency = account.currency
        bars = account.max_drawdown_bars
        share = account.return_share
        gain = "" if not share else ("good-number" if share > 0 else "bad-number")
        tiles += [
            _tile(
                "Final equity",
                amount(account.equity, places),
                currency,
                f"from {amount(account.first_equity, places)}",
            ),
            _tile("Return", percent(share, signed=True), kind=gain),
            _tile(
                "Max drawdown",
                percent(account.max_drawdown if bars is None else bars),
                under="at fills, midnights and the end" if bars is None else "at every bar's close",
            ),
            _tile("Fees", amount(account.fees, places), currency),
            _tile("Time with a position", percent(account.exposure_share)),
        ]
    tiles += [
        _tile("Fills", count(summary.fills), under=f"of {count(summary.orders_total)} orders"),
        _tile("Refused orders", count(refused), kind="bad-number" if refused else ""),
        _tile(
            "Holds",
            count(summary.holds_total),
            under=f"{in_force:,} in force at the end" if in_force else "",
            kind="bad-number" if in_force else "",
        ),
    ]
    if summary.safety.kills:
        confirmed = summary.safety.kills[-1].confirmed is True
        tiles.append(
            _tile(
                "Kills",
                count(summary.safety.kills_total),
                under=f"the newest {'' if confirmed else 'NOT '}confirmed by the venue",
                kind="bad-number",
            )
        )
    return f'<dl class="tiles">\n{"".join(tiles)}</dl>\n'


def _tile(label: str, value: str, unit: str = "", under: str = "", kind: str = "") -> str:
    unit_html = f" <small>{escape(unit)}</small>" if unit else ""
    under_html = f'<span class="under">{escape(under)}</span>' if under else ""
    return (
        f'<div class="tile"><dt>{escape(label)}</dt>'
        f'<dd><span class="{kind}">{escape(value)}</span>{unit_html}{under_html}</dd></div>\n'
    )


def _card(title: str, content: str, *, control: str = "") -> str:
    return (
        f'<section class="card">\n<div class="head"><h2>{escape(title)}</h2>{control}</div>\n'
        f"{content}\n</section>\n"
    )


def _price_card(summary: Summary) -> str:
    charts = summary.charts
    control = ""
    if len(charts.symbols) > 1:
        options = "".join(f"<option>{escape(chart.symbol)}</option>" for chart in charts.symbols)
        control = f'<select id="price-symbol" aria-label="Symbol">{options}</select>'
    elif charts.symbols:
        control = f"<span>{escape(charts.symbols[0].symbol)}</span>"
    left_out = charts.symbols_total - len(charts.symbols)
    more = f'<p class="note">{left_out:,} more symbols are not charted.</p>' if left_out else ""
    chart = '<div id="price-chart" class="chart"></div><p class="note" id="price-note"></p>'
    return _card("Price and fills", chart + more, control=control)


_TIME_COLUMNS = {
    "Asked at",
    "At",
    "First at",
    "Longest after",
    "Longest from",
    "Newest at",
    "Since",
}
_LONG_COLUMNS = {"Cause", "Detail", "Figures", "Meaning", "Newest", "Outcome", "Reason", "Why"}
_NAME_COLUMNS = {"Hold", "Limit", "Placed", "Strategy", "Tool"}


def _section(section: Section) -> str:
    """Return the card of tables that belong together."""
    first, *others = section
    content = _content(first)
    content += "".join(
        f"<h3>{escape(table.title)}</h3>\n{_content(table)}" for table in others if table.rows
    )
    return _card(first.title, content)


def _table(table: Table, *, title: str = "", empty: str = "") -> str:
    content = _content(table) if table.rows else f'<p class="note">{escape(empty)}</p>'
    return _card(title or table.title, content)


def _content(table: Table) -> str:
    if not table.columns:
        mono = ' class="mono"' if table.names_are_code else ""
        content = "".join(
            f"<dt{mono}>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in table.rows
        )
        content = f'<dl class="facts">{content}</dl>'
    else:
        kinds = [_kind(table, index) for index in range(len(table.columns))]
        head = "".join(
            f'<th scope="col"{kind}>{escape(name)}</th>'
            for name, kind in zip(table.columns, kinds, strict=True)
        )
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)
            )
            + "</tr>\n"
            for row in table.rows
        )
        content = (
            f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{rows}</tbody>\n</table></div>"
        )
    note = table.note if table.note != SYNTHETIC else ""
    return content + (f'<p class="note">{escape(note)}</p>' if note else "")


def _kind(table: Table, index: int) -> str:
    name = table.columns[index]
    if index in table.numeric:
        return ' class="number"'
    if name in _TIME_COLUMNS:
        return ' class="time"'
    if name == "First order":
        return ' class="id"'
    if name in _NAME_COLUMNS:
        return ' class="name"'
    return ' class="long"' if name in _LONG_COLUMNS else ""


def _chart_data(summary: Summary) -> str:
    """Return what the charts show, as JSON that is safe inside a script element."""
    charts = summary.charts
    account = summary.accounts[0] if summary.accounts else None
    data = {
        "currency": account.currency if account is not None else "",
        "first_equity": float(account.first_equity) if account is not None else None,
        "ended": summary.ended_at,
        "equity": charts.equity,
        "exposure": charts.exposure,
        "symbols": charts.symbols,
        "holds": [
            {"since": result.placed_at, "lifted": result.lifted_at} for result in summary.holds
        ],
    }
    text = msgspec.json.encode(data).decode("utf-8")
    # What could end or confuse the element is written as an escape, which JSON reads as the same.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
