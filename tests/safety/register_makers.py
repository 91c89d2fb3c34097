"""Holds, and deaths at each step of a write, for the register of holds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from messages import KILL_HOLD, Hold, HoldMode, Scope
from state import atomic
from state.register import HoldRegister

KILL = Hold(KILL_HOLD, "drill", HoldMode.DRAIN, "cli:ann", 7, latched=True)
STOP = Hold("stop-new-orders", "operator", HoldMode.REFUSE, "cli:ann", 5)
PAUSE = Hold("pause", "lunch", HoldMode.BLOCK, "cli:bob", 6, Scope(symbol="BTC/USDT"), until=9000)


def by_id(*holds: Hold) -> dict[str, Hold]:
    return {hold.hold_id: hold for hold in holds}


def again(register: HoldRegister) -> HoldRegister:
    """Return what a new process has of a register."""
    return HoldRegister(register.path)


class Crash(BaseException):
    """The process is gone: nothing in it may survive."""


@contextmanager
def dying_at(step: str) -> Iterator[None]:
    """Let the process die at one step of a write; what it had written so far stays."""

    def die(*_: Any, **__: Any) -> Any:
        raise Crash(step)

    def die_after(what: Callable[..., object]) -> Callable[..., object]:
        def done(*given: Any) -> None:
            what(*given)
            raise Crash(step)

        return done

    def torn(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)

    with pytest.MonkeyPatch.context() as patch:
        match step:
            case "before":
                patch.setattr(Path, "open", die)
            case "torn":
                patch.setattr(atomic.os, "fsync", die_after(torn))
            case "synced":
                patch.setattr(atomic.os, "fsync", die_after(os.fsync))
            case "not renamed":
                patch.setattr(Path, "replace", die)
            case "renamed":
                patch.setattr(Path, "replace", die_after(Path.replace))
            case _:
                patch.setattr(atomic, "sync_folder", die_after(atomic.sync_folder))
        with pytest.raises(Crash):
            yield


STEPS = ("before", "torn", "synced", "not renamed", "renamed", "done")


@contextmanager
def full_disk() -> Iterator[None]:
    """Let files be made and no content be written, as on a full disk."""
    opened = Path.open

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, _content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_(self: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
        file = opened(self, mode, *given, **named)
        return Full(file) if "w" in mode else file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_)
        yield
