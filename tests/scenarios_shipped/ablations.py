"""
Safeguards switched off one at a time, and the shipped scenarios that must notice.

An ablation changes one session's parts after its assembly and before its start (``alter`` of
``run_scenario``), never the product's code. It shows that a scenario is not vacuous: unaltered it
passes; with its safeguard off it fails at the expectation that the safeguard is for, and not
because something else broke on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from actors.risk.guards import Guard
from actors.risk.limits import RiskLimits
from actors.risk.proposal import Proposal
from actors.risk.registry import GuardSet, guards_for
from actors.risk.view import RiskView
from actors.runtime import HoldSet
from actors.turns import Session
from messages import Adoption, Cause, Hold, HoldMode, Message, ReasonCode
from scenarios.director import Alter
from scenarios.runner import ScenarioResult, run_scenario

SHIPPED = Path(__file__).parents[2] / "scenarios"
SUFFIXES = (".scenario.json", ".scenario.toml")

SETTINGS = {
    "universe": ("universe_allow", "universe_deny"),
    "strategy_budget": ("strategy_budgets",),
}
"""Guards that are set by other fields of ``RiskLimits`` than the one of their name."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """
    One safeguard, how it is switched off, and what then goes wrong.

    ``scenario`` is a file below ``scenarios/``, without its suffix. ``misses`` are the places of
    expectations that are missed without the safeguard (``expect[2].refusal``, or the beginning of
    an invariant's name, ``invariant: ...``): each of them must be among what the run reports.
    ``crashes`` is how often an actor then fails: 0, unless a second line of defence (an assertion,
    a store that takes no duplicate) stands right behind the safeguard.
    """

    safeguard: str
    scenario: str
    alter: Alter
    misses: tuple[str, ...]
    crashes: int = 0

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return f"{self.safeguard}-{self.scenario}"


def file_of(scenario: str) -> Path:
    """Return the file of a shipped scenario: ``guards/stacking`` with either suffix."""
    found = [SHIPPED / f"{scenario}{suffix}" for suffix in SUFFIXES]
    return next((path for path in found if path.is_file()), found[0])


@cache
def unaltered(scenario: str) -> ScenarioResult:
    """Return what becomes of a shipped scenario as it is; run once."""
    return run_scenario(file_of(scenario))


def assert_needed(ablation: Ablation) -> None:
    """Assert that the scenario passes, and that it fails as foreseen without the safeguard."""
    whole = unaltered(ablation.scenario)
    assert whole.passed, whole.report()

    altered = run_scenario(file_of(ablation.scenario), alter=ablation.alter)
    places = [miss.place for miss in altered.misses]
    story = "\n".join(altered.timeline)

    assert not altered.passed, f"{ablation} is not missed:\n{story}"
    for wanted in ablation.misses:
        assert any(place.startswith(wanted) for place in places), f"{places}\n{story}"
    more = crashes(altered) - crashes(whole)
    assert ablation.crashes == more, f"{more} crashes, {ablation.crashes} expected:\n{story}"


def crashes(result: ScenarioResult) -> int:
    """Return how often an actor failed, or a session ended by a fault inside."""
    failed = sum(" ActorFailed: " in line for line in result.timeline)
    return failed + sum(exit_code == 6 for _, exit_code in result.outcomes)


def not_ablated(folder: str, ablations: Iterable[Ablation], family: str = "") -> list[str]:
    """Return the scenarios of a folder, or of those that begin with ``family``, not ablated."""
    covered = {file_of(ablation.scenario) for ablation in ablations}
    files = sorted(path for path in (SHIPPED / folder).iterdir() if path.name.endswith(SUFFIXES))
    return [p.name for p in files if p not in covered and p.name.startswith(family)]


# -- ways to switch something off


def each_incarnation(name: str, change: Callable[[Any], None]) -> Alter:
    """Return an ablation that applies ``change`` to every incarnation of the actor ``name``."""

    def alter(session: Session) -> None:
        cell = session.assembly.dispatcher.cells[name]
        make = cell.factory

        def changed() -> Any:
            actor = make()
            change(actor)
            return actor

        cell.factory = changed

    return alter


def all_of(*alters: Alter) -> Alter:
    """Return an ablation that does several."""

    def alter(session: Session) -> None:
        for each in alters:
            each(session)

    return alter


def part(
    of: Callable[[Session], object], name: str, make: Callable[[Any], Callable[..., Any]]
) -> Alter:
    """Return an ablation in which the method ``name`` of a part is what ``make`` makes of it."""

    def alter(session: Session) -> None:
        owner = of(session)
        setattr(owner, name, make(getattr(owner, name)))

    return alter


def holds_that(kept: Callable[[list[Hold], Message], list[Hold]]) -> Alter:
    """
    Return an ablation of the set of holds: of those that cover a message only ``kept`` do.

    Everything that asks the set (mailboxes, the last look, causes of refusals) is affected; the
    holds themselves are placed, listed and lifted as ever.
    """

    class Altered(HoldSet):
        __slots__ = ()

        def covering(self, message: Message) -> list[Hold]:
            return kept(super().covering(message), message)

    return holding_as(Altered)


def holding_as(kind: type[HoldSet]) -> Alter:
    """Return an ablation in which the session's set of holds is of another class."""

    def alter(session: Session) -> None:
        session.assembly.holds.__class__ = kind

    return alter


def without_mode(mode: HoldMode) -> Alter:
    """Return an ablation in which holds of one mode hold nothing."""
    return holds_that(lambda holds, _message: [hold for hold in holds if hold.mode is not mode])


def without_hold(prefix: str) -> Alter:
    """Return an ablation in which holds whose id begins with ``prefix`` hold nothing."""
    return holds_that(
        lambda holds, _message: [hold for hold in holds if not hold.hold_id.startswith(prefix)]
    )


def without_last_look() -> Alter:
    """Return an ablation in which what was approved is sent, whatever came meanwhile."""

    def blind(execution: Any) -> None:
        execution.last_look = lambda _request, _now: ()

    return each_incarnation("execution", blind)


def without_doubts() -> Alter:
    """Return an ablation in which doubts begin and nothing is ever done about them."""

    def careless(execution: Any) -> None:
        setattr(execution._resolver, "_do", lambda *_: [])  # noqa: B010

    return each_incarnation("execution", careless)


def without_reapplied_holds() -> Alter:
    """Return an ablation in which a session starts as if no earlier one had left a hold."""

    def alter(session: Session) -> None:
        start = session.start

        def forgetful(_held: Iterable[Hold] = (), adopted: Iterable[Adoption] = ()) -> None:
            start((), adopted)

        setattr(session, "start", forgetful)  # noqa: B010 - a method of one instance

    return alter


# -- Risk


def with_guards(change: Callable[[GuardSet], GuardSet]) -> Alter:
    """Return an ablation in which every incarnation of Risk decides by other guards."""

    def changed(risk: Any) -> None:
        risk.guard_set = change(risk.guard_set)
        risk.guards = risk.guard_set.checks

    return each_incarnation("risk", changed)


def unlimited(limits: RiskLimits, guard: str) -> RiskLimits:
    """Return ``limits`` without what asks for ``guard``."""
    names = SETTINGS.get(guard, (guard,))
    none = {place.name: getattr(RiskLimits(), place.name) for place in fields(RiskLimits)}
    return replace(limits, **{name: none[name] for name in names})


def without_limit(guard: str) -> Alter:
    """Return an ablation in which one limit of the configuration is not there, for anybody."""

    def unwatched(session: Session) -> None:
        watch = session.assembly.watch
        if watch is not None:
            watch.limits = unlimited(watch.limits, guard)

    return all_of(with_guards(lambda old: guards_for(unlimited(old.limits, guard))), unwatched)


def without_check(name: str) -> Alter:
    """Return an ablation of one guard that no configuration can switch off."""
    return with_guards(
        lambda old: replace(old, checks=tuple(g for g in old.checks if named(g) != name))
    )


def named(guard: Guard) -> str:
    """Return the name of a guard that is a function of its own."""
    return getattr(guard, "__name__", "")


def closes_held() -> Alter:
    """Return an ablation in which Risk refuses closes while anything is held."""

    def alter(session: Session) -> None:
        holds = session.assembly.holds

        def severe(proposal: Proposal, _view: RiskView) -> Cause | None:
            return Cause(ReasonCode.HELD) if proposal.reducing and holds.active else None

        with_guards(lambda old: replace(old, checks=(*old.checks, severe)))(session)

    return alter
