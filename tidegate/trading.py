"""Run the daemon: its start-up refusals, its signals, its event loop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import anyio

from actors.resuming import Left
from actors.session import SessionResult, resume_paper, run_paper
from state.lease import LeaseHeld
from tidegate.compose import compose, refuse_unready_for_live
from tidegate.config import Configuration
from tidegate.control.around import Controls, controlled
from tidegate.exits import Exit, StartRefused, UsageRefused
from tidegate.going_on import left_of, say_ended, session_to_go_on
from tidegate.output import Progress, progress_bar
from tidegate.running import announce, input_errors, say, session_logs, session_spec


def trade_session(
    configuration: Configuration,
    *,
    resume: bool,
    session: str | None,
    new: bool,
    acknowledged: bool,
    as_json: bool,
) -> int:
    """Run a paper session and say what came of it; return its exit code."""
    _refuse_what_is_not_there(configuration, acknowledged=acknowledged)
    _refuse_contradiction(resume=resume, session=session, new=new)
    if not configuration.settings.strategies:
        raise UsageRefused(
            "trade: no strategy configured; expected [[strategies]] in ./tidegate.toml "
            "(`tidegate init` writes one) or in a file given by -c"
        )
    with session_logs(configuration) as (logs, log):
        parts = compose(configuration)
        spec = session_spec(configuration, parts, log)
        speed = configuration.settings.feed.speed
        older = session_to_go_on(spec, session) if resume or session is not None else None
        with controlled(configuration, spec, logs) as controls:
            # Only now: a session that another daemon runs at this moment is nobody's to read.
            left = left_of(older, spec) if older is not None else None
            if older is not None and left is None:
                say_ended(older)
                return Exit.DONE
            announce(spec)
            with progress_bar("paper") as on_progress, input_errors():
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


def _refuse_what_is_not_there(configuration: Configuration, *, acknowledged: bool) -> None:
    mode = configuration.settings.session.mode
    origin = configuration.origin("session", "mode")
    if mode == "live" and not acknowledged:
        raise UsageRefused(
            f"{origin}: session.mode: live needs --i-acknowledge-risk, and this version has no way "
            "to real venues yet: it trades on paper only"
        )
    if mode == "live":
        refuse_unready_for_live(configuration)
    if mode in {"live", "shadow"}:
        raise UsageRefused(
            f"{origin}: session.mode: found {mode!r}, expected 'paper': "
            "this version has no way to real venues yet"
        )
    if mode == "replay":
        raise UsageRefused(
            f"{origin}: session.mode: found 'replay', expected 'paper'; `tidegate replay` replays"
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
