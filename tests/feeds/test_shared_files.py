"""Real recorded files: the facts that their description states, found again by the feed."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from gzip import decompress
from pathlib import Path

import pytest

from feeds import BadInput, FileFeed

DATA = Path(
    os.environ.get(
        "TIDEGATE_SHARED_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"
    )
)
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the shared market data is not on this machine"
)

REFUSED = {
    "no_open_time_plus0100_binance_spot_BTCUSDT_1m.csv": "header",
    "utf16_bitstamp_spot_BTCUSD_1d_2015.csv": "structure",
    "descending_us_equity_ORCL_1d_2000.csv": "header",
}
TWICE = "dup_backjump_eurex_FESX202406_1m_20240621.csv"


def described() -> dict[str, tuple[int, int, int, str]]:
    """Return file -> (rows, gaps, missing, time frame) as the data's README states them."""
    facts = {}
    if not DATA.is_dir():
        return {}
    for line in (DATA / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        match = re.fullmatch(r"`((?:bars|flawed)/.+)`", cells[0])
        if match is None:
            continue
        counts = re.match(r"(\d+) gaps, (\d+) intervals missing", cells[6])
        gaps, missing = map(int, counts.groups()) if counts else (0, 0)
        facts[match[1]] = (int(cells[5]), gaps, missing, cells[3])
    return facts


FACTS = described()


@pytest.mark.parametrize(
    "file", [file for file in FACTS if Path(file).name not in {*REFUSED, TWICE}]
)
def test_a_real_file_gives_the_bars_and_gaps_that_its_description_states(file: str) -> None:
    """Row, gap and missing counts equal those of an independent count, without a bad row."""
    rows, gaps, missing, timeframe = FACTS[file]
    feed = FileFeed([str(DATA / file)])

    bars = [bar for group in feed.groups() for bar in group]

    report = feed.report().files[0]
    assert (rows, gaps, missing) == (report.bars, report.gaps, report.missing)
    assert {} == report.bad_rows
    assert feed.timeframe_ms == FileFeed([str(DATA / file)], timeframe=timeframe).timeframe_ms
    content = (DATA / file).read_bytes()
    text = decompress(content) if file.endswith(".gz") else content
    lines = text.decode().splitlines()[1:]
    for line, bar in zip(
        lines[:: 1 + len(lines) // 200], bars[:: 1 + len(lines) // 200], strict=True
    ):
        numbers = [Decimal(repr(x)) for x in (bar.open, bar.high, bar.low, bar.close, bar.volume)]
        assert [Decimal(field) for field in line.split(",")] == [bar.timestamp, *numbers]


@pytest.mark.parametrize("name", REFUSED)
def test_a_real_file_of_another_form_is_refused_whatever_is_tolerated(name: str) -> None:
    """No open time, UTF-16, other columns: refused as a whole, at once."""
    if not (DATA / "flawed" / name).exists():
        pytest.skip(f"{name} is not in the shared data")

    with pytest.raises(BadInput) as caught:
        FileFeed([str(DATA / "flawed" / name)], max_bad_rows=10**9)

    assert REFUSED[name] == caught.value.reason


def test_a_day_held_twice_is_fatal_or_its_second_copy_is_quarantined(tmp_path: Path) -> None:
    """The first copy wins: 252 bars, 252 duplicates, one step back."""
    file = DATA / "flawed" / TWICE
    if not file.exists():
        pytest.skip(f"{TWICE} is not in the shared data")

    with pytest.raises(BadInput, match=r"line 254: duplicate timestamp 2024-06-21T00:15:00Z, 9.7h"):
        list(FileFeed([str(file)]).groups())

    feed = FileFeed([str(file)], max_bad_rows=252, quarantine_path=tmp_path / "quarantine.csv")
    assert 252 == len(list(feed.groups()))
    report = feed.report().files[0]
    assert ({"duplicate_timestamp": 252}, 1) == (report.bad_rows, report.backward_jumps)
    rows, gaps, missing, _ = FACTS[f"flawed/{TWICE}"]
    assert (rows, gaps, missing) == (report.rows, 2 * report.gaps, 2 * report.missing)
    assert 253 == len((tmp_path / "quarantine.csv").read_text().splitlines())


def test_three_real_perpetuals_merge_into_one_stream() -> None:
    """Files that begin and end minutes apart are one market."""
    names = [f"binance_usdm_{base}USDT_1m_202505.csv.gz" for base in ("BTC", "SOL", "LAYER")]
    files = [f"{DATA / 'bars' / name}@{name.split('_')[2]}" for name in names]
    if not all((DATA / "bars" / name).exists() for name in names):
        pytest.skip("the perpetuals are not in the shared data")
    feed = FileFeed(files)

    previous = 0
    count = 0
    for group in feed.groups():
        assert previous < group[0].timestamp
        previous = group[0].timestamp
        count += len(group)

    assert ("BTCUSDT", "LAYERUSDT", "SOLUSDT") == feed.symbols
    assert 43_199 + 43_200 + 43_199 == count == feed.report().bars
