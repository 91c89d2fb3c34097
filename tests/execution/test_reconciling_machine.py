"""Duplicate, reordered, delayed and missing news: after reconciliation the ledger is the venue."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from execution_bench import BTC, NOW, PERP, Bench
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from actors.agreement import own_by
from actors.execution import doubts
from actors.reconciler import LOOK, ReconcilerActor, ReconcilerPorts, local_view
from actors.runtime import SetTimer
from brokers.contract import News
from brokers.matching import EngineConfig, MatchingEngine
from messages import (
    AccountAdopted,
    ApprovedCancel,
    ApprovedOpen,
    ApprovedReduce,
    Bar,
    ExecutionReport,
    Fill,
    Message,
    OrderRequest,
    OrderType,
    PositionMode,
    PositionSide,
    Reconciled,
    Side,
    TimeInForce,
    VenueReport,
    VenueTrades,
    Wake,
)
from state.instruments import Instrument
from state.orders import OrderStore
from state.outside import rebuilt
from state.reconciliation import AccountView, diff
from state.reconciliation_policy import Policy, ReconciliationPlan

INSTRUMENTS = {
    symbol: Instrument.permissive(symbol, Decimal(10), currency="USDT") for symbol in (BTC, PERP)
}
CASH = Decimal(100_000)
PAGE = 3
ROUNDS_MAX = 40


class ListingVenue:
    """A venue in memory that keeps its news back until the test lets it out, and lists trades."""

    name = "listing"
    brackets = True
    answers_at_once = False
    trades_overlap = 2

    def __init__(self, mode: PositionMode = PositionMode.ONE_WAY) -> None:
        self.engine = MatchingEngine(
            INSTRUMENTS,
            EngineConfig("venue", participation=Decimal("0.5"), position_mode=mode),
            currency="USDT",
            deposit=CASH,
        )
        self.now = NOW
        self.held_back: list[News] = []
        self.answers: list[News] = []
        self.fills: list[Fill] = []
        self.pages = 0

    def bind(self, deliver: object) -> None:
        """The test delivers."""

    def tell(self, reports: list[VenueReport]) -> None:
        self.held_back.extend(reports)
        self.fills.extend(report.fill for report in reports if report.fill is not None)

    def submit(self, request: OrderRequest, now: int) -> None:
        self.tell(self.engine.submit(request, now))

    def cancel(self, client_order_id: str, now: int) -> None:
        self.tell(self.engine.cancel(client_order_id, now))

    def query(self, client_order_id: str, now: int) -> None:
        answer = self.engine.order(client_order_id, now)
        self.answers.append(msgspec.structs.replace(answer, asked_at=now))

    def list_trades(self, since: int, now: int) -> None:
        self.pages += 1
        page = tuple(self.fills[since : since + PAGE])
        upto = since + len(page)
        self.answers.append(VenueTrades(since, upto, upto < len(self.fills), page))

    def account(self) -> AccountView:
        """Return what it holds."""
        balance = self.engine.balance()
        held = self.engine.positions()
        return AccountView(
            {(one.symbol, one.position_side): one.quantity for one in held},
            frozenset(order.client_order_id for order in self.engine.open_orders()),
            balance.net_flow,
            balance.fees,
            -balance.funding,
            {(one.symbol, one.position_side): one.average_price for one in held},
        )


class ListingBench(Bench):
    """Execution and a Reconciler at such a venue."""

    def __init__(
        self, policy: Policy = Policy.ADOPT, mode: PositionMode = PositionMode.ONE_WAY
    ) -> None:
        super().__init__(int(CASH))
        self.venue = ListingVenue(mode)
        self.actor = self.make()
        self.booked: Counter[str] = Counter()
        self.held: tuple[str, ...] = ()
        self.numbers = 0
        plan = ReconciliationPlan(policy, every_ms=30_000, patient=True)
        ports = ReconcilerPorts(
            ask=self.venue.query,
            cancel=self.venue.cancel,
            is_own=own_by(frozenset({"o"})),
            mark=self.board.mark,
        )
        self.reconciler = ReconcilerActor(
            self.books, INSTRUMENTS, self.venue.account, self.clock, self._result, plan, ports
        )

    def make(self) -> Any:
        """Return a new incarnation at the venue, once there is one."""
        if hasattr(self, "venue"):
            self.broker = self.venue  # type: ignore[assignment]
        return super().make()

    def _result(self, _result: Reconciled, lasting: tuple[str, ...]) -> None:
        self.held = lasting

    def take(self, message: Message) -> None:
        """Deliver one message, and all answers that it leads to."""
        for effect in self.tell(message):
            if isinstance(effect, ExecutionReport) and effect.fill is not None:
                self.booked[effect.fill.trade_id] += 1
            elif isinstance(effect, AccountAdopted) and effect.adoption.fill is not None:
                self.booked[effect.adoption.fill.trade_id] += 1
        self.commit()
        while self.venue.answers:
            self.take(self.venue.answers.pop(0))

    def order(self, side: Side, quantity: int, price: int) -> OrderRequest:
        """Send an order."""
        self.numbers += 1
        request = limit_order(f"o-{self.numbers}", f"tg-o-{self.numbers}", side, quantity, price)
        self.take(ApprovedOpen(request))
        return request

    def hedged(self, side: Side, quantity: int, price: int, book: PositionSide) -> OrderRequest:
        """Send an order of one side of a hedged contract; one that leaves it only reduces."""
        self.numbers += 1
        request = msgspec.structs.replace(
            limit_order(f"o-{self.numbers}", f"tg-o-{self.numbers}", side, quantity, price),
            symbol=PERP,
            position_side=book,
        )
        opens = (side is Side.BUY) is (book is PositionSide.LONG)
        self.take(ApprovedOpen(request) if opens else ApprovedReduce(request))
        return request

    def trade(self, price: int, symbol: str = BTC) -> None:
        """Let the market go to ``price``; little of it can be had at a time."""
        self.clock.now += 60_000
        self.venue.now = self.clock.now
        bar = Bar(symbol, self.clock.now, price, price + 1, price - 1, price, 4.0, 60_000)
        self.venue.tell(self.venue.engine.on_bar(bar))
        self.mark(symbol, float(price))

    def look(self) -> None:
        """Let a look's time come, and an overdue answer's."""
        self.clock.now += 12_000
        now = self.clock.now
        self.take(Wake("execution", doubts.TIMER, 0, now))
        for effect in self.reconciler.on_wake(Wake("reconciler", LOOK, 0, now)) or ():
            if isinstance(effect, Message) and not isinstance(effect, Reconciled):
                self.take(effect)
            else:
                assert isinstance(effect, SetTimer | Reconciled)

    def reconcile(self) -> list[str]:
        """Look until nothing differs; return what still does."""
        for _ in range(ROUNDS_MAX):
            self.look()
            if not self.differences():
                break
        return self.differences()

    def differences(self) -> list[str]:
        """Return what differs, what is in doubt not excepted."""
        local = msgspec.structs.replace(local_view(self.books, INSTRUMENTS), unsettled={})
        return [str(mismatch) for mismatch in diff(local, self.venue.account())]


def limit_order(
    order_id: str, name: str, side: Side, quantity: int, price: int, at: int = NOW
) -> OrderRequest:
    """Return a limit order."""
    return OrderRequest(
        order_id,
        name,
        "one",
        BTC,
        side,
        PositionSide.BOTH,
        OrderType.LIMIT,
        TimeInForce.GTC,
        Decimal(quantity),
        at,
        price=Decimal(price),
    )


class LineMachine(RuleBasedStateMachine):
    """Execution at ``bench``, and a line that does to the news whatever it likes."""

    bench: ListingBench

    @rule(which=st.integers(0, 50), copies=st.integers(1, 2))
    def news_comes(self, which: int, copies: int) -> None:
        waiting = self.bench.venue.held_back
        if waiting:
            news = waiting.pop(which % len(waiting))
            for _ in range(copies):
                self.bench.take(news)

    @rule(which=st.integers(0, 50))
    def news_is_lost(self, which: int) -> None:
        waiting = self.bench.venue.held_back
        if waiting:
            waiting.pop(which % len(waiting))

    @rule()
    def execution_restarts(self) -> None:
        self.bench.actor = self.bench.make()

    @invariant()
    def books_balance_and_no_trade_is_booked_twice(self) -> None:
        self.bench.books.ledger.audit()
        assert not [name for name, count in self.bench.booked.items() if count > 1]


class NewsMachine(LineMachine):
    """Orders, a market, somebody else, and what reconciliation makes of it."""

    agreed = 0

    def __init__(self) -> None:
        super().__init__()
        self.bench = ListingBench()
        self.foreign = 0

    @rule(side=st.sampled_from(list(Side)), quantity=st.integers(1, 5), price=st.integers(95, 105))
    def order(self, side: Side, quantity: int, price: int) -> None:
        held = self.bench.venue.account().positions.get((BTC, PositionSide.BOTH), Decimal(0))
        if side is Side.BUY or held >= quantity:
            self.bench.order(side, quantity, price)

    @rule(side=st.sampled_from([Side.BUY]), quantity=st.integers(1, 3))
    def somebody_else_buys(self, side: Side, quantity: int) -> None:
        self.foreign += 1
        name = f"web-{self.foreign}"
        request = limit_order(name, name, side, quantity, 104)
        self.bench.venue.tell(self.bench.venue.engine.submit(request, self.bench.clock.now))

    @rule(number=st.integers(1, 9))
    def cancel(self, number: int) -> None:
        cancel = ApprovedCancel(f"c-{number}", "one", BTC, f"o-{number}")
        self.bench.take(cancel)

    @rule(price=st.integers(93, 107))
    def trade(self, price: int) -> None:
        self.bench.trade(price)

    @rule(which=st.integers(0, 50))
    def news_comes_and_will_come_again(self, which: int) -> None:
        waiting = self.bench.venue.held_back
        if waiting:
            self.bench.take(waiting[which % len(waiting)])

    @rule()
    def reconciled(self) -> None:
        left = self.bench.reconcile()

        assert [] == left
        ledger = self.bench.books.ledger
        assert self.bench.venue.engine.balance().net_flow == ledger.cash
        NewsMachine.agreed += 1

    def teardown(self) -> None:
        assert [] == self.bench.reconcile()
        while self.bench.venue.held_back:  # news that was only late
            self.bench.take(self.bench.venue.held_back.pop())
        assert [] == self.bench.reconcile()


QUICK = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_the_ledger_equals_the_venue_after_reconciliation_whatever_the_line_did() -> None:
    """Own trades through their orders, foreign ones as adoptions; money conserved to the digit."""
    NewsMachine.agreed = 0
    run_state_machine_as_test(NewsMachine, settings=QUICK)  # type: ignore[no-untyped-call]

    assert NewsMachine.agreed > 20


def test_without_dedupe_by_trade_id_the_machine_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, news that comes twice, or was listed meanwhile, is booked twice."""
    monkeypatch.setattr(OrderStore, "book_once", lambda _store, _trade_id: True)
    monkeypatch.setattr(OrderStore, "booked", frozenset())

    found = settings(QUICK, phases=[Phase.generate])  # the first find is enough
    with pytest.raises(AssertionError):
        run_state_machine_as_test(NewsMachine, settings=found)  # type: ignore[no-untyped-call]


