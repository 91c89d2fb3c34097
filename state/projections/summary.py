"""What a session came to: the values that every report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from messages import ReasonCode
from state.money import plain
from state.projections.execution_summary import ExecutionResult
from state.projections.safety_summary import HoldCount, HoldResult, SafetyResult
from state.projections.shadow_summary import ShadowResult
from state.projections.timestamps import iso_ms


class FactsInvalid(ValueError):
    """The runner gave facts that a summary has no place for."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What the runner knows and the journal does not say.

    ``data`` maps each input's name to its fingerprint, ``strategies`` each strategy's name to
    what it is (class and parameters). ``recovery`` has the seconds that the last start after an
    earlier process took to each phase. ``admission`` is that of a live or shadow session's last
    start: by whose leave it was, and where its orders went. Counts are ``None`` where nobody
    counted. The last group differs from run to run: it is printed and never written to a file of
    the session.
    """

    session_id: str = ""
    mode: str = ""
    seed: int | None = None
    config_sha256: str = ""
    code_version: str = ""
    strategies: dict[str, str] = {}
    data: dict[str, str] = {}
    synthetic: bool = False
    symbols: tuple[str, ...] = ()
    timeframe: str = ""
    first_bar_at: int | None = None
    last_bar_at: int | None = None
    bars: int | None = None
    quarantined_rows: int | None = None
    recovery: dict[str, float] = {}
    admission: dict[str, Any] = {}
    notes: tuple[str, ...] = ()

    folder: str = ""
    load_s: float | None = None
    wall_s: float | None = None
    bars_per_s: float | None = None


def run_facts(facts: Mapping[str, object]) -> RunFacts:
    """Return ``facts`` checked; raise ``FactsInvalid`` naming the one that is unknown or wrong."""
    try:
        return msgspec.convert(dict(facts), RunFacts)
    except msgspec.ValidationError as error:
        raise FactsInvalid(f"facts of a summary: {error}") from None


class AccountResult(msgspec.Struct, frozen=True):
    """
    One account, from its first mark to its last.

    ``max_drawdown`` is over the rows of ``account.csv``; ``max_drawdown_bars`` over every
    bar's close, where the session sampled that. ``exposure_share`` is the part of the time
    with any open position.
    """

    currency: str
    first_equity: Decimal
    cash: Decimal
    equity: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    return_share: Decimal | None
    max_drawdown: Decimal | None
    max_drawdown_bars: float | None
    exposure_share: float | None


class StrategyResult(msgspec.Struct, frozen=True):
    """
    One strategy. Wins and losses are closing fills by their realised profit, gross of fees.

    ``net_pnl`` is realised and unrealised profit, less fees in the account's currency, plus
    funding received. ``fees`` are by currency.
    """

    strategy: str
    orders: int
    refused: int
    fills: int
    volume: Decimal
    fees: dict[str, Decimal]
    funding: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    net_pnl: Decimal
    closing_fills: int
    wins: int
    losses: int
    gross_profit: Decimal
    gross_loss: Decimal
    best: Decimal | None
    worst: Decimal | None
    win_share: Decimal | None
    profit_factor: Decimal | None
    quarantined: bool


class PositionResult(msgspec.Struct, frozen=True):
    """A position still open at the end, at the last mark; ``None`` where there was no mark."""

    strategy: str
    symbol: str
    position_side: str
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal | None
    realized_pnl: Decimal
    unrealized_pnl: Decimal | None


class RefusalCount(msgspec.Struct, frozen=True):
    """How many orders ended in ``status`` for one reason, with the first of them."""

    status: str
    code: str
    count: int
    first_at: int
    first_order_id: str
    first_detail: str

    @property
    def meaning(self) -> str:
        """Return the code in words."""
        known = ReasonCode.__members__.get(self.code.upper())
        return known.meaning if known is not None else ""


class Incident(msgspec.Struct, frozen=True):
    """
    Something went wrong, or was not ours.

    ``kind`` is failed, restarted, quarantined, escalated, differed or adopted.
    """

    at: int
    kind: str
    actor: str
    text: str


class ActorResult(msgspec.Struct, frozen=True):
    """The life of one actor."""

    actor: str
    starts: int
    failures: int
    restarts: int


class DeadLetterCount(msgspec.Struct, frozen=True):
    """Messages of one type that one actor never handled, for one reason."""

    actor: str
    message_type: str
    reason: str
    count: int
    first_at: int
    first_detail: str


class GapCount(msgspec.Struct, frozen=True):
    """What was missing in one symbol's bars."""

    symbol: str
    gaps: int
    missing: int
    longest: int
    longest_after: int


