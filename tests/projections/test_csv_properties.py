"""Random lives of orders: every one has its row, in order of creation, in flat memory."""

from __future__ import annotations

import csv
import io
import random
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from session_makers import MINUTE, Tape, entries_of, reread, write_csv

from messages import Cause, Intent, OrderEvent, OrderStatus, ReasonCode, Side
from state.projections import CsvArtifacts, SummaryProjection, summary_json

ENDS = {
    "cancel": (OrderEvent.CANCELLED, OrderStatus.CANCELLED),
    "reject": (OrderEvent.REJECTED, OrderStatus.REJECTED),
    "expire": (OrderEvent.EXPIRED, OrderStatus.EXPIRED),
    "suppress": (OrderEvent.SUPPRESSED, OrderStatus.SUPPRESSED),
}


class Lives:
    """A tape of orders that live side by side, and what must be in their rows."""

    def __init__(self) -> None:
        self.tape = Tape(cash="1000000")
        self.statuses: dict[str, str] = {}
        self.fills = 0
        self._new: list[Intent] = []
        self._live: list[str] = []

    def step(self, action: str, which: int) -> None:
        """Do one thing to one order, if there is one that it can be done to."""
        self.tape.now += 1
        if action == "new":
            intent = self.tape.intent(Side.BUY, "4")
            self._new.append(intent)
            self.statuses[intent.intent_id] = "intended"
        elif action == "deny" and self._new:
            intent = self._new.pop(which % len(self._new))
            self.tape.deny(intent, Cause(ReasonCode.HELD))
            self.statuses[intent.intent_id] = "denied"
        elif action == "journal" and self._new:
            intent = self._new.pop(which % len(self._new))
            self.tape.journal(intent)
            self._live.append(intent.intent_id)
            self.statuses[intent.intent_id] = "journaled"
        elif action == "accept" and self._live:
            order_id = self._live[which % len(self._live)]
            if self.statuses[order_id] == "journaled":
                self.tape.accept(order_id)
                self.statuses[order_id] = "accepted"
        elif action == "part" and self._live:
            order_id = self._live[which % len(self._live)]
            self.tape.fill(order_id, "100", "1")
            self._count_fill(order_id)
        elif action == "fill" and self._live:
            order_id = self._live[which % len(self._live)]
            self.tape.fill(order_id, "100")
            self._count_fill(order_id)
        elif action in ENDS and self._live:
            order_id = self._live.pop(which % len(self._live))
            event, status = ENDS[action]
            self.tape.report(order_id, event, status, cause=Cause(ReasonCode.CANCEL_REQUESTED))
            self.statuses[order_id] = status.value

    def _count_fill(self, order_id: str) -> None:
        self.fills += 1
        filled = self.tape._filled[order_id] == 4
        self.statuses[order_id] = "filled" if filled else "partially_filled"
        if filled:
            self._live.remove(order_id)


ACTIONS = st.sampled_from(["new", "new", "deny", "journal", "accept", "part", "fill", *ENDS])


@settings(max_examples=80)
@given(st.lists(st.tuples(ACTIONS, st.integers(0, 99)), max_size=120), st.integers(1, 9))
def test_every_order_has_one_row_in_order_of_creation(
    steps: list[tuple[str, int]], batch: int
) -> None:
    """Whatever the interleaving: one row an order with its last status, one row a fill."""
    lives = Lives()
    for action, which in steps:
        lives.step(action, which)
    entries = lives.tape.entries()
    with TemporaryDirectory() as folder:
        files = write_csv(Path(folder, "a"), entries, batch=batch)
        again = write_csv(Path(folder, "b"), reread(entries))
    orders = list(csv.DictReader(io.StringIO(files["orders.csv"])))

    assert list(lives.statuses.items()) == [(row["order_id"], row["status"]) for row in orders]
    assert lives.fills == files["trades.csv"].count("\n") - 1
    assert files == again

    summary = SummaryProjection()
    summary.write(entries)
    counts = summary_json(summary.summary())["orders"]
    statuses = list(lives.statuses.values())
    assert {status: statuses.count(status) for status in set(statuses)} == counts


def test_memory_does_not_grow_with_the_number_of_orders(tmp_path: Path) -> None:
    """After five thousand orders, forty-five thousand more leave nothing behind."""
    batches = []
    tape, rng = Tape(), random.Random(1)
    for _ in range(5):
        for _ in range(500):
            tape.now += MINUTE
            for side in (Side.BUY, Side.SELL):
                tape.market(side, "1", str(100 + rng.randrange(900) / 100), fee="0.1")
        batches.append(entries_of(tape.messages))
        tape.messages.clear()
    artifacts, summary = CsvArtifacts(tmp_path), SummaryProjection()
    sizes: list[int] = []
    tracemalloc.start()
    try:
        for _ in range(10):  # finished orders are forgotten, so their ids may come again
            for batch in batches:
                artifacts.write(batch)
                summary.write(batch)
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    artifacts.close()

    assert 50_000 == (tmp_path / "orders.csv").read_bytes().count(b"\n") - 1
    assert sizes[-1] - sizes[0] < 200_000
    assert sizes[-1] < 1_500_000
