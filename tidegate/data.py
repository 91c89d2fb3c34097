"""Bring files into the store of bars, look into files and series, and say what was found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feeds.sources import split_symbol
from feeds.store.importing import Imported, import_file
from feeds.store.inspection import LISTED_MAX, Inspection, inspect_path
from feeds.store.store import BarStore
from feeds.timeframe import format_timeframe
from feeds.timeline import Gap, iso
from tidegate.exits import Exit, UsageRefused
from tidegate.output import say_document, say_table
from tidegate.places import unwritable


@dataclass(frozen=True, slots=True)
class Importing:
    """What the command line says about an import."""

    venue: str
    symbol: str | None
    timeframe: str | None
    store: Path
    max_bad_rows: int
    quarantine: Path | None
    replace: bool


def import_files(files: Sequence[str], wanted: Importing, *, as_json: bool) -> int:
    """Import each file and say what came of it; return the exit code."""
    store = store_at(wanted.store)
    if wanted.quarantine is not None:
        wanted.quarantine.mkdir(parents=True, exist_ok=True)
    imported: list[Imported] = []
    try:
        for file in files:
            imported.append(  # noqa: PERF401 - what came before a refusal is told
                import_file(
                    store,
                    file,
                    venue=wanted.venue,
                    symbol=wanted.symbol,
                    timeframe=wanted.timeframe,
                    max_bad_rows=wanted.max_bad_rows,
                    quarantine_path=_quarantine_of(file, wanted.quarantine),
                    replace=wanted.replace,
                )
            )
    finally:
        if len(imported) < len(files):
            for one in imported:  # a later file was refused: these are in the store all the same
                sys.stderr.write(f"tidegate: imported before that: {one.report.file}\n")
    if as_json:
        say_document({"imported": [_imported_document(one) for one in imported]})
        return Exit.DONE
    say_table(
        ("file", "series", "rows", "bars", "bad", "added", "there", "differing", "gaps", "missing"),
        [
            (
                one.report.file,
                str(one.series),
                f"{one.report.rows:,}",
                f"{one.report.bars:,}",
                f"{one.report.rows - one.report.bars:,}",
                f"{one.merged.added:,}",
                f"{one.merged.same:,}",
                f"{one.merged.differing:,}",
                f"{len(one.gaps):,}",
                f"{sum(gap.missing for gap in one.gaps):,}",
            )
            for one in imported
        ],
    )
    for folder in dict.fromkeys(one.folder for one in imported):
        gaps = next(one.gaps for one in reversed(imported) if one.folder == folder)
        say_gaps(gaps)
        print(f"in the store: {folder}")
    return Exit.DONE


def inspect_paths(
    paths: Sequence[str], timeframe: str | None, jump_pct: float, *, as_json: bool
) -> int:
    """Say what each path holds; return the exit code."""
    found = [
        one for path in paths for one in inspect_path(path, timeframe=timeframe, jump_pct=jump_pct)
    ]
    if as_json:
        say_document({"inspected": [_inspection_document(one) for one in found]})
        return Exit.DONE
    for place, one in enumerate(found):
        if place:
            print()
        _say_inspection(one)
    return Exit.DONE


def store_at(folder: Path) -> BarStore:
    """Return the store at ``folder``, which need not be there yet; refuse one not to be written."""
    if (problem := unwritable(folder)) is not None:
        raise UsageRefused(f"--store {folder}: {problem}")
    return BarStore(folder)


def say_gaps(gaps: Sequence[Gap]) -> None:
    """Show the first gaps, the largest of them first where there are too many."""
    shown = sorted(gaps, key=lambda gap: -gap.missing)[:LISTED_MAX]
    for gap in sorted(shown, key=lambda gap: gap.after):
        print(f"gap: {gap.missing:,} missing between {iso(gap.after)} and {iso(gap.before)}")
    if len(gaps) > len(shown):
        print(f"gap: and {len(gaps) - len(shown):,} smaller ones")


def gaps_document(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    """Return gaps as JSON has them, all of them."""
    return [
        {"after": iso(gap.after), "before": iso(gap.before), "missing": gap.missing} for gap in gaps
    ]


def _quarantine_of(file: str, folder: Path | None) -> Path | None:
    return None if folder is None else folder / f"{Path(split_symbol(file)[0]).name}.bad.csv"


def _imported_document(one: Imported) -> dict[str, Any]:
    report = one.report
    return {
        "file": report.file,
        "venue": one.series.venue,
        "symbol": one.series.symbol,
        "timeframe": one.series.timeframe,
        "folder": str(one.folder),
        "rows": report.rows,
        "bars": report.bars,
        "bad_rows": report.bad_rows,
        "added": one.merged.added,
        "there_already": one.merged.same,
        "differing": one.merged.differing,
        "gaps": gaps_document(one.gaps),
    }


def _inspection_document(one: Inspection) -> dict[str, Any]:
    report, odd = one.report, one.oddities
    return {
        "path": one.path,
        "symbol": one.symbol,
        "timeframe": format_timeframe(one.timeframe_ms),
        "rows": report.rows,
        "bars": report.bars,
        "first": None if report.first is None else iso(report.first),
        "last": None if report.last is None else iso(report.last),
        "gaps": report.gaps,
        "missing": report.missing,
        "gap_positions": gaps_document(report.gap_positions),
        "duplicates": one.duplicates,
        "bad_rows": report.bad_rows,
        "flat": odd.flat,
        "off_grid": odd.off_grid,
        "jump_pct": odd.jump_pct,
        "jumps": odd.jumps,
        "jump_positions": [
            {"timestamp": iso(jump.timestamp), "change_pct": jump.change_pct}
            for jump in odd.jump_list
        ],
    }


def _say_inspection(one: Inspection) -> None:
    report, odd = one.report, one.oddities
    assert report.first is not None, "a file without a bar is refused"
    assert report.last is not None, "a file without a bar is refused"
    bad = ", ".join(f"{count:,} {reason}" for reason, count in report.bad_rows.items()) or "none"
    rows = [
        ("symbol, time frame", f"{one.symbol or '-'}, {format_timeframe(one.timeframe_ms)}"),
        ("span", f"{iso(report.first)} to {iso(report.last)}"),
        ("rows, bars", f"{report.rows:,}, {report.bars:,}"),
        ("bad rows", bad),
        ("duplicates", f"{one.duplicates:,}"),
        ("gaps", f"{report.gaps:,}, with {report.missing:,} bars missing"),
        ("flat", f"{odd.flat:,} without any trade"),
        ("off the grid", f"{odd.off_grid:,}"),
        ("jumps", f"{odd.jumps:,} of more than {odd.jump_pct:g} %"),
    ]
    say_table((one.path, ""), rows)
    say_gaps(report.gap_positions)
    for jump in odd.jump_list:
        print(f"jump: {jump.change_pct:,.2f} % at {iso(jump.timestamp)}")
