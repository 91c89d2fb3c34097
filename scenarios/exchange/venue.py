"""
The virtual venue without a wire: orders, cancels and market in, facts out.

No clock, no asyncio, no chance: time is what the market shows. The same inputs give the same
facts, which is how a venue that was killed is rebuilt from its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from brokers.matching import EngineConfig, MatchingEngine
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
    Fill,
    FundingRate,
    MinimumOrder,
    OrderRequest,
    Quote,
    VenueOrder,
    VenueReport,
)
from scenarios.exchange.facts import INPUTS, KIND_OF, Fact, FactKind, Payment, Terms
from state.money import ZERO, use_exact_context


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
        self._fills: dict[str, list[Fill]] = {}
        self._count = 0
        self._made: list[Fact] = []
        self._money_moved = False
        self._input(FactKind.OPENED, terms=terms)
        self.opening = self._done()
        """The first fact."""

    # -- what is done to it

    def submit(self, request: OrderRequest, wall: int = 0) -> list[Fact]:
        """Take an order in; one whose client order id was seen before is refused, unlooked at."""
        name = request.client_order_id
        if name in self.requests:
            return self.refuse(name, DUPLICATE, wall)
        self.requests[name] = request
        self._input(FactKind.RECEIVED, wall=wall, client_order_id=name, request=request)
        self._tell(self.engine.submit(request, self.now))
        return self._done()

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
            self._tell(self.engine.on_bar(piece))
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
            self._money_moved = True

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
                self._money_moved = True
            self._note(
                KIND_OF[report.event],
                seq=self.seq,
                client_order_id=report.client_order_id,
                report=report,
            )

    def _done(self) -> list[Fact]:
        if self._money_moved:
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
        return venue.submit(fact.request, fact.wall)
    if fact.fact is FactKind.REFUSED:
        return venue.refuse(fact.client_order_id, fact.reason, fact.wall)
    if fact.fact is FactKind.SHOWN:
        assert fact.shown is not None, "what was shown is in its fact"
        return venue.show(Shown(fact.source, fact.number, (fact.shown,)), fact.wall)
    if fact.client_order_id:
        return venue.cancel(fact.client_order_id, fact.wall)
    return venue.cancel_all(fact.symbol, fact.wall)


def line_of(fact: Fact) -> bytes:
    """Return a fact as a line of the log."""
    return msgspec.json.encode(fact) + b"\n"
