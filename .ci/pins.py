"""
Rewrite ``requirements/*.txt``: exact versions of everything an install brings.

Run by ``make pins`` under the oldest Python that is supported, so that every version is one
that all of them can have; CI then proves it on the others. All layers are resolved together
first, because the most demanding one (ccxt names exact versions) decides for the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {"core": "", "test": "[alpaca,ccxt,dev,yfinance]", "peers": "[bench,peers]"}
EVERYTHING = "[alpaca,bench,ccxt,dev,peers,yfinance]"


def resolve(extras: str, constraints: Path | None = None) -> list[str]:
    """Return the sorted pins that installing ``tidegate`` with ``extras`` comes down to."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    command += ["--ignore-installed", "--report", "-", f"{ROOT}{extras}"]
    if constraints is not None:
        command += ["-c", str(constraints)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    packages = [entry["metadata"] for entry in json.loads(answer.stdout)["install"]]
    pins = [f"{each['name']}=={each['version']}" for each in packages if each["name"] != "tidegate"]
    return sorted(pins, key=str.lower)


def main() -> int:
    """Write one file per layer, each with what it adds to the layers before it."""
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder, "together.txt")
        together.write_text("\n".join(resolve(EVERYTHING)))
        known: set[str] = set()
        below: list[str] = []
        for layer, extras in LAYERS.items():
            added = [pin for pin in resolve(extras, together) if pin not in known]
            known.update(added)
            lines = [f"# Written by `make pins`: what tidegate{extras} installs."]
            lines += [f"-c {name}.txt" for name in below]
            Path(ROOT, "requirements", f"{layer}.txt").write_text("\n".join([*lines, *added, ""]))
            below.append(layer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
