"""The market of a scenario: inline, generated, from files, cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rehearsal import BTC, check_passes, lines, missed, opens, rehearse, scenario

from messages import Bar
from scenarios.errors import ScenarioError
from scenarios.market import Place, market_feed

START = 1_704_067_200_000
MINUTE = 60_000


def bars_of(folder: Path, market: dict[str, Any], **more: Any) -> list[Bar]:
    """Return the bars that a market table comes to."""
    made = scenario(market={BTC: market}, **more)
    feed = market_feed(made.market, made.session, made.feed, Place(folder, folder))
    return [bar for group in feed.groups() for bar in group]


def write_csv(path: Path, rows: int) -> None:
    """Write a CSV of ``rows`` minutes at 100."""
    lines = [f"{START + n * MINUTE},100,100,100,100,5\n" for n in range(rows)]
    path.write_text("timestamp,open,high,low,close,volume\n" + "".join(lines), "utf-8")


def test_closes_open_at_the_close_before_them(tmp_path: Path) -> None:
    """``[price, n]`` stands for n bars."""
    bars = bars_of(tmp_path, {"closes": [100, [99.5, 2]], "volume": 7})

    assert [(bar.timestamp - START, bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        (0, 100.0, 100.0, 100.0, 100.0),
        (MINUTE, 100.0, 100.0, 99.5, 99.5),
        (2 * MINUTE, 99.5, 99.5, 99.5, 99.5),
    ]
    assert {bar.volume for bar in bars} == {7.0}


def test_rows_are_bars_as_they_are_and_may_be_numbered(tmp_path: Path) -> None:
    """A number in front leaves out the bars before it."""
    bars = bars_of(tmp_path, {"rows": [[1, 3, 1, 2, 9], [4, 2, 2, 2, 2, 0]]})

    assert [(bar.timestamp - START) // MINUTE for bar in bars] == [0, 3]
    assert bars[0] == Bar(BTC, START, 1.0, 3.0, 1.0, 2.0, 9.0, MINUTE)


def test_a_market_can_begin_later(tmp_path: Path) -> None:
    """What is before its first bar is silence."""
    (bar,) = bars_of(tmp_path, {"closes": [5], "from_bar": 4})

    assert bar.timestamp == START + 3 * MINUTE


def test_time_frame_and_start_are_the_sessions(tmp_path: Path) -> None:
    """Of all inline markets."""
    session = {"timeframe": "4h", "start": "2020-02-02T00:00:00+01:00"}
    bars = bars_of(tmp_path, {"flat": {"bars": 2}}, session=session)

    assert bars[0].timestamp == 1_580_598_000_000
    assert bars[1].timestamp - bars[0].timestamp == bars[0].timeframe_ms == 14_400_000


@settings(max_examples=30)
@given(seed=st.integers(0, 2**40), step_bps=st.integers(0, 4_999))
def test_a_walk_is_a_possible_market(seed: int, step_bps: int) -> None:
    """Every bar is consistent, and no step is larger than asked."""
    walk = {"walk": {"bars": 50, "step_bps": step_bps}}
    bars = bars_of(Path(), walk, session={"seed": seed})

    for bar in bars:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert abs(bar.close - bar.open) <= bar.open * step_bps / 10_000 + 0.01


def test_a_file_lies_beside_the_scenario(tmp_path: Path) -> None:
    """A relative name starts at the scenario's folder; ``bars`` limits it."""
    write_csv(tmp_path / "bars.csv", 20)

    assert len(bars_of(tmp_path, {"file": "bars.csv", "bars": 6})) == 6


def test_a_fixture_can_stand_for_any_symbol(tmp_path: Path) -> None:
    """The packaged bars, under the scenario's own name."""
    bars = bars_of(tmp_path, {"file": "fixture:crypto", "bars": 3})

    assert {bar.symbol for bar in bars} == {BTC}


def test_a_file_of_another_time_frame_is_refused(tmp_path: Path) -> None:
    """Nothing is resampled."""
    write_csv(tmp_path / "bars.csv", 20)

    with pytest.raises(ScenarioError, match=r"market\.BTC/USDT: .*nothing is resampled"):
        bars_of(tmp_path, {"file": "bars.csv"}, session={"timeframe": "5m"})


def cut(after_row: int, *, while_reading: bool = True) -> dict[str, Any]:
    """Return a market from a file that is cut off."""
    return {
        BTC: {"file": "bars.csv", "cut": {"after_row": after_row, "while_reading": while_reading}}
    }


@pytest.mark.parametrize("while_reading", [True, False])
def test_a_file_that_is_cut_off_ends_the_session_by_its_name(
    tmp_path: Path, *, while_reading: bool
) -> None:
    """The good rows are traded, the torn one is in the quarantine, nothing new may open."""
    write_csv(tmp_path / "bars.csv", 20)
    result = rehearse(
        [opens(2, "a")],
        expect=[
            {"order": {"tag": "a", "status": "filled"}},
            {"outcome": "input_refused"},
            {"exit_code": 2},
            {"artifact": {"file": "quarantine.csv", "count": 1}},
        ],
        market=cut(6, while_reading=while_reading),
        folder=tmp_path,
    )

    check_passes(result)
    assert len((tmp_path / "bars.csv").read_text("utf-8").splitlines()) == 21


def test_a_torn_row_can_be_tolerated(tmp_path: Path) -> None:
    """As in the configuration."""
    write_csv(tmp_path / "bars.csv", 20)
    result = rehearse(
        expect=[{"outcome": "completed"}, {"artifact": {"file": "quarantine.csv", "count": 1}}],
        market=cut(6),
        feed={"max_bad_rows": 1},
        folder=tmp_path,
    )

    check_passes(result)


def test_a_file_that_is_refused_at_once_makes_no_session(tmp_path: Path) -> None:
    """Nothing has started; the reason stands with the miss, without the folder of this run."""
    write_csv(tmp_path / "bars.csv", 3)
    text = (tmp_path / "bars.csv").read_text("utf-8")
    (tmp_path / "bars.csv").write_text(text.replace("100,100,100,100,5", "1,2,3,4,5", 1), "utf-8")

    result = rehearse(market={BTC: {"file": "bars.csv"}}, folder=tmp_path)

    assert result.outcomes == (("input_refused", 2),)
    assert missed(result)[0].startswith("expect[0].outcome: outcome completed -> input_refused: ")
    assert "bars.csv, line 2: " in missed(result)[0]
    assert lines(result, "SessionStarted") == []


def test_a_cut_needs_a_row_to_cut(tmp_path: Path) -> None:
    """Beyond the end of the file there is none."""
    write_csv(tmp_path / "bars.csv", 5)

    with pytest.raises(ScenarioError, match="found 5 rows, expected more than 9 to cut one"):
        rehearse(market=cut(9, while_reading=False), folder=tmp_path)
