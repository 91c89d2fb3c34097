"""
What happens in one run of the campaign: a function of its seed, and of nothing else.

Every fifth run of a campaign has one kind of fault, one kind after the other; the others have
several at once. Faults are in force for a part of the session only: what they have left behind is
to be settled by its end. A fault that is alone strikes: what is asked of the exchange is what it is
about, the operator waits for it, and where chance has not let it strike by the end of its time it
is made certain.

What was drawn first is drawn as ever; a market's feed and its funding have chances of their own, so
that a run of an older campaign can be seen again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Any, Final

from messages import CommandVerb
from scenarios.exchange.faults import BAR_FAULTS, WireFaultKind

K = WireFaultKind

ALONE_EVERY: Final = 5
KINDS: Final = tuple(K)
SECONDS: Final = 40
"""Length of a session: so many bars of a second each."""

ACTIVE_S: Final = 18
"""For so many of them the strategy does something: then all that is left is to be settled."""

STRUCK_UNTIL_S: Final = 12.0
"""When the last fault is over: longer before the end than a doubt may last."""

SURE_UNTIL_S: Final = 19.0
"""When a fault that is alone is over even if it has not struck: by then nobody trades any more."""

REQUESTS: Final[tuple[tuple[str, ...], ...]] = (
    ("submit",),
    ("cancel",),
    ("submit", "cancel"),
    ("order", "orders", "trades"),
    ("account", "positions"),
    ("order", "orders", "trades", "account", "positions"),
    ("key", "time"),
    ("submit", "cancel", "order", "trades"),
    (),
)
"""Which requests a fault is about; none named: all of them."""

ITSELF: Final = frozenset({K.LIQUIDATE, K.DELEVERAGE})
"""Faults by which the venue trades without being asked."""

EVERYWHERE: Final = frozenset({K.BAN, K.MAINTENANCE, K.DOWN})
ONCE: Final = frozenset({K.LIQUIDATE, K.DELEVERAGE, K.CHANGE_RULES})
ERRORS: Final = (-1000, -1001, -1006, -1007, -1008, -1021)
STATUSES: Final = (500, 502, 503, 504)
BODIES: Final = ("empty", "html", "object", "list")
CANCELS: Final = ("cancel",)
AT_THE_START: Final = ("key", "time")
"""What a session asks for when it connects, and hardly ever again."""

RATES: Final = (0.0001, -0.0003, 0.00123, -0.00075, 0.0)
OWN_WORDS: Final = frozenset(
    kind
    for kind in KINDS
    if kind.value.endswith(("_news", "_stream", "_bars", "_first", "_key"))
    or kind in {K.HIDE_ORDERS, K.HIDE_FILLS, K.RACE_FILLS, K.FILL_PARTS, K.SKEW_CLOCK}
)
"""Kinds that say themselves which requests they are about."""


class Feed(StrEnum):
    """Where a session has its bars from."""

    MEMORY = "memory"
    """Given beforehand: the exchange is not asked for any."""

    POLLED = "polled"
    """Each is asked for at the exchange, through ccxt."""

    STREAMED = "streamed"
    """They are streamed by the exchange, through ccxt; it is asked for what the stream left out."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """Funding at the close of bar number ``bar``."""

    bar: int
    rate: float


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator says, and when."""

    at_s: float
    verb: CommandVerb
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """
    One run: ``faults`` are in force from ``struck_from_s`` to ``struck_until_s``.

    These are seconds after the session has opened; a negative beginning is before it connects.
    """

    seed: int
    number: int
    hedge: bool
    tls: bool
    health: bool
    adopts: bool
    """Whether the venue's word is taken into the books where it has acted by itself."""
    volume: tuple[float, float]
    faults: tuple[Mapping[str, Any], ...]
    struck_from_s: float
    struck_until_s: float
    commands: tuple[Command, ...]
    dies_at_s: float | None
    feed: Feed = Feed.MEMORY
    dialled_anew_at_s: float | None = None
    """When a session that is streamed to dials anew, as Health would have it."""
    funding: tuple[Settlement, ...] = ()
    alone: bool = False
    """Whether there is one fault, which has to strike."""

    @property
    def name(self) -> str:
        """Return what seeds everything in it."""
        return f"{self.seed}:{self.number}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of its faults."""
        return tuple(str(fault["fault"]) for fault in self.faults)

    @property
    def takes_back(self) -> bool:
        """Return whether the strategy has to cancel for the fault to strike."""
        about_cancels = [
            fault["fault"] == K.RACE_FILLS or tuple(fault.get("on", ())) == CANCELS
            for fault in self.faults
        ]
        return self.alone and any(about_cancels)


