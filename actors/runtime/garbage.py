"""
The cyclic collector, kept out of the way of what must be quick.

What is loaded with a venue's client is hundreds of thousands of objects that stay: a full
collection walks through all of them, and nothing else happens for tens of milliseconds. What was
there when a session began is therefore not looked at again while it runs. What comes after it is
collected while there is nothing to do, and only if there is never such a moment in between.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (50_000, 20, 50)
"""When a collection comes by itself: rarely."""

YOUNG_MIN: Final = 2_000
"""New objects from which on it is worth to look at them; that takes a fifth of a millisecond."""

OLDER_EVERY: Final = 10
"""Every so many collections those that survived the last ones are looked at too."""


class Rests:
    """Collects at moments at which there is nothing to do."""

    def __init__(self) -> None:
        """Have had none."""
        self._count = 0

    def take(self) -> None:
        """Collect what is new, if there is enough of it."""
        if gc.get_count()[0] < YOUNG_MIN:
            return
        self._count += 1
        gc.collect(0 if self._count % OLDER_EVERY else 1)


@contextmanager
def few_collections(*, settled: bool = False) -> Iterator[None]:
    """
    Keep the collector away from what is there by now, and let it come rarely.

    A simulation makes no cycles on its way: messages are values, and effects are tuples. It looks
    once more at what it begins with. ``settled`` is for a session that must not wait for that.

    Whoever runs many sessions in one process, and has frozen what all of them need, is left alone:
    each would look at all of it again, which takes longer than a short session.
    """
    thresholds, is_frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    if not is_frozen:
        if not settled:
            gc.collect()
        gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not is_frozen:
            gc.unfreeze()
