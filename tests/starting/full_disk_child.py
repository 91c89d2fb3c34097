"""
Runs commands on a file system of its own, small and full: ``unshare -rm`` starts it.

    python full_disk_child.py FOLDER SIZE LEFT OUT

A tmpfs of SIZE bytes over FOLDER gets what FOLDER held, and ballast until LEFT bytes are free. Then
`tidegate trade --new` runs, the ballast goes, and `tidegate trade --resume` runs. One JSON document
tells both; what is on the file system after each is copied below OUT, for it is gone with us.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

TRADE = [sys.executable, "-m", "tidegate", "trade"]


def fill(folder: Path, left: int) -> Path:
    """Write ballast into ``folder`` until only ``left`` bytes are free."""
    ballast = folder / "ballast"
    room = os.statvfs(folder)
    ballast.write_bytes(bytes(max(room.f_bavail * room.f_frsize - left, 0)))
    return ballast


def run(folder: Path, *arguments: str) -> dict[str, object]:
    """Run one command."""
    done = subprocess.run(
        [*TRADE, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    return {"code": done.returncode, "out": done.stdout, "said": done.stderr}


def main() -> None:
    """Do what the module says."""
    folder, size, left, out = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tidegate-test", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    for name, content in before.items():
        (folder / name).write_bytes(content)
    ballast = fill(folder, left)
    told = {"full": run(folder, "--new")}
    shutil.copytree(folder / "runs", out / "full", ignore=shutil.ignore_patterns("*.sock"))
    ballast.unlink()
    told["resumed"] = run(folder, "--resume")
    shutil.copytree(folder / "runs", out / "resumed", ignore=shutil.ignore_patterns("*.sock"))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
