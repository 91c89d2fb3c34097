"""A ccxt broker of which it is noted when each request was handed over, and when it left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from brokers.ccxt.broker import CcxtBroker
from brokers.ccxt.lanes import Lane
from brokers.ccxt.leaving import Withheld
from brokers.ccxt.limits import WORKERS
from messages import OrderRequest

CREATES: Final = frozenset({"/fapi/v1/order", "/fapi/v1/algoOrder"})


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """One request as it was handed to the socket."""

    at_s: float
    what: str
    """``create``, ``cancel``, ``read`` or ``other``."""
    name: str = ""
    """Our id of the order that it is about."""


@dataclass(slots=True)
class Asked:
    """A cancel that was handed over, and what stood in its way."""

    name: str
    at_s: float
    excused: bool
    """Whether it has to wait: for a change of the same order, or for other cancels."""


@dataclass(slots=True)
class Record:
    """What left, in order, over all processes of a run."""

    left: list[Left] = field(default_factory=list)
    handed: dict[str, OrderRequest] = field(default_factory=dict)
    cancels: list[Asked] = field(default_factory=list)
    late_cancels: list[str] = field(default_factory=list)

    @property
    def creates(self) -> Counter[str]:
        """Return how often an order of each id has left."""
        return Counter(each.name for each in self.left if each.what == "create")


LATE_S: Final = 0.05
"""A cancel that left later than this after it was handed over has waited for something."""


class Watched(CcxtBroker):
    """The broker, and ``record`` of what it was asked and what it did."""

    record: Record

    def submit(self, request: OrderRequest, now: int) -> None:
        """Note which order it is."""
        self.record.handed[request.client_order_id] = request
        super().submit(request, now)

    def cancel(self, client_order_id: str, now: int) -> None:
        """Note when a cancel was handed over."""
        busy = client_order_id in self._jobs._last
        paused = self._open is not None and (
            self._open.calls.lanes.allowance.pause_until_s > time.perf_counter()
        )
        asked = Asked(
            client_order_id, time.perf_counter(), busy or paused or self._cancels_are_busy
        )
        self.record.cancels.append(asked)
        super().cancel(client_order_id, now)

    @property
    def _cancels_are_busy(self) -> bool:
        return len(self.record.cancels) >= WORKERS["cancel"]

    async def _cancel(self, name: str) -> None:
        try:
            await super()._cancel(name)
        finally:
            self._taken(name)

    def _taken(self, name: str) -> Asked | None:
        """Return the cancel of an order that waits for longest; it does so no more."""
        asked = next((each for each in self.record.cancels if each.name == name), None)
        if asked is not None:
            self.record.cancels.remove(asked)
        return asked

    async def connect(self) -> None:
        """Note what leaves from here on."""
        self.record.cancels.clear()  # what an earlier process had not sent will not be sent
        await super().connect()
        assert self._open is not None, "it is connected"
        exchange = self._open.client.exchange
        fetch: Callable[..., Any] = exchange.fetch

        async def noted(
            url: str, method: str = "GET", headers: Any = None, body: Any = None
        ) -> Any:
            left = self._note(url, method, body)
            try:
                return await fetch(url, method, headers, body)
            except Withheld:
                self.record.left.remove(left)  # it had its connection, and nothing was written
                raise

        exchange.fetch = noted

    def _note(self, url: str, method: str, body: Any) -> Left:
        path, given = urlsplit(url).path, urlsplit(url).query
        params = parse_qs(given or str(body or ""))
        at_s = time.perf_counter()
        if path not in CREATES:
            left = Left(at_s, "read" if method == "GET" else "other")
            self.record.left.append(left)
            return left
        names = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
        name = next((params[each][0] for each in names if each in params), "")
        what = {"POST": "create", "DELETE": "cancel"}.get(method, "read")
        left = Left(at_s, what, name)
        self.record.left.append(left)
        if what == "cancel":
            self._cancel_left(name, at_s)
        return left

    def _cancel_left(self, name: str, at_s: float) -> None:
        asked = self._taken(name)
        if asked is None:
            return
        lanes = self._at.calls.lanes.allowance
        paused = lanes.pause_until_s > asked.at_s
        if at_s - asked.at_s > LATE_S and not (asked.excused or paused):
            reads = len(lanes.waiting[Lane.READ])
            self.record.late_cancels.append(
                f"cancel of {name} left {at_s - asked.at_s:.2f} s after it was handed over "
                f"({reads} questions wait)"
            )
