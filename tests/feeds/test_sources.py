"""Files and their symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from feeds import FeedSettingError, fixture_path
from feeds.sources import resolve_sources


def symbols(*texts: str, symbol: str | None = None) -> list[tuple[str, str]]:
    return [(source.symbol, source.name) for source in resolve_sources(texts, symbol)]


def test_a_file_may_name_its_symbol() -> None:
    """The symbol follows the last @; sources stand in order of their symbols."""
    assert [("BTC/USDT:USDT", "b.csv"), ("ETH/USDT", "a@1/e.csv")] == symbols(
        "a@1/e.csv@ETH/USDT", "b.csv@BTC/USDT:USDT"
    )


def test_a_single_file_has_the_symbol_asked_for_or_the_default() -> None:
    """--symbol speaks for a file that does not; BTC/USDT is the contract's default."""
    assert [("BTC/USDT", "a.csv")] == symbols("a.csv")
    assert [("ACME", "a.csv")] == symbols("a.csv", symbol="ACME")
    assert [("X", "a.csv")] == symbols("a.csv@X", symbol="ACME")


def test_several_files_need_a_symbol_each() -> None:
    """No file is given a symbol by guessing."""
    with pytest.raises(FeedSettingError, match=r"b.csv has no symbol; expected FILE@SYMBOL"):
        symbols("a.csv@X", "b.csv")


def test_two_files_for_one_symbol_are_refused() -> None:
    """Which of them would be right?"""
    with pytest.raises(
        FeedSettingError, match=r"two files for the one symbol ACME: a.csv and b.csv"
    ):
        symbols("a.csv", "b.csv", symbol="ACME")


@pytest.mark.parametrize("text", ["a.csv@", "@BTC/USDT", "a.csv@BTC USDT", "a.csv@,"])
def test_a_symbol_that_is_none_is_refused(text: str) -> None:
    """A symbol ends up in files and commands: it has no spaces and no commas."""
    with pytest.raises(FeedSettingError):
        symbols(text)


def test_no_file_at_all_is_refused() -> None:
    """A feed without a source is a mistake."""
    with pytest.raises(FeedSettingError, match="no data file"):
        symbols()


def test_an_at_sign_in_a_files_own_name_is_no_symbol(tmp_path: Path) -> None:
    """A file that exists under the whole text is that file."""
    file = tmp_path / "odd@name.csv"
    file.touch()

    assert [("BTC/USDT", str(file))] == symbols(str(file))
    assert [("X", str(file))] == symbols(f"{file}@X")


def test_a_packaged_fixture_is_named_and_has_its_own_symbol() -> None:
    """A demonstration needs no path."""
    (source,) = resolve_sources(["fixture:equity"])

    assert (fixture_path("equity"), "ACME") == (source.path, source.symbol)
    assert "XYZ" == resolve_sources(["fixture:equity@XYZ"])[0].symbol
    with pytest.raises(FeedSettingError, match="fixture 'gold'; expected crypto, equity, forex"):
        resolve_sources(["fixture:gold"])
