"""The ccxt broker at the virtual binanceusdm: orders, cancels, questions, the account."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from ccxt_house import BTC, order
from dialect_house import at_work, bar, desk, opened

from brokers.contract import Remote, TradeLister
from messages import (
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
    VenueOrder,
    VenueTrades,
)

ONE, TWO, THREE = "tg-0123456789-1", "tg-0123456789-2", "tg-0123456789-3"


async def test_an_order_is_accepted_filled_and_agrees_with_the_truth(tmp_path: Path) -> None:
    """Trade ids, quantity, price and fee are the exchange's own, to the last digit."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02"), 1)
        await at.until(lambda: "filled" in at.life(ONE))
        await at.quiet()
        (fact,) = at.truth.fills.values()
        report = next(each for each in at.news if getattr(each, "fill", None) is not None)
        fill = report.fill  # type: ignore[union-attr]

        assert ["accepted", "filled"] == at.life(ONE)
        assert fill is not None
        assert f"BTCUSDT:{fact.trade_id}" == fill.trade_id
        assert (fact.quantity, fact.price, fact.fee) == (fill.quantity, fill.price, fill.fee)
        assert {(BTC, PositionSide.BOTH): Decimal("0.02")} == at.broker.account().positions


async def test_a_resting_order_is_cancelled(tmp_path: Path) -> None:
    """It is in the account while it rests, and its end counts what was filled."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02", price="40000"), 1)
        await at.until(lambda: "accepted" in at.life(ONE))
        await at.quiet()
        resting = at.broker.account().open_orders
        at.broker.cancel(ONE, 2)
        await at.until(lambda: at.ended(ONE))
        await at.quiet()

        assert {ONE} == resting
        assert ["accepted", "cancelled"] == at.life(ONE)
        assert frozenset() == at.broker.account().open_orders


async def test_an_order_is_asked_for_by_our_id(tmp_path: Path) -> None:
    """Open, over with all its fills, and unknown: each answer says which question it answers."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02"), 1)
        at.broker.submit(order(TWO, "0.02", price="40000"), 1)
        await at.until(lambda: "filled" in at.life(ONE) and "accepted" in at.life(TWO))
        for number, name in enumerate((ONE, TWO), start=7):
            at.broker.query(name, number)
        answers: dict[str, VenueOrder] = {}

        def answered() -> bool:
            answers.update(
                {each.client_order_id: each for each in at.news if isinstance(each, VenueOrder)
                 and (each.asked_at or 0) >= 7}
            )  # fmt: skip
            return answers.keys() >= {ONE, TWO}

        await at.until(answered)

        assert (True, False, Decimal("0.02")) == (
            answers[ONE].known,
            answers[ONE].open,
            answers[ONE].filled,
        )
        assert Decimal("0.02") == sum(fill.quantity for fill in answers[ONE].fills)
        assert (True, True, ()) == (answers[TWO].known, answers[TWO].open, answers[TWO].fills)


async def test_a_stop_waits_becomes_an_order_and_is_filled_under_its_name(tmp_path: Path) -> None:
    """It is sent to its own endpoint; what it becomes is known to be it."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02"), 1)
        await at.until(lambda: "filled" in at.life(ONE))
        stop = order(
            TWO, "0.02", kind=OrderType.STOP, stop="49000", side=Side.SELL, reduce_only=True
        )
        at.broker.submit(stop, 2)
        await at.until(lambda: "accepted" in at.life(TWO))
        await at.quiet()
        resting = at.broker.account().open_orders
        await at.bar(48_900.0, low=48_800.0)
        await at.until(lambda: at.ended(TWO))
        await at.quiet()

        assert {TWO} == resting
        assert {} == at.truth.held
        assert {} == at.broker.account().positions
        assert at.fills().keys() == {f"BTCUSDT:{trade}" for trade in at.truth.fills}


async def test_a_waiting_order_is_cancelled_at_its_own_endpoint(tmp_path: Path) -> None:
    """Nothing of it is left."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02", kind=OrderType.STOP, stop="60000"), 1)
        await at.until(lambda: "accepted" in at.life(ONE))
        at.broker.cancel(ONE, 2)
        await at.until(lambda: at.ended(ONE))
        await at.quiet()

        assert frozenset() == at.broker.account().open_orders
        assert set() == at.truth.live


