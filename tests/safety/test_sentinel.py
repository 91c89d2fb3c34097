"""The sentinel: kill file, signals, and strategies that do not come back, in real sessions."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paper_house import House, keeps_buying, live_in
from stuck_strategies import STUCK, spins, stuck_at, wait_until_stuck

from actors.commands import Request
from actors.inbox import Inbox
from actors.runtime import limits
from actors.sentinel import KILL_SIGNAL, Sentinel
from messages import (
    ActorFailed,
    CommandVerb,
    ExecutionReport,
    HoldPlaced,
    KillReport,
    KillStage,
    KillStep,
    OpenIntent,
    OrderEvent,
    StrategyQuarantined,
)
from state.register import HoldRegister, register_of
from strategies import Desk

BOUND_S = 5.0


def kill_is_over(house: House) -> Any:
    """Return the report of a kill that is confirmed."""
    report = house.session.assembly.kill.report
    return report if report is not None and report.confirmed else None


def kills_placed(house: House) -> list[HoldPlaced]:
    """Return every kill's hold as it was placed."""
    return [placed for placed in house.all(HoldPlaced) if placed.hold.hold_id == "kill"]


# -- the kill file


def test_touching_the_kill_file_kills(tmp_path: Path) -> None:
    """Held, cancelled, confirmed, on the disk; exit code 4."""
    kill_file = tmp_path / "KILL"

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        kill_file.touch()
        house.until(lambda: kill_is_over(house))
        house.until(lambda: house.held() == ["kill"])

    house = live_in(tmp_path, keeps_buying(), act=act, kill_file=kill_file)

    assert house.result is not None
    assert ("killed", 4) == (house.result.outcome, house.result.exit_code)
    (placed,) = kills_placed(house)
    assert "kill_file" == placed.hold.set_by
    assert str(kill_file) in placed.hold.cause


def test_a_kill_file_that_is_there_at_the_start_lets_nothing_out(tmp_path: Path) -> None:
    """Looked at before the first turn, not at the first tick after it."""
    kill_file = tmp_path / "KILL"
    kill_file.touch()
    house = live_in(
        tmp_path,
        keeps_buying(),
        act=lambda house: house.until(lambda: house.session.turns > 50),
        kill_file=kill_file,
        speed=0.0,
        bars=100_000,
    )

    assert not [r for r in house.all(ExecutionReport) if r.event is OrderEvent.SENT]
    assert house.all(OpenIntent)
    assert house.result is not None
    assert 4 == house.result.exit_code


def test_a_kill_is_not_lifted_while_its_file_is_there(tmp_path: Path) -> None:
    """Removed and resumed it trades; touched again it is killed again."""
    kill_file = tmp_path / "KILL"
    said: list[str] = []

    def act(house: House) -> None:
        kill_file.touch()
        house.until(lambda: kill_is_over(house))
        refused = house.take(CommandVerb.RESUME, unlatch=True, reason="well again")
        said.append(refused.text)
        kill_file.unlink()
        lifted = house.take(CommandVerb.RESUME, unlatch=True, reason="well again")
        assert lifted.ok, lifted.text
        kill_file.touch()
        house.until(lambda: house.in_force() == ["kill"])

    house = live_in(tmp_path, keeps_buying(), act=act, kill_file=kill_file)

    assert f"the kill file {kill_file} is still there; remove it first" == said[0]
    assert 2 == len(kills_placed(house))


def test_a_kill_file_made_anew_between_two_looks_is_a_new_one(tmp_path: Path) -> None:
    """The same name at both looks is not the same file."""
    kill_file = tmp_path / "KILL"
    inbox = Inbox()
    brought: list[str] = []
    inbox.hand_over = lambda request: brought.append(request.by)  # type: ignore[assignment,return-value]
    inbox.latch = lambda _waiting: None  # type: ignore[method-assign]
    sentinel = Sentinel(inbox, None, kill_file=kill_file)
    for _ in range(2):
        sentinel.look()
        kill_file.touch()
        sentinel.look()
        sentinel.look()
        kill_file.unlink()
        kill_file.touch()
        sentinel.look()
        kill_file.unlink()

    assert ["kill_file"] * 4 == brought


