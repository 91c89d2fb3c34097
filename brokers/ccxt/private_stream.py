"""
The private stream: every message as it comes off the wire, and a new dial whenever it is gone.

ccxt answers one who asks for orders; here it is asked only so that it keeps the connection, and
what it hands over is not looked at. Each raw message is taken before ccxt has seen it.

A venue may have none after all: one that leads elsewhere is never dialled, and one that is refused
by name (404) or has not come up once after a while counts as absent. That is said once, and fills
are then only asked for. A stream that was up and is gone is another matter: it is waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import anyio

from brokers.ccxt.address import VenueClock
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.errors import UNREADABLE, LeftElsewhere
from brokers.ccxt.limits import (
    LOOK_S,
    RAW_WAITING_MAX,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    STREAM_WAIT_S,
)
from brokers.ccxt.stream import says
from state.crashpoints import passing

NO_SUCH_STREAM = frozenset({"404", "405", "501"})
"""How a server that has no such stream answers a dial."""


class PrivateStream:
    """
    One private stream.

    ``hear`` takes each message, in order. ``is_new`` is called when the stream has come up, and
    when messages had to be dropped or could not be read: what happened meanwhile is not told again.
    ``trouble`` takes a text when it is gone, or says what cannot be read.
    """

    def __init__(
        self,
        client: CcxtClient,
        clock: VenueClock,
        hear: Callable[[Any], object],
        is_new: Callable[[], object],
        trouble: Callable[[str], object],
    ) -> None:
        """Take what comes from ``client``; nothing is dialled yet."""
        self._client = client
        self._clock = clock
        self._hear = hear
        self._is_new = is_new
        self._trouble = trouble
        self._waiting: deque[Any] = deque()  # seam: bounded by RAW_WAITING_MAX in _take
        self._came = anyio.Event()
        self.up = False
        self._was_up = False
        self._is_refused = False
        self._began_s: float | None = None
        self.exists = client.row.private_stream and bool(client.exchange.has.get("watchOrders"))
        client.on_message, client.on_stream = self._take, self._is

    def __len__(self) -> int:
        """Return how many messages have not been read."""
        return len(self._waiting)

    async def ready(self, waiting: Callable[[], object] = lambda: None) -> bool:
        """
        Return whether it is up, or need not be, having waited for a while.

        ``waiting`` is called whenever it was looked in vain; what it raises ends the wait.
        """
        until_s = self._clock.monotonic_s() + STREAM_WAIT_S
        while self.exists and not self.up and self._clock.monotonic_s() < until_s:
            if self._is_absent:
                return True
            waiting()
            await self._clock.sleep_s(LOOK_S)
        return self.up or not self.exists or self._is_absent

    @property
    def _is_absent(self) -> bool:
        """Return whether it has not come up once in the time that it is given."""
        if self._was_up or self._began_s is None:
            return False
        return self._is_refused or self._clock.monotonic_s() - self._began_s >= STREAM_WAIT_S

    async def read(self) -> None:
        """Hand on what comes, until cancelled."""
        while True:
            while self._waiting:
                message = self._waiting[0]
                if says(message, self._client.row.key_expired_words):
                    self._client.redial("the key of the private stream has expired")
                self._take_in(message)
                self._waiting.popleft()
            self._came = anyio.Event()
            await self._came.wait()

    def _take_in(self, message: Any) -> None:
        """Hand on one message; one that cannot be read is as good as lost."""
        try:
            self._hear(message)
        except UNREADABLE as error:
            self._trouble(f"private stream: a message that cannot be read: {error!r}")
            self._is_new()

    async def keep(self) -> None:
        """Keep the stream up, until cancelled."""
        wait_s = RETRY_FIRST_S
        self._began_s = self._clock.monotonic_s()
        said: list[bool] = []
        while self.exists:
            was_up = False
            try:
                await self._client.exchange.watch_orders()
                wait_s = RETRY_FIRST_S
                continue
            except LeftElsewhere as left:
                self.exists = False
                self._trouble(f"private stream: {left}; fills are asked for")
                return
            except Exception as error:  # noqa: BLE001 - whatever it was, it is dialled anew
                was_up = self.up
                self._is_refused = self._is_refused or _is_refusal(error)
                self._say(error, said)
            self.up = False
            self._client.repair_stream()
            wait_s = RETRY_FIRST_S if was_up else min(2 * wait_s, RETRY_MAX_S)
            await self._clock.sleep_s(wait_s)

    def _say(self, error: Exception, said: list[bool]) -> None:
        """Tell of a failed dial; before the stream was ever up only what is new of it."""
        absent = self._is_absent
        if self._was_up or absent not in said:
            said.append(absent)
            rest = "; it has never come up: fills are asked for" if absent else ""
            self._trouble(f"private stream: {type(error).__name__}: {error}{rest}")

    def _take(self, message: Any) -> None:
        """Keep a message; called by ccxt, which must not see us fail."""
        passing("stream.came")
        if len(self._waiting) >= RAW_WAITING_MAX:
            self._is_new()
            return
        self._waiting.append(message)
        self._came.set()

    def _is(self, up: bool) -> None:  # noqa: FBT001 - ccxt's callback has one word for each
        self.up = up
        if up:
            self._was_up = True
            self._is_new()


def _is_refusal(error: Exception) -> bool:
    """Return whether a server has answered a dial, and has no such stream."""
    told = error.args[0] if error.args else None
    return str(told)[:3] in NO_SUCH_STREAM
