"""The suite cannot reach anything but this machine."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest
import pytest_socket
import uvloop

# An address that is reserved for documentation: nobody answers there.
ELSEWHERE = ("192.0.2.1", 9)
IN_A_NAMESPACE = pytest.mark.skipif(
    os.environ.get("TIDEGATE_SEALED") != "namespace",
    reason="only a network namespace holds back uvloop and child processes (.ci/sealed.py)",
)


def test_a_connection_beyond_loopback_is_refused() -> None:
    """A test that talks to another machine fails at once and is told why."""
    with socket.socket() as client, pytest.raises(pytest_socket.SocketConnectBlockedError):
        client.connect(ELSEWHERE)


def test_a_connection_on_loopback_is_let_through() -> None:
    """Servers of our own, on this machine, can be talked to."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        client.sendall(b"tide")
        accepted, _ = server.accept()
        with accepted:
            received = accepted.recv(4)

    assert received == b"tide"


@IN_A_NAMESPACE
def test_uvloop_cannot_leave_the_machine() -> None:
    """uvloop makes its own sockets, and they too find no route."""

    async def leave() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, *ELSEWHERE)

    with uvloop_runner() as runner, pytest.raises(OSError, match="unreachable"):
        runner.run(leave())


@IN_A_NAMESPACE
def test_a_child_process_cannot_leave_the_machine() -> None:
    """What a test starts is as sealed as the test."""
    program = f"import socket; socket.create_connection({ELSEWHERE!r}, timeout=5)"

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "unreachable" in ended.stderr


def uvloop_runner() -> asyncio.Runner:
    """Return a runner on a fresh uvloop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
