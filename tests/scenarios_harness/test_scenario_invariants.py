"""The invariants that every scenario is held to: each one fails when its safeguard is off."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from rehearsal import check_passes, missed, opens, rehearse

from actors.execution import ExecutionActor
from actors.reconciler import local_view
from actors.risk import RiskActor
from actors.runtime import Actor
from actors.turns import Session
from messages import (
    EVERYTHING,
    ExecutionReport,
    Fill,
    Hold,
    HoldLifted,
    HoldMode,
    Liquidity,
    Message,
    OpenIntent,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    TimeInForce,
)
from scenarios.invariants import journal_order, submissions, trades, transitions
from state.journal import Entry
from state.journal.entry import make_entry

STOP_AT_COMMIT = {"bar": 3, "when": "commit", "command": {"verb": "stop_new_orders"}}


def changed(session: Session, name: str, change: Callable[[Any], object]) -> None:
    """Let ``change`` have each incarnation of an actor."""
    cell = session.assembly.dispatcher.cells[name]
    make = cell.factory

    def made() -> Actor:
        actor = make()
        change(actor)
        return actor

    cell.factory = made


def set_on(actor: Any, name: str, value: Any) -> None:
    """Set an attribute of one instance."""
    setattr(actor, name, value)


def test_a_session_that_keeps_them_passes() -> None:
    """Nothing is found where nothing is wrong."""
    check_passes(rehearse([opens(3, "a")], [STOP_AT_COMMIT]))


def test_an_order_that_leaves_under_a_hold_is_found() -> None:
    """Without the last look an order that was journaled before the hold leaves under it."""

    def blind(session: Session) -> None:
        changed(session, "execution", lambda actor: set_on(actor, "last_look", lambda *_: ()))

    found = missed(rehearse([opens(3, "a")], [STOP_AT_COMMIT], alter=blind))

    assert found == [
        (
            "invariant: no risk-increasing order leaves under a hold: s1-1-1 stays while "
            "stop-new-orders is in force -> it was sent under stop-new-orders"
        )
    ]


def test_an_order_that_is_sent_twice_is_found() -> None:
    """Two submissions of one client order id."""

    def twice(session: Session) -> None:
        broker = session.assembly.broker
        submit = broker.submit

        def again(request: OrderRequest, now: int) -> None:
            submit(request, now)
            submit(request, now)

        set_on(broker, "submit", again)

    found = missed(rehearse([opens(3, "a")], alter=twice))

    assert any("tg-s1-1-1 is submitted once -> 2 times" in line for line in found)


def test_an_intent_without_an_answer_is_found() -> None:
    """A gate that forgets an intent leaves its strategy waiting for ever."""

    def forget(actor: Any) -> None:
        own = dict(actor.handlers())
        set_on(actor, "handlers", lambda: {**own, OpenIntent: lambda _intent: None})

    found = missed(rehearse([opens(3, "a")], alter=lambda s: changed(s, "risk", forget)))

    assert found == [
        (
            "invariant: every intent is answered once, every refusal with its causes: "
            "s1-1-1, asked 1 times, is answered as often -> 0 times"
        )
    ]


def test_what_waits_behind_a_hold_at_the_end_is_answered() -> None:
    """A pause that outlasts the data: what it kept is refused before nobody can answer any more."""
    pause = {"at": "2m", "command": {"verb": "pause", "for": "1h"}}
    refused = {"tag": "a", "causes": ["held", "held"], "details": ["pause", "stopping:completed"]}

    check_passes(rehearse([opens(3, "a")], [pause], [{"refusal": refused}]))


def test_a_difference_that_nobody_knows_of_is_found() -> None:
    """A reconciler that sees its own books in place of the venue's hides what the venue holds."""

    def hide(session: Session) -> None:
        assembly = session.assembly
        foreign = OrderRequest(
            "x",
            "x",
            "nobody",
            "BTC/USDT",
            Side.BUY,
            PositionSide.BOTH,
            OrderType.MARKET,
            TimeInForce.GTC,
            Decimal(2),
            0,
        )
        assembly.broker.engine.submit(foreign, 0)
        set_on(
            assembly.broker, "account", lambda: local_view(assembly.books, session.spec.instruments)
        )
        changed(
            session,
            "reconciler",
            lambda actor: set_on(actor, "venue", assembly.broker.account),
        )

    found = missed(rehearse([opens(3, "a")], alter=hide))

    assert found == [
        (
            "invariant: ledger = venue, or the difference is known and held: "
            "BTC/USDT both 3 -> BTC/USDT both 1"
        )
    ]


