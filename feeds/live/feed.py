"""
The live feed of a venue: streams for speed, history for truth.

Theory of operation. ``feeds.closing`` decides which bars are closed; this shell brings it news. For
each symbol one task watches the stream and another one looks, some time after each bar should have
closed, whether it has: if not, history is asked, later each time and never in step with others. So
the poll is the fallback for venues and hours without a stream, fills what a broken stream has left
out, and finds the stream that is connected and silent: when no candle at all has been streamed for
two bars although history goes on, they are hung up and dialled anew. Trades and quotes are no sign
of life of candles: some venues stream them over another connection, which then stays. A venue that
closes for the night is left alone until it opens. That no data comes from either is for Health to
see: it watches the age of the bars, and asks for ``reconnect``.

In a rehearsal the market may have a time of its own, and run faster: see ``market_time``. What is
waited for because of the network (a grace, a jitter, a slower symbol) stays in real seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import structlog

from feeds.capture import SPACING_MS_MIN, Capture
from feeds.closing import Closing
from feeds.contract import Arrival, Group
from feeds.coordinator import Coordinator
from feeds.errors import FeedError, FeedSettingError
from feeds.history import History, Patience, VenueRefused, VenueTrouble
from feeds.live.before import before
from feeds.live.market_time import ByItsCandles, MarketTime
from feeds.live.venue import POLLED, FeedClock, LiveVenue, Stream, StreamingVenue, VenueSource
from feeds.merge import group_by_time
from feeds.store.layout import Series
from feeds.store.store import BarStore
from feeds.timeframe import format_timeframe
from feeds.timeline import Gap, iso
from messages import Bar, Quote, Tick

GRACE_MS: Final = 2_000
"""How long after its end a bar may still come over the stream before history is asked."""

JITTER_MS: Final = 1_000
"""History is asked up to this much later, so that a venue is not asked for everything at once."""

GROUP_WAIT_MS: Final = 5_000
"""How long the bars of one moment wait for the slower symbols: longer than one poll takes."""

LOOK_S_MIN: Final = 0.5
"""Shortest pause between two looks at a bar that is over and not released."""

FRUITLESS_MAX: Final = 8
FRUITLESS_LOOK_S: Final = 60.0
"""Who answers well and has nothing, so many times, is asked this far apart: a halt, a holiday."""

SILENT_BARS: Final = 2
"""Bars' lengths without one candle streamed after which their lines are dialled anew."""

TICKS_MAX: Final = 10_000
"""Trades that wait for the session; past this the oldest are let go, counted."""

GAP_LINES_MAX: Final = 1_000
"""Gaps told one by one: some markets trade in few of their minutes. All are counted."""

KEEP_LOOK_S: Final = 10.0
"""How often it is looked whether captured bars are due on the disk."""


