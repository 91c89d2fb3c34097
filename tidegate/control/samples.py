"""
Where the samples of metrics come from: the session's status, its facts, the journal's record.

What only the session can say is there while it answers and is left out while it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from actors.runtime import CellState
from tidegate.control.record import CLOSED, HALF_OPEN, OPEN, Record
from tidegate.control.sight import Seen

LANES = ("system", "reduce", "open", "data")
ACTOR_STATES = tuple(state.value for state in CellState)
CIRCUIT_STATES = (CLOSED, OPEN, HALF_OPEN)

Sample = tuple[tuple[str, ...], float]


class Served(Protocol):
    """What the control plane counts of itself."""

    @property
    def requests(self) -> Mapping[tuple[str, str], int]:
        """Return how many requests were answered, by listener and HTTP status."""

    @property
    def connections_refused(self) -> int:
        """Return how many connections were one too many."""

    @property
    def notices(self) -> Mapping[str, int]:
        """Return how many notices were sent, failed or dropped."""

    @property
    def stalls(self) -> int:
        """Return how often the session's work began to be late."""


@dataclass(frozen=True, slots=True)
class Source:
    """Everything that one scrape is made from."""

    seen: Seen
    record: Record
    plane: Served

    @property
    def status(self) -> dict[str, Any] | None:
        """Return the session's status if it is of this moment."""
        if not self.seen.live or self.seen.facts is None:
            return None
        status: dict[str, Any] = self.seen.facts["status"]
        return status


def of_status(read: Callable[[dict[str, Any]], Iterable[Sample]]) -> Samples:
    """Read from the status, while the session answers."""

    def samples(source: Source) -> Iterable[Sample]:
        status = source.status
        return () if status is None else read(status)

    return samples


def of_facts(name: str) -> Samples:
    """Read one number of the facts, while the session answers."""

    def samples(source: Source) -> Iterable[Sample]:
        facts = source.seen.facts
        return () if facts is None or not source.seen.live else (((), float(facts[name])),)

    return samples


def of_recovery(source: Source) -> Iterable[Sample]:
    """Return the seconds of each phase of a start, none where nothing was gone on with."""
    facts = source.seen.facts
    times: dict[str, float] = {} if facts is None else facts.get("recovery", {})
    return (((phase,), took_s) for phase, took_s in times.items())


def of_record(read: Callable[[Record], float]) -> Samples:
    """Read a number that the journal told."""
    return lambda source: (((), read(source.record)),)


def counted(read: Callable[[Record], Mapping[str, int]]) -> Samples:
    """Read counts that the journal told, by one label."""

    def samples(source: Source) -> Iterable[Sample]:
        return (
            ((name,), float(count)) for name, count in sorted(dict(read(source.record)).items())
        )

    return samples


def counted_by(read: Callable[[Record], Mapping[tuple[str, str], int]]) -> Samples:
    """Read counts that the journal told, by two labels."""

    def samples(source: Source) -> Iterable[Sample]:
        return (
            (labels, float(count)) for labels, count in sorted(dict(read(source.record)).items())
        )

    return samples


def of_pulse(name: str) -> Samples:
    """Read a number of the heartbeat."""
    return lambda source: (((), float(source.seen.pulse[name])),)


Samples = Callable[[Source], Iterable[Sample]]


def amount(name: str) -> Samples:
    """Read an amount of the status, labelled with the account's currency."""

    def read(status: dict[str, Any]) -> Iterable[Sample]:
        if status[name] is not None:
            yield (status["currency"],), float(status[name])

    return of_status(read)


def actor_states(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield 1 for the state that each actor is in, 0 for the others."""
    for name, actor in status["actors"].items():
        for state in ACTOR_STATES:
            yield (name, state), float(actor["state"] == state)


def actor_counts(field: str) -> Samples:
    """Read one count of every actor."""

    def read(status: dict[str, Any]) -> Iterable[Sample]:
        for name, actor in status["actors"].items():
            yield (name,), float(actor[field])

    return of_status(read)


def queued(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how many messages wait in each lane."""
    for name, actor in status["actors"].items():
        for lane, depth in zip(LANES, actor["queued"], strict=True):
            yield (name, lane), float(depth)


def holds_in_force(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield 1 for every hold."""
    for hold in status["holds"]:
        yield (hold["hold_id"], hold["mode"], hold["scope"]), 1.0


def hold_count(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how many holds there are."""
    yield (), float(len(status["holds"]))


def orders_by_status(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how many orders there are in each state that is no end."""
    counts: dict[str, int] = {}
    for order in status["open_orders"]:
        counts[order["status"]] = counts.get(order["status"], 0) + 1
    for name, count in sorted(counts.items()):
        yield (name,), float(count)


def positions(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield every open position."""
    for each in status["positions"]:
        labels = (each["strategy"], each["symbol"], each["position_side"])
        yield labels, float(each["quantity"])


def ages(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how old the newest bar of each symbol is."""
    for symbol, data in status["symbols"].items():
        if data["age_s"] is not None:
            yield (symbol,), float(data["age_s"])


def session_time(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield the session's time."""
    yield (), status["session_time"] / 1000


def kill_in_force(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield whether a kill is in force."""
    yield (), float(status["state"] == "killed")


def killed_and_confirmed(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield whether the venue has confirmed, while a kill is in force."""
    if status["state"] == "killed":
        report = (status["kill"] or {}).get("report")
        yield (), float(report is not None and report["confirmed"])


def circuits(source: Source) -> Iterable[Sample]:
    """Yield 1 for the state of each circuit, 0 for the others."""
    for tool, found in sorted(dict(source.record.circuits).items()):
        for state in CIRCUIT_STATES:
            yield (tool, state), float(found == state)


def stale_symbols(source: Source) -> Iterable[Sample]:
    """Yield 1 for every symbol without data."""
    return (((symbol,), 1.0) for symbol in sorted(dict(source.record.stale)))


def requests(source: Source) -> Iterable[Sample]:
    """Yield the requests by listener and status."""
    for (listener, code), count in sorted(dict(source.plane.requests).items()):
        yield (listener, code), float(count)


def live(source: Source) -> Iterable[Sample]:
    """Yield whether the session answers."""
    yield (), float(source.seen.live)


def session_info(source: Source) -> Iterable[Sample]:
    """Yield 1 for the session that runs."""
    if source.record.session_id:
        yield (source.record.session_id,), 1.0


def resting(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield 1 for every family of orders that rests."""
    for each in status["backoffs"]:
        yield (each["strategy"], each["symbol"], each["family"]), 1.0


def resting_until(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield until when each family of orders rests."""
    for each in status["backoffs"]:
        yield (each["strategy"], each["symbol"], each["family"]), each["until"] / 1000


def plans_standing(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how many plans of each strategy stand."""
    counts: dict[str, int] = {}
    for plan in status["plans"]:
        counts[plan["strategy"]] = counts.get(plan["strategy"], 0) + 1
    for name, count in sorted(counts.items()):
        yield (name,), float(count)


def take_profits_waiting(status: dict[str, Any]) -> Iterable[Sample]:
    """Yield how many take-profits wait here, by symbol."""
    for symbol, count in status["take_profits_waiting"].items():
        yield (symbol,), float(count)
