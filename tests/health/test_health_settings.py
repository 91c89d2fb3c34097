"""``[health]`` and ``feed.stale_after_s``: what is in force, where, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actors.health import CircuitRules, HealthPlan, MachineVitals, VitalRules, plan_of
from actors.session import run_replay
from actors.settings import HealthSettings
from state.manifest import load_manifest
from tidegate.compose import compose, is_watched
from tidegate.config import Configuration, load
from tidegate.logs import SessionLog
from tidegate.running import session_spec
from tidegate.verification import session_again

MINIMAL = """
[universe]
symbols = ["BTC/USDT"]
[feed.synthetic]
bars = 30
[[strategies]]
name = "sma"
use = "sma_cross"
"""


def configured(tmp_path: Path, mode: str, more: str = "") -> Configuration:
    file = tmp_path / "t.toml"
    file.write_text(f'[session]\nmode = "{mode}"\ndir = "{tmp_path / "runs"}"\n{MINIMAL}{more}')
    return load([file], environ={})


def test_the_defaults_are_those_that_the_reference_shows():
    """Settings without a word become the plan without a word."""
    assert HealthPlan() == plan_of(HealthSettings(), stale_after_s=90.0)


def test_settings_become_milliseconds_and_bytes():
    """Every key arrives where it belongs."""
    settings = HealthSettings(
        failure_streak=7,
        success_streak=3,
        pause_s=1.5,
        pause_growth=3,
        pause_max_s=60,
        rate_limit_pause_s=2,
        probe_timeout_s=4,
        check_every_s=0.5,
        min_free_mb=12,
        max_clock_offset_ms=77,
        stalls_per_minute=2,
    )

    expected = HealthPlan(
        CircuitRules(7, 3, 1_500, 3.0, 60_000, 2_000, 500, 60_000),
        45_000,
        VitalRules(12_000_000, 77, 2),
        None,
        500,
        4_000,
        True,
    )
    assert expected == plan_of(settings, stale_after_s=45, reconnect=True)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pause_s": 60, "pause_max_s": 59}, "pause_max_s is 59.0, expected at least pause_s"),
        ({"pause_growth": 0.9}, "greater than or equal to 1"),
        ({"failure_streak": 0}, "greater than 0"),
        ({"pause_s": float("inf")}, "finite"),
        ({"min_free_mb": -1}, "greater than or equal to 0"),
        ({"nonsense": 1}, "Extra inputs are not permitted"),
    ],
)
def test_figures_that_cannot_work_are_refused(values: dict[str, Any], words: str):
    """Each by its own name."""
    with pytest.raises(ValidationError, match=words):
        HealthSettings(**values)


@pytest.mark.parametrize(
    ("mode", "more", "watched"),
    [
        ("replay", "", False),
        ("replay", "[health]\nfailure_streak = 4\n", True),
        ("paper", "", True),
    ],
)
def test_a_replay_is_watched_only_when_told_to(tmp_path: Path, mode: str, more: str, watched: bool):
    """`trade` always is."""
    parts = compose(configured(tmp_path, mode, more))

    assert watched is (parts.health is not None)


def test_an_age_limit_alone_makes_a_replay_watched(tmp_path: Path):
    """As the environment gives it, here."""
    file = tmp_path / "t.toml"
    file.write_text(f'[session]\nmode = "replay"\n{MINIMAL}')
    told = load([file], environ={"TIDEGATE_FEED__STALE_AFTER_S": "45"})

    assert is_watched(told)
    health = compose(told).health
    assert health is not None
    assert 45_000 == health.stale_after_ms


def test_an_unwatched_session_does_not_depend_on_figures_nobody_uses(tmp_path: Path):
    """Its manifest leaves them out, so that a changed default does not change its id."""
    unwatched = compose(configured(tmp_path, "replay")).config
    watched = compose(configured(tmp_path, "replay", "[health]\npause_s = 10\n")).config

    assert "health" not in unwatched
    assert "stale_after_s" not in unwatched["feed"]
    assert (10.0, 90.0) == (watched["health"]["pause_s"], watched["feed"]["stale_after_s"])


@pytest.mark.parametrize("more", ["", "[health]\npause_s = 10\n"])
def test_a_session_run_again_is_watched_as_it_was(tmp_path: Path, more: str):
    """By the figures in its manifest."""
    configuration = configured(tmp_path, "replay", more)
    parts = compose(configuration)
    spec = session_spec(configuration, parts, SessionLog())
    result = run_replay(replace(spec, sinks=()))

    assert parts.health == session_again(load_manifest(result.out / "manifest.json")).health


def test_looks_at_the_machine_are_paced_by_the_machine(tmp_path: Path):
    """Sixty times faster than real, a look every five real seconds is one in 300 of the session."""
    vitals = MachineVitals(tmp_path, lambda: 0)

    assert 300_000 == HealthPlan().on_machine(vitals, 60.0).check_every_ms
    assert 5_000 == HealthPlan().on_machine(vitals, 0.5).check_every_ms
    assert 18_000_000 == HealthPlan().on_machine(vitals, 0.0).check_every_ms


def test_every_key_of_the_section_says_what_it_means():
    """The reference page is made from these."""
    assert all(field.description for field in HealthSettings.model_fields.values())
    assert 10.0 == HealthSettings().handler_timeout_s
