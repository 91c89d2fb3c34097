"""A start that is refused leaves no half session, and nothing for the next one to stumble over."""

from __future__ import annotations

from pathlib import Path

import pytest
from starting_house import House, write_configuration

from actors import artifacts

NOBODY = {
    "TIDEGATE_VENUE__ADAPTER": "virtual",
    "TIDEGATE_VENUE__URL": "http://127.0.0.1:9",
    "TIDEGATE_VENUE__CREDENTIALS__API_KEY": "a key for nobody",
}
UNREADY = """\
from strategies import Strategy, StrategyParams


class Unready(Strategy):
    Params = StrategyParams

    def __init__(self, *given):
        raise ValueError("a drill")

    def on_bar(self, bar):
        return []
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    write_configuration(tmp_path)
    return House(tmp_path)


def test_a_venue_that_does_not_answer_leaves_no_session(house: House) -> None:
    """The next `--resume` finds what was there before: nothing."""
    refused = house.run("trade", "--new", environ=NOBODY)

    assert 5 == refused.code, refused.said
    assert "the venue does not answer" in refused.problems[0]
    assert [] == house.sessions
    assert 2 == house.run("trade", "--resume").code


def test_a_strategy_that_cannot_be_made_leaves_no_session(house: House) -> None:
    """Repaired, the first session is the first."""
    good = (house.folder / "busy.py").read_text()
    (house.folder / "busy.py").write_text(UNREADY.replace("Unready", "Busy"))
    refused = house.run("trade", "--new")

    assert 2 == refused.code, refused.said
    assert "a drill" in refused.problems[0]
    assert [] == house.sessions
    (house.folder / "busy.py").write_text(good)
    assert 0 == house.run("trade", "--new").code
    assert 1 == len(house.sessions)


def test_a_refused_start_does_not_hide_the_session_that_resume_would_choose(house: House) -> None:
    """It goes on with the one that died, although somebody tried a new one since."""
    house.crash("trade", "--new", at="journal.committed:60")
    (died,) = house.sessions
    assert 5 == house.run("trade", "--new", "--abandon-orders", environ=NOBODY).code

    resumed = house.run("trade", "--resume")

    assert 0 == resumed.code, resumed.said
    assert [died] == house.sessions


def test_going_on_that_is_refused_leaves_the_session_as_it_was(house: House) -> None:
    """Whoever was there before is no half session."""
    house.crash("trade", "--new", at="session.journal_opened:1")
    (died,) = house.sessions

    (house.folder / "busy.py").rename(house.folder / "away.py")
    assert 2 == house.run("trade", "--resume").code
    assert [died] == house.sessions
    (house.folder / "away.py").rename(house.folder / "busy.py")
    assert 0 == house.run("trade", "--resume").code


def test_bad_rows_of_a_refused_input_stay_for_whoever_mends_them(tmp_path: Path) -> None:
    """They are no session: `sessions` lists none."""
    out = tmp_path / "session"
    out.mkdir()
    (out / "quarantine.csv").write_text("file,line,reason\n")
    (out / "manifest.json").write_text("{}")
    (out / "logs").mkdir()

    with pytest.raises(KeyboardInterrupt), artifacts.nothing_half_begun(out):
        raise KeyboardInterrupt

    assert ["quarantine.csv"] == [path.name for path in out.iterdir()]
