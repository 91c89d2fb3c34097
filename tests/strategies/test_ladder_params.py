"""What can be set of a ladder, what comes of it, and what contradicts itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from messages import (
    ExecutionPolicy,
    FallbackOn,
    IfAbsent,
    Maker,
    MarketFallback,
    OrderType,
    PlanPlace,
    ReasonCode,
    Retry,
    Rollback,
)
from strategies.contract import missing_hooks
from strategies.dual_dca import DualDca, DualDcaParams, ExitBy
from strategies.dual_dca_lifo import DualDcaLifo, DualDcaLifoParams
from strategies.ladder import LadderParams
from strategies.loader import StrategyLoadError, load_strategy, parse_params

CODES = (ReasonCode.VENUE_REJECTED, ReasonCode.VENUE_RATE_LIMITED)
BACK = Rollback.IF_UNFILLED


def refusal(use: str = "dual_dca", **params: Any) -> str:
    """Return what parameters are refused with."""
    with pytest.raises(StrategyLoadError) as caught:
        parse_params(load_strategy(use), params)
    return str(caught.value)


def test_a_ladder_without_parameters_says_how_large_it_is() -> None:
    """Something is ordered, and the manifest has how much."""
    params = DualDcaParams()

    assert Decimal(1000) == params.notional
    assert params.quantity is None
    assert not params.by_quantity
    assert ExitBy.LOT is params.exit


@pytest.mark.parametrize("kind", [DualDcaParams, DualDcaLifoParams])
@pytest.mark.parametrize("given", [{}, {"quantity": "2.5"}, {"notional": "70"}, {"stop_bps": 999}])
def test_parameters_come_back_as_they_were_written_down(
    kind: type[LadderParams], given: dict[str, Any]
) -> None:
    """A session is run again from what its manifest keeps of them."""
    params = kind.model_validate(given)

    assert params == kind.model_validate(params.model_dump(mode="json"))


def test_the_command_line_writes_lists_as_words() -> None:
    """What comes as a text is split at its commas."""
    params = parse_params(
        load_strategy("dual_dca"),
        {
            "entry_order_type": "limit",
            "entry_timeout_s": "5",
            "entry_market_fallback": "reject, timeout",
            "retry_codes": "venue_rejected",
        },
    )
    assert isinstance(params, DualDcaParams)

    assert (FallbackOn.REJECT, FallbackOn.TIMEOUT) == params.entry_market_fallback
    assert (ReasonCode.VENUE_REJECTED,) == params.retry_codes


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rungz": 1}, "unknown parameter 'rungz'"),
        ({"rungs": 51}, "parameter 'rungs': found 51, expected less than or equal to 50"),
        ({"rungs": -1}, "parameter 'rungs': found -1, expected greater than or equal to 0"),
        ({"quantity": 0}, "parameter 'quantity': found 0, expected greater than 0"),
        ({"quantity": "much"}, "parameter 'quantity': found 'much'"),
        ({"notional": "1e13"}, "parameter 'notional': found '1e13', expected less than or equal"),
        ({"notional": "nan"}, "parameter 'notional': found 'nan', expected a finite number"),
        ({"size_growth": 11}, "parameter 'size_growth': found 11, expected less than or equal to"),
        ({"step_bps": 0}, "parameter 'step_bps': found 0, expected greater than 0"),
        ({"step_growth": "0.9"}, "parameter 'step_growth': found '0.9', expected greater than or"),
        ({"take_profit_bps": 10000}, "parameter 'take_profit_bps': found 10000, expected less"),
        ({"stop_bps": 0}, "parameter 'stop_bps': found 0, expected greater than 0"),
        ({"cooldown_bars": -1}, "parameter 'cooldown_bars': found -1, expected greater than or"),
        ({"resting_rungs": 0}, "parameter 'resting_rungs': found 0, expected greater than or"),
        ({"exit": "all"}, "parameter 'exit': found 'all', expected 'lot' or 'average'"),
        ({"one_way_side": "up"}, "parameter 'one_way_side': found 'up', expected 'long' or 'short"),
        ({"below_minimum": "x"}, "parameter 'below_minimum': found 'x', expected 'raise' or 'skip"),
        (
            {"dca_order_type": "stop"},
            "parameter 'dca_order_type': found 'stop', expected 'limit' o",
        ),
        (
            {"entry_market_fallback": "no"},
            "parameter 'entry_market_fallback.0': found 'no', expect",
        ),
        ({"retry_codes": "nope"}, "parameter 'retry_codes.0': found 'nope', expected 'quantity_no"),
        ({"retry_delay_s": 0}, "parameter 'retry_delay_s': found 0, expected greater than 0"),
        ({"backoff_factor": "0.5"}, "parameter 'backoff_factor': found '0.5', expected greater"),
    ],
)
def test_a_figure_out_of_its_bounds_is_named(params: dict[str, Any], said: str) -> None:
    """The parameter, what was found, what was expected."""
    assert f"strategy dual_dca: {said}" in refusal(**params)


LIMIT_ENTRY: dict[str, Any] = {"entry_order_type": "limit"}
DCA_HERE: dict[str, Any] = {"dca_place": "here"}
EXIT_HERE: dict[str, Any] = {"exit_place": "here"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"quantity": 1, "notional": 1}, "quantity and notional: found both, expected one"),
        ({"entry_maker": "only"}, "entry_maker: goes with entry_order_type = limit only"),
        ({"entry_timeout_s": 5}, "entry_timeout_s: goes with entry_order_type = limit only"),
        (
            {"entry_market_fallback": ["reject"]},
            "entry_market_fallback: goes with entry_order_type = limit only",
        ),
        ({"entry_offset_bps": 5}, "entry_offset_bps: a market order has no price of its own"),
        (
            {**LIMIT_ENTRY, "entry_market_fallback": ["timeout"]},
            "entry_market_fallback: timeout needs entry_timeout_s",
        ),
        (
            {**LIMIT_ENTRY, "entry_maker": "only", "entry_market_fallback": ["reject"]},
            "entry_market_fallback: an order that never takes cannot go out at market",
        ),
        (
            {**LIMIT_ENTRY, "entry_slippage_bps": 5},
            "entry_slippage_bps: a limit order without a market_fallback cannot slip",
        ),
        ({"entry_retries": 1, "retry_codes": []}, "entry_retries: found no retry_codes"),
        ({"dca_timeout_s": 5}, "dca_timeout_s: goes with dca_place = here; at the venue it rests"),
        (
            {"dca_market_fallback": ["reject"]},
            "dca_market_fallback: goes with dca_place = here; at the venue it rests",
        ),
        (
            {"dca_order_type": "market", "dca_place": "venue"},
            "dca_place: a market order cannot rest at the venue; expected here",
        ),
        (
            {"dca_order_type": "market", "dca_maker": "only"},
            "dca_maker: goes with dca_order_type = limit only",
        ),
        ({**DCA_HERE, "resting_rungs": 2}, "resting_rungs: adds wait here, none rests"),
        ({"exit_timeout_s": 5}, "exit_timeout_s: goes with exit_place = here"),
        (
            {"exit_order_type": "market", "exit_place": "venue"},
            "exit_place: a market order cannot rest at the venue",
        ),
        (
            {**EXIT_HERE, "exit_market_fallback": ["timeout"]},
            "exit_market_fallback: timeout needs exit_timeout_s",
        ),
        (
            {"backoff_base_s": 60, "backoff_max_s": 30},
            "backoff_max_s is 30, expected at least backoff_base_s (60)",
        ),
        (
            {"rungs": 50, "step_bps": 200},
            "rungs, step_bps and step_growth: the last of 50 rungs is 10000 bps away",
        ),
        (
            {"rungs": 20, "step_bps": 1, "size_growth": 10},
            "size_growth: the last of 20 rungs comes to",
        ),
        ({"stop_bps": 100}, "stop_bps is 100: a long ladder's last rung is"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(params: dict[str, Any], said: str) -> None:
    """What cannot both be meant is said before anything is traded."""
    assert f"strategy dual_dca: parameters: {said}" in refusal(**params)


def test_a_stop_just_beyond_the_last_rung_is_accepted_and_one_at_it_is_not() -> None:
    """The bound is the distance of the last rung from the whole ladder's average."""
    ladder: dict[str, Any] = {"quantity": 1, "rungs": 1, "step_bps": 200}
    # Long: average 0.99, last 0.98; short: average 1.01, last 1.02.
    room = DualDcaParams.model_validate(ladder).levels().room_for_stop(1, by_quantity=True)

    assert Decimal("101.0101010100") == room
    assert "long ladder's last rung is 101.01010101 bps" in refusal(**ladder, stop_bps=room)
    assert DualDcaParams.model_validate({**ladder, "stop_bps": room + 1}).stop_bps == room + 1


