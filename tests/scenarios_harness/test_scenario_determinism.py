"""The same file gives the same events: under either dispatcher, in any process, every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rehearsal import BTC, opens, reduces, rehearse

from scenarios.runner import run_scenario

ROOT = Path(__file__).resolve().parents[2]

BUSY: dict[str, Any] = {
    "script": [
        {"every": 3, "do": "open", "side": "buy", "quantity": "1", "tag": "x"},
        reduces(7, "out"),
        {"on": "refusal", "do": "resubmit", "times": 3},
        {"on": "update", "event": "cancelled", "do": "open", "side": "buy", "quantity": "1"},
        {"bar": 11, "do": "raise", "error": "boom"},
        {"bar": 14, "do": "nonsense", "what": "text"},
    ],
    "steps": [
        {"at": "2m", "venue": {"fault": "split_fills", "parts": 3}},
        {"at": "5m", "venue": {"fault": "lose_answers", "count": 1}},
        {"at": "8m30s", "command": {"verb": "pause", "for": "2m"}},
        {"at": "12m30s", "crash": {"actor": "execution", "on": "ApprovedOpen"}},
        {"at": "16m30s", "silence": {"for": "3m"}},
        {"at": "21m30s", "power_cut": {}},
        {"at": "27m30s", "command": {"verb": "kill", "flatten": True}},
    ],
    "market": {BTC: {"walk": {"bars": 40, "step_bps": 100}}},
    "feed": {"stale_after_s": 60},
    "health": {},
}


def test_the_story_is_the_same_under_both_dispatchers() -> None:
    """Byte by byte, in a session in which everything happens."""
    fused, queued = rehearse(**BUSY), rehearse(**BUSY, queued=True)

    assert fused.timeline == queued.timeline
    assert fused.story == queued.story
    assert len(fused.outcomes) == 2


def test_the_seed_alone_makes_the_market() -> None:
    """The same seed the same prices; another seed others."""
    market = {BTC: {"walk": {"bars": 20, "step_bps": 100}}}
    script = [opens(2, "a")]

    stories = [rehearse(script, market=market, session={"seed": seed}).story for seed in (1, 1, 2)]

    assert stories[0] == stories[1]
    assert stories[0] != stories[2]


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_tells_the_same_story(hash_seed: str) -> None:
    """Whatever PYTHONHASHSEED and the working directory are."""
    path = ROOT / "scenarios" / "kill" / "survives_a_power_cut.scenario.json"
    program = (
        "import hashlib, sys; from scenarios.runner import run_scenario; "
        "print(hashlib.sha256(run_scenario(sys.argv[1]).story).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}

    there = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
        env=environment,
    ).stdout.strip()

    assert hashlib.sha256(run_scenario(path).story).hexdigest() == there


def test_a_day_takes_less_than_a_second() -> None:
    """Virtual time: 1,440 minutes with an order every ten."""
    script = [{"every": 10, "do": "open", "side": "buy", "quantity": "0.01"}]

    result = rehearse(script, bars=1440)

    assert result.virtual_ms == 86_400_000
    assert result.wall_ms < 1000
