"""The whole scenario file, and its JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from actors.settings import (
    ExecutionSettings,
    HealthSettings,
    ReconciliationSettings,
    RiskSettings,
)
from scenarios.model.base import Offset, Table
from scenarios.model.expect import Expectation
from scenarios.model.market import Market
from scenarios.model.session import FeedTable, SessionTable, StrategyTable, UniverseTable
from scenarios.model.steps import Step
from state.instruments import InstrumentTable


class Scenario(Table):
    """A rehearsal: a market, strategies, what happens to them, and what is expected."""

    schema_: str | None = Field(None, alias="$schema", description="for editors; not read")
    scenario: str = Field(min_length=1, description="one sentence: what is shown")
    why: str = Field("", description="why it matters")
    session: SessionTable = Field(SessionTable(), description="the account, the venue, the time")
    risk: RiskSettings = Field(
        RiskSettings(), description="limits, as [in the configuration](configuration.md#risk)"
    )
    execution: ExecutionSettings = Field(
        ExecutionSettings(),
        description="lost answers, as [in the configuration](configuration.md#execution)",
    )
    reconciliation: ReconciliationSettings | None = Field(
        None,
        description="as [in the configuration](configuration.md#reconciliation), of a venue "
        "elsewhere; without it every difference is refused, and looked for by occasion only",
    )
    health: HealthSettings | None = Field(
        None,
        description="as [in the configuration](configuration.md#health); given, Health watches",
    )
    feed: FeedTable = Field(FeedTable(), description="what of `[feed]` matters")
    universe: UniverseTable = Field(UniverseTable(), description="what of `[universe]` matters")
    instruments: dict[str, InstrumentTable] = Field(
        default_factory=dict,
        description="rules of symbols: [instrument files](../how-to/instruments-and-limits.md)",
    )
    strategies: tuple[StrategyTable, ...] = Field(min_length=1, description="who trades")
    market: dict[str, Market] = Field(min_length=1, description="bars by symbol")
    steps: tuple[Step, ...] = Field((), description="what happens")
    lasts: Offset | None = Field(
        None, description="how long the session goes on (default: to the last bar and step)"
    )
    expect: tuple[Expectation, ...] = Field(min_length=1, description="what must come of it")

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        names = [strategy.name for strategy in self.strategies]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"strategies: the name {name!r} is given twice")
        for place, step in enumerate(self.steps):
            if self.session.mode == "replay" and step.goes_on:
                raise ValueError(
                    f"steps[{place}].{step.kind}.new: missing, and needed: nobody can go on with a "
                    "replay"
                )
        for place, strategy in enumerate(self.strategies):
            asked = [*strategy.symbols, *(line.symbol for line in strategy.script if line.symbol)]
            for symbol in asked:
                if symbol not in self.market:
                    raise ValueError(
                        f"strategies[{place}]: {symbol} has no market; "
                        f"expected one of: {', '.join(self.market)}"
                    )
        return self


def json_schema() -> dict[str, Any]:
    """Return the published JSON Schema of a scenario file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tidegate scenario",
        **Scenario.model_json_schema(by_alias=True),
    }
