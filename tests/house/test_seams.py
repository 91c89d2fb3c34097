"""The seams lint: each rule fires, each excuse needs its reason, and the product is clean."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

BROKEN = {
    "the wall clock": ("clock", "import time\nnow = time.time()"),
    "the wall clock under another name": ("clock", "from time import time_ns as now\nnow()"),
    "a clock as a default": ("clock", "import time\ndef f(clock=time.monotonic): ..."),
    "a stopwatch": ("clock", "import time\ntime.perf_counter()"),
    "today": ("clock", "import datetime as dt\ndt.date.today()"),
    "now": ("clock", "from datetime import datetime, UTC\ndatetime.now(UTC)"),
    "utcnow": ("clock", "import datetime\ndatetime.datetime.utcnow()"),
    "a blocking sleep": ("timer", "import time\ntime.sleep(1)"),
    "an asyncio sleep": ("timer", "from asyncio import sleep\nasync def f(): await sleep(1)"),
    "an anyio sleep": ("timer", "import anyio\nasync def f(): await anyio.sleep(1)"),
    "a timer of the loop": ("timer", "def f(loop): loop.call_later(1, print)"),
    "the loop's own time": ("timer", "import asyncio\nasyncio.get_running_loop().time()"),
    "an asyncio timeout": ("timer", "import asyncio\nasyncio.timeout(1)"),
    "the global generator": ("chance", "import random\nrandom.random()"),
    "a generator of one's own": ("chance", "from random import Random\nRandom(1)"),
    "numpy's generator": ("chance", "import numpy as np\nnp.random.default_rng(1)"),
    "secrets": ("chance", "import secrets\nsecrets.token_hex()"),
    "a random uuid": ("chance", "from uuid import uuid4\nuuid4()"),
    "a uuid of this machine": ("chance", "import uuid\nuuid.uuid1()"),
    "entropy": ("chance", "import os\nos.urandom(8)"),
    "a bare task": ("task", "import asyncio\nasyncio.create_task(f())"),
    "a future made sure of": ("task", "import asyncio\nasyncio.ensure_future(f())"),
    "a task of the loop": ("task", "import asyncio\nasyncio.get_running_loop().create_task(f())"),
    "wait_for": ("wait_for", "import asyncio\nasync def g(): await asyncio.wait_for(f(), 1)"),
    "except: pass": ("swallow", "try:\n    f()\nexcept:\n    pass"),
    "except Exception: pass": ("swallow", "try:\n    f()\nexcept Exception:\n    pass"),
    "except OSError: ...": ("swallow", "try:\n    f()\nexcept OSError:\n    ..."),
    "a bare except": ("swallow", "try:\n    f()\nexcept:\n    log()"),
    "BaseException kept": ("swallow", "try:\n    f()\nexcept BaseException:\n    log()"),
    "suppress(Exception)": ("swallow", "from contextlib import suppress\nsuppress(Exception)"),
    "an unbounded queue": ("queue", "import asyncio\nasyncio.Queue()"),
    "a queue of size 0": ("queue", "from queue import Queue\nQueue(maxsize=0)"),
    "a queue without a size": ("queue", "import queue\nqueue.SimpleQueue()"),
    "a deque as a queue": (
        "queue",
        "from collections import deque\nwaiting = deque()\nwaiting.popleft()",
    ),
    "an endless stream": (
        "queue",
        "import anyio, math\nanyio.create_memory_object_stream(math.inf)",
    ),
    "print": ("print", "print('here')"),
    "a float sum": ("sum", "def mean(closes): return sum(closes) / len(closes)"),
}

SOUND = {
    "a clock that is handed in": "def f(clock): return clock.time()",
    "a timer of our own clock": "def f(clock): clock.call_at(1, done, name)",
    "a method of the same name": "def f(desk): return desk.sleep()",
    "a task of a group": "async def f(group): group.create_task(g())",
    "a handler that counts": "try:\n    f()\nexcept OSError:\n    failures += 1",
    "a cleanup that raises again": "try:\n    f()\nexcept BaseException:\n    undo()\n    raise",
    "a bounded queue": "import asyncio\nasyncio.Queue(8)",
    "a bounded deque": "from collections import deque\ndeque(maxlen=8).popleft()",
    "a deque that is no queue": "from collections import deque\nseen = deque()\nseen.append(1)",
    "a count": "sum(1 for bar in bars)",
    "an exact sum": "import math\nmath.fsum(closes)",
    "a date by value": "import datetime\ndatetime.date(2024, 12, 1)",
}


@pytest.fixture(scope="module")
def seams() -> ModuleType:
    """Return the lint, which lives outside every package."""
    spec = importlib.util.spec_from_file_location("seams", ROOT / ".ci" / "seams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["seams"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("rule", "source"), BROKEN.values(), ids=BROKEN)
def test_what_reaches_past_a_seam_is_found(seams: ModuleType, rule: str, source: str) -> None:
    """Each way around a seam is one finding, under the rule's own name."""
    found = [finding.rule for finding in seams.read(source, "strategies/example.py")]

    assert found == [rule]


@pytest.mark.parametrize("source", SOUND.values(), ids=SOUND)
def test_what_keeps_to_the_seams_is_let_be(seams: ModuleType, source: str) -> None:
    """Code that looks alike and is sound is no finding."""
    assert seams.read(source, "strategies/example.py") == []


def test_the_command_line_may_print(seams: ModuleType) -> None:
    """Only the front door writes to stdout."""
    assert seams.read("print('done')", "tidegate/cli.py") == []


def test_a_marker_with_a_reason_excuses_its_line(seams: ModuleType) -> None:
    """The reason stands where the exception is."""
    source = "import time\nstarted = time.time()  # seam: only shown, never decided on"

    assert seams.read(source, "actors/example.py") == []


def test_a_marker_without_a_reason_excuses_nothing(seams: ModuleType) -> None:
    """Neither the line nor the marker passes."""
    source = "import time\nstarted = time.time()  # seam:"

    found = [finding.rule for finding in seams.read(source, "actors/example.py")]

    assert sorted(found) == ["clock", "marker"]


def test_a_marker_that_excuses_nothing_is_found(seams: ModuleType) -> None:
    """An excuse that outlived its cause goes."""
    found = [finding.rule for finding in seams.read("x = 1  # seam: once", "actors/example.py")]

    assert found == ["marker"]


def test_an_allowance_counts_only_for_its_module_and_rule(seams: ModuleType) -> None:
    """The module whose business it is may do it, no other, and nothing besides."""
    sleep = "import time\ntime.monotonic()\ntime.sleep(1)"
    chance = "import os\nos.urandom(8)"

    assert seams.read(sleep, "actors/runtime/clock.py") == []
    assert len(seams.read(sleep, "actors/runtime/cell.py")) == 2
    assert "chance" in {found.rule for found in seams.read(chance, "actors/runtime/clock.py")}


def test_an_allowance_that_is_not_used_is_found(seams: ModuleType) -> None:
    """The list of exceptions stays as short as it can be."""
    found = [finding.what for finding in seams.read("", "actors/runtime/entropy.py")]

    assert found == ["ALLOWED grants 'chance', which is not used"]


def test_every_allowance_names_a_module_that_exists(seams: ModuleType) -> None:
    """No exception is granted to a file that has gone."""
    gone = [path for path in seams.ALLOWED if not (ROOT / path).is_file()]

    assert gone == []


def test_the_product_keeps_to_its_seams(
    seams: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """No package reaches for time, chance, tasks or endless queues past their module."""
    status = seams.main([])

    assert status == 0, capsys.readouterr().out
