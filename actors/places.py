"""Where in a session something from outside happened, so that it can happen there again."""

from __future__ import annotations

import re

import msgspec

_FORM = re.compile(r"(turn|disk):([0-9]+):([0-9]+)(?:@([0-9]+)\+([0-9]+)(~?))?(?:/([0-9]+))?")


class Place(msgspec.Struct, frozen=True, gc=False):
    """
    A moment between two handlers of a session.

    ``begun`` turns had begun and ``handled`` messages had been handled, those of Health left out,
    which looks at the machine when the machine has time. ``on_disk``: the driver was waiting for
    a commit, and what waits for that commit was still to come. ``charted`` belongs to the end of a
    process: the turn after which it kept its charts last.

    Where a venue elsewhere speaks between any two things, more makes it exact: how many timers had
    ``fired``, how many messages were ``told`` and not delivered yet, and whether that was ``amid``
    what is settled together.
    """

    begun: int
    handled: int
    on_disk: bool = False
    charted: int | None = None
    fired: int | None = None
    told: int = 0
    amid: bool = False

    def __str__(self) -> str:
        """Return it as a journal has it, such as ``turn:12:3400``."""
        word = "disk" if self.on_disk else "turn"
        charted = "" if self.charted is None else f"/{max(self.charted, 0)}"
        exactly = "" if self.fired is None else f"@{self.fired}+{self.told}{'~' * self.amid}"
        return f"{word}:{self.begun}:{self.handled}{exactly}{charted}"

    def is_at(self, other: Place) -> bool:
        """Return whether this is the place of ``other``, whose charts do not matter."""
        return self.charted_after(None) == other.charted_after(None)

    def charted_after(self, turn: int | None) -> Place:
        """Return this place as that of a process which kept its charts last after ``turn``."""
        return msgspec.structs.replace(self, charted=turn)

    def amidst(self) -> Place:
        """Return this place amid what is settled together."""
        return msgspec.structs.replace(self, amid=True)

    @classmethod
    def of(cls, text: str) -> Place | None:
        """Return the place that a journal names, ``None`` where ``text`` is something else."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        word, begun, handled, fired, told, amid, charted = found.groups()
        kept = None if charted is None else int(charted)
        gone_off = None if fired is None else int(fired)
        on_disk, waiting = word == "disk", int(told or 0)
        return cls(int(begun), int(handled), on_disk, kept, gone_off, waiting, bool(amid))
