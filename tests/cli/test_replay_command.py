"""What ``tidegate replay`` promises: its files, its answer, and what it refuses."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from replays import FILES, SMALL, WAVES, one_document

from tidegate.compose import NOT_IN_FORCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Process, Tidegate

ROOT = Path(__file__).resolve().parents[2]


def test_a_replay_leaves_its_files_and_prints_where_they_are(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Exit 0, the summary on standard output, nothing on standard error in a pipe."""
    ended = tidegate("replay", "--data", bars("a.csv", WAVES), *SMALL, "--out", "out")

    assert ended.exit_code == 0
    assert {path.name for path in Path("out").iterdir()} == FILES
    assert "out/session.html" in ended.stdout
    assert "equity" in ended.stdout
    assert ended.stderr == ""


def test_with_json_standard_output_is_one_document(
    process: Process, bars: Callable[..., Path]
) -> None:
    """The document has the outcome, the folder and the whole summary; nothing else is printed."""
    ended = process("replay", "--data", bars("a.csv", WAVES), *SMALL, "--json")

    document = one_document(ended.stdout)
    assert (ended.returncode, document["exit_code"], document["outcome"]) == (0, 0, "completed")
    assert Path(document["folder"], "trades.csv").is_file()
    assert document["summary"]["bars"] == len(WAVES)
    assert document["summary"]["fills"] > 0


def test_the_same_replay_elsewhere_is_the_same_session(
    process: Process, bars: Callable[..., Path]
) -> None:
    """Neither where the data lies, nor where the files go, nor the hash seed changes a byte."""
    bars("here/a.csv", WAVES)
    bars("there/far/a.csv", WAVES)

    first = process("replay", "--data", "here/a.csv", *SMALL, "--out", "o1", PYTHONHASHSEED="1")
    again = process(
        "replay",
        "--data",
        Path("there/far/a.csv").absolute(),
        *SMALL,
        "--out",
        "deep/o2",
        PYTHONHASHSEED="2",
        TIDEGATE_TELEMETRY__LOG_FORMAT="json",
    )

    assert (first.returncode, again.returncode) == (0, 0)
    for name in ("events.ndjson", "session.md", *(name for name in FILES if name.endswith(".csv"))):
        assert Path("o1", name).read_bytes() == Path("deep/o2", name).read_bytes()


def test_several_files_may_follow_one_option(tidegate: Tidegate, bars: Callable[..., Path]) -> None:
    """What a shell makes of a pattern is taken as it is."""
    bars("a.csv", WAVES)
    bars("b.csv", WAVES)

    ended = tidegate("replay", "--data", "a.csv@A/USD", "b.csv@B/USD", *SMALL, "--json")

    assert one_document(ended.stdout)["summary"]["symbols"] == ["A/USD", "B/USD"]


