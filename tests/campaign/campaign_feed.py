"""
The live feed of a run: ccxt's, at the same exchange, and what it was heard to say.

The exchange of a campaign has candles of a second, which the real one has of spot markets only: a
session of minutes would be too long, whatever waiting costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from plans import Feed, Plan
from workload import BTC, SECOND_MS

from actors.runtime.clock import sleep_s, wall_ms
from brokers.ccxt.address import CcxtAddress
from feeds.ccxt.reach import Reach
from feeds.ccxt.venue import ccxt_source
from feeds.contract import Arrival
from feeds.live.feed import VenueFeed
from feeds.live.venue import POLLED, FeedClock, Stream
from feeds.timeline import Gap
from messages import Bar, Quote, Tick
from scenarios.exchange.binanceusdm.market import INTERVALS
from tidegate.allowance import AccountsAllowance

WARM_UP: Final = 5


@dataclass(frozen=True, slots=True)
class Released:
    """A bar that a feed gave away as closed: at what time of the machine's, in which process."""

    at_ms: int
    process: int
    bar: Bar


@dataclass(slots=True)
class Heard:
    """What the feeds of all processes of a run said."""

    began_ms: list[int] = field(default_factory=list)
    """When each of them was connected."""
    released: list[Released] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    bad: int = 0
    decided_on: list[Bar] = field(default_factory=list)
    """What the strategy was told, in order."""


class HeardFeed(VenueFeed):
    """The feed, and ``heard``, where it is noted what it said and when."""

    heard: Heard

    async def connect(self, after: int | None = None) -> int:
        """Note when it was connected."""
        now = await super().connect(after)
        self.heard.began_ms.append(wall_ms())
        return now

    def take(self) -> Arrival | None:
        """Note which bars were given away, and when."""
        arrival = super().take()
        if arrival is not None and not isinstance(arrival, Quote | Tick):
            process = len(self.heard.began_ms)
            self.heard.released += [Released(wall_ms(), process, bar) for bar in arrival]
        return arrival

    async def close(self) -> None:
        """Note what it counted as missing, and as impossible."""
        if self._stack is not None:
            self.heard.gaps += self._closing.gaps()[BTC]
            self.heard.bad += self.statistics()["symbols"][BTC]["bad"]
        await super().close()


def live_feed(plan: Plan, address: CcxtAddress, heard: Heard) -> HeardFeed:
    """Return a process's feed at the exchange of ``address``, as a configuration would have it."""
    reach = Reach(
        address.exchange,
        {"urls": address.urls} if address.urls else {},
        address.loopback_port,
        address.loopback_ca,
        address.timeout_s,
    )
    feed = HeardFeed(
        ccxt_source(reach, AccountsAllowance(address.exchange, address.account)),
        [BTC],
        SECOND_MS,
        clock=FeedClock(wall_ms, sleep_s),
        chance=Random(f"feed:{plan.name}").random,
        warm_up=WARM_UP,
        streams=frozenset({Stream.BARS}) if plan.feed is Feed.STREAMED else POLLED,
    )
    feed.heard = heard
    return feed


@contextmanager
def candles_of_a_second() -> Iterator[None]:
    """Let the exchange of this process have them, while it lasts."""
    INTERVALS["1s"] = SECOND_MS
    try:
        yield
    finally:
        del INTERVALS["1s"]
