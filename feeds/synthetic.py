"""
Seeded synthetic markets.

Nothing here is data of a real market, and everything made here says so. The walk uses integer
ticks, uniform draws and the four basic operations alone, no logarithm or cosine of the
machine's own library: the same seed gives the same bars on every interpreter and machine.
``GENERATOR`` is raised by any change of what a seed gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random

from feeds.contract import Group
from feeds.errors import FeedSettingError
from feeds.merge import merge
from feeds.timeframe import UNIT_MS, parse_timeframe
from feeds.timeline import iso
from messages import Bar

GENERATOR = 1

BATCH_BARS = 512
"""Bars made at a time."""

DAY_MS = UNIT_MS["d"]
MINUTE_MS = UNIT_MS["m"]
MINUTES_PER_DAY = 1_440

START = 1_704_067_200_000
"""2024-01-01T00:00:00Z, a Monday."""


@dataclass(frozen=True, slots=True)
class Session:
    """
    When a market is open, in minutes of the UTC day; the same all year, as a simplification.

    ``sunday_open`` and ``friday_close`` bound a market that is open day and night in between;
    otherwise every weekday has the hours ``opens`` to ``closes``.
    """

    opens: int = 0
    closes: int = MINUTES_PER_DAY
    around_the_clock: bool = False

    def is_open(self, timestamp: int, timeframe_ms: int) -> bool:
        """Return whether a bar may open at ``timestamp``."""
        if timeframe_ms > DAY_MS:
            return True
        day, since_midnight = divmod(timestamp, DAY_MS)
        weekday = (day + 3) % 7  # the epoch was a Thursday; Monday is 0
        if timeframe_ms == DAY_MS:
            return weekday < 5
        minute = since_midnight // MINUTE_MS
        if not self.around_the_clock:
            return weekday < 5 and self.opens <= minute < self.closes
        if weekday == 4:
            return minute < self.closes
        return weekday < 4 or (weekday == 6 and minute >= self.opens)


@dataclass(frozen=True, slots=True)
class Profile:
    """
    How a kind of market behaves.

    Prices are whole ticks of ``1 / ticks_per_unit``, volumes whole steps of
    ``1 / volume_steps_per_unit``. ``volatility`` is the typical move of one minute as a fraction
    of the price; ``gap_rate`` and ``jump_rate`` are chances per bar.
    """

    name: str
    ticks_per_unit: int
    price: tuple[int, int]
    volatility: float
    jump_rate: float
    gap_rate: float
    gap_bars_max: int
    outage_rate: float
    volume: float
    volume_steps_per_unit: int
    busy_minutes: tuple[int, int]
    session: Session | None


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="crypto",
            ticks_per_unit=100,
            price=(20_000, 70_000),
            volatility=0.000_5,
            jump_rate=1 / 1_500,
            gap_rate=1 / 1_500,
            gap_bars_max=4,
            outage_rate=1 / 8_000,
            volume=18.0,
            volume_steps_per_unit=10_000,
            busy_minutes=(13 * 60, 21 * 60),
            session=None,
        ),
        Profile(
            name="equity",
            ticks_per_unit=100,
            price=(40, 250),
            volatility=0.000_6,
            jump_rate=1 / 1_200,
            gap_rate=1 / 250,
            gap_bars_max=2,
            outage_rate=0.0,
            volume=9_000.0,
            volume_steps_per_unit=1,
            busy_minutes=(14 * 60 + 30, 15 * 60 + 30),
            session=Session(opens=14 * 60 + 30, closes=21 * 60),
        ),
        Profile(
            name="forex",
            ticks_per_unit=100_000,
            price=(1, 2),
            volatility=0.000_07,
            jump_rate=1 / 2_500,
            gap_rate=1 / 60,
            gap_bars_max=3,
            outage_rate=0.0,
            volume=120.0,
            volume_steps_per_unit=1,
            busy_minutes=(7 * 60, 17 * 60),
            session=Session(opens=22 * 60, closes=22 * 60, around_the_clock=True),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Regime:
    """A mood of the market: how much it moves, where to, and how strongly it turns back."""

    name: str
    volatility: float
    drift: float
    reversion: float
    volume: float


REGIMES = (
    Regime("trend_up", volatility=1.0, drift=0.12, reversion=0.0, volume=1.2),
    Regime("trend_down", volatility=1.1, drift=-0.12, reversion=0.0, volume=1.3),
    Regime("range", volatility=0.6, drift=0.0, reversion=0.06, volume=0.7),
    Regime("volatile", volatility=2.4, drift=0.0, reversion=0.0, volume=2.2),
)
REGIME_BARS = (60, 480)
"""Fewest and most bars in one mood."""


class SyntheticFeed:
    """
    Make bars of markets that do not exist, as a function of the arguments alone.

    Every symbol has exactly ``bars`` bars, or endlessly many where that is None, at multiples
    of ``timeframe`` from ``start`` on. Symbols move independently and do not depend on which
    others there are; each has its own gaps.
    """

    synthetic = True

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        profile: str = "crypto",
        seed: int = 0,
        bars: int | None = MINUTES_PER_DAY,
        start: int = START,
        timeframe: str = "1m",
    ) -> None:
        """Keep what to make; raise ``FeedSettingError`` for what cannot be."""
        if profile not in PROFILES:
            raise FeedSettingError(f"synthetic profile {profile!r}; expected {', '.join(PROFILES)}")
        if not symbols or len(set(symbols)) != len(symbols):
            raise FeedSettingError(f"synthetic symbols {list(symbols)}; expected one or more, once")
        if bars is not None and bars < 1:
            raise FeedSettingError(f"{bars} synthetic bars; expected one or more")
        self.symbols = tuple(sorted(symbols))
        self.timeframe_ms = parse_timeframe(timeframe)
        self.profile = PROFILES[profile]
        self.seed = seed
        self.bars = bars
        self.start = start + -start % self.timeframe_ms

    def groups(self) -> Iterator[Group]:
        """Yield the bars, grouped by timestamp."""
        return merge([self._stream(symbol) for symbol in self.symbols])

    def _stream(self, symbol: str) -> Iterator[list[Bar]]:
        walk = _Walk(symbol, self.profile, self.seed, self.start, self.timeframe_ms)
        left = self.bars
        while left is None or left > 0:
            size = BATCH_BARS if left is None else min(left, BATCH_BARS)
            yield [walk.next_bar() for _ in range(size)]
            if left is not None:
                left -= size

    def fingerprints(self) -> dict[str, str]:
        """Return what each symbol's bars are a function of."""
        text = (
            f"generator={GENERATOR} profile={self.profile.name} seed={self.seed} "
            f"start={iso(self.start)} timeframe_ms={self.timeframe_ms} "
            f"bars={self.bars or 'endless'}"
        )
        return {f"synthetic@{symbol}": text for symbol in self.symbols}


