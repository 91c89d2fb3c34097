"""state.json: replaced whole, believed only with its checksum, refused with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import state.snapshots
from messages import (
    EVERYTHING,
    Hold,
    HoldMode,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
)
from state import atomic
from state.atomic import append_line, replace_file
from state.snapshots import (
    OrderSnapshot,
    PositionSnapshot,
    Snapshot,
    SnapshotError,
    load_history,
    load_state,
    save_state,
)

T0 = 1_700_000_000_000
REQUEST = OrderRequest(
    "o1",
    "c1",
    "sma",
    "BTC/USDT",
    Side.BUY,
    PositionSide.BOTH,
    OrderType.LIMIT,
    TimeInForce.GTC,
    Decimal("1.50"),
    T0,
    price=Decimal("42000.10"),
)


def snapshot(seq: int = 7) -> Snapshot:
    return Snapshot(
        session_id="l-1",
        seq=seq,
        seed=42,
        clock=T0,
        positions=(
            PositionSnapshot(
                "sma", "BTC/USDT", "both", Decimal("1.50"), Decimal("42000.10"), Decimal(0)
            ),
        ),
        orders=(OrderSnapshot(REQUEST, OrderStatus.IN_DOUBT, Decimal("0.5")),),
        holds=(Hold("h1", "kill", HoldMode.DRAIN, "operator", T0, EVERYTHING, latched=True),),
        strategies={"sma": '{"closes":[1.5]}'},
        actors={"risk": "{}"},
    )


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    """Orders in doubt and holds included; money to the last digit."""
    path, history = tmp_path / "state.json", tmp_path / "state.jsonl"
    for seq in (1, 2, 3):
        save_state(path, snapshot(seq), history=history)

    assert snapshot(3) == load_state(path)
    assert [1, 2, 3] == [each.seq for each in load_history(history)]
    assert ["state.json", "state.jsonl"] == sorted(each.name for each in tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0, 1, 40, 200, -2])
def test_a_snapshot_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    """Whatever is left of it, the error names the file."""
    path = tmp_path / "state.json"
    save_state(path, snapshot())
    content = path.read_bytes()
    path.write_bytes(content[:kept])

    with pytest.raises(SnapshotError, match=r"state\.json: cut off or not a snapshot"):
        load_state(path)


def test_a_changed_digit_is_found(tmp_path: Path) -> None:
    """A snapshot that is readable but not what was written is not believed."""
    path = tmp_path / "state.json"
    save_state(path, snapshot())
    path.write_bytes(path.read_bytes().replace(b'"1.50"', b'"1.51"'))

    with pytest.raises(SnapshotError, match=r"state\.json: checksum is \w{64}, expected \w{64}"):
        load_state(path)


def test_a_snapshot_of_a_newer_tidegate_is_refused(tmp_path: Path) -> None:
    """Both versions are named."""
    path = tmp_path / "state.json"
    save_state(path, snapshot())
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))

    with pytest.raises(SnapshotError, match=r"snapshot of version 2, this Tidegate knows up to 1"):
        load_state(path)


def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    """The reason is the system's own word."""
    with pytest.raises(SnapshotError, match=r"state\.json: No such file or directory"):
        load_state(tmp_path / "state.json")


def test_an_older_snapshot_goes_through_every_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step makes the next version's form; the checksum is that of the old bytes."""
    path = tmp_path / "state.json"
    save_state(path, snapshot(5))
    monkeypatch.setattr(state.snapshots, "SNAPSHOT_VERSION", 3)

    def one_more(decoded: dict[str, Any]) -> dict[str, Any]:
        return {**decoded, "seq": decoded["seq"] + 1}

    migrations: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: one_more, 2: one_more}

    assert load_state(path, migrations=migrations).seq == 7


