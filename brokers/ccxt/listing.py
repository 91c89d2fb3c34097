"""
Some of a venue's markets read anew while a session is at work: beside the loop, and taken whole.

ccxt makes thousands of markets of one answer in a single step, and for half a second no cancel
leaves. So only those that the session trades are left in the answers, where it is known how the
venue names them. And a thread makes the markets, with a copy of the exchange object: what that sets
it sets on itself. The copy asks nobody. What it has no answer to is asked by the object itself, in
the loop, as all requests are, and the copy begins again with that answer: the thread never waits
for the loop.

Of all that nothing but the markets that were asked for is taken, each whole, all in one step.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import anyio.to_thread

from brokers.ccxt.errors import UNREADABLE
from brokers.ccxt.limits import LISTING_ROUNDS_MAX

REQUESTS: Final = ("request", "fetch")
"""By which methods of ccxt's something leaves."""


@dataclass(frozen=True, slots=True)
class Listing:
    """
    Markets as they are now, by symbol, and of which one ccxt could not make anything.

    ``take`` has the exchange object go by those of some symbols.
    """

    markets: Mapping[str, Any]
    take: Callable[[Collection[str]], object]
    unread: Mapping[str, Exception] = field(default_factory=dict)


class _Request(NamedTuple):
    method: str
    args: tuple[Any, ...]
    named: dict[str, Any]

    async def sent_by(self, exchange: Any) -> Any:
        return await getattr(exchange, self.method)(*self.args, **self.named)


class _Unanswered(BaseException):
    """The copy has asked what it has no answer to; ccxt's own ``except`` must not take it."""


async def learned(exchange: Any, ids: Collection[str], listed_by: str = "") -> Listing:
    """Return the markets that the venue calls by ``ids``, which nobody knew when all were read."""
    return await _Asking(exchange, listed_by).listed((), ids)


async def listed(exchange: Any, symbols: Collection[str], listed_by: str = "") -> Listing:
    """
    Return those of ``symbols`` that are listed now; raises what ccxt does, and changes nothing.

    ``listed_by`` is as in a venue's row; without it ccxt makes all markets there are. With it, what
    ccxt cannot make of one symbol keeps none of the others from being made.
    """
    asking = _Asking(exchange, listed_by)
    try:
        return await asking.listed(symbols)
    except UNREADABLE:
        if len(symbols) == 1 or not listed_by:
            raise
    found: list[Listing] = []
    unread: dict[str, Exception] = {}
    for symbol in symbols:
        try:
            found.append(await asking.listed([symbol]))
        except UNREADABLE as error:
            unread[symbol] = error

    def take(wanted: Collection[str]) -> None:
        for each in found:
            each.take(wanted)

    return Listing({name: m for each in found for name, m in each.markets.items()}, take, unread)


class _Asking:
    """What was asked for one listing, each question once."""

    def __init__(self, exchange: Any, listed_by: str) -> None:
        self._exchange = exchange
        self._listed_by = listed_by
        self._answers: dict[str, Any] = {}
        self._now = exchange.milliseconds()

    async def listed(self, symbols: Collection[str], also: Collection[str] = ()) -> Listing:
        exchange, listed_by = self._exchange, self._listed_by
        ids = {*also, *(str(exchange.markets[symbol]["id"]) for symbol in symbols)}
        for _ in range(LISTING_ROUNDS_MAX):
            answers = {
                key: only(answer, listed_by, ids) if listed_by else answer
                for key, answer in self._answers.items()
            }
            reading = _Reading(exchange, symbols, also, answers, self._now)
            # Who is cancelled does not wait for the thread: nobody hears what it has made then.
            await anyio.to_thread.run_sync(reading.parse, abandon_on_cancel=True)
            if not reading.asked:
                return Listing(reading.markets, partial(reading.take, exchange))
            asked = reading.asked.values()
            answered = await asyncio.gather(*(each.sent_by(exchange) for each in asked))
            self._answers.update(zip(reading.asked, answered, strict=True))
        raise RuntimeError(
            f"the markets: {LISTING_ROUNDS_MAX} rounds of questions, and there are more"
        )


def only(answer: Any, listed_by: str, ids: Collection[str]) -> Any:
    """
    Return an answer without what is another market's.

    Each entry of a list of markets has ``listed_by``: the id, if it is not by that in the list.
    """
    if isinstance(answer, dict):
        if _are_markets(answer.values(), listed_by):
            return {key: each for key, each in answer.items() if key in ids}
        return {key: only(each, listed_by, ids) for key, each in answer.items()}
    if isinstance(answer, list) and _are_markets(answer, listed_by):
        return [each for each in answer if each[listed_by] in ids]
    return answer


def _are_markets(entries: Collection[Any], listed_by: str) -> bool:
    return all(isinstance(each, dict) and listed_by in each for each in entries)


class _Reading:
    """One attempt to make the markets of the ``answers`` there are; ``asked``: there were none."""

    def __init__(
        self,
        exchange: Any,
        symbols: Collection[str],
        ids: Collection[str],
        answers: Mapping[str, Any],
        now: int,
    ) -> None:
        self.asked: dict[str, _Request] = {}
        self.markets: dict[str, Any] = {}
        self._by_id: dict[str, list[Any]] = {}
        self._symbols, self._ids = symbols, ids
        self._answers = answers
        self._apart = apart = copy.copy(exchange)
        apart.session = apart.socks_proxy_sessions = None  # not the copy's to close
        apart.milliseconds = lambda: now  # what is asked in the next round is the same
        # With the tables in it; what is deeper is only read.
        apart.options = {
            name: dict(each) if isinstance(each, dict) else each
            for name, each in exchange.options.items()
        }
        for method in REQUESTS:
            setattr(apart, method, partial(self._ask, method))

    def parse(self) -> None:
        """Make the markets, as far as there are answers."""
        apart = self._apart
        try:
            found = asyncio.run(apart.fetch_markets())
        except _Unanswered:
            return
        apart.set_markets(
            [
                each
                for each in found
                if each["symbol"] in self._symbols or str(each["id"]) in self._ids
            ]
        )
        self.markets, self._by_id = dict(apart.markets), dict(apart.markets_by_id)

    def take(self, exchange: Any, wanted: Collection[str]) -> None:
        """Put each in the place of the one of its symbol, in both of ccxt's tables."""
        for market_id, made in self._by_id.items():
            new = {each["symbol"]: each for each in made if each["symbol"] in wanted}
            # One id may be of several markets, as of a pair and its perpetual.
            others = exchange.markets_by_id.get(market_id, ())
            kept = [new.pop(each["symbol"], each) for each in others]
            exchange.markets_by_id[market_id] = [*kept, *new.values()]
        exchange.markets.update(
            (symbol, market) for symbol, market in self.markets.items() if symbol in wanted
        )

    async def _ask(self, method: str, *args: Any, **named: Any) -> Any:
        key = repr((method, args, named))
        if key not in self._answers:
            self.asked[key] = _Request(method, args, named)
            raise _Unanswered
        return self._answers[key]
