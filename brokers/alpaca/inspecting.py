"""
What Alpaca says before a session begins, beyond what every real venue is asked.

Whether the account may trade, sell short and day-trade, whether the exchange is open, and what of
each share: findings, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from brokers.alpaca.client import AlpacaClient
from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.inspecting import Asked, Inspector
from brokers.ccxt.lanes import Lanes
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rounding import number
from brokers.contract import VenueUnreachable
from brokers.findings import Finding, failed, passed, warned

BLOCKS: Final = {
    "trading_blocked": "Alpaca does not let the account trade",
    "account_blocked": "Alpaca has blocked the account",
    "trade_suspended_by_user": "trading is suspended in the account's own settings",
}
"""Flags of an account by which every order would be refused."""

PDT_EQUITY: Final = Decimal(25_000)
"""Below it a pattern day trader may not open what he closes the same day."""

PDT_TRADES: Final = 3
"""Day trades within five days that everybody has; one more makes a pattern day trader."""


async def inspected(address: CcxtAddress, clock: VenueClock, asked: Asked) -> list[Finding]:
    """Return what Alpaca says; nothing at it is changed."""
    row = capabilities_of(address.exchange)
    try:
        client = AlpacaClient(address, row, clock, symbols=tuple(asked.instruments), only_asks=True)
    except VenueUnreachable as unreachable:
        return [failed("venue", str(unreachable))]
    lanes = Lanes(client.weights, clock.monotonic_s, clock.sleep_s)
    calls = Calls(client, lanes, clock, Redactor(address.secrets.values()))
    try:
        return [each async for each in AlpacaInspector(calls, clock, asked).findings()]
    finally:
        await client.close()


class AlpacaInspector(Inspector):
    """Asks the account's flags and the market's clock where others are asked what a key may do."""

    _exchange: Any

    def _reach(self) -> Iterator[Finding]:
        """Yield nothing: its client dials the account's own host, and knows no other."""
        return iter(())

    async def _rights(self) -> AsyncIterator[Finding]:
        account = await self._needed("venue.account", self._exchange.fetch_account)
        for finding in judged_account(account):
            yield finding
        yield judged_clock(await self._needed("venue.session", self._exchange.fetch_clock))
        for symbol, market in self._exchange.markets.items():
            yield judged_asset(symbol, market["info"])


def judged_account(account: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge an account's flags; its number is not shown."""
    subject = "venue.account"
    status = str(account.get("status"))
    if status != "ACTIVE":
        yield failed(subject, f"found status {status}, expected ACTIVE")
    blocks = [words for flag, words in BLOCKS.items() if account.get(flag)]
    for words in blocks:
        yield failed(subject, words)
    if status == "ACTIVE" and not blocks:
        yield passed(subject, "active, and may trade")
    yield from _day_trading(account)
    if account.get("shorting_enabled"):
        yield passed("venue.shorting", "the account may sell short")
    else:
        yield warned("venue.shorting", "the account may not sell short: such orders are refused")


def _day_trading(account: Mapping[str, Any]) -> Iterator[Finding]:
    subject = "venue.day_trading"
    equity = number(account.get("equity")) or Decimal(0)
    count = int(account.get("daytrade_count") or 0)
    if equity >= PDT_EQUITY:
        yield passed(subject, f"equity of {PDT_EQUITY} or more: day trades are not counted")
    elif account.get("pattern_day_trader"):
        yield failed(
            subject,
            f"a pattern day trader with an equity below {PDT_EQUITY}: what would open and close "
            "within a day is refused",
        )
    elif count >= PDT_TRADES:
        yield warned(
            subject,
            f"{count} day trades within five days, and one more makes a pattern day trader: "
            "orders that could close what was opened today are refused",
        )
    else:
        yield passed(subject, f"{count} of {PDT_TRADES} day trades within five days")


def judged_clock(clock: Mapping[str, Any]) -> Finding:
    """Judge whether the exchange is open."""
    if clock.get("is_open"):
        return passed("venue.session", f"the exchange is open until {clock.get('next_close')}")
    return warned(
        "venue.session",
        f"the exchange is closed until {clock.get('next_open')}: orders wait for the opening",
    )


def judged_asset(symbol: str, asset: Mapping[str, Any]) -> Finding:
    """Judge what can be done with a share."""
    has = [
        words
        for flag, words in (
            ("fractionable", "in fractions (good for the day only)"),
            ("shortable", "short"),
            ("marginable", "on margin"),
        )
        if asset.get(flag)
    ]
    if asset.get("shortable") and not asset.get("easy_to_borrow"):
        return warned(f"share {symbol}", f"{', '.join(has)}; hard to borrow: shorts are refused")
    return passed(f"share {symbol}", ", ".join(["tradable", *has]))
