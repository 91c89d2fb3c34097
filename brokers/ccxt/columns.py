"""
What a row of the capability table says of a venue: its columns, and what may stand in them.

Pure, and no venue's name is in here: the rows are in ``capabilities``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from typing import Final

from messages import OrderType, ReasonCode, TimeInForce


class IdForm(Enum):
    """How our client order ids are written at a venue; see ``identity``."""

    PLAIN = "plain"  # as they are
    ALPHANUMERIC = "alphanumeric"  # letters and digits only
    HEX128 = "hex128"  # 0x and 32 hexadecimal digits
    UUID = "uuid"


class LookUp(Enum):
    """How one order is asked for by its client order id."""

    ORDER = "order"  # fetch_order without an id
    LISTS = "lists"  # the lists of open, then of closed orders, filtered by it
    VENUE_ID = "venue_id"  # by the venue's id once that is known, and by the lists until then


class TradesBy(Enum):
    """How the trades of one order are asked for."""

    PARAMETER = "parameter"  # fetch_my_trades with the order's id as a parameter
    CALL = "call"  # fetch_order_trades
    FILTER = "filter"  # fetch_my_trades since the order, and only its own are taken


class FillSource(Enum):
    """Where fills are read."""

    STREAM = "stream"  # the private stream's own messages say all
    TRADES = "trades"  # a private message only says that there is something to ask


class Money(Enum):
    """Where the account's money is read."""

    WALLET = "wallet"  # a field of the raw balance without open profit
    TOTAL = "total"  # spot: the total of the currency
    UNKNOWN = "unknown"  # not said in a way that can be compared


class CountdownCall(Enum):
    """How a venue's dead-man timer is set."""

    UNIFIED = "unified"  # cancel_all_orders_after, for the account
    BINANCE_FUTURES = "binance_futures"  # countdownCancelAll, symbol by symbol
    SCHEDULE = "schedule"  # cancel_all_orders_after sets it; a schedule without time stops it


class CancelAll(Enum):
    """What one call can cancel of an account's orders."""

    ONE_BY_ONE = "one_by_one"  # one order
    SYMBOL = "symbol"  # those of a symbol
    ACCOUNT = "account"  # all of them, and no fewer


class RightsCall(Enum):
    """Where a venue says what a key may do."""

    BINANCE = "binance"  # the key's restrictions, at the spot host
    BYBIT = "bybit"
    OKX = "okx"
    UNKNOWN = "unknown"  # nowhere that is known here


class BandBy(Enum):
    """By what a venue that tells how far a limit may be from the market judges it."""

    MARK = "mark"  # its mark price: no buy far above it, no sale far below
    AVERAGE = "average"  # what was traded in some minutes: both, in both directions
    UNTOLD = "untold"  # nothing that is known here


KEY_AND_SECRET: Final[Mapping[str, str]] = {"api_key": "apiKey", "secret": "secret"}

