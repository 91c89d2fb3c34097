"""A rehearsal and an approval are for exactly what was rehearsed and approved."""

from __future__ import annotations

import importlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tidegate import clearance, packages
from tidegate.config import Settings
from tidegate.origin import code_sha256

if TYPE_CHECKING:
    from tests.cli.conftest import Process, Tidegate

CLEARANCE = Path("runs/live/accounts/main/clearance.jsonl")


@pytest.fixture
def configured(tidegate: Tidegate) -> Path:
    """Return a configuration that `init` wrote, and a scenario that passes beside it."""
    assert tidegate("init", "--dir", ".").exit_code == 0
    assert tidegate("scenario", "new", "drill").exit_code == 0
    return Path("tidegate.toml")


def rehearse(tidegate: Tidegate, file: Path) -> dict[str, Any]:
    """Run the scenario as the rehearsal of ``file``."""
    done = tidegate("scenario", "run", "drill.scenario.toml", "-c", file, "--json")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document["rehearsal"]


def status(tidegate: Tidegate, file: Path, **environ: str) -> dict[str, str]:
    """Return what `check` says of both in live mode."""
    checked = tidegate("check", "-c", file, "--mode", "live", "--json", **environ)
    rows = json.loads(checked.stdout)["checks"]
    return {
        row["subject"]: row["status"] for row in rows if row["subject"] in {"rehearsal", "approval"}
    }


def test_what_was_neither_rehearsed_nor_approved_fails_the_check_of_a_live_session(
    tidegate: Tidegate, configured: Path
) -> None:
    """Both are missing, and both say how they are had; a paper session needs neither."""
    assert status(tidegate, configured) == {"rehearsal": "fail", "approval": "fail"}
    paper = tidegate("check", "-c", configured, "--json")
    assert not {"rehearsal", "approval"} & {
        row["subject"] for row in json.loads(paper.stdout)["checks"]
    }


def test_an_approval_after_a_rehearsal_clears_the_configuration(
    tidegate: Tidegate, configured: Path
) -> None:
    """The rehearsal is noted when every scenario has passed; then a person may approve."""
    noted = rehearse(tidegate, configured)
    assert status(tidegate, configured) == {"rehearsal": "ok", "approval": "fail"}

    approved = tidegate(
        "approve", "-c", configured, "--by", "Ada", "--reason", "drilled", "--yes", "--json"
    )

    assert approved.exit_code == 0, approved.output
    assert json.loads(approved.stdout)["subject"] == noted["subject"]
    assert status(tidegate, configured) == {"rehearsal": "ok", "approval": "ok"}
    kinds = [json.loads(line)["kind"] for line in CLEARANCE.read_text().splitlines()]
    assert kinds == ["rehearsal", "approval"]


def test_nothing_is_approved_that_was_not_rehearsed(tidegate: Tidegate, configured: Path) -> None:
    """The command says what to run, exits with 1, and notes nothing."""
    refused = tidegate("approve", "-c", configured, "--by", "Ada", "--yes")

    assert refused.exit_code == 1
    assert "tidegate scenario run" in refused.output
    assert not CLEARANCE.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"TIDEGATE_RISK__MAX_ORDER_NOTIONAL": "4321"},
        {"TIDEGATE_VENUE__FEE_BPS": "11"},
        {"TIDEGATE_UNIVERSE__DENY": '["XRP/USDT"]'},
    ],
)
def test_whatever_decides_and_changes_needs_both_anew(
    tidegate: Tidegate, configured: Path, change: dict[str, str]
) -> None:
    """A limit, a fee, a list: what was approved is not what would trade now."""
    rehearse(tidegate, configured)
    assert tidegate("approve", "-c", configured, "--by", "Ada", "--yes").exit_code == 0

    assert status(tidegate, configured, **change) == {"rehearsal": "fail", "approval": "fail"}


def test_a_changed_strategy_needs_both_anew(tidegate: Tidegate, configured: Path) -> None:
    """The strategy's source is part of what was approved."""
    assert tidegate("new-strategy", "own").exit_code == 0
    source = Path("user_strategies/own.py")
    strategy = {"name": "own", "use": f"{source}:Own"}
    settings = tomllib.loads(configured.read_text()) | {"strategies": [strategy]}
    configured = Path("own.json")
    configured.write_text(json.dumps(settings))
    rehearse(tidegate, configured)
    assert status(tidegate, configured)["rehearsal"] == "ok"

    source.write_text(source.read_text() + "\n# a change\n")

    assert status(tidegate, configured)["rehearsal"] == "fail"


