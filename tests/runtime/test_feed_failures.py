"""The feed actor: a bug in it is a restart without a lost or doubled bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from session_world import BTC, ETH, Script, World, flat, make_spec, walk

from feeds.contract import Group
from feeds.errors import FeedError
from feeds.memory import MemoryFeed
from messages import (
    ActorFailed,
    ActorRestarting,
    ActorStarted,
    Bar,
    Escalated,
    Side,
    VenueReport,
)


class Flaky(MemoryFeed):
    """A feed whose nth reading fails after so many groups."""

    def __init__(
        self,
        bars: dict[str, list[Bar]],
        failures: list[int],
        error: Callable[[], Exception] = lambda: RuntimeError("a bug in the feed"),
    ) -> None:
        super().__init__(bars)
        self._failures = failures
        self._error = error
        self.readings = 0

    def groups(self) -> Iterator[Group]:
        reading, self.readings = self.readings, self.readings + 1
        fails_at = self._failures[reading] if reading < len(self._failures) else -1
        for number, group in enumerate(super().groups()):
            if number == fails_at:
                raise self._error()
            yield group


MARKET = {BTC: walk(BTC, 60, 1), ETH: [b for n, b in enumerate(walk(ETH, 60, 2)) if n % 3]}


def read(failures: list[int], **settings: Any) -> tuple[World, Script]:
    script = Script()
    feed = Flaky({symbol: list(bars) for symbol, bars in MARKET.items()}, failures)
    world = World(make_spec(feed, script.spec(symbols=(BTC, ETH)), **settings))
    return world, script


@pytest.mark.parametrize("queued", [False, True], ids=["fused", "queued"])
@pytest.mark.parametrize("failures", [[1], [17], [59], [10, 10], [5, 20, 40, 41]])
def test_a_feed_that_fails_goes_on_after_the_last_bar_that_was_delivered(
    failures: list[int], queued: bool
) -> None:
    """Over any number of restarts every bar arrives once, in order, in every symbol."""
    world, script = read(failures, queued=queued)
    world.run()
    expected = sorted(
        (bar for bars in MARKET.values() for bar in bars), key=lambda b: (b.timestamp, b.symbol)
    )

    assert expected == script.seen
    assert [e.actor for e in world.all(ActorFailed)] == ["feed"] * len(failures)
    assert [e.incarnation for e in world.all(ActorStarted) if e.actor == "feed"] == list(
        range(1, len(failures) + 2)
    )
    assert world.session.halted is None


def test_a_feed_that_keeps_failing_halts_the_session() -> None:
    """Without market data there is nothing to go on: past its intensity the session ends."""
    world, script = read([10] * 50)
    world.run()

    assert len(script.seen) < 60
    assert len(world.all(ActorRestarting)) == 5
    assert [event.rung for event in world.all(Escalated)] == ["halt"]
    assert world.session.halted is not None


@pytest.mark.parametrize("error", [FeedError, ValueError, OSError])
def test_a_feed_that_refuses_its_input_is_not_read_again(error: type[Exception]) -> None:
    """Bad input stays bad: the refusal goes to the caller, who ends with exit code 2."""
    feed = Flaky({BTC: flat(BTC, 20)}, [10], lambda: error("line 11: close is 'x'"))
    world = World(make_spec(feed, Script().spec()))
    world.start()

    with pytest.raises(error, match="line 11"):
        world.play()
    assert feed.readings == 1


def test_a_feed_that_restarts_because_of_execution_neither_repeats_nor_skips() -> None:
    """Rest-for-one reaches the feed in the middle of a reading; the reading goes on."""
    script = Script()
    feed = Flaky({BTC: walk(BTC, 40, 1)}, [25])
    world = World(make_spec(feed, script.spec()))
    script.on_bar = lambda strategy, _bar: (
        [strategy.desk.open(BTC, Side.BUY, Decimal(1))] if len(script.seen) == 10 else None
    )
    world.poison("execution", VenueReport)
    world.run()

    assert [b.timestamp for b in walk(BTC, 40, 1)] == [b.timestamp for b in script.seen]
    assert [e.incarnation for e in world.all(ActorStarted) if e.actor == "feed"] == [1, 2, 3]
