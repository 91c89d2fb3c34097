"""The pages agree with the code and with each other."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_pages import ROOT, anchors, links, pages, prose, spans, text_of

from feeds.flaws import Flaw
from state.projections.account_rows import ACCOUNT_COLUMNS
from state.projections.intent_rows import INTENT_COLUMNS
from state.projections.order_rows import ORDER_COLUMNS, TRADE_COLUMNS
from state.projections.position_rows import POSITION_COLUMNS
from state.projections.trip_rows import TRIP_COLUMNS
from tidegate.cli import app

GENERATE = "python docs/generate.py"
COLUMNS = {
    "orders.csv": ORDER_COLUMNS,
    "trades.csv": TRADE_COLUMNS,
    "positions.csv": POSITION_COLUMNS,
    "account.csv": ACCOUNT_COLUMNS,
    "intents.csv": INTENT_COLUMNS,
    "round_trips.csv": TRIP_COLUMNS,
    "quarantine.csv": ("file", "line", "reason", "row"),
}
# Letters in brackets, so that this file does not hold what it forbids.
FOREIGN = re.compile(
    r"(?<![\w.])/(?:[w]ork|[r]oot|[h]ome|[U]sers|[t]mp)/\w"
    r"|[p]ypi\.org|[p]ythonhosted|--[i]ndex-url|[n]pmjs\.|[g]oproxy"
)


@pytest.fixture(scope="module")
def generate() -> Any:
    """Return the maker of the generated pages."""
    path = ROOT / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(generate: Any) -> dict[str, str]:
    """Return the generated pages, as the code says they are now."""
    return dict(generate.pages())


def test_the_generated_pages_are_what_the_code_says(generate: Any, made: dict[str, str]) -> None:
    """A stale page fails here; `python docs/generate.py` writes all of them anew."""
    assert generate.stale(made) == [], f"stale; `{GENERATE}` writes them"


def test_a_stale_page_is_noticed(generate: Any, made: dict[str, str], tmp_path: Path) -> None:
    """One changed letter, or a page that is not there, is enough."""
    generate.FOLDER, folder = tmp_path, generate.FOLDER
    try:
        (tmp_path / "messages.md").write_text(made["messages.md"] + "x", "utf-8")

        assert sorted(generate.stale(made)) == sorted(made)
    finally:
        generate.FOLDER = folder


def test_every_page_is_reached_from_the_index() -> None:
    """docs/README.md lists every page, so that none is known only to whom wrote it."""
    index = Path("docs/README.md")
    listed = {(ROOT / index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    there = [page for page in pages() if page.parts[0] == "docs" and page != index]

    assert [str(page) for page in there if (ROOT / page).resolve() not in listed] == []


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links name files that are there, and headings that they have."""
    broken = []
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page.parent / name).resolve() if name else ROOT / page
        if not target.exists() or not target.is_relative_to(ROOT):
            broken.append(link)
        elif anchor and anchor not in anchors(target.relative_to(ROOT)):
            broken.append(f"{link} (no such heading)")

    assert broken == []


# --------------------------------------------------------------------------------- the commands


def known_commands() -> dict[tuple[str, ...], Any]:
    """Return every command of the command line by its words."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[words] = command
            return
        for name, child in children.items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = known_commands()


def wrong_with(code: str) -> str:
    """Return what is wrong with a span that begins with ``tidegate``, empty if nothing is."""
    words = shlex.split(code)[1:]
    named = [word for word in words if not word.startswith("-")]
    if not words or words[0].startswith("-"):
        return "" if set(words) <= {"--help", "-h", "--json"} else "no such option"
    command = COMMANDS.get(tuple(named[:2])) or COMMANDS.get((named[0],))
    if command is None:
        group = any(known[0] == named[0] for known in COMMANDS) and len(named) == 1
        return "" if group else "no such command"
    options = {"--help", *(name for param in command.params for name in param.opts)}
    unknown = [word for word in words if word.startswith("-") and word not in options]
    return f"no such option: {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_command_named_in_the_prose_is_there(page: Path) -> None:
    """No page sends its reader to a command or an option that the command line has not."""
    wrong = {
        span: problem
        for span in spans(page)
        if re.match(r"tidegate( |$)", span) and (problem := wrong_with(span))
    }

    assert wrong == {}


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("tidegate", ""),
        ("tidegate replay --data FILE", ""),
        ("tidegate config show", ""),
        ("tidegate config", ""),
        ("tidegate flatten", "no such command"),
        ("tidegate replay --fast", "no such option: --fast"),
    ],
)
def test_a_command_that_is_not_there_is_noticed(code: str, problem: str) -> None:
    """The check of the prose tells what is there from what is not."""
    assert wrong_with(code) == problem


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("page", ["docs/MANUAL.md", "docs/reference/cli.md"])
def test_every_command_is_documented(page: str, words: tuple[str, ...]) -> None:
    """The manual says what each command is for, the reference what each option does."""
    assert f"tidegate {' '.join(words)}" in text_of(Path(page))


# ------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize("name", COLUMNS)
def test_the_columns_of_a_file_are_the_documented_ones(name: str) -> None:
    """Every column has its row in the reference, in the file's order, and no row is left over."""
    sections = re.split(r"^## ", text_of(Path("docs/reference/artifacts.md")), flags=re.MULTILINE)
    (section,) = (each for each in sections if each.startswith(f"{name}\n"))
    first_table = section.partition("| column |")[2].partition("\n\n")[0]
    documented = re.findall(r"^\| `(\w+)` \|", first_table, flags=re.MULTILINE)

    assert documented == list(COLUMNS[name])


def test_every_reason_of_the_quarantine_is_documented() -> None:
    """A reason that stands in a file can be looked up."""
    table = text_of(Path("docs/reference/artifacts.md")).partition("| reason | the row |")[2]
    documented = re.findall(r"^\| `(\w+)` \|", table.partition("\n## ")[0], flags=re.MULTILINE)

    assert documented == [flaw.value for flaw in Flaw]


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    """A clone works anywhere: nothing in it points at where it was made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of tracked files")
    found = []
    for name in listed.stdout.rstrip("\0").split("\0"):
        path = ROOT / name
        if path.suffix in {".gz", ".parquet", ".feather"} or not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")

    assert found == []


def test_no_page_speaks_of_todo() -> None:
    """What is missing is said in plain words, where the reader needs it."""
    marks = re.compile(r"\b(?:TODO|FIXME|TBD|coming soon)\b", re.IGNORECASE)

    assert [str(page) for page in pages() if marks.search(prose(page))] == []
