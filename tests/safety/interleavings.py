"""
Random sessions in which everything that can hold, kill, lift, fail and wait does so at random.

    python tests/safety/interleavings.py SEED      what happened under one seed, line by line

One seed is one *plot*: what two strategies ask for, what an operator says and when, which handlers
fail, how long commits take, in which order messages step (a tape), and a restart through the
register of holds. What must never happen is seen by the judge in ``interleaving_judge``.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, cast

if __name__ == "__main__":  # as a script it finds its neighbours itself
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here), str(here.parent / "runtime"), str(here.parents[1])]

from interleaving_judge import Judge, Violation, WatchedVenue
from safety_world import silent
from session_world import (
    BTC,
    ETH,
    MINUTE,
    START,
    Script,
    Scripted,
    closes,
    instruments_of,
    make_spec,
)

from actors.commands import Request
from actors.runtime.entropy import SeededTape
from actors.runtime.schedule import QueuedDispatcher
from actors.spec import SessionSpec
from actors.turns import Session
from brokers.matching import MatchingEngine
from feeds.memory import MemoryFeed
from messages import (
    ApprovedOpen,
    CommandVerb,
    DeadLetter,
    ExecutionPolicy,
    ExecutionReport,
    Hold,
    HoldMode,
    HoldPlaced,
    Intent,
    KillReport,
    Message,
    OpenIntent,
    OrderEvent,
    OrderType,
    RiskDecision,
    Scope,
    Side,
    Verdict,
)
from state.register import HoldRegister, outliving
from strategies.contract import Rejection

ONE = Decimal(1)
NAMES = ("one", "two")
SYMBOLS = (BTC, ETH)
BARS = 4
LIMIT = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(99))
FAR = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
SCOPES = (
    *[Scope()] * 6,
    Scope(venue="paper"),
    Scope(venue="elsewhere"),
    Scope(strategy="one"),
    Scope(strategy="two"),
    Scope(symbol=BTC),
    Scope(symbol=ETH),
    Scope(side="long"),
    Scope(side="short"),
    Scope(strategy="one", side="long"),
    Scope(strategy="two", symbol=ETH),
)


class Found(AssertionError):
    """A violation and how to see it again."""


@cache
def base_spec() -> SessionSpec:
    """Return what all plots have in common; strategies and broker are put in."""
    prices = [100.0, 101.0, 98.0, 100.0, 102.0, 99.0, 100.0]
    market = {symbol: closes(symbol, prices[: BARS + 1]) for symbol in SYMBOLS}
    return make_spec(MemoryFeed(market), instruments=instruments_of(SYMBOLS), cash=100_000)


def trader(chance: Random) -> Script:
    """Return a strategy that asks for this and that, reacts to what it is told, and fails."""
    script = Script()
    eager = chance.random() < 0.5
    fails = chance.random() < 0.15

    def ask(strategy: Scripted, symbol: str) -> Any:
        desk, dice = strategy.desk, chance.random()
        if dice < 0.35:
            return desk.open(symbol, Side.BUY, ONE)
        if dice < 0.6:
            return desk.open(symbol, Side.BUY, ONE, policy=FAR if dice < 0.45 else LIMIT)
        if dice < 0.7:
            return desk.open(symbol, Side.BUY, ONE, valid_until=desk.now + MINUTE)
        if dice < 0.85:
            return desk.reduce(symbol, Side.SELL, max(ONE, desk.position(symbol)))
        return desk.cancel(symbol)

    def on_bar(strategy: Scripted, bar: Any) -> Any:
        if fails and chance.random() < 0.2:
            raise RuntimeError("planted in a strategy")
        return [ask(strategy, bar.symbol) for _ in range(chance.randrange(3))]

    def on_refusal(strategy: Scripted, decision: Any) -> Any:
        if eager and chance.random() < 0.4:
            return [strategy.desk.open(decision.symbol, Side.BUY, ONE)]
        return None

    def on_fill(strategy: Scripted, fill: Any) -> Any:
        if eager and chance.random() < 0.3:
            return [strategy.desk.open(fill.symbol, Side.BUY, ONE)]
        return None

    script.on_bar, script.on_refusal, script.on_fill = on_bar, on_refusal, on_fill
    return script


class Plot:
    """One seed's session, its restart included."""

    def __init__(self, seed: int, register: HoldRegister) -> None:
        """Put together what ``seed`` says."""
        self.chance = Random(seed)
        self.seed = seed
        self.register = register
        self.tape = SeededTape(seed) if self.chance.random() < 0.4 else None
        self.scripts = {name: trader(self.chance) for name in NAMES}
        self.failures = 0
        self.calm = False
        self.judge = Judge()
        self.session = self._session(self.judge)
        self.errands_at: Counter[int] = Counter()

    def _session(self, judge: Judge) -> Session:
        strategies = tuple(script.spec(name, SYMBOLS) for name, script in self.scripts.items())

        def venue(engine: MatchingEngine) -> WatchedVenue:
            broker = WatchedVenue(engine)
            broker.judge = judge
            return broker

        spec = replace(
            base_spec(), strategies=strategies, broker=venue, queued=self.tape is not None
        )
        self._groups = iter(spec.feed.groups())
        first = next(self._groups)
        session = Session(spec, "plot-abc", judge, first)
        self._groups = session.groups(chain((first,), self._groups))
        dispatcher = session.assembly.dispatcher
        if self.tape is not None:
            cast("QueuedDispatcher", dispatcher).tape = self.tape
        for name, kind in (("risk", OpenIntent), ("execution", ApprovedOpen)):
            self._watch(session, name, kind, judge)
        session.listen()
        return session

    def _watch(self, session: Session, name: str, kind: type[Message], judge: Judge) -> None:
        cell = session.assembly.dispatcher.cells[name]
        make = cell.factory

        def watched() -> Any:
            actor = make()
            handlers = dict(actor.handlers())
            handle = handlers[kind]

            def seen(message: Any) -> Any:
                judge.handled(message)
                if not self.calm and self.chance.random() < 0.02:
                    raise RuntimeError("planted in a handler")
                return handle(message)

            handlers[kind] = seen
            actor.handlers = lambda: handlers  # type: ignore[method-assign]
            return actor

        cell.factory = watched

    # -- what happens

    def run(self) -> bytes:
        """Let it happen, check everything, and return the digest of its trace."""
        chance, session = self.chance, self.session
        for _ in range(chance.randrange(4)):
            self.errands_at[chance.randrange(160)] += 1
        self.judge.on_entry = self._at_entry
        session.start()
        self._settle()
        timeframe = session.spec.feed.timeframe_ms
        for group in self._groups:
            at = group[0].timestamp + timeframe
            self._pass_time(at - 1)
            for _ in range(chance.randrange(3)):
                self._something()
                self._settle()
            session.turn(group, at)
            session.turns += 1
            self._settle()
        if chance.random() < 0.5:
            self._calm()
        before = dict(session.assembly.holds.view())
        self._end()
        self._check()
        self._restart(before)
        return self.judge.digest()

    def _pass_time(self, until: int) -> None:
        while self.session.fire_next(until):
            self._settle()

    def _settle(self) -> None:
        """Settle, and let each commit take its time: who comes meanwhile is heard."""
        dispatcher, judge = self.session.assembly.dispatcher, self.judge
        dispatcher.settle()
        while dispatcher.pending:
            asked, waiting = judge.seq, dispatcher.commits_waiting
            if not self.calm and self.chance.random() < 0.25:
                dispatcher.errands.append(self._something)
                dispatcher.settle()
            judge.durable = asked
            dispatcher.release_commits(waiting)

    def _at_entry(self, seq: int) -> None:
        """Come to the door while something is going on, as another thread would."""
        for _ in range(self.errands_at.pop(seq, 0)):
            self.session.assembly.dispatcher.errands.append(self._something)

    def _something(self) -> None:
        """Do what an operator, a guard, a failure or the venue may do at any idle moment."""
        chance, assembly = self.chance, self.session.assembly
        supervisor = assembly.supervisor
        now = assembly.clock.now
        dice = chance.randrange(20)
        if dice < 3:
            self._take(CommandVerb.KILL, flatten=chance.random() < 0.3)
        elif dice < 6:
            self._take(CommandVerb.STOP_NEW_ORDERS, scope=chance.choice(SCOPES))
        elif dice < 9:
            for_s = chance.choice((1, 45, 90, 200))
            self._take(CommandVerb.PAUSE, scope=chance.choice(SCOPES), for_s=for_s)
        elif dice < 13:
            held = list(assembly.holds.view()) or [""]
            self._take(
                CommandVerb.RESUME,
                unlatch=chance.random() < 0.7,
                reason="plot",
                hold_id=chance.choice(held) if chance.random() < 0.5 else "",
                scope=chance.choice(SCOPES),
            )
        elif dice < 15:
            supervisor.hold_open(
                f"drill-{chance.randrange(2)}",
                "plot",
                mode=chance.choice(tuple(HoldMode)),
                scope=chance.choice(SCOPES),
                until=chance.choice((None, now + 30_000, now + 100_000)),
                latched=chance.random() < 0.2,
            )
        elif dice == 15:
            supervisor.lift(f"drill-{chance.randrange(2)}", "plot", "over")
        elif dice == 16:
            assembly.kill.pull("plot", "risk", hold_id="risk:max_drawdown")
        elif dice == 17:
            self.failures += 1
            names = ("execution", "risk", "reconciler", "telemetry", "strategy:one")
            cell = assembly.dispatcher.cells[chance.choice(names)]
            supervisor.actor_failed(cell, None, RuntimeError("planted"))
        else:
            self._unrule(cast("WatchedVenue", assembly.broker))

    def _take(self, verb: CommandVerb, **terms: Any) -> None:
        self.session.assembly.desk.take(Request(verb=verb, by="plot", **terms))

    def _unrule(self, venue: WatchedVenue) -> None:
        dice = self.chance.randrange(5)
        if dice == 0:
            venue.deaf = not venue.deaf
        elif dice == 1:
            venue.silent = silent() if venue.silent is None else None
        elif dice == 2:
            venue.loses = not venue.loses
        elif dice == 3 and not venue.mute:
            venue.mute = True
        else:
            self._obey(venue)

    def _obey(self, venue: WatchedVenue) -> None:
        venue.deaf = venue.loses = False
        venue.silent = None
        kept, venue.kept, venue.mute = venue.kept, [], False
        assembly = self.session.assembly
        for report in kept:
            assembly.dispatcher.tell(assembly.execution_cell, report, "venue")

    def _calm(self) -> None:
        """Let the venue obey and two minutes pass: then a kill has its evidence."""
        self._be_calm()
        session = self.session
        self._obey(cast("WatchedVenue", session.assembly.broker))
        self._settle()
        self._pass_time(session.assembly.clock.now + 120_000)
        kill, books = session.assembly.kill, session.assembly.books
        if session.halted is not None or kill.running is False:
            return
        if not kill._flatten:
            raise Violation("a kill has no evidence although the venue obeys")
        left = [o for o in books.orders.live() if not o.request.reduce_only]
        if left:
            raise Violation(f"{left} still live under a kill although the venue obeys")

    def _be_calm(self) -> None:
        self.calm = True
        self.errands_at.clear()

    def _end(self) -> None:
        session, judge = self.session, self.judge
        self._be_calm()
        outcome, code = session.outcome("interrupted")
        session.finish(outcome, code)
        judge.durable = judge.seq

    # -- what must be true of it all

    def _check(self) -> None:
        messages, session = self.judge.messages, self.session
        in_set = session.assembly.holds.view()
        if dict(in_set) != self.judge.in_force:
            raise Violation(f"in force {list(in_set)}, journaled {list(self.judge.in_force)}")
        self._check_answers(messages)
        self._check_kills(messages)
        session.assembly.books.ledger.audit()

    def _check_answers(self, messages: list[Message]) -> None:
        asked = [m.intent_id for m in messages if isinstance(m, Intent)]
        decisions = [m for m in messages if isinstance(m, RiskDecision)]
        letters = [m for m in messages if isinstance(m, DeadLetter)]
        decided = Counter(m.intent_id for m in decisions)
        lost = sum(
            m.message_type.endswith(("OpenIntent", "ReduceIntent", "OperatorReduce"))
            and m.reason in {"stopped", "quarantined"}
            for m in letters
        )
        many = {intent: count for intent, count in decided.items() if count > 1}
        if many:
            raise Violation(f"answered more than once: {many}")
        unanswered = set(asked) - set(decided)
        if len(unanswered) > lost:
            raise Violation(f"never answered: {sorted(unanswered)}, dead letters: {lost}")
        approved = {m.intent_id for m in decisions if m.verdict is Verdict.APPROVED}
        ends = Counter(
            m.order_id
            for m in messages
            if isinstance(m, ExecutionReport) and m.event is OrderEvent.SUPPRESSED
        )
        if any(count > 1 for count in ends.values()) or not set(ends) <= approved:
            raise Violation(f"suppressed more than once or never approved: {ends}")
        self._check_told(decisions, letters)

    def _check_told(self, decisions: list[RiskDecision], letters: list[DeadLetter]) -> None:
        """Check that each strategy was told of each refusal once, or a dead letter says why not."""
        for name, script in self.scripts.items():
            told = Counter(
                m.intent_id for m in script.told if isinstance(m, Rejection) and m.by == "risk"
            )
            refused = {m.intent_id for m in decisions if m.causes and m.strategy == name}
            lost = sum(
                (m.actor, m.message_type) == (f"strategy:{name}", "RiskDecision") for m in letters
            )
            if any(count > 1 for count in told.values()):
                raise Violation(f"{name} was told twice: {told}")
            if set(told) - refused:
                raise Violation(f"{name} was told of what nobody refused: {set(told) - refused}")
            if len(refused) - len(told) > lost:
                untold = sorted(refused - set(told))
                raise Violation(f"{name} was never told of {untold}, dead letters: {lost}")

    def _check_kills(self, messages: list[Message]) -> None:
        """Check that each confirmation says what the venue had, and each kill has an end."""
        reports = [m for m in messages if isinstance(m, KillReport)]
        for report in reports:
            if report.confirmed and report.flatten and (report.open_orders or report.positions):
                raise Violation(f"{report} is no flat account")
        if any(hold_id == "kill" for hold_id in self.judge.in_force) and not reports:
            raise Violation("killed at the end, and no evidence")

    # -- the next session

    def _restart(self, before: Mapping[str, Hold]) -> None:
        self.register.replace(outliving(before.values()))
        held = HoldRegister(self.register.path).restore(START)
        if {hold.hold_id: hold for hold in held} != before:
            raise Violation(f"held {list(before)}, kept {[hold.hold_id for hold in held]}")
        if self.chance.random() < (0.6 if held else 0.9):
            return  # two in five sessions that were held, and one in ten others, start again
        judge, first = Judge(), self.judge
        for script in self.scripts.values():
            script.told.clear()
        self.session, self.judge = self._session(judge), judge
        self.session.start(held)
        placed = []
        for message in judge.messages[1:]:
            if not isinstance(message, HoldPlaced):
                break
            placed.append(message.hold)
        if placed != list(before.values()):
            raise Violation("not all holds were in force again before anything started")
        self._settle()
        group = next(self._groups)
        at = group[0].timestamp + self.session.spec.feed.timeframe_ms
        self._pass_time(at - 1)
        self.session.turn(group, at)
        self._settle()
        first.trace += judge.trace
        first.left_under_holds += judge.left_under_holds
        self.judge = first


def trace(seed: int, register: HoldRegister) -> bytes:
    """Return the digest of one seed's trace; raises ``Found`` naming the seed."""
    plot = Plot(seed, register)
    try:
        return plot.run()
    except Violation as violation:
        again = f"python tests/safety/{Path(__file__).name} {seed}"
        raise Found(f"{violation}\nto see it: {again}") from violation


def main() -> None:
    """Print what happens under one seed."""
    seed = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        plot = Plot(seed, HoldRegister(Path(folder) / "holds.json"))
        judge = plot.judge
        try:
            plot.run()
        finally:
            for number, message in enumerate(judge.messages, start=1):
                print(f"{number:>4} {type(message).__name__:<18} {message}")


if __name__ == "__main__":
    main()
