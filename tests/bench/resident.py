"""How much memory a daemon takes that trades at an exchange: itself, and the process beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from day_house import BTC, DAEMON

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 15.0


def memory(told: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Return the resident MiB of a daemon at the exchange, now and at most, and of its child."""
    text = DAEMON.format(
        cash=1_000_000,
        folder=folder,
        mode="one_way",
        port=told["port"],
        ca=told["ca_file"],
        symbols=f'"{BTC}"',
        speed=1.0,
        warm_up=3,
        patience=3_600,
        every=30,
    )
    text += '[reconciliation.policies]\nbalance_drift = "adopt"\n'
    text += f'[[strategies]]\nname = "sma"\nuse = "sma_cross"\nsymbols = ["{BTC}"]\n'
    configured = folder / "daemon.toml"
    configured.write_text(text)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TIDEGATE_VENUE__CREDENTIALS__API_KEY": told["key"],
        "TIDEGATE_VENUE__CREDENTIALS__SECRET": told["secret"],
    }
    log_path = folder / "daemon.log"
    with log_path.open("w") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "trade", "-c", str(configured), "--new"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        deadline_s = time.monotonic() + PATIENCE_S
        while "session_started" not in log_path.read_text():
            assert daemon.poll() is None, log_path.read_text()
            assert time.monotonic() < deadline_s, log_path.read_text()
            time.sleep(0.1)
        time.sleep(5.0)
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        own = _status(daemon.pid)
        return {
            "daemon": own["VmRSS"],
            "daemon at most": own["VmHWM"],
            "artifacts": sum(_status(int(child))["VmRSS"] for child in children),
        }
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)


def _status(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.startswith(("VmRSS", "VmHWM")))
    return {name: int(value.split()[0]) / 1024 for name, value in pairs}
