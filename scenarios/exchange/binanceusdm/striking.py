"""What faults do to the venue itself, and to what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from brokers.matching.fills import whole_lots
from scenarios.exchange.binanceusdm import public
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.budget import Budget
from scenarios.exchange.binanceusdm.endpoints import Endpoint
from scenarios.exchange.binanceusdm.errors import BUSY, OUTSIDE_WINDOW, Refused
from scenarios.exchange.binanceusdm.market import Candle
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.records import Order
from scenarios.exchange.binanceusdm.shapes import order_reply
from scenarios.exchange.binanceusdm.trading import Done
from scenarios.exchange.facts import Fact, Setting
from scenarios.exchange.faults import BAR_FAULTS, WireFault, WireFaultKind
from scenarios.exchange.venue import DELEVERAGING, LIQUIDATION
from state.instruments import ONE, Instrument

K = WireFaultKind

COARSER: Final = 10
"""How many times as large ticks and lots become when the rules change."""

REVISION: Final = 1.1

_STATUS: Final = {-1000: 400, -1001: 503, -1006: 503, -1007: 408, -1008: 503, -1021: 400}
_WORDS: Final = BUSY | {OUTSIDE_WINDOW[0]: OUTSIDE_WINDOW}


def failing(fault: WireFault, *, after: bool) -> Refused | None:
    """Return the venue's own error that a fault answers with, before or after it has looked."""
    if fault.fault is not (K.ERROR_AFTER if after else K.ERROR_BEFORE):
        return None
    code = fault.code
    assert code is not None, "the script was checked"
    words = _WORDS.get(code, (code, "An error of a fault."))
    return Refused(words, status=fault.status or _STATUS.get(code, 400))


class Striking:
    """Carries out the faults that need the venue."""

    def __init__(self, book: Book, budget: Budget) -> None:
        """Strike ``book``."""
        self._book = book
        self._budget = budget

    def before(self, fault: WireFault) -> Sequence[Fact]:
        """Do what a fault does to the venue before it looks; refuse what it refuses."""
        book, kind = self._book, fault.fault
        if kind is K.RATE_LIMIT:
            raise self._budget.refuse(fault.by)
        if kind is K.BAN:
            self._budget.ban(book.wall(), fault.by)
        elif kind in {K.LIQUIDATE, K.DELEVERAGE}:
            reason = LIQUIDATION if kind is K.LIQUIDATE else DELEVERAGING
            share = ONE if kind is K.LIQUIDATE else fault.share
            facts: list[Fact] = []
            for symbol in {each.symbol: None for each in book.venue.engine.positions()}:
                facts += book.take(book.venue.force(symbol, reason, share, book.wall()))
            return facts
        elif kind is K.CHANGE_RULES:
            facts = []
            for symbol, rules in list(book.venue.rules.items()):
                setting = Setting(symbol, rules=_coarser(rules))
                facts += book.take(book.venue.set(setting, book.wall()))
            return facts
        return ()

    def done(self, endpoint: Endpoint, params: Params, fault: WireFault | None) -> Done:
        """Do what a request asks, with what a fault adds to it or leaves out of it."""
        book = self._book
        kind = None if fault is None else fault.fault
        if fault is None or kind is None:
            return endpoint.work(book, params)
        if kind is K.HIDE_ORDERS:
            book.hidden_since = book.wall() - fault.by
        if kind is K.HIDE_FILLS:
            with book.as_before(book.wall() - fault.by):
                return endpoint.work(book, params)
        if kind in BAR_FAULTS:
            rows = disturbed(kind, public.candles(book, params))
            return Done((), [candle.row() for candle in rows])
        if kind is K.RACE_FILLS:
            facts = self._met(self._meant(params), ONE)
            try:
                done = endpoint.work(book, params)
            except Refused as refused:
                return Done(facts, refused=refused)
            return replace(done, facts=[*facts, *done.facts])
        done = endpoint.work(book, params)
        if kind is K.FILL_PARTS and isinstance(done.content, dict) and "orderId" in done.content:
            return self._partly(done, done.content, fault.share)
        return done

    def _partly(self, done: Done, content: dict[str, Any], share: Decimal) -> Done:
        order = self._book.records.numbered(content["orderId"])
        facts = [*done.facts, *self._met(order, share)]
        if order is None or content["status"] != order.status:
            assert order is not None, "what was answered is there"
            return Done(facts, order_reply(order, content["symbol"]))
        return Done(facts, content)

    def _meant(self, params: Params) -> Order | None:
        number = params.optional_whole("orderId")
        if number is not None:
            return self._book.records.numbered(number)
        return self._book.records.newest(params.text("origClientOrderId", ""))

    def _met(self, order: Order | None, share: Decimal) -> Sequence[Fact]:
        """Let somebody come to a live order and take ``share`` of it, in whole lots."""
        book = self._book
        if order is None or not order.live or order.conditional:
            return ()
        price = order.request.price or book.market.price(order.request.symbol)
        rest = order.request.quantity - order.executed
        step = book.listings.rules(order.request.symbol).lot_step
        quantity = rest if share == ONE else whole_lots(rest * share, step)
        if price is None or not quantity:
            return ()
        return book.take(book.venue.meet(order.name, quantity, price, book.wall()))


def _coarser(rules: Instrument) -> Instrument:
    tick, step = rules.price_tick, rules.lot_step
    return replace(
        rules,
        price_tick=None if tick is None else tick * COARSER,
        lot_step=None if step is None else step * COARSER,
        min_quantity=None if step is None else max(step * COARSER, rules.min_quantity or step),
    )


def disturbed(kind: WireFaultKind, candles: list[Candle]) -> list[Candle]:
    """Return candles as a fault of bars leaves them."""
    closed = [index for index, candle in enumerate(candles) if candle.closed]
    if not closed:
        return candles
    if kind is K.STALE_BARS:
        return candles[: closed[-1]]
    if kind is K.MISSING_BARS:
        gone = closed[len(closed) // 2]
        return [candle for index, candle in enumerate(candles) if index != gone]
    if kind is K.REVISED_BARS:
        newest = candles[closed[-1]]
        close = newest.close * REVISION
        revised = replace(newest, close=close, high=max(newest.high, close))
        return [revised if candle is newest else candle for candle in candles]
    price = candles[0].close
    return [
        replace(
            candle,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=Decimal(0),
            value=Decimal(0),
            trades=0,
        )
        for candle in candles
    ]
