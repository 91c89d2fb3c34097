"""What goes by the clock at a venue beside trading: its time, and its dead-man timer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done
from brokers.ccxt.errors import Failure
from brokers.ccxt.lanes import Lane
from brokers.ccxt.limits import ACCOUNT_SOON_S, CLOCK_EVERY_S, CLOSING_S


class Timers:
    """
    Compares the clocks, and puts the venue's timer off.

    ``trouble`` takes what failed. The timer is set to ``dead_man_s`` for the orders of ``symbols``;
    0 is none.
    """

    def __init__(
        self,
        calls: Calls,
        clock: VenueClock,
        symbols: Sequence[str],
        dead_man_s: int,
        trouble: Callable[[Failure], object],
    ) -> None:
        """Go by ``clock``; nothing runs yet."""
        self._calls = calls
        self._clock = clock
        self._symbols = list(symbols)
        self._dead_man_s = dead_man_s
        self._trouble = trouble
        self._is_clock_off = False

    def distrust_clock(self) -> None:
        """Compare the clocks soon: the venue does not like our time."""
        self._is_clock_off = True

    async def keep_time(self) -> None:
        """Know how far the venue's clock is from ours, until cancelled."""
        compared_s = self._clock.monotonic_s()
        while True:
            await self._clock.sleep_s(ACCOUNT_SOON_S)
            if not self._is_clock_off and (self._clock.monotonic_s() - compared_s < CLOCK_EVERY_S):
                continue
            compared_s, self._is_clock_off = self._clock.monotonic_s(), False
            found = await self._calls.once(Lane.REDUCE, 1, self._calls.client.sync_time)
            if not isinstance(found, Done):
                self._trouble(found)

    async def feed_dead_man(self) -> None:
        """
        Put the venue's timer off while this loop lives; when it does not, all is cancelled.

        Returns at once where there is no timer.
        """
        while self._dead_man_s:
            found = await self._calls.count_down(self._symbols, 1000 * self._dead_man_s)
            if not isinstance(found, Done):
                self._trouble(found)
            await self._clock.sleep_s(self._dead_man_s / 3)

    async def stop_dead_man(self) -> None:
        """
        Stop the venue's timer, if there is one and that can be done in ``CLOSING_S``.

        A timer that goes on cancels what rests, which harms less than an end that does not come.
        """
        if not self._dead_man_s:
            return
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                await self._calls.count_down(self._symbols, 0)
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            await self._clock.sleep_s(CLOSING_S)
            tasks.cancel_scope.cancel()
