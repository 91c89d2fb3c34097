"""Where the control plane listens: paths that fit, folders of our own, hosts of this machine."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tidegate.config import load
from tidegate.control import addresses
from tidegate.control.addresses import (
    AddressRefused,
    admitted_host,
    fits,
    http_address,
    private_folder,
    socket_path,
)
from tidegate.control.server import unix_socket
from tidegate.exits import ConfigError


def test_the_socket_is_in_the_account_s_folder_where_the_system_allows_it(tmp_path: Path) -> None:
    """A client that knows the account knows the place."""
    expected = tmp_path / "a" / "control" / "control.sock"

    assert expected == socket_path("auto", tmp_path / "a", {})


def test_a_path_that_is_too_long_moves_to_the_user_s_runtime_folder(tmp_path: Path) -> None:
    """However deep the sessions lie, there is a socket; two accounts never share one."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    runtime = Path("/tmp")

    one = socket_path("auto", deep / "one", {"XDG_RUNTIME_DIR": str(runtime)})
    two = socket_path("auto", deep / "two", {"XDG_RUNTIME_DIR": str(runtime)})

    assert runtime == one.parent.parent
    assert one != two
    assert fits(one)


def test_without_a_runtime_folder_the_temporary_one_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary folder that is itself too deep is not taken either."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    short = socket_path("auto", deep, {})
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    instead = socket_path("auto", deep, {})

    assert f"tidegate-{os.getuid()}-" in str(short)
    assert short == instead


def test_a_configured_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """The operating system's own error would not say by how much."""
    with pytest.raises(AddressRefused, match=r"found \d+ bytes, expected at most"):
        socket_path(str(tmp_path / ("d" * 120)), tmp_path)


def test_a_new_private_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Made so, and made so again where others were let in."""
    folder = tmp_path / "private"
    private_folder(folder)
    first = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0o777)
    private_folder(folder)

    assert 0o700 == first
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


def test_a_link_in_the_place_of_the_private_folder_is_refused(tmp_path: Path) -> None:
    """In a folder that everybody writes to, somebody else may have been there first."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "private").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(AddressRefused, match="expected a folder"):
        private_folder(tmp_path / "private")


def test_somebody_else_s_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the folder can put his own socket into it."""
    (tmp_path / "private").mkdir(mode=0o700)
    monkeypatch.setattr(addresses.os, "getuid", lambda: os.geteuid() + 1)

    with pytest.raises(AddressRefused, match="belongs to user"):
        private_folder(tmp_path / "private")


def test_a_socket_is_for_its_owner_alone_from_its_first_moment(tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700."""
    path = tmp_path / "control" / "control.sock"
    with unix_socket(path):
        found = path.lstat()

        assert stat.S_ISSOCK(found.st_mode)
        assert 0o600 == stat.S_IMODE(found.st_mode)
        assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_what_a_dead_daemon_left_is_taken_over(tmp_path: Path) -> None:
    """A socket on which nobody answers is in nobody's use."""
    path = tmp_path / "control" / "control.sock"
    unix_socket(path).close()

    with unix_socket(path):
        assert path.exists()


def test_a_socket_on_which_somebody_answers_is_not_taken_over(tmp_path: Path) -> None:
    """Two daemons with one configured socket would talk for each other."""
    path = tmp_path / "one.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()

        with pytest.raises(AddressRefused, match="somebody answers there already"):
            unix_socket(path, own_folder=False)


def test_a_configured_socket_leaves_its_folder_as_it_is(tmp_path: Path) -> None:
    """It may be one that others share; one that is not there yet is made for us alone."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    with unix_socket(shared / "one.sock", own_folder=False):
        mode = stat.S_IMODE((shared / "one.sock").lstat().st_mode)
    unix_socket(tmp_path / "new" / "one.sock", own_folder=False).close()

    assert (0o755, 0o600) == (stat.S_IMODE(shared.stat().st_mode), mode)
    assert 0o700 == stat.S_IMODE((tmp_path / "new").stat().st_mode)


def test_a_file_in_the_socket_s_place_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path must not cost anybody a file."""
    path = tmp_path / "notes.txt"
    path.write_text("mine")

    with pytest.raises(AddressRefused, match="no socket"):
        unix_socket(path, own_folder=False)
    assert "mine" == path.read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("localhost:8080", ("localhost", 8080)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_http_address_is_a_host_and_a_port(text: str, expected: object) -> None:
    """Nothing is no HTTP."""
    assert expected == http_address(text)


@pytest.mark.parametrize("text", ["8080", "127.0.0.1", ":80", "host.example:80", "127.0.0.1:99999"])
def test_what_is_no_http_address_is_refused_by_the_configuration(text: str) -> None:
    """One line with the key, before anything starts."""
    with pytest.raises(ConfigError, match=r"control\.http: found .*expected"):
        load(environ={"TIDEGATE_CONTROL__HTTP": text})


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]"])
def test_an_address_that_others_reach_needs_its_own_key(host: str) -> None:
    """One careless line does not open the daemon to a network."""
    environ = {"TIDEGATE_CONTROL__HTTP": f"{host}:8080"}
    allowed = {**environ, "TIDEGATE_CONTROL__HTTP_ALLOW_REMOTE": "true"}

    with pytest.raises(ConfigError, match="http_allow_remote"):
        load(environ=environ)
    assert f"{host}:8080" == load(environ=allowed).settings.control.http


@pytest.mark.parametrize(
    ("header", "here", "remote"),
    [
        ("127.0.0.1:4000", True, True),
        ("localhost", True, True),
        ("[::1]:4000", True, True),
        ("192.0.2.1:80", False, True),
        ("evil.example:80", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("", False, False),
    ],
)
def test_a_name_that_is_not_ours_is_no_host(header: str, here: bool, remote: bool) -> None:
    """A page elsewhere can let its own name stand for our address; names are refused."""
    assert here is admitted_host(header, remote=False)
    assert remote is admitted_host(header, remote=True)
