"""Same inputs and seed, same bytes: whatever the process, its hash seed or its interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from replay_digest import FILES, digests

pytestmark = pytest.mark.exhaustive

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPT = HERE / "replay_digest.py"

Digests = list[str]


def run_child(
    out: Path,
    work: str,
    *,
    python: str = "",
    hash_seed: str = "3",
    script: Path = SCRIPT,
) -> Digests:
    """Return the digests of a session run by another process."""
    done = subprocess.run(
        [python or sys.executable, str(script), str(out), "fused", work],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@cache
def other_interpreters() -> dict[str, str]:
    """
    Return (version, path) of other interpreters that have the core's dependencies.

    They are looked for in TIDEGATE_PYTHONS (paths, separated as in PATH) and in ``.venv*``.
    """
    named = os.environ.get("TIDEGATE_PYTHONS", "").split(os.pathsep)
    candidates = [*filter(None, named), *map(str, sorted(ROOT.glob(".venv*/bin/python")))]
    found: dict[str, str] = {}
    ask = "import anyio, msgspec, plotly, pydantic, sys; print('%d.%d' % sys.version_info[:2])"
    for python in filter(os.path.exists, candidates):
        answer = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, check=False, timeout=60
        )
        version = answer.stdout.strip()
        if answer.returncode == 0 and version != "{}.{}".format(*sys.version_info[:2]):
            found.setdefault(version, python)
    return found


@pytest.fixture(scope="module", params=["sound", "failing"])
def work(request: pytest.FixtureRequest) -> str:
    """Return which of the two sessions is compared."""
    return str(request.param)


@pytest.fixture(scope="module")
def expected(work: str, tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """Return the digests of the fused session in this process."""
    out = tmp_path_factory.mktemp(work) / "out"
    return digests(out, queued=False, fails=work == "failing")


def test_the_session_is_worth_comparing(expected: Digests) -> None:
    """No file of it is empty, so equal digests mean something."""
    sizes = {line.split()[0]: int(line.split()[1]) for line in expected}

    assert list(sizes) == list(FILES)
    assert min(sizes.values()) > 1000


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_hash_seed_changes_no_byte(
    expected: Digests, work: str, hash_seed: str, tmp_path: Path
) -> None:
    """No set or dict of texts is iterated where its order could reach an output."""
    assert expected == run_child(tmp_path / "out", work, hash_seed=hash_seed)


def test_queued_dispatch_changes_no_byte(expected: Digests, work: str, tmp_path: Path) -> None:
    """Fused dispatch is only an optimisation, in every artifact."""
    assert expected == digests(tmp_path / "out", queued=True, fails=work == "failing")


def test_a_second_run_in_one_process_changes_no_byte(
    expected: Digests, work: str, tmp_path: Path
) -> None:
    """Nothing of a session outlives it: the second run knows nothing of the first."""
    assert expected == digests(tmp_path / "out", queued=False, fails=work == "failing")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_another_interpreter_changes_no_byte(
    expected: Digests, work: str, version: str, tmp_path: Path
) -> None:
    """Sums, hashes and dict orders of other versions give the same journal and CSVs."""
    if version == "{}.{}".format(*sys.version_info[:2]):
        pytest.skip(f"this is Python {version}")
    python = other_interpreters().get(version)
    if python is None:
        pytest.skip(f"no Python {version} with the dependencies here (set TIDEGATE_PYTHONS)")

    assert expected == run_child(tmp_path / "out", work, python=python)


def test_another_place_changes_no_byte(expected: Digests, work: str, tmp_path: Path) -> None:
    """The folder that the code is installed in appears in no artifact."""
    copy = tmp_path / "elsewhere"
    for folder in ("actors", "brokers", "feeds", "messages", "state", "strategies"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(HERE, copy / "tests" / "runtime", ignore=shutil.ignore_patterns("*.pyc"))
    script = copy / "tests" / "runtime" / SCRIPT.name

    assert expected == run_child(tmp_path / "out", work, script=script)
