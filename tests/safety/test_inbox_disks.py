"""The door for other threads, and a disk that is full or hangs: a kill is in force all the same."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from paper_house import AT_ONCE_S, House, keeps_buying, live_in

from actors.commands import Answer, Request
from messages import CommandVerb, ExecutionReport, KillReport, OrderEvent
from state.register import HoldRegister

KILL = Request(verb=CommandVerb.KILL, by="test", reason="drill")
STOP = Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test")


def test_a_disk_that_takes_nothing_keeps_no_kill_from_being_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In force in memory, and its answer says what the disk does not know."""

    def full(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        with monkeypatch.context() as patch:
            patch.setattr(HoldRegister, "_write", full)
            patch.setattr(HoldRegister, "_mark", full)
            answers.append(house.take(CommandVerb.KILL, reason="drill"))
            house.until(lambda: house.session.assembly.kill.report)

    answers: list[Answer] = []
    house = live_in(tmp_path, keeps_buying(), act=act)

    assert (True, False) == (answers[0].ok, answers[0].durable)
    assert house.all(KillReport)[-1].confirmed
    assert ["kill"] == house.held()


def test_a_disk_that_hangs_keeps_no_kill_from_being_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the bringer's write nor a commit that the session waits for is waited for."""
    disk = threading.Event()
    write = HoldRegister._write

    def hangs(self: HoldRegister, holds: Any) -> None:
        assert disk.wait(AT_ONCE_S)
        write(self, holds)

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        with monkeypatch.context() as patch:
            patch.setattr(HoldRegister, "_write", hangs)
            first = threading.Thread(target=house.inbox.submit, args=(STOP,))
            first.start()  # the session's own write hangs from here on
            house.until(house.in_force)
            second = threading.Thread(target=house.inbox.submit, args=(KILL,))
            second.start()
            house.until(lambda: "kill" in house.in_force())
            disk.set()
            first.join(AT_ONCE_S)
            second.join(AT_ONCE_S)

    house = live_in(tmp_path, keeps_buying(), act=act)

    assert ["stop-new-orders", "kill"] == house.held()


def test_a_commit_that_hangs_keeps_no_kill_from_being_in_force(tmp_path: Path) -> None:
    """While the journal's sync does not return, errands are run; what was to be sent is not."""
    hung = threading.Event()
    disk = threading.Event()

    def opened(house: House) -> None:
        journal: Any = house.session.journal
        commit = journal._commit_batch

        async def slow() -> None:
            if house.session.turns > 3 and not disk.is_set():
                hung.set()
                await asyncio.to_thread(disk.wait, AT_ONCE_S)
            await commit()

        journal._commit_batch = slow

    def act(house: House) -> None:
        assert hung.wait(AT_ONCE_S)
        future = house.inbox.submit(KILL)
        house.until(lambda: "kill" in house.in_force())
        assert not future.done()
        disk.set()
        assert future.result(AT_ONCE_S).durable

    house = live_in(tmp_path, keeps_buying(), act=act, opened=opened)

    reports = [m for m in house.messages() if isinstance(m, ExecutionReport)]
    assert house.all(KillReport)[-1].confirmed
    suppressed = [r for r in reports if r.event is OrderEvent.SUPPRESSED]
    sent = {r.order_id for r in reports if r.event is OrderEvent.SENT}
    assert suppressed
    assert not sent & {r.order_id for r in suppressed}
