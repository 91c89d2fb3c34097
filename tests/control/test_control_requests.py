"""Who may ask what by which way, and what requests that are wrong get for an answer."""

from __future__ import annotations

import json
import logging
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from control_house import AT_ONCE, SECRET, Running, running

from tidegate.control import app, limits, server
from tidegate.control.client import Client, Silent

BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return one session for all tests of this module: they change nothing that lasts."""
    with running(tmp_path_factory.mktemp("standing")) as found:
        yield found


def test_the_socket_is_for_its_owner_alone(standing: Running) -> None:
    """Its permissions are the authority."""
    path = standing.control.listening.socket

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_http_is_on_loopback(standing: Running) -> None:
    """Nobody beyond this machine can connect."""
    assert standing.control.http_address is not None
    assert "127.0.0.1" == standing.control.http_address[0]


def test_reads_over_http_need_no_token(standing: Running) -> None:
    """They change nothing, and come from this machine."""
    status, _, text = standing.over_http("GET", "/v1/status")

    assert 200 == status
    assert json.loads(text)["live"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nobody-knows-this"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": SECRET},
        {"Cookie": f"token={SECRET}"},
    ],
)
@pytest.mark.parametrize("command", ["kill", "stop-new-orders", "pause", "resume"])
def test_what_changes_something_over_http_needs_the_token(
    standing: Running, command: str, headers: dict[str, str]
) -> None:
    """Without it nothing is held, whatever else is sent."""
    status, answered, text = standing.over_http("POST", f"/v1/commands/{command}", {}, headers)

    assert 401 == status
    assert "Bearer" == answered["WWW-Authenticate"]
    assert SECRET not in text
    assert not standing.get("/v1/holds")["held"]


def test_with_the_token_a_command_over_http_is_taken(tmp_path: Path) -> None:
    """And it is known to have come by HTTP."""
    with running(tmp_path) as house:
        status, _, text = house.over_http("POST", "/v1/commands/stop-new-orders", {}, BEARER)
        holds = house.get("/v1/holds")["holds"]

    assert 200 == status
    assert json.loads(text)["ok"]
    assert [("stop-new-orders", "http")] == [(hold["hold_id"], hold["set_by"]) for hold in holds]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.1"])
@pytest.mark.parametrize("target", ["/v1/status", "/metrics", "/healthz"])
def test_a_request_for_another_host_is_refused(standing: Running, host: str, target: str) -> None:
    """A page elsewhere that lets its name stand for our address reads nothing."""
    status, _, text = standing.over_http("GET", target, headers={"Host": host})

    assert 403 == status
    assert "host" in text


def test_the_token_does_not_help_a_request_for_another_host(standing: Running) -> None:
    """A browser may have been made to send it."""
    headers = {**BEARER, "Host": "evil.example"}
    status, _, _ = standing.over_http("POST", "/v1/commands/kill", {}, headers)

    assert 403 == status
    assert not standing.get("/v1/holds")["held"]


def test_no_page_from_elsewhere_is_let_read(standing: Running) -> None:
    """No answer permits another origin, and a question whether it may is refused."""
    origin = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    _, headers, _ = standing.over_http("GET", "/v1/status", headers=origin)
    status, preflight, _ = standing.over_http(
        "OPTIONS", "/v1/commands/kill", headers={**origin, **BEARER}
    )

    assert 405 == status
    assert [] == [name for name in {**headers, **preflight} if name.lower().startswith("access-")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_command_that_is_not_json_is_refused(standing: Running, kind: str) -> None:
    """What a form of a web page could send is not understood."""
    headers = {**BEARER, "Content-Type": kind}
    status, _, text = standing.over_http("POST", "/v1/commands/kill", "{}", headers)

    assert 415 == status
    assert "application/json" in text


@pytest.mark.parametrize(
    ("command", "body", "why"),
    [
        ("kill", "{", "truncated"),
        ("kill", "[]", "expected `object`"),
        ("kill", '{"flaten": true}', "unknown field `flaten`"),
        ("kill", '{"flatten": 1}', "expected `bool`"),
        ("kill", '{"reason": "' + "x" * 2_001 + '"}', "length <= 2000"),
        ("kill", '{"scope": {}}', "unknown field `scope`"),
        ("stop-new-orders", '{"scope": {"symbl": "BTC/USDT"}}', "unknown field `symbl`"),
        ("stop-new-orders", '{"scope": {"symbol": ""}}', "length >= 1"),
        ("pause", "{}", "a pause needs one end"),
        ("pause", '{"for_s": 60, "until": 1}', "a pause needs one end"),
        ("pause", '{"for_s": 0}', "> 0"),
        ("pause", '{"for_s": 1e300}', "<= 31622400"),
        ("pause", '{"for_s": NaN}', "malformed"),
        ("pause", '{"until": "tomorrow"}', "found 'tomorrow', expected iso-8601"),
        ("pause", '{"until": "2024-01-01T00:00:00"}', "expected a zone too"),
        ("pause", '{"until": 99999999999999999999}', "expected `int"),
        ("pause", '{"until": 253402300800000}', "<= 253402300799999"),
        ("resume", '{"unlatch": "yes"}', "expected `bool`"),
    ],
)
def test_a_body_that_is_no_command_is_refused_and_says_why(
    standing: Running, command: str, body: str, why: str
) -> None:
    """A mistyped field never becomes a command about everything."""
    status, _, text = standing.over_http("POST", f"/v1/commands/{command}", body, BEARER)

    assert 400 == status
    assert why.lower() in json.loads(text)["error"]["problems"][0].lower()
    assert not standing.get("/v1/holds")["held"]


def test_a_body_beyond_its_bound_is_refused(standing: Running) -> None:
    """Before it is read whole."""
    body = '{"reason": "' + "x" * limits.BODY_BYTES_MAX + '"}'
    status, _, text = standing.over_http("POST", "/v1/commands/kill", body, BEARER)

    assert 413 == status
    assert str(limits.BODY_BYTES_MAX) in text


def test_a_body_that_does_not_come_is_not_waited_for(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps a command open keeps its place for a bounded time."""
    monkeypatch.setattr(limits, "REQUEST_S", 0.05)
    opening = (
        f"POST /v1/commands/kill HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    answers: list[str] = []

    def answered() -> str:
        """Try; a connection that got its first word out too late is closed as a silent one is."""
        assert standing.control.http_address is not None
        with socket.create_connection(standing.control.http_address, timeout=AT_ONCE) as client:
            with suppress(ConnectionError):
                client.sendall(opening.encode())
                answers.append(client.recv(4_096).decode())
            return answers[-1] if answers else ""

    standing.until(answered)

    assert "408" in answers[-1].splitlines()[0]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/commands/kill", 404),
        ("POST", "/v1/commands/explode", 404),
        ("POST", "/v1/status", 405),
        ("DELETE", "/v1/holds", 405),
        ("GET", "/v1/kill/none", 404),
        ("GET", "/v1/explain/DOGE%2FUSDT", 404),
    ],
)
def test_an_address_that_is_not_there_is_one_json_answer(
    standing: Running, method: str, target: str, expected: int
) -> None:
    """No page of HTML, no traceback."""
    status, headers, text = standing.over_http(
        method, target, {} if method == "POST" else None, BEARER
    )

    assert expected == status
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(text)["error"]["problems"]


