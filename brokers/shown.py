"""What a broker says of which symbols it must be shown, where that is all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class EverySymbol(Mapping[str, object]):
    """Looks like live orders in every symbol: the whole market is shown, whoever has orders."""

    def __getitem__(self, symbol: str) -> object:
        """Return something for every symbol."""
        return self

    def __iter__(self) -> Iterator[str]:
        """Name no symbol."""
        return iter(())

    def __len__(self) -> int:
        """Be not empty."""
        return 1

    def __contains__(self, _symbol: object) -> bool:
        """Have every symbol."""
        return True
