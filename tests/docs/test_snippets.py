"""
What the pages tell their reader to do works, and shows what they say it shows.

Every block of shell on a page is run, in order, in one new folder. A command may say how it ends
(``# exit code 2``). A block of text right after a block of shell is what its last command prints,
with ``...`` for what differs from run to run. A block that names a file is that file.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from markdown_pages import ROOT, Block, blocks, commands, pages
from typer.testing import CliRunner

from tidegate.cli import app

EXIT = re.compile(r"\s+# exit code (?P<code>\d+)$")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=\S*")
MAKE_RUN = "make run"
NOT_RUN = (". .venv/bin/activate", "make ", "pip install ")
"""What prepares a machine or takes minutes; of the targets of make, `run` is run all the same."""

PACKAGED = "feeds/fixtures/equity_ACME_1m_synthetic.csv"
ALREADY_THERE = {"bars.csv": ROOT / PACKAGED, PACKAGED: ROOT / PACKAGED}
"""Files that a page may take for granted: the reader's own data, and the clone's."""


def has_commands(page: Path) -> bool:
    return any(block.language == "sh" for block in blocks(page))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    output: str


class Shell:
    """Runs the commands of a page in the current folder: ours in this process, others in bash."""

    def __init__(self) -> None:
        self.runner = CliRunner()

    def run(self, command: str) -> Outcome:
        if command == MAKE_RUN:
            return self.make_run()
        words = shlex.split(command)
        settings = {}
        while words and SETTING.fullmatch(words[0]):
            name, _, value = words.pop(0).partition("=")
            settings[name] = value
        if words[0] == "tidegate" and not {"|", ">", "<", "&&"} & set(words):
            return self.tidegate(words[1:], settings)
        return self.bash(command)

    def tidegate(self, arguments: list[str], settings: dict[str, str]) -> Outcome:
        result = self.runner.invoke(app, arguments, env=settings)
        return Outcome(result.exit_code, result.output if result.exit_code else result.stdout)

    def bash(self, command: str) -> Outcome:
        python = f'"{sys.executable}"'
        functions = f'tidegate() {{ {python} -m tidegate "$@"; }}; python() {{ {python} "$@"; }}; '
        done = subprocess.run(
            ["bash", "-eu", "-c", functions + command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return Outcome(done.returncode, done.stdout + (done.stderr if done.returncode else ""))

    def make_run(self) -> Outcome:
        """Run what `make run` runs, only as fast as it goes."""
        makefile = (ROOT / "Makefile").read_text("utf-8")
        recipe = re.findall(r"^\t\$\(BIN\)/tidegate (.+)$", makefile, flags=re.MULTILINE)
        assert [line.split()[0] for line in recipe] == ["init", "trade"]
        init, trade = (line.replace("$(SESSION)", "runs/demo").split() for line in recipe)
        first = self.tidegate(init, {})
        assert first.code == 0, first.output
        return self.tidegate([*trade, "--speed", "0"], {})


def agrees(expected: str, found: str) -> bool:
    """Tell whether ``found`` is ``expected``, where ``...`` stands for anything."""
    parts = [re.escape(part) for part in tidy(expected).split("...")]
    return re.fullmatch(".*?".join(parts), tidy(found), flags=re.DOTALL) is not None


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def follow(page: Path) -> int:
    """Do what the page says, check what it promises, and return how many blocks that were."""
    shell = Shell()
    done = 0
    last: tuple[str, Outcome] | None = None
    for block in blocks(page):
        if block.file and block.language == "diff":
            edit(page, block)
        elif block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text + "\n", "utf-8")
        elif block.language == "sh":
            last = run_block(page, block, shell) or last
            done += 1
        elif block.language == "text" and last is not None:
            command, outcome = last
            if not agrees(block.text, outcome.output):
                pytest.fail(
                    f"{page}:{block.line}: `{command}` prints\n{outcome.output}\n"
                    f"where the page says\n{block.text}",
                    pytrace=False,
                )
            last = None
    return done


def edit(page: Path, block: Block) -> None:
    """Change a file as a block of `diff` shows it: lines that stay, that go (-), that come (+)."""
    lines = block.text.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    file = Path(block.file)
    text = file.read_text("utf-8")
    if text.count(before) != 1:
        found = f"{text.count(before)} times"
        pytest.fail(f"{page}:{block.line}: what is to be changed is {found} in {file}")
    file.write_text(text.replace(before, after), "utf-8")


def run_block(page: Path, block: Block, shell: Shell) -> tuple[str, Outcome] | None:
    """Run the commands of a block; return the last one that ran, with its outcome."""
    ran = None
    for line, text in commands(block):
        command = EXIT.sub("", text)
        if command.startswith(NOT_RUN) and command != MAKE_RUN:
            continue
        match = EXIT.search(text)
        expected = int(match["code"]) if match else 0
        outcome = shell.run(command)
        if outcome.code != expected:
            ended = f"{page}:{line}: `{command}` ended with {outcome.code}"
            pytest.fail(f"{ended}:\n{outcome.output}", pytrace=False)
        ran = command, outcome
    return ran


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a reader in a new folder, without settings from this machine's environment."""
    for name in list(os.environ):
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for name, source in ALREADY_THERE.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, name)
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("page", [page for page in pages() if has_commands(page)], ids=str)
def test_following_a_page_gives_what_it_says(page: Path) -> None:
    """Every command works as shown and prints what the page shows."""
    assert follow(page) > 0


def test_every_make_target_of_the_pages_is_there() -> None:
    """`make` commands are not run here; they are at least targets."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = {
        command.split()[1]
        for page in pages()
        for block in blocks(page)
        if block.language == "sh"
        for _, command in commands(block)
        if command.startswith("make ")
    }

    assert named - targets == set()
    assert {"run", "test"} <= named


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a\nb", "a  \nb\n", True),
        ("a ...", "a 1,234\nb", True),
        ("id l-...: done", "id l-12-ab: done", True),
        ("a", "a\nb", False),
        ("1.5", "1x5", False),
    ],
)
def test_what_a_page_shows_is_compared_exactly(expected: str, found: str, same: bool) -> None:
    """Only trailing blanks and what stands under an ellipsis may differ."""
    assert agrees(expected, found) is same


@pytest.mark.parametrize(
    ("content", "changed"),
    [("a\nb\nc\n", "a\nB\nnew\nc\n"), ("a\nc\n", None), ("a\nb\na\nb\n", None)],
    ids=["once", "not there", "twice"],
)
def test_an_edit_is_made_where_the_page_shows_it_and_nowhere_else(
    content: str, changed: str | None
) -> None:
    """What is to be changed stands in the file exactly once, or the page is wrong."""
    Path("f.py").write_text(content, "utf-8")
    block = Block(1, "diff", "f.py", " a\n-b\n+B\n+new")

    if changed is None:
        with pytest.raises(pytest.fail.Exception, match="what is to be changed is"):
            edit(Path("page.md"), block)
    else:
        edit(Path("page.md"), block)
        assert Path("f.py").read_text("utf-8") == changed