def test_more_requests_than_are_answered_at_a_time_are_sent_away_at_once(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads never take the place of commands: a kill is taken all the same."""
    monkeypatch.setattr(limits, "READS_MAX", 0)
    read, document = standing.client.get("/v1/status")
    refused, _ = standing.command("resume")

    assert 503 == read
    assert "already" in document["error"]["problems"][0]
    assert 409 == refused


def test_no_more_connections_are_kept_than_may_be(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is an open file of the daemon, and the journal needs its own; the socket stays open."""
    assert standing.control.http_address is not None
    monkeypatch.setattr(limits, "CONNECTIONS_MAX", 3)
    clients = [
        socket.create_connection(standing.control.http_address, timeout=AT_ONCE) for _ in range(3)
    ]
    while standing.plane.connections_refused == 0:
        with socket.create_connection(standing.control.http_address, timeout=AT_ONCE) as one_more:
            one_more.settimeout(0.05)
            try:
                closed = one_more.recv(1) == b""
            except (TimeoutError, ConnectionError):
                closed = False
    live = standing.get("/v1/status")["live"]
    for client in clients:
        client.close()

    assert closed
    assert live


def test_a_connection_that_says_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a request is nothing."""
    monkeypatch.setattr(limits, "REQUEST_S", 0.1)
    with running(tmp_path) as house:
        assert house.control.http_address is not None
        with socket.create_connection(house.control.http_address, timeout=AT_ONCE) as client:
            client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: loc")

            assert b"" == client.recv(100)


def test_the_caller_over_the_socket_is_the_user_at_its_other_end(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says who it is; no client can claim to be somebody else."""
    seen: list[str] = []
    ask = app.caller
    monkeypatch.setattr(app, "caller", lambda request: seen.append(ask(request)) or seen[-1])
    standing.command("resume")
    standing.over_http("POST", "/v1/commands/resume", {}, BEARER)

    assert [f"cli:{Path('~').expanduser().owner()}", "http"] == seen


def test_a_caller_that_the_system_does_not_tell_has_no_name(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is taken all the same: the file's permissions have let it in."""
    monkeypatch.setattr(app, "peer_uid", lambda _request: None)
    status, _ = standing.command("stop-new-orders")
    holds = standing.get("/v1/holds")["holds"]
    standing.command("resume")

    assert 200 == status
    assert ["cli"] == [hold["set_by"] for hold in holds]


def test_the_token_is_in_no_log_of_a_request_that_is_no_http(
    standing: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even a wrong one, which nobody could know to hide."""
    assert standing.control.http_address is not None
    caplog.set_level(logging.DEBUG)
    for line in (f"Authorization: Bearer wrong-token\x00{SECRET}", f"Bearer wrong-token {SECRET}"):
        with socket.create_connection(standing.control.http_address, timeout=AT_ONCE) as client:
            client.sendall(f"GET / HTTP/1.1\r\n{line}\r\n\r\n".encode())
            assert b"400" in client.recv(4_096)

    assert "wrong-token" not in caplog.text
    assert SECRET not in caplog.text


def test_a_fault_of_ours_is_answered_without_its_text(
    standing: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error's text may repeat what was sent."""

    async def fails() -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(standing.plane.sight, "look", fails)
    status, _, text = standing.over_http("GET", "/v1/status")

    assert 500 == status
    assert "RuntimeError" in text
    assert SECRET not in text


def test_over_a_network_reads_need_the_token_too(tmp_path: Path) -> None:
    """Positions are nobody else's business."""
    with running(tmp_path, remote=True) as house:
        without, _, _ = house.over_http("GET", "/v1/status")
        with_it, _, _ = house.over_http("GET", "/v1/status", headers=BEARER)

    assert [401, 200] == [without, with_it]


def test_http_can_be_off(tmp_path: Path) -> None:
    """Then there is the socket alone."""
    with running(tmp_path) as house:
        path = tmp_path / "second" / "control.sock"
        alone = server.ControlPlane(house.plane_of_its_own(), server.Listening(path, None))
        alone.start()
        live = Client(path).get("/v1/status")
        alone.stop()

    assert alone.http_address is None
    assert 200 == live[0]


def test_a_control_plane_that_cannot_listen_says_why_and_ends(
    standing: Running, tmp_path: Path
) -> None:
    """Before any session starts; no thread is left."""
    assert standing.control.http_address is not None
    path = tmp_path / "control" / "control.sock"
    second = server.ControlPlane(
        standing.plane_of_its_own(), server.Listening(path, standing.control.http_address)
    )

    with pytest.raises(server.AddressRefused, match="cannot listen: Address already in use"):
        second.start()
    assert "control" not in {thread.name for thread in threading.enumerate()} - {
        standing.control._thread.name
    }
    assert not path.exists()


def test_after_its_end_nothing_answers_and_no_socket_is_left(tmp_path: Path) -> None:
    """A client is told so in one line."""
    with running(tmp_path) as house:
        path = house.control.listening.socket

    assert not path.parent.exists()
    with pytest.raises(Silent, match="does not answer"):
        Client(path).get("/v1/status")
