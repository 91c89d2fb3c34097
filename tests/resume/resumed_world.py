"""
Sessions that lose their process: cut at any batch of their journal, and gone on with.

``Process`` drives a session as ``actors.paced`` does, in virtual time: entries and states are
written together wherever a live session's journal may take a batch, and ``cut_at`` ends the process
right after one of them. What the disk has then is all that the next ``Process`` is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any

from session_world import Keep
from workloads import Step, act

from actors.assembly import StrategySpec, no_facts
from actors.execution.books import UNANSWERED
from actors.feed import FeedActor
from actors.keeping import Keeper, Recorded
from actors.places import Place
from actors.spec import SessionSpec
from actors.turns import Session
from feeds.contract import Group
from messages import Bar, ExecutionReport, Fill, Hold, Message, OrderEvent, Reconciled, Side
from state.journal import Entry, Journal, decode_line
from state.register import RECOVERING_HOLD, outliving
from strategies import Strategy, StrategyParams
from strategies.contract import Intents, Rejection


class Cut(BaseException):
    """The process is gone. No ``Exception``: nothing on the way may survive it."""


@dataclass
class Disk:
    """What survives a process: entries and, after the last of them, every part's state."""

    lines: list[bytes] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)
    register: tuple[Hold, ...] = ()
    acted: set[int] = field(default_factory=set)
    """The turns before which something from outside has happened: it does so once."""

    @property
    def entries(self) -> list[Entry]:
        """Return the entries, decoded."""
        return [decode_line(line) for line in self.lines]


Act = Callable[["Process"], object]


