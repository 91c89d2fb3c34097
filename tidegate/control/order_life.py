"""What the journal says of one order, and of the intent that it derives from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from messages import ExecutionReport, OpenFollowUp, ReduceFollowUp
from state.derivation import Link, chain_of, words
from state.journal import Entry, decode_line
from state.journal.reader import line_at, read_lines
from state.money import plain
from state.projections import iso_ms


class StoredJournal:
    """
    A journal on disk, its entries found by number and by what they are about.

    It may be one that is being written. Raises what reading a journal raises.
    """

    def __init__(self, path: Path) -> None:
        """Read from ``path``, as far as it is asked."""
        self._path = path
        self._about: dict[str, list[Entry]] = {}

    def by_seq(self, seq: int) -> Entry | None:
        """Return the entry of this number."""
        line = line_at(self._path, seq)
        return None if line is None else decode_line(line)

    def about(self, name: str) -> list[Entry]:
        """Return, in order, the entries whose line has this id in it."""
        found = self._about.get(name)
        if found is None:
            # Decoding costs more than looking: only what names the order is decoded.
            text = name.encode()
            lines = (line for line in read_lines(self._path) if text in line)
            found = self._about[name] = [decode_line(line) for line in lines]
        return found


def order_story(journal: StoredJournal, target: str) -> dict[str, Any]:
    """
    Return all that the journal says of an order, by its own id or its client order id.

    ``life`` are its events; of an intent's id those of all its orders, which ``orders`` lists, of a
    plan's id its steps as well. ``chain`` leads from the order up to what it derives from. Empty if
    the journal knows nothing of this id.
    """
    order_id = _order_id(journal, target)
    if order_id is None:
        return {}
    entries = journal.about(order_id)
    root_id = _root_id(entries, order_id)
    if root_id == order_id:
        own = [entry for entry in entries if _belongs(entry, root_id)]
    else:
        own = [entry for entry in journal.about(root_id) if _is_about(entry, order_id)]
    return {
        "order_id": order_id,
        "intent_id": root_id,
        "orders": _orders(journal.about(root_id), root_id),
        "life": [_event(entry) for entry in own],
        "chain": [_link(link) for link in chain_of(order_id, journal)],
    }


def _order_id(journal: StoredJournal, target: str) -> str | None:
    for entry in journal.about(target):
        message = entry.message
        if getattr(message, "intent_id", "") == target:
            return target
        if isinstance(message, ExecutionReport):
            if message.order_id == target:
                return target
            if message.client_order_id == target:
                return message.order_id
    return None


def _root_id(entries: list[Entry], order_id: str) -> str:
    """Return the id of the intent that an order derives from."""
    for entry in entries:
        message = entry.message
        if isinstance(message, OpenFollowUp | ReduceFollowUp) and message.intent_id == order_id:
            return message.root_id
        if isinstance(message, ExecutionReport) and message.order_id == order_id:
            return message.root_id or order_id
    return order_id


def _belongs(entry: Entry, root_id: str) -> bool:
    """Return whether an event is of an intent, or a step of a plan."""
    return entry.correlation == root_id or getattr(entry.message, "plan_id", "") == root_id


def _is_about(entry: Entry, order_id: str) -> bool:
    """Return whether an event is of one order of an intent, not of another."""
    message = entry.message
    return order_id in (getattr(message, "order_id", ""), getattr(message, "intent_id", ""))


def _orders(entries: list[Entry], root_id: str) -> list[dict[str, Any]]:
    """Return every order that was made of an intent, in order, as far as each has come."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        report = entry.message
        if not isinstance(report, ExecutionReport) or entry.correlation != root_id:
            continue
        row = found.setdefault(report.order_id, {"order_id": report.order_id, "quantity": None})
        row["filled"], row["status"] = plain(report.filled), report.status.value
        if report.order is not None:
            row["quantity"] = plain(report.order.quantity)
    return list(found.values())


def _event(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": iso_ms(entry.ts),
        "source": entry.source,
        "type": type(entry.message).__name__,
        "text": words(entry.message),
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "kind": link.kind.value,
        "id": link.name,
        "seq": link.seq,
        "at": None if link.at is None else iso_ms(link.at),
        "text": link.text,
    }