async def test_long_and_short_are_kept_apart(tmp_path: Path) -> None:
    """Opened and closed by their books; the account says both, each signed."""
    async with desk(tmp_path, hedge=True) as at:
        at.broker.submit(order(ONE, "0.02", position_side=PositionSide.LONG), 1)
        short = order(TWO, "0.03", side=Side.SELL, position_side=PositionSide.SHORT)
        at.broker.submit(short, 1)
        await at.until(lambda: at.ended(ONE) and at.ended(TWO))
        await at.quiet()
        held = dict(at.broker.account().positions)
        close = order(
            THREE, "0.02", side=Side.SELL, position_side=PositionSide.LONG, reduce_only=True
        )
        at.broker.submit(close, 2)
        await at.until(lambda: at.ended(THREE))
        await at.quiet()

        long, short_ = (BTC, PositionSide.LONG), (BTC, PositionSide.SHORT)
        assert {long: Decimal("0.02"), short_: Decimal("-0.03")} == held
        assert {short_: Decimal("-0.03")} == at.broker.account().positions
        assert {short_: Decimal("-0.03")} == at.truth.held


async def test_a_definite_no_is_a_rejection_with_the_venues_word(tmp_path: Path) -> None:
    """More than the account bears; nothing is asked about it any more."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "90"), 1)
        await at.until(lambda: at.ended(ONE))

        assert ["rejected"] == at.life(ONE)
        report = at.news[0]
        assert str(report.cause).startswith("venue_insufficient_funds(")  # type: ignore[union-attr]


async def test_what_does_not_fill_at_once_expires(tmp_path: Path) -> None:
    """Its end is told once, whether by the reply, the stream or an answer."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02", price="40000", tif=TimeInForce.IOC), 1)
        await at.until(lambda: at.ended(ONE))
        await at.quiet()

        assert 1 == sum(event in {"expired", "cancelled"} for event in at.life(ONE))
        assert not at.fills()


async def test_the_account_counts_as_the_truth_does(tmp_path: Path) -> None:
    """After a winning and a losing trade: positions, and money within what the venue rounds."""
    async with desk(tmp_path) as at:
        for number, (side, price) in enumerate(
            [(Side.BUY, 50_000), (Side.BUY, 51_000), (Side.SELL, 49_000)]
        ):
            await at.bar(float(price))
            name = f"tg-0123456789-{number + 1}"
            at.broker.submit(order(name, "0.013", side=side), number)
            await at.until(lambda name=name: at.ended(name))
        await at.quiet()
        view, truth = at.broker.account(), at.truth

        assert truth.held == view.positions
        assert view.net_flow is not None
        assert abs(view.net_flow - truth.net_flow) <= view.grain < Decimal("0.0001")


