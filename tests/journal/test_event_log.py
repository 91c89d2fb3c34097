"""events.ndjson: made from the journal, made whole from it, and published with its schema."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from journal_makers import MESSAGES, gap, write_session

from messages import SCHEMA_VERSION, Message
from state.journal import journaled_types, make_entry
from state.journal.published import events_schema, events_schema_text, main
from state.ndjson import catch_up, write_events

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "reference" / "events.schema.json"


def test_the_log_can_be_made_again(tmp_path: Path) -> None:
    """Byte for byte, from the journal alone."""
    journal, log = write_session(tmp_path, 50)
    before = log.read_bytes()
    log.unlink()

    assert write_events(log, journal) == 50
    assert before == log.read_bytes()
    assert ["events.ndjson", "journal.sqlite"] == sorted(each.name for each in tmp_path.iterdir())


@pytest.mark.parametrize("size", range(0, 1000, 37))
def test_a_log_torn_anywhere_is_made_whole(tmp_path: Path, size: int) -> None:
    """Wherever a crash cut the log, going on completes it from the journal."""
    journal, log = write_session(tmp_path, 5)
    before = log.read_bytes()
    whole = before[:size].count(b"\n")
    os.truncate(log, min(size, len(before)))

    assert catch_up(log, journal) == 5 - whole
    assert before == log.read_bytes()


def test_a_log_that_is_missing_is_made(tmp_path: Path) -> None:
    """Without a log there is nothing to keep."""
    journal, log = write_session(tmp_path, 5)
    before = log.read_bytes()
    log.unlink()

    assert catch_up(log, journal) == 5
    assert before == log.read_bytes()


@pytest.mark.parametrize("content", ["other", "longer", "nonsense"])
def test_a_log_that_is_no_beginning_of_the_journal_is_made_anew(
    tmp_path: Path, content: str
) -> None:
    """The journal is the truth: lines that it does not hold do not stay."""
    journal, log = write_session(tmp_path / "one", 5)
    before = log.read_bytes()
    _, other = write_session(tmp_path / "two", 3, changed={3: gap(99)})
    _, longer = write_session(tmp_path / "three", 9)
    contents = {
        "other": other.read_bytes(),
        "longer": longer.read_bytes(),
        "nonsense": b"not an event\n",
    }
    log.write_bytes(contents[content])

    assert catch_up(log, journal) == 5
    assert before == log.read_bytes()


def test_the_published_schema_is_not_stale() -> None:
    """docs/reference/events.schema.json is what ``python -m state.journal.published`` writes."""
    assert events_schema_text() == PUBLISHED.read_text("utf-8")


def test_the_schema_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    """The generator writes exactly one file."""
    target = tmp_path / "schema.json"

    assert main([str(target)]) == 0
    assert events_schema_text() == target.read_text("utf-8")


def test_the_schema_names_its_version_and_every_type() -> None:
    """Readers pick the form of ``data`` by ``type``."""
    schema = events_schema()
    mapping = schema["discriminator"]["mapping"]

    assert f"urn:tidegate:events:{SCHEMA_VERSION}" == schema["$id"]
    assert {kind.__name__ for kind in journaled_types()} == set(mapping)


def conforms(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Tell whether a value meets a schema, as far as schemas of events go."""
    if "$ref" in schema:
        return conforms(value, definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in schema:
        return any(conforms(value, each, definitions) for each in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if "const" in schema:
        return bool(value == schema["const"])
    match schema.get("type"):
        case "object":
            properties = schema["properties"]
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= set(value) <= set(properties)
                and all(conforms(value[name], properties[name], definitions) for name in value)
            )
        case "array":
            items = schema.get("items") or {}
            prefix = schema.get("prefixItems", [])
            inner = [*prefix, *[items] * (len(value) - len(prefix))]
            return isinstance(value, list) and all(
                conforms(each, kind, definitions) for each, kind in zip(value, inner, strict=True)
            )
        case "string":
            is_decimal = schema.get("format") == "decimal"
            return isinstance(value, str) and (
                not is_decimal or bool(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?", value))
            )
    kinds: dict[str, tuple[type, ...]] = {
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
    return isinstance(value, kinds[schema["type"]])


SCHEMA = events_schema()


@given(MESSAGES)
def test_every_line_meets_the_published_schema(message: Message) -> None:
    """No field is written that the schema does not name, and none is missing."""
    line = msgspec.json.encode(make_entry(1, 1, "risk", "order", "bar", message))
    event = msgspec.json.decode(line)

    assert conforms(event, SCHEMA["$defs"][f"{event['type']}Entry"], SCHEMA["$defs"])
