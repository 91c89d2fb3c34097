"""
What a venue says before a session begins: asked, compared with the configuration, nothing changed.

The client may only ask (``CcxtClient.only_asks``): what could place, cancel or set anything raises
before it leaves. A question that the venue does not answer is a finding and no error; after one
without which the others mean nothing (the markets, the key), no more are asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from brokers.ccxt.address import CcxtAddress, VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.capabilities import capabilities_of
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.columns import RightsCall
from brokers.ccxt.errors import Failure
from brokers.ccxt.lanes import Lanes
from brokers.ccxt.limits import SKEW_MS
from brokers.ccxt.opening import (
    LEVERAGES,
    NEEDS_LEVERAGE,
    POSITION_MODE,
    mode_of_leverage,
    no_hedge,
    unfit_timer,
    unread_leverage,
    unread_margin_mode,
    unread_position_mode,
)
from brokers.ccxt.redaction import Redactor
from brokers.ccxt.rights import Rights, rights_of
from brokers.ccxt.rounding import MarketRules, limits_of, number, rules_of
from brokers.ccxt.survey import lists_of_positions, name_of
from brokers.contract import VenueUnreachable
from brokers.findings import Accepts, Finding, failed, held, open_orders, passed, warned
from messages import PositionMode
from state.instruments import Instrument
from state.loopback import left_elsewhere
from state.money import EXACT, plain

PLACES_SHOWN: Final = 6
"""Addresses that are named one by one."""

ALLOWANCE_SHARE: Final = 0.5
"""Whoever else uses so much of the account's allowance will be in the way of our cancels."""


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What the venue's answers are compared with.

    ``described`` are the symbols that the instrument file has: the others have no rules of ours.
    ``is_live``: money would be at stake.
    """

    instruments: Mapping[str, Instrument]
    described: frozenset[str]
    accepts: Accepts
    is_live: bool = False
    allows_withdrawal: bool = False


async def inspected(address: CcxtAddress, clock: VenueClock, asked: Asked) -> list[Finding]:
    """Return what the venue says; nothing at it is changed."""
    row = capabilities_of(address.exchange)
    try:
        client = CcxtClient(address, row, clock, only_asks=True)
    except VenueUnreachable as unreachable:
        return [failed("venue", str(unreachable))]
    lanes = Lanes(client.weights, clock.monotonic_s, clock.sleep_s)
    calls = Calls(client, lanes, clock, Redactor(address.secrets.values()))
    try:
        return [each async for each in Inspector(calls, clock, asked).findings()]
    finally:
        await client.close()


class _Unanswered(Exception):
    """A question without which there is no use in more; ``finding`` says so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.finding = finding


