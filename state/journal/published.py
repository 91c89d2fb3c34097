"""
The published form of events: the JSON Schema of a line of ``events.ndjson``.

Generated from the classes that write the lines, so it cannot say anything else. The file in the
documentation is written by ``python -m state.journal.published FILE``; a test fails when it
is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from messages import SCHEMA_VERSION
from state.journal.entry import ANY_ENTRY


def events_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that every line of ``events.ndjson`` meets."""
    (line,), definitions = msgspec.json.schema_components(
        (ANY_ENTRY,), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:tidegate:events:{SCHEMA_VERSION}",
        "title": f"Tidegate events, schema version {SCHEMA_VERSION}",
        "description": (
            "One line of events.ndjson. Lines are in the order of seq, which starts at 1 and has "
            "no gaps. Money is a decimal in a string; times are milliseconds since 1970 UTC. A "
            "field that holds its default is left out."
        ),
        **line,
        "$defs": dict(sorted(definitions.items())),
    }


def events_schema_text() -> str:
    """Return the published file's content."""
    encoded = msgspec.json.encode(events_schema())
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def main(arguments: list[str]) -> int:
    """Write the schema to the file named in ``arguments``."""
    (target,) = arguments
    Path(target).write_text(events_schema_text(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
