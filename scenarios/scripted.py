"""
The built-in strategy whose intents are scripted.

It decides by the number or the time of a bar and by what happens to its orders, never by prices.
Its script belongs to the scenario: counts and tags outlive its incarnations and its sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any, cast

import msgspec

from messages import (
    EVERYTHING,
    ApprovedOpen,
    Bar,
    CancelIntent,
    ExecutionPolicy,
    ExecutionReport,
    Fill,
    Hold,
    HoldMode,
    HoldPlaced,
    Intent,
    OrderRequest,
    OrderType,
    PositionSide,
    Quote,
    RiskDecision,
    Side,
    Tick,
    TimeInForce,
)
from scenarios.model.script import Line, Nonsense
from strategies import Desk, Strategy, StrategyParams
from strategies.contract import Intents


class ScriptedFailure(Exception):
    """What a script raises when it is told to."""


@dataclass(slots=True)
class Script:
    """One scripted strategy's lines, and what became of them."""

    lines: Sequence[Line]
    start_ms: int
    timeframe_ms: int
    done: dict[int, int] = field(default_factory=dict)
    by_tag: dict[str, Intent] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    line_of: dict[str, Line] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)

    def due(self, bar: Bar, first_symbol: str) -> Iterator[Line]:
        """Yield the lines that are due at the close of ``bar``, in order."""
        closed = bar.timestamp + self.timeframe_ms - self.start_ms
        number = closed // self.timeframe_ms
        for place, line in enumerate(self.lines):
            if (line.symbol or first_symbol) != bar.symbol:
                continue
            if line.every is not None:
                if number % line.every == 0 and self._may(place, line):
                    yield line
            elif line.bar == number or (
                line.at is not None and closed - self.timeframe_ms < line.at <= closed
            ):
                yield line

    def occasions(self, name: str, order_id: str = "", event: object = None) -> Iterator[Line]:
        """Yield the lines that are due when ``name`` happens to the order ``order_id``."""
        for place, line in enumerate(self.lines):
            if line.on != name:
                continue
            if line.of is not None and self.tags.get(order_id, "").partition("+")[0] != line.of:
                continue
            if line.event is not None and line.event is not event:
                continue
            if self._may(place, line):
                yield line

    def _may(self, place: int, line: Line) -> bool:
        done = self.done.get(place, 0)
        if line.times is not None and done >= line.times:
            return False
        self.done[place] = done + 1
        return True


