"""What a small replay of a wave is given, and what it leaves."""

from __future__ import annotations

import json
from typing import Any

WAVES = [100.0 + (place % 20 if place % 40 < 20 else 20 - place % 20) for place in range(200)]
SMALL = ("--strategy", "sma_cross", "--param", "fast=3", "--param", "slow=8")
FILES = {
    "account.csv",
    "events.ndjson",
    "intents.csv",
    "journal.sqlite",
    "logs",
    "manifest.json",
    "orders.csv",
    "positions.csv",
    "round_trips.csv",
    "session.html",
    "session.md",
    "state.json",
    "state.jsonl",
    "trades.csv",
}


def one_document(text: str) -> dict[str, Any]:
    """Return the one JSON document that ``text`` is; anything else in it fails here."""
    document: dict[str, Any] = json.loads(text)
    return document
