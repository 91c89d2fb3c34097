"""
Execution at a venue behind a line that loses, delays, doubles and reorders whatever passes.

What happens to each thing on the line is drawn from ``fates``, whole numbers in order; when they
are used up the line is calm. The venue itself is the matching engine, and the truth.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
from execution_bench import BTC, NOW, Bench

from actors.execution.doubt import PLAN
from actors.reconciler import local_view
from actors.runtime import SetTimer
from brokers.contract import News
from brokers.matching import EngineConfig, MatchingEngine
from brokers.paper import PaperBroker
from messages import (
    ApprovedCancel,
    ApprovedOpen,
    Bar,
    ExecutionPolicy,
    FallbackOn,
    MarketFallback,
    Message,
    OpenFollowUp,
    OpenIntent,
    OrderRequest,
    OrderType,
    PartialFill,
    PositionSide,
    ReasonCode,
    Reprice,
    Retry,
    Side,
    TimeInForce,
    VenueReport,
    Wake,
)
from state.instruments import Instrument
from state.reconciliation import Mismatch, diff

DELAYS_MS = (0, 0, 40, 700, 4_000, 15_000)
FALLBACK = MarketFallback((FallbackOn.REJECT, FallbackOn.TIMEOUT))
RETRY = Retry(3, (ReasonCode.IOC_REMAINDER, ReasonCode.NEVER_ARRIVED), 500)
PURSUED: tuple[dict[str, Any], ...] = (
    {"timeout_ms": 3_000, "fallback": FALLBACK},
    {"time_in_force": TimeInForce.IOC, "fallback": FALLBACK},
    {"time_in_force": TimeInForce.IOC, "retry": RETRY},
    {"time_in_force": TimeInForce.IOC, "retry": RETRY, "fallback": FALLBACK},
    {"timeout_ms": 9_000, "reprice": Reprice(3, 1_000, Decimal(104)), "retry": RETRY},
    {"timeout_ms": 3_000, "fallback": FALLBACK, "partial": PartialFill.ACCEPT},
    {"expire_at": 4_000, "retry": Retry(2, (ReasonCode.ORDER_EXPIRED,), 500)},
)
"""Policies that have another order follow; ``expire_at`` from the intent's time on."""

INSTRUMENTS = {BTC: Instrument.permissive(BTC, Decimal(10), currency="USDT")}


@dataclass(order=True)
class Passing:
    """One thing on the line, until it arrives."""

    at: int
    number: int
    arrive: Callable[[], None] = field(compare=False)
    request: OrderRequest | None = field(default=None, compare=False)


