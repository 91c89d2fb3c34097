"""
What a session keeps beside its journal, and how the next process goes on with it.

Theory of operation. The journal says what happened: orders, fills, money, holds. It does not say
what a strategy remembers, how far a pursuit is, or which bars led to nothing. That is in *states*,
one for each part of the session, which the journal writes in the transaction of the entries after
which they hold. A batch is taken between two handlers, never within one, so the two always belong
together: what the disk has after a crash is the session as it was at one moment.

To go on is therefore no case of its own. Books and holds are folded from the entries, beginning
with the newest facts that were kept (see ``state.fact_snapshots``), every part
takes its state back, what was on its way is handed over again, and every actor starts as after any
other failure: as a new incarnation over what outlives one. Only what lies between the last batch
and the end of the process is unknown. Here that is nothing but orders whose records were written
and which may have been sent: they are in doubt, and the venue is asked. Bars since then are read
again; had any of them led to an event, there would be a later batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.commands import QUARANTINE_HOLDS
from actors.places import Place
from actors.runtime import Cell
from actors.runtime.backlog import Backlog
from actors.runtime.interrupt import HandlerStuck
from actors.runtime.limits import CHART_KEPT_EVERY
from actors.strategy import StrategyActor
from actors.strategy.house import state_of
from brokers.contract import Acquaintance
from messages import (
    Bar,
    Fill,
    FundingRate,
    Message,
    PositionSide,
    Quote,
    VenueOrder,
    VenueReport,
    VenueTrades,
    message_types,
)
from state.fact_snapshots import FACTS_PART, FactsKeeper
from state.facts import Facts
from state.precedence import Precedence

if TYPE_CHECKING:
    from actors.turns import Session

STATES_VERSION: Final = 1
"""Version of the form of the states; a session of another one cannot be gone on with."""

STRATEGY_PARTS: Final = "strategy:"
"""How the names of the parts begin that are a strategy's, as those of their actors do."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class StatesUnknown(Exception):
    """A session's states cannot be gone on with; the message says why."""


class StatesDamaged(StatesUnknown):
    """What the journal has as a state is none; the message names the part."""


class Recorded:
    """What an earlier process left of a session: its facts, and its parts' states."""

    def __init__(self, facts: Facts, states: Mapping[str, bytes]) -> None:
        """
        Take what was read.

        Raises ``StatesUnknown`` for states of another form, or none; ``StatesDamaged``.
        """
        if "session" not in states:
            raise StatesUnknown("the session kept no states: it cannot be gone on with")
        self.facts = facts
        self.parts: dict[str, Any] = {name: _state(name, text) for name, text in states.items()}
        found = self.parts["session"].get("version")
        if found != STATES_VERSION:
            raise StatesUnknown(f"states of version {found}, expected {STATES_VERSION}")

    @property
    def clock(self) -> int:
        """Return the session's time when it was left, int ms UTC."""
        return int(self.parts["session"]["clock"])

    @property
    def place(self) -> Place | None:
        """Return where in the session that was; ``None`` where an older Tidegate did not say."""
        return Place.of(self.parts["session"].get("place", ""))

    @property
    def last_bar_at(self) -> int:
        """Return when the newest bar that was taken opened, -1 for none."""
        return max((bar["timestamp"] for bar in self.parts["session"]["last"]), default=-1)