class VenueFeed:
    """
    Closed bars, and if asked quotes and trades, of one venue; see ``feeds.contract.LiveFeed``.

    ``warm_up`` bars before the start are ``history``; they are read from ``cache`` and only what
    is lacking there is fetched into it. Without ``streams`` each bar is asked for. With ``keep_in``
    these and every bar that is given away are captured, ``spacing_ms`` apart and for ``keep_ms``
    (0: for ever). With ``speed`` the venue's market has a time of its own, by which everything here
    goes, and so many seconds of it pass in a real one; without it is the venue's clock.
    """

    synthetic = False

    def __init__(
        self,
        source: VenueSource,
        symbols: Sequence[str],
        timeframe_ms: int,
        *,
        clock: FeedClock,
        chance: Callable[[], float],
        warm_up: int = 0,
        streams: frozenset[Stream] = POLLED,
        cache: BarStore | None = None,
        keep_ms: int = 0,
        spacing_ms: int = SPACING_MS_MIN,
        speed: float | None = None,
    ) -> None:
        """
        Connect to nothing yet; ``chance`` gives the jitter.

        Raises ``FeedSettingError`` for a stream that the source does not offer.
        """
        assert symbols, "a live feed is of given symbols"
        if lacking := streams - source.offers:
            offered = ", ".join(sorted(source.offers)) or "none: its bars are asked for"
            raise FeedSettingError(
                f"{source.name} streams no {', '.join(sorted(lacking))}; it offers {offered}"
            )
        self.symbols = tuple(sorted(symbols))
        self.timeframe_ms = timeframe_ms
        self.wake: Callable[[], object] = lambda: None
        self.capture: Capture | None = None
        self.dropped = 0
        """Trades that nobody took in time."""
        self.speed = 1.0 if speed is None else speed
        self._time = MarketTime(clock.wall_ms, self.speed, own=speed is not None)
        self._source = source
        self._clock = clock
        self._chance = chance
        self._warm_up = warm_up
        self._streams = streams
        self._cache = cache
        self._keep_ms = keep_ms
        self._spacing_ms = spacing_ms
        self._log = structlog.get_logger("feed")
        self._patience = Patience(clock.sleep_s, chance, on_retry=self._say_retry)
        self._stack: AsyncExitStack | None = None
        self._history: list[Group] = []
        self._bad_before: dict[str, int] = {}
        self._gaps = 0
        self._quotes: dict[str, Quote] = {}
        self._ticks: deque[Tick] = deque(maxlen=TICKS_MAX)
        self._heard_at: dict[tuple[Stream, str], int] = {}
        self._running = False
        self._news = anyio.Event()
        self._dial_anew = anyio.Event()
        self._venue: LiveVenue
        self._lines: StreamingVenue
        self._coordinator: Coordinator
        self._closing: Closing

    # -- the contract

    def keep_in(self, folder: Path) -> None:
        """Capture bars in a store of their own."""
        self.capture = Capture(
            BarStore(folder),
            self._source.name,
            self.timeframe_ms,
            spacing_ms=self._spacing_ms,
            keep_ms=self._keep_ms,
        )

    async def connect(self, after: int | None = None) -> int:
        """Open the venue and bring what has been; see ``feeds.contract.LiveFeed``."""
        assert self._stack is None, "it is connected once"
        async with AsyncExitStack() as stack:
            self._venue = await stack.enter_async_context(self._source.open())
            if self._source.offers:
                assert isinstance(self._venue, StreamingVenue), "it offers what it cannot give"
                self._lines = self._venue
            name = format_timeframe(self.timeframe_ms)
            await self._patience.ask(lambda: self._venue.load(self.symbols, name))
            asked = (
                ByItsCandles(self._venue, self.symbols, self.timeframe_ms)
                if self._time.own
                else self._venue
            )
            history = History(asked, self._patience)
            self._coordinator = Coordinator(history, self.now_ms)
            self._time.begin(await history.server_time_ms(), self.timeframe_ms)
            now = self.now_ms()
            await self._bring_what_has_been(history, now, after)
            self._stack = stack.pop_all()
        return self.now_ms()  # what has been took its time

    def groups(self) -> Iterator[Group]:
        """Yield the bars before those that are news: to warm up, not to be acted upon."""
        return iter(self._history)

    async def run(self) -> None:
        """Listen, until cancelled."""
        self._running = True
        now = self.now_ms()
        self._heard_at = {(stream, each): now for stream in self._streams for each in self.symbols}
        async with anyio.create_task_group() as tasks:
            for symbol in self.symbols:
                tasks.start_soon(self._poll, symbol)
                watches = {
                    Stream.BARS: partial(self._watch_bars, symbol, [None]),
                    Stream.QUOTES: partial(self._watch_quote, symbol),
                    Stream.TRADES: partial(self._watch_trades, symbol),
                }
                for stream in sorted(self._streams):
                    tasks.start_soon(self._watch, stream, symbol, watches[stream])
            tasks.start_soon(self._look)
            if self._streams:
                tasks.start_soon(self._redial)
            tasks.start_soon(self._keep)

    def take(self) -> Arrival | None:
        """Return what has arrived next: what came between bars before those."""
        if self._ticks:
            return self._ticks.popleft()
        if self._quotes:
            return self._quotes.pop(next(iter(self._quotes)))
        group = self._closing.take(self.now_ms())
        if group is not None and self.capture is not None:
            self.capture.take(group)
        return group

    def reconnect(self) -> None:
        """Let every stream be dialled anew."""
        if self._running:
            self._dial_anew.set()

    def fingerprints(self) -> dict[str, str]:
        """Return the venue and what of it: live data cannot be told by its content beforehand."""
        name = format_timeframe(self.timeframe_ms)
        return {f"live@{symbol}": f"{self._source.name} {name}" for symbol in self.symbols}

    async def close(self) -> None:
        """Close the connections, and write what was captured."""
        if self._stack is not None:
            stack, self._stack = self._stack, None
            await stack.aclose()
            if self._gaps > GAP_LINES_MAX:
                self._log.warning("feed_gap_lines_left_out", lines=self._gaps - GAP_LINES_MAX)
        await self._write_captured()

    # -- beyond it

    def now_ms(self) -> int:
        """Return the venue's time, as far as it is known."""
        return self._time.now_ms()

    def statistics(self) -> dict[str, Any]:
        """Return gaps and refused rows by symbol, pages asked for and shared, trades let go."""
        counts = self._closing.counts()
        for symbol, bad in self._bad_before.items():
            counts[symbol]["bad"] += bad
        return {
            "symbols": counts,
            "pages_asked": self._coordinator.asked,
            "pages_shared": self._coordinator.shared,
            "trades_dropped": self.dropped,
        }

    # -- what has been

    async def _bring_what_has_been(self, history: History, now: int, after: int | None) -> None:
        step = self.timeframe_ms
        present = now // step * step
        # As many bars as are asked for, however much closed time lies between them.
        start = self._venue.back(self._warm_up, step, present) if after is None else after + step
        known: dict[str, list[Bar]] = {}
        for symbol in self.symbols:
            series = Series(self._source.name, symbol, step)
            found = await before(history, self._cache, series, (start, now))
            known[symbol] = found.bars
            self._bad_before[symbol] = found.bad
        # Of a session that goes on nothing is passed unseen: what history does not have yet is
        # waited for. Nor is its last bar told anew where the venue's clock is behind it.
        following = present if after is None else start
        first = {
            symbol: bars[-1].timestamp + step if bars else following
            for symbol, bars in known.items()
        }
        group_wait_ms = self._time.of_network(GROUP_WAIT_MS)
        self._closing = Closing(first, step, group_wait_ms=group_wait_ms, on_gap=self._say_gap)
        if after is None:
            known = {
                each: bars[max(len(bars) - self._warm_up, 0) :] for each, bars in known.items()
            }
        else:
            self._pass_missed(after, known)
        self._history = list(group_by_time(list(known.values())))
        if self.capture is not None:
            for group in self._history:
                self.capture.take(group)

    def _pass_missed(self, after: int, known: dict[str, list[Bar]]) -> None:
        """Count and say what the venue leaves out of the time since an earlier session's bar."""
        step = self.timeframe_ms
        for symbol, bars in known.items():
            for one, other in pairwise((after, *(bar.timestamp for bar in bars))):
                if other - one > step:
                    gap = Gap(one, other, (other - one) // step - 1)
                    self._closing.passed(symbol, gap)

    # -- streams

    async def _watch(
        self, stream: Stream, symbol: str, watch_once: Callable[[], Awaitable[None]]
    ) -> None:
        """Watch one stream for ever; dialled later each time while that fails."""
        named = {"stream": stream.value, "symbol": symbol}
        attempt = 0
        while True:
            try:
                await watch_once()
            except VenueTrouble as trouble:
                attempt += 1
                wait_s = max(self._patience.jittered_s(attempt), trouble.retry_after_s or 0.0)
                wait = round(wait_s, 3)
                self._log.warning("stream_broken", **named, error=str(trouble), wait_s=wait)
                await self._clock.sleep_s(wait_s)
            except VenueRefused as refusal:
                # History goes on to be asked: slower, and as complete.
                self._log.warning("stream_refused", **named, error=str(refusal))
                del self._heard_at[stream, symbol]
                return
            else:
                attempt = 0
                self._heard_at[stream, symbol] = self.now_ms()
                self._arrived()

    async def _watch_bars(self, symbol: str, line: list[object]) -> None:
        try:
            candles = await self._lines.watch_candles(symbol, self.timeframe_ms)
        except VenueTrouble:
            self._closing.broke(symbol)
            raise
        found = self._lines.line()
        if line[0] not in (None, found):
            self._closing.broke(symbol)
        line[0] = found
        self._closing.stream(symbol, candles.rows)
        self._closing.closed(symbol, candles.closed)
        for row in (*candles.rows, *candles.closed):
            self._time.has_begun(row[0], self.timeframe_ms)

    async def _watch_quote(self, symbol: str) -> None:
        quote = await self._lines.watch_quote(symbol)
        if quote is not None:
            self._quotes[symbol] = quote

    async def _watch_trades(self, symbol: str) -> None:
        for tick in await self._lines.watch_trades(symbol):
            if len(self._ticks) == TICKS_MAX:
                self.dropped += 1
            self._ticks.append(tick)

    async def _redial(self) -> None:
        while True:
            await self._dial_anew.wait()
            self._dial_anew = anyio.Event()
            self._hang_up()

    def _hang_up(self, *, candles: bool = False) -> None:
        self._log.warning("streams_dialled_anew")
        for symbol in self.symbols:
            self._closing.broke(symbol)
        self._lines.hang_up(candles=candles)

    # -- history

    async def _poll(self, symbol: str) -> None:
        """Ask history for every bar that is over and has not come."""
        attempt = 0
        grace_ms = self._time.of_network(GRACE_MS)
        while True:
            now = self.now_ms()
            since = self._closing.wanted(symbol, now - grace_ms)
            if since is None:
                attempt = 0
                jitter_ms = self._time.of_network(JITTER_MS) * self._chance()
                due = self._closing.due(symbol) + grace_ms + jitter_ms
                await self._clock.sleep_s(max(self._time.real_s(due - now), LOOK_S_MIN))
                continue
            quiet = self._venue.quiet_until(symbol, since, now)
            if quiet is not None:
                attempt = 0
                look = quiet + grace_ms + self._time.of_network(JITTER_MS) * self._chance()
                await self._clock.sleep_s(max(self._time.real_s(look - now), LOOK_S_MIN))
                continue
            try:
                until = now // self.timeframe_ms * self.timeframe_ms
                page = await self._coordinator.page(symbol, self.timeframe_ms, since, until)
            except FeedError as error:
                self._log.warning("history_not_answered", symbol=symbol, error=str(error))
            else:
                self._closing.history(symbol, page)
                self._arrived()
                self._find_silence()
                if self._closing.wanted(symbol, now - grace_ms) != since:
                    continue
                if attempt >= FRUITLESS_MAX:
                    await self._clock.sleep_s(FRUITLESS_LOOK_S * (0.5 + 0.5 * self._chance()))
                    continue
            attempt += 1
            await self._clock.sleep_s(self._patience.jittered_s(attempt))

    def _find_silence(self) -> None:
        """Dial the streams anew if history goes on and candles do not."""
        now = self.now_ms()
        silent_ms = max(SILENT_BARS * self.timeframe_ms, 2 * self._time.of_network(GRACE_MS))
        of_bars = [at for (stream, _), at in self._heard_at.items() if stream is Stream.BARS]
        heard = of_bars or list(self._heard_at.values())
        if heard and now - max(heard) > silent_ms:
            self._heard_at = dict.fromkeys(self._heard_at, now)
            self._hang_up(candles=bool(of_bars))

    # -- what follows from news

    def _arrived(self) -> None:
        self._news.set()
        self.wake()

    async def _look(self) -> None:
        """Wake the driver when a group has waited long enough for its slower symbols."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            now = self.now_ms()
            while (at := self._closing.next_look(now)) is not None:
                await self._clock.sleep_s(max(self._time.real_s(at - now), LOOK_S_MIN))
                now = self.now_ms()
                self.wake()

    async def _keep(self) -> None:
        while self.capture is not None:
            await self._clock.sleep_s(KEEP_LOOK_S)
            if self.capture.is_due:
                await self._write_captured()

    async def _write_captured(self) -> None:
        if self.capture is None:
            return
        batch = self.capture.cut()
        try:
            await anyio.to_thread.run_sync(self.capture.write, batch)
        except (OSError, FeedError) as error:
            # Market data is not worth a session: it waits, and is tried again.
            self._log.error("bars_not_captured", error=str(error), bars=len(batch))
            self.capture.take(batch)

    def _say_retry(self, trouble: VenueTrouble, wait_s: float) -> None:
        self._log.warning("venue_in_trouble", error=str(trouble), wait_s=round(wait_s, 3))

    def _say_gap(self, symbol: str, gap: Gap) -> None:
        """Say which bars will not come any more, except those of hours in which it was closed."""
        due = gap.after + self.timeframe_ms
        quiet = self._venue.quiet_until(symbol, due, due)
        if quiet is not None and gap.before <= quiet:
            return
        self._gaps += 1
        if self._gaps <= GAP_LINES_MAX:
            missing, after, before = gap.missing, iso(gap.after), iso(gap.before)
            self._log.warning(
                "feed_gap", symbol=symbol, missing=missing, after=after, before=before
            )