class Inspector:
    """Asks through ``calls``, whose client may only ask."""

    def __init__(self, calls: Calls, clock: VenueClock, asked: Asked) -> None:
        """Ask nothing yet."""
        assert calls.client.only_asks, "a preflight changes nothing"
        self._calls = calls
        self._clock = clock
        self._asked = asked
        self._address = calls.client.address
        self._exchange = calls.client.exchange

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what was found, in the order of asking; each question is asked when its turn is."""
        try:
            async for finding in self._findings():
                yield finding
        except _Unanswered as unanswered:
            yield unanswered.finding

    def _reach(self) -> Iterator[Finding]:
        """Yield what of the venue is not dialled."""
        return reached(self._address, self._exchange.urls["api"])

    async def _findings(self) -> AsyncIterator[Finding]:
        for finding in self._reach():
            yield finding
        yield await self._time()
        rules: dict[str, MarketRules] = {}
        await self._needed("venue.markets", self._exchange.load_markets)
        self._calls.client.speak_of(self._asked.instruments)
        for symbol in self._asked.instruments:
            market = self._exchange.markets.get(symbol)
            finding = listed(symbol, market, self._address.exchange)
            yield finding
            if market is not None and finding.status != "fail":
                rules[symbol] = rules_of(market, self._calls.row)
                yield self._filters(rules[symbol])
        # The first question that is signed: a key that is not taken is told here, once.
        await self._needed("venue.key", self._exchange.fetch_balance)
        yield passed("venue.key", "taken by the venue")
        async for finding in self._rights():
            yield finding
        contracts = [symbol for symbol, market in rules.items() if market.is_contract]
        busy = False
        async for finding in self._open(rules, contracts):
            busy = busy or finding.status != "ok"
            yield finding
        async for finding in self._modes(contracts, busy=busy):
            yield finding
        yield self._allowance()

    async def _needed(self, subject: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        found = await self._calls.read(ask)
        if isinstance(found, Done):
            return found.value
        raise _Unanswered(failed(subject, f"{words(found)}; nothing more was asked"))

    async def _time(self) -> Finding:
        if not self._exchange.has.get("fetchTime"):
            return warned("venue.clock", f"{self._address.exchange} does not tell its time")
        asked_at_s = self._clock.monotonic_s()
        await self._needed("venue.clock", self._calls.client.sync_time)
        took_ms = round(1000 * (self._clock.monotonic_s() - asked_at_s))
        return offset(self._calls.client.time.offset_ms, took_ms, self._address.recv_window_ms)

    def _filters(self, rules: MarketRules) -> Finding:
        instrument = self._asked.instruments[rules.symbol]
        if rules.symbol in self._asked.described:
            return compared(instrument, rules)
        told = failed if self._asked.is_live else warned
        found = ", ".join(f"{name} {plain(value)}" for name, value in limits_of(rules) if value)
        return told(
            f"filters {rules.symbol}",
            f"no instrument file describes it, and the venue has {found}; expected "
            "universe.instruments to name one that does",
        )

    async def _rights(self) -> AsyncIterator[Finding]:
        call = self._calls.row.rights
        if call is RightsCall.UNKNOWN:
            yield warned(
                "venue.rights",
                f"{self._address.exchange} does not tell what a key may do: see to it there that "
                "it may trade and may not withdraw",
            )
            return
        found = await self._calls.read(lambda: rights_of(self._exchange, call))
        if not isinstance(found, Done):
            # It could have told: for money, what nobody knows is not taken for harmless.
            asked = self._asked
            told = failed if asked.is_live and not asked.allows_withdrawal else warned
            yield told("venue.rights", f"the venue does not tell: {words(found)}")
            return
        for finding in judged_rights(found.value, self._asked):
            yield finding

    async def _open(
        self, rules: Mapping[str, MarketRules], contracts: list[str]
    ) -> AsyncIterator[Finding]:
        row, exchange = self._calls.row, self._exchange
        kinds: list[dict[str, Any]] = (
            [{}, {row.triggers.apart: True}] if row.triggers.apart else [{}]
        )
        names: set[str] = set()
        for symbol in rules:
            for params in kinds:
                ask = partial(exchange.fetch_open_orders, symbol, params=params)
                orders = await self._needed("venue.orders", ask)
                names |= {name_of(each, row) for each in orders}
        for finding in open_orders(names, self._asked.accepts):
            yield finding
        if contracts:
            positions: list[Any] = []
            for params in lists_of_positions(row, rules):
                ask = partial(exchange.fetch_positions, None, params)
                positions += await self._needed("venue.positions", ask)
            found = [
                f"{each['symbol']} {each.get('side')} {plain(size)}"
                for each in positions
                if (size := number(each.get("contracts")))
            ]
            yield held(found, self._asked.accepts)

    async def _modes(self, contracts: list[str], *, busy: bool) -> AsyncIterator[Finding]:
        row, exchange, address = self._calls.row, self._exchange, self._address
        if unfit := unfit_timer(address, row):
            yield failed("venue.dead_man_s", unfit)
        wants_hedge = address.position_mode is PositionMode.HEDGE
        if wants_hedge and not row.hedge:
            yield failed(POSITION_MODE, no_hedge(address))
        elif contracts and exchange.has.get("fetchPositionMode") is True:
            found = await self._calls.read(lambda: exchange.fetch_position_mode(contracts[0]))
            if isinstance(found, Done):
                fixed = busy or not row.position_mode_settable
                yield position_mode(wants_hedge, bool(found.value["hedged"]), fixed=fixed)
            else:
                yield _untold(POSITION_MODE, found)
        elif contracts and (unknown := unread_position_mode(address, row, exchange.has)):
            yield warned(POSITION_MODE, unknown)
        if not row.leverage_settable:
            for key in ("leverage", "margin_mode"):
                if contracts and getattr(address, key) is not None:
                    yield failed(f"venue.{key}", f"cannot be set at {address.exchange}")
            return
        for symbol in contracts:
            async for finding in self._margin(symbol):
                yield finding

    async def _margin(self, symbol: str) -> AsyncIterator[Finding]:
        """Yield what a session sets of one contract, and whether it can be known to be set."""
        row, exchange, address = self._calls.row, self._exchange, self._address
        subject = f"leverage {symbol}"
        if unknown := unread_leverage(address, exchange.has):
            yield warned(subject, unknown)
        elif address.leverage is not None:
            mode = mode_of_leverage(row, address)
            found = await self._calls.read(partial(exchange.fetch_leverage, symbol, mode))
            yield setting(subject, address.leverage, found, *LEVERAGES)
        subject = f"margin_mode {symbol}"
        wanted, alone = address.margin_mode, address.leverage is None
        if wanted is not None and alone and row.margin_mode_needs_leverage:
            yield failed(subject, f"{address.exchange} {NEEDS_LEVERAGE}")
        elif unknown := unread_margin_mode(address, row, exchange.has):
            yield warned(subject, unknown)
        elif wanted is not None:
            found = await self._calls.read(partial(exchange.fetch_margin_mode, symbol))
            yield setting(subject, wanted, found, "marginMode")

    def _allowance(self) -> Finding:
        weights, share = self._calls.client.weights, self._calls.lanes.share
        used = round(share * weights.per_window)
        # What only we have counted is what this check has asked: nobody else is in it.
        told = warned if weights.used_header and share >= ALLOWANCE_SHARE else passed
        counted = "by the venue's count" if weights.used_header else "by our own count"
        return told(
            "venue.allowance",
            f"{used} of {weights.per_window} in {weights.window_s:g} s used, {counted}",
        )


# ------------------------------------------------------------------------------------- judgements


def reached(address: CcxtAddress, urls: object) -> Iterator[Finding]:
    """Tell what of a venue a rehearsal by addresses leaves undialled; by nothing else is any."""
    if address.loopback_port or not address.is_pinned:
        return
    elsewhere = left_elsewhere(urls)
    if not elsewhere:
        yield passed("venue.urls", "every address is on this machine")
        return
    named = ", ".join(f"api.{place} ({host})" for place, host in elsewhere[:PLACES_SHOWN])
    more = f" and {len(elsewhere) - PLACES_SHOWN} more" if elsewhere[PLACES_SHOWN:] else ""
    yield warned(
        "venue.urls",
        f"not dialled, as they are not this machine: {named}{more}; without a stream "
        "fills are asked for",
    )


def offset(offset_ms: int, took_ms: int, window_ms: int) -> Finding:
    """Judge how far the venue's clock is from ours: beyond the window ours is simply wrong."""
    side = "ahead of" if offset_ms >= 0 else "behind"
    detail = f"{abs(offset_ms)} ms {side} ours (its answer took {took_ms} ms)"
    if abs(offset_ms) >= window_ms:
        return failed("venue.clock", f"{detail}; expected less than recv_window_ms, {window_ms}")
    if abs(offset_ms) >= SKEW_MS:
        return warned("venue.clock", f"{detail}; expected less than {SKEW_MS}: see to this clock")
    return passed("venue.clock", detail)


