"""
What the venue holds: positions, open orders and money, as they are compared with ours.

Funding is no more than a change of the balance until it is asked for. It is when the stream tells
of a payment, when money has moved though nothing was traded, and now and then. Each payment is news
of its own, told once; the total is part of the account. What is paid apart from funding is in the
total only: no position has to bear it, and the comparison names what is not booked of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec

from brokers.ccxt.calls import Calls, Done
from brokers.ccxt.columns import Capabilities, Money
from brokers.ccxt.errors import UNREADABLE, Failure, Refused, Unknown
from brokers.ccxt.identity import decoded
from brokers.ccxt.known import KnownOrder
from brokers.ccxt.limits import FUNDING_EVERY_S, TRADES_REMEMBERED
from brokers.ccxt.rounding import MarketRules, number
from brokers.ccxt.translate import counted_of, position_side_of, side_of
from brokers.contract import News
from messages import (
    Fill,
    PositionMode,
    PositionSide,
    VenueOrder,
    VenuePayment,
    VenueReport,
    VenueTrades,
)
from state.money import EXACT, ZERO, plain
from state.orders import RecentIds
from state.reconciliation import AccountView, PositionKey

ENTRY_DIGIT: Final = Decimal("1e-5")
"""The coarsest that a venue writes a mean entry price."""

INCOME_PAGE: Final = 1_000

RATE_OFF_MS: Final = 60_000
"""How far a settlement's rate may be dated from the payments that it made."""

RATES_PAGE: Final = 10
"""Rates asked for: more than are settled within that."""


class Funding:
    """Funding that the venue has booked since ``began`` (ms, by its dates), each payment once."""

    def __init__(self, began: int = 0) -> None:
        """Begin with nothing paid."""
        self.began = began
        self._upto = began
        self._seen: dict[str, VenuePayment] = {}
        self.paid = ZERO
        """Paid less received."""

    @property
    def payments(self) -> tuple[VenuePayment, ...]:
        """Return the payments since ``began``; of very many the newest."""
        return tuple(self._seen.values())

    @property
    def since(self) -> int | None:
        """Return from when on payments are to be asked for, ``None`` before the first."""
        return self._upto or None

    def begin_after(self, payments: Sequence[Mapping[str, Any]]) -> None:
        """Leave out what the account paid before."""
        newest = max((int(each.get("timestamp") or 0) for each in payments), default=-1)
        self.began = self._upto = newest + 1

    def fresh(self, payments: Sequence[Mapping[str, Any]]) -> list[VenuePayment]:
        """Return the payments of a page that were not taken yet; of which side is not known."""
        if payments and not self.began:
            # Without a date a venue tells of its last week only.
            self.began = self._upto = min(int(each.get("timestamp") or 0) for each in payments)
        found: dict[str, VenuePayment] = {}
        for each in payments:
            amount, at = number(each.get("amount")), int(each.get("timestamp") or 0)
            symbol = str(each.get("symbol") or "")
            if amount is None or at < self._upto:
                continue
            # A venue may give both sides of a hedged position one number.
            name = f"funding:{symbol}:{each.get('id')}:{at}:{plain(amount)}"
            if name not in self._seen:
                found[name] = VenuePayment(name, symbol, at, amount)
        return list(found.values())

    def take(self, payment: VenuePayment) -> bool:
        """Count a payment, once; return whether it is new."""
        if payment.payment_id in self._seen:
            return False
        self._seen[payment.payment_id] = payment
        self.paid = EXACT.subtract(self.paid, payment.amount)
        return True

    def turn(self, payments: Sequence[Mapping[str, Any]]) -> None:
        """Go on after a page, if it is full; what was on it is taken."""
        if len(payments) >= INCOME_PAGE:
            self._upto = max(int(each.get("timestamp") or 0) for each in payments)
            self._seen = {
                name: each for name, each in self._seen.items() if each.timestamp >= self._upto
            }


class TradeCount:
    """How many trades of the account were told, in whichever way: each may have been rounded."""

    def __init__(self, count: int = 0) -> None:
        """Go on after ``count`` of an earlier process."""
        self.count = count
        self._seen = RecentIds(TRADES_REMEMBERED)

    def take(self, fills: Iterable[Fill]) -> int:
        """Count the trades that are new, and return how many these are."""
        new = [self._seen.add(fill.trade_id) for fill in fills].count(True)
        self.count += new
        return new


def grain_of(row: Capabilities, trades: int) -> Decimal:
    """Return how far so many trades may have put the money off, each of them rounded."""
    return EXACT.multiply(row.payment_digit, Decimal(2 * trades))


