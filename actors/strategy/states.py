"""
A strategy's own state of its books: what changed, and what a failed intent goes back to.

Theory of operation. A strategy that decides to open changes its mind about its book (a rung is
taken, a phase begun) before it knows whether anything comes of it. When its desk makes an intent
whose policy rolls back, the state of the book is kept as it is *at that moment*: make the intent
first, then change the state. If the intent comes to nothing, the book's state goes back to that,
provided that nothing else has changed it meanwhile; if something has, going back would undo that
as well, so the state stays, the fact is journaled, and the strategy hears of the failure anyway.
Of several such intents of one hook, each covers what was changed until the next one was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from actors.strategy.border import UnreadyState
from messages import Intent, PositionSide, StateOccasion, StrategyState
from strategies import Desk, Strategy

BookKey = tuple[str, PositionSide]

_encode = msgspec.json.Encoder().encode


class BookStates:
    """
    The states of one incarnation's books, as they were last seen.

    ``seen`` outlives the incarnation: a strategy that failed goes on with its books as they were
    before the hook that it failed in, however old its last snapshot is.
    """

    def __init__(
        self,
        strategy: Strategy,
        desk: Desk,
        sides: Mapping[str, Sequence[PositionSide]],
        seen: dict[BookKey, str],
    ) -> None:
        """Take the books of ``desk`` back to what was ``seen``; ``sides`` are each symbol's."""
        self.strategy = strategy
        self.desk = desk
        self.sides = sides
        self._seen = seen
        for book, text in seen.items():
            strategy.restore_book(*book, json.loads(text))
        for symbol in desk.symbols:
            for side in sides.get(symbol, ()):
                seen.setdefault((symbol, side), self._text(symbol, side))
        desk.keep_book = self._text

    def _text(self, symbol: str, side: PositionSide) -> str:
        state = self.strategy.book_state(symbol, side)
        try:
            return _encode(state).decode()
        except (TypeError, ValueError, OverflowError) as error:
            raise UnreadyState("book_state", error) from error

    def changes(self, symbols: Iterable[str]) -> list[StrategyState]:
        """Return what has changed of the books of ``symbols`` since the last look."""
        found = []
        for symbol in symbols:
            for side in self.sides.get(symbol, ()):
                text = self._text(symbol, side)
                if text != self._seen.get((symbol, side)):
                    self._seen[symbol, side] = text
                    found.append(self._state(symbol, side, StateOccasion.CHANGED, text))
        return found

    def arm(self, intent: Intent) -> StrategyState:
        """Return what a failure of ``intent`` goes back to, and note what it must find."""
        kept = self.desk.kept[intent.intent_id]
        book = (intent.symbol, intent.position_side)
        kept.after = kept.after or self._text(*book)
        return self._state(*book, StateOccasion.BEFORE_INTENT, kept.before, intent.intent_id)

    def over(self, intent_id: str, *, unfilled: bool) -> StrategyState | None:
        """Go back where an intent that rolls back has come to nothing; return what was done."""
        kept = self.desk.kept.pop(intent_id, None)
        if kept is None or not unfilled:
            return None
        book = (kept.symbol, kept.position_side)
        if self._text(*book) != kept.after:
            text = self._text(*book)
            return self._state(*book, StateOccasion.SUPERSEDED, text, intent_id)
        self.strategy.restore_book(*book, json.loads(kept.before))
        self._seen[book] = kept.before
        return self._state(*book, StateOccasion.ROLLED_BACK, kept.before, intent_id)

    def _state(
        self,
        symbol: str,
        side: PositionSide,
        occasion: StateOccasion,
        text: str,
        intent_id: str = "",
    ) -> StrategyState:
        desk = self.desk
        return StrategyState(desk.strategy, symbol, side, desk.now, occasion, text, intent_id)
