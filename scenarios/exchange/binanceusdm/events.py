"""What streams carry: the news of an account, and the market as it moves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from messages import Bar, Liquidity, Quote, Tick
from scenarios.exchange.binanceusdm.listing import Listings
from scenarios.exchange.binanceusdm.market import Candle, Market
from scenarios.exchange.binanceusdm.records import Order, Records, Trade
from scenarios.exchange.binanceusdm.shapes import (
    ALGO_NUMBERS,
    POSITION_SIDES,
    SIDES,
    TYPE_NAMES,
    average,
    money,
    order_type,
    time_in_force,
)
from scenarios.exchange.facts import Fact, FactKind
from scenarios.exchange.venue import DELEVERAGING, LIQUIDATION
from state.money import ZERO, exact, plain

EXPIRED_KEY: Final = "listenKeyExpired"


@dataclass(frozen=True, slots=True)
class Event:
    """One message; ``stream`` names the public stream that it is of, empty for the account's."""

    stream: str
    content: dict[str, Any]

    @property
    def fills(self) -> bool:
        """Tell whether it is news of a fill."""
        return bool(self.content.get("o", {}).get("x") in {"TRADE", "CALCULATED"})


class Account:
    """Makes the account's events out of facts, in order; one for the venue's life."""

    def __init__(self, records: Records, market: Market, listings: Listings) -> None:
        """Look at what ``records`` knows after each fact."""
        self._records = records
        self._market = market
        self._listings = listings
        self._touched: dict[tuple[str, Any], None] = {}
        self._reason = "ORDER"
        self._cash: Decimal | None = None
        self._gains: dict[tuple[str, Any], Decimal] = {}
        self._isolated: dict[str, bool] = {}

    def events(self, fact: Fact, order: Order | None, trade: Trade | None) -> list[Event]:
        """Return what the account's owner is told of a fact that was just folded."""
        if fact.setting is not None:
            return self._set(fact)
        if fact.payment is not None:
            liquidated = fact.fact is FactKind.INSURED
            self._reason = "INSURANCE_CLEAR" if liquidated else "FUNDING_FEE"
            return []
        if fact.account is not None:
            return [self._moved(fact)]
        if fact.terms is not None:
            self._cash = fact.terms.deposit
        if order is None or (fact.report is None and fact.fact is not FactKind.AMENDED):
            return []
        if fact.fact is FactKind.REJECTED:
            return []  # The answer says so; an order that never was has no news.
        if trade is not None:
            key = (trade.fill.symbol, trade.fill.position_side)
            self._touched[key] = None
            self._gains[key] = self._gains.get(key, ZERO) + trade.realized
            self._reason = "ORDER"
        return self._of_order(fact, order, trade)

    def _of_order(self, fact: Fact, order: Order, trade: Trade | None) -> list[Event]:
        if not order.conditional:
            return [self._order(fact, order, trade)]
        if fact.fact is FactKind.ACCEPTED:
            return [self._algo(fact, order, "NEW")]
        if trade is not None:
            first = len(order.trades) == 1
            events = [self._algo(fact, order, "TRIGGERED")] if first else []
            events.append(self._order(fact, order, trade))
            if not order.live:
                events.append(self._algo(fact, order, "FINISHED"))
            return events
        events = [self._order(fact, order, None)] if order.trades else []
        return [*events, self._algo(fact, order, order.status)]

    def _order(self, fact: Fact, order: Order, trade: Trade | None) -> Event:
        request = order.request
        fill = None if trade is None else trade.fill
        status = order.status
        if order.own == DELEVERAGING and status == "NEW":
            status = "NEW_ADL"
        content: dict[str, Any] = {
            "s": self._listings.name(request.symbol),
            "c": order.client_id,
            "S": SIDES[request.side],
            "o": order_type(order),
            "f": time_in_force(order),
            "q": plain(request.quantity),
            "p": plain(request.price or ZERO),
            "ap": average(order) if order.executed else "0",
            "sp": "0",
            "x": _execution(fact, order, trade),
            "X": status,
            "i": order.number,
            "l": plain(fill.quantity) if fill else "0",
            "z": plain(order.executed),
            "L": plain(fill.price) if fill else "0",
            "n": plain(fill.fee) if fill else "0",
            "N": fill.fee_currency if fill else None,
            "T": fill.timestamp if fill else order.updated,
            "t": trade.number if trade else 0,
            "b": "0",
            "a": "0",
            "m": fill is not None and fill.liquidity is Liquidity.MAKER,
            "R": request.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": TYPE_NAMES[request.order_type] if not order.own else order_type(order),
            "ps": POSITION_SIDES[request.position_side],
            "cp": False,
            "rp": plain(trade.realized) if trade else "0",
            "pP": False,
            "si": 0,
            "ss": 0,
            "V": "NONE",
            "pm": "NONE",
            "gtd": request.expire_at or 0,
        }
        return _told("ORDER_TRADE_UPDATE", fact.at, o=content)

    def _algo(self, fact: Fact, order: Order, status: str) -> Event:
        request = order.request
        content = {
            "caid": order.client_id,
            "aid": ALGO_NUMBERS + order.number,
            "at": "CONDITIONAL",
            "o": TYPE_NAMES[request.order_type],
            "s": self._listings.name(request.symbol),
            "S": SIDES[request.side],
            "ps": POSITION_SIDES[request.position_side],
            "f": time_in_force(order),
            "q": plain(request.quantity),
            "X": status,
            "ai": str(order.number) if order.trades else "",
            "ap": average(order) if order.trades else "0",
            "aq": plain(order.executed),
            "act": order_type(order) if order.trades else "0",
            "tp": plain(request.stop_price or ZERO),
            "p": plain(request.price or ZERO),
            "V": "NONE",
            "wt": "CONTRACT_PRICE",
            "pm": "NONE",
            "cp": False,
            "pP": False,
            "R": request.reduce_only,
            "tt": order.updated if order.trades else 0,
            "gtd": request.expire_at or 0,
        }
        return _told("ALGO_UPDATE", fact.at, o=content)

    def _moved(self, fact: Fact) -> Event:
        account = fact.account
        assert account is not None, "the fact is about money"
        change = account.cash - (account.cash if self._cash is None else self._cash)
        self._cash = account.cash
        balance = {
            "a": account.currency,
            "wb": money(account.cash),
            "cw": money(account.cash),
            "bc": money(change if self._reason != "ORDER" else ZERO),
        }
        positions = [self._position(key) for key in self._touched]
        content = {"m": self._reason, "B": [balance], "P": positions}
        self._touched.clear()
        self._reason = "ORDER"
        return _told("ACCOUNT_UPDATE", fact.at, a=content)

    def _position(self, key: tuple[str, Any]) -> dict[str, Any]:
        symbol, side = key
        position = self._records.positions[key]
        price = self._market.price(symbol)
        profit = ZERO if price is None else position.quantity * price - position.cost
        return {
            "s": self._listings.name(symbol),
            "pa": plain(position.quantity),
            "ep": plain(position.average_price),
            "bep": plain(position.average_price),
            "cr": plain(self._gains.get(key, ZERO)),
            "up": money(profit),
            "mt": "isolated" if self._isolated.get(symbol) else "cross",
            "iw": "0",
            "ps": POSITION_SIDES[side],
            "ma": self._listings.rules(symbol).settle,
        }

    def _set(self, fact: Fact) -> list[Event]:
        setting = fact.setting
        assert setting is not None, "the fact is about a setting"
        if setting.isolated is not None:
            self._isolated[setting.symbol] = setting.isolated
        if setting.leverage is None:
            return []
        content = {"s": self._listings.name(setting.symbol), "l": setting.leverage}
        return [_told("ACCOUNT_CONFIG_UPDATE", fact.at, ac=content)]


