"""One daemon an account, found by clients, told apart from one that died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from state.lease import Holder, Lease, lease_files
from tidegate.control.client import Place, find, place_of
from tidegate.control.daemon import (
    Daemon,
    DaemonUnreadable,
    process_started,
    read_daemon,
    remove_daemon,
    write_daemon,
)
from tidegate.exits import ConfigError, Wanting


def daemon(**facts: object) -> Daemon:
    pid = os.getpid()
    known = {"pid": pid, "started": process_started(pid), "mode": "paper", "account": "main"}
    return Daemon(**{**known, "socket": "/s", "session_id": "l-1", **facts})  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """All of it, and nothing after an orderly end."""
    write_daemon(tmp_path, daemon())
    found = read_daemon(tmp_path)
    remove_daemon(tmp_path)

    assert daemon() == found
    assert read_daemon(tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 9}', b'{"version": 1, "pid": "x"}']
)
def test_a_file_that_cannot_be_believed_says_so(tmp_path: Path, content: bytes) -> None:
    """One error that names the file, whatever is in it."""
    (tmp_path / "daemon.json").write_bytes(content)

    with pytest.raises(DaemonUnreadable, match=r"daemon\.json"):
        read_daemon(tmp_path)


def test_a_process_is_known_by_its_start_not_by_its_number() -> None:
    """A number is given again; nobody mistakes a newcomer for the daemon."""
    assert daemon().runs()
    assert not daemon(started="ticks:1").runs()
    assert not daemon(started="").runs()


def test_a_process_that_has_ended_does_not_run() -> None:
    """Neither as a zombie nor when it is gone."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alive = process_started(child.pid)
    child.kill()
    while process_started(child.pid):  # it dies in its own time
        os.sched_yield()
    zombie = process_started(child.pid)
    child.communicate()

    assert "" != alive
    assert ["", ""] == [zombie, process_started(child.pid)]


def test_no_daemon_is_one_clear_line(tmp_path: Path) -> None:
    """Which account, and where it was looked for."""
    with pytest.raises(Wanting, match=r"no daemon runs for the paper account 'main' in .*runs"):
        find(Place(tmp_path / "runs", "paper", "main"))


def test_a_live_daemon_of_the_account_in_another_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever kills in the wrong folder learns at once whom; of another account nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = Place(tmp_path / "wrong", "live", "main")
    files = lease_files(tmp_path / "right", "live", "venue@127.0.0.1:1", "main", os.environ)
    lease = Lease(files, Holder(4711, "here", 0, "l-1"))
    try:
        with pytest.raises(Wanting) as running:
            find(place)
        with pytest.raises(Wanting) as other:
            find(Place(tmp_path / "wrong", "live", "other"))
    finally:
        lease.release()
    with pytest.raises(Wanting) as ended:
        find(place)

    assert "runs in another folder: at venue@127.0.0.1:1 (pid 4711 on here" in str(running.value)
    assert "kill -USR1" in str(running.value)
    assert ["another folder" in str(each.value) for each in (other, ended)] == [False, False]


def test_a_daemon_that_died_is_said_to_have_died(tmp_path: Path) -> None:
    """With its last session: that is where to look."""
    place = Place(tmp_path, "paper", "main")
    place.folder.mkdir(parents=True)
    write_daemon(place.folder, daemon(started="ticks:1"))

    with pytest.raises(Wanting, match=r"died without an orderly end .*last session is l-1"):
        find(place)


def test_the_daemons_of_other_accounts_are_named_and_not_taken(tmp_path: Path) -> None:
    """A kill that meant one account never reaches another by guessing."""
    other = Place(tmp_path, "paper", "other")
    other.folder.mkdir(parents=True)
    write_daemon(other.folder, daemon(account="other", socket="/their.sock"))

    with pytest.raises(Wanting, match=r"others run here: paper account 'other' .*/their.sock"):
        find(Place(tmp_path, "paper", "main"))


@pytest.mark.parametrize(("configured", "answers"), [("paper", True), ("live", False)])
def test_a_shadow_answers_for_whoever_names_no_mode_and_never_for_live(
    tmp_path: Path, configured: str, *, answers: bool
) -> None:
    """Who stops real money must not be told that it has stopped because its shadow has."""
    shadow = Place(tmp_path, "shadow", "main")
    shadow.folder.mkdir(parents=True)
    write_daemon(shadow.folder, daemon(mode="shadow", socket="/shadow.sock"))

    if answers:
        assert "shadow" == find(Place(tmp_path, configured, "main")).mode
        return
    with pytest.raises(Wanting, match=r"no daemon runs for the live account 'main' .*/shadow.sock"):
        find(Place(tmp_path, configured, "main"))


def test_the_configuration_says_whose_daemon_is_meant(tmp_path: Path) -> None:
    """Files in order, then the environment; nothing else in them matters here."""
    one, two = tmp_path / "one.toml", tmp_path / "two.json"
    one.write_text('[session]\ndir = "a"\nmode = "live"\n[venue]\naccount = "b"\nnonsense = 1\n')
    two.write_text(json.dumps({"session": {"mode": "paper"}}))

    assert Place(Path("a"), "paper", "b") == place_of([one, two], {})
    assert Place(Path("a"), "paper", "c") == place_of([one, two], {"TIDEGATE_VENUE__ACCOUNT": "c"})
    assert Place(Path("runs"), "paper", "main") == place_of([], {})


def test_a_place_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Naming file and key."""
    file = tmp_path / "one.toml"
    file.write_text("[session]\ndir = 7\n")

    with pytest.raises(ConfigError, match=r"one\.toml: session\.dir: found 7, expected text"):
        place_of([file], {})