def test_a_trade_whose_news_is_lost_is_booked_from_the_venues_list() -> None:
    """Once, through the order; the late news of it is recognised."""
    bench = ListingBench(Policy.REFUSE)
    bench.order(Side.BUY, 2, 101)
    for news in bench.venue.held_back:
        bench.take(news)
    bench.venue.held_back.clear()
    bench.trade(100)
    late, bench.venue.held_back = bench.venue.held_back, []

    bench.look()
    assert () == bench.held, "a difference that was seen once may be news under way"
    bench.look()
    assert () == bench.held
    assert [] == bench.differences()
    for news in late:
        bench.take(news)

    assert [] == bench.reconcile()
    assert {1} == set(bench.booked.values())


def test_a_difference_that_lasts_holds_and_one_that_is_gone_does_not() -> None:
    """Somebody else's order: seen twice it counts, and not any more when it is gone."""
    bench = ListingBench(Policy.REFUSE)
    bench.venue.engine.submit(limit_order("w", "web-1", Side.BUY, 1, 50), NOW)

    bench.look()
    assert () == bench.held
    bench.look()
    assert ("foreign_order web-1: local absent, venue open",) == bench.held
    bench.venue.engine.cancel("web-1", NOW)
    bench.look()
    assert () == bench.held


def unanswered_order(bench: ListingBench) -> None:
    """Send an order of which nothing is heard."""
    bench.venue.query = lambda name, now: None  # type: ignore[method-assign]
    bench.order(Side.BUY, 1, 50)
    bench.venue.held_back.clear()


