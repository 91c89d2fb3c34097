"""
A session from the first event to the last artifact.

Replay and paper over recorded or synthetic data are the same turns over the same groups of
bars; paper waits between turns until their real time has come, commits to a durable journal,
and listens. Decisions are a function of configuration, data and seed in both.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from actors.assembly import StrategySpec
from actors.runtime import Pacer
from actors.runtime.clock import monotonic_s, wall_ms
from actors.runtime.entropy import session_entropy
from actors.spec import SessionResult, SessionSpec
from actors.turns import Session, SessionError, drive, drive_paced
from feeds.contract import Group

EXIT_DONE = 0
EXIT_FAULT = 6
EXIT_INTERRUPTED = 130


class EmptyFeed(ValueError):
    """There is not one bar in the input."""


def _ignore(_count: int) -> None:
    return None


__all__ = [
    "EXIT_DONE",
    "EXIT_FAULT",
    "EXIT_INTERRUPTED",
    "EmptyFeed",
    "SessionError",
    "SessionResult",
    "SessionSpec",
    "StrategySpec",
]
