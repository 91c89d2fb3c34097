"""A private stream that is not there: who asks for it is told so, and how long it is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from ccxt import NetworkError

from brokers.ccxt import private_stream
from brokers.ccxt.address import VenueClock
from brokers.ccxt.capabilities import TABLE
from brokers.ccxt.columns import Capabilities
from brokers.ccxt.errors import LeftElsewhere
from brokers.ccxt.private_stream import PrivateStream

NO_SUCH = NetworkError("404, message='Invalid response status', url='ws://127.0.0.1:1/'")
REFUSED = NetworkError("Cannot connect to host 127.0.0.1:1")


@dataclass
class Time:
    """A clock that goes on only by being slept on."""

    now_s: float = 0.0

    async def sleep(self, delay_s: float) -> None:
        self.now_s += delay_s
        await anyio.lowlevel.checkpoint()


@dataclass
class Exchange:
    """What is asked of ccxt: every dial ends with ``error``, or stays up."""

    error: Exception | None
    has: dict[str, bool] = field(default_factory=lambda: {"watchOrders": True})

    async def watch_orders(self) -> None:
        if self.error is not None:
            raise self.error
        await anyio.sleep_forever()


class Client:
    """The client whose stream it is."""

    def __init__(self, error: Exception | None) -> None:
        self.row: Capabilities = TABLE["okx"]
        self.exchange: Any = Exchange(error)
        self.on_message: Any = None
        self.on_stream: Any = None

    def repair_stream(self) -> None:
        """Do nothing."""


async def dialled(error: Exception | None, was_up: bool) -> tuple[bool, float, list[str]]:
    """Return whether an order may go, after how long, and what was said of the stream."""
    time, said = Time(), list[str]()
    clock = VenueClock(lambda: 0, lambda: time.now_s, time.sleep)
    client: Any = Client(error)
    stream = PrivateStream(client, clock, lambda _each: None, lambda: None, said.append)
    if was_up:
        client.on_stream(True)
        client.on_stream(False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.keep)
        await anyio.lowlevel.checkpoint()
        ready = await stream.ready()
        tasks.cancel_scope.cancel()
    return ready, time.now_s, said


async def test_a_server_without_the_stream_is_not_waited_for() -> None:
    """It has answered: said once, and fills are asked for."""
    ready, waited_s, said = await dialled(NO_SUCH, was_up=False)

    assert ready
    assert waited_s < 1
    assert 1 == len(said)
    assert "404" in said[0]
    assert "it has never come up: fills are asked for" in said[0]


async def test_a_stream_that_leads_elsewhere_is_not_dialled_again() -> None:
    """Its place is named, and orders go at once."""
    ready, waited_s, said = await dialled(LeftElsewhere("urls.api.ws: not this machine"), False)

    assert ready
    assert waited_s < 1
    assert ["private stream: urls.api.ws: not this machine; fills are asked for"] == said


async def test_a_stream_that_never_comes_up_is_waited_for_a_while_and_said_twice() -> None:
    """Once that it fails, once that it counts as absent: circuits are not for this."""
    ready, waited_s, said = await dialled(REFUSED, was_up=False)

    assert ready
    assert private_stream.STREAM_WAIT_S <= waited_s < 2 * private_stream.STREAM_WAIT_S
    assert 1 <= len(said) <= 2


@pytest.mark.parametrize("error", [NO_SUCH, REFUSED])
async def test_a_stream_that_was_up_and_is_gone_holds_back_what_opens(error: Exception) -> None:
    """News may be lost meanwhile: that is another matter than a venue without streams."""
    ready, waited_s, said = await dialled(error, was_up=True)

    assert not ready
    assert private_stream.STREAM_WAIT_S <= waited_s
    assert 1 < len(said)


async def test_a_message_that_cannot_be_read_counts_as_lost() -> None:
    """What comes after it is heard, it is said, and what it may have told is asked for."""
    heard, said, asked = list[int](), list[str](), list[bool]()

    def hear(message: dict[str, int]) -> None:
        heard.append(message["i"])

    client: Any = Client(None)
    clock = VenueClock(lambda: 0, lambda: 0.0, anyio.sleep)
    stream = PrivateStream(client, clock, hear, lambda: asked.append(True), said.append)
    for message in ({"i": 1}, {"o": 2}, {"i": 3}):
        client.on_message(message)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.read)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert [1, 3] == heard
    assert ["private stream: a message that cannot be read: KeyError('i')"] == said
    assert [True] == asked
