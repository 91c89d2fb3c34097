"""What systemd is told: ready, alive while work is done, stopping."""

from __future__ import annotations

import os
import socket
from itertools import count
from pathlib import Path

import anyio
import pytest
from control_house import Running, Stuck, running
from session_world import Script

from tidegate.control.app import Plane
from tidegate.control.systemd import READY, WATCHDOG, Systemd
from tidegate.control.watch import Watch


def heard(receiver: socket.socket) -> str:
    return receiver.recv(256).decode()


def test_words_are_one_datagram_to_whoever_listens(datagrams: socket.socket) -> None:
    """As sd_notify has it."""
    said = Systemd({"NOTIFY_SOCKET": datagrams.getsockname()}).say("READY=1", "STATUS=x")

    assert said
    assert "READY=1\nSTATUS=x" == heard(datagrams)


def test_an_abstract_address_is_understood() -> None:
    """systemd writes its first byte, a zero, as @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0tidegate-test-{os.getpid()}")

        assert Systemd({"NOTIFY_SOCKET": f"@tidegate-test-{os.getpid()}"}).say(READY)
        assert READY == heard(receiver)


def test_without_systemd_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    """Nobody listens, or somebody who has gone."""
    assert not Systemd({}).say(READY)
    assert not Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).say(READY)


def test_the_watchdog_s_time_is_ours_only_if_it_is_meant_for_us() -> None:
    """A child of a service must not answer for it."""
    ours = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "2000000"}

    assert 2.0 == Systemd(ours).watchdog_s
    assert 2.0 == Systemd({**ours, "WATCHDOG_PID": str(os.getpid())}).watchdog_s
    assert Systemd({**ours, "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Systemd({**ours, "WATCHDOG_USEC": "soon"}).watchdog_s is None
    assert Systemd({"NOTIFY_SOCKET": "/n"}).watchdog_s is None


def watched(plane: Plane, receiver: socket.socket) -> Watch:
    environ = {"NOTIFY_SOCKET": receiver.getsockname(), "WATCHDOG_USEC": "1000000"}
    seconds = count()
    return Watch(plane, Systemd(environ), now_s=lambda: float(next(seconds)))


def test_systemd_hears_that_the_session_is_there_and_works(
    house: Running, datagrams: socket.socket
) -> None:
    """READY once there is a session; the watchdog's word while it works in time."""
    watch = watched(house.plane_of_its_own(), datagrams)

    async def ticks() -> None:
        await watch.tick()
        await watch.tick()

    anyio.run(ticks)

    assert [READY, WATCHDOG, WATCHDOG] == [heard(datagrams) for _ in range(3)]


@pytest.mark.usefixtures("in_time")
def test_the_watchdog_is_not_told_while_the_session_is_stuck(
    tmp_path: Path, datagrams: socket.socket
) -> None:
    """The loop of the control plane turns all the while: that is not what counts."""
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=600.0) as house:
        stuck.wait_for(house)
        watch = watched(house.plane_of_its_own(), datagrams)
        anyio.run(watch.tick)
        stuck.release()

        assert READY == heard(datagrams)
        datagrams.setblocking(False)
        assert not readable(datagrams)


def readable(receiver: socket.socket) -> bool:
    try:
        receiver.recv(256)
    except BlockingIOError:
        return False
    return True
