"""
Where NautilusTrader lives: an environment of its own, since it needs a newer CPython than ours.

``.venv-bench`` is made from ``requirements/bench.txt`` on first use, with whatever CPython 3.12
the machine offers (on the path, or among pyenv's). Where that cannot be done, the reason comes
back in words, and the benchmark goes on without this peer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venv-bench"
PINS = ROOT / "requirements" / "bench.txt"
WANTED = (3, 12)
INSTALL_TIMEOUT_S = 600
PROBE = "import sys; print(sys.executable) if sys.version_info[:2] == (3, 12) else sys.exit(1)"


@dataclass(frozen=True, slots=True)
class Absent:
    """Why a peer does not take part."""

    reason: str


def find_or_make(given: str | None = None) -> Path | Absent:
    """Return an interpreter that has the pinned peer, or why there is none."""
    if given is not None:
        return _checked(Path(given))
    python = HOME / "bin" / "python"
    if isinstance(_checked(python), Path):
        return python
    base = next(_interpreters(), None)
    if base is None:
        return Absent("no CPython 3.12 on the path or in pyenv; give one with --nautilus-python")
    print(f"making {HOME.name} from {PINS.relative_to(ROOT)} (once) ...", file=sys.stderr)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    for command in ([base, "-m", "venv", "--clear", str(HOME)], [*pip, "install", "-r", str(PINS)]):
        failure = _run(command)
        if failure is not None:
            return Absent(failure)
    return _checked(python)


def _checked(python: Path) -> Path | Absent:
    if not python.is_file():
        return Absent(f"{python} does not exist")
    failure = _run([str(python), "-c", "import nautilus_trader.backtest"])
    return python if failure is None else Absent(failure)


def _interpreters() -> Iterator[str]:
    names = [f"python{WANTED[0]}.{WANTED[1]}", sys.executable]
    yield from filter(None, (_real_path(name, dict(os.environ)) for name in names))
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return
    listed = subprocess.run(
        [pyenv, "versions", "--bare"], check=False, capture_output=True, text=True
    )
    for version in listed.stdout.split():
        if version.startswith(f"{WANTED[0]}.{WANTED[1]}."):
            # pyenv's shims answer only for the version that is chosen in the environment.
            found = _real_path(names[0], {**os.environ, "PYENV_VERSION": version})
            if found is not None:
                yield found


def _real_path(name: str, environment: dict[str, str]) -> str | None:
    if shutil.which(name) is None:
        return None
    probe = subprocess.run(
        [name, "-c", PROBE], check=False, capture_output=True, text=True, env=environment
    )
    return probe.stdout.strip() if probe.returncode == 0 else None


def _run(command: list[str]) -> str | None:
    """Return nothing, or what went wrong in one line."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{' '.join(command[:4])}: {error}"
    if done.returncode == 0:
        return None
    words = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
    return f"{' '.join(command[:4])}: exit {done.returncode}: {words[-1]}"
