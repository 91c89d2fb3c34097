"""
Facts kept on the disk, so that a start need not fold a whole journal.

Theory of operation. A session that lives for months has a journal that takes a minute to fold, and
its protection must not wait for that. So the running session folds its own entries too, once they
are durable, and every ``FACTS_KEPT_EVERY`` of them the result goes into the journal's states, in
the transaction of the batch that comes next. A start takes the newest one and folds the entries
after it: time and memory are those of the interval, however long the journal is.

A snapshot is believed only if all of this holds, else the whole journal is folded as if there were
none: it is of this version and of this very form, its checksum is right, the entry after which it
says to hold is in the journal, byte for byte, and its ledger balances. Nothing is lost by one that
is not believed but time. A snapshot is never ahead of the disk: only durable entries are folded.

That the running session folds beside its own books makes a second use of it: an entry that
contradicts those before it is told of at once, and not at the start after the next crash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import msgspec
import structlog

from messages import (
    BackoffChanged,
    Hold,
    MinimumOrder,
    PortfolioMarked,
    SessionEnded,
    SnapshotTaken,
)
from state.facts import Facts, FactsDiffer
from state.journal import Entry, decode_line, encode_lines
from state.journal.limits import FACTS_KEPT_EVERY
from state.ledger import LedgerError
from state.orders import KeptOrders

FACTS_VERSION: Final = 1
"""
Version of what the facts mean; to be raised where the fold comes to other facts by the same
entries. A change of their form is noticed without it.
"""

FACTS_PART: Final = "facts"
"""The part of the journal's states that has the newest snapshot."""

_MAGIC: Final = b"tidegate-facts"


class SnapshotUnusable(Exception):
    """A snapshot of facts is not to be believed; the message says why."""


class KeptOutside(msgspec.Struct, frozen=True):
    """What was adopted: see ``state.outside.Outside``."""

    watched: list[str]
    fees: Decimal
    funding: Decimal
    adopted: int


class KeptFacts(msgspec.Struct, frozen=True):
    """Everything that ``Facts`` has; ``last_line`` is the entry after which it holds."""

    last_line: str
    session_id: str
    starts: int
    ended: SessionEnded | None
    account: PortfolioMarked | None
    causation: str
    orders: KeptOrders
    ledger: dict[str, Any]
    outside: KeptOutside
    marks: dict[str, Decimal]
    holds: list[Hold]
    last_bars: dict[str, int]
    counters: dict[str, int]
    backoffs: list[BackoffChanged]
    minimums: list[MinimumOrder]
    quarantined: dict[str, str]
    snapshots: list[SnapshotTaken]


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(KeptFacts)


@cache
def version() -> bytes:
    """Return the version of snapshots: of the meaning, and a digest of the form."""
    form = hashlib.sha256(msgspec.json.encode(msgspec.json.schema(KeptFacts), order="sorted"))
    return b"%d.%s" % (FACTS_VERSION, form.hexdigest()[:12].encode())


def snapshot_of(facts: Facts) -> bytes:
    """Return the facts after an entry (not before the first) with version and checksum."""
    assert facts.last is not None, "there are no facts before the first entry"
    outside = facts.outside
    payload = _encode(
        KeptFacts(
            encode_lines([facts.last]).decode().rstrip("\n"),
            facts.session_id,
            facts.starts,
            facts.ended,
            facts.account,
            facts.causation,
            facts.orders.kept(),
            facts.ledger.snapshot(),
            KeptOutside(sorted(outside.watched), outside.fees, outside.funding, outside.adopted),
            facts.marks,
            list(facts.holds.values()),
            facts.last_bars,
            facts.counters,
            list(facts.backoffs.values()),
            list(facts.minimums.values()),
            facts.quarantined,
            list(facts.snapshots.values()),
        )
    )
    return b" ".join((_MAGIC, version(), checksum(payload), payload))


def checksum(payload: bytes) -> bytes:
    """Return the checksum of a snapshot's content."""
    return hashlib.sha256(payload).hexdigest().encode()


def restore_facts(facts: Facts, snapshot: bytes) -> bytes:
    """
    Give ``facts``, which are new, what ``snapshot_of`` kept; return the line of its last entry.

    Raises ``SnapshotUnusable``; then ``facts`` are of no use. That the line is the journal's is
    the caller's to see.
    """
    magic, _, rest = snapshot.partition(b" ")
    found, _, rest = rest.partition(b" ")
    if magic != _MAGIC:
        raise SnapshotUnusable("it is no snapshot of facts")
    if found != version():
        raise SnapshotUnusable(f"it is of version {found!r}, expected {version()!r}")
    summed, _, payload = rest.partition(b" ")
    if summed != checksum(payload):
        raise SnapshotUnusable("its checksum is wrong")
    try:
        kept = _decoder.decode(payload)
        last = decode_line(kept.last_line)
        facts.ledger.restore(kept.ledger)
    except (msgspec.DecodeError, LedgerError) as error:
        raise SnapshotUnusable(str(error)) from error
    facts.orders.restore(kept.orders)
    outside = kept.outside
    facts.outside.watched.update(outside.watched)
    facts.outside.fees, facts.outside.funding = outside.fees, outside.funding
    facts.outside.adopted = outside.adopted
    facts.last, facts.seq, facts.clock = last, last.seq, last.ts
    facts.session_id, facts.starts, facts.ended = kept.session_id, kept.starts, kept.ended
    facts.account, facts.causation = kept.account, kept.causation
    facts.marks, facts.last_bars, facts.counters = kept.marks, kept.last_bars, kept.counters
    facts.holds = {hold.hold_id: hold for hold in kept.holds}
    facts.backoffs = {(each.strategy, each.symbol, each.family): each for each in kept.backoffs}
    facts.minimums = {each.symbol: each for each in kept.minimums}
    facts.quarantined = kept.quarantined
    facts.snapshots = {each.actor: each for each in kept.snapshots}
    return kept.last_line.encode()


class FactsKeeper:
    """A live journal's sink that folds what is durable, and says when the facts are to be kept."""

    def __init__(self, facts: Facts, kept: bytes | None = None) -> None:
        """Go on after ``facts``, which are its own from here; ``kept`` is their snapshot."""
        self.facts = facts
        self.differ = False
        """Whether an entry has contradicted those before it; nothing is kept from then on."""
        self._kept_seq = facts.seq
        self._due = kept

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """
        Fold one batch.

        A contradiction is told of and ends the keeping, not the session: what the session holds
        must still be got out of. The next start folds everything, and names the entry.
        """
        del lines
        if self.differ:
            return
        try:
            self.facts.fold_all(entries)
        except FactsDiffer as error:
            self.differ = True
            structlog.get_logger("journal").error("facts_differ", error=str(error))

    def close(self) -> None:
        """Do nothing: the file is the journal's."""

    def due(self, *, patient: bool = False) -> bytes | None:
        """
        Return the snapshot to be kept with the next batch, ``None`` where none is due.

        Whoever is ``patient`` waits for a better moment until it is due for the second time.
        """
        due, self._due = self._due, None
        every = FACTS_KEPT_EVERY * (1 + patient)
        if due is None and not self.differ and self.facts.seq - self._kept_seq >= every:
            self._kept_seq = self.facts.seq
            due = snapshot_of(self.facts)
        return due
