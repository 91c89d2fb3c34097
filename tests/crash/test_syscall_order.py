"""System calls in order: an order's record is synced before the order leaves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORTURE = Path(__file__).with_name("torture.py")
WRITE = re.compile(r"^(\d+)\s+(?:\d+\.\d+\s+)?pwrite64\(\d+<[^>]*journal\.sqlite-wal>, \"(.*)")
SYNC = re.compile(r"(?:fdatasync|fsync)\(\d+<[^>]*journal\.sqlite-wal>\)\s+= 0")
SYNC_BEGAN = re.compile(r"^(\d+)\s.*(?:fdatasync|fsync)\(\d+<[^>]*journal\.sqlite-wal>")
SYNC_ENDED = re.compile(r"^(\d+)\s.*<\.\.\. (?:fdatasync|fsync) resumed>.*= 0")
SENT = re.compile(r"sendto\(.*POST /v1/orders .*?client_order_id\\\":\\\"([\w-]+)")
NAME = re.compile(r"tg-abc-[\d-]*\d")


def violations(trace: list[str]) -> tuple[int, list[str]]:
    """Return how many orders left, and those whose record was not written and synced before."""
    written: set[str] = set()
    synced: set[str] = set()
    under_way: dict[str, set[str]] = {}
    sent: list[str] = []
    early: list[str] = []
    for line in trace:
        if found := WRITE.match(line):
            written |= set(NAME.findall(found[2]))
        elif SYNC.search(line):
            synced |= written
        elif found := SYNC_BEGAN.match(line):
            under_way[found[1]] = set(written)
        elif found := SYNC_ENDED.match(line):
            synced |= under_way.pop(found[1], set())
        if found := SENT.search(line):
            sent.append(found[1])
            if found[1] not in synced:
                early.append(found[1])
    return len(sent), early


def traced(folder: Path, *asked: str) -> list[str]:
    """Run one session of the torture under strace; return its system calls."""
    out = folder / "trace"
    calls = "trace=pwrite64,write,fdatasync,fsync,sendto"
    strace = ["strace", "-f", "-y", "-s", "70000", "-e", calls, "-o", str(out)]
    session = [sys.executable, str(TORTURE), "--json", "--workload", "entries"]
    subprocess.run(
        [*strace, *session, "--at", "session.ending:1", *asked],
        capture_output=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return out.read_text("utf-8", "replace").splitlines()


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: the calls cannot be seen"
)


@needs_strace
def test_every_orders_record_is_synced_before_it_leaves(tmp_path: Path) -> None:
    """Its bytes are in the write-ahead log, and that is on the disk, before its request is sent."""
    sent, early = violations(traced(tmp_path))

    assert sent >= 5
    assert [] == early


@needs_strace
def test_without_syncs_the_order_of_calls_is_reported(tmp_path: Path) -> None:
    """With ``PRAGMA synchronous = OFF`` every order leaves before a sync."""
    sent, early = violations(traced(tmp_path, "--without", "sync"))

    assert sent >= 5
    assert sent == len(early)