@pytest.mark.parametrize("kept", [1, 300, 699])
def test_a_torn_end_of_the_history_is_left_out(tmp_path: Path, kept: int) -> None:
    """Only the snapshot that a crash cut off is lost; the next one stands on a line of its own."""
    path, history = tmp_path / "state.json", tmp_path / "state.jsonl"
    for seq in (1, 2):
        save_state(path, snapshot(seq), history=history)
    size = history.stat().st_size // 2
    os.truncate(history, size + kept % size)

    assert [1] == [each.seq for each in load_history(history)]

    save_state(path, snapshot(3), history=history)

    assert [1, 3] == [each.seq for each in load_history(history)]


def test_a_damaged_line_of_the_history_is_named(tmp_path: Path) -> None:
    """Only the end may be torn; damage elsewhere is damage."""
    history = tmp_path / "state.jsonl"
    for seq in (1, 2, 3):
        save_state(tmp_path / "state.json", snapshot(seq), history=history)
    history.write_bytes(history.read_bytes().replace(b'"seq":2', b'"seq":4'))

    with pytest.raises(SnapshotError, match=r"state\.jsonl, line 2: checksum"):
        list(load_history(history))


@pytest.mark.parametrize("step", ["fsync", "replace", "sync_folder"])
def test_a_crash_while_replacing_leaves_the_old_file_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """At every step the file is whole."""
    path = tmp_path / "state.json"
    replace_file(path, b"old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    where: Any = {"fsync": os, "replace": Path, "sync_folder": atomic}[step]
    with monkeypatch.context() as patch:
        patch.setattr(where, step, crash)
        with pytest.raises(KeyboardInterrupt):
            replace_file(path, b"new")

    assert path.read_bytes() == (b"new" if step == "sync_folder" else b"old")

    replace_file(path, b"newer")

    assert path.read_bytes() == b"newer"
    assert [path] == list(tmp_path.iterdir())


def test_content_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sync the content, then rename, then sync the folder: any other order can lose both."""
    steps: list[str] = []
    sync, rename, sync_folder = os.fsync, Path.replace, atomic.sync_folder

    def syncing(descriptor: int) -> None:
        steps.append("sync")
        sync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    def syncing_folder(path: Path) -> None:
        steps.append("folder")
        sync_folder(path)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    monkeypatch.setattr(atomic, "sync_folder", syncing_folder)
    replace_file(tmp_path / "state.json", b"new")

    assert ["sync", "rename", "folder", "sync"] == steps


def test_what_can_be_made_again_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulation does not wait for the disk to keep its snapshots."""

    def refuse(_: int) -> None:
        raise AssertionError("synced")

    monkeypatch.setattr(os, "fsync", refuse)
    save_state(tmp_path / "a", snapshot(), history=tmp_path / "b", sync=False)
    append_line(tmp_path / "b", b"line\n", sync=False)

    assert snapshot() == load_state(tmp_path / "a")


@pytest.mark.parametrize("lines_max", [1, 3, 10])
def test_a_history_keeps_its_newest_lines_within_its_bound(tmp_path: Path, lines_max: int) -> None:
    """It grows to the bound, then its older half goes; the newest snapshot is always in it."""
    history = tmp_path / "state.jsonl"
    size = len(state.snapshots.encode_snapshot(snapshot(100)))
    bound = lines_max * size
    for seq in range(100, 140):
        save_state(tmp_path / "state.json", snapshot(seq), history=history, history_bytes_max=bound)

        kept = [each.seq for each in load_history(history)]
        assert list(range(kept[0], seq + 1)) == kept
        assert history.stat().st_size <= bound
        assert len(kept) >= min(seq - 99, max(lines_max // 2, 1))


def test_a_history_without_its_bound_grows_without_end(tmp_path: Path) -> None:
    """The ablation: nothing but the bound takes a line away."""
    history = tmp_path / "state.jsonl"
    for seq in range(100, 140):
        save_state(tmp_path / "state.json", snapshot(seq), history=history)

    assert 40 == len(list(load_history(history)))
