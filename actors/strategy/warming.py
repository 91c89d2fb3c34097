"""A strategy is warmed up: with the bars of before, or with what was made of the very same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from messages import Bar
from state.features import FeatureStore
from strategies.contract import Strategy


@dataclass(frozen=True, slots=True)
class Known:
    """Where features are kept, and what besides the bars a strategy's are a function of."""

    store: FeatureStore
    facts: tuple[str, ...]


def warm_up(strategy: Strategy, bars: Sequence[Bar], known: Known | None) -> None:
    """
    Bring a fresh ``strategy`` to where ``bars``, one after the other, would bring it.

    A disk that keeps nothing costs the next start its time, and this one nothing.
    """
    if known is None or not bars:
        for bar in bars:
            strategy.warm_up(bar)
        return
    key = known.store.key(known.facts, bars)
    features = known.store.load(key)
    if features is not None:
        strategy.take_features(features)
        return
    for bar in bars:
        strategy.warm_up(bar)
    features = strategy.features()
    if features is None:
        return
    try:
        known.store.save(key, features)
    except OSError as error:
        structlog.get_logger("strategy").warning("features_not_kept", error=str(error))
