"""
The live runbook, followed as it stands against a `tidegate venue` in another process.

Every command of its ``console`` blocks is typed in the order of the page, its files are saved, and
what it shows of a command's output comes from that command: figures may differ, and ``...`` stands
for anything. Only the port is another one, and what prepares the machine is passed over.
"""

from __future__ import annotations

import faulthandler
import os
import pty
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from markdown_pages import ROOT, Block, blocks, commands, text_of

from actors.runtime.clock import monotonic_s

pytestmark = pytest.mark.exhaustive

PAGE = Path("docs/LIVE-RUNBOOK.md")
PORT = "8443"
PATIENCE_S = 90.0
MINUTES_S = 600.0
"""The market is as slow as a real one: its first orders are minutes away, as the page says."""

FIGURE = re.compile(r"[0-9a-f]{12}|[+-]?\d[\d.,:]*")
COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def tidy(line: str) -> str:
    """Return a line without colours, with one blank where there are many."""
    return " ".join(COLOUR.sub("", line).split())


def pattern_of(line: str) -> re.Pattern[str]:
    """Return what a shown line stands for: figures are any figures, ``...`` is anything."""
    parts = []
    for part in tidy(line).split("..."):
        plain = [re.escape(text) for text in FIGURE.split(part)]
        parts.append(f"(?:{FIGURE.pattern})".join(plain))
    return re.compile(".*".join(parts) + "$")


def lacks(shown: str, output: str) -> str | None:
    """Return the first line that is shown and does not come, in that order."""
    lines = iter([tidy(line) for line in output.splitlines()])
    for line in shown.splitlines():
        if line.strip() != "..." and not any(pattern_of(line).match(each) for each in lines):
            return line
    return None


@dataclass
class Running:
    """A command that goes on, and all that it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    _ended: bool = False

    def __post_init__(self) -> None:
        """Read along."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    @property
    def output(self) -> str:
        return "".join(self.said)

    def _next(self, end_s: float) -> str | None:
        if self._ended:
            return None
        try:
            line = self._lines.get(timeout=max(0.0, end_s - monotonic_s()))
            self._ended = line is None
            return line
        except queue.Empty:
            pytest.fail(f"it says no more:\n{self.output}", pytrace=False)

    def until(self, pattern: str, patience_s: float = PATIENCE_S) -> None:
        """Read until a line has ``pattern``."""
        end_s = monotonic_s() + patience_s
        while (line := self._next(end_s)) is not None:
            self.said.append(line)
            if re.search(pattern, tidy(line)):
                return
        pytest.fail(f"it has ended without {pattern!r}:\n{self.output}", pytrace=False)

    def shows(self, shown: str) -> None:
        """Read until all that the page shows has come."""
        end_s = monotonic_s() + PATIENCE_S
        while (missing := lacks(shown, self.output)) is not None:
            line = self._next(end_s)
            if line is None:
                pytest.fail(f"the page shows {missing!r}, it says:\n{self.output}", pytrace=False)
            self.said.append(line)

    def ctrl_c(self) -> int:
        """Press Ctrl-C; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        end_s = monotonic_s() + PATIENCE_S
        while (line := self._next(end_s)) is not None:
            self.said.append(line)
        return self.process.wait(PATIENCE_S)


@dataclass
class Reader:
    """Somebody who follows the page, in a folder with nothing in it."""

    folder: Path
    environ: dict[str, str]
    port: str
    _page: list[Block] = field(default_factory=lambda: list(blocks(PAGE)))
    _waiting: list[tuple[int, str]] = field(default_factory=list)
    running: list[Running] = field(default_factory=list)

    def _own(self, text: str) -> str:
        return text.replace(PORT, self.port)

    def _command(self, expected: str) -> str:
        """Go on to the next command of the page, which is the expected one."""
        while not self._waiting and self._page:
            block = self._page.pop(0)
            assert block.language != "text", f"{PAGE}:{block.line}: nothing is compared with it"
            if block.file:
                (self.folder / block.file).write_text(self._own(block.text) + "\n")
            elif block.language == "console":
                self._waiting = list(commands(block))
        line, command = self._waiting.pop(0) if self._waiting else (0, "")
        assert expected == command, f"{PAGE}:{line}: this test does not know the command"
        return self._own(command)

    def _shown(self) -> str | None:
        """Return what the page shows of the command, if it does."""
        if self._waiting or not self._page or self._page[0].language != "text":
            return None
        return self._own(self._page.pop(0).text)

    def passes(self, command: str) -> None:
        """Do not type a command."""
        self._command(command)

    def exports(self, command: str) -> None:
        """Type what sets a variable, and keep it for all terminals."""
        name = command.removeprefix("export ").partition("=")[0]
        typed = f'{self._command(command)}; printf %s "${name}"'
        self.environ[name] = self._bash(typed).stdout
        assert self.environ[name]

    def types(self, command: str, code: int = 0, answer: str = "") -> str:
        """Type a command and perhaps an answer; return its output, compared with the page."""
        done = self._bash(self._command(command), answer)
        output = done.stdout
        assert code == done.returncode, f"{command}: exit code {done.returncode}\n{output}"
        shown = self._shown()
        missing = None if shown is None else lacks(shown, output)
        assert missing is None, f"{command}: the page shows {missing!r}, it says\n{output}"
        return output

    def besides(self, command: str) -> str:
        """Type what the page says in its text."""
        assert f"`{command.partition(' --reason')[0]}" in text_of(PAGE)
        done = self._bash(command)
        assert 0 == done.returncode, done.stdout
        return done.stdout

    def starts(self, command: str, *, again: bool = False) -> Running:
        """Type a command that goes on, in a terminal of its own; ``again``: as it was before."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command if again else self._command(command)}"],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running = Running(process)
        self.running.append(running)
        return running

    def sees(self, running: Running) -> None:
        """Compare what goes on with what the page shows of it."""
        shown = self._shown()
        assert shown is not None, "the page shows nothing of it"
        running.shows(shown)

    def is_done(self) -> None:
        """Fail where the page has commands that nobody has typed."""
        assert not self._waiting
        assert [] == [each for each in self._page if each.language in {"console", "text"}]

    def _bash(self, command: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        ours, theirs = pty.openpty()
        try:
            os.write(ours, answer.encode())
            return subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environ,
                stdin=theirs if answer else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=PATIENCE_S,
            )
        finally:
            os.close(ours)
            os.close(theirs)


