"""Which payments are booked, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class KeptPayments(msgspec.Struct, frozen=True):
    """What ``BookedPayments`` remembers: two generations, the older first, and the date before."""

    old: dict[str, int]
    young: dict[str, int]
    upto: int


class BookedPayments:
    """
    The payments that are booked: the newest by id, those before them by their date.

    At least ``at_least`` ids are remembered and at most twice as many, in constant time. What is
    no newer than one that was forgotten is booked: a venue lists payments by date, and whoever goes
    on with a session is told all of them again.
    """

    __slots__ = ("_at_least", "_old", "_upto", "_young")

    def __init__(self, at_least: int) -> None:
        """Begin with none."""
        self._at_least = at_least
        self._young: dict[str, int] = {}
        self._old: Mapping[str, int] = {}
        self._upto = -1

    def has(self, name: str, at: int) -> bool:
        """Return whether the payment of an id, dated ``at`` (int ms UTC), is booked."""
        return name in self._young or name in self._old or at <= self._upto

    def add(self, name: str, at: int) -> bool:
        """Take a payment for booked; return whether it was not."""
        if self.has(name, at):
            return False
        self._young[name] = at
        if len(self._young) >= self._at_least:
            self._upto = max([self._upto, *self._old.values()])
            self._old, self._young = self._young, {}
        return True

    def kept(self) -> KeptPayments:
        """Return everything, for ``restore``."""
        return KeptPayments(dict(self._old), dict(self._young), self._upto)

    def restore(self, kept: KeptPayments) -> None:
        """Replace everything by what ``kept`` gave."""
        self._old, self._young, self._upto = dict(kept.old), dict(kept.young), kept.upto
