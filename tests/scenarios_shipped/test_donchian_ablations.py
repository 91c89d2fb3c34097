"""Every scenario of the breakout fails where the breakout, or what carries it, does less."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ablations import Ablation, assert_needed, each_incarnation, not_ablated

from actors.turns import Session
from scenarios.director import Alter


def breakout_with(change: Callable[[Any], None]) -> Alter:
    """Return an ablation of every incarnation of the strategy `one`."""
    return each_incarnation("strategy:one", lambda host: change(host.strategy))


def _hands_in_no_plan(strategy: Any) -> None:
    strategy._plan = lambda _book, **_: []


def _rests_never(strategy: Any) -> None:
    left = strategy._left

    def restless(book: Any, price: Any) -> None:
        left(book, price)
        book.rest_until = 0

    strategy._left = restless


def _trails_nothing(strategy: Any) -> None:
    strategy._trail = lambda _book: None


def _hears_no_refusal(strategy: Any) -> None:
    strategy.on_order_rejected = lambda _rejection: None


def _knows_no_hedge(strategy: Any) -> None:
    """Let the desk, and with it the strategy, believe in one net book of each symbol."""
    strategy.desk._sides.clear()
    strategy._books = {symbol: strategy._new_books(symbol) for symbol in strategy.desk.symbols}


def no_backoff() -> Alter:
    """Return an ablation in which no refusal is counted."""

    def lenient(host: Any) -> None:
        host.backoff.record_rejection = lambda *_, **__: False

    return each_incarnation("strategy:one", lenient)


def books_forgotten() -> Alter:
    """Return an ablation in which a strategy that is made anew finds no state of its books."""

    def alter(session: Session) -> None:
        cell = session.assembly.dispatcher.cells["strategy:one"]
        make = cell.factory

        def forgetful() -> Any:
            if cell.incarnation:
                cell.actor.house.books.clear()  # type: ignore[union-attr]
            return make()

        cell.factory = forgetful

    return alter


S = "strategies"
ABLATIONS = (
    Ablation(
        "a position has its plan with its first fill",
        f"{S}/donchian_entry",
        breakout_with(_hands_in_no_plan),
        ("expect[4].seen", "expect[5].seen", "expect[6].order"),
    ),
    Ablation(
        "a loss is followed by a rest",
        f"{S}/donchian_stop",
        breakout_with(_rests_never),
        ("expect[6].never", "expect[7].seen"),
    ),
    Ablation(
        "a profit is trailed",
        f"{S}/donchian_trail",
        breakout_with(_trails_nothing),
        ("expect[1].seen", "expect[3].order", "expect[7].position"),
    ),
    Ablation(
        "refused entries rest",
        f"{S}/donchian_refused",
        no_backoff(),
        ("expect[2].seen", "expect[3].never", "expect[7].position"),
    ),
    Ablation(
        "what cannot be protected leaves",
        f"{S}/donchian_unprotected",
        breakout_with(_hears_no_refusal),
        ("expect[3].seen", "expect[5].artifact", "expect[7].position"),
    ),
    Ablation(
        "books outlive a strategy",
        f"{S}/donchian_restart",
        books_forgotten(),
        ("expect[3].never", "expect[5].never", "expect[8].position"),
    ),
    Ablation(
        "each side has its book",
        f"{S}/donchian_hedge",
        breakout_with(_knows_no_hedge),
        ("expect[0].seen", "expect[1].seen", "expect[4].position"),
    ),
)


@pytest.mark.parametrize("ablation", ABLATIONS, ids=str)
def test_the_scenario_of_a_breakout_fails_where_less_is_done(ablation: Ablation) -> None:
    """What a breakout relies on is there, and the scenario notices when it is not."""
    assert_needed(ablation)


def test_every_scenario_of_the_breakout_has_an_ablation() -> None:
    """A scenario that no missing safeguard could fail would show nothing."""
    assert [] == not_ablated(S, ABLATIONS, "donchian_")