def installed(site: Path, version: str) -> None:
    """Have a package installed in ``site``, in this version."""
    site.mkdir(exist_ok=True)
    for old in site.glob("*.dist-info"):
        shutil.rmtree(old)
    info = site / f"owl_eyes-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: owl-eyes\nVersion: {version}\n")
    (info / "top_level.txt").write_text("owl_eyes\n")
    (site / "owl_eyes.py").write_text("")
    importlib.invalidate_caches()
    packages._installed.cache_clear()


def importing(tidegate: Tidegate, configured: Path, line: str) -> Path:
    """Return a configuration of a strategy that has this line too."""
    assert tidegate("new-strategy", "own").exit_code == 0
    source = Path("user_strategies/own.py")
    source.write_text(f"{source.read_text()}\n{line}\n")
    strategy = {"name": "own", "use": f"{source}:Own"}
    settings = tomllib.loads(configured.read_text()) | {"strategies": [strategy]}
    file = Path("own.json")
    file.write_text(json.dumps(settings))
    return file


def said(tidegate: Tidegate, file: Path) -> dict[str, str]:
    """Return what `check` says of each subject in live mode."""
    checked = tidegate("check", "-c", file, "--mode", "live", "--json")
    return {row["subject"]: row["detail"] for row in json.loads(checked.stdout)["checks"]}