class Scripted(Strategy):
    """Do what the script says, when it says it."""

    def __init__(self, desk: Desk, params: StrategyParams, script: Script) -> None:
        """Act on ``script``."""
        super().__init__(desk, params)
        self.script = script

    def on_start(self) -> Intents:
        """Act on the lines of ``on = start``."""
        return self._all(self.script.occasions("start"))

    def on_bar(self, bar: Bar) -> Intents:
        """Act on the lines of this bar."""
        return self._all(self.script.due(bar, self.desk.symbols[0]), price=bar.close)

    def on_quote(self, quote: Quote) -> Intents:
        """Act on the lines of ``on = quote``."""
        return self._all(self.script.occasions("quote"))

    def on_tick(self, tick: Tick) -> Intents:
        """Act on the lines of ``on = tick``."""
        return self._all(self.script.occasions("tick"))

    def on_fill(self, fill: Fill) -> Intents:
        """Act on the lines of ``on = fill``."""
        return self._all(self.script.occasions("fill", fill.order_id))

    def on_order_rejected(self, decision: RiskDecision) -> Intents:
        """Act on the lines of ``on = refusal``."""
        return self._all(
            self.script.occasions("refusal", decision.intent_id), refused=decision.intent_id
        )

    # -- acting

    def _all(
        self, lines: Iterator[Line], *, price: float | None = None, refused: str = ""
    ) -> Intents:
        effects: list[Any] = []
        for line in lines:
            found = self._act(line, price, refused)
            if not isinstance(found, list):
                return cast("Intents", found)  # nonsense, as it is
            effects += found
        return effects or None

    def _act(self, line: Line, price: float | None, refused: str) -> Any:
        match line.do:
            case "open" | "reduce":
                return [self._intent(line, line.tag, price)]
            case "cancel":
                return [self._cancel(line)]
            case "resubmit":
                return self._resubmit(refused, price)
            case "repeat":
                intent = self.script.by_tag.get(line.tag)
                return [] if intent is None else [intent]
            case "raise":
                raise ScriptedFailure(line.error)
            case _:
                return self._nonsense(line)

    def _intent(self, line: Line, tag: str, price: float | None) -> Intent:
        assert line.side is not None, "the model asks for it"
        assert line.quantity is not None, "the model asks for it"
        desk = self.desk
        make = desk.open if line.do == "open" else desk.reduce
        intent: Intent = make(
            line.symbol or desk.symbols[0],
            line.side,
            line.quantity,
            position_side=line.position_side,
            policy=self._policy(line),
            decision_price=price,
            valid_until=None if line.valid_for is None else desk.now + line.valid_for,
            tag=tag,
        )
        if line.planned_stop is not None or line.planned_target is not None:
            intent = msgspec.structs.replace(
                intent, planned_stop=line.planned_stop, planned_target=line.planned_target
            )
        self._note(intent, line, tag)
        return intent

    def _note(self, intent: Intent, line: Line, tag: str) -> None:
        self.script.line_of[intent.intent_id] = line
        if tag:
            self.script.by_tag[tag] = intent
            self.script.tags[intent.intent_id] = tag

    def _policy(self, line: Line) -> ExecutionPolicy:
        policy = line.policy
        return ExecutionPolicy(
            policy.order_type,
            policy.time_in_force,
            policy.post_only,
            policy.limit_price,
            policy.stop_price,
            policy.trail_bps,
            None if policy.expire_in is None else self.desk.now + policy.expire_in,
        )

    def _cancel(self, line: Line) -> CancelIntent:
        symbol = line.symbol or self.desk.symbols[0]
        if not line.tag:
            return self.desk.cancel(symbol)
        meant = self.script.by_tag.get(line.tag)
        return self.desk.cancel(symbol, line.tag if meant is None else meant.intent_id)

    def _resubmit(self, refused: str, price: float | None) -> list[Intent]:
        line = self.script.line_of.get(refused)
        if line is None:
            return []
        number = self.script.again[line.tag] = self.script.again.get(line.tag, 0) + 1
        return [self._intent(line, f"{line.tag}+{number}" if line.tag else "", price)]

    def _nonsense(self, line: Line) -> Any:
        desk, symbol = self.desk, line.symbol or self.desk.symbols[0]
        if line.what is Nonsense.TEXT:
            return ["buy everything"]
        if line.what is Nonsense.NOT_ITERABLE:
            return 42
        if line.what is Nonsense.ENDLESS:
            return (desk.open(symbol, Side.BUY, Decimal(1)) for _ in count())
        if line.what is Nonsense.HOLD:
            return [HoldPlaced(Hold("mine", "nonsense", HoldMode.REFUSE, "me", 0, EVERYTHING))]
        if line.what is Nonsense.APPROVED_ORDER:
            return [ApprovedOpen(_request(desk, symbol))]
        intent = desk.open(symbol, Side.BUY, Decimal(1))
        return [msgspec.structs.replace(intent, **WRONG[line.what])]


WRONG: dict[Nonsense, dict[str, Any]] = {
    Nonsense.FLOAT_QUANTITY: {"quantity": 0.1},
    Nonsense.WRONG_SIDE: {"side": "buy"},
    Nonsense.OTHER_STRATEGY: {"strategy": "somebody-else"},
    Nonsense.OTHER_ID: {"intent_id": "another-1"},
}


class Watching(Scripted):
    """A scripted strategy that also wants to know every step of its orders."""

    def on_order_update(self, report: ExecutionReport) -> Intents:
        """Act on the lines of ``on = update``."""
        return self._all(self.script.occasions("update", report.order_id, report.event))


def scripted_class(lines: Sequence[Line]) -> type[Scripted]:
    """Return the class for a script: one that is told every step only if a line asks for it."""
    return Watching if any(line.on == "update" for line in lines) else Scripted


def _request(desk: Desk, symbol: str) -> OrderRequest:
    return OrderRequest(
        "mine",
        "tg-mine",
        desk.strategy,
        symbol,
        Side.BUY,
        PositionSide.BOTH,
        OrderType.MARKET,
        TimeInForce.GTC,
        Decimal(1),
        desk.now,
    )
