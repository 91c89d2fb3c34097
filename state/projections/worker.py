"""
The process that writes a session's projections while the session runs.

It reads frames from its standard input: one byte that says what it is, four bytes of length
(big endian), the payload. The first is its ``Plan``; then batches of journal lines; at the
end the runner's facts, answered on standard output with the summary. Input that ends without
facts means that the session died: everything is closed and nothing is answered.

The files are functions of the journal's lines alone, which is why another process can write
them: nothing here can block, slow or break the trading path.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from state.journal.entry import decode_lines
from state.manifest import file_sha256
from state.ndjson import NdjsonSink
from state.projections.artifacts import CsvArtifacts
from state.projections.session_html import write_session_html
from state.projections.session_md import write_session_md
from state.projections.summary import summary_json
from state.projections.tally import SummaryProjection

PLAN, LINES, FACTS = b"P", b"L", b"F"
HEADER = 5

EXIT_DONE = 0
EXIT_ABANDONED = 1
EXIT_FAILED = 3

SEALED = (
    "account.csv",
    "intents.csv",
    "orders.csv",
    "positions.csv",
    "quarantine.csv",
    "round_trips.csv",
    "session.md",
    "trades.csv",
)
"""Files whose sha256 is reported, beside the events': the same for the same inputs, everywhere."""


class Plan(msgspec.Struct, frozen=True):
    """
    What to write: the projections of ``out`` and, if ``journal``, ``journal.sqlite`` itself.

    ``copies`` are further places for the events.
    """

    out: str
    journal: bool
    copies: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The summary as JSON-ready values, and the sha256 of every sealed file that exists."""

    summary: dict[str, Any]
    sha256: dict[str, str]
    error: str = ""


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return kind + len(payload).to_bytes(HEADER - 1, "big") + payload


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """Return the next frame, or ``None`` at the end, be it in the middle of one."""
    head = stream.read(HEADER)
    if len(head) < HEADER:
        return None
    length = int.from_bytes(head[1:], "big")
    payload = stream.read(length)
    return (head[:1], payload) if len(payload) == length else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """
    Write the files beside ``path`` alone: wait for a lock that ends with its process.

    The writer of a session whose process died may still be at its last batch when the next process
    goes on with the session: two writers would mix their lines.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def work(stream: BinaryIO) -> Answer | None:
    """Write what the frames say and return the answer to the facts, if they came."""
    first = read_frame(stream)
    if first is None:
        return None
    plan = msgspec.json.decode(first[1], type=Plan)
    with _alone(Path(plan.out) / "events.ndjson"):
        return _write(stream, plan)


def _write(stream: BinaryIO, plan: Plan) -> Answer | None:
    """Write what the frames after the plan say."""
    out = Path(plan.out)
    places = [out / "events.ndjson", *map(Path, plan.copies)]
    files: list[Any] = [NdjsonSink(place) for place in places]
    if plan.journal:
        from state.journal.bulk import SqliteSink

        files.append(SqliteSink(out / "journal.sqlite"))
    tables = CsvArtifacts(out)
    summary = SummaryProjection(tables.executions)
    events = hashlib.sha256()  # as they come: at the end it would be waited for
    facts: bytes | None = None
    while facts is None and (item := read_frame(stream)) is not None:
        kind, payload = item
        if kind == FACTS:
            facts = payload
            continue
        entries = decode_lines(payload)
        events.update(payload)
        for file in files:
            file.write_lines(entries[0].seq, payload)
        tables.write(entries)
        summary.write(entries)
    for sink in (*files, tables, summary):
        sink.close()
    if facts is None:
        return None
    summary.set_facts(msgspec.json.decode(facts))
    numbers = summary.summary()
    write_session_md(numbers, out / "session.md")
    write_session_html(numbers, out / "session.html")
    sums = {name: file_sha256(out / name) for name in SEALED if (out / name).is_file()}
    sums["events.ndjson"] = events.hexdigest()
    return Answer(summary_json(numbers), sums)


def main() -> int:
    """Run the worker on standard input and output."""
    gc.disable()  # what it keeps it keeps to the end, and messages form no cycles
    try:
        answer = work(sys.stdin.buffer)
    except Exception as error:  # noqa: BLE001 - reported to the session, which must know
        answer = Answer({}, {}, f"{type(error).__name__}: {error}")
        _answer(answer)
        return EXIT_FAILED
    if answer is None:
        return EXIT_ABANDONED
    _answer(answer)
    return EXIT_DONE


def _answer(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    status = main()
    # Nothing is left to finalise, and taking a large heap apart takes time.
    os._exit(status)
