"""
Everything a feed can complain of.

    FeedError
    ├── BadInput             the data: says which file and line, what was found, what was expected
    └── FeedSettingError     the request: a time frame, symbol or source that cannot be served
        ├── SourceUnavailable    a source that cannot be had in this way
        └── ExtraMissing         an optional dependency that is not installed

``FeedSettingError`` is a ``ValueError`` too, so that a pydantic validator may raise it.
"""

from __future__ import annotations


class FeedError(Exception):
    """Base of every operating error of a feed; its text is one line."""


class BadInput(FeedError):
    """Input that cannot be used: one line that names the place, the finding and the expectation."""

    def __init__(
        self,
        file: str,
        found: str,
        expected: str,
        *,
        line: int | None = None,
        reason: str = "structure",
    ) -> None:
        """Keep the parts: ``line`` is the 1-based line of a text file, or row of a columnar one."""
        self.file = file
        self.line = line
        self.found = found
        self.expected = expected
        self.reason = reason
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {found}; expected {expected}")


class FeedSettingError(FeedError, ValueError):
    """A setting that asks for what no feed can give."""


class SourceUnavailable(FeedSettingError):
    """A feed source that cannot be had in this way."""


class ExtraMissing(FeedSettingError):
    """A file needs an optional dependency; the message names the extra that brings it."""

    def __init__(self, file: str, extra: str, package: str) -> None:
        """Name the file that needs ``package`` and the ``extra`` that installs it."""
        self.extra = extra
        super().__init__(
            f"{file}: reading it needs {package}, which is not installed; "
            f"expected the extra `{extra}` (pip install 'tidegate[{extra}]')"
        )
