"""Where a live session keeps what its strategies made of the bars before it."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Final

import strategies
from state.features import FeatureStore
from tidegate import __version__
from tidegate.config import Configuration

FOLDER: Final = ".features"
"""The folder of a store of bars that is no series."""


def features_of(configuration: Configuration) -> FeatureStore | None:
    """Return the store beside that of the bars; None for a session that does not warm up."""
    feed = configuration.settings.feed
    if not feed.is_live or feed.live.store is None:
        return None
    return FeatureStore(feed.live.store / FOLDER, made_by())


def made_by() -> str:
    """Return what else than a strategy's own file computes its features: ours, and talipp."""
    digest = hashlib.sha256()
    root = Path(strategies.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"tidegate {__version__} strategies {digest.hexdigest()} talipp {version('talipp')}"
