"""
The virtual venue without a wire: orders, cancels and market in, facts out.

No clock, no asyncio, no chance: time is what the market shows. The same inputs give the same
facts, which is how a venue that was killed is rebuilt from its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Final

import msgspec

from brokers.matching import EngineConfig, MatchingEngine, margin
from brokers.matching.fills import whole_lots
from brokers.virtual.wire import (
    DUPLICATE,
    LATE,
    Account,
    FundingAtMark,
    MarketData,
    NewsItem,
    Shown,
)
from messages import (
    Bar,
    Cause,
    Fill,
    FundingRate,
    IntentAction,
    MinimumOrder,
    OrderRequest,
    OrderType,
    PositionSide,
    Quote,
    Side,
    TimeInForce,
    VenueOrder,
    VenueReport,
)
from scenarios.exchange.facts import INPUTS, KIND_OF, Fact, FactKind, Payment, Setting, Terms
from state.instruments import ONE
from state.money import ZERO, exact, ratio, use_exact_context

AGAIN: Final = "#"
"""Between a client order id and which order of that id it is, from the second on."""

LIQUIDATION: Final = "liquidation"
DELEVERAGING: Final = "deleveraging"
OWN_PREFIX: Final = {LIQUIDATION: "autoclose-", DELEVERAGING: "adl_autoclose-"}
"""How the client order ids of the venue's own orders begin, by its reason."""


class TruthContradicted(Exception):
    """A log whose facts do not follow from its inputs: damaged, or another program's."""


