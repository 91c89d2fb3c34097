"""Standard streams that are closed: the exit code is that of what was done all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def code(closed: str, *arguments: str) -> int:
    """Return the exit code of a command whose streams are ``closed``, in the words of a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "tidegate", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    ).returncode


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nonsense",), 2),
        (("trade", "--resume"), 2),
        (("status",), 1),
        (("version",), 0),
        (("replay", "--data", "fixture:crypto", "--strategy", "sma_cross", "--out", "out"), 0),
    ],
    ids=["usage", "resume", "status", "version", "replay"],
)
def test_a_closed_stream_changes_no_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    closed: str,
    arguments: tuple[str, ...],
    expected: int,
) -> None:
    """Nobody can be told, and the code says it alone."""
    monkeypatch.chdir(tmp_path)

    assert expected == code(closed, *arguments)


def test_no_file_gets_the_number_of_a_closed_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what is said to it would be in the journal, or the log."""
    monkeypatch.chdir(tmp_path)
    look = (
        "import sys, os; from tidegate.__main__ import open_streams; open_streams(); "
        "print('said', file=sys.stderr, flush=True); file = open('journal', 'w'); "
        "sys.exit(0 if file.fileno() > 2 and not sys.stderr.fileno() - 2 else 7)"
    )
    found = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", look],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )

    assert 0 == found.returncode
    assert "" == Path("journal").read_text()