def port_of_its_own() -> int:
    """Return a port that is free, and that no system gives to whoever asks for any meanwhile."""
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    lowest = int(given.read_text().split()[0]) if given.exists() else 32_768
    while True:
        port = random.randrange(max(1_024, lowest - 12_000), lowest)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


@contextmanager
def reading(folder: Path) -> Iterator[Reader]:
    """Be a reader with `tidegate` on the path; whoever still runs at the end is ended."""
    tool = folder / "bin" / "tidegate"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tidegate "$@"\n')
    tool.chmod(0o755)
    home = folder / "session"
    home.mkdir()
    port = str(port_of_its_own())
    environ = {name: each for name, each in os.environ.items() if not name.startswith("TIDEGATE_")}
    environ |= {
        "PATH": f"{tool.parent}:{environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(folder / "state"),
        "COLUMNS": "500",
    }
    reader = Reader(home, environ, port)
    try:
        yield reader
    finally:
        for each in reader.running:
            if each.process.poll() is None:
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait(PATIENCE_S)


LIVE = "tidegate trade --i-acknowledge-risk"
KEY = "TIDEGATE_VENUE__CREDENTIALS__API_KEY"
SECRET = "TIDEGATE_VENUE__CREDENTIALS__SECRET"


def failing(output: str) -> set[str]:
    """Return what a check says has failed."""
    return {
        found[1]
        for line in output.splitlines()
        if (found := re.match(r"^fail\s+(\S+)", tidy(line)))
    }


def test_following_the_live_runbook_gives_what_it_says(tmp_path: Path) -> None:
    """
    From the first command to the last: prepared, rehearsed, approved, in shadow, live, left, gone
    on with, killed, ended, and emptied in an emergency; each exit code is that of the text.
    """
    # What ends a test that hangs is to wait for as long as the market takes.
    faulthandler.dump_traceback_later(2 * MINUTES_S, exit=True, file=sys.__stderr__)
    with reading(tmp_path) as at:
        at.passes("python3 -m venv .venv")
        at.passes(". .venv/bin/activate")
        at.passes("pip install -c requirements/test.txt -e '.[ccxt,parquet]'")
        exchange = at.starts(
            "tidegate venue -c venue.toml --dialect binanceusdm --market --real-time --port 8443 "
            "--cash 1000"
        )
        at.sees(exchange)
        at.exports(f"export {KEY}=$(cat runs/venue/venue.key)")
        at.exports(f"export {SECRET}=$(cat runs/venue/venue.secret)")

        assert {"rehearsal", "approval"} == failing(at.types("tidegate check --venue", code=1))
        at.types("tidegate scenario new drill")
        at.types("tidegate scenario run drill.scenario.toml -c tidegate.toml")
        approve = 'tidegate approve --by "Ada" --reason "rehearsed on the virtual exchange"'
        at.types(approve, answer="y\n")
        assert set() == failing(at.types("tidegate check --venue"))

        shadow = at.starts("tidegate trade --mode shadow")
        shadow.until("shadow_no_order_leaves")
        shadow.until("order_filled", MINUTES_S)
        assert 130 == shadow.ctrl_c()
        at.sees(shadow)

        live = at.starts(LIVE)
        at.sees(live)
        at.types("tidegate status")
        assert 130 == live.ctrl_c()

        assert "interrupted" in at.types("tidegate sessions")
        live = at.starts(f"{LIVE} --resume")
        live.until("recovery_phase .*phase=trading")
        at.types('tidegate kill --flatten --reason "end of the day"')
        assert 4 == live.ctrl_c()

        # The kill stays for the next start, and only a running daemon can lift it.
        live = at.starts(LIVE, again=True)
        live.until("session_started")
        at.besides("tidegate resume --unlatch --reason drill")
        at.types('tidegate kill --flatten --reason "what I see"')
        at.types("touch KILL")
        emptied = at.types("tidegate panic --flatten", answer="yes\n")
        assert "no open orders" in emptied
        assert "no positions" in emptied
        assert 4 == live.ctrl_c()
        at.is_done()


@pytest.mark.parametrize(
    ("shown", "output", "missing"),
    [
        ("a 1.5 s", "a 12,3.4 s\n", None),
        ("... info b=... c", "t1 info   b=7 c\n", None),
        ("id 50685558dcc7 in x", "id abcdef012345 in x", None),
        ("a\n...\nb", "a\nc\nd\nb", None),
        ("b\na", "a\nb", "a"),
        ("a", "a b", "a"),
        ("none 5", "none", "none 5"),
    ],
)
def test_what_the_runbook_shows_is_compared_line_by_line(
    shown: str, output: str, missing: str | None
) -> None:
    """In their order; only figures and what stands under an ellipsis may differ."""
    assert missing == lacks(shown, output)