class Venue:
    """
    One account at one exchange.

    Every method that changes anything returns the facts that it made, in order; they are true from
    then on, and whoever calls sees to it that they are durable before anybody hears of them.
    """

    def __init__(self, terms: Terms) -> None:
        """Open the account."""
        use_exact_context()
        self.terms = terms
        self.engine = MatchingEngine(
            terms.instruments,
            EngineConfig(
                terms.tag,
                slippage_bps=terms.slippage_bps,
                participation=terms.participation,
                position_mode=terms.position_mode,
                brackets=terms.brackets,
                reserves=terms.reserves,
                at_once=terms.at_once,
            ),
            currency=terms.currency,
            deposit=terms.deposit,
        )
        self.now = 0
        """The market's time: nothing has been shown yet."""
        self.news: list[NewsItem] = []
        """Every item of the account's life; item ``seq`` stands at ``seq - 1``."""
        self.requests: dict[str, OrderRequest] = {}
        self.shown: dict[str, int] = {}
        self.isolated: dict[str, bool] = {}
        self.leverage = {
            symbol: int(ratio(ONE, each.initial_margin))
            for symbol, each in terms.instruments.items()
        }
        self.position_mode = terms.position_mode
        self.rules = dict(terms.instruments)
        self._uses: dict[str, int] = {}
        self._own_orders = 0
        self._flow = terms.deposit
        self._fills: dict[str, list[Fill]] = {}
        self._count = 0
        self._made: list[Fact] = []
        self._money_moved = False
        self._input(FactKind.OPENED, terms=terms)
        self.opening = self._done()
        """The first fact."""

    # -- what is done to it

    def submit(self, request: OrderRequest, wall: int = 0) -> list[Fact]:
        """
        Take an order in; one whose client order id was seen before is refused, unlooked at.

        Where ids may be used again, the second order of an id is ``<id>#2`` from then on, the third
        ``<id>#3``: in the facts, and wherever one is asked for by its id.
        """
        name = request.client_order_id
        if name in self.requests:
            if not self.terms.reuses_ids or self.engine.is_live(self.current(name)):
                return self.refuse(name, DUPLICATE, wall)
            uses = self._uses.get(name, 1) + 1
            self._uses[name] = uses
            name = f"{name}{AGAIN}{uses}"
            request = msgspec.structs.replace(request, client_order_id=name)
        self.requests[name] = request
        self._input(FactKind.RECEIVED, wall=wall, client_order_id=name, request=request)
        self._tell(self.engine.submit(request, self.now))
        return self._done()

    def current(self, client_order_id: str) -> str:
        """Return under which name the newest order of a client order id goes."""
        uses = self._uses.get(client_order_id, 1)
        return client_order_id if uses == 1 else f"{client_order_id}{AGAIN}{uses}"

    def refuse(self, client_order_id: str, reason: str = LATE, wall: int = 0) -> list[Fact]:
        """Note a request that was not looked at."""
        self._input(FactKind.REFUSED, wall=wall, client_order_id=client_order_id, reason=reason)
        return self._done()

    def cancel(self, client_order_id: str, wall: int = 0) -> list[Fact]:
        """Cancel one order; unknown or over brings no report."""
        self._input(FactKind.CANCEL_ASKED, wall=wall, client_order_id=client_order_id)
        self._tell(self.engine.cancel(client_order_id, self.now))
        return self._done()

    def cancel_all(self, symbol: str = "", wall: int = 0) -> list[Fact]:
        """Cancel every live order, or those of ``symbol``, oldest first."""
        self._input(FactKind.CANCEL_ASKED, wall=wall, symbol=symbol)
        self._tell(self.engine.cancel_all(self.now, symbol or None))
        return self._done()

    def amend(
        self, client_order_id: str, quantity: Decimal, price: Decimal, wall: int = 0
    ) -> tuple[Cause | None, list[Fact]]:
        """Change a live limit order; return why it stays as it was, or None, and the facts."""
        self._input(
            FactKind.AMEND_ASKED,
            wall=wall,
            client_order_id=client_order_id,
            quantity=quantity,
            price=price,
        )
        made = self.engine.amend(client_order_id, quantity, price, self.now)
        if isinstance(made, Cause):
            return made, self._done()
        self.requests[client_order_id] = made
        self._note(FactKind.AMENDED, client_order_id=client_order_id, request=made)
        self._tell(self.engine.arrive(client_order_id, self.now))
        return None, self._done()

    def set(self, setting: Setting, wall: int = 0) -> list[Fact]:
        """
        Change leverage, margin type, position mode or rules.

        Raises ``ValueError`` for another mode while there are orders or positions.
        """
        mode = setting.position_mode
        if mode is not None and mode is not self.position_mode:
            self.engine.set_position_mode(mode)
            self.position_mode = mode
        if setting.leverage is not None:
            self.engine.set_leverage(setting.symbol, setting.leverage)
            self.leverage[setting.symbol] = setting.leverage
        if setting.isolated is not None:
            self.isolated[setting.symbol] = setting.isolated
        if setting.rules is not None:
            self.engine.set_rules(setting.rules)
            self.rules[setting.symbol] = setting.rules
        self._input(FactKind.SET, wall=wall, symbol=setting.symbol, setting=setting)
        return self._done()

    def meet(
        self, client_order_id: str, quantity: Decimal, price: Decimal, wall: int = 0
    ) -> list[Fact]:
        """Let somebody come to one live order and trade up to ``quantity`` at ``price``."""
        self._input(
            FactKind.MET, wall=wall, client_order_id=client_order_id, quantity=quantity, price=price
        )
        self._tell(self.engine.meet(client_order_id, quantity, price, self.now))
        return self._done()

    def force(self, symbol: str, reason: str, share: Decimal, wall: int = 0) -> list[Fact]:
        """Close ``share`` of every position in ``symbol`` at the last price, for ``reason``."""
        self._input(FactKind.FORCED, wall=wall, symbol=symbol, reason=reason, quantity=share)
        price = self.engine.account.mark_of(symbol)
        if price is not None:
            self._close(symbol, reason, share, exact(price))
        return self._done()

    def show(self, shown: Shown, wall: int = 0) -> list[Fact]:
        """
        Let the market move; pieces of a source that were taken before are left out.

        Raises ``ValueError`` for a source that leaves numbers out and for symbols that are not
        listed; then nothing was taken.
        """
        taken = self.shown.get(shown.source, 0)
        unlisted = {piece.symbol for piece in shown.pieces} - self.terms.instruments.keys()
        if unlisted:
            raise ValueError(f"not listed here: {', '.join(sorted(unlisted))}")
        if shown.first > taken + 1:
            raise ValueError(
                f"source {shown.source!r}: found number {shown.first}, expected {taken + 1}"
            )
        facts: list[Fact] = []
        for number, piece in enumerate(shown.pieces, start=shown.first):
            if number > taken:
                facts += self._show(piece, shown.source, number, wall)
        return facts

    def _show(self, piece: MarketData, source: str, number: int, wall: int) -> list[Fact]:
        self._input(FactKind.SHOWN, wall=wall, source=source, number=number, shown=piece)
        self.shown[source] = number
        if isinstance(piece, MinimumOrder):
            self.engine.set_minimum(piece)
            return self._done()
        # What ends by itself ends before the data of a later moment.
        self._tell(self.engine.on_time(piece.timestamp))
        if isinstance(piece, Bar):
            self._move_to(piece.timestamp + piece.timeframe_ms)
            self._liquidate(piece)
            self._tell(self.engine.on_bar(piece))
            self._liquidate(None)
        elif isinstance(piece, Quote):
            self._move_to(piece.timestamp)
            self._tell(self.engine.on_quote(piece))
        elif isinstance(piece, FundingAtMark):
            self._move_to(piece.timestamp)
            self._settle(piece)
        else:
            self._move_to(piece.timestamp)
            self._tell(self.engine.on_tick(piece))
        return self._done()

    def _move_to(self, at: int) -> None:
        self.now = max(self.now, at)

    def _settle(self, piece: FundingAtMark) -> None:
        rate = FundingRate(piece.symbol, piece.timestamp, piece.rate)
        for paid in self.engine.on_funding(rate, piece.mark):
            payment = Payment(paid.symbol, paid.position_side, paid.amount)
            self._note(FactKind.FUNDING, symbol=paid.symbol, payment=payment)
            self._flow += paid.amount
            self._money_moved = True

    # -- what it does by itself

    def _liquidate(self, bar: Bar | None) -> None:
        """
        Close everything once the equity is less than must be maintained.

        Within ``bar`` the price is taken to have run against the positions before any order met
        it; they are closed where the equity ran out, or at the open if that is beyond.
        """
        rate = self.terms.maintenance
        account = self.engine.account
        held = [each for each in account.margined if each.quantity]
        if rate is None or not held:
            return
        if bar is None:
            if margin.equity(account) < margin.maintenance(account, rate):
                self._liquidate_at({})
            return
        mine = [each for each in held if each.symbol == bar.symbol]
        limit = margin.liquidation_price(account, bar.symbol, rate) if mine else None
        if limit is None:
            return
        gains = margin.slope(account, bar.symbol, rate) > ZERO
        first, worst = exact(bar.open), exact(bar.low if gains else bar.high)
        beyond = worst <= limit if gains else worst >= limit
        if beyond:
            at = min(first, limit) if gains else max(first, limit)
            self._liquidate_at({bar.symbol: at})

    def _liquidate_at(self, prices: dict[str, Decimal]) -> None:
        self._tell(self.engine.cancel_all(self.now))
        for symbol in {each.symbol: None for each in self.engine.positions()}:
            mark = self.engine.account.mark_of(symbol)
            price = prices.get(symbol) or (None if mark is None else exact(mark))
            if price is not None:
                self._close(symbol, LIQUIDATION, ONE, price)
        missing = self.engine.absorb()
        if missing:
            payment = Payment("", PositionSide.BOTH, missing)
            self._note(FactKind.INSURED, payment=payment)
            self._flow += missing

    def _close(self, symbol: str, reason: str, share: Decimal, price: Decimal) -> None:
        """Close ``share`` of every position in ``symbol``, in whole lots, by orders of our own."""
        step = self.rules[symbol].lot_step
        for position in self.engine.positions():
            held = abs(position.quantity)
            quantity = held if share == ONE else whole_lots(held * share, step)
            if position.symbol != symbol or not quantity:
                continue
            self._own_orders += 1
            name = f"{OWN_PREFIX[reason]}{self._own_orders}"
            request = OrderRequest(
                name,
                name,
                "",
                symbol,
                Side.SELL if position.quantity > ZERO else Side.BUY,
                position.position_side,
                OrderType.LIMIT,
                TimeInForce.IOC,
                quantity,
                self.now,
                reduce_only=True,
                price=price,
                action=IntentAction.CLOSE,
            )
            self.requests[name] = request
            self._note(FactKind.OWN_ORDER, client_order_id=name, request=request, reason=reason)
            self._tell(self.engine.force(request, self.now))

    # -- what is asked of it

    @property
    def seq(self) -> int:
        """Return the number of the newest news item."""
        return len(self.news)

    def order(self, client_order_id: str) -> VenueOrder:
        """Tell whether an order is known and live, and all of its fills: nothing is forgotten."""
        fills = tuple(self._fills.get(client_order_id, ()))
        known = client_order_id in self.requests
        return msgspec.structs.replace(
            self.engine.order(client_order_id, self.now),
            known=known,
            fills=fills,
            filled=sum((fill.quantity for fill in fills), ZERO) if known else None,
            remembers_from=0,
        )

    def account(self, *, whole: bool = True) -> Account:
        """Return what the account holds now; a truth log has only what moved."""
        balance = self.engine.balance()
        positions = self.engine.positions()
        account = Account(
            self.seq,
            self.now,
            balance.currency,
            balance.cash,
            balance.net_flow,
            tuple((one.symbol, one.position_side, one.quantity) for one in positions),
        )
        if not whole:
            return account
        return msgspec.structs.replace(
            account,
            # The names alone: a view of every live order costs more than all the rest.
            open_orders=tuple(chain.from_iterable(self.engine.working.values())),
            fees=balance.fees,
            funding=balance.funding,
            averages=tuple((one.symbol, one.position_side, one.average_price) for one in positions),
        )

    # -- facts

    def _input(self, kind: FactKind, **facts: object) -> None:
        assert not self._made, "one thing is done at a time"
        self._note(kind, **facts)

    def _note(self, kind: FactKind, **facts: object) -> None:
        self._count += 1
        self._made.append(Fact(self._count, kind, self.now, **facts))  # type: ignore[arg-type]

    def _tell(self, reports: Iterable[VenueReport]) -> None:
        for report in reports:
            self.news.append(NewsItem(self.seq + 1, report))
            fill = report.fill
            if fill is not None:
                self._fills.setdefault(report.client_order_id, []).append(fill)
                signed = fill.quantity * fill.side.sign
                self._flow -= signed * fill.price + fill.fee
                self._money_moved = True
            self._note(
                KIND_OF[report.event],
                seq=self.seq,
                client_order_id=report.client_order_id,
                report=report,
            )

    def _done(self) -> list[Fact]:
        if self._money_moved:
            flow = self.engine.balance().net_flow
            assert flow == self._flow, f"money is conserved: found {flow}, expected {self._flow}"
            self._note(FactKind.BALANCE, account=self.account(whole=False))
            self._money_moved = False
        made, self._made = self._made, []
        return made


