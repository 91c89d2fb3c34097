"""
The account watched as a whole: equity, losses, margin and funding against their limits.

Theory of operation. A limit of the account can be passed while nobody wants anything, by a
market that moves. So the account is valued, exactly, at every close with an open position and
after every fill, and ``observe`` compares the value with what the watch remembers: the highest
equity, the equity at the last UTC midnight and at the session's start. Guards read the same
watch, so an intent is refused by the very figures that raised the alarm.

The watch belongs to the session, not to an incarnation of Risk. It is pure: it knows no clock
and tells nobody; it returns what was newly passed, once until the condition clears.

The day begins with the equity at midnight, exactly: the value of a close at midnight if there
is one, else the last value before it. A close at midnight still counts for the day that it
ends; with daily bars there is no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from actors.risk.limits import RiskLimits
from actors.runtime.clock import DAY_MS
from messages import Cause, ExecutionReport, PositionSide, ReasonCode
from state.ledger import Ledger
from state.money import ZERO, plain, ratio
from state.orders import TERMINAL, OrderStore

HUNDRED: Final = Decimal(100)
SNAPSHOT_VERSION: Final = 1

Book = tuple[str, str, PositionSide]

DRAWDOWN: Final = "max_drawdown_pct"
DAILY_LOSS: Final = "max_daily_loss"
SESSION_LOSS: Final = "max_session_loss"
CONSECUTIVE_LOSSES: Final = "max_consecutive_losses"
MARGIN_USE: Final = "max_margin_use_pct"
FUNDING_COST: Final = "max_funding_cost"


@dataclass(frozen=True, slots=True)
class AccountState:
    """
    The account at one moment, exact.

    ``equity`` has the open profit in it, ``margin`` is what positions bind, ``funding`` what was
    paid for them, net of what was received.
    """

    equity: Decimal
    margin: Decimal = ZERO
    funding: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit of the account was passed: the guard's name, and the figures."""

    guard: str
    cause: Cause