def fills_in(news: News) -> tuple[Fill, ...]:
    """Return the fills that a piece of news tells of."""
    match news:
        case VenueReport():
            return () if news.fill is None else (news.fill,)
        case VenueTrades():
            return news.trades
        case VenueOrder():
            return news.fills
        case VenuePayment():
            return ()


class Surveyor:
    """Reads the account; every method that reads returns what is certain after it."""

    def __init__(
        self,
        calls: Calls,
        rules: Mapping[str, MarketRules],
        mode: PositionMode,
        funding: Funding,
        trades: TradeCount,
        now_s: Callable[[], float],
    ) -> None:
        """Read through ``calls`` what there is to the symbols of ``rules``."""
        self._now_s = now_s
        self._paid_at_s: float | None = None
        self._calls = calls
        self._rules = rules
        self._mode = mode
        self._funding = funding
        self._trades = trades
        self.gone: Container[str] = ()
        """Symbols that the venue does not list any more: it may refuse to say what rests there."""
        self._unlisted: set[str] = set()
        """What the venue calls markets that we do not know, and did not list when it was asked."""
        self.open_orders: dict[str, Mapping[str, Any]] = {}
        """The open orders by our names, as they were read last."""
        self._apart: frozenset[str] = frozenset()
        """Those of them that are in the list of what waits for a price."""
        self.tell: Callable[[Iterable[VenuePayment]], object] = lambda _payments: None
        self._balance: tuple[Decimal | None, int] | None = None
        """The money when it was read last, and how many trades had been seen by then."""

    @property
    def payments(self) -> tuple[VenuePayment, ...]:
        """Return the funding that was settled since the session began; of very much the newest."""
        return self._funding.payments if self._calls.row.funding else ()

    def with_trades(self, view: AccountView, fills: Sequence[Fill]) -> AccountView:
        """Return a view that has ``fills`` in it already, and was rounded with each new one."""
        if not self._trades.take(fills):
            return view
        more = grain_of(self._calls.row, len(fills))
        return msgspec.structs.replace(view, grain=EXACT.add(view.grain, more))

    def expect_payment(self) -> None:
        """Ask for payments with the next reading: there is one."""
        self._paid_at_s = None

    async def read(self) -> AccountView | Failure:
        """Return the account; it was not read in one moment."""
        contracts = any(rules.is_contract for rules in self._rules.values())
        exchange = self._calls.client.exchange
        try:
            orders, apart = await self._orders()
            positions = await self._positions() if contracts else []
            if await self._has_learned(positions):
                positions = await self._positions()
            balance = await self._asked(exchange.fetch_balance)
            self._look_for_payment(balance)
            paid = await self._paid() if self._has_payments else None
            open_orders = {name_of(each, self._calls.row): each for each in orders}
            view = view_of(
                self._calls.row,
                self._rules,
                self._mode,
                positions=positions,
                balance=balance,
                open_orders=frozenset(open_orders),
                funding=paid,
                trades=self._trades.count,
            )
        except _Unanswered as unanswered:
            return unanswered.failure
        except UNREADABLE as error:
            return Unknown(f"what it says of the account cannot be read: {type(error).__name__}")
        self.open_orders, self._apart = open_orders, apart
        return view

    def listed(self, name: str) -> KnownOrder | None:
        """Return an order, whoever has placed it, as it was listed when it was read last."""
        seen = self.open_orders.get(name)
        if seen is None:
            return None
        order = KnownOrder(name, str(seen["symbol"]), side_of(seen), venue_id=str(seen["id"]))
        order.waits = name in self._apart
        return order

    def has_more(self, order: KnownOrder) -> bool:
        """Return whether an order is not in the list of open ones, or has traded more there."""
        listed = self.open_orders.get(order.name)
        if listed is None:
            return True
        try:
            counted = counted_of(listed, self._rules[order.symbol])
        except UNREADABLE:
            return True  # whatever it is: the order is asked for
        return counted is not None and counted > order.gross

    async def _asked(self, ask: Callable[[], Awaitable[Any]], weight: int | None = None) -> Any:
        found = await self._calls.read(ask, weight)
        if isinstance(found, Done):
            return found.value
        raise _Unanswered(found)

    async def _orders(self) -> tuple[list[Mapping[str, Any]], frozenset[str]]:
        """Return the open orders, and the names of those that wait where these are apart."""
        fetch, apart = self._calls.client.exchange.fetch_open_orders, self._calls.row.triggers.apart
        kinds: list[dict[str, Any]] = [{}, {apart: True}] if apart else [{}]
        found: list[Mapping[str, Any]] = []
        waiting: set[str] = set()
        if self._calls.row.orders_of_account:
            every = await self._asked(fetch, self._calls.row.weights.light)
            return [order for order in every if order["symbol"] in self._rules], frozenset()
        light, page = self._calls.row.weights.light, self._calls.row.orders_page
        for symbol in self._rules:
            for params in kinds:
                ask = partial(fetch, symbol, limit=page or None, params=params)
                told = await self._calls.read(ask, light)
                if symbol in self.gone and isinstance(told, Refused):
                    continue  # nothing can rest there
                if not isinstance(told, Done):
                    raise _Unanswered(told)
                orders = told.value
                if page and len(orders) >= page:
                    more = f"{symbol}: {page} open orders or more, which are not told in one list"
                    raise _Unanswered(Unknown(more))
                found += orders
                if params:
                    waiting.update(name_of(order, self._calls.row) for order in orders)
        return found, frozenset(waiting)

    async def _positions(self) -> list[Mapping[str, Any]]:
        fetch = self._calls.client.exchange.fetch_positions
        found: list[Mapping[str, Any]] = []
        for params in lists_of_positions(self._calls.row, self._rules):
            found += await self._asked(partial(fetch, None, params))
        return found

    async def _has_learned(self, positions: Iterable[Mapping[str, Any]]) -> bool:
        """
        Ask for the markets of positions that are in coins listed since the start; return if any is.

        Without them ccxt knows neither their names here nor how much a contract is. One that cannot
        be read stays what the venue calls it: no reason to know nothing of the account.
        """
        client = self._calls.client
        new = {str(each["symbol"]) for each in positions if number(each.get("contracts"))}
        new -= client.exchange.markets.keys() | self._unlisted
        if not new:
            return False
        await self._calls.read(partial(client.learn, new))
        self._unlisted |= new - client.exchange.markets_by_id.keys()
        return not new <= self._unlisted

    async def _paid(self) -> Decimal | None:
        now_s = self._now_s()
        if self._paid_at_s is None or now_s - self._paid_at_s >= FUNDING_EVERY_S:
            self._paid_at_s = now_s
            try:
                await self._take_payments()
            except _Unanswered:
                self._paid_at_s = None
                raise
        return self._funding.paid

    def _look_for_payment(self, balance: Mapping[str, Any]) -> None:
        """Expect a payment where money has moved, and nothing was traded that would have."""
        before = self._balance
        money = money_of(self._calls.row, balance, currency_of(self._rules))
        self._balance = (money, self._trades.count)
        if before is not None and before[1] == self._trades.count and before[0] != money:
            self.expect_payment()

    async def _take_payments(self) -> None:
        page = await self._payments(self._funding.since)
        fresh = self._funding.fresh(page)
        if self._mode is PositionMode.HEDGE:
            fresh = [await self._sided(payment) for payment in fresh]
        else:
            fresh = [
                msgspec.structs.replace(each, position_side=PositionSide.BOTH) for each in fresh
            ]
        new = [payment for payment in fresh if self._funding.take(payment)]
        self._funding.turn(page)
        if new and self._calls.row.funding:
            self.tell(new)

    async def _sided(self, payment: VenuePayment) -> VenuePayment:
        """
        Return a payment with the position that it was of: a positive rate is paid by longs.

        Venues say the rate, and not the side; without the rate it stays unknown.
        """
        exchange = self._calls.client.exchange
        if not payment.amount or exchange.has.get("fetchFundingRateHistory") is not True:
            return payment
        fetch = exchange.fetch_funding_rate_history
        since = payment.timestamp - RATE_OFF_MS
        found = await self._asked(
            partial(fetch, payment.symbol, since, RATES_PAGE), self._calls.row.weights.light
        )
        near = min(found, key=lambda each: _apart(each, payment), default=None)
        rate = None if near is None else number(near.get("fundingRate"))
        if near is None or not rate or _apart(near, payment) > RATE_OFF_MS:
            return payment
        is_long = (payment.amount < ZERO) is (rate > ZERO)
        side = PositionSide.LONG if is_long else PositionSide.SHORT
        return msgspec.structs.replace(payment, position_side=side)

    async def _payments(self, since: int | None) -> list[Mapping[str, Any]]:
        fetch = self._calls.client.exchange.fetch_funding_history
        found: list[Mapping[str, Any]] = await self._asked(
            partial(fetch, None, since, INCOME_PAGE), self._calls.row.weights.heavy
        )
        return found

    async def begin(self) -> int | Failure:
        """
        Leave out what the account paid before; return the date of its newest trade, 0 for none.

        By the venue's own dates: they need not be those of a clock.
        """
        newest = 0
        try:
            for symbol in self._rules:
                fetch = self._calls.client.exchange.fetch_my_trades
                trades = await self._asked(
                    partial(fetch, symbol, None, self._calls.row.trades_page)
                )
                newest = max([newest, *(int(trade["timestamp"]) for trade in trades)])
            if self._has_payments:
                self._funding.begin_after(await self._payments(None))
        except _Unanswered as unanswered:
            return unanswered.failure
        return newest

    @property
    def _has_payments(self) -> bool:
        row, has = self._calls.row, self._calls.client.exchange.has
        contracts = any(rules.is_contract for rules in self._rules.values())
        tells = row.pays_on_spot or (row.funding and contracts)
        return tells and has.get("fetchFundingHistory") is True


