"""What holds for every test: no network beyond loopback, and properties that can be replayed."""

from __future__ import annotations

import os

import pytest
import pytest_socket
from hypothesis import HealthCheck, settings

# Deadlines would measure the machine. A failure prints what replays it; in CI the examples are
# a function of the test alone, so a red build is red again.
settings.register_profile(
    "tidegate",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("tidegate"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "tidegate")


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse, in this process, every connection that leaves the machine."""
    del item
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
