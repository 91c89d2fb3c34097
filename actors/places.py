"""Where in a session something from outside happened, so that it can happen there again."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORM = re.compile(r"(turn|disk):([0-9]+):([0-9]+)(?:/([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Place:
    """
    A moment between two handlers of a session.

    ``begun`` turns had begun and ``handled`` messages had been handled, those of Health left out,
    which looks at the machine when the machine has time. ``on_disk``: the driver was waiting for
    a commit, and what waits for that commit was still to come. ``charted`` belongs to the end of a
    process: the turn after which it kept its charts last.
    """

    begun: int
    handled: int
    on_disk: bool = False
    charted: int | None = None

    def __str__(self) -> str:
        """Return it as a journal has it, such as ``turn:12:3400``."""
        word = "disk" if self.on_disk else "turn"
        charted = "" if self.charted is None else f"/{max(self.charted, 0)}"
        return f"{word}:{self.begun}:{self.handled}{charted}"

    @classmethod
    def of(cls, text: str) -> Place | None:
        """Return the place that a journal names, ``None`` where ``text`` is something else."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        word, begun, handled, charted = found.groups()
        kept = None if charted is None else int(charted)
        return cls(int(begun), int(handled), word == "disk", kept)
