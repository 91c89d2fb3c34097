"""Run the daemon: its start-up refusals, its signals, its event loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Final

import anyio

from actors.resuming import Left
from actors.session import SessionResult, resume_paper, run_paper
from state.journal import JournalDamaged
from state.lease import LeaseHeld
from state.manifest import SessionStatus, seal
from tidegate.archive import MANIFEST
from tidegate.asking_venue import refuse_real_credentials_in_automation
from tidegate.compose import compose
from tidegate.config import Configuration
from tidegate.control.around import Controls, controlled
from tidegate.disk_failures import disk_failures
from tidegate.exits import Exit, StartRefused, UsageRefused
from tidegate.going_live import admission, cleared, refuse_unfit, refuse_unwell
from tidegate.going_on import left_of, say_ended, session_to_go_on, whole_again
from tidegate.left_orders import ABANDON, refuse_beside_open_orders, said_of_left
from tidegate.output import Progress, progress_bar
from tidegate.running import announce, input_errors, say, session_logs, session_spec

PREFLIGHT_S: Final = 120.0
"""What a venue that is slow, or wants to be asked less often, may take to be asked everything."""

STARTING_S: Final = 15.0
"""What loading the venue's client and the journal may take before the session has work to do."""


def trade_session(
    configuration: Configuration,
    *,
    resume: bool,
    session: str | None,
    new: bool,
    abandon: bool,
    acknowledged: bool,
    as_json: bool,
) -> int:
    """Run a session in real time and say what came of it; return its exit code."""
    refuse_real_credentials_in_automation(configuration, os.environ)
    _refuse_replay(configuration)
    refuse_unfit(configuration, acknowledged=acknowledged)
    _refuse_contradiction(resume=resume, session=session, new=new)
    if abandon and (resume or session is not None):
        raise UsageRefused(f"{ABANDON}: expected with --new: who goes on with a session keeps them")
    if not configuration.settings.strategies:
        raise UsageRefused(
            "trade: no strategy configured; expected [[strategies]] in ./tidegate.toml "
            "(`tidegate init` writes one) or in a file given by -c"
        )
    with disk_failures(), session_logs(configuration) as (logs, log):
        parts = compose(configuration)
        admitted = admission(configuration, cleared(configuration))
        spec = session_spec(configuration, parts, log, admission=admitted)
        speed = configuration.settings.feed.speed
        older = session_to_go_on(spec, session) if resume or session is not None else None
        with controlled(configuration, spec, logs) as controls:
            # Only now: a session that another daemon runs at this moment is nobody's to read.
            left = left_of(older, spec) if older is not None else None
            instead = ""
            if older is None:
                refuse_beside_open_orders(controls.spec, abandon=abandon)
                instead = said_of_left(controls.spec)
            if older is not None and left is None:
                say_ended(older, as_json=as_json)
                return Exit.DONE
            # The session has not begun, so nothing of it is late.
            controls.inbox.pulse.rest(PREFLIGHT_S)
            refuse_unwell(configuration, goes_on=left is not None, instead=instead)
            controls.inbox.pulse.rest(STARTING_S)
            announce(spec)
            with whole_again(older), progress_bar(spec.mode) as on_progress, input_errors(instead):
                result = run(controls, speed, on_progress, left)
    return say(result, as_json=as_json)


def run(
    controls: Controls, speed: float, on_progress: Progress | None, left: Left | None = None
) -> SessionResult:
    """Run the session, or go on with the one ``left``, until its data or a signal ends it."""
    start = run_paper if left is None else partial(resume_paper, left=left)
    with stop_on_signal() as stopping:

        async def session() -> SessionResult:
            return await start(
                controls.spec,
                speed=speed,
                stop=stopping,
                on_progress=on_progress,
                inbox=controls.inbox,
                on_open=controls.opened,
            )

        try:
            return anyio.run(session, backend_options={"use_uvloop": _has_uvloop()})
        except LeaseHeld as held:
            raise StartRefused(f"start-up refused: {held}") from None
        except JournalDamaged as damaged:
            if left is not None:  # found by the check beside the start
                seal(left.folder / MANIFEST, SessionStatus.DAMAGED)
            hint = "--new begins a new session beside it"
            raise StartRefused(f"start-up refused: {damaged}; {hint}") from None


@contextmanager
def stop_on_signal() -> Iterator[_Stopping]:
    """Let the first SIGINT or SIGTERM ask for an orderly end, the second one end at once."""
    stopping = _Stopping()
    before = {number: signal.signal(number, stopping.note) for number in _SIGNALS}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stopping:
    """Whether somebody has asked for the end."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


def _refuse_replay(configuration: Configuration) -> None:
    if configuration.settings.session.mode == "replay":
        raise UsageRefused(
            f"{configuration.origin('session', 'mode')}: session.mode: found 'replay', expected "
            "'paper', 'shadow' or 'live'; `tidegate replay` replays"
        )


def _refuse_contradiction(*, resume: bool, session: str | None, new: bool) -> None:
    asked = [
        name
        for name, given in (("--resume", resume), ("--session", session), ("--new", new))
        if given
    ]
    if len(asked) > 1:
        raise UsageRefused(f"{' and '.join(asked)} contradict each other; expected one of them")


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None
