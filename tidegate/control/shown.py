"""What the answers of a daemon look like on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from state.admission import admission_line
from tidegate.output import say_table

Document = Mapping[str, Any]


def show_status(document: Document) -> None:
    """Print a status; what is not live is said to be so before anything else."""
    if document["live"]:
        _show_facts(document, f"{document['mode']} session {document['session_id']}")
        return
    sys.stdout.write(f"NOT LIVE: {document['why']}\n")
    sys.stdout.write(f"held now: {', '.join(document['held_now']) or 'nothing'}\n")
    known = document["last_known"]
    if known is None:
        sys.stdout.write("nothing is known of the session yet\n")
        return
    age = span(document["last_known_age_s"])
    _show_facts(known, f"{age} AGO, {known['mode']} session {known['session_id']}")


def _show_facts(facts: Document, title: str) -> None:
    sys.stdout.write(f"{title}: {facts['state']}\n")
    if line := admission_line(facts.get("admission") or {}):
        sys.stdout.write(f"{line}\n")
    say_table(("", ""), _facts(facts))
    if facts["holds"]:
        show_holds(facts["holds"])
    if facts["positions"]:
        columns = ("strategy", "symbol", "position_side", "quantity", "average_price")
        names = ("position of", "symbol", "side", "quantity", "average price")
        say_table(names, _rows(facts["positions"], columns))
    if facts["open_orders"]:
        show_orders(facts["open_orders"])
    _show_wishes(facts)
    rows = [
        (name, actor["state"], actor["incarnation"], actor["failures"], sum(actor["queued"]))
        for name, actor in facts["actors"].items()
    ]
    say_table(("actor", "state", "started", "failed", "waiting"), rows)


def _show_wishes(facts: Document) -> None:
    """Print the plans that stand and the backoffs that last."""
    if facts["plans"]:
        columns = ("plan_id", "strategy", "symbol", "position_side", "plan")
        names = ("plan", "strategy", "symbol", "side", "what")
        say_table(names, _rows(facts["plans"], columns))
    if facts["backoffs"]:
        say_table(
            ("backoff of", "symbol", "orders", "until", "refusals in a row"),
            [
                (
                    each["strategy"],
                    each["symbol"],
                    each["family"],
                    moment(each["until"]),
                    "-" if each["failures"] is None else each["failures"],
                )
                for each in facts["backoffs"]
            ],
        )


def _facts(facts: Document) -> list[tuple[str, str]]:
    currency = facts["currency"]
    rows = [
        ("session time", moment(facts["session_time"])),
        ("bars", f"{facts['bars']:,}"),
        *((f"data {symbol}", _data(data)) for symbol, data in facts["symbols"].items()),
        ("equity", "not known yet" if facts["equity"] is None else f"{facts['equity']} {currency}"),
        ("realised", f"{facts['realized_pnl']} {currency}"),
        ("fees", f"{facts['fees']} {currency}"),
        ("dead letters", str(facts["dead_letters"])),
    ]
    kill = facts["kill"]
    if kill is not None and kill["latched"]:
        rows.append(("kill", _kill(kill)))
    pulse = facts.get("pulse")
    if pulse is not None:
        rows.append(("last work", f"{span(pulse['last_work_s'])} ago, {pulse['beats']:,} so far"))
    return rows


def _data(data: Document) -> str:
    if data["closed_at"] is None:
        return "none yet"
    return f"{data['last_close']} at {moment(data['closed_at'])}, {span(data['age_s'])} old"


def _kill(kill: Document) -> str:
    report = kill.get("report")
    if report is None:
        return "the venue has not confirmed yet"
    return "confirmed by the venue" if report["confirmed"] else "NOT CONFIRMED by the venue"


def show_holds(holds: Sequence[Document]) -> None:
    """Print the holds in force."""
    if not holds:
        sys.stdout.write("nothing is held\n")
        return
    say_table(HOLD_COLUMNS, hold_rows(holds))


HOLD_COLUMNS: Final = ("hold", "mode", "covers", "since", "until", "set by", "cause", "lifted by")


def hold_rows(holds: Sequence[Document]) -> list[tuple[str, ...]]:
    """Return the rows of a table of holds."""
    return [
        (
            hold["hold_id"],
            hold["mode"],
            hold["scope"],
            moment(hold["since"]),
            "-" if hold["until"] is None else moment(hold["until"]),
            hold["set_by"],
            hold["cause"],
            hold["lifted_by"],
        )
        for hold in holds
    ]


def show_orders(orders: Sequence[Document]) -> None:
    """Print orders that have not ended."""
    columns = ("order_id", "strategy", "symbol", "side", "type", "quantity", "filled", "status")
    names = ("open order", "strategy", "symbol", "side", "type", "quantity", "filled", "status")
    say_table(names, _rows(orders, columns))


def show_explanation(document: Document) -> None:
    """Print why a symbol does or does not trade, or what became of an order."""
    if document["kind"] == "order":
        _show_order(document)
        return
    verdict = "orders may open" if document["may_open"] else "NOTHING MAY OPEN"
    if document["may_open"] and any(cause["stops"] != "nothing" for cause in document["causes"]):
        verdict = f"ONLY A PART MAY OPEN: {', '.join(document['open_to'])}"
    sys.stdout.write(f"{document['target']}: {verdict}\n")
    causes = document["causes"]
    if causes:
        say_table(
            ("", "cause", "stops", "what"),
            [
                (number, cause["kind"], cause["stops"], cause["text"])
                for number, cause in enumerate(causes, 1)
            ],
        )
    rows = [("data", _data(document["data"]))]
    rows += [(f"strategy {name}", state) for name, state in document["strategies"].items()]
    rows += [
        (f"position of {each['strategy']}", f"{each['position_side']} {each['quantity']}")
        for each in document["positions"]
    ]
    say_table(("", ""), rows)
    if document["open_orders"]:
        show_orders(document["open_orders"])


def _show_order(document: Document) -> None:
    state = f": {document['status']}" if "status" in document else ""
    sys.stdout.write(f"order {document['target']} of session {document['session_id']}{state}\n")
    columns = ("seq", "at", "source", "text")
    say_table(("event", "session time", "from", "what"), _rows(document["life"], columns))
    if len(document["orders"]) > 1:
        names = ("order", "quantity", "filled", "status")
        say_table(names, _rows(document["orders"], ("order_id", "quantity", "filled", "status")))
    if document["chain"]:
        say_table(
            ("because of", "event", "session time", "what"),
            [
                (
                    link["kind"].replace("_", " "),
                    "-" if link["seq"] is None else link["seq"],
                    link["at"] or "-",
                    link["text"],
                )
                for link in document["chain"]
            ],
        )


def show_kill(document: Document) -> None:
    """Print how a kill went, stage by stage, and its evidence."""
    sys.stdout.write(f"{document['text']}\n")
    steps = document["steps"]
    if steps:
        say_table(
            ("stage", "after ms", "count", "what"),
            [
                (step["stage"], step["elapsed_ms"], step.get("count", 0), step.get("detail", ""))
                for step in steps
            ],
        )
    report = document["report"]
    if report is None:
        return
    if report["confirmed"]:
        sys.stdout.write("confirmed by the venue\n")
    rows = [
        ("open orders left", ", ".join(report.get("open_orders", ())) or "none"),
        ("positions left", ", ".join(report.get("positions", ())) or "none"),
    ]
    if report.get("detail"):
        rows.append(("", report["detail"]))
    say_table(("", ""), rows)


# ------------------------------------------------------------------------------------- the parts


def _rows(documents: Sequence[Document], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return [tuple(document[column] for column in columns) for document in documents]


def moment(at: int) -> str:
    """Return int ms UTC as ISO-8601, to the second."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(length_s: float) -> str:
    """Return a span of time as a person says it."""
    if length_s < 120:
        return f"{length_s:.1f} s"
    if length_s < 7_200:
        return f"{length_s / 60:.0f} min"
    return f"{length_s / 3600:.1f} h"