def test_any_entry_of_that_name_is_a_kill_file(tmp_path: Path) -> None:
    """A link that leads nowhere, a folder: whoever made it meant it."""
    kill_file = tmp_path / "KILL"
    kill_file.symlink_to(tmp_path / "nowhere")

    sentinel = Sentinel(Inbox(), None, kill_file=kill_file)
    assert sentinel.obstacle() is not None


# -- signals


def test_the_kill_signal_kills(tmp_path: Path) -> None:
    """By whatever sent it: a supervisor of processes, a shell, a script."""

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 3)
        os.kill(os.getpid(), KILL_SIGNAL)
        house.until(lambda: kill_is_over(house))

    house = live_in(tmp_path, keeps_buying(), act=act, uvloop=True)

    (placed,) = kills_placed(house)
    assert "signal:SIGUSR1" == placed.hold.set_by


def test_a_signal_before_there_is_a_session_waits_for_it(tmp_path: Path) -> None:
    """A start takes its time, and a kill in that time is meant."""
    house = live_in(
        tmp_path,
        keeps_buying(),
        before=lambda house: house.sentinel.signalled("SIGUSR1"),
        act=lambda house: house.until(lambda: house.session.turns > 20),
        speed=0.0,
        bars=100_000,
    )

    assert not [r for r in house.all(ExecutionReport) if r.event is OrderEvent.SENT]
    assert house.result is not None
    assert 4 == house.result.exit_code


# -- strategies that do not come back


@pytest.mark.parametrize("how", STUCK, ids=lambda how: how.__name__)
def test_a_kill_reaches_a_session_whose_strategy_is_stuck(
    tmp_path: Path, how: Callable[[Desk], Any]
) -> None:
    """Its handler is stopped, its orders are cancelled with the others'; nobody else is harmed."""
    times: dict[str, float] = {}
    other = keeps_buying()

    def act(house: House) -> None:
        wait_until_stuck(house)
        times["pulled"] = time.monotonic()
        answer = house.take(CommandVerb.KILL, reason="stuck")
        times["answered"] = time.monotonic()
        assert answer.ok, answer.text
        assert answer.durable
        house.until(lambda: kill_is_over(house))
        times["confirmed"] = time.monotonic()

    house = live_in(tmp_path, stuck_at(4, how), other, act=act)

    assert times["confirmed"] - times["pulled"] < BOUND_S
    (failed,) = house.all(ActorFailed)
    assert "strategy:one" == failed.actor
    assert failed.error.startswith("HandlerStuck: strategy:one did not return")
    assert not house.all(StrategyQuarantined)
    assert ["kill"] == house.held()
    assert house.all(KillReport)[-1].confirmed
    latched = next(s for s in house.all(KillStep) if s.stage is KillStage.LATCHED)
    assert latched.elapsed_ms >= limits.KILL_GRACE_S * 1000 / 2
    assert house.result is not None
    assert 4 == house.result.exit_code


RELEASED: set[None] = set()
"""What cannot be stopped ends when something is in here."""


def out_of_reach(desk: Desk) -> None:
    """Loop in C, calling our own code: there is no place where it could be stopped."""
    deque(map(desk.position, iter(RELEASED.__len__, 1)), maxlen=0)  # type: ignore[arg-type]


def test_what_cannot_be_stopped_ends_the_process_and_the_kill_is_on_the_disk(
    tmp_path: Path,
) -> None:
    """The last resort comes within the bound, and only when the next start will be held."""
    RELEASED.clear()
    ended: list[tuple[float, list[str]]] = []
    pulled: list[float] = []

    def act(house: House) -> None:
        wait_until_stuck(house)
        pulled.append(time.monotonic())
        house.inbox.submit(request_kill())
        house.until(lambda: ended)

    def last_resort() -> None:
        if not ended:
            ended.append((time.monotonic(), holds_on_disk(tmp_path)))
        RELEASED.add(None)

    live_in(tmp_path, stuck_at(4, out_of_reach), act=act, last_resort=last_resort)

    at, held = ended[0]
    assert limits.KILL_LAST_RESORT_S <= at - pulled[0] < BOUND_S
    assert ["kill"] == held


def request_kill() -> Request:
    return Request(verb=CommandVerb.KILL, by="test", reason="stuck")


def holds_on_disk(folder: Path) -> list[str]:
    return [hold.hold_id for hold in register_of(folder / "runs", "paper", "main").load()]