async def test_trades_are_listed_by_the_orders_that_they_are_of(tmp_path: Path) -> None:
    """Under our ids, after a watermark, and again if asked again."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02"), 1)
        await at.until(lambda: at.ended(ONE))
        for _ in range(2):
            at.broker.list_trades(0, 2)
        await at.until(lambda: 2 == sum(isinstance(each, VenueTrades) for each in at.news))
        pages = [each for each in at.news if isinstance(each, VenueTrades)]

        assert [ONE] == [fill.client_order_id for fill in pages[0].trades]
        assert pages[0].trades == pages[1].trades
        assert pages[0].upto == pages[0].trades[0].timestamp or pages[0].upto == pages[0].since


async def test_a_second_process_knows_what_the_first_one_sent(tmp_path: Path) -> None:
    """
    It asks for an order of the first by our id alone, hears of a fill in between, and cancels.

    What the first one had not heard is in the survey.
    """
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            first.broker.submit(order(ONE, "0.02"), 1)
            first.broker.submit(order(TWO, "0.02", price="49500"), 1)
            first.broker.submit(order(THREE, "0.02", price="40000"), 1)
            await first.until(lambda: "accepted" in first.life(THREE) and first.ended(ONE))
            await first.quiet()
            state = first.broker.snapshot()
        await exchange.server.show(BTC, [bar(1, 49_000.0)])
        async with at_work(exchange, state=state) as second:
            second.broker.acquaint(
                [order(TWO, "0.02", price="49500"), order(THREE, "0.02", price="40000")]
            )
            survey = await second.broker.survey()
            second.broker.query(TWO, 5)
            second.broker.cancel(THREE, 5)
            await second.until(lambda: second.ended(TWO) and second.ended(THREE))
            await second.quiet()

            assert {THREE} == survey.account.open_orders
            assert TWO in {fill.client_order_id for fill in survey.fills}
            assert set() == second.truth.live
            assert 1 == second.received(TWO) == second.received(THREE)


async def test_an_own_order_of_an_earlier_session_can_be_withdrawn(tmp_path: Path) -> None:
    """All that is known of it is what the account shows."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            first.broker.submit(order(ONE, "0.02", price="40000"), 1)
            await first.until(lambda: "accepted" in first.life(ONE))
        async with at_work(exchange) as second:
            before = await second.broker.survey()
            await second.broker.withdraw(ONE)
            after = await second.broker.survey()

            assert {ONE} == before.account.open_orders
            assert frozenset() == after.account.open_orders


async def test_leverage_margin_and_mode_are_set_before_the_first_order(tmp_path: Path) -> None:
    """And read back: the exchange has them so."""
    async with desk(tmp_path, leverage=7, margin_mode="isolated") as at:
        exchange = at.broker._at.client.exchange
        found = await exchange.fetch_margin_mode(BTC)
        leverages = await exchange.fetch_leverages([BTC])

        assert "isolated" == found["marginMode"]
        assert 7 == leverages[BTC]["longLeverage"]


async def test_the_venues_timer_cancels_when_we_are_gone_and_not_before(tmp_path: Path) -> None:
    """Fed from the loop it never fires; the loop ends without a word, and it does."""
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange, dead_man_s=1) as at:
            at.broker.submit(order(ONE, "0.02", price="40000"), 1)
            await at.until(lambda: "accepted" in at.life(ONE))
            await at.until(lambda: bool(exchange.server.book.countdowns))
            fed = max(exchange.server.book.countdowns.values())
            await at.until(lambda: max(exchange.server.book.countdowns.values(), default=0) > fed)
            still = {ONE} == at.truth.live

            assert still
            at.broker._open.calls.count_down = _forgotten  # type: ignore[union-attr, method-assign, assignment]
            await at.until(lambda: not at.truth.live)


async def _forgotten(*_args: object) -> object:
    from brokers.ccxt.calls import Done

    return Done(None)


def test_it_is_what_a_session_needs_of_a_venue_elsewhere() -> None:
    """By the contract's own protocols."""
    from brokers.ccxt.broker import CcxtBroker
    from brokers.contract import Acquaintance

    for protocol in (Remote, TradeLister, Acquaintance):
        wanted = {name for name in vars(protocol) if not name.startswith("_")} - {"wake"}
        assert wanted <= set(dir(CcxtBroker)) | {"wake", "trades_overlap"}


async def test_what_earlier_trades_may_have_rounded_is_known_to_a_second_process(
    tmp_path: Path,
) -> None:
    """
    The wallet and the mean entry price are rounded with each trade, whoever has heard of it.

    A process that counts from nothing would find the money off by a fraction of a cent, and refuse
    to go on.
    """
    async with opened(tmp_path) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            for number, price in enumerate((50_000.1, 50_000.7, 50_003.3)):
                await first.bar(price)
                name = f"tg-0123456789-{number + 1}"
                first.broker.submit(order(name, f"0.00{number + 1}"), number)
                await first.until(lambda name=name: first.ended(name))  # type: ignore[misc]
            await first.quiet()
            grain = first.broker.account().grain
            state = first.broker.snapshot()
        async with at_work(exchange, state=state) as second:
            await second.broker.refresh()
            view = second.broker.account()

            assert view.net_flow is not None
            assert grain == view.grain
            assert abs(view.net_flow - second.truth.net_flow) <= view.grain