def listed(symbol: str, market: Mapping[str, Any] | None, venue: str) -> Finding:
    """Judge whether a symbol can be traded at all."""
    subject = f"symbol {symbol}"
    if market is None:
        return failed(subject, f"{venue} does not list it")
    if market.get("inverse"):
        return failed(subject, "an inverse contract, and those are not supported")
    if market.get("active") is False:
        return failed(subject, "listed, and not open for trading")
    return passed(subject, f"listed as {market['id']}, and active")


def compared(instrument: Instrument, rules: MarketRules) -> Finding:
    """
    Judge our rules of an instrument by the venue's.

    Where ours permit what the venue refuses it fails; where they are only stricter it is a warning.
    """
    subject = f"filters {rules.symbol}"
    loose: list[str] = []
    strict: list[str] = []
    if instrument.settle != rules.settle:
        loose.append(f"settle {instrument.settle}, and {rules.settle} at the venue")
    for name, theirs in limits_of(rules):
        ours: Decimal | None = getattr(instrument, name)
        if ours == theirs:
            continue
        there = "none" if theirs is None else plain(theirs)
        told = f"{name} {'none' if ours is None else plain(ours)}, and {there} at the venue"
        (loose if _permits_more(name, ours, theirs) else strict).append(told)
    if loose:
        return failed(subject, f"ours permit what the venue refuses: {'; '.join(loose + strict)}")
    if strict:
        return warned(subject, f"ours are stricter than the venue's: {'; '.join(strict)}")
    return passed(subject, "as the venue has them")


