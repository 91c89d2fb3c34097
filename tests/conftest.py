"""What holds for every test: no network beyond loopback, and properties that can be replayed."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Generator
from decimal import ROUND_HALF_EVEN, getcontext
from pathlib import Path

import pytest
import pytest_socket
import structlog
from hypothesis import HealthCheck, settings

from state.money import EXACT

sys.path.append(str(Path(__file__).parent / "projections"))

import forked_writers

forked_writers.use()

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


RARELY = (10_000, 20, 20)
"""When a collection of garbage comes by itself between tests."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """
    Have the garbage collector never look again at what was imported and collected.

    All tests of the suite and all that they import are millions of objects which stay. Every
    simulation begins with a full collection: it would walk through all of them each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*RARELY)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Begin with the files of few tests, which are long ones: at the end nobody is alone with them.

    xdist would begin with those of the most.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (tests[item.path], item.path))


def pytest_runtest_logstart() -> None:
    """Let no test log as another one, or a module that it imported, has asked for."""
    structlog.reset_defaults()


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse, in this process, every connection that leaves the machine."""
    del item
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str) -> None:
    """Name the test whose process is gone at once: a run that is cut off says it nowhere else."""
    sys.stderr.write(f"\n{crashitem}: its process is gone\n")


_EXACT = repr(EXACT)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Refuse what has changed how every other test would calculate: ccxt's rounding does."""
    assert _EXACT.partition(", flags=")[0] == repr(EXACT).partition(", flags=")[0], item.nodeid
    assert ROUND_HALF_EVEN == getcontext().rounding, f"{item.nodeid} has changed our rounding"
