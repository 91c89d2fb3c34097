"""`tidegate data fetch | import | inspect`: answers, exit codes, and errors that name the place."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from market_data_house import (
    BTC,
    MINUTE,
    LabVenue,
    bar_at,
    minute,
    serving,
    too_many,
    unwell,
)
from typer.testing import CliRunner, Result

from feeds.live.feed import VenueFeed
from feeds.store.layout import Series
from feeds.store.store import BarStore
from messages import Bar
from tidegate import compose, fetching
from tidegate.cli import app
from tidegate.config import load
from tidegate.market_sources import store_of

pytest.importorskip("pyarrow", reason="needs the extra `parquet`")

Tidegate = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
HEADER = "timestamp,open,high,low,close,volume"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    structlog.reset_defaults()


@pytest.fixture
def tidegate() -> Tidegate:
    """Return a way to run a command in this process."""

    def run(*arguments: object, **environ: str) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], env=environ)

    return run


def line(bar: Bar) -> str:
    return f"{bar.timestamp},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}"


def write(name: str, lines: list[str]) -> None:
    content = "\n".join([HEADER, *lines, ""]).encode()
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


REHEARSED = "data/rehearsal"
"""Where the bars of a server on this machine go."""


def stored(folder: str = "data") -> list[Bar]:
    return list(BarStore(Path(folder)).bars(Series("binanceusdm", BTC, MINUTE)))


IMPORT = ("data", "import", "--venue", "binanceusdm", "--symbol", BTC)


# ------------------------------------------------------------------------------------- import


def test_files_that_overlap_become_one_series(tidegate: Tidegate) -> None:
    """Each bar is there once; what was there first stays, and what differs is counted."""
    write("a.csv", [line(bar_at(place)) for place in range(5)])
    write("b.csv.gz", [line(bar_at(place, shift=place == 4)) for place in (3, 4, 7, 8)])

    done = tidegate(*IMPORT, "a.csv", "b.csv.gz", "--json")

    assert 0 == done.exit_code, done.output
    first, second = json.loads(done.stdout)["imported"]
    assert (5, 0, 0) == (first["added"], first["there_already"], first["differing"])
    assert (2, 1, 1) == (second["added"], second["there_already"], second["differing"])
    assert [{"after": "2024-01-01T00:04:00Z", "before": "2024-01-01T00:07:00Z", "missing": 2}] == (
        second["gaps"]
    )
    assert [bar_at(place) for place in (0, 1, 2, 3, 4, 7, 8)] == stored()


def test_replace_lets_the_file_win(tidegate: Tidegate) -> None:
    """The other policy is asked for by name."""
    write("a.csv", [line(bar_at(place)) for place in range(3)])
    write("b.csv", [line(bar_at(place, shift=1.0)) for place in range(1, 3)])
    tidegate(*IMPORT, "a.csv")

    done = tidegate(*IMPORT, "b.csv", "--replace")

    assert 0 == done.exit_code
    assert [bar_at(0), bar_at(1, shift=1.0), bar_at(2, shift=1.0)] == stored()


def test_a_refused_file_changes_nothing_and_names_the_line(tidegate: Tidegate) -> None:
    """All of a file comes in, or nothing of it; exit code 2 and one line that says where."""
    bad = f"{minute(2)},5,4,6,5,1"
    write("a.csv", [line(bar_at(0)), line(bar_at(1)), bad, line(bar_at(3))])

    done = tidegate(*IMPORT, "a.csv")

    assert 2 == done.exit_code
    assert (
        done.stderr == "tidegate: a.csv, line 4: high 4.0 is below low 6.0; expected high >= low\n"
    )
    assert [] == stored()


def test_bad_rows_are_tolerated_only_as_far_as_allowed_and_kept(tidegate: Tidegate) -> None:
    """They go where --quarantine says, with their line and the reason; the others come in."""
    write("a.csv", [line(bar_at(0)), line(bar_at(1)), f"{minute(2)},5,4,6,5,1", line(bar_at(3))])

    done = tidegate(*IMPORT, "a.csv", "--max-bad-rows", 1, "--quarantine", "bad", "--json")

    assert 0 == done.exit_code, done.output
    assert {"high_below_low": 1} == json.loads(done.stdout)["imported"][0]["bad_rows"]
    assert (
        f'a.csv,4,high_below_low,"{minute(2)},5,4,6,5,1"'
        == (Path("bad/a.csv.bad.csv").read_text().splitlines()[1])
    )
    assert [bar_at(place) for place in (0, 1, 3)] == stored()


def test_a_file_without_a_symbol_is_refused(tidegate: Tidegate) -> None:
    """A store that guessed symbols would mix markets."""
    write("a.csv", [line(bar_at(place)) for place in range(3)])

    done = tidegate("data", "import", "--venue", "binanceusdm", "a.csv")

    assert 2 == done.exit_code
    assert "a.csv has no symbol; expected FILE@SYMBOL, or --symbol" in done.stderr


def test_a_series_is_replayed_as_the_file_was(tidegate: Tidegate) -> None:
    """What came in by import goes out by replay: the same trades, whatever form they lie in."""
    write("a.csv", [line(bar_at(place)) for place in range(200)])
    tidegate(*IMPORT, "a.csv")
    small = ("--strategy", "sma_cross", "--param", "fast=3", "--param", "slow=8", "--json")
    folder = "data/binanceusdm/BTC%2FUSDT%3AUSDT/1m"

    ran = tidegate("replay", "--data", folder, *small, "--out", "one")
    also = tidegate("replay", "--data", f"a.csv@{BTC}", *small, "--out", "two")
    verified = tidegate("verify", "one")

    assert 0 == ran.exit_code == also.exit_code == verified.exit_code, verified.output

    def trades(of: str) -> list[str]:
        rows = (Path(of) / "trades.csv").read_text().splitlines()[1:]
        return [",".join([row.split(",")[1], *row.split(",")[5:10]]) for row in rows]

    assert trades("one")
    assert trades("one") == trades("two")


# ------------------------------------------------------------------------------------ inspect


def test_inspect_says_what_is_odd_and_where(tidegate: Tidegate) -> None:
    """Gaps, duplicates, bad rows, bars without trade, off the grid, and jumps, each counted."""
    lines = [line(bar_at(place)) for place in range(4)]
    lines += [
        line(bar_at(3)),
        f"{minute(6)},200,200,200,200,0",
        f"{minute(7) + 1},200,200,200,200,1",
        f"{minute(9)},-1,1,1,1,1",
    ]
    write("a.csv", lines)

    done = tidegate("data", "inspect", "a.csv", "--timeframe", "1m", "--json")

    assert 0 == done.exit_code, done.output
    (found,) = json.loads(done.stdout)["inspected"]
    assert (8, 6) == (found["rows"], found["bars"])
    assert ("2024-01-01T00:00:00Z", "2024-01-01T00:07:00.001Z") == (found["first"], found["last"])
    assert (2, 1, 1, 1) == (
        found["missing"],
        found["duplicates"],
        found["flat"],
        found["off_grid"],
    )
    assert {"duplicate_timestamp": 1, "price_not_positive": 1} == found["bad_rows"]
    assert [{"timestamp": "2024-01-01T00:06:00Z", "change_pct": 92.31}] == found["jump_positions"]


def test_inspect_walks_a_whole_store(tidegate: Tidegate) -> None:
    """Every series below the folder, by its own symbol and time frame."""
    write("a.csv", [line(bar_at(place)) for place in range(3)])
    tidegate(*IMPORT, "a.csv")
    tidegate("data", "import", "--venue", "kraken", "a.csv@ETH/USD")

    done = tidegate("data", "inspect", "data", "--json")

    found = json.loads(done.stdout)["inspected"]
    assert [(BTC, "1m", 3), ("ETH/USD", "1m", 3)] == [
        (one["symbol"], one["timeframe"], one["bars"]) for one in found
    ]


def test_inspect_refuses_what_it_cannot_read(tidegate: Tidegate) -> None:
    """One line that names the file, exit code 2."""
    Path("empty").mkdir()

    assert "empty: a folder without bars" in tidegate("data", "inspect", "empty").stderr
    assert 2 == tidegate("data", "inspect", "absent.csv").exit_code


# -------------------------------------------------------------------------------------- fetch


@pytest.fixture
def configured(venue: LabVenue, certificate: Path) -> Iterator[None]:
    """Let the venue listen in another thread, and write the configuration that leads there."""
    pytest.importorskip("ccxt", reason="needs the extra `ccxt`")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(venue, certificate)) as port,
    ):
        Path("tidegate.toml").write_text(
            f'[venue]\nexchange = "binanceusdm"\nloopback_port = {port}\n'
            f'loopback_ca = "{certificate}"\n'
            f'[universe]\nsymbols = ["{BTC}"]\n'
        )
        yield


@pytest.mark.usefixtures("configured")
def test_fetch_brings_what_the_venue_has(venue: LabVenue, tidegate: Tidegate) -> None:
    """The configuration says where, the command line what; the answer how far it is complete."""
    venue.fill(range(30))
    venue.fill(range(32, 101))

    done = tidegate("data", "fetch", "--since", "2024-01-01", "--json")

    assert 0 == done.exit_code, done.output
    (one,) = json.loads(done.stdout)["fetched"]
    assert (98, "2024-01-01T01:40:00Z") == (one["added"], one["until"])
    assert [2] == [gap["missing"] for gap in one["gaps"]]
    assert [bar_at(place) for place in range(100) if place not in (30, 31)] == stored(REHEARSED)
    assert [] == stored()


@pytest.mark.usefixtures("configured")
def test_fetch_says_that_it_waits_and_goes_on(
    venue: LabVenue, tidegate: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait is told on standard error; standard output has the one document."""
    waited: list[float] = []

    async def sleep_s(delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr(fetching, "sleep_s", sleep_s)
    venue.fill(range(101))
    venue.faults = [too_many(3)]

    done = tidegate("data", "fetch", "--since", minute(0), "--until", minute(50), "--json")

    assert 0 == done.exit_code
    assert "asking again in 3.0 s" in done.stderr
    assert [3.0] == waited
    assert 50 == json.loads(done.stdout)["fetched"][0]["bars"]


@pytest.mark.usefixtures("configured")
def test_a_fetch_shows_how_far_it_is_where_somebody_watches(venue: LabVenue) -> None:
    """Up to the last bar that there is to fetch; standard output has the one document."""
    venue.fill(range(101))
    watched, terminal = pty.openpty()
    ended = subprocess.run(
        [sys.executable, "-m", "tidegate", "data", "fetch", "--since", "2024-01-01", "--json"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(terminal)
    shown = os.read(watched, 65_536).decode()
    os.close(watched)

    assert "fetch" in shown
    assert "100 bars" in shown
    assert 100 == json.loads(ended.stdout)["fetched"][0]["bars"]


@pytest.mark.usefixtures("configured")
def test_a_fetch_that_the_venue_fails_ends_with_1(
    venue: LabVenue, tidegate: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what the venue said, and that the same command goes on."""

    async def sleep_s(delay_s: float) -> None:
        return None

    monkeypatch.setattr(fetching, "sleep_s", sleep_s)
    venue.faults = [unwell] * 6

    done = tidegate("data", "fetch", "--since", "2024-01-01")

    assert 1 == done.exit_code
    assert "data fetch: binanceusdm GET " in done.stderr
    assert "503 Service Unavailable; what came is in data" in done.stderr
    assert "the same command goes on from there" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since 'yesterday'; expected a date, ISO-8601 with a zone"),
        (("--since", "2024-01-01T00:00:00"), "expected a date, ISO-8601 with a zone"),
        (("--since", "2024-01-02", "--until", "2024-01-01"), "not later than --since"),
        (("--since", "2024-01-01", "--timeframe", "7x"), "time frame '7x' has no known unit"),
        (
            ("--since", "2024-01-01", "--exchange", "nowhere"),
            "venue 'nowhere'; expected an id of ccxt",
        ),
    ],
)
def test_fetch_refuses_what_makes_no_sense(
    arguments: tuple[str, ...], said: str, tidegate: Tidegate
) -> None:
    """One line, exit code 2, before any venue is asked."""
    pytest.importorskip("ccxt", reason="needs the extra `ccxt`")

    done = tidegate("data", "fetch", "--exchange", "binanceusdm", "--symbol", BTC, *arguments)

    assert 2 == done.exit_code, done.output
    assert said in done.stderr


# ---------------------------------------------------------------------------- live sessions


LIVE = """
[session]
mode = "paper"
[feed]
source = "ccxt"
timeframe = "1m"
[[strategies]]
name = "sma"
use = "sma_cross"
"""


@pytest.mark.usefixtures("configured")
def test_a_session_without_its_market_does_not_start(
    venue: LabVenue, tidegate: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venue that does not answer is a start-up refused (exit code 5), in one line."""

    async def sleep_s(delay_s: float) -> None:
        return None

    monkeypatch.setattr(compose, "sleep_s", sleep_s)
    venue.faults = [unwell] * 6
    with Path("tidegate.toml").open("a") as file:
        file.write(LIVE)

    done = tidegate("trade", "--new")

    assert 5 == done.exit_code, done.output
    assert "start-up refused: no market data: binanceusdm GET " in done.stderr


@pytest.mark.usefixtures("configured")
def test_a_rehearsal_leaves_no_bars_among_the_venues_own(venue: LabVenue) -> None:
    """Whoever takes out the pin would else warm up on the prices of a market that never was."""
    venue.fill(range(101))
    with Path("tidegate.toml").open("a") as file:
        file.write(LIVE + "[feed.live]\nwarm_up_bars = 3\n")

    async def warm_up() -> None:
        feed = compose.feed_of(load([Path("tidegate.toml")]))
        assert isinstance(feed, VenueFeed)
        await feed.connect()
        await feed.close()

    anyio.run(warm_up)

    assert bar_at(99) == stored(REHEARSED)[-1]
    assert [] == stored()


@pytest.mark.parametrize(
    ("source", "venue", "folder"),
    [
        ("ccxt", "", "data"),
        ("ccxt", "loopback_port = 1", REHEARSED),
        ("ccxt", "ccxt.urls = 'http://127.0.0.1:1'", REHEARSED),
        ("ccxt", "ccxt.urls = 'https://api.example.com'", "data"),
        ("yfinance", "loopback_port = 1", REHEARSED),
        ("alpaca", "ccxt.urls = 'http://127.0.0.1:1'", "data"),
    ],
)
def test_a_rehearsal_is_what_reaches_this_machine_only(
    source: str, venue: str, folder: str, tidegate: Tidegate
) -> None:
    """By a port or by addresses, where these are in force; the venue itself has the store."""
    Path("a.toml").write_text(
        f'[venue]\nexchange = "binanceusdm"\n{venue}\n[feed]\nsource = "{source}"\n'
    )

    assert Path(folder) == store_of(load([Path("a.toml")]).settings, Path("data"))


@pytest.mark.usefixtures("configured")
def test_check_looks_at_a_live_configuration_without_asking_anybody(
    venue: LabVenue, tidegate: Tidegate
) -> None:
    """What the session would be is known before it is connected."""
    with Path("tidegate.toml").open("a") as file:
        file.write(LIVE)

    done = tidegate("check")

    assert "live data" in done.stdout
    assert [] == venue.asked


def test_a_replay_of_live_data_is_refused(tidegate: Tidegate) -> None:
    """History comes from files; the refusal says how to get it."""
    Path("live.toml").write_text(
        f'[venue]\nexchange = "binanceusdm"\n[universe]\nsymbols = ["{BTC}"]\n' + LIVE
    )

    done = tidegate("replay", "-c", "live.toml")

    assert 2 == done.exit_code
    assert "tidegate data fetch" in done.stderr
