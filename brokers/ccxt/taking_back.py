"""What cannot be taken back is not placed: where a cancel wants more than it is given. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from brokers.ccxt.columns import Capabilities


def unfit_cancels(row: Capabilities, options: Mapping[str, object], symbols: Iterable[str]) -> str:
    """Return why orders of ``symbols`` could not be cancelled at a venue; empty where they can."""
    option = row.cancel_option
    if option and options.get(option) in (None, ""):
        return (
            f"[venue.ccxt.options] {option}: found none, expected the one that {row.venue} wants "
            "with every cancel: what cannot be taken back is not placed"
        )
    contracts = [symbol for symbol in symbols if ":" in symbol]
    why = row.no_cancel or (contracts and row.no_contract_cancel)
    if not why:
        return ""
    found = row.venue if row.no_cancel else f"{row.venue} with {', '.join(contracts)}"
    return (
        f"[venue] exchange: found {found}, expected an exchange where an order is cancelled by its "
        f"id and market: {why} there, and what cannot be taken back is not placed"
    )
