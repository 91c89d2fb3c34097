"""A new session beside an older one: refused while orders of that are not over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starting_house import House, document, entries_of, manifest_of, write_configuration
from test_exchange_session import venue

from messages import ExecutionReport, OrderStatus
from scenarios.exchange.log import read_truth
from scenarios.exchange.truth import fold_truth
from state.manifest import SessionStatus
from state.orders import TERMINAL
from tidegate import left_orders, trading
from tidegate.cli import main

MIDDLE = "journal.committed:60"


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A paper session that died with orders that are not over: of it each test gets a copy."""
    folder = tmp_path_factory.mktemp("dead")
    write_configuration(folder)
    house = House(folder)
    house.crash("trade", "--new", at=MIDDLE)
    return house


@pytest.fixture
def left(dead: House, tmp_path: Path) -> House:
    return dead.copied(tmp_path)


def not_over(session: Path) -> set[str]:
    """Return the orders that have a record and no end, by a fold of nothing but their statuses."""
    status: dict[str, OrderStatus] = {}
    recorded: set[str] = set()
    for entry in entries_of(session):
        message = entry.message
        if isinstance(message, ExecutionReport):
            status[message.client_order_id] = message.status
            if message.order is not None:
                recorded.add(message.client_order_id)
    return {name for name in recorded if status[name] not in TERMINAL}


def test_a_new_session_is_refused_while_the_newest_one_has_orders_that_are_not_over(
    left: House,
) -> None:
    """Exit code 5, a table of exactly these orders, and what to do; nothing is made."""
    (session,) = left.sessions
    said = left.run("trade", "--new")
    as_document = left.run("trade", "--json")

    assert 5 == said.code == as_document.code, said.said
    (problem,) = said.problems
    assert f"session {session.name} was left with" in problem
    assert "--resume goes on with it" in problem
    assert "--new --abandon-orders" in problem
    assert said.out.split()[:2] == ["order", "strategy"]
    error = document(as_document)["error"]
    assert session.name == error["session_id"]
    found = {order["order"] for order in error["orders"]}
    assert found
    assert not_over(session) == found
    assert all(name in said.out for name in found)
    assert [session] == left.sessions


def test_it_begins_when_told_to_leave_the_orders_and_the_next_one_needs_no_word(
    left: House,
) -> None:
    """That is asked once: the newest session is another one then."""
    told = left.run("trade", "--new", "--abandon-orders")
    again = left.run("trade", "--new")

    assert (0, 0) == (told.code, again.code), told.said + again.said
    assert "orders_abandoned" in told.said
    assert "orders_abandoned" not in again.said
    assert 3 == len(left.sessions)


def test_it_begins_after_the_older_one_was_gone_on_with(left: House) -> None:
    """A session that came to its end has left nothing: on paper its orders are gone with it."""
    assert 0 == left.run("trade", "--resume").code
    assert 0 == left.run("trade", "--new").code


def test_an_account_of_another_name_is_not_concerned(left: House) -> None:
    """Its orders are nobody's business there."""
    other = left.run("trade", "--new", environ={"TIDEGATE_VENUE__ACCOUNT": "other"})
    own = left.run("trade", "--new")

    assert (0, 5) == (other.code, own.code), other.said + own.said


def test_without_the_look_a_new_session_begins_beside_open_orders(
    left: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ablation: nothing else keeps it from beginning."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    monkeypatch.chdir(left.folder)
    monkeypatch.setattr(trading, "refuse_beside_open_orders", nothing)

    assert 0 == main(["trade", "--new"])
    assert left_orders.left_orders(left.sessions[0] / "journal.sqlite")


def test_words_that_contradict_are_a_usage_error(left: House) -> None:
    """Who goes on with a session keeps its orders."""
    done = left.run("trade", "--resume", "--abandon-orders")

    assert 2 == done.code
    assert "--abandon-orders" in done.problems[0]


def test_at_a_venue_elsewhere_the_orders_are_still_the_venues(tmp_path: Path) -> None:
    """
    There the refusal is about what may really be filled; abandoned, the policy has the word.

    Going on with the session accounts for every one.
    """
    at = tmp_path / "venue"
    at.mkdir()
    write_configuration(tmp_path, adapter="virtual")
    with venue(at) as exchange:
        house = House(tmp_path, exchange.environment)
        house.crash("trade", "--new", at=MIDDLE)
        left = not_over(house.session)
        refused = house.run("trade", "--new", "--json")
        open_there = fold_truth(read_truth(exchange.truth)).live
        abandoned = house.run("trade", "--new", "--abandon-orders", "--json")
        sessions = house.sessions
        resumed = house.run("trade", "--resume")

    assert (5, 5, 0) == (refused.code, abandoned.code, resumed.code), resumed.said
    assert left == {order["order"] for order in document(refused)["error"]["orders"]}
    assert set(open_there) <= left
    differences = document(abandoned)["error"]["differences"]
    assert set(open_there) <= {each["subject"] for each in differences}
    assert 1 == len(sessions)  # a start that was refused leaves none
    assert SessionStatus.ENDED is manifest_of(house.session).status