def ten_are_missing(bench: ListingBench) -> None:
    """Let the venue have less money than our books."""
    account = bench.venue.account

    def less() -> AccountView:
        found = account()
        assert found.net_flow is not None
        return msgspec.structs.replace(found, net_flow=found.net_flow - 10)

    bench.reconciler.venue = less


def test_money_that_is_missing_is_missing_while_it_cannot_be_looked_for() -> None:
    """An order in flight, which may have moved some, is no evidence that it is there again."""
    bench = ListingBench(Policy.REFUSE)
    ten_are_missing(bench)
    bench.look()
    bench.look()
    (held,) = bench.held
    assert "balance_drift" in held

    unanswered_order(bench)
    bench.look()

    assert (held,) == bench.held


def test_a_position_that_differs_does_while_an_order_may_have_made_it() -> None:
    """One in flight on the same side explains as much; it had not left when that was seen."""
    bench = ListingBench(Policy.REFUSE)
    bench.venue.engine.submit(limit_order("w", "web-1", Side.BUY, 1, 101), NOW)
    bench.trade(100)
    bench.venue.held_back.clear()
    bench.look()
    bench.look()
    held = [each for each in bench.held if "external_position" in each]
    assert held

    unanswered_order(bench)
    bench.look()

    assert held == [each for each in bench.held if "external_position" in each]


