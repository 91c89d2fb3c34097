"""What holds an account's orders back while no daemon runs: what its next start will have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from actors.inspection import kept_hold
from state.register import RegisterDamaged, outliving, register_of
from tidegate.control.client import place_of
from tidegate.control.shown import HOLD_COLUMNS, hold_rows
from tidegate.exits import Wanting


def with_kept_holds(none: Wanting, files: Sequence[Path]) -> Wanting:
    """
    Return ``none``, which says that no daemon runs, with the holds of the account's register.

    One that is damaged is told of: the next start is held as a whole then.
    """
    place = place_of(files)
    if not place.folder.is_dir():
        return none  # it never ran
    try:
        found = outliving(register_of(place.runs_dir, place.mode, place.account).load())
    except RegisterDamaged as damaged:
        return Wanting(*none.problems, f"{damaged}: the next start holds everything")
    holds = [kept_hold(hold) for hold in found.values()]
    none.details = {"next_start": {"held": bool(holds), "holds": holds}}
    if holds:
        none.table = (HOLD_COLUMNS, hold_rows(holds))
    return none


__all__ = ["with_kept_holds"]
