"""Whole sessions in memory: bars and strategies in few words, every journal entry kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from random import Random
from typing import Any, TypeVar, cast

from actors.assembly import StrategySpec
from actors.risk import RiskLimits
from actors.runtime import Actor, Cell
from actors.runtime.cell import Handler
from actors.runtime.entropy import Tape
from actors.runtime.schedule import QueuedDispatcher
from actors.spec import SessionSpec
from actors.turns import Session
from actors.unpaced import drive
from brokers.matching import EngineConfig
from feeds.contract import BarFeed, Group
from feeds.memory import MemoryFeed
from messages import (
    EVERYTHING,
    Bar,
    ExecutionReport,
    HoldMode,
    Message,
    OrderEvent,
    Scope,
)
from state.instruments import Instrument
from state.journal import Entry, Journal, decode_line
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Intents

START = 1_704_067_200_000  # 2024-01-01T00:00:00Z
MINUTE = 60_000
DAY = 86_400_000
BTC = "BTC/USDT"
ETH = "ETH/USDT"
PERP = "BTC/USDT:USDT"

Kind = TypeVar("Kind", bound=Message)


# -- market


def make_bar(
    symbol: str, at: int, price: float, *, open_: float | None = None, volume: float = 1000.0
) -> Bar:
    """Return a bar from ``open_`` to ``price`` (its close) that opens at ``at``."""
    first = price if open_ is None else open_
    return Bar(symbol, at, first, max(first, price), min(first, price), price, volume, MINUTE)


def flat(symbol: str, count: int, price: float = 100.0, *, start: int = START) -> list[Bar]:
    """Return ``count`` minute bars that all stand at ``price``."""
    return [make_bar(symbol, start + i * MINUTE, price) for i in range(count)]


def closes(symbol: str, prices: Iterable[float], *, start: int = START) -> list[Bar]:
    """Return minute bars with these closes, each opening at the close before it."""
    found: list[Bar] = []
    before: float | None = None
    for number, price in enumerate(prices):
        found.append(make_bar(symbol, start + number * MINUTE, price, open_=before))
        before = price
    return found


def walk(symbol: str, count: int, seed: int, *, start: int = START) -> list[Bar]:
    """Return a random walk in cents, a function of ``seed``."""
    chance = Random(f"{seed}:{symbol}")
    cents = 10_000
    found = []
    for number in range(count):
        before, cents = cents, max(100, cents + chance.randrange(-40, 41))
        high = max(before, cents) + chance.randrange(10)
        low = min(before, cents) - chance.randrange(10)
        found.append(
            Bar(
                symbol,
                start + number * MINUTE,
                before / 100,
                high / 100,
                low / 100,
                cents / 100,
                float(chance.randrange(1, 1000)),
                MINUTE,
            )
        )
    return found


# -- strategies

Decide = Callable[["Scripted", Bar], Intents]


class Scripted(Strategy):
    """
    A strategy that does what its ``script`` says, and remembers what it was told.

    ``seen`` and its kind belong to the script, not to the incarnation: they survive restarts.
    """

    uses_plans = True

    def __init__(self, desk: Desk, params: StrategyParams, script: Script) -> None:
        super().__init__(desk, params)
        self.script = script
        script.made.append(self)

    def on_start(self) -> Intents:
        return self.script.on_start(self)

    def on_bar(self, bar: Bar) -> Intents:
        self.script.seen.append(bar)
        return self.script.on_bar(self, bar)

    def on_fill(self, fill: Any) -> Intents:
        self.script.told.append(fill)
        return self.script.on_fill(self, fill)

    def on_order_update(self, report: ExecutionReport) -> Intents:
        self.script.told.append(report)
        return self.script.on_update(self, report)

    def on_order_rejected(self, decision: Any) -> Intents:
        self.script.told.append(decision)
        return self.script.on_refusal(self, decision)

    def snapshot(self) -> dict[str, Any]:
        return self.script.snapshot(self)

    def restore(self, state: Mapping[str, Any]) -> None:
        self.script.restored.append(dict(state))


def _nothing(_strategy: Scripted, _message: Any) -> Intents:
    return None


@dataclass
class Script:
    """What one scripted strategy does in each hook; hooks take (strategy, message)."""

    on_bar: Callable[[Scripted, Bar], Intents] = _nothing
    on_fill: Callable[[Scripted, Any], Intents] = _nothing
    on_update: Callable[[Scripted, Any], Intents] = _nothing
    on_refusal: Callable[[Scripted, Any], Intents] = _nothing
    on_start: Callable[[Scripted], Intents] = lambda _strategy: None
    snapshot: Callable[[Scripted], dict[str, Any]] = lambda _strategy: {}
    made: list[Scripted] = field(default_factory=list)
    seen: list[Bar] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    restored: list[dict[str, Any]] = field(default_factory=list)

    def spec(self, name: str = "one", symbols: Sequence[str] = (BTC,)) -> StrategySpec:
        """Return this script as a strategy of a session."""
        return StrategySpec(
            name,
            lambda desk, params: Scripted(desk, params, self),
            StrategyParams(),
            tuple(symbols),
        )

    @property
    def desk(self) -> Desk:
        """Return the desk, which all incarnations share."""
        return self.made[-1].desk


def on_bars(plans: Mapping[int, Callable[[Desk], Iterable[Any]]]) -> Script:
    """Return a script that returns, at its nth bar (from 0), what the plan of n makes."""
    script = Script()

    def decide(strategy: Scripted, _bar: Bar) -> Intents:
        plan = plans.get(len(script.seen) - 1)
        return None if plan is None else tuple(plan(strategy.desk))

    script.on_bar = decide
    return script


# -- sessions


class Keep:
    """A sink that keeps every line."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, entries: Sequence[Entry], lines: bytes) -> None:
        self.lines.extend(lines.splitlines(keepends=True))

    def close(self) -> None:
        """Nothing to close."""


