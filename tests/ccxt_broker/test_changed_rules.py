"""A venue changes a market's rules while a session runs: they are read anew, and heeded."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from binance_house import terms
from ccxt_house import BTC, order, rules
from dialect_house import Desk, at_work, desk, opened
from session_world import Script, flat, on_bars
from test_ccxt_in_session import TENTH, messages, session_of

from actors.inbox import Inbox
from actors.outcomes import COMPLETED
from actors.reexecution import reexecute
from actors.session import run_paper
from brokers.ccxt import rulebook
from brokers.ccxt.capabilities import BINANCEUSDM, TABLE
from brokers.ccxt.errors import TooMany
from brokers.ccxt.lanes import Lane
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.rounding import Least, differences, least_of
from messages import (
    Cause,
    ExecutionPolicy,
    ExecutionReport,
    MinimumOrder,
    OrderEvent,
    OrderType,
    ReasonCode,
    RiskDecision,
    Side,
    VenueReport,
)
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import Comparison, compare, fold_journal, fold_truth

FIRST, SECOND, THIRD = (f"tg-0123456789-{number}" for number in (1, 2, 3))
COARSER: dict[str, Any] = {"fault": "change_rules", "on": ["submit"], "after": 1, "count": 1}
"""As the second order comes, tick, step and least quantity become ten times as large."""

COARSENED = (
    "other rules of BTC/USDT:USDT: price_tick 0.1 -> 1, lot_step 0.001 -> 0.01, "
    "min_quantity 0.001 -> 0.01"
)
LEAST = Least(Decimal("0.01"), Decimal(100))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"step": "0.001", "least": "0.005", "notional": "5"}, ("0.005", "5")),
        ({"step": "0.01", "least": "0.001"}, ("0.01", None)),
        ({"step": "0.02", "least": "0.05"}, ("0.06", None)),
        ({"step": "0.02"}, ("0.02", None)),
        ({"step": None, "least": "0.05"}, ("0.05", None)),
        ({"step": None}, (None, None)),
        ({"step": "1", "least": "5", "size": "100"}, ("500", None)),
    ],
)
def test_the_least_order_is_on_the_step_and_in_coins(given: Any, expected: Any) -> None:
    """What is below one step cannot be sent, whatever the minimum is called."""
    quantity, notional = (None if each is None else Decimal(each) for each in expected)

    assert Least(quantity, notional) == least_of(rules(**given))


def test_what_has_changed_is_told_by_the_names_of_an_instrument_file() -> None:
    """Only what is another than before."""
    after = replace(rules(tick="1", notional="10"), market_amount_max=Decimal(7))

    assert "price_tick 0.1 -> 1, min_notional none -> 10" == differences(rules(), after)
    assert "limits" in differences(rules(), rules(market_most="7"))


def test_rows_name_codes_by_which_an_order_has_come_to_nothing() -> None:
    """None of them stands for an order that is there already, or is not known."""
    for row in TABLE.values():
        assert not row.rules_codes & (row.duplicate_codes | row.unknown_order_codes)
        assert not row.rules_codes & (row.clock_codes | row.order_limit_codes)


@pytest.mark.parametrize("code", sorted(BINANCEUSDM.rules_codes))
async def test_an_order_that_is_refused_by_such_a_code_is_in_no_doubt(
    code: str, tmp_path: Path
) -> None:
    """Some are unknown to ccxt there: that would be silence, and the rules were never doubted."""
    fault = {"fault": "error_before", "on": ["submit"], "code": int(code), "count": 1}
    async with desk(tmp_path, fault) as at:
        assert ["rejected"] == await placed(at, FIRST)
        assert at.broker._at.rulebook._is_doubted or at.broker._at.rulebook._readings


def cause_of(at: Desk, name: str) -> Cause:
    """Return for what an order was rejected."""
    causes = [
        each.cause
        for each in at.news
        if isinstance(each, VenueReport) and each.client_order_id == name
    ]
    (cause,) = [each for each in causes if each is not None]
    return cause


async def placed(at: Desk, name: str) -> list[str]:
    """Place an order that fits the rules of the start, and return what became of it."""
    at.broker.submit(order(name, "0.011", price="49000.5"), 1)
    await at.until(lambda: "accepted" in at.life(name) or at.ended(name))
    return at.life(name)


def rounded(at: Desk) -> list[tuple[Decimal, Decimal]]:
    """Return quantity and price of what rests at the exchange."""
    records = at.exchange.server.book.records
    live = [records.orders[name].request for name in at.truth.live]
    return [(request.quantity, request.price or Decimal(0)) for request in live]


async def test_after_a_refusal_the_new_rules_are_read_and_the_next_order_fits(
    tmp_path: Path,
) -> None:
    """One order is lost to the change, and none after it; who decides hears of the least order."""
    told: list[MinimumOrder] = []
    async with desk(tmp_path, COARSER) as at:
        at.broker.tell_least = told.append
        assert ["accepted"] == await placed(at, FIRST)
        assert ["rejected"] == await placed(at, SECOND)
        await at.until(lambda: bool(told))
        assert ["accepted"] == await placed(at, THIRD)

        assert "-1111" in cause_of(at, SECOND).detail
        assert [(BTC, *LEAST)] == [(e.symbol, e.min_quantity, e.min_notional) for e in told]
        assert (Decimal("0.01"), Decimal(49_000)) in rounded(at)
        words = [each.detail for each in at.tools if "other rules" in each.detail]
        assert [COARSENED] == words
        assert all(each.ok for each in at.tools if "other rules" in each.detail)


async def test_without_the_reading_every_order_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: until a restart."""
    monkeypatch.setattr(rulebook.Rulebook, "doubt", lambda _self: None)
    async with desk(tmp_path, COARSER) as at:
        await placed(at, FIRST)

        assert ["rejected"] == await placed(at, SECOND)
        assert ["rejected"] == await placed(at, THIRD)


