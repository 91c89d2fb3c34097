"""manifest.json: what a session was made from, and its id."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages import SCHEMA_VERSION
from state.manifest import (
    Manifest,
    ManifestError,
    SessionStatus,
    StrategySource,
    config_sha256,
    file_sha256,
    live_session_id,
    load_manifest,
    seal,
    simulation_session_id,
    write_manifest,
)

T0 = 1_700_000_000_000
CONFIG = {"session": {"mode": "replay", "seed": 42}, "strategies": [{"name": "sma"}]}
DATA = {"bars.csv@BTC/USDT": "ab" * 32}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def manifest() -> Manifest:
    return Manifest(
        session_id="r-1",
        mode="replay",
        seed=42,
        status=SessionStatus.RUNNING,
        started_at=T0,
        code_version="0.1.0",
        config=CONFIG,
        config_sha256=config_sha256(CONFIG),
        data=DATA,
        strategies=(StrategySource("sma", "sma_cross", "cd" * 32),),
        runtime={"python": "3.11.7"},
    )


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    """Written whole, with every field shown, and read by its own class."""
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())

    assert manifest() == load_manifest(path)
    assert f'"events_schema_version": {SCHEMA_VERSION}' in path.read_text("utf-8")
    assert '"status": "running"' in path.read_text("utf-8")


def test_a_sealed_manifest_tells_how_the_session_ended(tmp_path: Path) -> None:
    """Status, outcome, exit code, facts, and the hash of every artifact; the rest stays."""
    path = tmp_path / "manifest.json"
    write_manifest(path, manifest())
    trades = tmp_path / "trades.csv"
    trades.write_bytes(b"trade_id\n")

    sealed = seal(
        path,
        SessionStatus.ENDED,
        ended_at=T0 + 1,
        outcome="completed",
        exit_code=0,
        artifacts={"trades.csv": file_sha256(trades)},
        facts={"bars": 3},
    )

    assert sealed == load_manifest(path)
    assert (SessionStatus.ENDED, T0 + 1, "completed", 0) == (
        sealed.status,
        sealed.ended_at,
        sealed.outcome,
        sealed.exit_code,
    )
    assert {"trades.csv": hashlib.sha256(b"trade_id\n").hexdigest()} == sealed.artifacts
    assert (CONFIG, {"bars": 3}) == (sealed.config, sealed.facts)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"manifest_version": 2}', "manifest of version 2, this Tidegate knows up to 1"),
        ('{"manifest_version": 1}', "missing required field"),
        ('{"manifest_version": 1, "sess', "truncated"),
        ("{}", "missing required field `manifest_version`"),
        (None, "No such file or directory"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    """One error, with the file and what is wrong with it."""
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_text(content, "utf-8")

    with pytest.raises(ManifestError, match=rf"manifest\.json: .*{complaint}"):
        load_manifest(path)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), VALUES))
def test_the_hash_of_a_configuration_does_not_depend_on_its_order(
    config: dict[str, object],
) -> None:
    """However its layers were merged, the same configuration has the same hash."""
    backwards = dict(reversed(config.items()))

    assert config_sha256(config) == config_sha256(backwards)


def test_the_id_of_a_simulation_follows_from_all_that_decides() -> None:
    """Same configuration, data and seed, same id; any other, another."""
    base = simulation_session_id(CONFIG, DATA, 42)

    assert base == simulation_session_id(dict(CONFIG), dict(DATA), 42)
    assert base == "r-" + base[2:].lower()
    assert len(base) == 12
    others = {
        simulation_session_id({**CONFIG, "risk": {}}, DATA, 42),
        simulation_session_id(CONFIG, {**DATA, "x.csv@ETH/USDT": "00"}, 42),
        simulation_session_id(CONFIG, DATA, 43),
    }
    assert len(others | {base}) == 4


def test_ids_of_live_sessions_sort_by_their_start() -> None:
    """And two that start in the same millisecond differ by their entropy."""
    ids = [
        live_session_id(T0, "00000000ff"),
        live_session_id(T0, "000000ffff"),
        live_session_id(T0 + 1, "0000000000"),
    ]

    assert ids == sorted(set(ids))
    assert ids[0] == "l-1700000000000-00000000ff"
