"""Where in a session something from outside happened, so that it can happen there again."""

from __future__ import annotations

import re

import msgspec

_FORM = re.compile(
    r"(turn|disk):([0-9]+):([0-9]+)(?:@([0-9]+)\+([0-9]+)(~?))?(?:/([0-9]+))?"
    r"(?:=([0-9]+)((?:,[0-9]+)*))?"
)


class Place(msgspec.Struct, frozen=True, gc=False):
    """
    A moment between two handlers of a session.

    ``begun`` turns had begun and ``handled`` messages had been handled, those of Health left out,
    which looks at the machine when the machine has time. ``on_disk``: the driver was waiting for
    a commit, and what waits for that commit was still to come. How many timers had ``fired`` tells
    apart the moments at which nothing was handled; journals of an older Tidegate may not say it.

    Where a venue elsewhere speaks between any two things, more makes it exact: how many messages
    were ``told`` and not delivered yet, and whether that was ``amid`` what is settled together.

    Session time goes on between two entries as well: somebody only looks in, or the machine is
    looked at. So the order to stop and the end of a process have ``at``, what time it was. To the
    end of a process belong ``charted``, the turn after which it kept its charts last, and ``kept``,
    what time it was when each strategy's state was kept: a strategy may remember that.
    """

    begun: int
    handled: int
    on_disk: bool = False
    charted: int | None = None
    fired: int | None = None
    told: int = 0
    amid: bool = False
    at: int | None = None
    kept: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return it as a journal has it, such as ``turn:12:3400``."""
        word = "disk" if self.on_disk else "turn"
        charted = "" if self.charted is None else f"/{max(self.charted, 0)}"
        exactly = "" if self.fired is None else f"@{self.fired}+{self.told}{'~' * self.amid}"
        times = "" if self.at is None else f"={','.join(map(str, (self.at, *self.kept)))}"
        return f"{word}:{self.begun}:{self.handled}{exactly}{charted}{times}"

    def is_at(self, other: Place) -> bool:
        """Return whether this is the place of ``other``, by all that that says of where it is."""
        if (self.begun, self.handled, self.on_disk) != (other.begun, other.handled, other.on_disk):
            return False
        if other.fired is None:
            return True
        return (self.fired, self.told, self.amid) == (other.fired, other.told, other.amid)

    def timed(self, at: int) -> Place:
        """Return this place with what time it was there."""
        return msgspec.structs.replace(self, at=at)

    def left(self, at: int, charted: int, kept: tuple[int, ...]) -> Place:
        """Return this place as the end of a process: the time, and when it kept what last."""
        return msgspec.structs.replace(self, at=at, charted=charted, kept=kept)

    def amidst(self) -> Place:
        """Return this place amid what is settled together."""
        return msgspec.structs.replace(self, amid=True)

    def on_its_way(self) -> Place:
        """Return this place while the driver waits for the disk."""
        return msgspec.structs.replace(self, on_disk=True)

    @classmethod
    def of(cls, text: str) -> Place | None:
        """Return the place that a journal names, ``None`` where ``text`` is something else."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        word, begun, handled, fired, told, amid, charted, at, kept = found.groups()
        return cls(
            int(begun),
            int(handled),
            on_disk=word == "disk",
            charted=None if charted is None else int(charted),
            fired=None if fired is None else int(fired),
            told=int(told or 0),
            amid=bool(amid),
            at=None if at is None else int(at),
            kept=tuple(map(int, (kept or "").split(",")[1:])),
        )