async def test_without_forgetting_what_ccxt_left_alone_the_old_grid_would_be_believed(
    tmp_path: Path,
) -> None:
    """What ccxt makes of a number is asked of it again after its markets have changed."""
    async with desk(tmp_path, COARSER) as at:
        await placed(at, FIRST)
        ordering: Ordering = at.broker._at.ordering
        assert ordering._unaltered
        await placed(at, SECOND)
        await at.until(lambda: at.broker._at.rulebook._readings == 1)

        assert not ordering._unaltered


async def test_now_and_then_the_rules_are_read_without_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's order is lost to a change that was read before it."""
    monkeypatch.setattr(rulebook, "RULES_EVERY_S", 0.5)
    async with desk(tmp_path) as at:
        at.set_faults({"fault": "change_rules", "on": ["rules"], "count": 1})
        await at.until(lambda: any("other rules" in each.detail for each in at.tools))

        assert ["accepted"] == await placed(at, FIRST)
        assert [(Decimal("0.01"), Decimal(49_000))] == rounded(at)


async def test_two_accounts_do_not_read_at_the_same_time_nor_one_at_the_same_distance(
    tmp_path: Path,
) -> None:
    """The distance is drawn anew for each reading, within a quarter of an hour's length."""
    async with desk(tmp_path) as at:
        book = at.broker._at.rulebook
        drawn = set()
        for book._readings in range(20):
            drawn.add(book._jitter)

    assert 20 == len(drawn)
    assert all(0.75 <= factor <= 1.25 for factor in drawn)


@pytest.mark.parametrize(
    ("body", "expected"),
    [("object", "does not list it any more"), ("html", ""), ("empty", "")],
)
async def test_an_answer_that_is_none_leaves_the_rules_as_they_are(
    body: str, expected: str, tmp_path: Path
) -> None:
    """A page in place of markets, or none of them: orders go on by what is known."""
    async with desk(tmp_path) as at:
        at.set_faults({"fault": "blank_answers", "on": ["rules"], "body": body})
        before = dict(at.broker._at.rulebook.rules)
        await at.broker._at.rulebook.read()
        at.set_faults()

        assert before == at.broker._at.rulebook.rules
        assert BTC in at.broker._at.client.exchange.markets
        assert any(not each.ok and expected in each.detail for each in at.tools)
        assert ["accepted"] == await placed(at, FIRST)


