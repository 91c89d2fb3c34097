"""What a warm-up came to is kept, and changes no decision: with it and without it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ladder_makers import wander

from actors.strategy.warming import Known, warm_up
from messages import Bar
from state.features import FILES_MAX, FeatureStore
from strategies.contract import Strategy
from strategies.desk import Desk
from strategies.loader import SHIPPED, load_strategy, parse_params

ACME, BETA = "ACME", "BETA"
CACHED: dict[str, dict[str, Any]] = {
    "sma_cross": {"fast": "3", "slow": "8"},
    "donchian_breakout": {},
}
"""Strategies that have features, with other parameters than their defaults where that says more."""


@dataclass
class Time:
    """The desk's clock: a moment."""

    now: int = 0


def made(use: str, **params: Any) -> Strategy:
    """Return a fresh strategy of two symbols."""
    loaded = load_strategy(use)
    given = parse_params(loaded, CACHED[use] | params)
    return loaded.factory(Desk("one", (ACME, BETA), prefix="abc-1", clock=Time()), given)


def known(folder: Path, use: str, *, made_by: str = "us", **params: Any) -> Known:
    """Return where the features of such a strategy are kept."""
    loaded = load_strategy(use)
    given = parse_params(loaded, CACHED[use] | params)
    facts = (use, loaded.source_sha256, given.model_dump_json(), ACME, BETA)
    return Known(FeatureStore(folder, made_by), facts)


def bars_of(seed: int, count: int = 60) -> list[Bar]:
    """Return bars of both symbols, merged by time, then by symbol."""
    both = [*wander(count, seed, symbol=ACME), *wander(count, seed + 1, symbol=BETA)]
    return sorted(both, key=lambda bar: (bar.timestamp, bar.symbol))


def decisions(strategy: Strategy, bars: list[Bar]) -> list[Any]:
    """Return what a strategy asks for at each bar, and what it holds in the end."""
    asked: list[Any] = []
    for bar in bars:
        strategy.desk._clock.now = bar.timestamp + bar.timeframe_ms
        asked.append(repr(strategy.on_bar(bar)))
    return [*asked, strategy.snapshot()]


class Counted(FeatureStore):
    """A store that counts what was found."""

    found = 0

    def load(self, key: str) -> Any | None:
        features = super().load(key)
        self.found += features is not None
        return features


def test_who_has_features_is_who_warms_up() -> None:
    """No strategy keeps what it cannot take back, or warms up at its full price each time."""
    assert set(CACHED) == {
        use for use in SHIPPED if load_strategy(use).factory.features is not Strategy.features
    }
    for use in SHIPPED:
        factory = load_strategy(use).factory
        has = factory.take_features is not Strategy.take_features
        assert has is (factory.warm_up is not Strategy.warm_up)


@pytest.mark.parametrize("use", CACHED)
@pytest.mark.parametrize("seed", range(6))
def test_it_decides_the_same_with_and_without(use: str, seed: int, tmp_path: Path) -> None:
    """Bar by bar, to the last digit, wherever the start is; the second start found the first's."""
    bars = bars_of(seed)
    cut = Random(seed).randrange(2, len(bars) - 20)
    plain, first, second = made(use), made(use), made(use)
    where = known(tmp_path, use)
    counted = Known(Counted(where.store.folder, where.store.made_by), where.facts)
    warm_up(plain, bars[:cut], None)
    warm_up(first, bars[:cut], counted)
    warm_up(second, bars[:cut], counted)
    wanted = decisions(plain, bars[cut:])

    assert 1 == counted.store.found  # type: ignore[attr-defined]
    assert wanted == decisions(first, bars[cut:])
    assert wanted == decisions(second, bars[cut:])


@pytest.mark.parametrize("use", CACHED)
def test_whatever_differs_is_computed_anew(use: str, tmp_path: Path) -> None:
    """Other bars, parameters, sources or makers have another name."""
    bars = bars_of(1)
    own = known(tmp_path, use)
    changed = {"sma_cross": {"slow": "9"}, "donchian_breakout": {"entry_period": "7"}}[use]
    keys = {
        own.store.key(own.facts, bars),
        own.store.key(own.facts, bars[1:]),
        own.store.key(own.facts, [*bars[:-1], wander(60, 9, symbol=BETA)[-1]]),
        own.store.key((own.facts[0], "another source", *own.facts[2:]), bars),
        own.store.key(known(tmp_path, use, **changed).facts, bars),
        known(tmp_path, use, made_by="somebody else").store.key(own.facts, bars),
    }

    assert 6 == len(keys)


def test_without_the_parameters_in_its_name_a_stale_one_would_decide(tmp_path: Path) -> None:
    """Ablation: windows of another length are taken for one's own, and it decides otherwise."""
    bars = bars_of(3)
    forgetful = Known(FeatureStore(tmp_path, "us"), ("sma_cross",))
    warm_up(made("sma_cross", slow="30"), bars[:80], forgetful)
    stale, plain = made("sma_cross"), made("sma_cross")
    warm_up(stale, bars[:80], forgetful)
    warm_up(plain, bars[:80], None)

    assert decisions(plain, bars[80:]) != decisions(stale, bars[80:])


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 64 + b"\n{}"])
def test_a_damaged_file_counts_as_absent(damage: bytes, tmp_path: Path) -> None:
    """It is computed anew, and written whole again."""
    bars = bars_of(2)
    where = known(tmp_path, "sma_cross")
    warm_up(made("sma_cross"), bars, where)
    (file,) = tmp_path.glob("*.json")
    whole = file.read_bytes()
    file.write_bytes(damage)
    again = made("sma_cross")
    warm_up(again, bars, where)
    plain = made("sma_cross")
    warm_up(plain, bars, None)

    assert whole == file.read_bytes()
    assert plain.features() == again.features()


def test_a_folder_has_a_bound(tmp_path: Path) -> None:
    """The oldest go first; what was saved last is there."""
    store = FeatureStore(tmp_path, "us")
    for number in range(FILES_MAX + 3):
        store.save(store.key([str(number)], []), number)

    assert FILES_MAX == len(list(tmp_path.glob("*.json")))
    assert FILES_MAX + 2 == store.load(store.key([str(FILES_MAX + 2)], []))


def test_a_disk_that_keeps_nothing_stops_nothing(tmp_path: Path) -> None:
    """The strategy is warm; the next start computes again."""
    (tmp_path / "folder").write_text("a file stands here", "utf-8")
    bars = bars_of(4)
    strategy, plain = made("sma_cross"), made("sma_cross")
    warm_up(strategy, bars, known(tmp_path / "folder", "sma_cross"))
    warm_up(plain, bars, None)

    assert plain.features() == strategy.features()
    assert json.dumps(plain.features())