def test_a_process_is_not_ended_while_its_kill_is_not_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging disk and a stuck strategy: alive it comes killed, dead it might come free."""
    RELEASED.clear()
    monkeypatch.setattr("actors.sentinel.KILL_LAST_RESORT_S", 0.3)
    disk = threading.Event()
    keep = HoldRegister.keep
    monkeypatch.setattr(HoldRegister, "keep", lambda *given: (disk.wait(20), keep(*given)))
    ended: list[float] = []

    def act(house: House) -> None:
        wait_until_stuck(house)
        threading.Thread(target=house.inbox.submit, args=(request_kill(),), daemon=True).start()
        time.sleep(1.0)
        assert not ended
        disk.set()
        house.until(lambda: ended)

    def last_resort() -> None:
        ended.append(time.monotonic())
        RELEASED.add(None)

    live_in(tmp_path, stuck_at(4, out_of_reach), act=act, last_resort=last_resort)

    assert ended


def test_one_kill_on_the_disk_is_enough_to_end_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many that came while a disk hung some are latched by nobody: they are the same kill."""
    RELEASED.clear()
    monkeypatch.setattr("actors.sentinel.KILL_LAST_RESORT_S", 0.3)
    ended: list[list[str]] = []

    def act(house: House) -> None:
        wait_until_stuck(house)
        house.inbox.submit(request_kill())
        house.inbox.hand_over(request_kill())
        try:
            house.until(lambda: ended)
        finally:
            RELEASED.add(None)

    def last_resort() -> None:
        ended.append(holds_on_disk(tmp_path))
        RELEASED.add(None)

    live_in(tmp_path, stuck_at(4, out_of_reach), act=act, last_resort=last_resort)

    assert ["kill"] == ended[0]


@pytest.mark.parametrize("where", ["constructor", "snapshot"])
def test_a_strategy_that_hangs_elsewhere_is_stopped_too(tmp_path: Path, where: str) -> None:
    """In its constructor when it is restarted, in its snapshot when another one restarts."""
    script = keeps_buying()
    hung: list[bool] = []
    armed: list[bool] = []  # until then snapshots are taken with every batch of the journal

    def hang() -> None:
        if armed and not hung:
            hung.append(True)
            spins(script.desk)

    def made(strategy: Any) -> Any:
        if where == "constructor":
            hang()

    def snapshot(_strategy: Any) -> dict[str, Any]:
        if where == "snapshot":
            hang()
        return {}

    class Noting(list[Any]):
        def append(self, item: Any) -> None:
            super().append(item)
            made(item)

    script.made = Noting()
    script.snapshot = snapshot

    def act(house: House) -> None:
        house.until(lambda: house.session.turns > 2)
        armed.append(True)
        house.inbox.ask(fails)  # its answer comes when what it brought about is over
        house.until(lambda: hung and house.inbox.pulse.late_s > 0.1)
        house.take(CommandVerb.KILL)
        house.until(lambda: kill_is_over(house))

    def fails(session: Any) -> dict[str, Any]:
        name = "strategy:one" if where == "constructor" else "execution"
        supervisor = session.assembly.supervisor
        supervisor.actor_failed(session.assembly.dispatcher.cells[name], None, OSError("planted"))
        return {}

    house = live_in(tmp_path, script, act=act, speed=6_000.0)

    assert hung
    assert any("HandlerStuck" in failed.error for failed in house.all(ActorFailed))
    assert house.all(KillReport)[-1].confirmed


# -- the sentinel's own luck


def test_a_look_that_fails_keeps_the_sentinel_from_no_other_duty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill file in a folder that cannot be looked into: kills by other ways are obeyed."""

    def act(house: House) -> None:
        monkeypatch.setattr("actors.sentinel._signature", denied)
        wait_until_stuck(house)
        house.take(CommandVerb.KILL)
        house.until(lambda: kill_is_over(house))

    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    house = live_in(tmp_path, stuck_at(4, spins), act=act, kill_file=tmp_path / "KILL")

    assert house.all(KillReport)[-1].confirmed


def test_a_sentinel_that_was_never_started_can_be_stopped() -> None:
    """A start that fails half way cleans up whatever there is."""
    sentinel = Sentinel(Inbox(), None)
    sentinel.stop()

    assert not sentinel._thread.is_alive()
