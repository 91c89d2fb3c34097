"""Operators are told, trading never waits for it, and nobody is shown an address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from control_house import AT_ONCE, Running
from typer.testing import CliRunner

from messages import (
    BreachAction,
    Cause,
    CircuitOpened,
    Escalated,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    KillReport,
    KillStage,
    KillStep,
    Message,
    ReasonCode,
    Reconciled,
    RiskBreached,
    SessionEnded,
    StrategyQuarantined,
)
from tidegate.cli import app
from tidegate.config import load
from tidegate.control import limits
from tidegate.control.notices import Notices, NoticesRefused, secrets_of, targets_of
from tidegate.control.patience import Patience
from tidegate.control.systemd import Systemd
from tidegate.control.watch import Watch
from tidegate.exits import ConfigError

SECRET = "tide-9b1c7f02aa"


class Ear:
    """Keeps what it is told; ``deaf`` for so many times, and slow while ``slow`` is not set."""

    def __init__(self, deaf: int = 0) -> None:
        self.heard: list[str] = []
        self.tried = 0
        self.deaf = deaf
        self.slow = threading.Event()
        self.slow.set()

    def notify(self, body: str, title: str = "") -> bool:
        """Be told."""
        self.slow.wait(AT_ONCE)
        self.tried += 1
        if self.tried <= self.deaf:
            raise OSError(f"no route to {SECRET}")
        self.heard.append(f"{title}: {body}")
        return True

    def until(self, count: int) -> list[str]:
        """Return what was heard once it is so many messages."""
        patience = Patience(AT_ONCE)
        while len(self.heard) < count:
            assert not patience.over
            patience.rest()
        return self.heard


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for seconds."""
    monkeypatch.setattr(limits, "NOTICES_EVERY_S", 0.0)
    monkeypatch.setattr(limits, "NOTICE_RETRIES_S", (0.01, 0.01))


HOLD = Hold("stop-new-orders", "news", HoldMode.REFUSE, "cli:alice", 0)

TOLD: list[tuple[Message, str]] = [
    (HoldPlaced(HOLD), "HELD (stop-new-orders, refuse, everything) by cli:alice: news"),
    (HoldLifted(HOLD, "cli:bob", "over", 1), "lifted stop-new-orders by cli:bob: over"),
    (KillStep("kill", 1, "s-K1", KillStage.LATCHED, 0, 0, "by cli:alice: drill"), "KILL s-K1"),
    (KillReport("kill", 1, "s-K1", "drill", "x", False, True), "confirmed by the venue"),
    (
        KillReport("kill", 1, "s-K1", "drill", "x", False, False, ("o",)),
        "NOT CONFIRMED by the venue; 1 open orders and 0 positions left",
    ),
    (StrategyQuarantined("strategy:a", 1, "a", "failed"), "QUARANTINED a: failed"),
    (Escalated("supervisor", 1, "halt", "books"), "ESCALATED to halt: books"),
    (CircuitOpened("health", 1, "venue:paper", "timeout", 5, 1, 2), "CIRCUIT of venue:paper"),
    (
        RiskBreached("risk", 1, "max_daily_loss", BreachAction.HALT, Cause(ReasonCode.HELD)),
        "LIMIT max_daily_loss breached (halt)",
    ),
    (Reconciled("reconciler", 1, "close", ("BTC",)), "BOOKS DIFFER: BTC"),
    (SessionEnded("session", 1, "l-1", "killed", 4), "session l-1 ended: killed, exit code 4"),
]

NOT_TOLD: list[Message] = [
    HoldPlaced(Hold("stopping:completed", "end", HoldMode.REFUSE, "supervisor", 0)),
    KillStep("kill", 1, "s-K1", KillStage.CANCELLED, 3),
    Reconciled("reconciler", 1, "close"),
    RiskBreached("risk", 1, "max_daily_loss", BreachAction.REFUSE, Cause(ReasonCode.HELD)),
]


@pytest.mark.parametrize(("message", "words"), TOLD, ids=[type(m).__name__ for m, _ in TOLD])
def test_what_an_operator_would_want_to_know_is_told(message: Message, words: str) -> None:
    """One line, with who and why."""
    ear = Ear()
    notices = Notices("paper/main", [ear])
    notices.tell(message)
    notices.start()
    (heard,) = ear.until(1)
    notices.stop()

    assert heard.startswith("Tidegate paper/main: ")
    assert words in heard


def test_what_is_everyday_is_not_told() -> None:
    """A telephone that rings at everything is switched off."""
    ear = Ear()
    notices = Notices("paper/main", [ear])
    for message in NOT_TOLD:
        notices.tell(message)
    notices.start()
    notices.stop()

    assert [] == ear.heard


def test_telling_waits_for_nobody_and_a_flood_is_bounded() -> None:
    """While the server hangs: the newest lines wait, the rest are counted."""
    ear = Ear()
    ear.slow.clear()
    notices = Notices("paper/main", [ear])
    notices.start()
    for number in range(5_000):
        notices.say(f"line {number}")
    waiting = len(notices._waiting)
    ear.slow.set()
    notices.stop()
    heard = "\n".join(ear.heard)

    assert waiting <= limits.NOTICES_WAITING_MAX
    assert "line 4999" in heard
    assert "older lines were dropped" in heard
    assert notices.counts["dropped"] >= 5_000 - limits.NOTICES_WAITING_MAX - 20
    assert all(len(each.splitlines()) <= limits.NOTICE_LINES_MAX + 1 for each in ear.heard)


