"""Every file, test and scenario that the coverage page names is there, and every row has some."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from markdown_pages import ROOT, text_of

PAGE = Path("docs/reference/seed-coverage.md")
SEEDS = ("000", "002", "003", "004")
LEAST = {"000": 60, "002": 40, "003": 20, "004": 40}
"""Fewer rows than this would mean that a part of a document was left out."""

SHARED = ROOT.parent / "shared" / "seeds"


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a seed: its number, its words, and the three cells with what covers it."""

    number: str
    item: str
    code: str
    test: str
    scenario: str

    def __str__(self) -> str:
        """Return what pytest calls it."""
        return self.number

    def named(self) -> list[str]:
        """Return every path that the row names."""
        return re.findall(r"`([^`]+)`", f"{self.code} {self.test} {self.scenario}")


def rows() -> list[Row]:
    """Return the rows of all tables, in order."""
    found = []
    for line in text_of(PAGE).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and re.fullmatch(r"\d{3}\.\d+", cells[0]):
            found.append(Row(*cells))
    return found


ROWS = rows()


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of the tests that a module has."""
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def problem_with(named: str) -> str:
    """Return what is wrong with a name, empty if it leads somewhere."""
    file, _, test = named.partition("::")
    path = ROOT / file
    if not path.is_file():
        return f"{file}: no such file"
    if test and test not in names_in(path):
        return f"{file}: no test {test}"
    return ""


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_a_row_names_is_there(row: Row) -> None:
    """A file that is moved, a test that is renamed, a scenario that is taken away fails here."""
    problems = [problem for named in row.named() if (problem := problem_with(named))]

    assert problems == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_item_is_covered(row: Row) -> None:
    """Code and a test, both of them."""
    assert "`" in row.code
    assert "`tests/" in row.test
    assert all(cell for cell in (row.item, row.code, row.test, row.scenario))
    assert all(name.startswith("tests/") for name in re.findall(r"`([^`]+)`", row.test))
    assert all(name.startswith("scenarios/") for name in re.findall(r"`([^`]+)`", row.scenario))


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_has_its_table(seed: str) -> None:
    """Numbered without a gap, no item twice, and not suspiciously short."""
    own = [row for row in ROWS if row.number.startswith(f"{seed}.")]

    assert [f"{seed}.{number}" for number in range(1, len(own) + 1)] == [r.number for r in own]
    assert len({row.item for row in own}) == len(own)
    assert len(own) >= LEAST[seed]


def test_no_sentence_of_a_seed_is_copied() -> None:
    """The items are in our words: eight words in a row of the owner's are not."""
    if not SHARED.is_dir():
        pytest.skip("the seeds are not beside the checkout")
    owners = set()
    for path in SHARED.glob("*.txt"):
        words = re.findall(r"[a-z0-9_]+", path.read_text("utf-8").lower())
        owners |= {tuple(words[place : place + 8]) for place in range(len(words) - 7)}
    copied = [
        row.number
        for row in ROWS
        for words in [re.findall(r"[a-z0-9_]+", row.item.lower())]
        for place in range(len(words) - 7)
        if tuple(words[place : place + 8]) in owners
    ]

    assert copied == []


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("README.md", ""),
        ("docs/none.md", "docs/none.md: no such file"),
        ("tests/docs/test_seed_coverage.py::test_every_seed_has_its_table", ""),
        (
            "tests/docs/test_seed_coverage.py::test_nothing",
            "tests/docs/test_seed_coverage.py: no test test_nothing",
        ),
    ],
)
def test_what_is_not_there_is_noticed(named: str, problem: str) -> None:
    """The check tells a name that leads somewhere from one that does not."""
    assert problem_with(named) == problem
