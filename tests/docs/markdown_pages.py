"""
Read the pages: their fenced blocks, links and headings.

A block's first word is its language. A second word is a file's name: the block is that file's
content, which the text above it tells the reader to save, or, of the language ``diff``, what is
to be changed in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>.*)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SPAN = re.compile(r"(?<!`)`(?P<code>[^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the line it starts at, its language, perhaps a file's name, its text."""

    line: int
    language: str
    file: str
    text: str


def pages() -> list[Path]:
    """Return the README and every page of docs, as paths from the root."""
    found = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return [path.relative_to(ROOT) for path in found]


def text_of(page: Path) -> str:
    """Return a page's text."""
    return (ROOT / page).read_text("utf-8")


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    info: list[str] | None = None
    start, kept = 0, []
    for number, line in enumerate(text_of(page).splitlines(), 1):
        match = FENCE.match(line)
        if match is None:
            kept.append(line)
        elif info is None:
            info, start, kept = match["info"].split(), number, []
        else:
            language, file = [*info, "", ""][:2]
            found.append(Block(start, language, file, "\n".join(kept)))
            info = None
    assert info is None, f"{page}: the block of line {start} has no end"
    return found


def prose(page: Path) -> str:
    """Return a page's text without its fenced blocks."""
    kept, inside = [], False
    for line in text_of(page).splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links(page: Path) -> list[str]:
    """Return the targets of a page's links."""
    return [match["target"] for match in LINK.finditer(prose(page))]


def spans(page: Path) -> list[str]:
    """Return the code spans of a page."""
    return [match["code"] for match in SPAN.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = (line.lstrip("#").strip() for line in prose(page).splitlines() if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Yield each command of a block of shell with its line in the page."""
    lines = block.text.splitlines()
    place = 0
    while place < len(lines):
        start, command = place, lines[place]
        while command.endswith("\\"):
            place += 1
            command = command[:-1].rstrip() + " " + lines[place].strip()
        place += 1
        if command.strip() and not command.startswith("#"):
            yield block.line + 1 + start, command