async def test_a_contract_of_another_size_is_not_taken(tmp_path: Path) -> None:
    """Every quantity that is known would mean something else: that is said, and nothing changed."""
    async with desk(tmp_path) as at:
        book, exchange = at.broker._at.rulebook, at.broker._at.client.exchange
        parse, before = exchange.parse_market, dict(book.rules)
        exchange.parse_market = lambda market: {**parse(market), "contractSize": "10"}
        await book.read()

        assert before == book.rules
        assert "a contract was 1, and is 10" in at.tools[-1].detail


async def reread(at: Desk, **of_each: Any) -> None:
    """Have the rules read anew from markets of which a part is something else."""
    exchange = at.broker._at.client.exchange
    parse = exchange.parse_market
    exchange.parse_market = lambda market: {**parse(market), **of_each}
    await at.broker._at.rulebook.read()


@pytest.mark.parametrize(
    "part",
    [
        {"precision": {"price": "a tenth", "amount": "0.001"}},
        {"limits": {"amount": {"min": 0.001}}},
        {"info": {"filters": 7}},
        {"precision": 7},
    ],
)
async def test_a_rule_that_cannot_be_read_is_told_and_ends_nothing(
    part: dict[str, Any], tmp_path: Path
) -> None:
    """The broker's task goes on, and with it the session; ccxt keeps the markets it had."""
    async with desk(tmp_path) as at:
        markets, before = at.broker._at.client.exchange.markets, dict(at.broker._at.rulebook.rules)
        grid = markets[BTC]["precision"]
        await reread(at, **part)

        assert before == at.broker._at.rulebook.rules
        assert grid == at.broker._at.client.exchange.markets[BTC]["precision"]
        assert "cannot be read" in at.tools[-1].detail
        assert ["accepted"] == await placed(at, FIRST)


async def waited_out_a_change(at: Desk, quantity: str, price: str) -> None:
    """Have an order that fits wait for its turn while tick and step become ten times as large."""
    lanes = at.broker._at.calls.lanes
    lanes.left_alone(1_000_000.0, TooMany.ORDERS)
    at.broker.submit(order(FIRST, quantity, price=price), 1)
    await at.until(lambda: bool(lanes.allowance.waiting[Lane.CREATE]))
    at.set_faults({"fault": "change_rules", "on": ["rules"], "count": 1})
    await at.broker._at.rulebook.read()
    lanes.allowance.orders_until_s = 0.0
    await at.until(lambda: "accepted" in at.life(FIRST) or at.ended(FIRST))


@pytest.mark.parametrize(
    ("quantity", "price", "altered"),
    [
        ("0.01", "48999.6", "price=48999.6 ccxt=49000"),
        ("0.019", "49000", "amount=0.019 ccxt=0.01"),
        ("0.009", "49000", "must be greater than minimum amount precision of 0.01"),
    ],
)
async def test_an_order_that_waited_while_the_rules_changed_is_not_rounded_by_ccxt(
    quantity: str, price: str, altered: str, tmp_path: Path
) -> None:
    """ccxt rounds to the nearest tick of the new grid: a buy would pay more than its limit."""
    async with desk(tmp_path) as at:
        await waited_out_a_change(at, quantity, price)

        assert ["rejected"] == at.life(FIRST)
        assert altered in cause_of(at, FIRST).detail
        assert 0 == at.received(FIRST)


async def test_an_order_that_still_fits_goes_out_after_the_change(tmp_path: Path) -> None:
    """What it is on the new grid is what was asked for."""
    async with desk(tmp_path) as at:
        await waited_out_a_change(at, "0.01", "49000")

        assert [(Decimal("0.01"), Decimal(49_000))] == rounded(at)