def _apart(rate: Mapping[str, Any], payment: VenuePayment) -> int:
    return abs(int(rate.get("timestamp") or 0) - payment.timestamp)


class _Unanswered(Exception):
    """A question of several that the venue has not answered."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


def lists_of_positions(row: Capabilities, rules: Mapping[str, MarketRules]) -> list[dict[str, Any]]:
    """Return with what to ask for the positions in whatever the markets of ``rules`` settle in."""
    if not row.settle_parameter:
        return [{}]
    settles = {market.settle for market in rules.values() if market.is_contract}
    return [{row.settle_parameter: settle} for settle in sorted(settles)]


def name_of(order: Mapping[str, Any], row: Capabilities) -> str:
    """Return what an order is called here: our id, or the venue's where it has none of ours."""
    return decoded(str(order.get("clientOrderId") or order.get("id") or ""), row)


def view_of(
    row: Capabilities,
    rules: Mapping[str, MarketRules],
    mode: PositionMode,
    *,
    positions: Iterable[Mapping[str, Any]],
    balance: Mapping[str, Any],
    open_orders: frozenset[str],
    funding: Decimal | None,
    trades: int,
) -> AccountView:
    """Return the account as it is compared with ours, from ccxt's words; pure."""
    held: dict[PositionKey, Decimal] = {}
    prices: dict[PositionKey, Decimal] = {}
    cost, grain = ZERO, grain_of(row, trades)
    for position in positions:
        key, quantity = _position(position, rules, mode)
        if not quantity:
            continue
        held[key] = quantity
        entry = number(position.get("entryPrice"))
        if entry is not None:
            prices[key] = entry
            cost = EXACT.add(cost, EXACT.multiply(quantity, entry))
            # The mean entry price is rounded to its last digit; zeros at its end are left out.
            last_digit = min(ENTRY_DIGIT, Decimal(1).scaleb(int(entry.as_tuple().exponent)))
            grain = EXACT.add(grain, EXACT.multiply(abs(quantity), last_digit))
    totals = balance.get("total") or {}
    for symbol, market in rules.items():
        if not market.is_contract:
            quantity = number(totals.get(market.base)) or ZERO
            if quantity:
                held[symbol, PositionSide.BOTH] = quantity
    money = money_of(row, balance, currency_of(rules))
    return AccountView(
        held,
        open_orders,
        None if money is None else EXACT.subtract(money, cost),
        funding=funding,
        prices=prices,
        grain=grain,
    )