class World:
    """One session, driven in virtual time, and everything that it journaled."""

    def __init__(self, spec: SessionSpec, tape: Tape | None = None) -> None:
        """Put the session of ``spec`` together; it has not started yet."""
        self.spec = spec
        self.sink = Keep()
        self.journal = Journal([self.sink])
        self._opened = iter(spec.feed.groups())
        first = next(self._opened)
        self._opened = chain((first,), self._opened)
        self.session = Session(spec, "test-abc", self.journal, first)
        self.assembly = self.session.assembly
        if tape is not None:
            cast("QueuedDispatcher", self.assembly.dispatcher).tape = tape
        self._before: dict[int, list[Callable[[World], object]]] = {}
        self._entries: list[Entry] = []

    # -- before the start

    def cell(self, name: str) -> Cell:
        """Return an actor's cell by name."""
        return self.assembly.dispatcher.cells[name]

    def before_turn(self, turn: int, act: Callable[[World], object]) -> World:
        """Call ``act`` right before the turn of that number (from 0)."""
        self._before.setdefault(turn, []).append(act)
        return self

    def hold_between(
        self,
        first: int,
        last: int,
        name: str,
        mode: HoldMode = HoldMode.REFUSE,
        scope: Scope = EVERYTHING,
    ) -> World:
        """Place a hold before turn ``first`` and lift it before turn ``last``."""
        supervisor = self.assembly.supervisor

        def place(_world: World) -> None:
            supervisor.hold_open(name, "a test", mode=mode, scope=scope, set_by="test")

        def lift(_world: World) -> None:
            supervisor.lift(name, "test", "the test is over")

        return self.before_turn(first, place).before_turn(last, lift)

    def poison(
        self,
        name: str,
        kind: type[Message],
        *,
        when: Callable[[Any, int], bool] = lambda _message, count: count == 1,
        error: Callable[[], Exception] = lambda: RuntimeError("poison"),
    ) -> list[Any]:
        """
        Make the handler of ``kind`` raise whenever ``when(message, count)`` says so.

        ``count`` counts the messages of the kind over all incarnations, from 1. Returns the list
        of the messages that it saw.
        """
        seen: list[Any] = []
        cell = self.cell(name)
        make = cell.factory

        def poisoned() -> Actor:
            actor = make()
            inner = actor.handlers

            def handlers() -> Mapping[type[Message], Handler]:
                found = dict(inner())
                handle = found[kind]

                def guarded(message: Any) -> Any:
                    seen.append(message)
                    if when(message, len(seen)):
                        raise error()
                    return handle(message)

                found[kind] = guarded
                return found

            setattr(actor, "handlers", handlers)  # noqa: B010 - a method of one instance
            return actor

        cell.factory = poisoned
        return seen

    # -- running

    def run(self) -> World:
        """Start, let every turn happen, finish, as the runner of a replay does."""
        return self.run_out(calm=False)

    def run_out(self, *, calm: bool) -> World:
        """Run as ``run`` does, with a calm moment before the end if asked for."""
        self.start()
        self.play()
        if calm:
            self.calm_down()
        self.finish()
        return self

    def start(self) -> None:
        """Start the session."""
        self.session.start()

    def play(self) -> None:
        """Let every turn happen."""
        drive(self.session, self._turns(), lambda _count: None)

    def _turns(self) -> Iterator[Group]:
        # Outside the feed's own iterator: what a test raises here is not the feed's failure.
        for number, group in enumerate(self.session.groups(self._opened)):
            for act in self._before.get(number, ()):
                act(self)
                self.assembly.dispatcher.settle_all()
            yield group

    def calm_down(self) -> None:
        """Let the restarts that are on their way happen before the session ends."""
        clock = self.assembly.clock
        until = clock.now + 70_000
        while self.session.fire_next(until):
            self.assembly.dispatcher.settle_all()

    def finish(self) -> None:
        """End the session and its journal."""
        halted = self.session.halted is not None
        self.session.finish("halted" if halted else "completed", 6 if halted else 0)
        self.journal.close()

    # -- what came of it

    @property
    def lines(self) -> bytes:
        """Return the journal's text."""
        if not self.journal_closed:
            self.journal.flush()
        return b"".join(self.sink.lines)

    @property
    def journal_closed(self) -> bool:
        """Return whether the session has ended."""
        return bool(self.sink.lines) and b'"type":"SessionEnded"' in self.sink.lines[-1]

    @property
    def entries(self) -> list[Entry]:
        """Return every entry so far, decoded."""
        if not self.journal_closed:
            self.journal.flush()
        for line in self.sink.lines[len(self._entries) :]:
            self._entries.append(decode_line(line))
        return self._entries

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return every journaled message of a class, in order."""
        return [entry.message for entry in self.entries if isinstance(entry.message, kind)]

    def reports(self, order_id: str | None = None) -> list[ExecutionReport]:
        """Return the execution reports, of one order if it is named."""
        return [
            report
            for report in self.all(ExecutionReport)
            if order_id is None or report.order_id == order_id
        ]

    def life(self, order_id: str) -> list[str]:
        """Return the events of one order in order, as text."""
        return [report.event.value for report in self.reports(order_id)]

    def sent(self) -> list[str]:
        """Return the ids of the orders that left, in order of leaving."""
        return [r.order_id for r in self.reports() if r.event is OrderEvent.SENT]

    def story(self) -> list[str]:
        """Return the kinds of all entries: a failure shows where two runs part."""
        return [type(entry.message).__name__ for entry in self.entries]


def instruments_of(
    symbols: Iterable[str], fee_bps: Decimal = Decimal(0), **rules: Any
) -> dict[str, Instrument]:
    """Return permissive instruments, with ``rules`` set on each."""
    return {
        symbol: replace(Instrument.permissive(symbol, fee_bps, currency="USDT"), **rules)
        for symbol in symbols
    }


def make_spec(
    feed: BarFeed,
    *strategies: StrategySpec,
    cash: Decimal | int = 1_000_000,
    instruments: Mapping[str, Instrument] | None = None,
    limits: RiskLimits | None = None,
    queued: bool = False,
    **engine: Any,
) -> SessionSpec:
    """Return a session's spec over ``feed`` with generous cash and no limits."""
    return SessionSpec(
        "replay",
        "default",
        42,
        feed,
        strategies,
        instruments if instruments is not None else instruments_of(feed.symbols),
        "USDT",
        Decimal(cash),
        EngineConfig(trade_tag="abc", **engine),
        limits if limits is not None else RiskLimits(),
        queued=queued,
    )


def make_world(
    bars: Sequence[Bar] | Mapping[str, Sequence[Bar]],
    *strategies: StrategySpec,
    tape: Tape | None = None,
    **settings: Any,
) -> World:
    """Return the world of a session over ``bars``, of one symbol or by symbol."""
    by_symbol = bars if isinstance(bars, Mapping) else {bars[0].symbol: bars}
    if tape is not None:
        settings["queued"] = True
    return World(make_spec(MemoryFeed(by_symbol), *strategies, **settings), tape)
