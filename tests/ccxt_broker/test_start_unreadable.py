"""A start at a venue whose answers are pages of something else, with a status of success."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dialect_house import Desk, desk

from brokers.ccxt import broker as module
from brokers.contract import VenueUnreachable

PAGES: tuple[list[Any], ...] = (
    ["<html>"],
    [None],
    [{}],
    [{"id": "1", "order": "7", "timestamp": 1, "amount": "1", "price": "1"}],
    [{"id": "1", "order": "7", "timestamp": None, "side": "buy", "amount": "1", "price": "?"}],
)


async def surveyed(at: Desk, page: list[Any]) -> None:
    """Survey as a session that goes on does, with ``page`` where trades are asked for."""

    async def told(*_asked: Any, **_params: Any) -> list[Any]:
        return page

    at.broker._at.client.exchange.fetch_my_trades = told
    at.broker.restore(at.broker.snapshot())
    await at.broker.survey()


async def test_trades_that_cannot_be_read_at_a_start_refuse_it_in_words(tmp_path: Path) -> None:
    """The venue and what it was asked for are named; no exception of ours ends the start."""
    async with desk(tmp_path) as at:
        for page in PAGES:
            with pytest.raises(VenueUnreachable, match="binanceusdm: what it says of trades"):
                await surveyed(at, page)


async def test_without_that_it_ends_with_an_exception_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a page as an answer fails in as many ways as there are pages."""

    @contextmanager
    def unread(_venue: str, _what: str) -> Iterator[None]:
        yield

    monkeypatch.setattr(module, "readable", unread)
    async with desk(tmp_path) as at:
        for page in PAGES:
            with pytest.raises(
                (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
            ):
                await surveyed(at, page)