class Process:
    """One process of a session over ``disk``, which it begins or goes on with."""

    def __init__(
        self,
        spec: SessionSpec,
        disk: Disk,
        *,
        cut_at: int = -1,
        stop_at: int = -1,
        acts: Mapping[int, Act] | None = None,
        session_id: str = "test-abc",
    ) -> None:
        """
        Put it together; ``cut_at`` is the batch, from 0, after which it dies (-1: never).

        ``stop_at`` is the turn before which somebody asks for its end, which is an orderly one.
        """
        self.spec, self.disk = spec, disk
        self.cut_at, self.stop_at, self.acts = cut_at, stop_at, acts or {}
        self.stopped_at: Place | None = None
        self.batches = 0
        self.seen: list[tuple[int, int]] = []
        """(batch, turns before it) of every one."""
        self.sure: list[tuple[int, int]] = []
        """(batch, turns before it) of those at which no order was on its way to the venue."""
        self.unsure = False
        """Whether one was when it died."""
        self.sink = Keep()
        self.journal = Journal([self.sink])
        recorded: Recorded | None = None
        first: Group = ()
        if disk.lines:
            facts = no_facts(
                spec.strategies, spec.instruments, currency=spec.currency, cash=spec.cash
            ).fold_all(disk.entries)
            recorded = Recorded(facts, disk.states)
            self.journal.seq = facts.seq
            self._opened = FeedActor(spec.feed).groups(recorded.last_bar_at)
        else:
            opened = iter(spec.feed.groups())
            first = next(opened)
            self._opened = chain((first,), opened)
        self.session = Session(spec, session_id, self.journal, first, recorded)
        self.assembly = self.session.assembly
        self.session.listen()
        keeper = Keeper(self.session)
        self._states = keeper.states
        disk.states = {} if recorded is None else dict(disk.states)
        held = {hold.hold_id: hold for hold in disk.register}
        if recorded is not None:
            for hold in outliving(recorded.facts.holds_at(recorded.clock)).values():
                held.setdefault(hold.hold_id, hold)
        self._held = tuple(held.values())

    # -- running

    def run(self) -> Process:
        """Live to the end, or to the cut."""
        try:
            self.session.start(self._held)
            self.batch()
            self.commit()
            self._turns()
            self._account_for()
            otherwise = "completed" if self.stopped_at is None else "interrupted"
            outcome, exit_code = self.session.outcome(otherwise)
            self.session.finish(outcome, exit_code, self.stopped_at)
            self.commit()
        except Cut:
            pass
        return self

    def _turns(self) -> None:
        session = self.session
        clock = session.assembly.clock
        minute = self.spec.feed.timeframe_ms
        for group in session.groups(self._opened):
            at = group[0].timestamp + minute
            if session.turns == self.stop_at:
                self.stopped_at = session.place
                return
            while clock.next_timer_at < at:
                due = clock.pop_due(at - 1)
                assert due is not None, "a timer is due"
                clock.advance(due[0])
                due[1](due[0])
                self.commit()
            if session.must_end():
                return
            happens = self.acts.get(session.turns)
            if happens is not None and session.turns not in self.disk.acted:
                self.disk.acted.add(session.turns)
                clock.advance(at - 1)  # whatever timers another process has had until then
                happens(self)
                self.commit()
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            self.commit()
            if session.must_end():
                return

    def _account_for(self) -> None:
        if self.stopped_at is not None:
            return
        clock = self.assembly.clock
        until = clock.now + self.spec.doubts.budget_ms
        while self.session.is_unaccounted and (due := clock.pop_due(until)) is not None:
            clock.advance(due[0])
            due[1](due[0])
            self.commit()

    def commit(self) -> None:
        """Settle message by message, a batch after each; let out what waits for one."""
        dispatcher = self.assembly.dispatcher
        self._settle()
        while dispatcher.pending:
            for _ in range(dispatcher.commits_waiting):
                self.batch()
                dispatcher.release_commit()
                self.batch()
                self._settle()
            dispatcher.pending = dispatcher.commits_waiting > 0
        self.batch()

    def _settle(self) -> None:
        dispatcher = self.assembly.dispatcher
        while dispatcher.busy and not dispatcher.settle_for(lambda: True):
            self.batch()

    def batch(self) -> None:
        """Let the disk have what there is by now, as a journal would; die if it is time."""
        self.journal.flush()
        new, self.sink.lines = self.sink.lines, []
        if not new:
            return
        self.disk.lines += new
        for part, state in self._states().items():
            if state is None:
                self.disk.states.pop(part, None)
            else:
                self.disk.states[part] = state
        self.disk.register = tuple(self.assembly.kill.lasting().values())
        unsure = bool(self.assembly.dispatcher.commits_waiting) or any(
            order.status in UNANSWERED for order in self.assembly.books.orders.live()
        )
        self.seen.append((self.batches, self.session.turns))
        if not unsure:
            self.sure.append((self.batches, self.session.turns))
        self.batches += 1
        if self.batches - 1 == self.cut_at:
            self.unsure = unsure
            raise Cut

    # -- what came of it

    def all(self, kind: type[Message]) -> list[Any]:
        """Return every message of a class on the disk."""
        return [entry.message for entry in self.disk.entries if isinstance(entry.message, kind)]

    def fills(self) -> list[Fill]:
        """Return every fill on the disk, in order."""
        return [report.fill for report in self.all(ExecutionReport) if report.fill is not None]

    def outcome(self) -> dict[str, Any]:
        """Return all that two runs of a session must agree on."""
        assembly = self.assembly
        holds = {
            name: (hold.mode, hold.scope, hold.cause, hold.since, hold.until)
            for name, hold in assembly.holds.view().items()
            if name != RECOVERING_HOLD
        }
        found = {
            "fills": self.fills(),
            "ledger": assembly.books.ledger.snapshot(),
            "holds": holds,
            "books": {name: dict(house.books) for name, house in assembly.core.houses.items()},
            "live": sorted(
                (order.request.order_id, order.status, order.filled)
                for order in assembly.books.orders.live()
            ),
            "memory": {
                **assembly.core.risk_memory.snapshot(),
                "backoffs": (),
            },  # those of strategies
            "desks": {name: house.desk.snapshot() for name, house in assembly.core.houses.items()},
            "plans": {name: house.plans.snapshot() for name, house in assembly.core.houses.items()},
            "backoffs": {
                name: house.memory.backoff or [] for name, house in assembly.core.houses.items()
            },
            "venue": assembly.broker.snapshot(ends=False),
            "track": assembly.track.snapshot(),
            # Without those by holds: for a moment there is one more of them.
            "refusals": {
                code: count for code, count in assembly.refusals.counts.items() if code != "held"
            },
            "quarantined": dict(assembly.supervisor.quarantined),
            "turns": self.session.turns,
            "minimums": dict(assembly.core.risk_memory.minimums),
        }
        return {name: _plain(part) for name, part in found.items()}


