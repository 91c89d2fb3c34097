"""
The ledger: what the session owns, owes, earned and paid, to the last digit.

Theory of operation
-------------------
Every fill is one entry: a list of postings that sums to zero in every commodity. The chart of
accounts is small:

- ``cash:USDT``, ``capital:USDT`` (deposits), ``realized:USDT``, ``fees:USDT``, ``funding:USDT``;
  cash and fees exist once per currency in which fees were ever paid;
- per book ``inventory:STRATEGY:SYMBOL:SIDE``, the cost of its open lots, and ``units:...``, their
  quantity, against ``market:SYMBOL``, where all units come from;
- per perpetual book ``contract:...``, what is owed to the contract's counterparty: a perpetual
  is not paid for, so its cost is balanced there and only its profit moves cash.

From these follow, without further arithmetic, the two equations that the artifacts promise.
Spot: cash = deposits - buys + sells - fees; equity = cash + sum of quantity * mark. Linear
perpetuals: cash = deposits + realised - fees - funding; equity = cash + unrealised.

An entry is worked out in full before anything moves, so a fill is either booked whole or the
ledger is as before. Then the touched book is checked (see ``state.ledger.book``). A check that
fails raises ``LedgerImbalance`` and the ledger refuses every further entry: the session halts.

All arithmetic runs under ``STRICT``, so an operation that would lose a digit raises instead.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException, getcontext, localcontext, setcontext
from typing import Any, Final, TypeVar

import msgspec

from messages import Booking, Fill, PositionSide, Side
from state.instruments import Instrument
from state.ledger.accounts import Account, Chart, ImpossibleFill, LedgerError, LedgerImbalance
from state.ledger.book import Book, BookKey, Position
from state.ledger.lots import LotMethod
from state.money import EXACT, STRICT, ZERO

SNAPSHOT_VERSION = 1

What = TypeVar("What")
Result = TypeVar("Result")


# Members of an enum are slow to look up in Python 3.11 (65 ns): the hot path has them by name.
_BUY: Final = Side.BUY


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """
    The account at given marks, in the account's currency; ``realized_pnl`` is gross of fees.

    ``marks`` are those of every symbol with a position, by symbol.
    """

    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    marks: tuple[tuple[str, Decimal], ...] = ()


class Ledger:
    """
    The double-entry books of one account in one currency.

    Instruments must settle in that currency. Fees may be paid in any: each currency has its own
    cash and fee accounts, and ``cash``, ``fees`` and ``equity`` speak of the account's alone.
    A fee taken out of what was bought (base currency) leaves the position whole and shows as
    negative cash of that currency.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        currency: str,
        deposit: Decimal,
        lot_methods: Mapping[str, LotMethod] | None = None,
    ) -> None:
        """Open the books with a deposit; ``lot_methods`` is by strategy, else FIFO."""
        self.currency = currency
        self.imbalance = ""
        self.chart = Chart()
        self._instruments = instruments
        self._lot_methods = dict(lot_methods or {})
        self._books: dict[BookKey, Book] = {}
        self._open: list[BookKey] = []
        for instrument in instruments.values():
            self._check_currency(instrument)
        self._cash = self.chart.account(f"cash:{currency}", currency)
        self._capital = self.chart.account(f"capital:{currency}", currency)
        self._realized = self.chart.account(f"realized:{currency}", currency)
        self._funding = self.chart.account(f"funding:{currency}", currency)
        self._fees = self.chart.account(f"fees:{currency}", currency)
        self._fee_accounts = {currency: (self._fees, self._cash)}
        self.deposit(deposit)

    def __repr__(self) -> str:
        """Show the totals."""
        return (
            f"<Ledger {self.currency} cash={self.cash} realized={self.realized_pnl} "
            f"fees={self.fees} funding={self.funding} open={len(self._open)} "
            f"entries={self.chart.entries}>"
        )

    # -- what it says

    @property
    def cash(self) -> Decimal:
        """Return the cash in the account's currency."""
        return self._cash.balance

    @property
    def deposits(self) -> Decimal:
        """Return all that was put in."""
        return EXACT.minus(self._capital.balance)

    @property
    def fees(self) -> Decimal:
        """Return the fees paid in the account's currency."""
        return self._fees.balance

    @property
    def funding(self) -> Decimal:
        """Return the funding paid, net of what was received."""
        return self._funding.balance

    @property
    def realized_pnl(self) -> Decimal:
        """Return the profit of what was closed, gross of fees."""
        return EXACT.minus(self._realized.balance)

    @property
    def accounts(self) -> dict[str, Decimal]:
        """Return every account's balance by name: the trial balance, debits positive."""
        return {name: account.balance for name, account in self.chart.accounts.items()}

    def fees_by_currency(self) -> dict[str, Decimal]:
        """Return the fees paid, by currency, in order of first use."""
        return {currency: pair[0].balance for currency, pair in self._fee_accounts.items()}

    def position(self, strategy: str, symbol: str, position_side: PositionSide) -> Position | None:
        """Return the position, flat ones included, or ``None`` if it never had a fill."""
        book = self._books.get((strategy, symbol, position_side))
        return None if book is None else book.view()

    def positions(self) -> list[Position]:
        """Return the positions that are not flat, by strategy, symbol and side."""
        books = self._books
        return [books[key].view() for key in self._open]

    def books_of(self, symbol: str) -> list[Position]:
        """Return what every book of a symbol holds, flat ones included, by strategy and side."""
        keys = sorted(key for key in self._books if key[1] == symbol)
        return [self._books[key].view() for key in keys]

    @property
    def flat(self) -> bool:
        """Return whether no book holds anything."""
        return not self._open

    def margin(self, mark: Callable[[str], Decimal]) -> Decimal:
        """Return the initial margin that open perpetual positions bind at their symbols' marks."""
        total = ZERO
        for key in self._open:
            book = self._books[key]
            if not book.is_spot:
                total += abs(book.quantity) * mark(key[1]) * book.instrument.initial_margin
        return total

    def net_quantity(self, symbol: str) -> Decimal:
        """Return the signed quantity held of a symbol over all strategies and sides."""
        market = self.chart.accounts.get(f"market:{symbol}")
        return ZERO if market is None else EXACT.minus(market.balance)

    def valuation(self, mark: Callable[[str], Decimal]) -> Valuation:
        """Return the account's value with every open position at its symbol's mark."""
        caller = getcontext()
        setcontext(STRICT)
        try:
            cash = equity = self._cash.balance
            unrealized = ZERO
            books = self._books
            marks: dict[str, Decimal] = {}
            for key in self._open:
                book = books[key]
                symbol = key[1]
                price = marks.get(symbol)
                if price is None:
                    price = marks[symbol] = mark(symbol)
                value = book.quantity * price
                profit = value - book.cost
                unrealized += profit
                equity += value if book.is_spot else profit
            return Valuation(
                cash,
                equity,
                -self._realized.balance,
                unrealized,
                self._fees.balance,
                self._funding.balance,
                tuple(sorted(marks.items())) if len(marks) > 1 else tuple(marks.items()),
            )
        finally:
            setcontext(caller)

    # -- what happens to it

    def deposit(self, amount: Decimal) -> None:
        """Put ``amount`` into the account (negative: take out)."""
        self._enter(self._deposit, amount)

    def book_fill(self, fill: Fill) -> Booking:
        """
        Book one fill and return what became of its position.

        Raises ``ImpossibleFill``, with nothing changed, for a fill that cannot be: an unknown
        symbol, a quantity or price that is not positive, a hedge position turned over. Raises
        ``LedgerImbalance`` if the books do not balance, and from then on for every entry.
        """
        return self._enter(self._book_fill, fill)

    def would_turn(self, fill: Fill) -> bool:
        """
        Return whether a fill would turn a hedged position over, which no venue does.

        What opened that position has not been booked then: its news is still to come.
        """
        side = fill.position_side
        if side is PositionSide.BOTH:
            return False
        book = self._books.get((fill.strategy, fill.symbol, side))
        held = ZERO if book is None else book.quantity
        signed = fill.quantity if fill.side is _BUY else EXACT.minus(fill.quantity)
        left = EXACT.add(held, signed)
        return bool(left) and (left > ZERO) is not (side is PositionSide.LONG)

    def book_funding(
        self, strategy: str, symbol: str, position_side: PositionSide, amount: Decimal, at: int
    ) -> None:
        """
        Book funding of one position settled at ``at``: negative is paid, positive received.

        That is the sign of ``FundingBooked.amount``; the ``funding`` total counts what was paid.
        """
        self._enter(self._book_funding, ((strategy, symbol, position_side), amount, at))

    def _enter(self, act: Callable[[What], Result], what: What) -> Result:
        """Make one entry in strict arithmetic; what breaks the books halts them for good."""
        if self.imbalance:
            raise LedgerImbalance(f"halted since: {self.imbalance}")
        caller = getcontext()
        setcontext(STRICT)
        try:
            return act(what)
        except LedgerImbalance as error:
            self.imbalance = f"{error} (entry: {what!r})"
            raise
        except DecimalException as error:
            self.imbalance = f"inexact or undefined arithmetic, {error!r} (entry: {what!r})"
            raise LedgerImbalance(self.imbalance) from error
        finally:
            setcontext(caller)

    def _deposit(self, amount: Decimal) -> None:
        self.chart.post([(self._cash, amount), (self._capital, -amount)])

    def _book_funding(self, what: tuple[BookKey, Decimal, int]) -> None:
        key, amount, _ = what
        book = self._books.get(key) or self._open_book(key)
        self.chart.post([(self._cash, amount), (self._funding, -amount)])
        book.funding -= amount
        book.position = None
        self._check(book)

    def _book_fill(self, fill: Fill) -> Booking:
        key = (fill.strategy, fill.symbol, fill.position_side)
        book = self._books.get(key) or self._open_book(key)
        closing, opened = book.work_out(fill)
        price = fill.price
        paid = fill.quantity * price if fill.side is _BUY else -fill.quantity * price
        units, cost, realized = opened, opened * price, ZERO
        if closing is not None:
            realized = closing.quantity * price - closing.cost
            units -= closing.quantity
            cost -= closing.cost

        # Postings of one commodity stand together: units, the account's currency, the fee's.
        postings = [
            (book.held, units),
            (book.market, -units),
            (book.inventory, cost),
            (book.money, -paid if book.is_spot else -cost),
        ]
        if realized:
            postings.append((self._realized, -realized))
            if not book.is_spot:
                postings.append((self._cash, realized))
        if fill.fee:
            currency = fill.fee_currency
            fees, cash = self._fee_accounts.get(currency) or self._open_fee_accounts(currency)
            postings.append((fees, fill.fee))
            postings.append((cash, -fill.fee))
        self.chart.post(postings)

        was_flat = not book.quantity
        lot_ids = book.take(fill, closing, opened)
        book.quantity += units
        book.cost += cost
        book.paid += paid
        book.realized += realized
        if was_flat:
            insort(self._open, key)
        elif not book.quantity:
            self._open.remove(key)
        self._check(book)
        return Booking(
            realized,
            book.realized,
            book.quantity,
            book.average_price(),
            self._cash.balance,
            lot_ids,
        )

    # -- what keeps it true

    def _check(self, book: Book) -> None:
        """Check the book that an entry touched."""
        book.check()

    def audit(self) -> None:
        """Check everything there is to check, or raise ``LedgerImbalance`` and halt."""
        with localcontext(STRICT):
            differences = self._differences()
        if differences:
            self.imbalance = self.imbalance or f"audit: {differences}"
            raise LedgerImbalance(f"audit: {differences}")

    def _differences(self) -> dict[str, str]:
        """Return what two sources say differently, with the figures."""
        found: dict[str, str] = {}
        realized = funding = moved = ZERO
        for key, book in self._books.items():
            try:
                book.check(full=True)
            except LedgerImbalance as error:
                found[f"book {key}"] = str(error)
            realized += book.realized
            funding += book.funding
            moved += -book.paid if book.is_spot else book.realized
        pairs = {
            f"trial balance in {commodity}": (total, ZERO)
            for commodity, total in self.chart.totals().items()
        }
        pairs["realised: account, books"] = (self.realized_pnl, realized)
        pairs["funding: account, books"] = (self.funding, funding)
        pairs["cash: account, all that moved it"] = (
            self.cash,
            self.deposits + moved - self.fees - self.funding,
        )
        found.update({what: f"{a} and {b}" for what, (a, b) in pairs.items() if a != b})
        listed = sorted(key for key, book in self._books.items() if book.quantity)
        if self._open != listed:
            found["open positions"] = f"{self._open} and {listed}"
        return found

    # -- opening accounts and books

    def _check_currency(self, instrument: Instrument) -> None:
        if instrument.settle != self.currency:
            raise LedgerError(
                f"{instrument.symbol} settles in {instrument.settle}, "
                f"but the account is kept in {self.currency}"
            )

    def _open_book(self, key: BookKey) -> Book:
        strategy, symbol, side = key
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ImpossibleFill(f"{symbol} is not an instrument of this ledger")
        self._check_currency(instrument)
        account = self.chart.account
        name = f"{strategy}:{symbol}:{side.value}"
        book = self._books[key] = Book(
            key,
            instrument,
            self._lot_methods.get(strategy, LotMethod.FIFO),
            inventory=account(f"inventory:{name}", self.currency),
            held=account(f"units:{name}", symbol),
            market=account(f"market:{symbol}", symbol),
            money=self._cash if instrument.is_spot else account(f"contract:{name}", self.currency),
        )
        return book

    def _open_fee_accounts(self, currency: str) -> tuple[Account, Account]:
        pair = self._fee_accounts[currency] = (
            self.chart.account(f"fees:{currency}", currency),
            self.chart.account(f"cash:{currency}", currency),
        )
        return pair

    # -- across restarts

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state, JSON-ready: money is text."""
        return {
            "version": SNAPSHOT_VERSION,
            "currency": self.currency,
            "fee_currencies": list(self._fee_accounts),
            "chart": self.chart.snapshot(),
            "books": [book.snapshot() for book in self._books.values()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """
        Replace everything by what ``snapshot`` gave, and audit it.

        Raises ``LedgerError`` for a snapshot of another version, currency or lot method.
        """
        if state["version"] != SNAPSHOT_VERSION or state["currency"] != self.currency:
            raise LedgerError(
                f"found a snapshot of version {state['version']} in {state['currency']}, "
                f"expected version {SNAPSHOT_VERSION} in {self.currency}"
            )
        self._books.clear()
        self.chart.restore(state["chart"])
        for currency in state["fee_currencies"]:
            self._open_fee_accounts(currency)
        for saved in state["books"]:
            key = (saved["strategy"], saved["symbol"], PositionSide(saved["position_side"]))
            self._open_book(key).restore(saved)
        self._open = sorted(key for key, book in self._books.items() if book.quantity)
        self.imbalance = ""
        self.audit()
