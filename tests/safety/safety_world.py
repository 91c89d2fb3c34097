"""Sessions that go on under a kill, as a daemon does, and a venue that is not obedient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from session_world import BTC, Script, World, make_spec, on_bars

from actors.assembly import StrategySpec
from actors.commands import Answer, Request
from actors.runtime.entropy import Tape
from brokers.contract import VenueSilent
from brokers.matching import MatchingEngine
from brokers.paper import PaperBroker
from feeds.memory import MemoryFeed
from messages import (
    Bar,
    CommandVerb,
    ExecutionPolicy,
    Hold,
    KillReport,
    KillStage,
    KillStep,
    Message,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    VenueReport,
)
from state.reconciliation import AccountView

ONE = Decimal(1)
FAR_BELOW = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
FAR_ABOVE = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(150))
STOP_BELOW = ExecutionPolicy(order_type=OrderType.STOP, stop_price=Decimal(50))


class UnrulyVenue(PaperBroker):
    """
    A paper venue that may not answer, not hear cancels, keep its answers, or lose them.

    ``silent`` is the error of every question about the account, ``None`` for none.
    """

    def __init__(self, engine: MatchingEngine) -> None:
        """Behave, for now."""
        super().__init__(engine)
        self.silent: Exception | None = None
        self.deaf = False
        self.mute = False
        self.loses = False
        self.cancels: list[str] = []
        self.kept: list[VenueReport] = []

    def account(self) -> AccountView:
        """Return the account, unless silent."""
        if self.silent is not None:
            raise self.silent
        return super().account()

    def submit(self, request: OrderRequest, now: int) -> None:
        """Place an order; the answer to it may be lost."""
        if self.loses:
            self.engine.submit(request, now)
            raise ConnectionError("the line is down")
        super().submit(request, now)

    def cancel(self, client_order_id: str, now: int) -> None:
        """Cancel an order, unless deaf."""
        self.cancels.append(client_order_id)
        if not self.deaf:
            super().cancel(client_order_id, now)

    def query(self, client_order_id: str, now: int) -> None:
        """Tell what there is to an order, unless nothing comes back."""
        if not self.mute and not self.loses:
            super().query(client_order_id, now)

    def _hand_over(self, reports: list[VenueReport]) -> None:
        if self.mute:
            self.kept.extend(reports)
        else:
            super()._hand_over(reports)

    def speak(self) -> None:
        """Hand over every answer that was kept."""
        self.mute = False
        kept, self.kept = self.kept, []
        super()._hand_over(kept)


class Daemon(World):
    """
    A session that goes on under a kill, and takes commands.

    While ``disk`` is false no commit is made: orders are journaled and wait.
    """

    disk = True

    @property
    def venue(self) -> UnrulyVenue:
        """Return the venue."""
        broker = self.assembly.broker
        assert isinstance(broker, UnrulyVenue), "these sessions trade at one"
        return broker

    def begin(self, held: Iterable[Hold] = ()) -> Daemon:
        """Start with ``held`` in force."""
        self.session.start(held)
        self.settle()
        return self

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        dispatcher = self.assembly.dispatcher
        if self.disk:
            dispatcher.settle_all()
        else:
            dispatcher.settle()

    def pass_time(self, until: int) -> None:
        """Fire every timer up to ``until``."""
        while self.session.fire_next(until):
            self.settle()

    def play(self, turns: int | None = None) -> Daemon:
        """Let turns happen, as many as are asked for, or all that are left."""
        session = self.session
        timeframe_ms = self.spec.feed.timeframe_ms
        taken = 0
        groups = self.__dict__.setdefault("_groups", session.groups(self._opened))
        while turns is None or taken < turns:
            group = next(groups, None)
            if group is None:
                break
            at = group[0].timestamp + timeframe_ms
            self.pass_time(at - 1)
            if session.must_end():
                break
            for act in self._before.get(session.turns, ()):
                act(self)
                self.settle()
            session.turn(group, at)
            session.turns += 1
            session.bars += len(group)
            self.settle()
            if session.must_end():
                break
            taken += 1
        return self

    def end(self, otherwise: str = "interrupted") -> tuple[str, int]:
        """End the session in order and return its outcome and exit code."""
        outcome, code = self.session.outcome(otherwise)
        self.session.finish(outcome, code)
        self.journal.close()
        return outcome, code

    # -- commands

    def take(self, verb: CommandVerb, **terms: Any) -> Answer:
        """Have the desk take one command, and let happen what follows."""
        answer = self.assembly.desk.take(Request(verb=verb, **{"by": "cli:ann", **terms}))
        self.settle()
        return answer

    def kill(self, **terms: Any) -> Answer:
        """Pull the kill switch."""
        return self.take(CommandVerb.KILL, **terms)

    def resume(self, **terms: Any) -> Answer:
        """Lift what can be lifted."""
        return self.take(CommandVerb.RESUME, **terms)

    # -- what came of it

    @property
    def holds(self) -> Mapping[str, Hold]:
        """Return the holds in force."""
        return self.assembly.holds.view()

    def messages(self) -> list[Message]:
        """Return everything that is journaled."""
        return [entry.message for entry in self.entries]

    def steps(self) -> list[KillStage]:
        """Return the stages of all kills, in order."""
        return [step.stage for step in self.all(KillStep)]

    def newest_report(self) -> KillReport:
        """Return the newest evidence."""
        return self.all(KillReport)[-1]

    def live_ids(self) -> list[str]:
        """Return the orders that our books believe to live."""
        return [order.request.order_id for order in self.assembly.books.orders.live()]


def daemon(
    bars: Sequence[Bar] | Mapping[str, Sequence[Bar]],
    *strategies: StrategySpec,
    tape: Tape | None = None,
    **settings: Any,
) -> Daemon:
    """Return a daemon over ``bars`` of one symbol or by symbol, at an unruly venue."""
    by_symbol = bars if isinstance(bars, Mapping) else {bars[0].symbol: bars}
    if tape is not None:
        settings["queued"] = True
    replaced = {name: settings.pop(name) for name in ("health", "account") if name in settings}
    spec = make_spec(MemoryFeed(by_symbol), *strategies, **settings)
    return Daemon(replace(spec, broker=UnrulyVenue, **replaced), tape)


def silent(why: str = "no route to host") -> VenueSilent:
    """Return the error of a venue that does not answer."""
    return VenueSilent(why)


Act = Callable[[Daemon], object]


CALM = [
    KillStage.LATCHED,
    KillStage.DRAINED,
    KillStage.CANCELLING,
    KillStage.CANCELLED,
    KillStage.CONFIRMED,
]
ORDER = "abc-1-1"


def buys(policy: Any = None, *, at_bar: int = 0, count: int = 1, **terms: Any) -> Script:
    """Return a script that orders once."""
    if policy is not None:
        terms["policy"] = policy
    return on_bars(
        {at_bar: lambda desk: [desk.open(BTC, Side.BUY, ONE, **terms) for _ in range(count)]}
    )


def keeps_buying(policy: Any = None) -> Script:
    """Return a script that orders at every bar, and again at every refusal."""
    script = Script()

    def buy(strategy: Any, _told: Any) -> Any:
        return [strategy.desk.open(BTC, Side.BUY, ONE, **({"policy": policy} if policy else {}))]

    script.on_bar = buy
    script.on_refusal = buy
    return script


def status(world: Daemon, order_id: str = ORDER) -> OrderStatus | None:
    order = world.assembly.books.orders.by_order_id(order_id)
    return None if order is None else order.status


__all__ = [
    "BTC",
    "CALM",
    "FAR_ABOVE",
    "FAR_BELOW",
    "ONE",
    "ORDER",
    "STOP_BELOW",
    "Act",
    "Daemon",
    "UnrulyVenue",
    "buys",
    "daemon",
    "keeps_buying",
    "silent",
    "status",
]