def currency_of(rules: Mapping[str, MarketRules]) -> str:
    """Return the account's currency: a session has one."""
    return next(iter(rules.values())).settle


def money_of(row: Capabilities, balance: Mapping[str, Any], currency: str) -> Decimal | None:
    """Return the account's money without open profit, ``None`` where the venue does not say."""
    match row.money:
        case Money.TOTAL:
            return number((balance.get("total") or {}).get(currency)) or ZERO
        case Money.WALLET:
            # Without the list nobody knows; without the currency in it there is none of that.
            for asset in balance["info"]["assets"]:
                if asset.get("asset") == currency:
                    return number(asset.get("walletBalance"))
            return ZERO
        case Money.UNKNOWN:
            return None


def _position(
    position: Mapping[str, Any], rules: Mapping[str, MarketRules], mode: PositionMode
) -> tuple[PositionKey, Decimal]:
    symbol = str(position["symbol"])
    size = number(position.get("contracts")) or ZERO
    market = rules.get(symbol)
    contract = market.contract_size if market else number(position.get("contractSize"))
    quantity = abs(EXACT.multiply(size, contract if contract is not None else Decimal(1)))
    side = position_side_of(position.get("side"))
    if side is PositionSide.SHORT:
        quantity = EXACT.minus(quantity)
    return (symbol, side if mode is PositionMode.HEDGE else PositionSide.BOTH), quantity
