"""What can be wrong with a scenario before anything runs."""

from __future__ import annotations


class ScenarioError(Exception):
    """
    A file that is no scenario, or one that cannot be put together.

    ``problems`` has one line each: file, path in the document, what was found, what was expected.
    """

    def __init__(self, *problems: str) -> None:
        """Keep the lines."""
        super().__init__("\n".join(problems))
        self.problems = problems