def test_each_family_of_orders_has_one_policy() -> None:
    """Timeouts, fallbacks, preferences and retries are terms of it, and of nothing else."""
    params = DualDcaParams.model_validate(
        {
            "entry_order_type": "limit",
            "entry_timeout_s": 1.5,
            "entry_market_fallback": ["timeout"],
            "entry_slippage_bps": 7,
            "entry_maker": "prefer",
            "dca_order_type": "market",
            "dca_slippage_bps": 9,
            "dca_retries": 3,
            "retry_delay_s": 2,
            "exit_maker": "only",
        }
    )

    assert params.entry_policy() == ExecutionPolicy(
        OrderType.LIMIT,
        maker=Maker.PREFER,
        timeout_ms=1500,
        fallback=MarketFallback((FallbackOn.TIMEOUT,), Decimal(7)),
        rollback=BACK,
    )
    assert params.dca_policy() == ExecutionPolicy(
        OrderType.MARKET, retry=Retry(3, CODES, 2000), slippage_bps_max=Decimal(9), rollback=BACK
    )
    assert params.exit_policy() == ExecutionPolicy(OrderType.LIMIT, maker=Maker.ONLY)


def test_what_leaves_now_rolls_back_and_takes_what_there_is() -> None:
    """An exit that waits here is an order like an entry; one that rests is only what should be."""
    here = DualDcaParams.model_validate({"exit_order_type": "market"})
    resting = DualDcaParams()

    assert not here.exits_rest
    assert (BACK, IfAbsent.SYNC) == (here.exit_policy().rollback, here.exit_policy().if_absent)
    assert resting.exits_rest
    assert (Rollback.NEVER, IfAbsent.REFUSE) == (
        resting.exit_policy().rollback,
        resting.exit_policy().if_absent,
    )


@pytest.mark.parametrize(
    ("kind", "place", "rests"),
    [
        ("limit", None, True),
        ("limit", PlanPlace.VENUE, True),
        ("limit", PlanPlace.HERE, False),
        ("market", None, False),
        ("market", PlanPlace.HERE, False),
    ],
)
def test_limit_orders_rest_at_the_venue_unless_they_are_to_wait_here(
    kind: str, place: PlanPlace | None, rests: bool
) -> None:
    """Where nothing is said the kind of order decides."""
    params = DualDcaParams.model_validate({"dca_order_type": kind, "dca_place": place})

    assert rests is params.adds_rest


@pytest.mark.parametrize("kind", [DualDca, DualDcaLifo])
def test_a_ladder_has_every_hook_that_real_money_needs(kind: Any) -> None:
    """None of the decisions that nobody can make for a strategy is left to the base."""
    assert [] == missing_hooks(kind)


def test_the_lifo_ladder_has_no_choice_of_exits() -> None:
    """Which lot leaves is not a parameter of it."""
    assert "unknown parameter 'exit'" in refusal("dual_dca_lifo", exit="lot")
