"""What the tests of this folder share: an own folder, a running session, systemd's ear."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

HERE = Path(__file__).parent
# Tests are no packages (importmode=importlib), so the modules that they share need a path.
sys.path[:0] = [str(HERE), str(HERE.parent / "runtime")]

from control_house import AT_ONCE, STALL_AFTER_S, Running, running  # noqa: E402

from actors import pulse  # noqa: E402
from tidegate.control import limits  # noqa: E402


def _drop(*_event: object) -> dict[str, object]:
    """Keep events of the control plane's thread out of what a command of the test prints."""
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith(("TIDEGATE_", "NOTIFY_SOCKET", "WATCHDOG_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    structlog.configure(processors=[_drop])
    yield tmp_path
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no session for stuck, and no answer for lost, because the machine has much to do."""
    monkeypatch.setattr(limits, "ASK_S", AT_ONCE)
    monkeypatch.setattr(pulse, "STALL_AFTER_S", AT_ONCE)


@pytest.fixture
def in_time(unhurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a session for stuck as soon as in life: for tests of that."""
    del unhurried
    monkeypatch.setattr(pulse, "STALL_AFTER_S", STALL_AFTER_S)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Running]:
    """Return a session of one strategy that does nothing, at real time, and its control plane."""
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def datagrams(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a socket that receives what is said to systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(AT_ONCE)
        yield receiver
