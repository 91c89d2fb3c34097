"""
Write every generated page of docs/reference from the code that it describes.

    python docs/generate.py [--check]     --check: write nothing, exit 1 if a page is stale

The pages of the command line, of the configuration and of the events' schema have makers of
their own; this calls them too, so that one command makes everything. The others are made in
``docs/making``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# The folder of this file is no package: its makers are found beside it, whoever loads it.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from making.contracts import broker_contract, feed_contract
from making.session import assembled, messages_page, order_states, supervision, topology
from making.tables import exit_codes, limits_page, metrics_page, reason_codes, risk_guards

from scenarios import reference as scenario_reference
from state.journal.published import events_schema_text
from tidegate import reference

FOLDER = Path(__file__).resolve().parent / "reference"


def pages() -> dict[str, str]:
    """Return the text of every generated page by its name in docs/reference."""
    assembly = assembled()
    return {
        **reference.pages(),
        **scenario_reference.pages(),
        "events.schema.json": events_schema_text(),
        "broker-contract.md": broker_contract(),
        "feed-contract.md": feed_contract(),
        "reason-codes.md": reason_codes(),
        "risk-guards.md": risk_guards(),
        "messages.md": messages_page(),
        "order-states.md": order_states(),
        "topology.md": topology(assembly),
        "supervision.md": supervision(assembly),
        "exit-codes.md": exit_codes(),
        "limits.md": limits_page(),
        "metrics.md": metrics_page(),
    }


def stale(made: Mapping[str, str]) -> list[str]:
    """Return the names of the pages that are not what the code says: what ``pages`` returned."""
    return [
        name
        for name, text in made.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != text
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    if list(arguments) == ["--check"]:
        found = stale(pages())
        for name in found:
            print(f"docs/reference/{name} is stale; `python docs/generate.py` writes it")
        return 1 if found else 0
    if arguments:
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
