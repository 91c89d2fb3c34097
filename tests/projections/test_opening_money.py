"""The money that a session's books begin with is told, and is nothing that went wrong."""

from __future__ import annotations

from safety_makers import summary_of_messages
from session_makers import T0, d

from messages import AccountAdopted, Adoption, SessionStarted
from state.projections.report_tables import result_facts

START = SessionStarted("session", T0, "l-1-abc", "live", 42)
MONEY = AccountAdopted(
    "session", T0, Adoption("balance: 0 and 250", transfer=d(250)), d(250), None, "start"
)


def test_the_money_of_a_first_start_is_no_incident() -> None:
    """Every live account has some; the report says how much."""
    summary = summary_of_messages(START, MONEY)

    assert (0, d(250)) == (summary.incidents_total, summary.opening_cash)
    assert ("Began with the account's money", "250.00000000") in result_facts(summary).rows


def test_money_that_is_adopted_later_is_an_incident() -> None:
    """Nothing explains it: at the start after a crash as in the middle."""
    summary = summary_of_messages(START, MONEY, START, MONEY)

    assert ["adopted"] == [incident.kind for incident in summary.incidents]


def test_an_order_that_was_there_at_a_first_start_is_an_incident() -> None:
    """It is somebody else's, and stays to be looked at."""
    order = Adoption("order x is not ours", client_order_id="x")
    summary = summary_of_messages(START, AccountAdopted("session", T0, order, d(0), None, "start"))

    assert (1, None) == (summary.incidents_total, summary.opening_cash)
