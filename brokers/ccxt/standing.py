"""What a venue said last that its account holds, and whether that may still be compared."""

from __future__ import annotations

from collections.abc import Callable

from brokers.ccxt.limits import ACCOUNT_CALM_S, ACCOUNT_MISSES_MAX
from brokers.contract import VenueSilent
from state.reconciliation import AccountView


class Standing:
    """
    The account as it was read last; whatever has come since makes that too old to compare.

    ``every_s`` is how often the account is read where nothing happens.
    """

    def __init__(self, every_s: float, monotonic_s: Callable[[], float]) -> None:
        """Know nothing yet."""
        self.account: AccountView | None = None
        self.is_dirty = False
        """Whether something has come since the account was read."""
        self.news = 0
        """How much has come; one reading of the account is many answers, and must not span any."""
        self.unheard: set[str] = set()
        """Orders of which the account says more than was told, and which nobody has asked about."""
        self._asked_about: set[str] = set()
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._read_s = 0.0

    @property
    def silent_after_s(self) -> float:
        """Return the age at which the venue counts as silent."""
        return ACCOUNT_MISSES_MAX * self._every_s

    @property
    def age_s(self) -> float:
        """Return how long ago the account was read, in seconds; of no use where it never was."""
        return self._monotonic_s() - self._read_s

    @property
    def is_without_end(self) -> bool:
        """Return whether news has kept the account from being read until it was too old."""
        return self.account is not None and self.age_s > self.silent_after_s

    def take_news(self) -> None:
        """Something has come: what was read is from before it."""
        self.news += 1
        self.is_dirty = True

    def take(self, account: AccountView) -> None:
        """Take what was read, with no news in the middle of it."""
        self.account, self.is_dirty = account, False
        self._read_s = self._monotonic_s()

    def lists_more(self, names: set[str]) -> None:
        """
        Take the orders of which the list of open ones says more than has been told.

        Until each has been asked about once, the account cannot be compared with what was told.
        """
        self.unheard, self._asked_about = names - self._asked_about, names

    def is_due(self, *, busy: bool) -> bool:
        """Return whether the account is to be read again; a ``busy`` line is asked less often."""
        gap_s = ACCOUNT_CALM_S if busy else 0.0
        age_s = self.age_s
        return age_s >= self._every_s or (self.is_dirty and age_s >= gap_s)

    def view(self, *, unread: int) -> AccountView:
        """
        Return what the account holds, with so many messages that nobody has read yet.

        Raises ``VenueSilent`` where that is too old, or from before the newest news: what cannot be
        compared is not known to agree.
        """
        if self.account is None:
            raise VenueSilent("the venue has not said yet what it holds")
        if self.age_s > self.silent_after_s:
            raise VenueSilent(f"what the venue said last is {self.age_s:.0f} s old")
        if self.is_dirty or unread or self.unheard:
            raise VenueSilent("news has come since it said what it holds")
        return self.account
