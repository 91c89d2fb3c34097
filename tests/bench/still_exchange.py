"""An exchange that stands still at one price, served by a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from day_house import BTC, INSTRUMENTS

ROOT = Path(__file__).resolve().parents[2]
PRICE = 103_000.0


@contextmanager
def exchange(folder: Path) -> Iterator[dict[str, str]]:
    """Serve an exchange that stands still at one price; give its address and its keys."""
    bars = "".join(f"{1_700_000_000_000 + n * 60_000},{PRICE},{PRICE},{PRICE},{PRICE},1000\n"
                   for n in range(5))  # fmt: skip
    (folder / "bars.csv").write_text("timestamp,open,high,low,close,volume\n" + bars)
    (folder / "instruments.toml").write_text(INSTRUMENTS)
    (folder / "venue.toml").write_text(
        f'[session]\ncash = "1000000"\ndir = "{folder}/venue-runs"\n'
        f'[universe]\ninstruments = "{folder}/instruments.toml"\n'
    )
    command = [sys.executable, "-m", "tidegate", "venue", "-c", str(folder / "venue.toml")]
    command += ["--dialect", "binanceusdm", "--speed", "0", "--limits-times", "100000", "--json"]
    command += ["--data", f"{folder}/bars.csv@{BTC}"]
    with (folder / "venue.log").open("w") as log:
        started = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert started.stdout is not None
    try:
        said = ""
        while not said.endswith("}\n"):
            line = started.stdout.readline()
            assert line, (folder / "venue.log").read_text()
            said += line
        told = json.loads(said)
        for name in ("key_file", "secret_file"):
            told[name.removesuffix("_file")] = Path(told[name]).read_text().strip()
        yield told
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
