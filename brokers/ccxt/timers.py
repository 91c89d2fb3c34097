"""What goes by the clock at a venue beside trading: its time, and its dead-man timer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anyio

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.errors import Failure, Refused, Unknown
from brokers.ccxt.lanes import Lane
from brokers.ccxt.limits import (
    ACCOUNT_SOON_S,
    CLOCK_EVERY_S,
    CLOSING_S,
    READS_MAX,
    RETRY_FIRST_S,
)
from brokers.contract import VenueUnreachable


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

    async def arm_dead_man(self) -> None:
        """
        Set the venue's timer for the first time, if there is to be one.

        Raises ``VenueUnreachable`` where it is not certain to be set: whoever has configured it
        relies on it. It is stopped then, for a part of the symbols may have it. From here on it
        runs: whoever has armed it feeds it.
        """
        if not self._dead_man_s:
            return
        if (failure := await self._put_off_at_last()) is not None:
            await self.stop_dead_man()
            raise VenueUnreachable(
                f"{self._calls.client.address.exchange}: [venue] dead_man_s: the venue's timer is "
                f"not set: {words(failure)}"
            )

    async def feed_dead_man(self) -> None:
        """
        Put the venue's timer off while this loop lives; when it does not, all is cancelled.

        It is asked three times in a span of the timer, counted from question to question: an answer
        that is long in coming makes the next no later. Returns at once where there is no timer.
        """
        while self._dead_man_s:
            asked_s = self._clock.monotonic_s()
            if (failure := await self._put_off_at_last()) is not None:
                self._trouble(failure)
            spent_s = self._clock.monotonic_s() - asked_s
            await self._clock.sleep_s(max(RETRY_FIRST_S, self._dead_man_s / 3 - spent_s))

    async def _put_off_at_last(self) -> Failure | None:
        """Set the timer anew, again where no answer has come; return why that is not certain."""
        wait_s = RETRY_FIRST_S
        failure = await self._put_off()
        for _ in range(READS_MAX - 1):
            if failure is None or (isinstance(failure, Refused) and not failure.is_clock):
                break
            await self._clock.sleep_s(wait_s)
            wait_s *= 2
            failure = await self._put_off()
        return failure

    async def _put_off(self) -> Failure | None:
        """Set the timer anew; return why that is not certain. A page is no answer."""
        found = await self._calls.count_down(self._symbols, 1000 * self._dead_man_s)
        if not isinstance(found, Done):
            return found
        if isinstance(found.value, Mapping) and found.value:
            return None
        return Unknown("the reply is no answer")

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
