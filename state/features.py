"""
What strategies have made of the bars before a session, kept for the next start.

Theory of operation. A file's name is a hash of everything that its content is a function of: the
bars themselves, the strategy's source, its parameters and symbols, and who computed it
(``made_by``: our code and the libraries of indicators). So nothing is ever brought up to date:
whatever changes, the name is another one, and what nobody asks for any more is removed, the oldest
first. A file that is damaged counts as absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from messages import Bar
from state.atomic import replace_file

FILES_MAX: Final = 64
"""Files kept in a folder: a strategy needs one, and several configurations may share a store."""

_encode = msgspec.json.Encoder().encode


class FeatureStore:
    """The files below ``folder``; ``made_by`` names whatever code computes features."""

    def __init__(self, folder: Path, made_by: str) -> None:
        """Touch nothing yet."""
        self.folder = folder
        self.made_by = made_by

    def key(self, facts: Sequence[str], bars: Sequence[Bar]) -> str:
        """Return the name of what a strategy of these ``facts`` makes of ``bars``, in order."""
        digest = hashlib.sha256(json.dumps([self.made_by, *facts]).encode())
        digest.update(_encode(bars))
        return digest.hexdigest()

    def load(self, key: str) -> Any | None:
        """Return what was saved under ``key``, or None if nothing whole is there."""
        try:
            head, _, content = (self.folder / f"{key}.json").read_bytes().partition(b"\n")
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest().encode() != head:
            return None
        return json.loads(content)

    def save(self, key: str, features: Any) -> None:
        """Keep ``features``, JSON-ready; raises ``OSError`` where the disk will not take them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps(features).encode()
        head = hashlib.sha256(content).hexdigest().encode()
        replace_file(self.folder / f"{key}.json", head + b"\n" + content, sync=False)
        files = sorted(self.folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-FILES_MAX]:
            file.unlink(missing_ok=True)
