"""
A paper session that is killed by its operator, and by ``kill -9`` at a chosen moment.

    python killed_child.py RUNS MOMENT|restart|stuck

Says on standard output what is true by then, line by line: ``open``, ``sent`` (orders leave),
``submitting``, ``latched`` (``submit`` has returned), ``acknowledged``. ``MOMENT`` is one of
``MOMENTS``; ``never`` waits for whoever started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "runtime")]

import anyio  # noqa: E402
from session_world import BTC, Script, flat, make_spec  # noqa: E402

from actors.commands import Request  # noqa: E402
from actors.inbox import Inbox  # noqa: E402
from actors.runtime import Dispatcher, Supervisor  # noqa: E402
from actors.runtime.interrupt import Interrupter  # noqa: E402
from actors.sentinel import Sentinel  # noqa: E402
from actors.session import run_paper  # noqa: E402
from actors.turns import Session  # noqa: E402
from feeds.memory import MemoryFeed  # noqa: E402
from messages import CommandVerb, ExecutionPolicy, OrderType, Side  # noqa: E402
from state import atomic  # noqa: E402
from state.register import HoldRegister  # noqa: E402

FAR = ExecutionPolicy(order_type=OrderType.LIMIT, limit_price=Decimal(50))
MOMENTS = (
    "before it is handed over",
    "handed over",
    "the new file is written",
    "the new file is synced",
    "renamed",
    "latched",
    "in force",
    "the session has written",
    "acknowledged",
    "never",
)
STUCK = "stuck"
"""No moment: a strategy gets stuck where nothing can stop it, and the kill file is watched."""


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def say(word: str) -> None:
    """Tell who started this, at once."""
    os.write(1, f"{word}\n".encode())


def around(owner: Any, name: str, *, before: bool, when: Callable[..., bool]) -> None:
    """Die before or after ``owner.name`` is called, where ``when`` says so of the call."""
    call = getattr(owner, name)

    def called(*given: Any, **named: Any) -> Any:
        if before and when(*given, **named):
            die()
        found = call(*given, **named)
        if not before and when(*given, **named):
            die()
        return found

    setattr(owner, name, called)


def arm(moment: str) -> None:
    """Let the process die at ``moment``."""
    kept = threading.current_thread
    # The killer's thread latches; the session's own writes come from others.
    match moment:
        case "before it is handed over":
            around(Inbox, "hand_over", before=True, when=lambda *_: True)
        case "handed over":
            around(Inbox, "latch", before=True, when=lambda *_: True)
        case "the new file is written":
            around(atomic.os, "fsync", before=True, when=lambda _fd: kept().name == "killer")
        case "the new file is synced":
            around(atomic.os, "fsync", before=False, when=lambda _fd: kept().name == "killer")
        case "renamed":
            around(atomic, "sync_folder", before=True, when=lambda _p: kept().name == "killer")
        case "latched":
            around(Inbox, "latch", before=False, when=lambda *_: True)
        case "in force":
            around(
                Supervisor,
                "hold_open",
                before=False,
                when=lambda _self, hold_id, *_args, **_terms: hold_id == "kill",
            )
        case "the session has written":
            around(
                HoldRegister,
                "replace",
                before=False,
                when=lambda _self, holds, *_: "kill" in holds,
            )


def out_of_reach(strategy: Any) -> None:
    """Loop in C, calling our own code: there is no place where it could be stopped."""
    say("stuck")
    deque(map(strategy.desk.position, repeat(BTC)), maxlen=0)


def watched(inbox: Inbox, kill_file: Path) -> None:
    """Let the sentinel watch, as around a daemon's session."""
    interrupter = Interrupter(Dispatcher.handler_calls(), Dispatcher.handler_passages())
    interrupter.install()
    Sentinel(inbox, interrupter, kill_file=kill_file).start()


def main() -> None:
    """Run it."""
    runs, moment = Path(sys.argv[1]), sys.argv[2]
    script = Script()
    script.on_bar = lambda strategy, _bar: [
        strategy.desk.open(BTC, Side.BUY, Decimal(1), policy=FAR)
    ]
    spec = replace(
        make_spec(MemoryFeed({BTC: flat(BTC, 100_000)}), script.spec()), mode="paper", runs_dir=runs
    )
    inbox = Inbox()
    if moment == STUCK:
        calm = script.on_bar
        script.on_bar = lambda strategy, bar: (
            calm(strategy, bar) if len(script.seen) < 5 else out_of_reach(strategy)
        )
        watched(inbox, runs / "KILL")
    sent = threading.Event()

    def kill() -> None:
        sent.wait()
        say("submitting")
        arm(moment)
        future = inbox.submit(Request(verb=CommandVerb.KILL, by="child", reason="drill"))
        say("latched")
        answer = future.result()
        assert answer.durable, answer.text
        say("acknowledged")
        if moment == "acknowledged":
            die()

    def opened(session: Session) -> None:
        say("open " + ",".join(session.assembly.holds.view()))
        submit = session.assembly.broker.submit
        left: list[str] = []

        def seen(request: Any, now: int) -> None:
            submit(request, now)
            left.append(request.order_id)
            if len(left) == 3:
                say("sent")
                sent.set()

        session.assembly.broker.submit = seen  # type: ignore[method-assign]
        if moment in MOMENTS:
            threading.Thread(target=kill, name="killer", daemon=True).start()

    async def session() -> None:
        await run_paper(
            spec,
            speed=60_000.0,
            inbox=inbox,
            on_open=opened,
            on_progress=lambda bars: say(f"bar {bars}") if bars == 20 else None,
        )

    anyio.run(session)


if __name__ == "__main__":
    main()