def test_what_did_not_arrive_is_tried_again_and_then_let_go() -> None:
    """Each target apart: one that is deaf keeps nothing from the other."""
    late, deaf, well = Ear(deaf=2), Ear(deaf=99), Ear()
    notices = Notices("paper/main", [late, deaf, well])
    notices.start()
    notices.say("a line")
    well.until(1)
    notices.stop()

    assert [1, 0, 1] == [len(late.heard), len(deaf.heard), len(well.heard)]
    assert (3, 3) == (late.tried, deaf.tried)
    assert {"sent": 2, "failed": 1} == dict(notices.counts)


def test_no_log_of_a_failure_shows_the_address() -> None:
    """Only its number and its kind."""
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    notices = Notices("paper/main", [Ear(deaf=99)])
    notices.start()
    notices.say("a line")
    notices.stop()

    assert SECRET not in json.dumps(capture.entries, default=str)
    assert "notify[0]" in json.dumps(capture.entries, default=str)


def test_once_a_day_it_is_told_that_the_session_lives(house: Running) -> None:
    """Whoever does not get it knows that it does not."""
    lines: list[str] = []
    hours = iter(range(0, 10_000_000, 3_600))
    watch = Watch(
        house.plane_of_its_own(),
        Systemd({}),
        on_alive=lines.append,
        now_s=lambda: float(next(hours)),
    )

    async def days() -> None:
        for _ in range(49):
            await watch.tick()

    anyio.run(days)

    assert 2 == len(lines)
    assert all(line.startswith("alive: trading; held: nothing; equity") for line in lines)


# -- addresses


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of a chat server on loopback, and what it was sent."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield f"json://user:{SECRET}@127.0.0.1:{serving.server_port}/hook/{SECRET}-path", got
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_notice_arrives_by_its_address(server: tuple[str, list[dict[str, Any]]]) -> None:
    """Through the library, as it will."""
    address, got = server
    notices = Notices("paper/main", targets_of([address]))
    notices.start()
    notices.say("HELD (kill)")
    notices.stop()

    assert [("Tidegate paper/main", "HELD (kill)")] == [
        (each["title"], each["message"]) for each in got
    ]


@pytest.mark.parametrize("address", [f"nonsense://{SECRET}", f"{SECRET}", f"mailto://{SECRET}:x"])
def test_an_address_that_is_none_is_refused_without_showing_it(address: str) -> None:
    """By its number."""
    with pytest.raises(NoticesRefused, match=r"telemetry\.notify\[0\]") as refused:
        targets_of([address])
    assert SECRET not in str(refused.value)


def test_every_part_of_an_address_that_may_be_a_secret_is_hidden() -> None:
    """User, password, path and query, spelled either way."""
    found = secrets_of([f"discord://webhook123/{SECRET}?key=abc%20defghi&x=1"])

    assert {"webhook123", SECRET, "abc defghi"} <= set(found)
    assert "1" not in found


def test_addresses_are_secrets_of_the_configuration(tmp_path: Path) -> None:
    """Not in the main file, not shown, not in a manifest; the environment is their place."""
    main = tmp_path / "main.toml"
    main.write_text(f'[session]\nname = "x"\n[telemetry]\nnotify = ["json://{SECRET}"]\n')
    environ = {"TIDEGATE_TELEMETRY__NOTIFY": f'["json://{SECRET}"]'}
    configuration = load(environ=environ)
    shown = json.dumps([configuration.rows(), configuration.public()], default=str)

    with pytest.raises(
        ConfigError,
        match=r"telemetry\.notify\[0\]: credentials do not belong.*TIDEGATE_TELEMETRY__NOTIFY in ",
    ):
        load([main])
    assert (f"json://{SECRET}",) == configuration.settings.telemetry.notify
    assert f"json://{SECRET}" in configuration.secrets()
    assert SECRET not in shown


def test_a_daemon_tells_of_its_kill_and_shows_no_address(
    server: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """A session beside a kill file: started, held, killed, ended; no file has the address."""
    address, got = server
    rows = [f"{1_704_067_200_000 + i * 60_000},100,101,99,100,10" for i in range(20)]
    Path("bars.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
    Path("tidegate.toml").write_text(
        '[session]\nmode = "paper"\n[feed]\nsource = "file"\nfiles = ["bars.csv@BTC/USDT"]\n'
        'timeframe = "1m"\n[[strategies]]\nname = "sma"\nuse = "sma_cross"\n'
    )
    Path("KILL").touch()
    environ = {"TIDEGATE_TELEMETRY__NOTIFY": json.dumps([address])}
    ended = CliRunner().invoke(app, ["trade", "--speed", "0"], env=environ)
    told = "\n".join(each["message"] for each in got)
    written = b"".join(path.read_bytes() for path in Path("runs").rglob("*") if path.is_file())

    assert 4 == ended.exit_code
    for words in ("started (paper)", "HELD (kill, drain, everything)", "by kill_file", "killed"):
        assert words in told
    assert SECRET not in ended.output
    assert SECRET.encode() not in written
