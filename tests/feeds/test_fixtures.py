"""The packaged files are what their seeds say."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from feeds import FIXTURES, FileFeed, SyntheticFeed, fixture_path
from feeds.fixtures.__main__ import main


@pytest.mark.parametrize("name", FIXTURES)
def test_a_fixture_replays_without_a_bad_row_and_labelled_synthetic(name: str) -> None:
    """Reading the file gives the very bars that its seed gives."""
    fixture = FIXTURES[name]
    feed = FileFeed([f"fixture:{name}"])

    bars = [bar for group in feed.groups() for bar in group]

    market = SyntheticFeed(
        [fixture.symbol], profile=fixture.profile, seed=fixture.seed, bars=fixture.bars
    )
    assert [bar for group in market.groups() for bar in group] == bars
    assert feed.synthetic
    assert "synthetic" in fixture_path(name).name
    assert {} == feed.report().bad_rows
    assert (fixture.symbol,) == feed.symbols


def test_making_the_fixtures_anew_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Content is compared unpacked: builds of zlib may pack differently."""
    assert 0 == main([str(tmp_path)])

    assert len(FIXTURES) == len(capsys.readouterr().out.splitlines())
    for fixture in FIXTURES.values():
        made, shipped = (tmp_path / fixture.file, fixture_path(fixture.profile))
        unpack = gzip.decompress if made.suffix == ".gz" else bytes
        assert unpack(shipped.read_bytes()) == unpack(made.read_bytes())


def test_the_fixtures_are_small_and_said_to_be_synthetic() -> None:
    """What the repository carries stays small, and says what it is."""
    folder = fixture_path("crypto").parent

    assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) < 600_000
    text = (folder / "README.md").read_text()
    assert "None of these bars is data of a real market." in text
    for fixture in FIXTURES.values():
        assert f"`{fixture.file}` | {fixture.symbol} | {fixture.profile} | {fixture.seed}" in text
        assert f"{fixture.bars:,}" in text
