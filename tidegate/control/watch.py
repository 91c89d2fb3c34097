"""
The watch: what the control plane does without being asked.

It keeps the session's last words for the time when it does not answer, says once a minute in the
log that it lives and how, tells systemd, and notes where the work begins to be late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from actors.runtime.clock import monotonic_s, sleep_s
from tidegate.control import limits
from tidegate.control.app import Plane
from tidegate.control.sight import Seen
from tidegate.control.systemd import READY, WATCHDOG, Systemd

WATCHDOG_SHARE = 0.4
"""The watchdog is told well within its time: at less than half of it."""


class Watch:
    """Looks at one session until it is cancelled; ``on_session`` is told when there is one."""

    def __init__(
        self,
        plane: Plane,
        systemd: Systemd,
        *,
        on_session: Callable[[Any], None] = lambda _session: None,
        on_alive: Callable[[str], None] = lambda _line: None,
        now_s: Callable[[], float] = monotonic_s,
    ) -> None:
        """Watch for ``plane``; ``on_alive`` is told, once a day, that the session lives."""
        self.plane = plane
        self.systemd = systemd
        self._on_session = on_session
        self._on_alive = on_alive
        self._now_s = now_s
        self._log = structlog.get_logger("control")
        self._known = False
        self._late = False
        self._seen: Seen | None = None
        started_s = now_s()
        self._looked_s = -limits.FACTS_EVERY_S
        self._logged_s = started_s
        self._barked_s = started_s
        self._alive_s = started_s

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            try:
                await self.tick()
            except Exception as error:  # noqa: BLE001 - commands must be taken all the same
                self._log.error("watch_failed", error=f"{type(error).__name__}: {error}")
            await sleep_s(limits.WATCH_TICK_S)

    async def tick(self) -> None:
        """Look once, and do what is due."""
        door = self.plane.sight.door
        if door.session is None:
            return
        if not self._known:
            self._on_session(door.session)
            self._known = True
            self.systemd.say(READY)
        now_s = self._now_s()
        stalled = door.pulse.stalled
        if stalled != self._late:
            self._turned(stalled)
        if now_s - self._looked_s >= limits.FACTS_EVERY_S:
            self._looked_s = now_s
            self._seen = await self.plane.sight.look()
        if now_s - self._logged_s >= limits.HEARTBEAT_LOG_S:
            self._logged_s = now_s
            self._heartbeat()
        if now_s - self._alive_s >= limits.ALIVE_EVERY_S:
            self._alive_s = now_s
            self._on_alive(self._alive())
        watchdog_s = self.systemd.watchdog_s
        due = watchdog_s is not None and now_s - self._barked_s >= watchdog_s * WATCHDOG_SHARE
        if due and not door.pulse.stalled:
            self._barked_s = now_s
            self.systemd.say(WATCHDOG)

    def _turned(self, stalled: bool) -> None:
        pulse = self.plane.sight.door.pulse.document()
        self._late = stalled
        if stalled:
            self.plane.stalls += 1
            self._log.warning("work_late", late_s=pulse["late_s"], beats=pulse["beats"])
        else:
            self._log.info("work_in_time_again", beats=pulse["beats"])

    def _heartbeat(self) -> None:
        pulse = self.plane.sight.door.pulse.document()
        fields: dict[str, Any] = {"beats": pulse["beats"], "late_s": pulse["late_s"]}
        seen = self._seen
        if seen is None or not seen.live or seen.facts is None:
            why = "" if seen is None else seen.why
            self._log.warning("heartbeat", live=False, why=why, **fields)
            return
        status = seen.facts["status"]
        self._log.info(
            "heartbeat",
            live=True,
            state=status["state"],
            session_ms=status["session_time"],
            bars=status["bars"],
            holds=[hold["hold_id"] for hold in status["holds"]],
            positions=len(status["positions"]),
            open_orders=len(status["open_orders"]),
            equity=status["equity"],
            **fields,
        )

    def _alive(self) -> str:
        seen = self._seen
        if seen is None or not seen.live or seen.facts is None:
            return f"NOT LIVE: the session does not answer: {'' if seen is None else seen.why}"
        status = seen.facts["status"]
        held = ", ".join(hold["hold_id"] for hold in status["holds"]) or "nothing"
        return (
            f"alive: {status['state']}; held: {held}; equity {status['equity']} "
            f"{status['currency']}; {len(status['positions'])} positions, "
            f"{len(status['open_orders'])} open orders"
        )
