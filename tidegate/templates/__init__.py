"""The files that commands write for the user, with ``{{WORD}}`` where a word is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def fill(template: str, words: Mapping[str, str]) -> str:
    """Return the template with every ``{{WORD}}`` replaced; a word left over is our fault."""
    text = (Path(__file__).parent / template).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    assert "{{" not in text, f"template {template} has a word that nobody filled in"
    return text