def _execution(fact: Fact, order: Order, trade: Trade | None) -> str:
    """Return what happened to an order, in the venue's words."""
    if fact.fact is FactKind.AMENDED:
        return "AMENDMENT"
    if trade is not None:
        return "CALCULATED" if order.own in {LIQUIDATION, DELEVERAGING} else "TRADE"
    return order.status


def _told(kind: str, at: int, **content: Any) -> Event:
    return Event("", {"e": kind, "E": at, "T": at, **content})


def expired_key(key: str, at: int) -> Event:
    """Return the word that a listen key is good no more."""
    return Event("", {"e": EXPIRED_KEY, "E": at, "listenKey": key})


def market_events(fact: Fact, market: Market, listings: Listings, wanted: set[str]) -> list[Event]:
    """Return what the ``wanted`` public streams tell of a piece of the market just taken in."""
    piece = fact.shown
    if not isinstance(piece, Bar | Quote | Tick):
        return []
    name = listings.name(piece.symbol)
    prefix = name.lower()
    events = []
    for stream in sorted(wanted):
        symbol, _, kind = stream.partition("@")
        if symbol != prefix and not stream.startswith("!"):
            continue
        if kind.startswith("kline_") and isinstance(piece, Bar):
            interval = kind.removeprefix("kline_")
            candles = market.newest(piece.symbol, interval)
            events += [
                Event(stream, _kline(name, each, interval, market, fact.at)) for each in candles
            ]
            continue
        content = _content(kind or stream, name, piece, market, fact.at)
        if content is not None:
            events.append(Event(stream, content))
    return events


