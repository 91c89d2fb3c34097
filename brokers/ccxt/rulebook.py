"""
The rules of a session's markets: read at its start, and again when they seem to be others.

A venue changes tick, step or least order while a session runs, and refuses from then on what was
rounded by the old ones. So the markets are read anew when an order was refused by a code that the
row names for that, and now and then without a reason. What is read is taken whole or not at all:
not where a symbol is missing, or where a contract has become another amount of coins, for then
every quantity that is known would mean something else.

What changes for whoever decides is the least order; the grid is the broker's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from zlib import crc32

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done
from brokers.ccxt.errors import UNREADABLE, Failure, NotSent
from brokers.ccxt.limits import ACCOUNT_SOON_S, RULES_AGAIN_S, RULES_EVERY_S, RULES_JITTER
from brokers.ccxt.rounding import Least, MarketRules, differences, least_of, number, rules_of
from state.money import plain


class Rulebook:
    """
    The rules by symbol, in ``rules``: who has these has the newest.

    ``changed`` hears in words what has changed, ``least_changed`` of which symbol the least order
    is another one, and ``trouble`` what failed.
    """

    def __init__(self, calls: Calls, rules: dict[str, MarketRules], clock: VenueClock) -> None:
        """Keep ``rules``, which have just been read."""
        self.rules = rules
        self.changed: Callable[[str], object] = _nothing
        self.least_changed: Callable[[str, Least], object] = lambda _symbol, _least: None
        self.trouble: Callable[[Failure], object] = _nothing
        self._calls = calls
        self._clock = clock
        self._told = {symbol: least_of(each) for symbol, each in rules.items()}
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
            self._take(found.value)

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

    async def _load(self) -> dict[str, MarketRules] | str:
        """Have ccxt take the markets as they are now; return their rules, or why that cannot be."""
        client = self._calls.client
        try:
            found = await client.listed(self.rules)
            for symbol, known in self.rules.items():
                market = found.markets.get(symbol)
                if market is None:
                    return f"{symbol}: the venue does not list it any more"
                size = number(market.get("contractSize")) or None
                if size != (number(client.exchange.markets[symbol].get("contractSize")) or None):
                    had, has = plain(known.contract_size), "none" if size is None else size
                    return f"{symbol}: a contract was {had}, and is {has}"
            rules = {symbol: rules_of(found.markets[symbol], client.row) for symbol in self.rules}
            for each in rules.values():
                least_of(each)
        except UNREADABLE as error:
            return f"what it says of its markets cannot be read: {type(error).__name__}"
        found.take()
        return rules

    def _take(self, found: Mapping[str, MarketRules]) -> None:
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


def _nothing(_heard: object) -> None:
    return None