def planned(seed: int, number: int) -> Plan:
    """Return run ``number`` of a campaign: every few of them with one fault only, kind by kind."""
    chance = Random(f"{seed}:{number}")
    alone = number % ALONE_EVERY == 0
    if alone:
        kinds = [KINDS[number // ALONE_EVERY % len(KINDS)]]
    else:
        kinds = chance.sample(KINDS, chance.randint(2, 6))
    begins_s = round(chance.uniform(0.0, 2.0), 2)
    plan = Plan(
        seed,
        number,
        hedge=chance.random() < 0.4,
        tls=chance.random() < 0.5,
        health=chance.random() < 0.5,
        adopts=bool(ITSELF & set(kinds)) or chance.random() < 0.3,
        volume=chance.choice([(0.01, 0.05), (0.05, 1.0), (1000.0, 1000.0)]),
        faults=tuple(fault_of(kind, chance) for kind in kinds),
        struck_from_s=begins_s,
        struck_until_s=round(chance.uniform(STRUCK_UNTIL_S - 4.0, STRUCK_UNTIL_S), 2),
        commands=commands(chance),
        dies_at_s=round(chance.uniform(1.0, 11.0), 2) if chance.random() < 0.2 else None,
        alone=alone,
    )
    return with_market(plan, Random(f"{seed}:{number}:market"))


def with_market(plan: Plan, chance: Random) -> Plan:
    """Return a plan with where its bars come from, and when funding is settled."""
    kinds = {K(kind) for kind in plan.kinds}
    feed, anew_s = Feed.MEMORY, None
    if BAR_FAULTS & kinds or (not plan.alone and chance.random() < 0.25):
        feed = Feed.POLLED if plan.alone else chance.choice([Feed.POLLED, Feed.STREAMED])
    if feed is Feed.STREAMED:
        anew_s = round(chance.uniform(2.0, 10.0), 2)
    settled: list[int] = []
    if chance.random() < 0.4:
        settled = sorted(chance.sample(range(3, ACTIVE_S + 6), chance.randint(1, 3)))
    first = plan.faults[0]
    is_early = plan.alone and (
        K.REFUSE_STREAM in kinds or tuple(first.get("on", ())) == AT_THE_START
    )
    return replace(
        plan,
        feed=feed,
        dialled_anew_at_s=anew_s,
        funding=tuple(Settlement(bar, chance.choice(RATES)) for bar in settled),
        faults=(certain(first),) if is_early else plan.faults,
        struck_from_s=-1.0 if is_early else plan.struck_from_s,
    )


def certain(fault: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a fault that strikes the next request that it is about, and the one after that."""
    kept = {name: each for name, each in fault.items() if name not in {"after", "chance"}}
    return {**kept, "count": 1 if K(fault["fault"]) in ONCE else 2}


def fault_of(kind: WireFaultKind, chance: Random) -> Mapping[str, Any]:
    """Return one fault of a kind, as a fault script has it."""
    fault: dict[str, Any] = {"fault": kind.value}
    if kind is K.SKEW_CLOCK:
        fault["skew_ms"] = chance.choice([-30_000, -1_500, -400, 400, 1_500, 30_000])
        fault["drift_ppm"] = chance.choice([0, 0, 50_000])
        return fault
    if kind in {K.DELAY_REQUESTS, K.DELAY_ANSWERS, K.DELAY_NEWS}:
        fault["by"] = f"{chance.choice([50, 300, 900, 1_500, 3_000])}ms"
    if kind in {K.RATE_LIMIT, K.BAN}:
        fault["by"] = f"{chance.choice([1, 2, 4])}s"
    if kind in {K.HIDE_ORDERS, K.HIDE_FILLS}:
        fault["by"] = f"{chance.choice([300, 1_000, 1_900])}ms"
    if kind in {K.ERROR_BEFORE, K.ERROR_AFTER}:
        # A venue that does not like our time has not looked at what came with it.
        fault["code"] = chance.choice(ERRORS if kind is K.ERROR_BEFORE else ERRORS[:-1])
    if kind in {K.FAIL_BEFORE, K.FAIL_AFTER}:
        fault["status"] = chance.choice(STATUSES)
    if kind is K.REFUSE_STREAM:
        fault["status"] = chance.choice([401, 403, 429])
    if kind is K.BLANK_ANSWERS:
        fault["body"] = chance.choice(BODIES)
    if kind in {K.FILL_PARTS, K.DELEVERAGE}:
        fault["share"] = chance.choice(["0.2", "0.5", "0.9"])
    if kind in ONCE:
        return {**fault, "count": 1, "after": chance.randint(5, 40)}
    if kind not in OWN_WORDS and kind not in EVERYWHERE:
        fault["on"] = list(chance.choice(REQUESTS))
    if kind in EVERYWHERE and kind is not K.BAN and chance.random() < 0.5:
        return fault  # for as long as it is in force
    if chance.random() < 0.5:
        fault["count"] = chance.randint(1, 4)
        fault["after"] = chance.randint(0, 3)
    else:
        fault["chance"] = chance.choice([0.1, 0.3, 0.6])
    return fault


def commands(chance: Random) -> tuple[Command, ...]:
    """Return what an operator says in one run, most of it while faults are in force."""
    given = []
    kind = chance.choice(["nothing", "kill", "flatten", "kill_resume", "stop", "pause"])
    at_s = round(chance.uniform(3.0, 11.0), 2)
    later_s = round(at_s + chance.uniform(0.5, 4.0), 2)
    resume = Command(later_s, CommandVerb.RESUME, {"unlatch": True, "reason": "looked at"})
    match kind:
        case "kill":
            given = [Command(at_s, CommandVerb.KILL, {})]
        case "flatten":
            given = [Command(at_s, CommandVerb.KILL, {"flatten": True})]
        case "kill_resume":
            given = [Command(at_s, CommandVerb.KILL, {}), resume]
        case "stop":
            given = [Command(at_s, CommandVerb.STOP_NEW_ORDERS, {}), resume]
        case "pause":
            given = [Command(at_s, CommandVerb.PAUSE, {"for_s": chance.choice([0.5, 2.0])})]
    return tuple(given)
