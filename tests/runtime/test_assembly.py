"""The topology: who hears what, who depends on whom, and what cannot be put together."""

from __future__ import annotations

import pytest
from session_world import BTC, PERP, Script, flat, instruments_of, make_world

from actors.runtime import Restart, WhenExhausted
from actors.turns import SessionError
from messages import Lane


def test_every_intent_goes_to_risk_and_only_risk_reaches_execution() -> None:
    """There is no road round the gate: the routes say so."""
    world = make_world(flat(BTC, 2), Script().spec())
    routes = world.assembly.dispatcher.topology()

    assert {routes[name] for name in ("OpenIntent", "ReduceIntent", "CancelIntent")} == {("risk",)}
    assert {routes[f"Approved{what}"] for what in ("Open", "Reduce", "Cancel")} == {("execution",)}
    assert routes["RiskDecision"] == ("execution", "telemetry", "strategy")
    assert routes["ExecutionReport"] == ("risk", "telemetry", "strategy")


def test_who_is_needed_for_opening_holds_it_while_down() -> None:
    """Execution and Risk hold OPEN while they restart; only telemetry can be done without."""
    world = make_world(flat(BTC, 2), Script().spec("a"), Script().spec("b"))
    specs = {spec.name: spec for spec in world.assembly.supervisor.specs}

    assert {name for name, spec in specs.items() if spec.holds_open_while_down} == {
        "execution",
        "risk",
    }
    assert {name: spec.when_exhausted for name, spec in specs.items()} == {
        "execution": WhenExhausted.HALT,
        "reconciler": WhenExhausted.HALT,
        "risk": WhenExhausted.HALT,
        "telemetry": WhenExhausted.ABANDON,
        "feed": WhenExhausted.HALT,
        "strategy:a": WhenExhausted.QUARANTINE,
        "strategy:b": WhenExhausted.QUARANTINE,
    }
    assert [name for name, spec in specs.items() if spec.restart is Restart.REST_FOR_ONE] == [
        "execution"
    ]


def test_an_instrument_of_another_currency_is_refused_before_anything_starts() -> None:
    """One session, one currency: the message names the symbol and both."""
    instruments = instruments_of((BTC, "SPY"))
    foreign = {**instruments, "BTC/EUR": instruments_of(("BTC/EUR",))["BTC/EUR"]}

    with pytest.raises(SessionError, match="BTC/EUR settles in EUR, but the account is in USDT"):
        make_world(flat(BTC, 2), Script().spec(), instruments=foreign)


def test_every_mailbox_is_bounded_in_every_lane() -> None:
    """No actor has an endless queue."""
    world = make_world({BTC: flat(BTC, 2), PERP: flat(PERP, 2)}, Script().spec())
    for cell in world.assembly.dispatcher.cells.values():
        for lane in Lane:
            assert f"{lane.name.lower()} 0/" in repr(cell.mailbox)
            assert "inf" not in repr(cell.mailbox)