def test_an_output_folder_that_holds_anything_is_refused(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Exit 2, and what was there is untouched."""
    bars("out/precious.csv", WAVES)

    ended = tidegate("replay", "--data", "out/precious.csv", *SMALL, "--out", "out")

    assert ended.exit_code == 2
    assert "--out out: found files in it, expected a new or empty folder" in ended.stderr
    assert [path.name for path in Path("out").iterdir()] == ["precious.csv"]


def test_a_folder_that_cannot_be_made_is_refused(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """A file in the way is named."""
    data = bars("a.csv", WAVES)

    ended = tidegate("replay", "--data", data, *SMALL, TIDEGATE_SESSION__DIR="a.csv")

    assert ended.exit_code == 2
    assert "environment TIDEGATE_SESSION__DIR: session.dir: a.csv is a file" in ended.stderr


def test_a_bad_row_ends_the_replay_with_its_file_and_line(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Exit 2 and one line, unless so many bad rows are allowed; then it is in quarantine."""
    data = bars("a.csv", WAVES)
    lines = data.read_text().splitlines()
    lines[50] = lines[50].replace(",10", ",-10")
    data.write_text("\n".join(lines) + "\n")

    fatal = tidegate("replay", "--data", data, *SMALL, "--out", "o1")
    tolerated = tidegate(
        "replay", "--data", data, *SMALL, "--out", "o2", "--max-bad-rows", 1, "--json"
    )

    assert fatal.exit_code == 2
    assert "a.csv, line 51" in fatal.stderr
    assert len([line for line in fatal.stderr.splitlines() if "tidegate:" in line]) == 1
    assert tolerated.exit_code == 0
    assert one_document(tolerated.stdout)["summary"]["quarantined_rows"] == 1
    assert "a.csv,51" in Path("o2/quarantine.csv").read_text()


def test_quick_is_the_first_utc_day(tidegate: Tidegate, bars: Callable[..., Path]) -> None:
    """A smoke run stops at the first midnight of the data."""
    late = 1_704_067_200_000 + 23 * 3_600_000
    data = bars("a.csv", WAVES, start=late)

    ended = tidegate("replay", "--data", data, *SMALL, "--mode", "quick", "--json")

    assert one_document(ended.stdout)["summary"]["bars"] == 60


def test_the_events_go_to_one_more_file_on_request(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """`--events` is a copy of the session's own."""
    tidegate("replay", "--data", bars("a.csv", WAVES), *SMALL, "--out", "o", "--events", "e.ndjson")

    assert Path("e.ndjson").read_bytes() == Path("o/events.ndjson").read_bytes()


def test_the_seed_comes_from_the_environment_and_is_in_the_report(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """The short variable; an option beats it."""
    data = bars("a.csv", WAVES)

    by_variable = tidegate("replay", "--data", data, *SMALL, "--out", "o", TIDEGATE_SEED="77")
    by_option = tidegate(
        "replay", "--data", data, *SMALL, "--seed", 5, "--json", TIDEGATE_SEED="77"
    )

    assert by_variable.exit_code == 0
    assert "77" in Path("o/session.md").read_text()
    assert one_document(by_option.stdout)["summary"]["seed"] == 5


def test_no_limit_applies_that_was_not_given(tidegate: Tidegate, bars: Callable[..., Path]) -> None:
    """`./tidegate.toml` does not count in a replay; the same file given by -c does."""
    data = bars("a.csv", WAVES)
    Path("tidegate.toml").write_text('[risk]\nmax_order_notional = "1"\n')

    free = tidegate("replay", "--data", data, *SMALL, "--out", "o1", "--json")
    limited = tidegate(
        "replay", "--data", data, *SMALL, "-c", "tidegate.toml", "--out", "o2", "--json"
    )

    assert one_document(free.stdout)["summary"]["refusals"] == []
    codes = {row["code"] for row in one_document(limited.stdout)["summary"]["refusals"]}
    assert codes == {"max_order_notional"}
    assert one_document(limited.stdout)["summary"]["fills"] == 0


def test_a_key_that_does_nothing_is_refused(
    tidegate: Tidegate, bars: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that would do nothing is worse than none: it is named, and nothing runs."""
    monkeypatch.setitem(NOT_IN_FORCE, ("telemetry", "metrics"), "nobody counts yet")
    Path("c.toml").write_text("[telemetry]\nmetrics = true\n")

    ended = tidegate("replay", "--data", bars("a.csv", WAVES), *SMALL, "-c", "c.toml")

    assert ended.exit_code == 2
    assert "c.toml: telemetry.metrics: nobody counts yet" in ended.stderr


def test_a_whole_session_can_come_from_a_file(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """With -c, data and strategy need not be given again."""
    bars("a.csv", WAVES)
    Path("c.toml").write_text(
        "[feed]\nsource = 'file'\nfiles = ['a.csv@ETH/EUR']\n"
        "[[strategies]]\nname = 'one'\nuse = 'sma_cross'\nparams = {fast = 3, slow = 8}\n"
        "[[strategies]]\nname = 'two'\nuse = 'sma_cross'\nlot_method = 'lifo'\n"
    )

    ended = tidegate("replay", "-c", "c.toml", "--json")

    summary = one_document(ended.stdout)["summary"]
    assert [row["strategy"] for row in summary["strategies"]] == ["one", "two"]
    assert summary["accounts"][0]["currency"] == "EUR"


def test_an_instrument_file_rules_and_can_be_verified_without_it(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Its fee and lot step hold; the manifest keeps them, so the file may go."""
    bars("a.csv", WAVES)
    Path("i.toml").write_text("['X/USD']\nlot_step = '0.5'\ntaker_fee_bps = '0'\n")
    Path("c.toml").write_text("[universe]\ninstruments = 'i.toml'\n")
    options = ("--symbol", "X/USD", *SMALL, "--param", "quantity=1.7")

    ran = tidegate("replay", "--data", "a.csv", *options, "-c", "c.toml", "--out", "o", "--json")
    Path("i.toml").unlink()

    summary = one_document(ran.stdout)["summary"]
    assert summary["accounts"][0]["fees"] == "0"
    assert ",1.5," in Path("o/trades.csv").read_text()
    assert tidegate("verify", "o").exit_code == 0


def test_progress_is_shown_on_a_terminal_only(own_folder: Path) -> None:
    """A bar where somebody watches; standard output stays the answer's."""
    watched, terminal = pty.openpty()
    ended = subprocess.run(
        [sys.executable, "-m", "tidegate", "replay", "--data", "fixture:crypto", *SMALL, "--json"],
        stdout=subprocess.PIPE,
        stderr=terminal,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(terminal)
    shown = os.read(watched, 65_536).decode()
    os.close(watched)

    assert "bars" in shown
    assert one_document(ended.stdout.decode())["exit_code"] == 0


def test_a_strategy_file_that_does_not_import_is_named_by_line(
    tidegate: Tidegate, bars: Callable[..., Path]
) -> None:
    """Exit 2, with the user's file and line."""
    Path("mine.py").write_text("import json\nimport no_such_thing\n")

    ended = tidegate("replay", "--data", bars("a.csv", WAVES), "--strategy", "mine.py")

    assert ended.exit_code == 2
    assert "mine.py:2: ModuleNotFoundError" in ended.stderr