CREDENTIALS: Final[Mapping[str, str]] = {
    **KEY_AND_SECRET,
    "password": "password",
    "uid": "uid",
    "login": "login",
    "account_id": "accountId",
    "wallet_address": "walletAddress",
    "private_key": "privateKey",
}
"""Our name and ccxt's of each credential that some exchange of ccxt requires."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """
    How orders are sent that wait for a price, and asked for afterwards.

    ``stop`` and ``target`` name the parameter that carries the price, ``trail`` the one that
    carries percent. ``apart`` is the parameter that reads and cancels need where such orders have
    an endpoint of their own, empty where they have not. What triggers there becomes an order of the
    other kind: ``becomes`` is the field of the venue's answer with that order's id. On spot a
    cancel may have to say of which kind its order is: ``spot_kinds`` are the parameters of each
    kind that waits, ``spot_kind`` those of ours; ccxt says that it is none. ``strange`` are the
    parameters of lists of orders that wait and are never ours: an emergency reads them too.
    """

    stop: str = ""
    target: str = ""
    trail: str = ""
    apart: str = ""
    becomes: str = ""
    spot_kind: Mapping[str, str] = field(default_factory=dict)
    spot_kinds: tuple[Mapping[str, str], ...] = ()
    strange: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """
    A limit on orders alone, beside what requests weigh: so many in ``window_s``, for an account.

    ``used_header`` names the header in which the venue says how many it has counted. The venue
    begins to count anew at each midnight UTC where the limit is ``from_midnight``.
    """

    orders: int
    window_s: float
    used_header: str = ""
    from_midnight: bool = False

    def granted(self, factor: float) -> OrderLimit:
        """Return the limit of an account that is granted so much of it, at least one order."""
        return replace(self, orders=max(1, int(self.orders * factor)))


@dataclass(frozen=True, slots=True)
class Weights:
    """
    What calls cost of the venue's allowance of ``per_window`` in ``window_s``, by our own count.

    ``light`` is a question about one order or the open ones of a symbol, ``heavy`` one about what
    was paid, ``timer`` what sets the venue's timer. ``used_header`` names the header in which the
    venue says how much of it is used. ``at_once`` is how many requests may be under way together, 0
    for any number. The account is asked for every ``account_every_s`` when nothing happens.
    ``order_limits`` are counted beside all that: cancels are no orders.
    """

    per_window: int
    window_s: float
    create: int = 1
    cancel: int = 1
    read: int = 5
    light: int = 1
    heavy: int = 30
    timer: int = 1
    used_header: str = ""
    at_once: int = 0
    account_every_s: float = 5.0
    order_limits: tuple[OrderLimit, ...] = ()

    def granted(self, factor: float) -> Weights:
        """Return the allowance of an account that is granted so much of it, at least one call."""
        most = max(self.create, self.cancel, self.read, self.light, int(self.per_window * factor))
        limits = tuple(each.granted(factor) for each in self.order_limits)
        return replace(self, per_window=most, order_limits=limits)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """One venue's row. ``credentials`` maps our names of secrets to ccxt's."""

    venue: str
    order_types: frozenset[OrderType]
    time_in_force: frozenset[TimeInForce]
    post_only: bool
    reduce_only: bool
    hedge: bool
    position_mode_settable: bool
    leverage_settable: bool
    brackets: bool
    id_form: IdForm
    id_length_max: int
    look_up: LookUp
    look_up_parameter: str
    cancel_parameter: str
    """Cancels by our client order id go by this parameter; empty: only by the venue's id."""
    trades_by: TradesBy
    fill_source: FillSource
    private_stream: bool
    amounts_in_contracts: bool
    market_needs_price: bool
    """
    A market order is a limit order that must not wait: its price bounds it, ``MARKET_SLIP`` beyond
    the mark where the order has no bound of its own.
    """
    price_digits: int | None
    """Most significant digits of a price, beside its tick."""
    fee_in_base: bool
    """On spot, the fee of a buy is of what was bought where a trade does not name its currency."""
    money: Money
    triggers: Triggers
    weights: Weights
    dead_man: CountdownCall | None
    remembers_ms: int
    """For how long an order that is over can still be asked for."""
    dead_man_span_s: tuple[int, int] = (1, 3_600)
    """Shortest and longest span that the venue's timer takes; the longest is at most ours."""
    builder_fee: bool = False
    """ccxt adds a fee of its own to this venue's orders unless it is kept from it."""
    no_cancel: str = ""
    """Why no order can be cancelled there by its id and market."""
    no_contract_cancel: str = ""
    """The same, of orders of contracts alone."""
    cancel_option: str = ""
    """The option of ccxt that every cancel there wants to be set."""
    cancel_all: CancelAll = CancelAll.ONE_BY_ONE
    margin_mode_needs_leverage: bool = False
    """The margin mode is set together with the leverage, or not at all."""
    leverage_book_parameter: str = ""
    """Names the side where a hedged book's isolated leverage is set for each; empty: for both."""
    unchanged_codes: frozenset[str] = frozenset()
    """Codes by which the venue says that what is set is what it was."""
    warm_up: str = ""
    """The method of ccxt that asks what it would else ask before its first order."""
    listed_by: str = ""
    """
    The field that each entry in the venue's list of markets has, and that is its id where the list
    is not by id; empty: not known, or what an entry means depends on its place.
    """
    key_expired_words: Mapping[str, str] = field(default_factory=dict)
    """What the stream says, and ccxt does not hear, when its key is no longer good."""
    payment_words: Mapping[str, str] = field(default_factory=dict)
    """What the stream says when funding was paid or received."""
    trades_page: int = 100
    """Most trades in one answer."""
    trades_page_least: int = 0
    """From how many on an answer may be a full one, where a venue may give fewer than asked for."""
    trades_backward: bool = True
    """A full answer may be the newest ones, with older ones left out."""
    margin_mode_parameter: str = ""
    """Names the margin mode with every order, where the venue keeps none for the market."""
    funding: bool = True
    """Payments of funding are told for the whole account."""
    takes_text: bool = True
    """ccxt takes amounts and prices as text there; at some venues it compares them as numbers."""
    id_parameter: str = "clientOrderId"
    """The parameter by which an order of ours carries its id."""
    id_prefix: str = ""
    """What the venue wants every client order id to begin with."""
    default_type: bool = False
    """What is asked of the account is of one kind of market, which ccxt must be told."""
    trades_span_ms: int = 0
    """A list of trades from a date on ends so long after it; 0: it does not."""
    trades_after: str = ""
    """The parameter by which trades from an id on are listed, however long after it."""
    asks_by_post: frozenset[str] = frozenset()
    """Ends of the paths that are questions though they are no GET."""
    asks_in_fetch: bool = False
    """
    Which paths these are is not known: what a ``fetch_`` of ccxt sends is a question, if no word of
    its path is one of change.
    """
    rights: RightsCall = RightsCall.UNKNOWN
    market_buys_in_money: bool = False
    """On spot, what a market order buys for is its amount; ccxt does not say so."""
    reduce_only_on_spot: bool = False
    """What is held outright can be sold, or bought back, by orders that cannot do more."""
    pays_on_spot: bool = False
    """What is held outright costs and earns too: fees apart from fills, dividends, interest."""
    settle_parameter: str = ""
    """
    Lists of a whole account are of spot, or of contracts that settle in one currency, which this
    parameter names; empty: a list has all of them.
    """
    orders_page: int = 0
    """Most open orders in one answer; 0: it has all of them."""
    orders_of_account: bool = False
    """One question brings the open orders of all symbols."""
    payment_digit: Decimal = Decimal("1e-8")
    """What the venue rounds each payment to."""
    strict_nonce: bool = False
    """The venue wants a greater nonce with every request, in the order in which they arrive."""
    duplicate_codes: frozenset[str] = frozenset()
    codes: Mapping[str, ReasonCode] = field(default_factory=dict)
    """Codes by which a request has certainly come to nothing, whatever ccxt makes of them."""
    words: Mapping[str, ReasonCode] = field(default_factory=dict)
    """Beginnings of the venue's words, where one of its codes stands for many things."""
    clock_codes: frozenset[str] = frozenset()
    """The same, because our time is off."""
    unknown_order_codes: frozenset[str] = frozenset()
    at_work: frozenset[str] = frozenset()
    """
    Statuses that ccxt hands on as the venue writes them, of orders that it is at work on: its own,
    by which it closes a position.
    """
    rules_codes: frozenset[str] = frozenset()
    """Codes of orders that do not fit a market's rules: they may be others than those we know."""
    price_band: BandBy = BandBy.UNTOLD
    """How a limit far from the market is judged there, by what the market's filters tell."""
    order_limit_codes: frozenset[str] = frozenset()
    """Codes of a limit on orders alone: cancels and questions are neither counted nor refused."""
    credentials: Mapping[str, str] = field(default_factory=lambda: KEY_AND_SECRET)
    optional_credentials: frozenset[str] = frozenset()
    """Credentials that only some venues of the row want: ccxt says which."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What ccxt must be told so that it asks this venue nothing that is not needed."""