def _permits_more(name: str, ours: Decimal | None, theirs: Decimal | None) -> bool:
    if theirs is None:
        return False
    if ours is None:
        return True
    if name in {"price_tick", "lot_step"}:
        return bool(EXACT.remainder(ours, theirs))
    return ours > theirs if name.startswith("max") else ours < theirs


def judged_rights(rights: Rights, asked: Asked) -> Iterator[Finding]:
    """Judge what the key may do: trade, and not withdraw."""
    if rights.trade:
        yield passed("venue.rights.trade", "the key may trade")
    else:
        yield failed("venue.rights.trade", "the key may not trade here")
    subject = "venue.rights.withdraw"
    if not rights.withdraw:
        yield passed(subject, "the key may not withdraw")
    elif asked.is_live and not asked.allows_withdrawal:
        yield failed(
            subject,
            "the key may withdraw money; expected one that may not, or venue.allow_withdrawal "
            "= true",
        )
    else:
        yield warned(subject, "the key may withdraw money: whoever gets it has the account")


def position_mode(wants_hedge: bool, is_hedge: bool, *, fixed: bool) -> Finding:  # noqa: FBT001
    """Judge the position mode; ``fixed``: beside orders or positions, or where nobody sets it."""
    names = {True: "hedge", False: "one_way"}
    subject, found, wanted = POSITION_MODE, names[is_hedge], names[wants_hedge]
    if found == wanted:
        return passed(subject, found)
    if fixed:
        return failed(
            subject,
            f"found {found}, expected {wanted}: it cannot be changed from here, or not while there "
            "are orders or positions",
        )
    return warned(subject, f"found {found}: a session sets it to {wanted}")


def setting(
    subject: str, wanted: int | str, answer: Done[Mapping[str, Any]] | Failure, *names: str
) -> Finding:
    """Judge what a session sets at its start, by the fields ``names`` of the venue's answer."""
    if not isinstance(answer, Done):
        return _untold(subject, answer)
    found = " and ".join(dict.fromkeys(str(answer.value.get(name)) for name in names))
    if found == str(wanted):
        return passed(subject, found)
    return warned(subject, f"found {found}: a session sets it to {wanted}")


def _untold(subject: str, failure: Failure) -> Finding:
    return warned(subject, f"the venue does not tell: {words(failure)}")