def _plain(value: Any) -> Any:
    """Return a value in which 1.50 is 1.5: a sum that begins anew has other zeros at its end."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Decimal():
            return value.normalize()
        case str() if _NUMBER.fullmatch(value):
            return Decimal(value).normalize()
        case _:
            return value


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(E[-+]?[0-9]+)?")


def check_sound(process: Process) -> None:
    """Check what must hold after a restart in every case: books = venue, nothing twice or lost."""
    messages = [entry.message for entry in process.disk.entries]
    seqs = [entry.seq for entry in process.disk.entries]
    assert list(range(1, len(seqs) + 1)) == seqs
    closing = [m for m in messages if isinstance(m, Reconciled) and m.occasion == "close"]
    assert closing, "the session was compared with its venue at its end"
    assert () == tuple(closing[-1].differences)
    trades = [fill.trade_id for fill in process.fills()]
    assert len(set(trades)) == len(trades), "a trade twice"
    sent = [
        m.order_id
        for m in messages
        if isinstance(m, ExecutionReport) and m.event is OrderEvent.SENT
    ]
    assert len(set(sent)) == len(sent), "an order sent twice"
    assert RECOVERING_HOLD not in process.assembly.holds.view(), "it is still recovering"


def run_cut(
    make: Callable[[], SessionSpec], cuts: Iterable[int], acts: Mapping[int, Act] | None = None
) -> tuple[Process, bool]:
    """Run a session whose processes die at ``cuts``; return the last one, and if any was unsure."""
    disk, unsure = Disk(), False
    for cut_at in chain(cuts, (-1,)):
        process = Process(make(), disk, cut_at=cut_at, acts=acts).run()
        unsure = unsure or process.unsure
        if process.batches - 1 != cut_at:
            return process, unsure
    return process, unsure


def run_stopped(
    make: Callable[[], SessionSpec], stops: Iterable[int], acts: Mapping[int, Act] | None = None
) -> Process:
    """Run a session that is stopped in order before each turn of ``stops``, and gone on with."""
    disk = Disk()
    for stop_at in chain(stops, (-1,)):
        process = Process(make(), disk, stop_at=stop_at, acts=acts).run()
    return process


# -- a strategy that remembers in its snapshot alone


class Trader(Strategy):
    """Takes the steps of ``workloads`` and reacts as its trader does; all it knows it snapshots."""

    uses_plans = True

    def __init__(self, desk: Any, params: StrategyParams, steps: Sequence[Step]) -> None:
        """Take ``steps``."""
        super().__init__(desk, params)
        self.by_bar: dict[int, list[Step]] = {}
        for step in steps:
            self.by_bar.setdefault(step.bar, []).append(step)
        self.seen = self.told = 0
        self.newest = ""

    def on_bar(self, bar: Bar) -> Intents:
        """Take the steps of this bar."""
        self.seen += 1
        return [
            act(self.desk, bar, step, self.newest) for step in self.by_bar.get(self.seen - 1, ())
        ] or None

    def on_fill(self, fill: Fill) -> Intents:
        """Close half of what an opening order brought."""
        self.told += 1
        if fill.side is Side.SELL:
            return None
        return [self.desk.reduce(fill.symbol, Side.SELL, fill.quantity / 2)]

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """Note the newest order that left."""
        self.told += 1
        if report.event is OrderEvent.SENT:
            self.newest = report.order_id
        return None

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """Ask for a smaller one, sometimes."""
        self.told += 1
        if self.told % 3:
            return None
        return [self.desk.open(rejection.symbol, Side.BUY, Decimal("0.25"))]

    def snapshot(self) -> dict[str, Any]:
        """Return what it knows."""
        return {"seen": self.seen, "told": self.told, "newest": self.newest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take that back."""
        self.seen, self.told, self.newest = state["seen"], state["told"], state["newest"]


def trader_spec(steps: Sequence[Step], name: str, symbols: Sequence[str]) -> StrategySpec:
    """Return a trader as a strategy of a session."""
    return StrategySpec(
        name, lambda desk, params: Trader(desk, params, steps), StrategyParams(), tuple(symbols)
    )
