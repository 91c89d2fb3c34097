"""A session that is stopped while orders of it rest at an exchange elsewhere, and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_process import Venue
from starting_house import (
    House,
    disagreements,
    document,
    entries_of,
    line_count,
    manifest_of,
    write_configuration,
)
from test_exchange_session import venue

from messages import ExecutionReport, OrderStatus
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth
from state.manifest import SessionStatus, file_sha256
from state.orders import TERMINAL

pytestmark = pytest.mark.exhaustive

AFTER = 150
"""Entries by which it has had a position, and orders that rest."""


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Venue]:
    """An exchange in a process of its own."""
    (tmp_path / "exchange").mkdir()
    with venue(tmp_path / "exchange") as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, exchange: Venue) -> House:
    """A folder whose daemons trade there, and a session that was stopped in order."""
    folder = tmp_path / "house"
    folder.mkdir()
    write_configuration(folder, adapter="virtual")
    house = House(folder, exchange.environment)
    stopped = house.stop("trade", "--new", after=AFTER)
    assert 130 == stopped.code, stopped.said
    assert SessionStatus.INTERRUPTED is manifest_of(house.session).status
    return house


def resting(session: Path) -> set[str]:
    """Return the orders that a session was left with."""
    status = {
        entry.message.client_order_id: entry.message.status
        for entry in entries_of(session)
        if isinstance(entry.message, ExecutionReport)
    }
    return {name for name, each in status.items() if each not in TERMINAL}


def test_its_orders_and_its_position_go_on(house: House, exchange: Venue) -> None:
    """
    Stopped and resumed twice: nothing is sent twice, lost or counted twice, nothing is refused.

    At the end the exchange's truth is the journal's, and the session verifies from end to end.
    """
    session = house.session
    left = resting(session)
    assert left, "it was left with orders that rest"
    assert 0 == house.run("verify", session.name).code

    again = house.stop("trade", "--resume", after=line_count(session / "journal.sqlite") + 60)
    done = house.run("trade", "--resume")

    assert again.code in (0, 130), again.said
    assert 0 == done.code, done.said
    assert [] == fold_truth(read_truth(exchange.truth)).sent_again
    assert [] == disagreements(session, exchange.truth)
    rejected = [
        entry.message
        for entry in entries_of(session)
        if isinstance(entry.message, ExecutionReport)
        and entry.message.status in (OrderStatus.REJECTED, OrderStatus.IN_DOUBT)
    ]
    assert [] == rejected
    verified = house.run("verify", session.name)
    assert 0 == verified.code, verified.out
    assert "same: " in verified.out


def test_a_plain_start_is_refused_and_names_what_goes_on(house: House) -> None:
    """Exit code 5 with what the venue holds, the interrupted session, and `--resume`."""
    sealed = manifest_of(house.session).artifacts
    refused = house.run("trade", "--json")

    assert 5 == refused.code, refused.said
    assert document(refused)["error"]["differences"]
    assert (
        f"--resume goes on with session {house.session.name} (interrupted)" in (refused.problems[0])
    )
    assert {name: file_sha256(house.session / name) for name in sealed} == sealed


def test_a_start_that_cannot_go_on_leaves_the_files_whole(house: House, exchange: Venue) -> None:
    """The exchange is gone: exit code 5, and the session is as it was, file by file."""
    sealed = manifest_of(house.session)
    exchange.process.kill()
    exchange.process.wait()

    refused = house.run("trade", "--resume")

    assert 5 == refused.code, refused.said
    assert "the venue does not answer" in refused.problems[0]
    assert sealed == manifest_of(house.session)
    found = {name: file_sha256(house.session / name) for name in sealed.artifacts}
    assert sealed.artifacts == found
