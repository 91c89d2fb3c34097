"""Whoever follows the page on stopping, pausing, killing and resuming gets what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from control_house import AT_ONCE, clear_away

from tidegate.control.client import Client, Place, find
from tidegate.control.patience import Patience
from tidegate.exits import Wanting

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "stop-pause-kill-resume.md"
BLOCK = re.compile(r"^```(console|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit code (\d+)$")
FUNCTION = f'tidegate() {{ "{sys.executable}" -m tidegate "$@"; }}; '
MAIN = Place(Path("runs"), "paper", "main")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def started(command: str) -> subprocess.Popen[bytes]:
    """Run the first terminal's command, and return once its session is live."""
    words = [sys.executable, "-m", *command.split()]
    with Path("first-terminal.txt").open("a") as out:
        daemon = subprocess.Popen(words, stdout=out, stderr=out, env=environment())
    patience = Patience(AT_ONCE)
    while not is_live(daemon):
        assert daemon.poll() is None, Path("first-terminal.txt").read_text()
        assert not patience.over, Path("first-terminal.txt").read_text()
        patience.rest()
    return daemon


def is_live(daemon: subprocess.Popen[bytes]) -> bool:
    try:
        found = find(MAIN)
        return found.pid == daemon.pid and Client(Path(found.socket)).get("/v1/status")[1]["live"]
    except Wanting:
        return False


def agrees(expected: str, found: str) -> bool:
    lines = [" ".join(line.split()) for line in expected.splitlines()]
    pattern = ".*?".join(re.escape(part) for part in "\n".join(lines).split("..."))
    told = "\n".join(" ".join(line.split()) for line in found.splitlines())
    return re.search(pattern, told, flags=re.DOTALL) is not None


def test_following_the_page_from_a_second_terminal_gives_what_it_shows() -> None:
    """Every command ends as the page says, and prints what it shows."""
    daemons: list[subprocess.Popen[bytes]] = []
    printed = ""
    compared = 0
    try:
        for kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
            if kind == "text":
                assert agrees(text, printed), f"the page says\n{text}\nand this was\n{printed}"
                compared += 1
                continue
            for line in text.splitlines():
                command, code = EXIT.sub("", line), EXIT.search(line)
                if command.startswith("tidegate trade"):
                    for daemon in daemons:
                        daemon.wait(AT_ONCE)
                    daemons.append(started(command))
                    continue
                done = subprocess.run(
                    ["bash", "-eu", "-c", FUNCTION + command],
                    capture_output=True,
                    text=True,
                    check=False,
                    env=environment(),
                )
                printed = done.stdout + done.stderr
                assert done.returncode == int(code[1] if code else 0), f"{command}\n{printed}"
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
        clear_away(Path("runs"))

    assert 2 == len(daemons)
    assert compared >= 7