class FillMark(msgspec.Struct, frozen=True, array_like=True):
    """One fill in a price chart: ``buy`` is 1 or 0."""

    at: int
    price: float
    buy: int
    quantity: str
    strategy: str


class SymbolChart(msgspec.Struct, frozen=True):
    """Price and fills of one symbol: all ``fills_total`` of them, or some, evenly chosen."""

    symbol: str
    prices: tuple[tuple[int, float], ...]
    fills: tuple[FillMark, ...]
    fills_total: int


class Charts(msgspec.Struct, frozen=True):
    """Every series, bounded: pairs of time and value. Statistics, therefore floats."""

    equity: tuple[tuple[int, float], ...]
    exposure: tuple[tuple[int, float], ...]
    symbols: tuple[SymbolChart, ...]
    symbols_total: int


class Summary(msgspec.Struct, frozen=True):
    """
    All of it. Lists are bounded; each ``..._total`` counts what there was.

    Everything but the last group of ``facts`` follows from the journal and the inputs, so two
    runs of the same session give equal summaries. ``outcome`` is empty if the journal does not
    say that the session ended.
    """

    facts: RunFacts
    started_at: int | None
    ended_at: int | None
    outcome: str
    exit_code: int | None
    accounts: tuple[AccountResult, ...]
    orders: dict[str, int]
    orders_total: int
    fills: int
    volume: Decimal
    refusals: tuple[RefusalCount, ...]
    executions: tuple[ExecutionResult, ...]
    shadow: tuple[ShadowResult, ...]
    strategies: tuple[StrategyResult, ...]
    positions: tuple[PositionResult, ...]
    holds: tuple[HoldResult, ...]
    holds_total: int
    holds_left_out: tuple[HoldCount, ...]
    safety: SafetyResult
    incidents: tuple[Incident, ...]
    incidents_total: int
    actors: tuple[ActorResult, ...]
    dead_letters: tuple[DeadLetterCount, ...]
    dead_letters_total: int
    gaps: tuple[GapCount, ...]
    reconciliations: int
    reconciliations_different: int
    charts: Charts
    opening_cash: Decimal | None = None
    """The money of the venue's account that the books began with, where it was not configured."""


def summary_json(summary: Summary) -> dict[str, Any]:
    """
    Return the summary as JSON-ready values: money as exact decimal text, times as ISO-8601.

    Charts are left out. What each strategy is stands under ``strategy_use``, what it did under
    ``strategies``; facts that differ from run to run stand apart, under ``run``.
    """
    document = {
        name: _jsonable(name, getattr(summary, name))
        for name in summary.__struct_fields__
        if name not in {"facts", "charts"}
    }
    facts = {
        name: _jsonable(name, getattr(summary.facts, name)) for name in RunFacts.__struct_fields__
    }
    facts["strategy_use"] = facts.pop("strategies")
    run = {name: facts.pop(name) for name in ("folder", "load_s", "wall_s", "bars_per_s")}
    return {**facts, **document, "run": run}


def _jsonable(name: str, value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, int) and (name.endswith("_at") or name in _TIMES):
        return iso_ms(value)
    if isinstance(value, msgspec.Struct):
        return {field: _jsonable(field, getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [_jsonable("", item) for item in value]
    if isinstance(value, dict):
        return {key: _jsonable("", item) for key, item in value.items()}
    return value


_TIMES = frozenset({"at", "since", "until", "longest_after"})
