"""
The process that writes a session's projections while the session runs.

It reads frames from its standard input: one byte that says what it is, four bytes of length
(big endian), the payload. The first is its ``Plan``; then, where a session goes on, what to read
of its journal first (``CatchUp``); then batches of journal lines, and instead of those for which
there was no room what to read of the journal for them; at the end the runner's facts, answered on
standard output with the summary. Input that ends without facts means that the session died:
everything is closed and nothing is answered. Before the answer it says there now and then that it
works, for whoever waits for it.

The files are functions of the journal's lines alone, which is why another process can write
them: nothing here can block, slow or break the trading path.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from state.journal.entry import decode_lines
from state.journal.errors import JournalDamaged
from state.journal.reader import read_lines
from state.manifest import file_sha256
from state.ndjson import NdjsonSink
from state.projections.artifacts import CsvArtifacts
from state.projections.limits import AHEAD_BYTES, REBUILD_BATCH, WORK_S, WORKS_S
from state.projections.session_html import write_session_html
from state.projections.session_md import write_session_md
from state.projections.summary import summary_json
from state.projections.tally import SummaryProjection

PLAN, CATCH_UP, LINES, FACTS = b"P", b"C", b"L", b"F"
HEADER = 5
WORKS = b"\n"
"""Says on the way back, before the answer, that it has worked since it last said so."""

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


class CatchUp(msgspec.Struct, frozen=True):
    """
    Take the entries of ``journal`` that come after number ``after``, up to number ``upto``.

    To begin with they are an earlier process's; later, those for which the pipe had no room.
    """

    journal: str
    upto: int
    after: int = 0


class Answer(msgspec.Struct, frozen=True):
    """
    The summary as JSON-ready values, and the sha256 of every sealed file that exists.

    Or the ``error`` that ended it, with its number where the operating system gave one, and
    whether what is ``damaged`` is the journal that it was to begin with.
    """

    summary: dict[str, Any]
    sha256: dict[str, str]
    error: str = ""
    errno: int = 0
    damaged: bool = False


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


def stored_batches(order: CatchUp) -> Iterator[bytes]:
    """Yield the lines that it names, many at a time; the journal may be written to meanwhile."""
    seq = order.after
    while seq < order.upto:
        # Each batch is a read of its own: a long one would keep the log from being checkpointed.
        with closing(read_lines(Path(order.journal), after=seq)) as lines:
            batch = list(islice(lines, min(REBUILD_BATCH, order.upto - seq)))
        if not batch:
            raise JournalDamaged(f"{order.journal}: expected entry {seq + 1}, found none")
        seq += len(batch)
        yield b"\n".join(batch) + b"\n"


class ReadAhead:
    """
    Frames read by a thread before they are wanted, up to ``AHEAD_BYTES``.

    For the time in which an earlier process's journal is read: the session must not wait for that.
    """

    def __init__(self, stream: BinaryIO, most: int = AHEAD_BYTES) -> None:
        """Begin to read."""
        self._stream, self._most = stream, most
        self._frames: deque[tuple[bytes, bytes]] = deque()  # seam: bounded by its bytes
        self._bytes = 0
        self._ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, name="read-ahead", daemon=True).start()

    @property
    def is_abandoned(self) -> bool:
        """Return whether the input has ended, and not with the facts."""
        with self._changed:
            return self._ended and not (self._frames and self._frames[-1][0] == FACTS)

    def next(self) -> tuple[bytes, bytes] | None:
        """Return the next frame, or ``None`` at the end; waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended)
            if not self._frames:
                return None
            item = self._frames.popleft()
            self._bytes -= len(item[1])
            self._changed.notify_all()
            return item

    def _read(self) -> None:
        while (item := read_frame(self._stream)) is not None:
            with self._changed:
                self._changed.wait_for(lambda: self._bytes < self._most)
                self._frames.append(item)
                self._bytes += len(item[1])
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


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

    def take(payload: bytes) -> None:
        entries = decode_lines(payload)
        events.update(payload)
        for file in files:
            file.write_lines(entries[0].seq, payload)
        tables.write(entries)
        summary.write(entries)

    ahead: ReadAhead | None = None
    following: Callable[[], tuple[bytes, bytes] | None] = partial(read_frame, stream)
    while facts is None and (item := following()) is not None:
        kind, payload = item
        if kind == FACTS:
            facts = payload
        elif kind == CATCH_UP:
            if ahead is None:
                ahead = ReadAhead(stream)
                following = ahead.next
            earlier = msgspec.json.decode(payload, type=CatchUp)
            for lines in stored_batches(earlier):
                try:
                    take(lines)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise JournalDamaged(f"{earlier.journal}: an entry: {error}") from error
                if ahead.is_abandoned:
                    break  # the next process begins anew, and waits for this one's end
        else:
            take(payload)
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


@contextmanager
def _saying_that_it_works() -> Iterator[None]:
    """
    Say ``WORKS`` every few seconds in which this process has used a processor; not for this alone.

    That is what a process which is stopped, or waits for a disk, does not; and what one that works
    does in whatever part of its work it is.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_say, args=(is_over,), name="works", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # the answer is not to be interrupted


def _say(is_over: threading.Event) -> None:
    told_s = 0.0
    with suppress(OSError):  # nobody hears it any more
        while not is_over.wait(WORKS_S):
            mine_s = time.thread_time()
            worked_s = time.process_time() - mine_s  # seam: what was done, and no time of day
            if worked_s - told_s >= WORK_S:
                told_s = worked_s
                sys.stdout.buffer.write(WORKS)
                sys.stdout.buffer.flush()


def main() -> int:
    """Run the worker on standard input and output."""
    gc.disable()  # what it keeps it keeps to the end, and messages form no cycles
    try:
        with _saying_that_it_works():
            answer = work(sys.stdin.buffer)
    except Exception as error:  # noqa: BLE001 - reported to the session, which must know
        number = (error.errno or 0) if isinstance(error, OSError) else 0
        told = f"{type(error).__name__}: {error}"
        if damaged := isinstance(error, JournalDamaged):
            told = str(error)
        answer = Answer({}, {}, told, number, damaged)
        _answer(answer)
        return EXIT_FAILED
    if answer is None:
        return EXIT_ABANDONED
    _answer(answer)
    return EXIT_DONE


def _answer(answer: Answer) -> None:
    # Where nobody waits for it any more, the session is gone and its journal has everything.
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    status = main()
    # Nothing is left to finalise, and taking a large heap apart takes time.
    os._exit(status)