async def test_without_the_second_look_ccxt_would_pay_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: the order was looked at when it was worded, and not when it left."""
    monkeypatch.setattr(Ordering, "_look", lambda self, request, _asked: self.look(request))
    async with desk(tmp_path) as at:
        await waited_out_a_change(at, "0.01", "48999.6")

        assert [(Decimal("0.01"), Decimal(49_000))] == rounded(at)


async def test_a_restart_tells_what_has_changed_since_it_was_told(tmp_path: Path) -> None:
    """What the process before has told is in its state; a new one that reads others tells them."""
    told: list[MinimumOrder] = []
    async with opened(tmp_path, venue=terms(BTC)) as exchange:
        async with at_work(exchange) as at:
            state = at.broker.snapshot()
        exchange.server.faults.replace(_script({"fault": "change_rules", "count": 1}))
        async with at_work(exchange, state=state) as at:
            at.broker.tell_least = told.append
            await at.until(lambda: bool(told))
            again = at.broker.snapshot()

    assert [LEAST] == [Least(each.min_quantity, each.min_notional) for each in told]
    assert {BTC: ["0.001", "100"]} == state["leasts"]
    assert LEAST == Least(*map(Decimal, again["leasts"][BTC]))


def _script(*faults: dict[str, Any]) -> Any:
    from scenarios.exchange.faults import FaultScript

    return FaultScript.model_validate({"seed": 1, "faults": list(faults)})


def low(price: str) -> ExecutionPolicy:
    """Return how an order rests below the market."""
    return ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(price))


async def test_a_session_goes_on_by_the_new_rules_and_is_executed_again_the_same(
    tmp_path: Path,
) -> None:
    """
    Risk refuses what is below the new least order; an order beyond the band is never sent.

    What the venue said of its rules is in the journal with its place, so nothing differs.
    """
    small, far = Decimal("0.005"), "60000"

    def script() -> Script:
        return on_bars(
            {
                0: lambda desk: [desk.open(BTC, Side.BUY, TENTH)],
                2: lambda desk: [desk.open(BTC, Side.BUY, Decimal("0.011"), policy=low("45000.1"))],
                12: lambda desk: [
                    desk.open(BTC, Side.BUY, Decimal("0.011"), policy=low("45000.1"))
                ],
                13: lambda desk: [desk.open(BTC, Side.BUY, small, policy=low("45000.1"))],
                14: lambda desk: [desk.open(BTC, Side.BUY, TENTH, policy=low(far))],
            }
        )

    async with opened(tmp_path, COARSER, venue=terms(BTC)) as exchange:
        await exchange.server.show(BTC, flat(BTC, 1, 50_000.0))
        spec = session_of(tmp_path, script(), exchange, bars=18)
        recorded = session_of(tmp_path, script(), exchange, bars=18)
        result = await run_paper(spec, speed=120, inbox=Inbox())
        truth = fold_truth(read_truth(exchange.truth / "truth.ndjson"))
    said = messages(result)
    rejected = [
        each.cause
        for each in said
        if isinstance(each, ExecutionReport)
        and each.event is OrderEvent.REJECTED
        and each.cause is not None
    ]
    denied = [
        cause.code for each in said if isinstance(each, RiskDecision) for cause in each.causes
    ]
    again = reexecute(recorded, result.out.name, result.out / "journal.sqlite")

    assert COMPLETED == result.outcome
    assert [ReasonCode.VENUE_REJECTED, ReasonCode.PRICE_COLLAR] == [e.code for e in rejected]
    assert rejected[1].detail.endswith("(the venue's band)")  # ours, and not the venue's answer
    assert [ReasonCode.QUANTITY_BELOW_MIN] == denied
    assert [(BTC, *LEAST)] == [
        (each.symbol, each.min_quantity, each.min_notional)
        for each in said
        if isinstance(each, MinimumOrder)
    ]
    assert again.difference is None, str(again.difference)
    assert len(said) == again.same
    assert [] == truth.sent_again
    assert isinstance(compare(truth, fold_journal(said, Decimal(100_000))), Comparison)
