"""A journal's own work comes after an order that is on its way; its promises stay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from journal_makers import T0, Remembering, gap

from state import precedence as precedence_module
from state.journal import Entry
from state.journal.durable import DurableJournal
from state.journal.reader import read_journal
from state.precedence import Precedence


class Ringing(Remembering):
    """A sink that tells when it is shown something: that is durable."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = asyncio.Event()

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        """Take one batch."""
        super().write(entries, lines)
        self.shown.set()


@pytest.fixture(autouse=True)
def nobody_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody go on because it has waited long enough."""
    monkeypatch.setattr(precedence_module, "ASIDE_S", 3_600.0)


@pytest.mark.parametrize("ablated", [False, True])
async def test_projections_step_aside_for_an_order_that_is_durable_and_has_not_left(
    tmp_path: Path, ablated: bool
) -> None:
    """They have the entries as soon as it has; what is durable is durable before."""
    path, sink, precedence = tmp_path / "journal.sqlite", Remembering(), Precedence()
    given = None if ablated else precedence
    journal = await DurableJournal.open(path, sinks=[sink], precedence=given)
    precedence.hold("order")
    journal.append(T0, "execution", "order-1", "bar", gap(0))
    await journal.commit()
    for _ in range(5):
        await asyncio.sleep(0)
    durable, shown = [entry.seq for entry in read_journal(path)], len(sink.entries)
    precedence.release("order")
    for _ in range(5):
        await asyncio.sleep(0)
    later = len(sink.entries)
    await journal.close()

    assert [1] == durable
    assert (1 if ablated else 0) == shown
    assert 1 == later


async def test_a_journal_that_closes_shows_its_sinks_everything(tmp_path: Path) -> None:
    """Whoever is on the way: there is no later moment."""
    sink, precedence = Remembering(), Precedence()
    path = tmp_path / "journal.sqlite"
    journal = await DurableJournal.open(path, sinks=[sink], precedence=precedence)
    precedence.hold("order")
    journal.append(T0, "execution", "order-1", "bar", gap(0))
    await journal.close()

    assert 1 == len(sink.entries)


@pytest.mark.parametrize("ablated", [False, True])
async def test_an_order_takes_along_what_lingers(tmp_path: Path, ablated: bool) -> None:
    """It does not wait for a sync of entries that nobody waits for, and then for its own."""
    path, precedence = tmp_path / "journal.sqlite", Precedence()
    given = None if ablated else precedence
    journal = await DurableJournal.open(path, precedence=given)
    wanted: list[int] = []
    want = journal._want

    def noted(seq: int) -> None:
        wanted.append(seq)
        want(seq)

    journal._want = noted  # type: ignore[method-assign]
    journal.append(T0, "feed", "", "", gap(0))
    assert journal._linger is not None
    journal._linger.cancel()
    precedence.hold("order")
    journal._step_aside()
    before = list(wanted)
    journal.append(T0, "execution", "order-1", "bar", gap(1))
    await journal.commit()
    precedence.release("order")
    await journal.close()

    assert ([1] if ablated else []) == before
    assert [1, 2] == [entry.seq for entry in read_journal(path)]


async def test_what_is_hastened_is_on_its_way_and_nobody_waits(tmp_path: Path) -> None:
    """Asked for again, or with nothing to do, it does nothing."""
    path = tmp_path / "journal.sqlite"
    sink = Ringing()
    journal = await DurableJournal.open(path, sinks=[sink])
    journal.hasten()
    journal.append(T0, "venue:x", "", "", gap(0))
    assert journal._linger is not None
    journal._linger.cancel()
    journal.hasten()
    journal.hasten()
    await sink.shown.wait()
    found = [entry.seq for entry in read_journal(path)]
    await journal.close()

    assert [1] == found