def test_money_is_taken_over_by_a_look_at_it_and_no_other() -> None:
    """What was seen before an order was in flight is in the books by then."""
    bench = ListingBench(Policy.ADOPT)
    ten_are_missing(bench)
    before = bench.books.ledger.cash
    bench.look()
    bench.look()
    assert before - 10 == bench.books.ledger.cash

    unanswered_order(bench)
    for _ in range(3):
        bench.look()

    assert before - 10 == bench.books.ledger.cash


def test_an_order_that_is_not_ours_is_never_cancelled() -> None:
    """Whatever the policy: a name that only looks like ours is somebody else's."""
    bench = ListingBench(Policy.CANCEL)
    for name in ("web-1", "tg-other-1", "tg-o-77"):
        bench.venue.engine.submit(limit_order(name, name, Side.BUY, 1, 50), NOW)

    for _ in range(3):
        bench.look()

    assert {"web-1", "tg-other-1"} == bench.venue.account().open_orders


def test_one_pass_reads_a_bounded_number_of_pages() -> None:
    """Whatever the venue has: the rest is the next pass's."""
    bench = ListingBench()
    for _ in range(40):
        bench.order(Side.BUY, 1, 101)
        bench.trade(100)
    for news in bench.venue.held_back:
        if isinstance(news, VenueReport) and news.fill is None:
            bench.take(news)
    bench.venue.held_back.clear()
    bench.venue.pages = 0

    bench.look()
    assert 5 == bench.venue.pages
    assert [] == bench.reconcile()


def test_the_ledger_is_rebuilt_from_the_venues_trades() -> None:
    """Realised profit, fees, positions and statistics, equal to the session's to the digit."""
    bench = ListingBench()
    for side, price in ((Side.BUY, 101), (Side.BUY, 103), (Side.SELL, 99), (Side.BUY, 104)):
        bench.order(side, 2, price)
        bench.trade(100)
        bench.trade(102)
    for news in bench.venue.held_back:
        bench.take(news)
    ours = bench.books.ledger

    again = rebuilt(
        reversed([*bench.venue.fills, *bench.venue.fills]),
        bench.books.orders.by_client_id,
        INSTRUMENTS,
        currency="USDT",
        deposit=CASH,
    )

    assert ours.accounts == again.ledger.accounts
    assert ours.positions() == again.ledger.positions()
    assert (len(bench.venue.fills), ours.realized_pnl, ours.fees) == (
        again.trades,
        again.ledger.realized_pnl,
        again.ledger.fees,
    )
    assert again.volume == sum((fill.quantity * fill.price for fill in bench.venue.fills), 0)
