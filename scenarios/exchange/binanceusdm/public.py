"""What anybody may ask: the rules, the time, the market."""

from __future__ import annotations

from typing import Any

from scenarios.exchange.binanceusdm import errors
from scenarios.exchange.binanceusdm.book import Book
from scenarios.exchange.binanceusdm.errors import Refused
from scenarios.exchange.binanceusdm.market import FUNDING_MS, Candle
from scenarios.exchange.binanceusdm.params import Params
from scenarios.exchange.binanceusdm.trading import PAGE, Done
from state.money import ZERO, exact, plain

BARS_MAX = 1_500
DEPTHS = (5, 10, 20, 50, 100, 500, 1_000)


def ping(_book: Book, _params: Params) -> Done:
    """``GET /ping``."""
    return Done((), {})


def information(book: Book, _params: Params) -> Done:
    """``GET /exchangeInfo``."""
    return Done((), book.listings.information(book.wall(), book.limits))


def candles(book: Book, params: Params) -> list[Candle]:
    """Return what ``klines`` asks for."""
    symbol = book.listings.symbol(params.text("symbol"))
    start, end = params.optional_whole("startTime"), params.optional_whole("endTime")
    if start is not None and end is not None and start > end:
        raise Refused(errors.BAD_TIMES)
    limit = params.limit(PAGE, BARS_MAX)
    return book.market.candles(symbol, params.text("interval"), book.venue.now, start, end, limit)


def klines(book: Book, params: Params) -> Done:
    """``GET /klines``."""
    return Done((), [candle.row() for candle in candles(book, params)])


def _names(book: Book, params: Params) -> list[tuple[str, str]]:
    names = [params.text("symbol")] if "symbol" in params else book.listings.names
    return [(name, book.listings.symbol(name)) for name in names]


def _one_or_all(params: Params, found: list[dict[str, Any]]) -> Done:
    return Done((), found[0] if "symbol" in params and found else found)


def ticker(book: Book, params: Params) -> Done:
    """``GET /ticker/24hr``."""
    now = book.venue.now
    found = []
    for name, symbol in _names(book, params):
        day, last = book.market.day(symbol, now), book.market.price(symbol)
        if day is None or last is None:
            continue
        first = exact(day.open)
        found.append(
            {
                "symbol": name,
                "priceChange": plain(last - first),
                "priceChangePercent": plain(round((last - first) / first * 100, 3)),
                "weightedAvgPrice": plain(last),
                "lastPrice": plain(last),
                "lastQty": plain(exact(book.market.sizes[symbol])),
                "openPrice": plain(first),
                "highPrice": plain(exact(day.high)),
                "lowPrice": plain(exact(day.low)),
                "volume": plain(day.volume),
                "quoteVolume": plain(day.value),
                "openTime": day.opened,
                "closeTime": now,
                "firstId": 0,
                "lastId": book.market.count,
                "count": day.count,
            }
        )
    return _one_or_all(params, found)


def price_ticker(book: Book, params: Params) -> Done:
    """``GET /ticker/price``."""
    found = []
    for name, symbol in _names(book, params):
        last = book.market.price(symbol)
        if last is not None:
            found.append({"symbol": name, "price": plain(last), "time": book.venue.now})
    return _one_or_all(params, found)


def book_ticker(book: Book, params: Params) -> Done:
    """``GET /ticker/bookTicker``."""
    found = []
    for name, symbol in _names(book, params):
        best = book.market.book(symbol)
        if best is not None:
            bid, bid_size, ask, ask_size = best
            found.append(
                {
                    "symbol": name,
                    "bidPrice": plain(bid),
                    "bidQty": plain(bid_size),
                    "askPrice": plain(ask),
                    "askQty": plain(ask_size),
                    "time": book.venue.now,
                    "lastUpdateId": book.market.count,
                }
            )
    return _one_or_all(params, found)


def depth(book: Book, params: Params) -> Done:
    """``GET /depth``: one level, which is all that is known."""
    symbol = book.listings.symbol(params.text("symbol"))
    if params.whole("limit", PAGE) not in DEPTHS:
        raise Refused(errors.BAD_PARAMETER, "limit")
    best = book.market.book(symbol)
    answer: dict[str, Any] = {
        "lastUpdateId": book.market.count,
        "E": book.venue.now,
        "T": book.venue.now,
        "bids": [],
        "asks": [],
    }
    if best is not None:
        bid, bid_size, ask, ask_size = best
        answer["bids"] = [[plain(bid), plain(bid_size)]]
        answer["asks"] = [[plain(ask), plain(ask_size)]]
    return Done((), answer)


def trades(book: Book, params: Params) -> Done:
    """``GET /aggTrades``: the last trade of every bar, with all of its volume."""
    symbol = book.listings.symbol(params.text("symbol"))
    limit = params.limit(PAGE, 1_000)
    start = params.whole("startTime", 0)
    end = params.whole("endTime", book.venue.now)
    bars = book.market.bars.get(symbol, [])
    found = [
        {
            "a": number,
            "p": plain(exact(bar.close)),
            "q": plain(exact(bar.volume)),
            "f": number,
            "l": number,
            "T": bar.timestamp + bar.timeframe_ms - 1,
            "m": False,
        }
        for number, bar in enumerate(bars, start=1)
        if start <= bar.timestamp + bar.timeframe_ms - 1 <= end
    ]
    return Done((), found[:limit] if start else found[-limit:])


def premium(book: Book, params: Params) -> Done:
    """``GET /premiumIndex``: the mark price is the last price."""
    now = book.venue.now
    found = []
    for name, symbol in _names(book, params):
        price = plain(book.market.price(symbol) or ZERO)
        found.append(
            {
                "symbol": name,
                "markPrice": price,
                "indexPrice": price,
                "estimatedSettlePrice": price,
                "lastFundingRate": plain(book.market.rate(symbol)),
                "interestRate": "0.00010000",
                "nextFundingTime": (now // FUNDING_MS + 1) * FUNDING_MS,
                "time": now,
            }
        )
    return _one_or_all(params, found)


def funding_rates(book: Book, params: Params) -> Done:
    """``GET /fundingRate``: what was settled, oldest first."""
    limit = params.limit(100, 1_000)
    start = params.optional_whole("startTime")
    end = params.whole("endTime", book.venue.now)
    found = [
        {
            "symbol": name,
            "fundingTime": settled.timestamp,
            "fundingRate": plain(exact(settled.rate)),
            "markPrice": plain(settled.mark),
        }
        for name, symbol in _names(book, params)
        for settled in book.market.funding.get(symbol, [])
        if (start or 0) <= settled.timestamp <= end
    ]
    return Done((), found[-limit:] if start is None else found[:limit])