class LossyVenue:
    """A broker whose line is drawn from ``fates``."""

    name = "lossy"
    brackets = True
    answers_at_once = False

    def __init__(self, bench: LossyBench, fates: Iterator[int]) -> None:
        self.bench = bench
        self.engine = MatchingEngine(
            INSTRUMENTS,
            EngineConfig("lossy", participation=Decimal("0.5")),
            currency="USDT",
            deposit=Decimal(100_000),
        )
        self.fates = fates
        self.line: list[Passing] = []
        self.submitted: list[OrderRequest] = []
        self._numbers = count()

    def bind(self, deliver: Callable[[News], object]) -> None:
        """News goes to the bench."""

    # -- the line

    def _pass(self, arrive: Callable[[], None], request: OrderRequest | None = None) -> None:
        fate = next(self.fates, 0)
        if fate % 7 == 6:
            return  # lost
        copies = 2 if fate % 7 == 5 and request is None else 1
        for _ in range(copies):
            at = self.bench.clock.now + DELAYS_MS[(fate // 7) % len(DELAYS_MS)]
            heapq.heappush(self.line, Passing(at, next(self._numbers), arrive, request))

    def _tell(self, news: list[Any]) -> None:
        for one in news:
            self._pass(lambda one=one: self.bench.take(one))  # type: ignore[misc]

    # -- the contract

    def submit(self, request: OrderRequest, now: int) -> None:
        self.submitted.append(request)

        def arrive() -> None:
            # A venue takes no request that is older than its receive window.
            if self.bench.clock.now <= now + PLAN.receive_window_ms:
                self._tell(self.engine.submit(request, self.bench.clock.now))

        self._pass(arrive, request)
        if next(self.fates, 0) % 5 == 4:
            raise ConnectionError("reset by peer")  # which says nothing of the request

    def cancel(self, client_order_id: str, now: int) -> None:
        self._pass(lambda: self._tell(self.engine.cancel(client_order_id, self.bench.clock.now)))

    def query(self, client_order_id: str, now: int) -> None:
        def arrive() -> None:
            answer = self.engine.order(client_order_id, self.bench.clock.now)
            self._tell([msgspec.structs.replace(answer, asked_at=now)])

        self._pass(arrive)


class LossyBench(Bench):
    """Execution at a lossy venue, with its timers."""

    def __init__(self, fates: Iterator[int]) -> None:
        super().__init__(fee_bps="10")
        self.venue = LossyVenue(self, fates)
        self._armed: dict[str, int] = {}
        self.wanted: dict[str, Decimal] = {}
        """What each pursued intent asks for."""
        self.root_of: dict[str, str] = {}
        """The intent of each of their orders, by client order id."""
        self.actor = self.make()

    def make(self) -> Any:
        """Return a new incarnation at the lossy venue, once there is one."""
        if not hasattr(self, "venue"):
            return super().make()
        self.broker = self.venue  # type: ignore[assignment]
        return super().make()

    def take(self, message: Message) -> None:
        """Handle one message and commit what waits."""
        self.arm(self.tell(message))
        while self.waiting:
            self.arm(self.commit())
        self.check()

    def arm(self, effects: list[Any]) -> None:
        """Arm the timers among ``effects``, and have further orders approved."""
        for effect in effects:
            if isinstance(effect, OpenFollowUp):
                self.take(ApprovedOpen(self._made_of(effect)))
            elif isinstance(effect, SetTimer):
                if effect.key in self._armed:
                    self.clock.cancel(self._armed[effect.key])
                self._armed[effect.key] = self.clock.call_at(
                    effect.at, self._waker(effect.key), effect.key
                )

    def _waker(self, key: str) -> Callable[[int], None]:
        return lambda at: self.take(Wake("execution", key, 1, at))

    def pass_time(self, ms: int) -> None:
        """Let everything that is due within ``ms`` happen, in order of time."""
        until = self.clock.now + ms
        line = self.venue.line
        while True:
            timer_at = self.clock.next_timer_at
            if line and line[0].at <= min(timer_at, until):
                passing = heapq.heappop(line)
                self.clock.advance(passing.at)
                passing.arrive()
            elif (due := self.clock.pop_due(until)) is not None:
                at, callback = due
                self.clock.advance(at)
                callback(at)
            else:
                self.clock.advance(until)
                return

    # -- what strategies and the market do

    def order(self, side: Side, price: int, quantity: int) -> None:
        """Approve a limit order."""
        order_id = f"o-{next(self._numbers)}"
        request = OrderRequest(
            order_id,
            f"tg-{order_id}",
            "one",
            BTC,
            side,
            PositionSide.BOTH,
            OrderType.LIMIT,
            TimeInForce.GTC,
            Decimal(quantity),
            self.clock.now,
            price=Decimal(price),
        )
        self.take(ApprovedOpen(request))

    def pursue(self, price: int, quantity: int, terms: dict[str, Any]) -> None:
        """Approve an intent to buy at a limit, whose policy may have other orders follow."""
        now = self.clock.now
        if "expire_at" in terms:
            terms = {**terms, "expire_at": now + terms["expire_at"]}
        policy = ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(price), **terms)
        order_id = f"o-{next(self._numbers)}"
        size = Decimal(quantity)
        intent = OpenIntent(order_id, "one", BTC, Side.BUY, size, now, policy=policy)
        self.wanted[order_id] = size
        self.take(ApprovedOpen(self._made_of(intent), intent))

    def _made_of(self, intent: OpenIntent | OpenFollowUp) -> OrderRequest:
        policy = intent.policy
        root_id = intent.root_id if isinstance(intent, OpenFollowUp) else ""
        self.root_of[f"tg-{intent.intent_id}"] = root_id or intent.intent_id
        return OrderRequest(
            intent.intent_id,
            f"tg-{intent.intent_id}",
            "one",
            BTC,
            intent.side,
            PositionSide.BOTH,
            policy.order_type,
            policy.time_in_force,
            intent.quantity,
            self.clock.now,
            price=policy.limit_price,
            expire_at=policy.expire_at,
            root_id=root_id,
        )

    def trade(self, price: float) -> None:
        """Let the market trade at ``price``, as much as half of what rests there."""
        self.mark(BTC, price)
        bar = Bar(BTC, self.clock.now, price, price, price, price, 2.0, 0)
        self.venue._tell(self.venue.engine.on_bar(bar))

    def cancel(self, number: int, code: ReasonCode) -> None:
        """Cancel one of the live orders."""
        live = self.books.orders.live()
        if live:
            order_id = live[number % len(live)].request.order_id
            self.take(ApprovedCancel("c", "one", BTC, order_id, code.value))

    # -- what must hold

    def check(self) -> None:
        """
        Hold every promise that holds at any moment.

        Whatever is live at the venue, or may still arrive there, is live in our books: so its worst
        case stays reserved. No more is booked than was traded, nothing is sent twice, and no intent
        can get more than it asked for, whatever its orders were filled with unheard.
        """
        now = self.clock.now
        names = {order.client_order_id for order in self.venue.engine.open_orders()}
        names |= {
            passing.request.client_order_id
            for passing in self.venue.line
            if passing.request is not None
            and passing.at <= self.sent_at(passing.request) + PLAN.receive_window_ms
        }
        for name in names:
            order = self.books.orders.by_client_id(name)
            assert order is not None, f"{name} is known"
            assert order.live, f"{name} may trade at {now} and is {order.status}"
        for request in self.venue.submitted:
            order = self.books.orders.by_client_id(request.client_order_id)
            assert order is not None, "nothing that was sent is forgotten"
            answer = self.venue.engine.order(request.client_order_id, now)
            assert order.filled <= (answer.filled or 0), f"{order} was filled {answer.filled}"
        sent = Counter(request.client_order_id for request in self.venue.submitted)
        assert [] == [name for name, times in sent.items() if times > 1], "sent twice"
        for root_id, quantity in self.wanted.items():
            bought = self.bought(root_id)
            assert bought <= quantity, f"{root_id} asked for {quantity} and can have {bought}"

    def bought(self, root_id: str) -> Decimal:
        """Return what an intent has at the venue, what rests there counted as filled."""
        total = Decimal(0)
        for name in (name for name, root in self.root_of.items() if root == root_id):
            answer = self.venue.engine.order(name, self.clock.now)
            order = self.books.orders.by_client_id(name)
            if answer.open and order is not None:
                total += order.request.quantity
            else:
                total += answer.filled or 0
        return total

    def sent_at(self, request: OrderRequest) -> int:
        """Return when a request left: orders here leave as they are made."""
        return request.created_at

    def calm_down(self) -> None:
        """Let the line be calm, ask for what is left to be cancelled, and let everything settle."""
        self.venue.fates = iter(())
        self.pass_time(300_000)
        assert [] == [p for p in self.books.pursuits.values() if not self._is_live(p.order_id)]
        for order in self.books.orders.live():
            code = ReasonCode.KILL_CANCEL
            self.take(ApprovedCancel("end", "one", BTC, order.request.order_id, code.value))
        self.pass_time(300_000)

    def _is_live(self, order_id: str) -> bool:
        order = self.books.orders.by_order_id(order_id)
        return order is not None and order.live

    def differences(self) -> tuple[Mismatch, ...]:
        """Hold the end of every order against the venue's truth; return how the books differ."""
        assert {} == self.books.doubts.open
        assert {} == self.books.inquiries.kept
        assert {} == self.books.pursuits
        assert [] == self.books.orders.live()
        assert [] == self.venue.engine.open_orders()
        for request in self.venue.submitted:
            order = self.books.orders.by_client_id(request.client_order_id)
            assert order is not None
            answer = self.venue.engine.order(request.client_order_id, self.clock.now)
            assert order.filled == (answer.filled or 0), repr(order)
            if answer.ended is None:
                assert "rejected" == order.status.value, f"{order} never arrived"
            elif not order.late_fills:
                assert answer.ended.value == order.status.value, f"{order} {answer}"
        local = local_view(self.books, INSTRUMENTS)
        return tuple(diff(local, PaperBroker(self.venue.engine).account()))


Act = tuple[str, int, int]
"""What is done, with two numbers that say how; then some time passes."""

HURRIED = (ReasonCode.CANCEL_REQUESTED, ReasonCode.KILL_CANCEL)


def play(bench: LossyBench, acts: list[Act]) -> tuple[Mismatch, ...]:
    """Do ``acts``, let the line be calm, and return how our books then differ from the venue's."""
    for verb, first, second in acts:
        if verb == "order":
            side = Side.BUY if first % 2 else Side.SELL
            bench.order(side, 98 + second % 5, 1 + first % 3)
        elif verb == "pursue":
            bench.pursue(98 + second % 5, 1 + first % 3, PURSUED[(first + second) % len(PURSUED)])
        elif verb == "trade":
            bench.trade(97.0 + first % 7)
        elif verb == "cancel":
            bench.cancel(first, HURRIED[second % 2])
        else:
            bench.actor = bench.make()
            bench.arm(list(bench.actor.on_start() or ()))
        bench.pass_time((0, 50, 900, 6_000, 20_000)[second % 5])
    bench.calm_down()
    return bench.differences()


__all__ = ["NOW", "Act", "LossyBench", "VenueReport", "play"]
