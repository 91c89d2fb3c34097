"""The generated pages say what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.reference import pages

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["cli.md", "configuration.md"])
def test_the_page_is_what_the_code_says(name: str) -> None:
    """A stale page fails; `python -m tidegate.reference` writes it anew."""
    written = (FOLDER / name).read_text(encoding="utf-8")

    assert pages()[name] == written


def test_every_key_and_option_has_a_meaning() -> None:
    """No row of the tables is without its explanation."""
    bare = [
        line
        for text in pages().values()
        for line in text.splitlines()
        if line.startswith("| `") and any(not cell.strip() for cell in _meaning(line))
    ]

    assert bare == []


def _meaning(line: str) -> list[str]:
    cells = line.replace("\\|", "/").strip("|").split("|")
    return [cells[1] if len(cells) == 3 else cells[3]]
