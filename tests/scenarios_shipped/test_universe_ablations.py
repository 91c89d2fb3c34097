"""What a strategy is told of restricted symbols, switched off one thing at a time."""

from __future__ import annotations

from typing import Any

import pytest
from ablations import Ablation, all_of, assert_needed, each_incarnation, not_ablated, with_guards

from actors.risk import RiskLimits, guards_for
from actors.turns import Session
from scenarios.director import Alter

ETH = "ETH/USDT"


def without_hint(strategy: str) -> Alter:
    """Return an ablation in which a strategy's desk does not know what is restricted."""

    def blind(actor: Any) -> None:
        actor.desk.restricted = frozenset()

    return each_incarnation(f"strategy:{strategy}", blind)


def without_lists() -> Alter:
    """Return an ablation in which Risk lets every symbol through."""
    return with_guards(lambda _old: guards_for(RiskLimits()))


def not_hearing(strategy: str, symbol: str) -> Alter:
    """Return an ablation in which a strategy gets no data of a symbol."""

    def alter(session: Session) -> None:
        readers = session.assembly.readers
        cell = session.assembly.strategy_cells[strategy]
        readers[symbol] = tuple(each for each in readers[symbol] if each is not cell)

    return alter


def hearing(strategy: str, symbol: str) -> Alter:
    """Return an ablation in which a strategy gets the data of a symbol that it was not given."""

    def alter(session: Session) -> None:
        readers = session.assembly.readers
        readers[symbol] = (*readers[symbol], session.assembly.strategy_cells[strategy])

    return alter


ABLATIONS = (
    Ablation(
        "the hint",
        "universe/restricted_is_a_hint",
        without_hint("heeds"),
        ("expect[1].never", "expect[2].never"),
    ),
    Ablation(
        "the hint, and the gate behind it",
        "universe/restricted_is_a_hint",
        all_of(without_hint("heeds"), without_lists()),
        ("expect[1].never", "expect[4].position"),
    ),
    Ablation(
        "data of a restricted symbol",
        "universe/restricted_is_still_heard",
        not_hearing("names-it", ETH),
        ("expect[0].refusal", "expect[1].refusal"),
    ),
    Ablation(
        "no data for whom it was not given",
        "universe/restricted_is_still_heard",
        hearing("takes-it", ETH),
        ("expect[4].never",),
    ),
    Ablation(
        "the lists",
        "universe/restricted_is_still_heard",
        without_lists(),
        ("expect[0].refusal", "expect[1].refusal"),
    ),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_the_scenario_of_the_universe_fails_without_its_safeguard(ablation: Ablation) -> None:
    """The hint, the gate behind it and the data of restricted symbols are each needed."""
    assert_needed(ablation)


def test_every_scenario_of_the_universe_has_an_ablation() -> None:
    """No scenario of the universe passes whatever the house does."""
    assert [] == not_ablated("universe", ABLATIONS)