def test_another_version_of_what_a_strategy_imports_needs_both_anew(
    tidegate: Tidegate, configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The versions are noted, told where they differ, and count again where they agree."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    installed(site, "1.0")
    file = importing(tidegate, configured, "import owl_eyes")
    rehearse(tidegate, file)
    assert tidegate("approve", "-c", file, "--by", "Ada", "--yes").exit_code == 0
    assert status(tidegate, file) == {"rehearsal": "ok", "approval": "ok"}
    noted = [json.loads(line)["packages"] for line in CLEARANCE.read_text().splitlines()]
    assert ["1.0", "1.0"] == [each["owl-eyes"] for each in noted]

    installed(site, "1.1")
    now = said(tidegate, file)

    assert status(tidegate, file) == {"rehearsal": "fail", "approval": "fail"}
    assert "with owl-eyes 1.0, and 1.1 is installed" in now["rehearsal"]
    assert "was approved by Ada with owl-eyes 1.0, and 1.1 is installed" in now["approval"]
    refused = tidegate("approve", "-c", file, "--by", "Ada", "--yes")
    assert (1, True) == (refused.exit_code, "owl-eyes 1.0, and 1.1" in refused.output)

    installed(site, "1.0")

    assert status(tidegate, file) == {"rehearsal": "ok", "approval": "ok"}


def test_an_approval_without_versions_says_so(tidegate: Tidegate, configured: Path) -> None:
    """One from before they were noted does not count, and is not called nobody's."""
    rehearse(tidegate, configured)
    assert tidegate("approve", "-c", configured, "--by", "Ada", "--yes").exit_code == 0
    lines = [json.loads(line) for line in CLEARANCE.read_text().splitlines()]
    for line in lines:
        assert line.pop("packages")["talipp"]
    CLEARANCE.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    assert "by Ada with no version of talipp, and " in said(tidegate, configured)["approval"]


def test_the_package_that_speaks_to_the_venue_is_one_that_decides() -> None:
    """What makes an order of ours one of the venue's is part of what was approved."""
    settings = Settings.model_validate(
        {"venue": {"adapter": "ccxt", "exchange": "okx"}, "feed": {"source": "yfinance"}}
    )

    assert ["ccxt", "yfinance"] == list(packages._speaking(settings))


@pytest.mark.parametrize(
    ("line", "by"),
    [
        ("import importlib\nimportlib.import_module('own_' + 'parts')", "import_module"),
        ("NAME = 'json'\n__import__(NAME)", "__import__"),
        ("from importlib.metadata import entry_points\nentry_points(group='owls')", "entry_points"),
        ("from importlib import import_module as load\nload('js' + 'on')", "import_module"),
    ],
)
def test_what_no_approval_covers_is_said_before_it(
    line: str, by: str, tidegate: Tidegate, configured: Path
) -> None:
    """Code that comes in under a name made up at run time: by the check, and who approves."""
    Path("user_strategies").mkdir()
    Path("user_strategies/own_parts.py").write_text("")
    file = importing(tidegate, configured, line)

    told = said(tidegate, file)["imports of own"]
    rehearse(tidegate, file)
    approved = tidegate("approve", "-c", file, "--by", "Ada", "--yes")

    assert f": {by} may bring in code whose name is made up at run time" in told
    assert told.startswith("own.py:")
    assert approved.exit_code == 0
    assert f"imports of own: {told}" in approved.stderr


def test_what_is_imported_from_nowhere_in_particular_is_said(
    tidegate: Tidegate, configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of a folder on the path has neither a version nor a part in the hash."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "owl_ears.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "far")

    told = said(tidegate, importing(tidegate, configured, "import owl_ears"))

    assert "imports owl_ears, which is neither beside it nor" in told["imports of own"]


def test_other_code_of_the_same_version_needs_both_anew(
    tidegate: Tidegate, configured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was approved is what would run: one character of a guard makes it another program."""
    home = Path(clearance.__file__).parents[1]
    other = tmp_path / "other"
    shutil.copytree(home / "actors" / "risk", other / "actors" / "risk")
    before = code_sha256(other)
    guards = other / "actors" / "risk" / "guards.py"
    guards.write_text(guards.read_text() + "\n")
    code_sha256.cache_clear()
    assert code_sha256(other) != before

    rehearse(tidegate, configured)
    assert tidegate("approve", "-c", configured, "--by", "Ada", "--yes").exit_code == 0
    assert status(tidegate, configured) == {"rehearsal": "ok", "approval": "ok"}
    monkeypatch.setattr(clearance, "code_sha256", lambda: code_sha256(other))

    assert status(tidegate, configured) == {"rehearsal": "fail", "approval": "fail"}


def test_what_says_only_how_it_is_run_changes_nothing(tidegate: Tidegate, configured: Path) -> None:
    """Log form, control plane and a rehearsal's loopback port are not what trades."""
    rehearse(tidegate, configured)

    changed = {
        "TIDEGATE_TELEMETRY__LOG_FORMAT": "json",
        "TIDEGATE_CONTROL__HTTP": "",
        "TIDEGATE_VENUE__LOOPBACK_PORT": "8443",
    }

    assert status(tidegate, configured, **changed)["rehearsal"] == "ok"


def test_a_scenario_that_fails_is_no_rehearsal(tidegate: Tidegate, configured: Path) -> None:
    """One that fails is enough: nothing is noted."""
    scenario = Path("drill.scenario.toml")
    scenario.write_text(scenario.read_text() + '\n[[expect]]\nevent = "SessionEnded"\ncount = 7\n')

    done = tidegate("scenario", "run", scenario, "-c", configured)

    assert done.exit_code != 0
    assert not CLEARANCE.exists()


def test_without_a_terminal_there_is_nobody_to_ask(
    tidegate: Tidegate, configured: Path, process: Process
) -> None:
    """Without a terminal it takes --yes: exit 2, and nothing is noted."""
    rehearse(tidegate, configured)

    asked = process("approve", "-c", configured, "--by", "Ada")

    assert asked.returncode == 2
    assert "nobody to ask" in asked.stderr
    assert status(tidegate, configured) == {"rehearsal": "ok", "approval": "fail"}


@pytest.mark.parametrize(
    ("answer", "code", "then"), [("n", 1, "fail"), ("", 1, "fail"), ("y", 0, "ok")]
)
def test_a_person_is_shown_what_would_trade_and_asked(
    tidegate: Tidegate, configured: Path, answer: str, code: int, then: str
) -> None:
    """Account, strategy and hash are shown first; only a yes approves."""
    noted = rehearse(tidegate, configured)
    person, terminal = pty.openpty()
    os.write(person, f"{answer}\n".encode())

    asked = subprocess.run(
        [sys.executable, "-m", "tidegate", "approve", "-c", str(configured), "--by", "Ada"],
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    os.close(person)
    os.close(terminal)

    assert asked.returncode == code, asked.stderr
    shown = asked.stdout.split("approve?")[0]
    assert noted["subject"][:12] in shown
    assert "sma_cross" in shown
    assert status(tidegate, configured)["approval"] == then


def test_a_line_that_is_no_clearance_is_named(tidegate: Tidegate, configured: Path) -> None:
    """A damaged file clears nothing: the check names its line."""
    rehearse(tidegate, configured)
    CLEARANCE.write_text(CLEARANCE.read_text() + '{"kind": "approval"}\n')

    checked = tidegate("check", "-c", configured, "--mode", "live")

    assert checked.exit_code == 1
    assert "clearance.jsonl, line 2: found no clearance" in checked.output


def test_a_line_without_its_end_is_left_out(tidegate: Tidegate, configured: Path) -> None:
    """What a crash cut off was acknowledged to nobody, and the next line is whole again."""
    rehearse(tidegate, configured)
    whole = CLEARANCE.read_bytes()
    CLEARANCE.write_bytes(whole + b'{"kind": "appro')

    assert status(tidegate, configured)["rehearsal"] == "ok"
    assert tidegate("approve", "-c", configured, "--by", "Ada", "--yes").exit_code == 0
    assert status(tidegate, configured) == {"rehearsal": "ok", "approval": "ok"}
