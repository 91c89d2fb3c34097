"""
What must be quick goes first; what can wait steps aside for it, for a while.

Theory of operation. A session, its venue's client and its journal share one thread. A step of what
goes on beside the way of an order (an answer about the account that is parsed, entries that go to
the projections, a collection) takes as long as that whole way. Whoever is on the way *holds* the
precedence; whoever is not asks for it before each step that is long, and goes on once nobody
holds it: one after the other, with a look at what has come in between. Nobody is kept waiting for
longer than ``ASIDE_S``: data without a pause, or an order that waits for its venue, must not make
an account old.

It decides when something is done, and never whether: nothing depends on it but time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from state.limits import ASIDE_S


class Precedence:
    """Who is on the way of an order, and who waits for that; for one event loop."""

    __slots__ = ("_holders", "_is_letting_go", "_waiting")

    def __init__(self) -> None:
        """Begin with nobody."""
        self._holders: set[Hashable] = set()
        self._waiting: dict[Callable[[], object], asyncio.TimerHandle] = {}
        self._is_letting_go = False

    def __repr__(self) -> str:
        """Show who is waited for."""
        return f"<Precedence held by {len(self._holders)}, {len(self._waiting)} wait>"

    @property
    def is_clear(self) -> bool:
        """Return whether nobody is on the way."""
        return not self._holders

    def is_held_only_by(self, who: Hashable) -> bool:
        """Return whether nobody but ``who`` is on the way."""
        return not self._holders - {who}

    def hold(self, who: Hashable) -> None:
        """Let others step aside for ``who`` from now on; to hold twice is to hold once."""
        self._holders.add(who)

    def release(self, who: Hashable) -> None:
        """Let them go on, as far as it is up to ``who``, whether that held it or not."""
        self._holders.discard(who)
        if self._waiting and not self._holders:
            self._let_go_soon()

    def when_clear(self, do: Callable[[], object]) -> None:
        """Call ``do`` in a step of its own: the next one, once nobody is on the way, or late."""
        loop = asyncio.get_running_loop()
        if self._holders:

            def late() -> None:
                del self._waiting[once]
                do()

            def once() -> object:
                return do()

            # The machine's time: for how long others were at work is not the session's business.
            self._waiting[once] = loop.call_later(ASIDE_S, late)  # seam: bounds a wait
        else:
            loop.call_soon(do)

    async def clear(self) -> None:
        """Return at once where nobody is on the way; else once nobody is, or late."""
        if not self._holders:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def go() -> None:
            if not waiter.done():  # whoever waited may have been cancelled
                waiter.set_result(None)

        self.when_clear(go)
        await waiter

    def _let_go_soon(self) -> None:
        if not self._is_letting_go:
            self._is_letting_go = True
            asyncio.get_running_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        """Let the one go that has waited longest; the others after the loop has looked up."""
        self._is_letting_go = False
        if self._holders or not self._waiting:
            return
        do = next(iter(self._waiting))
        self._waiting.pop(do).cancel()
        try:
            do()
        finally:
            if self._waiting:
                self._let_go_soon()
