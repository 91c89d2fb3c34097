"""Each safeguard of the control plane, switched off: what it keeps out gets in."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from control_house import ASK_S, AT_ONCE, SECRET, Running, Stuck, running
from session_world import Script

from actors.pulse import Pulse
from tidegate.control import app, bodies, limits, sight
from tidegate.control.client import Place, find
from tidegate.control.daemon import Daemon, write_daemon
from tidegate.control.token import Token


def test_without_the_token_s_check_anybody_kills(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands between a local process and a command is the token alone."""
    kept_out, _, _ = house.over_http("POST", "/v1/commands/kill", {})
    monkeypatch.setattr(Token, "admits", lambda _self, _header: True)
    let_in, _, _ = house.over_http("POST", "/v1/commands/kill", {})

    assert [401, 200] == [kept_out, let_in]


def test_without_the_host_s_check_a_rebound_name_reads(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loopback alone does not keep a browser out."""
    evil = {"Host": "evil.example"}
    kept_out, _, _ = house.over_http("GET", "/v1/status", headers=evil)
    monkeypatch.setattr(app, "admitted_host", lambda _header, remote: True)
    let_in, _, _ = house.over_http("GET", "/v1/status", headers=evil)

    assert [403, 200] == [kept_out, let_in]


def test_without_the_check_of_fields_a_mistyped_scope_is_everything(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop of one symbol would be a stop of all, or a resume of all."""

    class Loose(msgspec.Struct, frozen=True):
        reason: str = ""
        scope: bodies.ScopeBody = bodies.ScopeBody()
        request = bodies.StopBody.request

    kept_out, _ = house.command("stop-new-orders", scop={"symbol": "BTC/USDT"})
    monkeypatch.setitem(bodies.BODIES, "stop-new-orders", Loose)
    let_in, answer = house.command("stop-new-orders", scop={"symbol": "BTC/USDT"})

    assert [400, 200] == [kept_out, let_in]
    assert "everything" in answer["text"]


def test_without_the_bound_of_connections_they_are_all_kept(
    house: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would be one of the files that the journal and the register need."""
    assert house.control.http_address is not None
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 10**6)
    clients = [
        socket.create_connection(house.control.http_address, timeout=AT_ONCE) for _ in range(70)
    ]
    house.get("/v1/status")
    for client in clients:
        client.close()

    assert 0 == house.plane.connections_refused


@pytest.mark.usefixtures("in_time")
def test_without_the_pulse_a_stuck_session_makes_every_reader_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then only the bound on the wait is left; without either, what was said last looks live."""
    monkeypatch.setattr(limits, "ASK_S", ASK_S)
    script = Script()
    stuck = Stuck(script)
    with running(tmp_path, script, speed=120.0) as house:
        house.live()
        stuck.wait_for(house)
        monkeypatch.setattr(Pulse, "stalled", False)
        by_the_wait = house.get("/v1/status")
        healthy, _ = house.client.get("/healthz")

        async def remembered(self: sight.Sight) -> sight.Seen:
            return sight.Seen(True, self._facts, 0.0, self.door.pulse.document())

        monkeypatch.setattr(sight.Sight, "look", remembered)
        without = house.get("/v1/status")
        stuck.release()

    assert not by_the_wait["live"]
    assert "has not answered" in by_the_wait["why"]
    assert 503 == healthy  # the document says so itself
    assert without["live"]


def test_without_the_start_s_time_a_newcomer_is_taken_for_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process ids are given again."""
    place = Place(tmp_path, "paper", "main")
    place.folder.mkdir(parents=True)
    write_daemon(place.folder, Daemon(os.getpid(), "ticks:1", "paper", "main", "/s"))
    with pytest.raises(Exception, match="died"):
        find(place)
    monkeypatch.setattr(Daemon, "runs", lambda _self: True)

    assert "/s" == find(place).socket


def test_without_the_filter_a_wrong_token_is_logged(
    house: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library writes what it could not read."""

    def send() -> None:
        assert house.control.http_address is not None
        with socket.create_connection(house.control.http_address, timeout=AT_ONCE) as client:
            client.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer \x00{SECRET}\r\n\r\n".encode())
            client.recv(4_096)

    caplog.set_level(logging.DEBUG)
    send()
    kept_out = SECRET in caplog.text
    logger: Any = logging.getLogger("tidegate.control.http")
    monkeypatch.setattr(logger, "filters", [])
    send()

    assert not kept_out
    assert SECRET in caplog.text
