"""
Alpaca with the methods that ccxt's exchanges have, over alpaca-py's client.

Only those that the broker of real venues calls. What comes back are ccxt's documents with numbers
as text; what goes wrong is raised under the names by which ``brokers.ccxt.errors`` judges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from brokers.alpaca.errors import BadSymbol, ExchangeError, NetworkError
from brokers.alpaca.loaded import Exact, module, trading_client, trading_stream
from brokers.alpaca.transport import Transport, exact
from brokers.alpaca.wording import (
    balance_of,
    market_of,
    order_fields,
    order_of,
    payment_of,
    shares_of,
    trade_of,
)
from brokers.ccxt.stream import stamp_ms

ORDERS_PAGE: Final = 500
"""Most orders that one answer has."""

ACTIVITIES_PAGE: Final = 100
"""Most activities that one answer has."""

PAGES_MAX: Final = 40
"""Most pages that are read for one question: four thousand fills, of all symbols."""

PAYMENTS: Final = ("FEE", "CFEE", "INT", "DIV", "DIVNRA", "DIVROC", "DIVWH", "DIVTXEX", "WH")
"""Activities that move money and are neither fills nor transfers."""

DATES_APART: Final = 3
"""How many days an activity's date may be before it is listed."""

IDS_KEPT_MAX: Final = 20_000
"""Ids of Alpaca's that are remembered by ours, so that a cancel need not ask first."""


