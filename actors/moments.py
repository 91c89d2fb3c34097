"""
What happens at one moment of a session, each thing after what it follows from.

One turn, for the bars of one timestamp: timers that are due before; the venue matches resting
orders against the bars, from their open; the closes become the marks; strategies decide at
the close, each decision followed to its end; what was journaled is committed and sent.

What comes between bars (quotes, trades, funding, timers) happens likewise: to the venue first,
then to the strategies. What the venue answers follows from whatever it was shown just then.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.assembly import Assembly
from actors.health import NOTHING_STALE
from actors.runtime import Cell, Origin
from brokers.contract import News
from feeds.contract import Group
from messages import Bar, FundingRate, FundingSettled, Message, MinimumOrder, Quote, Tick
from state.journal import JournalWriter
from state.money import exact


class Moments:
    """Let moments happen, one after the other; whoever drives them says when."""

    def __init__(self, assembly: Assembly, journal: JournalWriter, *, alone: bool) -> None:
        """Happen to ``assembly``; its feed brings one symbol ``alone``, or several."""
        self.assembly = assembly
        self.journal = journal
        self._origin: Origin = None
        # What every turn needs, one attribute away.
        self._clock = assembly.clock
        self._working = assembly.broker.working
        self._kept = assembly.books.brackets.kept
        self._last = assembly.board.last
        self._readers = assembly.readers
        self._alone = alone
        self._dispatcher = assembly.dispatcher
        self._deliver_to = assembly.dispatcher.deliver
        self._track = assembly.track
        self._kill = assembly.kill
        health = assembly.health
        self._stale = NOTHING_STALE if health is None else health.stale
        self._fresh = None if health is None else health.fresh
        limited = assembly.core.risk_memory.watch is not None
        self._observe_account = assembly.core.observe_account if limited else None

    def turn(self, group: Group, at: int) -> None:
        """
        Let the moment ``at``, when the bars of ``group`` close, happen up to its commits.

        ``dispatcher.pending`` is true afterwards exactly if something is left to settle.
        """
        clock = self._clock
        if at > clock.now:
            clock.now = at
        if self._stale and self._fresh is not None:
            self._fresh(group)
        if self._working:
            self._match(group)
        if self._kept:
            self._touch(group)
        last = self._last
        deliver = self._deliver_to
        if self._alone:
            bar = group[0]
            last[bar.symbol] = bar
            if self._observe_account is not None:
                self._observe_account(at)
            for cell in self._readers[bar.symbol]:
                deliver(cell, bar, bar)
        else:
            # All closes become marks before anybody decides by one of them.
            for bar in group:
                last[bar.symbol] = bar
            if self._observe_account is not None:
                self._observe_account(at)
            readers = self._readers
            for bar in group:
                for cell in readers[bar.symbol]:
                    deliver(cell, bar, bar)
        track = self._track
        if track.holdings or at >= track.due:
            track.close(at, last)

    def observe(self, data: Quote | Tick | FundingRate) -> None:
        """Let what comes between bars happen: to the venue first, then to the strategies."""
        assembly = self.assembly
        board = assembly.board
        if isinstance(data, FundingRate):
            board.funding[data.symbol] = data
            self._settle_funding(data)
            return
        self._origin = data
        if isinstance(data, Quote):
            board.quotes[data.symbol] = data
            assembly.broker.on_quote(data)
        else:
            assembly.broker.on_tick(data)
        self._origin = None
        self._dispatcher.settle()
        if self._kept:
            self._touch((data,))
        for cell in self._readers[data.symbol]:
            self._deliver_to(cell, data, data)

    def _touch(self, seen: Iterable[Bar | Quote | Tick]) -> None:
        """Show Execution the prices that take-profits wait for which cannot rest at the venue."""
        for data in seen:
            if self.assembly.books.brackets.watches(data.symbol):
                self._dispatcher.tell(self.assembly.execution_cell, data, data)
        self._dispatcher.settle()

    def change_minimum(self, minimum: MinimumOrder) -> None:
        """Let the venue ask for another least order, and tell everybody."""
        self.assembly.broker.set_minimum(minimum)
        self._dispatcher.publish("broker", minimum)
        self._dispatcher.settle()

    def _settle_funding(self, data: FundingRate) -> None:
        assembly = self.assembly
        mark = assembly.board.mark(data.symbol)
        if mark is None:
            return  # nothing has traded, so nobody holds anything
        assembly.broker.on_funding(data, mark)
        settled = FundingSettled(data.symbol, data.timestamp, exact(data.rate), mark)
        self._dispatcher.tell(assembly.execution_cell, settled, data)
        self._dispatcher.settle()

    def listen(self) -> None:
        """Run errands between the messages of a turn too: commands do not wait for slow ones."""
        errands = self._dispatcher.errands
        run_errands = self._dispatcher.run_errands
        deliver = self._dispatcher.deliver

        def deliver_listening(cell: Cell, message: Message, origin: Origin) -> None:
            if errands:
                run_errands()
            deliver(cell, message, origin)

        self._deliver_to = deliver_listening

    def _match(self, group: Group) -> None:
        assembly = self.assembly
        board = assembly.board
        working = self._working
        broker = assembly.broker
        settle = self._dispatcher.settle
        # What the venue does by itself follows from the clock or the bar, not from a handler.
        self._origin = "clock"
        broker.on_time(group[0].timestamp)
        self._origin = None
        settle()
        board.opening(group)
        for bar in group:
            if bar.symbol in working:
                self._origin = bar
                broker.on_bar(bar)
                self._origin = None
                settle()
        board.closed()

    def fire_next(self, until: int) -> bool:
        """Fire the earliest timer not later than ``until``, at its time; return whether one was."""
        due = self._clock.pop_due(until)
        if due is None:
            return False
        at, callback = due
        self._clock.advance(at)
        callback(at)
        self._dispatcher.settle()
        return True

    def _deliver(self, news: News) -> None:
        assembly = self.assembly
        if self._kill.running:
            self._kill.look_soon()
        if self._origin is None:  # the broker answers a handler that is running
            assembly.dispatcher.tell_what_follows(assembly.execution_cell, news)
        else:
            assembly.dispatcher.tell(assembly.execution_cell, news, self._origin)

    def _arrived(self, news: News) -> None:
        """Take what a venue elsewhere says: its entry is the journal's last, and its cause."""
        assembly = self.assembly
        if self._kill.running:
            self._kill.look_soon()
        assembly.dispatcher.tell(assembly.execution_cell, news, self.journal.seq)
