"""Ctrl-C in the middle of a replay: what there is so far is said, as at the end of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from replays import FILES, WAVES, one_document

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE_S = 120
BARS_SEEN = 50
BARS_DONE = BARS_SEEN - 1
"""The one in whose middle it was."""

IMPATIENT = f"""
import os, signal
from strategies import Strategy, StrategyParams

class Impatient(Strategy):
    seen = 0

    def on_bar(self, bar):
        self.seen += 1
        if self.seen == {BARS_SEEN}:
            os.kill(os.getpid(), signal.SIGINT)
"""
"""A strategy in whose middle somebody presses Ctrl-C."""


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_an_interrupted_replay_says_what_there_is(
    bars: Callable[..., Path], options: list[str]
) -> None:
    """The same table, marked as interrupted, or the same document; and exit code 130."""
    Path("impatient.py").write_text(IMPATIENT)
    data = ["--data", str(bars("a.csv", WAVES)), "--strategy", "impatient.py:Impatient"]
    ended = subprocess.run(
        [sys.executable, "-m", "tidegate", "replay", *data, "--out", "out", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=AT_ONCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    assert 130 == ended.returncode, ended.stderr
    assert "tidegate: interrupted" == ended.stderr.splitlines()[-1]
    if options:
        document = one_document(ended.stdout)
        assert ("interrupted", 130) == (document["outcome"], document["exit_code"])
        assert document["summary"]["bars"] == BARS_DONE
    else:
        first, *rest = ended.stdout.splitlines()
        assert first.endswith(": interrupted")
        assert any(line.split() == ["bars", str(BARS_DONE)] for line in rest)
        assert "out/session.html" in ended.stdout
    assert {path.name for path in Path("out").iterdir()} >= FILES
