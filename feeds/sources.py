"""How a data file and its symbol are named: ``FILE[@SYMBOL]``, or ``fixture:NAME[@SYMBOL]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feeds.errors import FeedSettingError
from feeds.fixtures import FIXTURES, fixture_path
from feeds.store.layout import series_of

DEFAULT_SYMBOL = "BTC/USDT"
"""The symbol of a single file that nobody gave one."""

FIXTURE_PREFIX = "fixture:"

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9._/:=\-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """One input file: ``name`` as the user gave it, for messages."""

    path: Path
    symbol: str
    name: str


def resolve_sources(texts: Sequence[str], symbol: str | None = None) -> tuple[Source, ...]:
    """
    Return the sources that ``texts`` name, sorted by symbol.

    A file without ``@SYMBOL`` has the given ``symbol``; a single one may also go without, and is
    then BTC/USDT (a fixture has its own, and so has a folder of the store). Two files of one symbol
    raise ``FeedSettingError``.
    """
    if not texts:
        raise FeedSettingError("no data file; expected FILE[@SYMBOL], one or more")
    sources = [_resolve(text, symbol, alone=len(texts) == 1) for text in texts]
    by_symbol: dict[str, Source] = {}
    for source in sources:
        other = by_symbol.setdefault(source.symbol, source)
        if other is not source:
            raise FeedSettingError(
                f"two files for the one symbol {source.symbol}: {other.name} and {source.name}; "
                "expected a symbol of its own for each, as FILE@SYMBOL"
            )
    return tuple(by_symbol[key] for key in sorted(by_symbol))


def _resolve(text: str, symbol: str | None, *, alone: bool) -> Source:
    file, own_symbol = split_symbol(text)
    name = file
    if file.startswith(FIXTURE_PREFIX):
        fixture = file.removeprefix(FIXTURE_PREFIX)
        path = fixture_path(fixture)
        symbol = symbol or FIXTURES[fixture].symbol
    else:
        path = Path(file).expanduser()
        series = series_of(path) if path.is_dir() else None
        own_symbol = own_symbol or (series.symbol if series is not None else None)
    chosen = own_symbol or symbol or (DEFAULT_SYMBOL if alone else None)
    if chosen is None:
        raise FeedSettingError(f"{name} has no symbol; expected FILE@SYMBOL for each of the files")
    if _SYMBOL.fullmatch(chosen) is None:
        raise FeedSettingError(f"{name}: symbol {chosen!r}; expected a form such as BTC/USDT")
    return Source(path, chosen, name)


def split_symbol(text: str) -> tuple[str, str | None]:
    """Return (file, symbol or None): the last ``@`` parts them, unless it is in a file's name."""
    file, at, symbol = text.rpartition("@")
    if not at or Path(text).expanduser().exists():
        return text, None
    if not file or not symbol:
        raise FeedSettingError(f"data {text!r}; expected FILE or FILE@SYMBOL")
    return file, symbol
