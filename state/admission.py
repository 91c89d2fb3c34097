"""By whose leave a session trades beyond paper, in a sentence; standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def admission_line(admission: Mapping[str, Any]) -> str:
    """Return in one sentence whether orders leave, and where to; empty for paper."""
    if not admission:
        return ""
    where = f"{admission['venue']}, account {admission['account']}"
    if not admission["sends_orders"]:
        return f"SHADOW of {where}: no order is sent; every fill is a twin's, on paper"
    return f"LIVE at {where}: orders are sent; reached: {admission['reaches']}"