class _Walk:
    """One symbol's random walk."""

    def __init__(
        self, symbol: str, profile: Profile, seed: int, start: int, timeframe_ms: int
    ) -> None:
        # A text seed is hashed by SHA-512, on every version alike and whatever PYTHONHASHSEED.
        self._random = Random(f"tidegate/{GENERATOR}/{seed}/{profile.name}/{symbol}").random
        self._symbol = symbol
        self._profile = profile
        self._timeframe_ms = timeframe_ms
        self._time = start
        self._sigma = profile.volatility * sqrt(timeframe_ms / MINUTE_MS)
        low, high = (unit * profile.ticks_per_unit for unit in profile.price)
        self._ticks = low + self._below(high - low)
        self._anchor = self._ticks
        self._floor = max(low // 100, 10)
        self._regime = REGIMES[0]
        self._regime_left = 0

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)

    def _bell(self) -> float:
        """Return a draw of mean 0 and deviation 1, nearly normal: the sum of three uniform ones."""
        random = self._random
        return 2.0 * (random() + random() + random() - 1.5)

    def next_bar(self) -> Bar:
        """Return the next bar, after whatever closure or gap comes before it."""
        skipped = self._skip()
        if self._regime_left == 0:
            self._change_regime()
        self._regime_left -= 1
        profile, regime, random = self._profile, self._regime, self._random
        sigma = max(self._ticks * self._sigma * regime.volatility, 0.5)
        open_ = self._ticks
        if skipped:
            # News came while nobody traded: the longer, the more, up to a night's worth.
            open_ = max(open_ + round(sigma * sqrt(min(skipped, 60)) * self._bell()), self._floor)
        move = self._bell() + regime.drift
        move += regime.reversion * (self._anchor - open_) / sigma
        jumps = random() < profile.jump_rate
        if jumps:
            move += (6.0 + 6.0 * random()) * (1.0 if random() < 0.5 else -1.0)
        close = max(open_ + round(sigma * move), self._floor)
        high = max(open_, close) + int(sigma * random() * random() * 1.5)
        low = max(min(open_, close) - int(sigma * random() * random() * 1.5), 1)
        volume = self._volume(abs(close - open_) / sigma)
        scale = profile.ticks_per_unit
        # Whole ticks divided once are the floats nearest to the decimal price: their text is short.
        bar = Bar(
            self._symbol,
            self._time,
            open_ / scale,
            high / scale,
            low / scale,
            close / scale,
            volume,
            self._timeframe_ms,
        )
        self._ticks = close
        self._time += self._timeframe_ms
        return bar

    def _volume(self, move: float) -> float:
        profile = self._profile
        minute = self._time % DAY_MS // MINUTE_MS
        busy_from, busy_until = profile.busy_minutes
        level = 1.7 if busy_from <= minute < busy_until else 1.0
        level *= self._regime.volume * (0.5 + move) * (0.3 + 1.4 * self._random())
        steps = int(profile.volume * level * profile.volume_steps_per_unit)
        return steps / profile.volume_steps_per_unit

    def _change_regime(self) -> None:
        shortest, longest = REGIME_BARS
        self._regime = REGIMES[self._below(len(REGIMES))]
        self._regime_left = shortest + self._below(longest - shortest + 1)
        self._anchor = self._ticks

    def _skip(self) -> int:
        """Move time past closed hours and gaps; return how many intervals were left out."""
        profile, step = self._profile, self._timeframe_ms
        before = self._time
        if self._random() < profile.gap_rate:
            self._time += step * (1 + self._below(profile.gap_bars_max))
        if self._random() < profile.outage_rate:
            self._time += step * (10 + self._below(50))
        if profile.session is not None:
            while not profile.session.is_open(self._time, step):
                self._time += step
        return (self._time - before) // step