def _state(name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # of JSON, and of UTF-8
        raise StatesDamaged(f"the state of {name} is damaged: {error}") from None


class Keeper:
    """Returns the states of a session's parts, those that may have changed since the last call."""

    def __init__(
        self,
        session: Session,
        *,
        charted: int = -1,
        charts: bytes | None = None,
        kept: tuple[int, ...] = (),
        facts: FactsKeeper | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        """
        Keep the parts of ``session``, whose charts were kept after turn ``charted``.

        With the ``charts`` that they were then, these are its charts, and no others fall due; and
        the strategies' states are those of the times at which they were ``kept``, in their order.
        With them go the facts that ``facts`` has folded, whenever they are due. What is long and
        only due now and then, these and the charts, waits for a batch that no order waits for: as
        long again as it takes to fall due, and no longer.
        """
        self._session = session
        self._precedence = precedence or Precedence()
        self._facts = facts
        self._seen: dict[str, tuple[int, int]] = {}
        self._unready: set[str] = set()
        self._charted = charted
        self._charts = charts
        names = session.assembly.strategy_cells
        self._kept = dict(zip((cell.name for cell in names.values()), kept, strict=False))
        self._taken_at: dict[str, int] = {}
        self._refused = -1

    def states(self) -> Mapping[str, bytes | None]:
        """Return (part, state); for the journal, between two handlers."""
        session = self._session
        if session.left is not None:
            return {**session.left, **self._facts_due(patient=False)}
        assembly = session.assembly
        patient = not self._precedence.is_clear
        if self._charts is not None:
            charts: bytes | None = self._charts
        elif session.turns >= self._charted + CHART_KEPT_EVERY * (1 + patient) or self._charted < 0:
            self._charted = session.turns
            charts = _encode(assembly.track.charts())
        else:
            charts = None
        strategies = {
            cell.name: text
            for cell in assembly.strategy_cells.values()
            if (text := self._of_strategy(cell)) is not None
        }
        found: dict[str, bytes | None] = {
            "session": _encode(self._of_session()),
            "execution": _encode(assembly.books.snapshot()),
            "risk": _encode(assembly.core.risk_memory.snapshot()),
            "venue": _encode(assembly.broker.snapshot(ends=False)),
            "account": _encode(assembly.track.snapshot()),
            "kill": _encode(assembly.kill.snapshot()),
        }
        if assembly.health is not None:
            found["health"] = _encode(assembly.health.state.circuits.export())
        if charts is not None:
            found["charts"] = charts
        found.update(self._facts_due(patient=patient))
        if assembly.refusals.changes != self._refused:
            self._refused = assembly.refusals.changes
            found["refusals"] = _encode(assembly.refusals.snapshot())
        return {**found, **strategies}

    def _facts_due(self, *, patient: bool) -> dict[str, bytes]:
        snapshot = None if self._facts is None else self._facts.due(patient=patient)
        return {} if snapshot is None else {FACTS_PART: snapshot}

    def _of_session(self) -> dict[str, Any]:
        session = self._session
        assembly = session.assembly
        board = assembly.board
        return {
            "version": STATES_VERSION,
            "clock": assembly.clock.now,
            "place": str(session.place.left(assembly.clock.now, self._charted, self._times())),
            "turns": session.turns,
            "bars": session.bars,
            "first_bar_at": session.first_bar_at,
            "last": list(board.last.values()),
            "quotes": list(board.quotes.values()),
            "funding": list(board.funding.values()),
            "backlog": assembly.dispatcher.backlog()._asdict(),
        }

    def _times(self) -> tuple[int, ...]:
        """Return when each strategy's state was kept last, 0 for never."""
        cells = self._session.assembly.strategy_cells.values()
        return tuple(self._taken_at.get(cell.name, 0) for cell in cells)

    def _kept_at(self, cell: Cell) -> int:
        """Return what time it is for a strategy whose state is kept."""
        return self._kept.get(cell.name) or self._session.assembly.clock.now

    def _of_strategy(self, cell: Cell) -> bytes | None:
        """Return a strategy's state if it may have changed and can be had."""
        mark = (cell.incarnation + (not cell.runs), cell.handled + cell.dead + cell.refused)
        if self._seen.get(cell.name) == mark:
            return None
        if not cell.is_whole:
            self._seen[cell.name] = mark
            return self._between_incarnations(cell)
        found: list[bytes] = []

        def keep(cell: Cell) -> None:
            if isinstance(cell.actor, StrategyActor):
                found.append(cell.actor.state().encode())

        assembly = self._session.assembly
        clock = assembly.clock
        now, at = clock.now, self._kept_at(cell)
        clock.now = at
        try:
            assembly.dispatcher.keep_state(cell, keep)
        except (Exception, HandlerStuck) as error:  # noqa: BLE001 - told to the supervisor
            failure = error
            assembly.dispatcher.when_idle(
                lambda: assembly.supervisor.actor_failed(cell, None, failure)
            )
            return None
        finally:
            clock.now = now
        self._seen[cell.name] = mark
        self._taken_at[cell.name] = at
        return found[0] if found else None

    def _between_incarnations(self, cell: Cell) -> bytes:
        """
        Return the state of a strategy that has failed: its next incarnation's, as without a crash.

        Its desk and plans have taken the news that it failed on; it itself goes back.
        """
        core = self._session.assembly.core
        name = cell.name.removeprefix(STRATEGY_PARTS)
        house = core.houses[name]
        saved = core.saved.get(name)
        own = None if saved is None else json.loads(saved)["strategy"]
        return state_of(house, own, house.memory.backoff, failed=True).encode()


def left_states(session: Session) -> Mapping[str, bytes]:
    """
    Return the states of every part of a session that is stopped, before it is brought to its end.

    They are what the disk has from here on: whoever goes on does so as after a process that died
    at this moment, and what the end itself does to actors and holds is nothing to go on from.
    """
    found = Keeper(session).states()
    return {part: text for part, text in found.items() if text is not None}


def restore(session: Session, recorded: Recorded) -> None:
    """
    Give a session that has not started what ``recorded`` says; its books have the facts already.

    The orders that may have been sent are in doubt from here on.
    """
    parts, facts = recorded.parts, recorded.facts
    assembly = session.assembly
    core = assembly.core
    whole = parts["session"]
    session.turns, session.bars = int(whole["turns"]), int(whole["bars"])
    session.begun = session.turns
    session.first_bar_at = int(whole["first_bar_at"])
    board = assembly.board
    for bar in msgspec.convert(whole["last"], list[Bar]):
        board.last[bar.symbol] = bar
    for quote in msgspec.convert(whole["quotes"], list[Quote]):
        board.quotes[quote.symbol] = quote
    for rate in msgspec.convert(whole["funding"], list[FundingRate]):
        board.funding[rate.symbol] = rate
    for position in facts.ledger.positions():
        # Adopted before its market was seen.
        board.assumed[position.symbol] = position.average_price
    core.last_delivered = recorded.last_bar_at
    assembly.broker.restore(parts["venue"])
    for minimum in facts.minimums.values():
        assembly.broker.set_minimum(minimum)
        core.risk_memory.minimums[minimum.symbol] = minimum
    assembly.books.restore(parts["execution"], core.parts.doubts)
    assembly.books.inherit()
    if isinstance(assembly.broker, Acquaintance):
        live = assembly.books.orders.live()
        doubted = map(assembly.books.orders.by_client_id, assembly.books.doubts.open)
        known = (*live, *(order for order in doubted if order is not None))
        assembly.broker.acquaint(order.request for order in known)
    core.risk_memory.restore(parts["risk"])
    assembly.track.restore(parts["account"], parts["charts"])
    if "refusals" in parts:
        assembly.refusals.restore(parts["refusals"])
    if assembly.health is not None and "health" in parts:
        assembly.health.state.circuits.restore(parts["health"])
    in_force = facts.holds.keys()
    assembly.supervisor.quarantined |= {
        # Whoever has lifted the hold wants the strategy to trade again: it starts anew.
        name: reason
        for name, reason in facts.quarantined.items()
        if f"{QUARANTINE_HOLDS}{name}" in in_force
    }
    tag = core.parts.tag
    assembly.desk.count_from(facts.counters.get(f"{tag}-C", 0))
    if "kill" in parts:
        assembly.kill.restore(parts["kill"])
    assembly.kill.count_from(facts.counters.get(f"{tag}-K", 0))
    for name, house in core.houses.items():
        kept = parts.get(f"{STRATEGY_PARTS}{name}")
        if kept is not None:
            _restore_house(house, kept)
            house.memory.whole = not kept.get("failed", False)
            if kept["strategy"] is not None:
                core.saved[name] = json.dumps(kept, separators=(",", ":"), sort_keys=True)
        for symbol, minimum in facts.minimums.items():
            house.desk.minimums[symbol] = minimum


def _restore_house(house: Any, state: Mapping[str, Any]) -> None:
    """Give what outlives a strategy's incarnation its state back."""
    house.desk.restore(state["desk"])
    house.plans.restore(state["plans"])
    house.memory.backoff = state["backoff"]
    for symbol, side, text in state["books"]:
        house.books[symbol, PositionSide(side)] = text


def backlog_of(recorded: Recorded) -> Backlog:
    """Return what was on its way when the session was left."""
    kinds = {kind.__name__: kind for kind in message_types()}
    kept = recorded.parts["session"]["backlog"]

    def messages(plain: list[list[Any]]) -> list[tuple[str, Message, str]]:
        return [
            (actor, msgspec.convert(fields, kinds[fields["type"]]), origin)
            for actor, fields, origin in plain
        ]

    return Backlog(messages(kept["told"]), messages(kept["queued"]))


def fills_on_their_way(recorded: Recorded | None) -> tuple[Fill, ...]:
    """Return the trades that were told to the process that left, and that it had not booked."""
    if recorded is None:
        return ()
    found: list[Fill] = []
    for _, message, _ in chain.from_iterable(backlog_of(recorded)):
        match message:
            case VenueReport(fill=Fill() as fill):
                found.append(fill)
            case VenueOrder(fills=fills) | VenueTrades(trades=fills):
                found.extend(fills)
    return tuple(found)