async def test_a_trade_that_only_an_answer_told_of_is_counted_too(tmp_path: Path) -> None:
    """The news of it was lost, and the money is rounded all the same."""
    async with desk(tmp_path, {"fault": "lose_news"}) as at:
        at.broker.submit(order("tg-0123456789-1", "0.003"), 1)
        await at.until(lambda: at.ended("tg-0123456789-1"))
        await at.quiet()

        assert 1 == at.broker.snapshot()["trades"]


async def test_ccxt_asks_for_no_positions_by_itself(tmp_path: Path) -> None:
    """It would at each new stream, and fail on numbers that stay as they are written."""
    async with desk(tmp_path) as at:
        at.broker.submit(order("tg-0123456789-1", "0.003"), 1)
        await at.until(lambda: at.ended("tg-0123456789-1"))
        clients = at.broker._at.client.exchange.clients.values()
        futures = [name for client in clients for name in client.futures]

        assert [name for name in futures if "orders" in name]
        assert [] == [name for name in futures if "Snapshot" in name]


async def test_a_process_that_died_before_its_first_trade_was_heard_of_leaves_it_to_the_next(
    tmp_path: Path,
) -> None:
    """Its news was under way: the next one's survey has the trade, or it could never go on."""
    name = "tg-0123456789-1"
    async with opened(tmp_path, {"fault": "delay_news", "by": "1h"}) as exchange:
        await exchange.server.show(BTC, [bar(0)])
        async with at_work(exchange) as first:
            state = first.broker.snapshot()
            first.broker.submit(order(name, "0.003"), 1)
            await first.until(lambda: bool(first.truth.fills))
        async with at_work(exchange, state=state) as second:
            survey = await second.broker.survey()

            assert 0 == state["traded_at"]
            assert [name] == [fill.client_order_id for fill in survey.fills]


async def test_an_account_that_news_keeps_from_being_read_is_said(tmp_path: Path) -> None:
    """Nobody can compare it: past the age at which its word is none, the venue has failed."""
    async with desk(tmp_path) as at:
        await at.broker.refresh()
        read = at.broker._at.surveyor.read

        async def amid_news() -> object:
            at.broker._standing.news += 1
            return await read()

        at.broker._at.surveyor.read = amid_news  # type: ignore[assignment, method-assign]
        await at.broker.refresh()
        soon = [each.detail for each in at.tools if not each.ok]
        at.broker._standing._read_s -= 21
        await at.broker.refresh()

        assert [] == soon
        assert "news without end: what the account holds was read 21 s ago" in [
            each.detail for each in at.tools
        ]


async def test_an_order_that_was_told_to_be_over_and_is_there_can_be_cancelled(
    tmp_path: Path,
) -> None:
    """Somebody was wrong about it; whoever finds it in the account can still take it back."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02", price="40000"), 1)
        await at.until(lambda: "accepted" in at.life(ONE))
        await at.quiet()
        known = at.broker.orders.named(ONE)
        assert known is not None
        known.ended = True
        await at.broker.refresh()
        at.broker.cancel(ONE, 2)
        await at.quiet()

        assert not at.truth.live


async def test_a_list_whose_counts_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    """The order is asked for by itself, and the account is read on."""
    async with desk(tmp_path) as at:
        at.broker.submit(order(ONE, "0.02", price="40000"), 1)
        await at.until(lambda: "accepted" in at.life(ONE))
        await at.quiet()
        fetch = at.broker._at.client.exchange.fetch_open_orders

        async def floats(*given: object, **named: object) -> list[dict[str, object]]:
            return [{**each, "filled": 0.01} for each in await fetch(*given, **named)]

        at.broker._at.client.exchange.fetch_open_orders = floats  # as ccxt has them at some venues
        at.broker._at.stream.up = False
        await at.broker.refresh()
        await at.until(lambda: any(isinstance(each, VenueOrder) and each.open for each in at.news))
        at.broker._at.stream.up = True
        await at.broker.refresh()

        assert {ONE} == at.broker.account().open_orders
