"""
The rules of a session's markets: read at its start, and again when they seem to be others.

A venue changes tick, step or least order while a session runs, and refuses from then on what was
rounded by the old ones. So the markets are read anew when an order was refused by a code that the
row names for that, and now and then without a reason. What is read of a symbol is taken whole or
not at all: not where it is missing, or cannot be read, or where a contract has become another
amount of coins, for then every quantity that is known would mean something else. That is told once,
and keeps no other symbol from being read. Where a symbol is missing twice in a row, for once may be
a page, nothing opens any more until it is listed again.

What changes for whoever decides is the least order; the grid is the broker's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final
from zlib import crc32

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done
from brokers.ccxt.errors import UNREADABLE, Failure, NotSent
from brokers.ccxt.limits import (
    ABSENT_TWICE,
    ACCOUNT_SOON_S,
    RULES_AGAIN_S,
    RULES_EVERY_S,
    RULES_JITTER,
)
from brokers.ccxt.rounding import Least, MarketRules, differences, least_of, number, rules_of
from state.money import plain

UNLISTED: Final = "the venue does not list it any more"


class Rulebook:
    """
    The rules by symbol, in ``rules``: who has these has the newest.

    ``changed`` hears in words what has changed, ``least_changed`` of which symbol the least order
    is another one, and ``trouble`` what failed. Symbols in ``gone`` are not listed any more.
    """

    def __init__(self, calls: Calls, rules: dict[str, MarketRules], clock: VenueClock) -> None:
        """Keep ``rules``, which have just been read."""
        self.rules = rules
        self.changed: Callable[[str], object] = _nothing
        self.least_changed: Callable[[str, Least], object] = lambda _symbol, _least: None
        self.trouble: Callable[[Failure], object] = _nothing
        self.gone: set[str] = set()
        self._calls = calls
        self._clock = clock
        self._told = {symbol: least_of(each) for symbol, each in rules.items()}
        self._unfit: dict[str, str] = {}
        """What was told of symbols that were not taken when they were read last."""
        self._missed: dict[str, int] = {}
        """How often in a row they were not listed."""
        self._readings = 0
        self._read_s = clock.monotonic_s()
        self._again_s = self._read_s
        """Before when a doubt does not have them read again."""
        self._is_doubted = False

    def doubt(self) -> None:
        """Read them soon: an order was refused as if they were others."""
        self._is_doubted = True

    async def keep(self) -> None:
        """Read them whenever that is due, until cancelled."""
        self._tell_least()
        while True:
            await self._clock.sleep_s(ACCOUNT_SOON_S)
            if self._is_due():
                await self.read()

    async def read(self) -> None:
        """Read them, and take what has changed; where that fails what is known stays."""
        self._is_doubted = False
        found = await self._calls.read(self._load)
        self._read_s = self._clock.monotonic_s()
        self._again_s = self._read_s + RULES_AGAIN_S
        self._readings += 1
        if not isinstance(found, Done):
            self._is_doubted = True
            self.trouble(found)
        elif isinstance(found.value, str):
            self.trouble(NotSent(f"{found.value}: the rules that are known stay"))
        else:
            self._take(*found.value)

    def snapshot(self) -> dict[str, list[str]]:
        """Return the least orders that were told, JSON-ready; empty for none."""
        return {
            symbol: ["" if each is None else plain(each) for each in least]
            for symbol, least in self._told.items()
        }

    def restore(self, told: Mapping[str, list[str]]) -> None:
        """Take back what an earlier process has told; what is another by now is told then."""
        for symbol in self._told.keys() & told.keys():
            quantity, notional = (Decimal(each) if each else None for each in told[symbol])
            self._told[symbol] = Least(quantity, notional)

    def _is_due(self) -> bool:
        now_s = self._clock.monotonic_s()
        if self._is_doubted:
            return now_s >= self._again_s
        return now_s >= self._read_s + RULES_EVERY_S * self._jitter

    @property
    def _jitter(self) -> float:
        """Return a factor: not everybody comes at the same time, and each reading at another."""
        address = self._calls.client.address
        drawn = crc32(f"{address.exchange} {address.account} {self._readings}".encode()) / 2**32
        return 1 + RULES_JITTER * (2 * drawn - 1)

    async def _load(self) -> tuple[dict[str, MarketRules], dict[str, str]] | str:
        """
        Have ccxt take the markets as they are now.

        Return the rules of those that were taken, and of the others why they were not; or why
        nothing was.
        """
        try:
            found = await self._calls.client.listed(self.rules)
        except UNREADABLE as error:
            return _unreadable("its markets", error)
        rules: dict[str, MarketRules] = {}
        unfit = self._missing(self.rules.keys() - found.markets.keys() - found.unread.keys())
        unfit |= {symbol: _unreadable(symbol, each) for symbol, each in found.unread.items()}
        for symbol in found.markets:
            try:
                fit = self._fit(found.markets[symbol], symbol)
            except UNREADABLE as error:
                fit = _unreadable(symbol, error)
            if isinstance(fit, str):
                unfit[symbol] = fit
            else:
                rules[symbol] = fit
        found.take(rules)
        return rules, unfit

    def _missing(self, symbols: Collection[str]) -> dict[str, str]:
        """Take it that ``symbols`` are not listed; return what there is to say of each."""
        self._missed = {symbol: 1 + self._missed.get(symbol, 0) for symbol in symbols}
        self.gone.clear()
        self.gone.update(symbol for symbol, times in self._missed.items() if times >= ABSENT_TWICE)
        self._is_doubted = self._is_doubted or bool(self._missed.keys() - self.gone)
        return {
            symbol: f"{symbol}: {UNLISTED}{', and nothing opens there' * (symbol in self.gone)}"
            for symbol in sorted(symbols)
        }

    def _fit(self, market: Mapping[str, Any], symbol: str) -> MarketRules | str:
        """Return the rules of a market, or why they cannot be taken in the middle of a session."""
        client = self._calls.client
        size = number(market.get("contractSize")) or None
        if size != (number(client.exchange.markets[symbol].get("contractSize")) or None):
            had, has = plain(self.rules[symbol].contract_size), "none" if size is None else size
            return f"{symbol}: a contract was {had}, and is {has}"
        rules = rules_of(market, client.row)
        least_of(rules)
        return rules

    def _take(self, found: Mapping[str, MarketRules], unfit: dict[str, str]) -> None:
        for symbol, why in unfit.items():
            if self._unfit.get(symbol) != why:
                self.trouble(NotSent(f"{why}: the rules that are known stay"))
        for symbol in self._unfit.keys() & found.keys():
            self.changed(f"{symbol}: it can be read again")
        self._unfit = unfit
        for symbol, rules in found.items():
            known = self.rules[symbol]
            if rules != known:
                self.rules[symbol] = rules
                self.changed(f"{symbol}: {differences(known, rules)}")
        self._tell_least()

    def _tell_least(self) -> None:
        for symbol, rules in self.rules.items():
            least = least_of(rules)
            if least != self._told[symbol]:
                self._told[symbol] = least
                self.least_changed(symbol, least)


def _unreadable(what: str, error: BaseException) -> str:
    return f"what it says of {what} cannot be read: {type(error).__name__}"


def _nothing(_heard: object) -> None:
    return None
