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
from typing import Any

import msgspec

from messages import Booking, Fill, PositionSide, Side
from state.instruments import Instrument
from state.ledger.accounts import (
    Account,
    ImpossibleFill,
    LedgerError,
    LedgerImbalance,
    Posting,
    check_entry,
)
from state.ledger.book import Book, BookKey, Position
from state.ledger.lots import Closing, Lot, LotMethod, close_lots, merge, take_lots
from state.money import EXACT, STRICT, ZERO, plain

SNAPSHOT_VERSION = 1


class Valuation(msgspec.Struct, frozen=True, gc=False):
    """The account at given marks, in the account's currency; ``realized_pnl`` is gross of fees."""

    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    funding: Decimal


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
        """Open the books with a deposit; ``lot_methods`` is by strategy, FIFO where it is silent."""
        for instrument in instruments.values():
            if instrument.settle != currency:
                raise LedgerError(
                    f"{instrument.symbol} settles in {instrument.settle}, "
                    f"but the account is kept in {currency}"
                )
        self.currency = currency
        self.entries = 0
        self.imbalance = ""
        self.last_entry: list[Posting] = []
        self._instruments = instruments
        self._lot_methods = dict(lot_methods or {})
        self._accounts: dict[str, Account] = {}
        self._books: dict[BookKey, Book] = {}
        self._open: list[BookKey] = []
        self._cash = self._account(f"cash:{currency}", currency)
        self._capital = self._account(f"capital:{currency}", currency)
        self._realized = self._account(f"realized:{currency}", currency)
        self._funding = self._account(f"funding:{currency}", currency)
        self._fees = self._account(f"fees:{currency}", currency)
        self._fee_accounts = {currency: (self._fees, self._cash)}
        self.deposit(deposit)

    def __repr__(self) -> str:
        """Show the totals."""
        return (
            f"<Ledger {self.currency} cash={self.cash} realized={self.realized_pnl} "
            f"fees={self.fees} funding={self.funding} open={len(self._open)} "
            f"entries={self.entries}>"
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
        return {name: account.balance for name, account in self._accounts.items()}

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

    def net_quantity(self, symbol: str) -> Decimal:
        """Return the signed quantity held of a symbol over all strategies and sides."""
        market = self._accounts.get(f"market:{symbol}")
        return ZERO if market is None else EXACT.minus(market.balance)

    def valuation(self, mark: Callable[[str], Decimal]) -> Valuation:
        """Return the account's value with every open position at its symbol's mark."""
        caller = getcontext()
        setcontext(STRICT)
        try:
            cash = equity = self._cash.balance
            unrealized = ZERO
            for key in self._open:
                book = self._books[key]
                value = book.quantity * mark(key[1])
                unrealized += value - book.cost
                equity += value if book.is_spot else value - book.cost
            return Valuation(
                cash,
                equity,
                -self._realized.balance,
                unrealized,
                self._fees.balance,
                self._funding.balance,
            )
        finally:
            setcontext(caller)

    # -- what happens to it

    def deposit(self, amount: Decimal) -> None:
        """Put ``amount`` into the account (negative: take out)."""
        with localcontext(STRICT):
            self._post([(self._cash, amount), (self._capital, -amount)])

    def book_fill(self, fill: Fill) -> Booking:
        """
        Book one fill and return what became of its position.

        Raises ``ImpossibleFill``, with nothing changed, for a fill that cannot be: an unknown
        symbol, a quantity or price that is not positive, a hedge position turned over. Raises
        ``LedgerImbalance`` if the books do not balance, and from then on for every entry.
        """
        key = (fill.strategy, fill.symbol, fill.position_side)
        caller = getcontext()
        setcontext(STRICT)
        try:
            return self._book_fill(self._books.get(key) or self._open_book(key), fill)
        except LedgerImbalance as error:
            self.imbalance = self.imbalance or str(error)
            raise
        except DecimalException as error:
            raise self._halted(f"not exact: {error!r} in {fill!r}") from error
        finally:
            setcontext(caller)

    def book_funding(
        self,
        strategy: str,
        symbol: str,
        position_side: PositionSide,
        amount: Decimal,
        at: int,
    ) -> None:
        """
        Book funding of one position settled at ``at``: negative is paid, positive received.

        That is the sign of ``FundingBooked.amount``; the ``funding`` total counts what was paid.
        """
        key = (strategy, symbol, position_side)
        caller = getcontext()
        setcontext(STRICT)
        try:
            book = self._books.get(key) or self._open_book(key)
            self._post([(self._cash, amount), (self._funding, -amount)])
            book.funding -= amount
            book.position = None
        except LedgerImbalance as error:
            self.imbalance = self.imbalance or str(error)
            raise
        except DecimalException as error:
            raise self._halted(f"not exact: {error!r} in funding of {key} at {at}") from error
        finally:
            setcontext(caller)

    def _book_fill(self, book: Book, fill: Fill) -> Booking:
        if fill.quantity <= ZERO or fill.price <= ZERO:
            raise ImpossibleFill(f"quantity and price must be positive: {fill!r}")
        price = fill.price
        is_buy = fill.side is Side.BUY
        signed = fill.quantity if is_buy else -fill.quantity
        paid = signed * price
        held = book.quantity
        # What is closed and what is opened are signed as their lots are.
        closing: Closing | None = None
        if not held or (held > ZERO) is is_buy:
            opened, cost, units, realized = signed, paid, signed, ZERO
        else:
            rest = held + signed
            if rest and (rest > ZERO) is is_buy:
                closed, opened = held, rest
            else:
                closed, opened = -signed, ZERO
            closing = close_lots(book.lots, closed, book.method)
            realized = closed * price - closing.cost
            cost = opened * price - closing.cost
            units = opened - closed
        side = fill.position_side
        if (
            side is not PositionSide.BOTH
            and opened
            and (opened > ZERO) is not (side is PositionSide.LONG)
        ):
            raise ImpossibleFill(f"{book!r} cannot open the other way: {fill!r}")

        postings = [
            (book.inventory, cost),
            (book.money, -paid if book.is_spot else -cost),
            (book.held, units),
            (book.market, -units),
        ]
        if realized:
            postings.append((self._realized, -realized))
            if not book.is_spot:
                postings.append((self._cash, realized))
        fee = fill.fee
        if fee:
            fees, cash = self._fee_accounts.get(fill.fee_currency) or self._open_fee_accounts(
                fill.fee_currency
            )
            postings.append((fees, fee))
            postings.append((cash, -fee))
        self._post(postings)

        lot_ids = self._move_lots(book, fill, closing, opened)
        book.quantity += units
        book.cost += cost
        book.paid += paid
        book.realized += realized
        if is_buy:
            book.bought += fill.quantity
        else:
            book.sold += fill.quantity
        book.position = None
        if not held:
            insort(self._open, book.key)
        elif not book.quantity:
            self._open.remove(book.key)
        self._check(book)
        return Booking(
            realized_pnl=realized,
            realized_total=book.realized,
            quantity=book.quantity,
            average_price=book.average_price(),
            cash=self._cash.balance,
            lot_ids=lot_ids,
        )

    def _move_lots(
        self, book: Book, fill: Fill, closing: Closing | None, opened: Decimal
    ) -> tuple[str, ...]:
        lots = book.lots
        lot_ids: tuple[str, ...] = ()
        if closing is not None:
            take_lots(lots, closing, book.method)
            lot_ids = closing.lot_ids
        if opened:
            if lots and book.method is LotMethod.AVERAGE:
                lots[0] = merge(lots[0], opened, fill.price)
                return (lots[0].lot_id,)
            lot = Lot(f"L-{fill.trade_id}", opened, opened * fill.price, fill.price, fill.timestamp)
            lots.append(lot)
            return (*lot_ids, lot.lot_id)
        return lot_ids

    # -- what keeps it true

    def _post(self, postings: list[Posting]) -> None:
        """Move the accounts by one entry, or raise with nothing moved."""
        if self.imbalance:
            raise LedgerImbalance(f"halted since: {self.imbalance}")
        check_entry(postings)
        for account, amount in postings:
            account.balance += amount
        self.entries += 1
        self.last_entry = postings

    def _check(self, book: Book) -> None:
        """Check the book that an entry touched."""
        book.check()

    def audit(self) -> None:
        """Check everything there is to check, or raise ``LedgerImbalance``."""
        with localcontext(STRICT):
            for book in self._books.values():
                book.check(full=True)
            totals: dict[str, Decimal] = {}
            for account in self._accounts.values():
                totals[account.commodity] = totals.get(account.commodity, ZERO) + account.balance
            books = self._books.values()
            realized = sum((book.realized for book in books), ZERO)
            funding = sum((book.funding for book in books), ZERO)
            cash = self.deposits - self.fees - self.funding
            for book in books:
                cash += -book.paid if book.is_spot else book.realized
            differences = {
                **{f"trial balance in {name}": total for name, total in totals.items()},
                "realised by book and in total": realized - self.realized_pnl,
                "funding by book and in total": funding - self.funding,
                "cash and what moved it": cash - self.cash,
            }
            wrong = {what: difference for what, difference in differences.items() if difference}
            if wrong:
                raise self._halted(f"audit: {wrong}")
            if self._open != sorted(key for key, book in self._books.items() if book.quantity):
                raise self._halted(f"audit: open positions are listed as {self._open}")

    def _halted(self, reason: str) -> LedgerImbalance:
        self.imbalance = self.imbalance or reason
        return LedgerImbalance(reason)

    # -- opening accounts

    def _account(self, name: str, commodity: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, commodity)
        return account

    def _open_book(self, key: BookKey) -> Book:
        strategy, symbol, side = key
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ImpossibleFill(f"{symbol} is not an instrument of this ledger")
        if instrument.settle != self.currency:
            raise ImpossibleFill(
                f"{symbol} settles in {instrument.settle}, "
                f"but the account is kept in {self.currency}"
            )
        name = f"{strategy}:{symbol}:{side.value}"
        book = self._books[key] = Book(
            key,
            instrument,
            self._lot_methods.get(strategy, LotMethod.FIFO),
            inventory=self._account(f"inventory:{name}", self.currency),
            held=self._account(f"units:{name}", symbol),
            market=self._account(f"market:{symbol}", symbol),
            money=self._cash
            if instrument.is_spot
            else self._account(f"contract:{name}", self.currency),
        )
        return book

    def _open_fee_accounts(self, currency: str) -> tuple[Account, Account]:
        pair = (
            self._account(f"fees:{currency}", currency),
            self._account(f"cash:{currency}", currency),
        )
        self._fee_accounts[currency] = pair
        return pair

    # -- across restarts

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state, JSON-ready: money as text, accounts and books in order of birth."""
        return {
            "version": SNAPSHOT_VERSION,
            "currency": self.currency,
            "entries": self.entries,
            "accounts": [
                [account.name, account.commodity, plain(account.balance)]
                for account in self._accounts.values()
            ],
            "fee_currencies": list(self._fee_accounts),
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
        for account in self._accounts.values():
            account.balance = ZERO
        self._books.clear()
        for name, commodity, balance in state["accounts"]:
            self._account(name, commodity).balance = Decimal(balance)
        for currency in state["fee_currencies"]:
            self._open_fee_accounts(currency)
        for saved in state["books"]:
            key = (saved["strategy"], saved["symbol"], PositionSide(saved["position_side"]))
            book = self._open_book(key)
            if saved["lots"] and book.method.value != saved["method"]:
                raise LedgerError(
                    f"{key} holds lots kept by {saved['method']}, "
                    f"but the configuration says {book.method.value}"
                )
            book.restore(saved)
        self._open = sorted(key for key, book in self._books.items() if book.quantity)
        self.entries = state["entries"]
        self.imbalance = ""
        self.last_entry = []
        self.audit()
