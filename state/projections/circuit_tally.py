"""Circuits of tools, and symbols without fresh data: what failed, rested and came back."""

from __future__ import annotations

from messages import (
    CircuitClosed,
    CircuitHalfOpen,
    CircuitOpened,
    DataFresh,
    DataStale,
    ToolReport,
)
from state.projections.limits import OPENINGS_MAX, STALE_SYMBOLS_MAX, TOOLS_MAX
from state.projections.safety_summary import (
    CircuitOpening,
    CircuitResult,
    OpeningEnd,
    StaleResult,
)
from state.projections.series import BothEnds

OTHER = "(others)"

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"


class _Opening:
    """One opening of a circuit."""

    __slots__ = ("end", "ended_at", "half_open_at", "opened", "probes")

    def __init__(self, opened: CircuitOpened) -> None:
        self.opened = opened
        self.half_open_at: int | None = None
        self.probes = 0
        self.end = OpeningEnd.NOTHING
        self.ended_at: int | None = None

    def ends(self, end: OpeningEnd, at: int) -> None:
        self.end = end
        self.ended_at = at

    def result(self) -> CircuitOpening:
        opened = self.opened
        return CircuitOpening(
            opened.tool,
            opened.at,
            opened.reason,
            opened.failures,
            opened.openings,
            max(0, opened.until - opened.at),
            self.half_open_at,
            self.probes,
            self.end,
            self.ended_at,
        )


class _Tool:
    """Counts of one tool."""

    __slots__ = (
        "closings",
        "failures",
        "half_opens",
        "longest_pause_ms",
        "now",
        "openings",
        "paused_ms",
        "probes",
        "probes_failed",
        "rate_limits",
        "state",
    )

    def __init__(self) -> None:
        self.failures = self.rate_limits = 0
        self.openings = self.half_opens = self.closings = 0
        self.probes = self.probes_failed = 0
        self.paused_ms = self.longest_pause_ms = 0
        self.state = CLOSED
        self.now: _Opening | None = None


class CircuitTally:
    """Count by tool, for the first tools that come, and keep the first and newest openings."""

    def __init__(self) -> None:
        self._tools: dict[str, _Tool] = {}
        self._openings: BothEnds[_Opening] = BothEnds(OPENINGS_MAX)

    @property
    def openings_total(self) -> int:
        """Return how often a circuit opened."""
        return self._openings.count

    def on_report(self, report: ToolReport) -> None:
        """Count how a call went; a tool that only works is nothing to tell of."""
        limited = report.retry_after_ms is not None
        if report.ok and not limited and not report.probe:
            return
        tool = self._tool(report.tool)
        if limited:
            tool.rate_limits += 1
        elif not report.ok:
            tool.failures += 1
        if report.probe:
            tool.probes += 1
            tool.probes_failed += not report.ok
            if tool.now is not None:
                tool.now.probes += 1

    def on_opened(self, opened: CircuitOpened) -> None:
        """Note an opening; it ends the one before it, if that was not closed."""
        tool = self._tool(opened.tool)
        if tool.now is not None:
            tool.now.ends(OpeningEnd.OPENED_AGAIN, opened.at)
        tool.now = _Opening(opened)
        self._openings.append(tool.now)
        pause_ms = max(0, opened.until - opened.at)
        tool.openings += 1
        tool.paused_ms += pause_ms
        tool.longest_pause_ms = max(tool.longest_pause_ms, pause_ms)
        tool.state = OPEN

    def on_half_open(self, half_open: CircuitHalfOpen) -> None:
        """Note that a pause is over."""
        tool = self._tool(half_open.tool)
        tool.half_opens += 1
        tool.state = HALF_OPEN
        if tool.now is not None:
            tool.now.half_open_at = half_open.at

    def on_closed(self, closed: CircuitClosed) -> None:
        """Note that a tool works again."""
        tool = self._tool(closed.tool)
        tool.closings += 1
        tool.state = CLOSED
        if tool.now is not None:
            tool.now.ends(OpeningEnd.CLOSED, closed.at)
            tool.now = None

    def tools(self) -> tuple[CircuitResult, ...]:
        """Return the tools with any trouble, sorted."""
        return tuple(
            CircuitResult(
                name,
                tool.failures,
                tool.rate_limits,
                tool.openings,
                tool.half_opens,
                tool.probes,
                tool.probes_failed,
                tool.closings,
                tool.paused_ms,
                tool.longest_pause_ms,
                tool.state,
            )
            for name, tool in sorted(self._tools.items())
        )

    def openings(self) -> tuple[CircuitOpening, ...]:
        """Return the openings that are kept, in order."""
        return tuple(opening.result() for opening in self._openings.items)

    def _tool(self, name: str) -> _Tool:
        if name not in self._tools and len(self._tools) >= TOOLS_MAX:
            name = OTHER
        return self._tools.setdefault(name, _Tool())


class _Symbol:
    """Stale times of one symbol."""

    __slots__ = ("longest_at", "longest_ms", "silent", "since", "spans", "total_ms")

    def __init__(self) -> None:
        self.spans = self.silent = 0
        self.total_ms = self.longest_ms = self.longest_at = 0
        self.since: int | None = None

    def ended(self, at: int, stale_ms: int) -> None:
        self.total_ms += stale_ms
        if stale_ms >= self.longest_ms:
            self.longest_ms, self.longest_at = stale_ms, at - stale_ms
        self.since = None


class StaleTally:
    """Count stale times by symbol, for the first symbols that come; the rest stand together."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol] = {}

    def on_stale(self, stale: DataStale) -> None:
        """Note that a symbol's data is too old."""
        symbol = self._symbol(stale.symbol)
        symbol.spans += 1
        symbol.silent += stale.silent
        symbol.since = stale.at

    def on_fresh(self, fresh: DataFresh) -> None:
        """Note that it has data again, also of one that was stale before the session."""
        symbol = self._symbol(fresh.symbol)
        if symbol.since is None:
            symbol.spans += 1
        symbol.ended(fresh.at, fresh.stale_ms)

    def results(self, ended_at: int | None) -> tuple[StaleResult, ...]:
        """Return the symbols, sorted; what is still stale counts up to ``ended_at``."""
        found = []
        for name, symbol in sorted(self._symbols.items()):
            total_ms, longest_ms, longest_at = symbol.total_ms, symbol.longest_ms, symbol.longest_at
            if symbol.since is not None:
                open_ms = max(0, (ended_at or symbol.since) - symbol.since)
                total_ms += open_ms
                if open_ms >= longest_ms:
                    longest_ms, longest_at = open_ms, symbol.since
            found.append(
                StaleResult(
                    name,
                    symbol.spans,
                    symbol.silent,
                    total_ms,
                    longest_ms,
                    longest_at,
                    symbol.since,
                )
            )
        return tuple(found)

    def _symbol(self, name: str) -> _Symbol:
        if name not in self._symbols and len(self._symbols) >= STALE_SYMBOLS_MAX:
            name = OTHER
        return self._symbols.setdefault(name, _Symbol())
