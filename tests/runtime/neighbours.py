"""A strategy that does what it must not, beside one that trades on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from session_world import BTC, Script, World, flat, make_world, on_bars

from messages import ActorFailed, DeadLetter, OpenIntent, Scope, Side
from strategies import Desk

ONE = Decimal(1)


def beside_a_neighbour(evil: Script, **settings: Any) -> World:
    """Return a world of ``evil`` and of a strategy that buys at its fourth bar."""
    neighbour = on_bars({3: lambda desk: [desk.open(BTC, Side.BUY, ONE)]})
    world = make_world(flat(BTC, 8), evil.spec("evil"), neighbour.spec("good"), **settings)
    supervisor = world.assembly.supervisor
    # A hold that only a forged command would lift.
    return world.before_turn(
        0, lambda _w: supervisor.hold_open("kill", "drill", scope=Scope(symbol="nobody's"))
    )


def check_only_evil_failed(world: World) -> None:
    """See that one strategy failed, and nobody and nothing else changed."""
    assert {failed.actor for failed in world.all(ActorFailed)} == {"strategy:evil"}
    assert {letter.actor for letter in world.all(DeadLetter)} == {"strategy:evil"}
    assert world.session.halted is None
    assert list(world.assembly.holds.view()) == ["kill"]
    assert [report.event.value for report in world.reports()] == [
        "journaled",
        "sent",
        "accepted",
        "filled",
    ]
    assert {report.strategy for report in world.reports()} == {"good"}
    assert {i.strategy for i in world.all(OpenIntent)} == {"good"}


def market(desk: Desk, **changed: Any) -> OpenIntent:
    terms: dict[str, Any] = {"symbol": BTC, "side": Side.BUY, "quantity": ONE, **changed}
    return desk.open(**terms)