class AccountWatch:
    """What the limits of the account are measured by; see the module's theory of operation."""

    def __init__(self, limits: RiskLimits, equity: Decimal, at: int) -> None:
        """Begin a session with ``equity`` at ``at`` (int ms UTC)."""
        self.limits = limits
        self.state = AccountState(equity)
        self.at = at
        self.session_start = equity
        self.funding_start = ZERO
        self.peak = equity
        self.day = at // DAY_MS
        self.day_start = equity
        self.losses = 0
        self._realized: dict[Book, Decimal] = {}
        self._unfinished: dict[str, Decimal] = {}
        self._reported: dict[str, None] = {}
        self._checks = tuple(
            (name, check) for name, check in CHECKS.items() if getattr(limits, name) is not None
        )

    # -- what happens

    def observe(self, at: int, state: AccountState, *, before: bool = False) -> list[Breach]:
        """
        Take the account's value at ``at`` and return what is newly passed.

        ``before`` says that at midnight itself something had changed the account already, so
        that the day begins with the value before. What comes late, older than the newest value,
        can still have been the peak and is nothing else.
        """
        self.peak = max(self.peak, state.equity)
        if at < self.at:
            return []
        self.at = at
        later = at // DAY_MS > self.day
        closing = later and not at % DAY_MS and not before
        if later and not closing:
            self._begin_day(at)
        self.state = state
        found = self._newly_passed()
        if closing:
            self._begin_day(at)
        return found

    def record(self, report: ExecutionReport) -> list[Breach]:
        """
        Take one step of an order into the streak of losses and return what is newly passed.

        A trade is what one order realised, gross of fees, counted when the order ends. A result
        of exactly zero neither lengthens nor ends a streak.
        """
        fill, booking = report.fill, report.booking
        if fill is not None and booking is not None:
            book = (fill.strategy, fill.symbol, fill.position_side)
            self._realize(book, booking.realized_total, report.order_id)
        if report.status not in TERMINAL or report.order_id not in self._unfinished:
            return []
        self._close_trade(self._unfinished.pop(report.order_id))
        return self._newly_passed()

    def catch_up(self, ledger: Ledger, orders: OrderStore) -> None:
        """
        Take over what reports would have said that an incarnation of Risk failed on.

        The ledger's totals and the orders' ends are the truth; reports are only news of them.
        """
        for book in list(self._realized):
            position = ledger.position(*book)
            if position is not None:
                order_id = next(
                    (name for name in self._unfinished if _is_of(name, book, orders)), ""
                )
                self._realize(book, position.realized_total, order_id)
        for order_id in list(self._unfinished):
            order = orders.by_order_id(order_id)
            if order is None or not order.live:
                self._close_trade(self._unfinished.pop(order_id))

    def _realize(self, book: Book, total: Decimal, order_id: str) -> None:
        # By the book's total, not by the fill's own: a report that was lost is made good.
        gained = total - self._realized.get(book, ZERO)
        self._realized[book] = total
        if gained:
            self._unfinished[order_id] = self._unfinished.get(order_id, ZERO) + gained

    def _close_trade(self, result: Decimal) -> None:
        if result < 0:
            self.losses += 1
        elif result > 0:
            self.losses = 0

    def _begin_day(self, at: int) -> None:
        self.day = at // DAY_MS
        self.day_start = self.state.equity
        self._reported.pop(DAILY_LOSS, None)

    def _newly_passed(self) -> list[Breach]:
        found: list[Breach] = []
        for name, check in self._checks:
            cause = check(self)
            if cause is None:
                self._reported.pop(name, None)
            elif self.report(name):
                found.append(Breach(name, cause))
        return found

    def shift(self, amount: Decimal) -> None:
        """Measure from equities that are higher by ``amount``: it came in and was not earned."""
        self.state = replace(self.state, equity=self.state.equity + amount)
        self.session_start += amount
        self.peak += amount
        self.day_start += amount

    def report(self, guard: str) -> bool:
        """Note that a guard's breach is being reported; return whether it was not before."""
        if guard in self._reported:
            return False
        self._reported[guard] = None
        return True

    def acknowledge(self, guard: str) -> None:
        """
        Measure ``guard`` afresh from here on: the operator has seen its breach and goes on.

        Without this a resumed session would be refused for what has been answered for already.
        Margin use is a condition of the moment and has nothing to forget.
        """
        match guard:
            case "max_drawdown_pct":
                self.peak = self.state.equity
            case "max_daily_loss":
                self.day_start = self.state.equity
            case "max_session_loss":
                self.session_start = self.state.equity
            case "max_consecutive_losses":
                self.losses = 0
            case "max_funding_cost":
                self.funding_start = self.state.funding
        self._reported.pop(guard, None)

    # -- what guards ask

    def cause(self, guard: str, now: int) -> Cause | None:
        """Return why nothing may be opened at ``now`` by an account's guard, if there is a why."""
        if guard == DAILY_LOSS and now // DAY_MS > self.day:
            return None  # a new day, and nothing has happened in it
        return CHECKS[guard](self)

    def drawdown(self) -> Cause | None:
        """Return a cause when equity is farther below its peak than ``max_drawdown_pct``."""
        limit = self.limits.max_drawdown_pct
        fall = self.peak - self.state.equity
        if limit is None or fall * HUNDRED <= limit * self.peak:
            return None
        share = plain(ratio(fall * HUNDRED, self.peak)) if self.peak else "all"
        return Cause(
            ReasonCode.MAX_DRAWDOWN,
            f"drawdown_pct={share} limit={plain(limit)} peak={plain(self.peak)} "
            f"equity={plain(self.state.equity)}",
        )

    def daily_loss(self) -> Cause | None:
        """Return a cause when more than ``max_daily_loss`` was lost since UTC midnight."""
        return _lost(
            self.limits.max_daily_loss, self.day_start, self.state, ReasonCode.MAX_DAILY_LOSS
        )

    def session_loss(self) -> Cause | None:
        """Return a cause when more than ``max_session_loss`` was lost since the session began."""
        return _lost(
            self.limits.max_session_loss,
            self.session_start,
            self.state,
            ReasonCode.MAX_SESSION_LOSS,
        )

    def losing_streak(self) -> Cause | None:
        """
        Return a cause when ``max_consecutive_losses`` trades in a row have lost.

        That many are borne: whatever opened now might be one more.
        """
        limit = self.limits.max_consecutive_losses
        if limit is None or self.losses < limit:
            return None
        return Cause(ReasonCode.CONSECUTIVE_LOSSES, f"losses={self.losses} limit={limit}")

    def margin_use(self) -> Cause | None:
        """Return a cause when positions bind more than ``max_margin_use_pct`` of the equity."""
        limit = self.limits.max_margin_use_pct
        if limit is None:
            return None
        return margin_cause(self.state.margin, self.state.equity, limit)

    def funding_cost(self) -> Cause | None:
        """Return a cause when more than ``max_funding_cost`` was paid in this session."""
        limit = self.limits.max_funding_cost
        paid = self.state.funding - self.funding_start
        if limit is None or paid <= limit:
            return None
        return Cause(ReasonCode.FUNDING_COST, f"paid={plain(paid)} limit={plain(limit)}")

    # -- snapshots

    def snapshot(self) -> dict[str, Any]:
        """Return all that the watch remembers, JSON-ready and exact."""
        return {
            "version": SNAPSHOT_VERSION,
            "at": self.at,
            "equity": str(self.state.equity),
            "margin": str(self.state.margin),
            "funding": str(self.state.funding),
            "session_start": str(self.session_start),
            "funding_start": str(self.funding_start),
            "peak": str(self.peak),
            "day": self.day,
            "day_start": str(self.day_start),
            "losses": self.losses,
            "realized": [
                [strategy, symbol, side.value, str(total)]
                for (strategy, symbol, side), total in self._realized.items()
            ],
            "unfinished": {name: str(result) for name, result in self._unfinished.items()},
            "reported": list(self._reported),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what ``snapshot`` returned; raises ``ValueError`` for another version's."""
        if saved.get("version") != SNAPSHOT_VERSION:
            raise ValueError(
                f"account watch: found version {saved.get('version')!r}, "
                f"expected {SNAPSHOT_VERSION}"
            )
        self.state = AccountState(
            Decimal(saved["equity"]), Decimal(saved["margin"]), Decimal(saved["funding"])
        )
        self.at = int(saved["at"])
        self.session_start = Decimal(saved["session_start"])
        self.funding_start = Decimal(saved["funding_start"])
        self.peak = Decimal(saved["peak"])
        self.day = int(saved["day"])
        self.day_start = Decimal(saved["day_start"])
        self.losses = int(saved["losses"])
        self._realized = {
            (strategy, symbol, PositionSide(side)): Decimal(total)
            for strategy, symbol, side, total in saved["realized"]
        }
        self._unfinished = {name: Decimal(text) for name, text in saved["unfinished"].items()}
        self._reported = dict.fromkeys(saved["reported"])


def _is_of(order_id: str, book: Book, orders: OrderStore) -> bool:
    order = orders.by_order_id(order_id)
    if order is None:
        return False
    request = order.request
    return (request.strategy, request.symbol, request.position_side) == book


def margin_cause(margin: Decimal, equity: Decimal, limit: Decimal) -> Cause | None:
    """Return a cause when ``margin`` is more than ``limit`` percent of ``equity``."""
    if not margin or margin * HUNDRED <= limit * equity:
        return None
    share = f"margin_pct={plain(ratio(margin * HUNDRED, equity))} " if equity > 0 else ""
    return Cause(
        ReasonCode.MARGIN_USE,
        f"{share}limit={plain(limit)} margin={plain(margin)} equity={plain(equity)}",
    )


def _lost(
    limit: Decimal | None, start: Decimal, state: AccountState, code: ReasonCode
) -> Cause | None:
    loss = start - state.equity
    if limit is None or loss <= limit:
        return None
    return Cause(
        code,
        f"loss={plain(loss)} limit={plain(limit)} start={plain(start)} "
        f"equity={plain(state.equity)}",
    )


CHECKS: Final[Mapping[str, Callable[[AccountWatch], Cause | None]]] = {
    DRAWDOWN: AccountWatch.drawdown,
    DAILY_LOSS: AccountWatch.daily_loss,
    SESSION_LOSS: AccountWatch.session_loss,
    CONSECUTIVE_LOSSES: AccountWatch.losing_streak,
    MARGIN_USE: AccountWatch.margin_use,
    FUNDING_COST: AccountWatch.funding_cost,
}
"""The limits of the account by their names in the configuration; each guard has the same name."""
