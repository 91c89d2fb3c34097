"""
Our client order ids as each venue takes them, and back.

Pure, and one to one: an id that a venue cannot carry is refused and never shortened, for two orders
under one id are one order. What comes back that is not ours stays as the venue writes it.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from brokers.ccxt.columns import Capabilities, IdForm

PREFIX: Final = "tg-"
"""How every client order id of ours begins."""

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz-"
_OURS: Final = re.compile(r"tg-[0-9a-z-]+")
_BASE: Final = len(_ALPHABET) + 1  # zero ends the number, so that no two ids are one
_PACKED_MAX: Final = 24
"""Most characters behind the prefix that 128 bits have room for."""

_HYPHEN: Final = "Z"
"""Stands for the hyphen where a venue takes letters and digits only; ours are lower case."""


class IdUnfit(ValueError):
    """A client order id that the venue cannot carry."""


def encoded(name: str, row: Capabilities) -> str:
    """Return the id of ours as the venue of ``row`` takes it; raises ``IdUnfit``."""
    if not _OURS.fullmatch(name):
        raise IdUnfit(f"client_order_id={name} is none of ours")
    match row.id_form:
        case IdForm.PLAIN:
            wire = name
        case IdForm.ALPHANUMERIC:
            wire = name.replace("-", _HYPHEN)
        case IdForm.HEX128:
            wire = f"0x{_packed(name):032x}"
        case IdForm.UUID:
            wire = str(uuid.UUID(int=_packed(name)))
    wire = row.id_prefix + wire
    if len(wire) > row.id_length_max:
        raise IdUnfit(f"client_order_id={name} length_max={row.id_length_max}")
    return wire


def decoded(wire: str, row: Capabilities) -> str:
    """Return what an id of the venue is to us: ours as we gave it, anybody else's as it is."""
    name = _unwritten(wire.removeprefix(row.id_prefix), row.id_form)
    if name is None or not _OURS.fullmatch(name):
        return wire
    try:
        is_ours = encoded(name, row) == wire
    except IdUnfit:
        return wire
    return name if is_ours else wire


def _unwritten(wire: str, form: IdForm) -> str | None:
    match form:
        case IdForm.PLAIN:
            return wire
        case IdForm.ALPHANUMERIC:
            return None if "-" in wire else wire.replace(_HYPHEN, "-")
        case IdForm.HEX128:
            return _unpacked(int(wire, 16)) if re.fullmatch(r"0x[0-9a-f]{32}", wire) else None
        case IdForm.UUID:
            try:
                return _unpacked(uuid.UUID(wire).int)
            except ValueError:
                return None


def _packed(name: str) -> int:
    rest = name.removeprefix(PREFIX)
    if len(rest) > _PACKED_MAX:
        raise IdUnfit(f"client_order_id={name} length_max={len(PREFIX) + _PACKED_MAX}")
    number = 0
    for character in reversed(rest):
        number = number * _BASE + _ALPHABET.index(character) + 1
    return number


def _unpacked(number: int) -> str | None:
    characters: list[str] = []
    while number and len(characters) <= _PACKED_MAX:
        number, digit = divmod(number, _BASE)
        if not digit:
            return None
        characters.append(_ALPHABET[digit - 1])
    return None if number or not characters else PREFIX + "".join(characters)