def test_books_that_do_not_balance_are_found() -> None:
    """Money out of nowhere."""

    def enrich(session: Session) -> None:
        def steal(actor: ExecutionActor) -> None:
            marked = actor.valuation

            def valuation(at: int, occasion: str) -> Any:
                if occasion == "fill":
                    actor.ledger._cash.balance += 1
                return marked(at, occasion)

            set_on(actor, "valuation", valuation)

        changed(session, "execution", steal)

    found = missed(rehearse([opens(3, "a")], alter=enrich))

    assert any(line.startswith("invariant: the books balance, exactly") for line in found)


# -- from the journal alone


def report(event: OrderEvent, status: OrderStatus, **more: Any) -> ExecutionReport:
    """Return a step of the order ``o``."""
    return ExecutionReport("o", "tg-o", "one", "BTC/USDT", event, status, 0, Decimal(0), **more)


def fill(trade_id: str) -> Fill:
    """Return a fill of the order ``o``."""
    one = Decimal(1)
    return Fill(
        trade_id,
        "o",
        "tg-o",
        "one",
        "BTC/USDT",
        Side.BUY,
        PositionSide.BOTH,
        one,
        one,
        one,
        "USDT",
        Liquidity.TAKER,
        0,
    )


def journal(*messages: Message) -> list[Entry]:
    """Return the entries of a journal of these messages."""
    return [make_entry(n, n, "test", "", "", each) for n, each in enumerate(messages, start=1)]


E, S = OrderEvent, OrderStatus


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([(E.JOURNALED, S.JOURNALED), (E.SENT, S.SENT), (E.SILENCE, S.IN_DOUBT)], []),
        ([(E.SUPPRESSED, S.SUPPRESSED)], []),
        ([(E.JOURNALED, S.JOURNALED), (E.ACCEPTED, S.ACCEPTED)], ["nowhere"]),
        ([(E.JOURNALED, S.JOURNALED), (E.SENT, S.REJECTED)], ["sent"]),
        ([(E.JOURNALED, S.JOURNALED), (E.SENT, S.SENT), (E.SENT, S.SENT)], ["nowhere"]),
    ],
)
def test_a_step_that_the_table_does_not_have_is_found(
    steps: list[tuple[OrderEvent, OrderStatus]], found: list[str]
) -> None:
    """By the event, and by where it led."""
    entries = journal(*(report(event, status) for event, status in steps))

    assert [finding[1].rpartition(" ")[2] for finding in transitions(entries)] == found


def test_an_order_that_is_sent_before_it_is_written_is_found() -> None:
    """The write-ahead rule, from the journal's order."""
    found = list(submissions(journal(report(E.SENT, S.SENT)), []))

    assert [finding[1:3] for finding in found] == [("o is written, then sent once", "not written")]


def test_a_trade_that_is_booked_twice_is_found() -> None:
    """By the venue's trade id, whichever order it is on."""
    once = report(E.FILLED_PARTLY, S.PARTIALLY_FILLED, fill=fill("T-1"))

    assert len(list(trades(journal(once, once, once)))) == 1
    assert list(trades(journal(once, report(E.FILLED, S.FILLED, fill=fill("T-2"))))) == []


def test_a_journal_out_of_order_is_found() -> None:
    """A gap, a step back in time, a hold that nobody placed."""
    first, second = journal(report(E.JOURNALED, S.JOURNALED), report(E.SENT, S.SENT))
    earlier = make_entry(2, 0, "test", "", "", second.message)
    hold = Hold("h", "c", HoldMode.REFUSE, "me", 0, EVERYTHING)
    lifted = journal(HoldLifted(hold, "me", "r", 0))

    found = [list(journal_order(each)) for each in ([second], [first, earlier], lifted)]

    assert [finding[0][2] for finding in found] == ["it is numbered 2", "0", "it was not"]


def test_an_order_for_more_than_was_asked_for_is_found() -> None:
    """The runner invents nothing: Risk may round down, and nobody may round up."""

    def generous(session: Session) -> None:
        def give(actor: RiskActor) -> None:
            approve = actor._approve

            def more(proposal: Any) -> Any:
                proposal.quantity *= 2
                return approve(proposal)

            set_on(actor, "_approve", more)

        changed(session, "risk", give)

    found = missed(rehearse([opens(3, "a")], alter=generous))

    name = "every order derives from an intent and its policy"

    assert [f"invariant: {name}: s1-1-1 quantity: at most 1, the intent's -> 2"] == found


def test_an_intent_that_a_step_tells_risk_itself_is_nobodys_invention() -> None:
    """Rehearsals may put words into a strategy's mouth; its order derives from them."""
    fields = {
        "intent_id": "stray-1",
        "strategy": "one",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": "1",
        "created_at": "@3m",
    }
    told = {"actor": "risk", "message": "OpenIntent", "fields": fields}

    check_passes(rehearse([opens(3, "a")], [{"at": "3m", "tell": told}]))
