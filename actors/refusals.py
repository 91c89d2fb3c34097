"""What did not become a trade lately, by symbol: the memory that ``explain`` answers from."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.runtime.limits import REFUSALS_KEPT
from messages import Cause, ExecutionReport, IntentEnded, RiskDecision
from state.projections import iso_ms


class Refusal:
    """One kind of refusal of one strategy, as often as it has come in a row."""

    __slots__ = ("at", "causes", "count", "strategy", "what")

    def __init__(
        self, what: str, strategy: str, causes: tuple[Cause, ...], at: int, count: int = 1
    ) -> None:
        """Note the first one, or so many."""
        self.what = what
        self.strategy = strategy
        self.causes = causes
        self.at = at
        self.count = count

    def __str__(self) -> str:
        """Return it as an operator reads it."""
        often = f", {self.count} times" if self.count > 1 else ""
        causes = "; ".join(str(cause) for cause in self.causes)
        return f"{self.what} of {self.strategy}{often}, last at {iso_ms(self.at)}: {causes}"


class Refusals:
    """The newest refusals of each symbol, and a count of all by reason code."""

    def __init__(self) -> None:
        """Begin empty."""
        self.counts: Counter[str] = Counter()
        self.changes = 0
        """How often anything was noted: who keeps a copy sees by it when to make a new one."""
        self._by_symbol: dict[str, deque[Refusal]] = {}

    def record_decision(self, decision: RiskDecision) -> None:
        """Note an intent that Risk refused."""
        self._note(
            "intent refused",
            decision.strategy,
            decision.symbol,
            decision.causes,
            decision.decided_at,
        )

    def record_report(self, report: ExecutionReport) -> None:
        """Note an order that was suppressed, rejected, cancelled or is in doubt, with its cause."""
        assert report.cause is not None, "only what has a cause is a refusal"
        what = f"order {report.event.value}"
        self._note(what, report.strategy, report.symbol, (report.cause,), report.timestamp)

    def record_end(self, ended: IntentEnded) -> None:
        """Note an intent whose policy permits more than one order, and that came short."""
        assert ended.cause is not None, "only what has a cause is a refusal"
        self._note("intent ended short", ended.strategy, ended.symbol, (ended.cause,), ended.at)

    def snapshot(self) -> dict[str, Any]:
        """Return all that is remembered, JSON-ready."""
        return {
            "counts": dict(self.counts),
            "kept": {
                symbol: [
                    [
                        refusal.what,
                        refusal.strategy,
                        msgspec.to_builtins(refusal.causes),
                        refusal.at,
                        refusal.count,
                    ]
                    for refusal in kept
                ]
                for symbol, kept in self._by_symbol.items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what ``snapshot`` gave."""
        self.counts = Counter(state["counts"])
        self._by_symbol = {
            symbol: deque(
                (
                    Refusal(what, strategy, msgspec.convert(causes, tuple[Cause, ...]), at, count)
                    for what, strategy, causes, at, count in kept
                ),
                maxlen=REFUSALS_KEPT,
            )
            for symbol, kept in state["kept"].items()
        }

    def of(self, symbol: str) -> list[Refusal]:
        """Return what is remembered of a symbol, newest first."""
        return list(reversed(self._by_symbol.get(symbol, ())))

    def _note(
        self, what: str, strategy: str, symbol: str, causes: tuple[Cause, ...], at: int
    ) -> None:
        self.changes += 1
        for cause in causes:
            self.counts[cause.code.value] += 1
        kept = self._by_symbol.get(symbol)
        if kept is None:
            kept = self._by_symbol[symbol] = deque(maxlen=REFUSALS_KEPT)
        codes = [cause.code for cause in causes]
        if kept:
            last = kept[-1]
            same = last.what == what and last.strategy == strategy
            if same and [cause.code for cause in last.causes] == codes:
                last.count += 1
                last.at = at
                last.causes = causes
                return
        kept.append(Refusal(what, strategy, causes, at))
