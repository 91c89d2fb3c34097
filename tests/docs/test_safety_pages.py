"""What the pages say of holds and kills is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_pages import text_of

from actors.agreement import FAILURE_HOLDS, OVERFLOW_HOLDS, RECONCILIATION_HOLD
from actors.commands import OPERATORS, PAUSE_HOLD, QUARANTINE_HOLDS, STOP_HOLD
from actors.health.actor import CIRCUIT_HOLD, STALE_HOLD
from actors.health.vitals import VITALS
from actors.runtime import limits
from actors.runtime.supervision import ABANDONED_HOLDS
from messages import KILL_HOLD, RATE_LIMIT_HOLDS, RISK_HOLDS, HoldMode, KillStage
from state.projections.limits import HOLDS_MAX
from state.projections.safety_summary import HoldEnd, HoldResult
from state.register import FILE, MARKER, REGISTER_HOLD, STOPPING
from tidegate.exits import Exit

HOLDS_PAGE = Path("docs/explanation/supervision-and-holds.md")
KILL_PAGE = Path("docs/explanation/kill-switch.md")
SESSION_PAGE = Path("docs/how-to/read-a-session.md")
ARTIFACTS_PAGE = Path("docs/reference/artifacts.md")

HOLDS = (
    STOP_HOLD,
    PAUSE_HOLD,
    KILL_HOLD,
    RISK_HOLDS,
    QUARANTINE_HOLDS,
    REGISTER_HOLD,
    CIRCUIT_HOLD,
    RATE_LIMIT_HOLDS,
    STALE_HOLD,
    *VITALS,
    ABANDONED_HOLDS,
    RECONCILIATION_HOLD,
    OVERFLOW_HOLDS,
    *FAILURE_HOLDS,
    "restarting:",
    STOPPING,
)


def rows_of(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, its head left out."""
    below = text_of(page).partition(f"{heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None, f"{page}: no table below {heading}"
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("hold_id", HOLDS)
def test_every_hold_has_its_row_with_who_lifts_it(hold_id: str) -> None:
    """Whoever finds a hold in force can look up whose it is."""
    rows = rows_of(HOLDS_PAGE, "### Who places what, and who lifts it")
    named = [row for row in rows if re.search(rf"`{re.escape(hold_id)}", row[0])]

    assert len(named) == 1, f"{hold_id} stands in {len(named)} rows"


def test_what_an_operator_may_lift_is_what_the_page_says_is_resumed() -> None:
    """The desk's list and the page's last column agree, row by row."""
    rows = rows_of(HOLDS_PAGE, "### Who places what, and who lifts it")
    resumed = {re.findall(r"`([^`]+)`", row[0])[0] for row in rows if "resume" in row[3]}
    operators = {
        next(name for name in resumed if name.startswith(hold_id)) for hold_id in OPERATORS
    }

    assert resumed == operators


def test_every_mode_and_stage_is_explained() -> None:
    """No word of the journal is left to be guessed."""
    modes = [row[0].strip("`") for row in rows_of(HOLDS_PAGE, "## Holds")]
    stages = [row[0].strip("`") for row in rows_of(KILL_PAGE, "## The sequence")]

    assert modes == [mode.value for mode in HoldMode]
    assert stages == [stage.value for stage in KillStage]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (KILL_PAGE, f"{limits.KILL_GRACE_S * 1000:g} ms not taken"),
        (KILL_PAGE, f"{limits.KILL_LAST_RESORT_S:g} s not taken"),
        (KILL_PAGE, f"after {limits.KILL_FIRST_LOOK_MS} ms, {2 * limits.KILL_FIRST_LOOK_MS} ms"),
        (KILL_PAGE, f"at most every {limits.KILL_LOOK_MS_MAX // 1000} s"),
        (KILL_PAGE, f"{limits.KILL_CONFIRM_MS // 1000} s have passed without that"),
        (KILL_PAGE, f"exits with code {Exit.KILLED:d}, or {Exit.HALTED:d}"),
        (KILL_PAGE, f"/accounts/<account>/{FILE}`"),
        (KILL_PAGE, f"an empty file named `{MARKER}`"),
        (SESSION_PAGE, f"more than {HOLDS_MAX} placements"),
    ],
)
def test_figures_of_the_pages_are_those_of_the_code(page: Path, words: str) -> None:
    """A bound that is changed makes the page that names it wrong."""
    assert words in text_of(page)


def test_the_row_of_a_hold_is_documented_key_by_key() -> None:
    """A program that reads holds finds every key, and every word for its end."""
    rows = rows_of(ARTIFACTS_PAGE, "A hold's row in `--json`:\n")
    keys = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    ends = next(row[1] for row in rows if row[0] == "`end`")

    assert keys == list(HoldResult.__struct_fields__)
    assert [end.value for end in HoldEnd] == re.findall(r"`(\w+)`", ends)