def _content(
    kind: str, name: str, piece: Bar | Quote | Tick, market: Market, at: int
) -> dict[str, Any] | None:
    if kind in {"aggTrade", "trade"} and not isinstance(piece, Quote):
        return _trade(kind, name, piece, market.count, at)
    if kind in {"bookTicker", "!bookTicker"}:
        return _book_ticker(name, piece.symbol, market, at)
    if kind.startswith(("markPrice", "!markPrice")):
        return _mark(name, piece.symbol, market, at)
    if kind in {"ticker", "miniTicker"}:
        return _ticker(kind, name, piece.symbol, market, at)
    if kind.startswith("depth"):
        return _depth(name, piece.symbol, market, at)
    return None


def _kline(name: str, candle: Candle, interval: str, market: Market, at: int) -> dict[str, Any]:
    row = candle.row()
    return {
        "e": "kline",
        "E": at,
        "s": name,
        "k": {
            "t": row[0],
            "T": row[6],
            "s": name,
            "i": interval,
            "f": market.count,
            "L": market.count,
            "o": row[1],
            "c": row[4],
            "h": row[2],
            "l": row[3],
            "v": row[5],
            "n": row[8],
            "x": candle.closed,
            "q": row[7],
            "V": row[9],
            "Q": row[10],
            "B": "0",
        },
    }


def _trade(kind: str, name: str, piece: Bar | Tick, number: int, at: int) -> dict[str, Any]:
    """Return a public trade; a bar's is its last, with all of its volume."""
    price = piece.close if isinstance(piece, Bar) else piece.price
    size = piece.volume if isinstance(piece, Bar) else piece.size
    content = {
        "e": kind,
        "E": at,
        "s": name,
        "p": plain(exact(price)),
        "q": plain(exact(size)),
        "T": at,
        "m": False,
    }
    if kind == "aggTrade":
        return content | {"a": number, "f": number, "l": number}
    return content | {"t": number, "X": "MARKET"}


def _book_ticker(name: str, symbol: str, market: Market, at: int) -> dict[str, Any] | None:
    book = market.book(symbol)
    if book is None:
        return None
    bid, bid_size, ask, ask_size = book
    return {
        "e": "bookTicker",
        "u": market.count,
        "s": name,
        "b": plain(bid),
        "B": plain(bid_size),
        "a": plain(ask),
        "A": plain(ask_size),
        "T": at,
        "E": at,
    }


def _mark(name: str, symbol: str, market: Market, at: int) -> dict[str, Any]:
    price = plain(market.price(symbol) or ZERO)
    return {
        "e": "markPriceUpdate",
        "E": at,
        "s": name,
        "p": price,
        "i": price,
        "P": price,
        "r": plain(market.rate(symbol)),
        "T": at,
    }


def _ticker(kind: str, name: str, symbol: str, market: Market, at: int) -> dict[str, Any] | None:
    day = market.day(symbol, at)
    last = market.price(symbol)
    if day is None or last is None:
        return None
    first = exact(day.open)
    content = {
        "e": "24hrMiniTicker" if kind == "miniTicker" else "24hrTicker",
        "E": at,
        "s": name,
        "c": plain(last),
        "o": plain(first),
        "h": plain(exact(day.high)),
        "l": plain(exact(day.low)),
        "v": plain(day.volume),
        "q": plain(day.value),
    }
    if kind == "miniTicker":
        return content
    return content | {
        "p": plain(last - first),
        "P": plain(round((last - first) / first * 100, 3)),
        "w": plain(last),
        "Q": "0",
        "O": day.opened,
        "C": at,
        "F": 0,
        "L": market.count,
        "n": day.count,
    }


def _depth(name: str, symbol: str, market: Market, at: int) -> dict[str, Any] | None:
    book = market.book(symbol)
    if book is None:
        return None
    bid, bid_size, ask, ask_size = book
    return {
        "e": "depthUpdate",
        "E": at,
        "T": at,
        "s": name,
        "U": market.count,
        "u": market.count,
        "pu": market.count - 1,
        "b": [[plain(bid), plain(bid_size)]],
        "a": [[plain(ask), plain(ask_size)]],
    }