def restored(facts: Sequence[Fact]) -> tuple[Venue, list[Fact]]:
    """
    Return the venue that made ``facts``, and the facts that it had not written yet.

    Everything that was done to it is done again. Raises ``TruthContradicted`` where what comes of
    it is not what the log says.
    """
    if not facts or facts[0].terms is None:
        raise TruthContradicted("the log does not begin with the opening of an account")
    venue = Venue(facts[0].terms)
    made = list(venue.opening)
    for fact in facts[1:]:
        if fact.fact in INPUTS:
            made += _done_again(venue, fact)
    for told, again in zip(facts, made, strict=False):
        if told != again:
            raise TruthContradicted(f"line {told.n}: found {told}, expected {again}")
    return venue, made[len(facts) :]


def _done_again(venue: Venue, fact: Fact) -> list[Fact]:
    if fact.fact is FactKind.RECEIVED:
        assert fact.request is not None, "an order that came is in its fact"
        name = fact.client_order_id.partition(AGAIN)[0]
        again = msgspec.structs.replace(fact.request, client_order_id=name)
        return venue.submit(again, fact.wall)
    if fact.fact is FactKind.REFUSED:
        return venue.refuse(fact.client_order_id, fact.reason, fact.wall)
    if fact.fact is FactKind.SHOWN:
        assert fact.shown is not None, "what was shown is in its fact"
        return venue.show(Shown(fact.source, fact.number, (fact.shown,)), fact.wall)
    if fact.fact is FactKind.SET:
        assert fact.setting is not None, "what was set is in its fact"
        return venue.set(fact.setting, fact.wall)
    if fact.fact in {FactKind.AMEND_ASKED, FactKind.MET, FactKind.FORCED}:
        return _traded_again(venue, fact)
    if fact.client_order_id:
        return venue.cancel(fact.client_order_id, fact.wall)
    return venue.cancel_all(fact.symbol, fact.wall)


def _traded_again(venue: Venue, fact: Fact) -> list[Fact]:
    quantity, price = fact.quantity, fact.price
    assert quantity is not None, "how much is in its fact"
    if fact.fact is FactKind.FORCED:
        return venue.force(fact.symbol, fact.reason, quantity, fact.wall)
    assert price is not None, "at what price is in its fact"
    if fact.fact is FactKind.MET:
        return venue.meet(fact.client_order_id, quantity, price, fact.wall)
    return venue.amend(fact.client_order_id, quantity, price, fact.wall)[1]


def line_of(fact: Fact) -> bytes:
    """Return a fact as a line of the log."""
    return msgspec.json.encode(fact) + b"\n"
