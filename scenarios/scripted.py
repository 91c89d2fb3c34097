"""
The built-in strategy whose intents are scripted.

It decides by the number or the time of a bar and by what happens to its orders, never by prices.
Its script belongs to the scenario: counts and tags outlive its incarnations and its sessions. What
a power cut takes from the journal it takes from them too: such a line is still to be acted on.
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
    IntentEnded,
    OpenIntent,
    OrderRequest,
    OrderType,
    PlanIntent,
    PositionSide,
    Quote,
    Rollback,
    Side,
    Tick,
    TimeInForce,
)
from scenarios.model.script import OPENS, BackoffTable, Line, Nonsense
from scenarios.policies import backoff_of, plan_of, policy_of
from strategies import Desk, Strategy, StrategyParams
from strategies.backoff import StrategyRejectionBackoff
from strategies.contract import Intents, Rejection


class ScriptedFailure(Exception):
    """What a script raises when it is told to."""


@dataclass(slots=True)
class Script:
    """One scripted strategy's lines, and what became of them."""

    lines: Sequence[Line]
    start_ms: int
    timeframe_ms: int
    backoff: BackoffTable | None = None
    done: dict[int, int] = field(default_factory=dict)
    by_tag: dict[str, Intent] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    line_of: dict[str, Line] = field(default_factory=dict)
    again: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    _durable: tuple[dict[Any, Any], ...] = ()

    @property
    def _memory(self) -> tuple[dict[Any, Any], ...]:
        return (self.done, self.by_tag, self.tags, self.line_of, self.again, self.asked)

    def keep(self) -> None:
        """Let what is remembered now be durable."""
        self._durable = tuple(dict(each) for each in self._memory)

    def forget(self) -> None:
        """Go back to what is durable."""
        kept = self._durable or tuple({} for _ in self._memory)
        for memory, durable in zip(self._memory, kept, strict=True):
            memory.clear()
            memory.update(durable)

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

    def on_order_rejected(self, rejection: Rejection) -> Intents:
        """Act on the lines of ``on = refusal``."""
        if rejection.by == "venue":
            return None  # an update of its order: see ``on = update``
        name = rejection.intent_id
        return self._all(self.script.occasions("refusal", name), refused=name)

    def on_intent_ended(self, ended: IntentEnded) -> Intents:
        """Act on the lines of ``on = end``."""
        return self._all(self.script.occasions("end", ended.intent_id))

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
            case "update_plan":
                return [self._plan(line)]
            case "pause_trading":
                assert line.pause_for is not None, "the model asks for it"
                until = self.desk.now + line.pause_for
                return [self.desk.pause(until, line.error, symbol=line.symbol or "")]
            case "cancel":
                return [self._cancel(line)]
            case "resubmit":
                return self._resubmit(refused, price)
            case "repeat":
                intent = self.script.by_tag.get(line.tag)
                return [] if intent is None else [intent]
            case "raise":
                raise ScriptedFailure(line.error)
            case "nonsense":
                return self._nonsense(line)
            case _:
                return [self._intent(line, line.tag, price)]

    def _intent(self, line: Line, tag: str, price: float | None) -> Intent:
        desk = self.desk
        symbol = line.symbol or desk.symbols[0]
        terms: dict[str, Any] = {
            "position_side": line.position_side,
            "policy": self._policy(line),
            "decision_price": price,
            "valid_until": None if line.valid_for is None else desk.now + line.valid_for,
            "tag": tag,
        }
        intent: Intent
        if line.do in OPENS:
            assert line.side is not None, "the model asks for it"
            make = desk.open if line.do == "open" else desk.add
            intent = make(
                symbol,
                line.side,
                line.quantity,
                notional=line.notional,
                planned_stop=line.planned_stop,
                planned_target=line.planned_target,
                **terms,
            )
        else:
            intent = self._reducing(line, symbol, terms)
        book = f"{symbol} {line.position_side.value}"
        self.script.asked[book] = self.script.asked.get(book, 0) + 1
        self._note(intent, line, tag)
        return intent

    def _reducing(self, line: Line, symbol: str, terms: dict[str, Any]) -> Intent:
        desk, quantity = self.desk, line.quantity
        if line.replaces:
            terms["replaces"] = self.script.by_tag[line.replaces].intent_id
        match line.do:
            case "close":
                return desk.close(symbol, **terms)
            case "partial_close":
                assert quantity is not None, "the model asks for it"
                return desk.partial_close(symbol, quantity, **terms)
            case "set_stop":
                assert line.price is not None, "the model asks for it"
                terms["policy"] = _of_kind(terms["policy"], OrderType.STOP)
                return desk.set_stop(symbol, line.price, quantity, **terms)
            case "set_take_profit":
                assert line.price is not None, "the model asks for it"
                terms["policy"] = _of_kind(terms["policy"], OrderType.LIMIT)
                return desk.set_take_profit(symbol, line.price, quantity, **terms)
            case "trail":
                assert line.trail_bps is not None, "the model asks for it"
                terms["policy"] = _of_kind(terms["policy"], OrderType.TRAILING_STOP)
                return desk.trail(symbol, line.trail_bps, quantity, **terms)
            case _:
                assert line.side is not None, "the model asks for it"
                return desk.reduce(symbol, line.side, quantity, notional=line.notional, **terms)

    def _note(self, intent: Intent, line: Line, tag: str) -> None:
        self.script.line_of[intent.intent_id] = line
        if tag:
            self.script.by_tag[tag] = intent
            self.script.tags[intent.intent_id] = tag

    def _policy(self, line: Line) -> ExecutionPolicy:
        return policy_of(line.policy, self.desk.now)

    def _plan(self, line: Line) -> PlanIntent:
        symbol = line.symbol or self.desk.symbols[0]
        plan = plan_of(line.plan, self.desk.now)
        return self.desk.update_plan(symbol, plan, position_side=line.position_side, tag=line.tag)

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


