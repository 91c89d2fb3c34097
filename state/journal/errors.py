"""What can go wrong with a journal. None of it is ever retried: the journal is the one truth."""

from __future__ import annotations


class JournalError(Exception):
    """Base of every error of the journal."""


class JournalFailed(JournalError):
    """A write, commit or sync failed: this journal accepts nothing any more."""


class JournalFull(JournalError):
    """Too many entries wait for the disk: the one that was to be appended is not in the journal."""


class JournalClosed(JournalError):
    """The journal was closed before this call."""


class JournalDamaged(JournalError):
    """A stored journal breaks its own rules; the message names the place."""


def damage_behind(error: BaseException | None) -> JournalDamaged | None:
    """Return the damage that an error came of, ``None`` where it came of none."""
    while error is not None and not isinstance(error, JournalDamaged):
        error = error.__cause__
    return error


class SchemaTooNew(JournalError):
    """A file was written by a newer Tidegate than this one."""
