"""
Named moments at which a process can be told to die, as ``kill -9`` would have it.

``TIDEGATE_CRASH_AT=journal.committed:17`` makes the process send itself SIGKILL at the 17th passing
of that point (without a number: the first). ``TIDEGATE_CRASH_COUNT=FILE`` appends the name of every
point passed to FILE, a line each, before the process may die there: how often each is passed is
what there is to try. ``python -m state.crashpoints`` lists the points.

Both are read once, when this module is imported, and taken out of the environment: they are meant
for this process, not for those that it starts. Unset, a passing is the call of an empty function.
A name that is not in ``POINTS`` ends the process with exit code 2 before it has begun anything.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final

CRASH_AT: Final = "TIDEGATE_CRASH_AT"
CRASH_COUNT: Final = "TIDEGATE_CRASH_COUNT"
EXIT_USAGE: Final = 2

POINTS: Final[Mapping[str, str]] = {
    "session.folder_made": "the session has its folder, and nothing in it",
    "session.manifest_written": "the manifest is in the folder, the journal is not",
    "session.journal_opened": "the journal is there, without an entry",
    "session.started": "everything runs; nothing of it is committed yet",
    "session.ending": "no turn comes any more; the end is not journaled",
    "session.ended": "the end is journaled and durable; the files are still open",
    "session.closed": "the journal is closed; the artifacts are not finished",
    "session.finished": "all files are written",
    "journal.encoded": "a batch is encoded",
    "journal.states_taken": "the states that go with a batch are taken",
    "journal.committing": "a batch is about to be handed to SQLite",
    "journal.committed": "a batch is durable, and nobody knows yet",
    "journal.answered": "who waited for a batch is told, and has not run yet",
    "journal.projected": "the sinks have a batch",
    "journal.checkpointed": "the write-ahead log has been moved into the file",
    "file.written": "the new content of a file is beside it, synced",
    "file.renamed": "the new content has the file's name, which is not synced",
    "file.replaced": "a file is replaced, and its name synced",
    "order.recording": "an order is approved and named, and its record is in no journal",
    "order.recorded": "an order's record is durable, and the last look not taken",
    "order.leaving": "an order has passed the last look, and is not handed over",
    "order.left": "an order is with the broker, and its report not journaled",
    "request.leaving": "an order or a cancel has its turn at a real venue, and is not on the wire",
    "request.answered": "its answer has come, or that there is none, and nothing is done with it",
    "stream.came": "a message of the private stream has come in, and is not read",
    "venue.received": "news of the venue has come in, and nothing is done with it",
    "venue.booking": "a fill has moved its order, and is not in the ledger",
    "venue.booked": "a fill is in the ledger, and in no journal",
    "kill.announced": "a kill is taken, in memory only",
    "kill.latched": "a kill is durable, and not acknowledged",
    "holds.writing": "the register of holds is about to be written",
    "holds.written": "the register of holds is durable",
}
"""Every point there is, and what is true at it."""

Passing = Callable[[str], None]


class UnknownPoint(ValueError):
    """The environment asks for a point that there is not; the message lists those there are."""


def passing_of(environ: MutableMapping[str, str], die: Callable[[], object]) -> Passing:
    """
    Return what to call with a point's name at each passing; our settings leave ``environ``.

    Raises ``UnknownPoint`` for what they cannot mean.
    """
    wanted = environ.pop(CRASH_AT, "")
    file = environ.pop(CRASH_COUNT, "")
    if not wanted and not file:
        return _nothing
    point, at = _parsed(wanted) if wanted else ("", 0)
    count = itertools.count(1)  # next() is one step, whichever threads pass
    descriptor = (
        os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600) if file else -1
    )

    def passing(name: str) -> None:
        assert name in POINTS, f"{name} is no crash point"
        if descriptor >= 0:
            os.write(descriptor, f"{name}\n".encode())
        if name == point and next(count) == at:
            die()

    return passing


def passings(file: Path) -> Counter[str]:
    """Return how often each point was passed, out of a file of ``TIDEGATE_CRASH_COUNT``."""
    return Counter(file.read_text("utf-8").splitlines())


def occurrences(counted: Mapping[str, int]) -> Iterator[str]:
    """Yield every value of ``TIDEGATE_CRASH_AT`` that a run like the counted one would die at."""
    for point in POINTS:
        for number in range(1, counted.get(point, 0) + 1):
            yield f"{point}:{number}"


def listing() -> str:
    """Return the points, a line each, with what is true there."""
    width = max(map(len, POINTS))
    return "".join(f"{point:<{width}}  {what}\n" for point, what in POINTS.items())


def _parsed(wanted: str) -> tuple[str, int]:
    point, colon, number = wanted.partition(":")
    if point not in POINTS:
        raise UnknownPoint(f"{CRASH_AT}: {point!r} is no crash point; there are:\n{listing()}")
    if colon and (not number.isdecimal() or int(number) < 1):
        raise UnknownPoint(f"{CRASH_AT}: found {number!r}, expected a passing's number, from 1\n")
    return point, int(number) if colon else 1


def _nothing(_name: str) -> None:
    """Pass a point of a process that is not to die."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _armed() -> Passing:
    try:
        return passing_of(os.environ, _die)
    except UnknownPoint as error:
        sys.stderr.write(str(error))
        raise SystemExit(EXIT_USAGE) from None


passing: Final[Passing] = _armed()
"""To be called with a point's name wherever that point is."""


if __name__ == "__main__":
    sys.stdout.write(listing())
