"""docs/how-to/virtual-venue.md: its files work, and its tables are whole."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from exchange_process import ROOT, environment, trade, venue

from scenarios.exchange.faults import Action, WireFaultKind

PAGE = (ROOT / "docs" / "how-to" / "virtual-venue.md").read_text("utf-8")


def block(name: str) -> str:
    """Return the block of the page that is the content of a file."""
    found = re.search(rf"^```\w+ {re.escape(name)}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize("with_faults", [False, True])
def test_following_the_page_ends_without_a_difference(tmp_path: Path, with_faults: bool) -> None:
    """With its faults and without: nothing lost, nothing twice, nothing open."""
    faults = json.loads(block("faults.json")) if with_faults else None
    (tmp_path / "compare.py").write_text(block("compare.py"))

    with venue(tmp_path, faults, configuration=block("rehearsal.toml")) as exchange:
        code, document, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        done = subprocess.run(
            [sys.executable, "compare.py", str(exchange.truth), document["folder"]],
            cwd=tmp_path,
            env=environment({}),
            capture_output=True,
            text=True,
            check=True,
        )

    assert "lost 0\nduplicated 0\nunresolved 0\n" == done.stdout
    assert done.stdout in PAGE


def test_every_fault_and_request_is_on_the_page() -> None:
    """What can be put in a faults file is told."""
    missing = [kind.value for kind in WireFaultKind if f"`{kind.value}`" not in PAGE]
    missing += [action for action in get_args(Action) if f"`{action}`" not in PAGE]

    assert [] == missing