class AlpacaExchange:
    """
    One account.

    ``on_message`` hears each message of the private stream, ``on_stream`` that it has come up.
    """

    has: Final[Mapping[str, bool]] = {
        "fetchFundingHistory": True,  # fees, dividends, interest: money that moves without a fill
        "fetchTime": True,
        "watchOrders": True,
        "fetchPositions": False,  # shares are held outright, and are in the balance
    }

    def __init__(
        self,
        transport: Transport,
        secrets: Mapping[str, str],
        symbols: Sequence[str],
        *,
        paper: bool,
        extended_hours: bool = False,
    ) -> None:
        """Load alpaca-py; raises ``VenueUnreachable`` without it."""
        key, secret = secrets.get("api_key", ""), secrets.get("secret", "")
        self._transport = transport
        self._extended_hours = extended_hours
        # Without a key alpaca-py makes no client; what has none is told so by Alpaca.
        given = (key or "none", secret or "none")
        self.client = trading_client(transport, *given, paper=paper)
        self._stream = trading_stream(transport, *given, paper=paper)
        self._requests = module("alpaca.trading.requests")
        self._symbols = tuple(symbols)
        self._ids: dict[str, str] = {}
        self._is_up = False
        self.markets: dict[str, dict[str, Any]] = {}
        self.options: dict[str, Any] = {}
        self.on_message: Callable[[Any], object] = lambda _message: None
        self.on_stream: Callable[[bool], object] = lambda _up: None

    # -- what is listed

    async def load_markets(self) -> Mapping[str, Any]:
        """Load the shares that are traded; one that Alpaca does not know is left out."""
        for symbol in self._symbols:
            await self.load_market(symbol)
        return self.markets

    async def load_market(self, symbol: str) -> None:
        """Load one share."""
        if symbol in self.markets:
            return
        try:
            self.markets[symbol] = market_of(await self.client.get_asset(symbol))
        except BadSymbol as error:
            if error.stamp is None:
                raise  # it is there, and is no share

    async def fetch_markets(self) -> list[dict[str, Any]]:
        """Return the shares that are traded, as Alpaca has them now."""
        found = []
        for symbol in self._symbols:
            try:
                found.append(market_of(await self.client.get_asset(symbol)))
            except BadSymbol as error:
                if error.stamp is None:
                    raise
        return found

    def market(self, symbol: str) -> Mapping[str, Any]:
        """Return a share that was loaded."""
        return self.markets[symbol]

    def amount_to_precision(self, _symbol: str, amount: str) -> str:
        """Return the amount: nothing here rounds."""
        return amount

    def price_to_precision(self, _symbol: str, price: str) -> str:
        """Return the price: nothing here rounds."""
        return price

    async def fetch_time(self) -> int:
        """Return Alpaca's time, ms."""
        return stamp_ms((await self.fetch_clock())["timestamp"])

    async def fetch_clock(self) -> Mapping[str, Any]:
        """Return the market's clock: whether the exchange is open, and until when."""
        found: Mapping[str, Any] = await self.client.get_clock()
        return found

    # -- orders

    async def create_order(
        self,
        symbol: str,
        order_type: str,
        side: str,
        amount: str,
        price: str | None,
        params: Mapping[str, Any],
    ) -> Any:
        """Place an order."""
        fields = order_fields(
            symbol,
            order_type,
            side,
            amount,
            price,
            params,
            extended_hours=self._extended_hours,
        )
        reply = await self.client.submit_order(Exact(fields))
        return self._known(reply) if isinstance(reply, dict) and reply.get("id") else reply

    async def cancel_order(
        self, order_id: str | None, _symbol: str, params: Mapping[str, Any]
    ) -> None:
        """Cancel an order, by its id or by ours; that it is asked for is all that comes back."""
        name = str(params.get("client_order_id") or "")
        found = order_id or self._ids.get(name)
        if found is None:
            found = str((await self.client.get_order_by_client_id(name))["id"])
        await self.client.delete(f"/orders/{found}")

    async def cancel_all_orders(self) -> None:
        """Cancel every order of the account; raises ``ExchangeError`` where some stay."""
        answers = await self.client.cancel_orders() or []
        left = [each for each in answers if int(each.get("status") or 0) not in {200, 404, 422}]
        if left:
            raise ExchangeError(f"{len(left)} of {len(answers)} orders were not cancelled")

    async def fetch_order(
        self, order_id: str | None, _symbol: str, params: Mapping[str, Any] | None = None
    ) -> Any:
        """Return an order by its id or by ours."""
        if order_id is not None:
            return self._known(await self.client.get_order_by_id(order_id))
        name = str((params or {})["client_order_id"])
        return self._known(await self.client.get_order_by_client_id(name))

    async def fetch_open_orders(
        self, symbol: str | None = None, params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return the account's open orders, or those of a symbol; raises where they have no end."""
        found: dict[str, dict[str, Any]] = {}
        after = None
        for _ in range(PAGES_MAX):
            page = await self.client.get_orders(
                self._requests.GetOrdersRequest(
                    status="open",
                    limit=ORDERS_PAGE,
                    direction="asc",
                    nested=False,
                    symbols=None if symbol is None else [symbol],
                    after=after,
                )
            )
            fresh = [each for each in page if str(each["id"]) not in found]
            found.update({str(each["id"]): self._known(each) for each in fresh})
            if len(page) < ORDERS_PAGE or not fresh:
                return list(found.values())
            after = datetime.fromtimestamp(stamp_ms(page[-1]["submitted_at"]) / 1000, UTC)
        raise ExchangeError(f"more than {PAGES_MAX * ORDERS_PAGE} open orders")

    def _known(self, order: Mapping[str, Any]) -> dict[str, Any]:
        found = order_of(order)
        self._ids[found["clientOrderId"]] = found["id"]
        while len(self._ids) > IDS_KEPT_MAX:
            del self._ids[next(iter(self._ids))]
        return found

    # -- trades and the account

    async def fetch_my_trades(
        self, symbol: str, since: int | None, limit: int, _params: object = None
    ) -> list[dict[str, Any]]:
        """
        Return the fills of a symbol from ``since`` on, or the newest ones; the oldest first.

        Alpaca lists those of all symbols together. Raises ``ExchangeError`` where ``limit`` of the
        symbol, or the end, are not within ``PAGES_MAX`` pages.
        """
        asked: dict[str, Any] = {"page_size": ACTIVITIES_PAGE}
        asked["direction"] = "desc" if since is None else "asc"
        if since is not None:
            # What it is asked for comes after this moment, not at it.
            asked["after"] = datetime.fromtimestamp((since - 1) / 1000, UTC).isoformat()
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            page = await self.client.get("/account/activities/FILL", asked)
            found += [trade_of(each) for each in page if each.get("symbol") == symbol]
            if len(page) < ACTIVITIES_PAGE or len(found) >= limit:
                break
            asked["page_token"] = page[-1]["id"]
        else:
            if since is not None:
                raise ExchangeError(f"more fills since {since} than can be read")
        return sorted(found[:limit], key=lambda trade: int(trade["timestamp"]))

    async def fetch_funding_history(
        self, _symbol: None, since: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """
        Return what was paid and received apart from fills, from ``since`` on, or the newest ones.

        By the moments that are in the activities' ids: their dates are days.
        """
        asked: dict[str, Any] = {"activity_types": ",".join(PAYMENTS)}
        asked |= {"page_size": ACTIVITIES_PAGE, "direction": "desc"}
        if since is not None:
            day = datetime.fromtimestamp(since / 1000, UTC).date() - timedelta(days=DATES_APART)
            asked["after"] = day.isoformat()
        found: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            page = await self.client.get("/account/activities", asked)
            found += [payment_of(each) for each in page]
            if len(page) < ACTIVITIES_PAGE or len(found) >= limit:
                break
            asked["page_token"] = page[-1]["id"]
        return [each for each in reversed(found[:limit]) if each["timestamp"] >= (since or 0)]

    async def fetch_account(self) -> Mapping[str, Any]:
        """Return the account."""
        found: Mapping[str, Any] = await self.client.get_account()
        return found

    async def fetch_balance(self) -> dict[str, Any]:
        """Return cash and shares."""
        positions = await self.client.get_all_positions()
        return balance_of(await self.client.get_account(), positions)

    async def fetch_shares(self) -> list[tuple[str, Any, Any]]:
        """Return symbol, signed shares and newest price of each position."""
        positions = await self.client.get_all_positions()
        return [(str(each["symbol"]), shares_of(each), each["current_price"]) for each in positions]

    # -- the private stream

    async def watch_orders(self) -> None:
        """
        Open the stream unless it is, and hear one message.

        Raises ``NetworkError`` when it is gone; it is opened anew by the next call.
        """
        try:
            if not self._is_up:
                await self._open_stream()
            self._hear(await self._stream._ws.recv())  # noqa: SLF001 - the socket is ours
        except BaseException:
            self._is_up = False
            await self._stream.close()
            raise

    async def _open_stream(self) -> None:
        try:
            # Connects, signs in, and asks for `trade_updates`.
            await self._stream._start_ws()  # noqa: SLF001 - alpaca-py's own words
        except ValueError as error:
            raise NetworkError(f"stream: {error}") from None
        socket = self._stream._ws  # noqa: SLF001 - the socket is ours
        while self._read(await socket.recv()).get("stream") != "listening":
            pass
        socket.patience_s = None
        self._is_up = True
        self.on_stream(True)  # noqa: FBT003 - ccxt's callback has one word for each

    def _hear(self, raw: str | bytes) -> None:
        message = self._read(raw)
        if message.get("stream") == "trade_updates":
            order = (message.get("data") or {}).get("order") or {}
            if order.get("id"):
                self._known(order)
            self.on_message(message)

    @staticmethod
    def _read(raw: str | bytes) -> Mapping[str, Any]:
        try:
            message = exact(raw)
        except ValueError:
            raise NetworkError("stream: a message that is no JSON") from None
        return message if isinstance(message, dict) else {}

    async def hang_up(self) -> None:
        """Close the stream: whoever watches hears so, and dials anew."""
        if self._stream._ws is not None:  # noqa: SLF001 - the socket is ours
            await self._stream._ws.close()  # noqa: SLF001

    async def close(self) -> None:
        """Close the stream."""
        self._is_up = False
        await self._stream.close()
