"""What goes by the clock at a venue beside trading: its time, and its dead-man timer."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import anyio
import structlog

from brokers.ccxt.address import VenueClock
from brokers.ccxt.calls import Calls, Done, words
from brokers.ccxt.columns import CountdownCall
from brokers.ccxt.errors import Failure, NotSent, Refused, Unknown
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
        self._dead_man_s = dead_man_s
        self._trouble = trouble
        self._is_clock_off = False
        self._is_by_symbol = calls.row.dead_man is CountdownCall.BINANCE_FUTURES
        self._timers = [(each,) for each in symbols] if self._is_by_symbol else [tuple(symbols)]
        """Of which symbols each of the venue's timers is."""
        self._armed: set[tuple[str, ...]] = set()
        """Those that may run."""
        self.gone: Container[str] = ()
        """Symbols that the venue does not list any more: a timer of its own is none."""
        self._turn = anyio.Lock()
        """Whose turn it is to speak of them: on two connections the first may arrive second."""
        self._is_over = False

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
        for failure in (await self._put_off()).values():
            self._armed.update(self._timers)
            await self.stop_dead_man()
            raise VenueUnreachable(
                f"{self._calls.client.address.exchange}: [venue] dead_man_s: the venue's timer is "
                f"not set: {words(failure)}"
            )

    async def feed_dead_man(self) -> None:
        """
        Put the venue's timer off while this loop lives; when it does not, all is cancelled.

        It is asked three times in a span of the timer, counted from question to question: an answer
        that is long in coming makes the next no later. Returns where there is no timer, and after
        it was stopped.
        """
        while self._dead_man_s:
            asked_s = self._clock.monotonic_s()
            async with self._turn:
                if self._is_over:
                    return
                failures = await self._put_off()
            for failure in failures.values():
                self._trouble(failure)
                break  # the venue has failed once, however many symbols there are
            spent_s = self._clock.monotonic_s() - asked_s
            await self._clock.sleep_s(max(RETRY_FIRST_S, self._dead_man_s / 3 - spent_s))

    async def stop_dead_man(self) -> None:
        """
        Stop the venue's timer, if there is one and that can be done in ``CLOSING_S``.

        A request that puts it off, and is under way, is over before that, and none comes after. A
        timer that goes on is logged: it cancels what rests, which harms less than an end that does
        not come.
        """
        self._is_over = True
        if not self._dead_man_s:
            return
        failures: dict[tuple[str, ...], Failure] = {
            timer: Unknown(f"nothing was heard in {CLOSING_S:g} s") for timer in self._armed
        }
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                nonlocal failures
                async with self._turn:
                    failures = await self._set(sorted(self._armed), 0)
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop)
            await self._clock.sleep_s(CLOSING_S)
            tasks.cancel_scope.cancel()
        for timer, failure in failures.items():
            structlog.get_logger("venue").error(
                "dead_man_not_stopped",
                venue=self._calls.client.address.exchange,
                symbols=",".join(timer),
                span_s=self._dead_man_s,
                detail=words(failure),
            )

    async def _put_off(self) -> dict[tuple[str, ...], Failure]:
        return await self._set(self._timers, 1000 * self._dead_man_s)

    async def _set(
        self, timers: Sequence[tuple[str, ...]], span_ms: int
    ) -> dict[tuple[str, ...], Failure]:
        """
        Set each of ``timers`` anew, again where no answer has come; return which are not certain.

        One that is refused keeps no other from being set.
        """
        failures: dict[tuple[str, ...], Failure] = {}
        wait_s = RETRY_FIRST_S
        for tries_left in reversed(range(READS_MAX)):
            for timer in timers:
                if self._is_by_symbol and timer[0] in self.gone:
                    failures.pop(timer, None)
                    continue
                failure = await self._set_one(timer, span_ms)
                failures.pop(timer, None)
                if failure is not None:
                    failures[timer] = failure
            timers = [timer for timer, failure in failures.items() if not _is_final(failure)]
            if not timers or not tries_left:
                break
            await self._clock.sleep_s(wait_s)
            wait_s *= 2
        return failures

    async def _set_one(self, timer: tuple[str, ...], span_ms: int) -> Failure | None:
        """Set one anew; return why that is not certain. A page is no answer."""
        found = await self._calls.count_down(timer, span_ms)
        is_answer = isinstance(found, Done) and isinstance(found.value, Mapping) and found.value
        if span_ms and not isinstance(found, Refused | NotSent):
            self._armed.add(timer)
        if is_answer and not span_ms:
            self._armed.discard(timer)
        if not isinstance(found, Done):
            return found
        return None if is_answer else Unknown("the reply is no answer")


def _is_final(failure: Failure) -> bool:
    return isinstance(failure, Refused) and not failure.is_clock