def _of_kind(policy: ExecutionPolicy, kind: OrderType) -> ExecutionPolicy:
    """Return a policy with the action's own kind of order where the line names none."""
    if policy.order_type is not OrderType.MARKET:
        return policy
    return msgspec.structs.replace(policy, order_type=kind)


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


class Counting(Scripted):
    """A scripted strategy with a state of its books: what a rollback takes back."""

    def book_state(self, symbol: str, position_side: PositionSide) -> Any:
        """Return how many intents of the book were made: what a rollback takes back."""
        return self.script.asked.get(f"{symbol} {position_side.value}", 0)

    def restore_book(self, symbol: str, position_side: PositionSide, state: Any) -> None:
        """Take the count back."""
        self.script.asked[f"{symbol} {position_side.value}"] = state


class Braking(Scripted):
    """A scripted strategy with brakes of its own."""

    def __init__(self, desk: Desk, params: StrategyParams, script: Script) -> None:
        """Act on ``script``, with its backoff."""
        super().__init__(desk, params, script)
        table = script.backoff
        self._backoff = None if table is None else backoff_of(table)

    def execution_backoff(self) -> StrategyRejectionBackoff | None:
        """Return the backoff that the scenario gave it."""
        return self._backoff

    def can_submit_order(self, intent: OpenIntent) -> str | None:
        """Return what its line says against it."""
        line = self.script.line_of.get(intent.intent_id)
        return None if line is None else line.withhold or None


class Planning(Scripted):
    """A scripted strategy that hands in plans."""

    uses_plans = True


def scripted_class(script: Script) -> type[Scripted]:
    """Return the class for a script: it has what one of its lines asks for, and no more."""
    lines = script.lines
    bases: list[type] = []
    if any(line.on == "update" for line in lines):
        bases.append(Watching)
    if any(line.policy.rollback is not Rollback.NEVER for line in lines):
        bases.append(Counting)
    if script.backoff is not None or any(line.withhold for line in lines):
        bases.append(Braking)
    if any(line.do == "update_plan" for line in lines):
        bases.append(Planning)
    return type("Scripted", tuple(bases), {}) if bases else Scripted


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
