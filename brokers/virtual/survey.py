"""What the virtual venue holds, as one session's broker sees it: the account, and its trades."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from brokers.contract import Survey, VenueUnreachable
from brokers.virtual import wire
from brokers.virtual.calls import Done, Outcome, words
from brokers.virtual.wire import Account, Answer
from messages import Fill, VenueTrades
from state.reconciliation import AccountView

SURVEY_PAGES_MAX: Final = 100
"""Most pages of trades that are read before a session begins: fifty thousand trades."""

TRADES_OVERLAP: Final = 200
"""How many news items behind its watermark a list of trades begins."""

Ask = Callable[[str, Mapping[str, str]], Awaitable[Outcome]]


def view_of(account: Account) -> AccountView:
    """Return the venue's account as it is compared with ours."""
    return AccountView(
        {(symbol, side): quantity for symbol, side, quantity in account.positions},
        frozenset(account.open_orders),
        account.net_flow,
        account.fees,
        None if account.funding is None else -account.funding,
        {(symbol, side): price for symbol, side, price in account.averages},
    )


def trades_of(answer: Answer, since: int) -> VenueTrades:
    """Return the trades of one page; a full one may not have been the last."""
    fills = tuple(item.report.fill for item in answer.news if item.report.fill is not None)
    more = len(answer.news) >= wire.NEWS_ITEMS_MAX
    upto = answer.news[-1].seq if more else answer.seq
    return VenueTrades(since, upto, more, fills)


async def surveyed(ask: Ask, url: str, taken: int, account: Account | None) -> Survey:
    """Return ``account``, if the venue gave one, and the trades after item ``taken`` under it."""
    if account is None:
        raise VenueUnreachable(f"{url}: it does not say what it holds")
    fills: list[Fill] = []
    since = taken
    for _ in range(SURVEY_PAGES_MAX):
        if since >= account.seq:
            break
        answer = await _answered(ask, url, wire.TRADES, {"after": str(since)})
        fills += [
            item.report.fill
            for item in answer.news
            if item.report.fill is not None and item.seq <= account.seq
        ]
        page = trades_of(answer, since)
        if not page.more:
            break
        since = page.upto
    return Survey(view_of(account), tuple(fills))


async def _answered(ask: Ask, url: str, path: str, query: Mapping[str, str]) -> Answer:
    outcome = await ask(path, query)
    if not isinstance(outcome, Done):
        raise VenueUnreachable(f"{url}: {words(outcome)}")
    return outcome.answer
