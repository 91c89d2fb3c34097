"""
A paper session over a fixed market, to be told by the environment where to die.

    TIDEGATE_CRASH_AT=POINT:N python crash_child.py FOLDER

It buys and sells at every bar, is stopped, resumed and in the end killed by its operator, and keeps
two states. What it was promised it writes to ``FOLDER/promised``, a line each and at once: ``sent
ORDER_ID`` when an order is with the broker, ``durable SEQ`` when a commit has returned, the verb of
a command when it is acknowledged, ``end`` at the end.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "runtime")]

import anyio  # noqa: E402
from session_world import BTC, Script, Scripted, instruments_of, make_spec, walk  # noqa: E402

from actors.commands import Request  # noqa: E402
from actors.inbox import Inbox  # noqa: E402
from actors.session import run_paper  # noqa: E402
from actors.spec import SessionSpec  # noqa: E402
from actors.turns import Session  # noqa: E402
from feeds.memory import MemoryFeed  # noqa: E402
from messages import Bar, CommandVerb, Side  # noqa: E402
from state.journal import durable  # noqa: E402

BARS = 14
COMMANDS = {3: CommandVerb.STOP_NEW_ORDERS, 5: CommandVerb.RESUME, 11: CommandVerb.KILL}
"""What the operator does after which bar."""

SESSION = "paper-crash-abc"


def spec_of(runs: Path) -> SessionSpec:
    """Return the session: one strategy that trades at every bar."""
    script = Script()

    def decide(strategy: Scripted, bar: Bar) -> Any:
        side = Side.SELL if strategy.desk.position(BTC) else Side.BUY
        return [strategy.desk.open(bar.symbol, side, Decimal(1))]

    script.on_bar = decide
    feed = MemoryFeed({BTC: walk(BTC, BARS, 5)})
    instruments = instruments_of((BTC,), Decimal(10))
    spec = make_spec(feed, script.spec(), instruments=instruments)
    return replace(spec, mode="paper", runs_dir=runs, session_id=SESSION)


def main(folder: Path) -> None:
    """Run it."""
    promised = os.open(folder / "promised", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(words: str) -> None:
        os.write(promised, f"{words}\n".encode())

    durable.CHECKPOINT_PAGES = durable.CHECKPOINT_PAGES_LATEST = 8  # often, for a short session
    inbox = Inbox()

    def opened(session: Session) -> None:
        journal, broker = session.journal, session.assembly.broker
        assert isinstance(journal, durable.DurableJournal)
        commit, submit = journal.commit, broker.submit

        async def committed() -> int:
            seq = await commit()
            say(f"durable {seq}")
            return seq

        def submitted(request: Any, now: int) -> None:
            submit(request, now)
            say(f"sent {request.order_id}")

        journal.commit = committed  # type: ignore[method-assign]
        broker.submit = submitted  # type: ignore[method-assign]
        journal.keep(
            lambda: {
                "seq": b"%d" % journal.seq,
                "cash": str(session.assembly.books.ledger).encode(),
            }
        )

    def progressed(bars: int) -> None:
        verb = COMMANDS.get(bars)
        if verb is not None:
            future = inbox.submit(Request(verb=verb, by="child", reason="drill"))
            future.add_done_callback(lambda _: say(verb.value))

    async def session() -> None:
        await run_paper(
            spec_of(folder / "runs"), speed=0, inbox=inbox, on_open=opened, on_progress=progressed
        )

    anyio.run(session)
    say("end")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
