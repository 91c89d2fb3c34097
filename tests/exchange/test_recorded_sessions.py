"""A session at a venue elsewhere is executed once more from its journal, and comes out the same."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from recorded_house import HASTY, WELL, Rehearsed, once, spec_of

from actors.commands import Request
from actors.outcomes import COMPLETED, INTERRUPTED, KILLED
from actors.paced import PacedDriver
from actors.places import Place
from actors.session import run_replay
from actors.witness import CONNECTING, Witness
from brokers.paper import PaperBroker
from brokers.virtual.address import VenueAddress
from brokers.virtual.broker import VirtualBroker
from messages import (
    AccountRead,
    CallFailed,
    ClockRead,
    CommandVerb,
    ExecutionReport,
    KillReport,
    KillStep,
    NewsMissing,
    OperatorCommand,
    OrderEvent,
    OrderRequest,
    OrderStatus,
    SessionEnded,
    SessionStarted,
    ToolReport,
    VenueConnected,
    VenueOrder,
    VenueReport,
)
from scenarios.exchange.truth import Comparison
from state.journal import schema
from state.journal.reader import read_journal

pytestmark = pytest.mark.exhaustive

LOST: list[dict[str, Any]] = [
    {"fault": "lose_answers", "on": ["submit"], "chance": 0.4},
    {"fault": "fail_after", "on": ["cancel", "submit"], "chance": 0.3},
    {"fault": "duplicate_news", "chance": 0.3},
    {"fault": "reorder_news", "chance": 0.3},
]
"""Each order arrives, and what is said of it may be lost, twice or in disorder."""

NEVER_THERE: list[dict[str, Any]] = [
    {"fault": "lose_requests", "on": ["submit", "cancel"], "chance": 0.3, "count": 3},
    {"fault": "hang", "on": ["submit"], "after": 3, "count": 1},
    {"fault": "lose_news", "chance": 0.3},
    {"fault": "rate_limit", "on": ["submit"], "by": "150ms", "chance": 0.3, "count": 2},
]
"""Orders that never arrive or are turned away, calls that time out, news that breaks off."""

COMMANDS = {
    4: Request(verb=CommandVerb.STOP_NEW_ORDERS, by="test", reason="drill"),
    7: Request(verb=CommandVerb.RESUME, by="test", reason="over"),
    10: Request(verb=CommandVerb.PAUSE, by="test", for_s=120),
    16: Request(verb=CommandVerb.KILL, by="test", reason="enough", flatten=True),
}
"""What an operator says after which bar."""

PLANS = {"all is well": [], "lost answers": LOST, "lost requests": NEVER_THERE}


def patience(plan: str) -> VenueAddress:
    """Return the address of a venue that is waited for as long as it may take to answer."""
    return HASTY if PLANS[plan] is NEVER_THERE else WELL


def events(rehearsed: Rehearsed) -> set[OrderEvent]:
    """Return what happened to orders."""
    return {each.event for each in rehearsed.messages if isinstance(each, ExecutionReport)}


def in_doubt(rehearsed: Rehearsed) -> set[str]:
    """Return the orders that were still in doubt at the end."""
    last = {
        each.client_order_id: each.status
        for each in rehearsed.messages
        if isinstance(each, ExecutionReport)
    }
    return {order for order, status in last.items() if status is OrderStatus.IN_DOUBT}


@pytest.mark.parametrize("speed", [0.0, 600.0], ids=["at once", "paced"])
@pytest.mark.parametrize("plan", PLANS)
def test_a_session_comes_out_the_same_whatever_went_wrong(
    tmp_path: Path, plan: str, speed: float
) -> None:
    """Time-outs, lost answers, doubts that are settled, news in disorder, looks at the account."""
    rehearsed = once(tmp_path, *PLANS[plan], speed=speed, seed=3, address=patience(plan))

    assert [COMPLETED] == rehearsed.outcomes
    assert rehearsed.has(VenueConnected, VenueReport, AccountRead)
    if plan != "all is well":
        assert OrderEvent.SILENCE in events(rehearsed)
        assert not in_doubt(rehearsed)
    if plan == "lost requests":  # of an order that never arrived there is no news: it is asked for
        assert rehearsed.has(VenueOrder)
    rehearsed.check_same()


@pytest.mark.parametrize("speed", [0.0, 600.0], ids=["at once", "paced"])
@pytest.mark.parametrize("plan", PLANS)
def test_commands_are_taken_again_between_the_news(tmp_path: Path, plan: str, speed: float) -> None:
    """A kill that waits for its venue is timed and confirmed as it was."""
    rehearsed = once(
        tmp_path,
        *PLANS[plan],
        speed=speed,
        seed=5,
        commands=dict(COMMANDS),
        address=patience(plan),
    )

    assert [KILLED] == rehearsed.outcomes
    rehearsed.check_same()


def test_what_a_kill_waits_for_is_reported_again(tmp_path: Path) -> None:
    """The venue wanted to be left alone, and cancels are lost: the report of that comes again."""
    # The second order rests where nobody fills it, so no kill is over before it is cancelled; and
    # all that the venue has said of the third is heard before the kill comes.
    limited = {"fault": "rate_limit", "on": ["submit"], "by": "1200s", "after": 2, "count": 1}
    lost = {"fault": "lose_requests", "on": ["cancel"]}
    rehearsed = once(
        tmp_path,
        limited,
        lost,
        seed=5,
        commands={6: COMMANDS[16]},
        address=replace(WELL, recv_window_ms=60_000),
        below="50",
        healed=lambda bars: bars > 12,
    )
    reports = [each for each in rehearsed.messages if isinstance(each, KillReport)]

    assert "venue:virtual wants to be left alone until 2024-01-01T" in reports[0].detail
    rehearsed.check_same()


@pytest.mark.parametrize("stop_after", [5, 6, 9])
def test_what_the_venue_says_after_the_order_to_stop_is_said_after_it_again(
    tmp_path: Path, stop_after: int
) -> None:
    """An answer that is under way when somebody asks for the end is waited for, then and now."""
    slow = {"fault": "delay_answers", "on": ["submit"], "by": "200ms"}
    rehearsed = once(tmp_path, slow, speed=600, stop_after=stop_after)

    assert [INTERRUPTED] == rehearsed.outcomes
    entries = list(read_journal(rehearsed.journal))
    (ended,) = [each for each in entries if isinstance(each.message, SessionEnded)]
    stopped = Place.of(ended.causation)
    said = [Place.of(each.causation) for each in entries if isinstance(each.message, VenueReport)]
    assert stopped is not None
    assert said[-1] is not None
    assert stopped.begun == said[-1].begun
    rehearsed.check_same()


@pytest.mark.parametrize(
    "cuts",
    [
        ("journal.committed:3",),
        ("journal.states_taken:11",),
        ("journal.encoded:9", "journal.committed:14"),
        ("journal.committed:21", "journal.committed:2"),
    ],
    ids=" ".join,
)
def test_a_session_is_the_same_over_its_crashes(tmp_path: Path, cuts: tuple[str, ...]) -> None:
    """News that waited, news that was lost with the process, orders that were on their way."""
    rehearsed = once(tmp_path, *LOST, cuts=cuts, seed=1)

    assert ["died"] * len(cuts) + [COMPLETED] == rehearsed.outcomes
    starts = [each for each in rehearsed.messages if isinstance(each, SessionStarted)]
    assert len(cuts) + 1 == len(starts)
    rehearsed.check_same()
    assert Comparison() == rehearsed.truth()


# -- what is not the same is found


def changed(rehearsed: Rehearsed, seq: int, line: bytes) -> None:
    """Change a line of a journal, as nothing of ours ever does."""
    with sqlite3.connect(rehearsed.journal) as file:
        rows = file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (guard,) in rows:
            file.execute(f"DROP TRIGGER {guard}")
        told = (line.decode(), schema.sum_of(seq, line), seq)
        file.execute("UPDATE journal SET line = ?, sum = ? WHERE seq = ?", told)
    file.close()


def line_of(rehearsed: Rehearsed, kind: type) -> tuple[int, dict[str, Any]]:
    """Return number and content of the first line of a kind that tells of a fill or an account."""
    with sqlite3.connect(rehearsed.journal) as file:
        rows = file.execute("SELECT seq, line FROM journal ORDER BY seq").fetchall()
    file.close()
    for seq, text in rows:
        line = json.loads(text)
        if line["type"] == kind.__name__ and {"fill", "account"} & line["data"].keys():
            return seq, line
    raise AssertionError(f"no {kind.__name__}")


def test_a_changed_answer_of_the_venue_is_named_by_what_followed(tmp_path: Path) -> None:
    """One digit of a recorded fill: the books that follow from it are others."""
    rehearsed = once(tmp_path)
    seq, line = line_of(rehearsed, VenueReport)
    line["data"]["fill"]["fee"] = "7"
    changed(rehearsed, seq, json.dumps(line, separators=(",", ":")).encode())

    found = rehearsed.again().difference

    assert found is not None
    assert seq < found.seq < seq + 4
    assert "differs in data" in str(found)


def test_a_changed_account_of_the_venue_is_named_by_the_comparison(tmp_path: Path) -> None:
    """What the Reconciler found follows from what it was told."""
    rehearsed = once(tmp_path)
    seq, line = line_of(rehearsed, AccountRead)
    line["data"]["account"]["net_flow"] = "5"
    changed(rehearsed, seq, json.dumps(line, separators=(",", ":")).encode())

    found = rehearsed.again().difference

    assert found is not None
    assert seq < found.seq < seq + 3


def test_news_at_another_place_is_found(tmp_path: Path) -> None:
    """A place that is never come to: the news is missing where it was."""
    rehearsed = once(tmp_path)
    seq, line = line_of(rehearsed, VenueReport)
    line["causation_id"] = "turn:999:1@1+0"
    changed(rehearsed, seq, json.dumps(line, separators=(",", ":")).encode())

    found = rehearsed.again().difference

    assert found is not None
    assert seq == found.seq


def test_without_the_news_the_first_of_it_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: what the venue said is an input, and nothing else gives it."""
    rehearsed = once(tmp_path, *LOST)
    first = next(
        entry.seq
        for entry in read_journal(rehearsed.journal)
        if isinstance(entry.message, VenueReport)
    )
    monkeypatch.setattr("actors.redriving.Redriver._arrival_due", lambda *_: None)

    found = rehearsed.again().difference

    assert found is not None
    assert first == found.seq


def test_another_decision_is_found_and_named(tmp_path: Path) -> None:
    """Ablation: a strategy that decides otherwise, over the same answers of the venue."""
    rehearsed = once(tmp_path, *LOST)

    found = rehearsed.again(every=3).difference

    assert found is not None


def test_unrecorded_looks_at_the_account_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ablation: a witness that does not put the account on record leaves nothing to read again."""
    monkeypatch.setattr(Witness, "account", lambda witness: witness.remote.account())
    rehearsed = once(tmp_path)

    found = rehearsed.again().difference

    assert found is not None


# -- what comes in its own ways


def test_a_call_that_raises_raises_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is in doubt by the same words, then and now."""
    submit = VirtualBroker.submit
    calls = [0]

    def broken(broker: VirtualBroker, request: OrderRequest, now: int) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(24, "too many open files")
        submit(broker, request, now)

    monkeypatch.setattr(VirtualBroker, "submit", broken)
    rehearsed = once(tmp_path)

    assert rehearsed.has(CallFailed)
    causes = [str(e.cause) for e in rehearsed.messages if isinstance(e, ExecutionReport)]
    assert any("OSError(24, 'too many open files')" in cause for cause in causes)
    rehearsed.check_same()


def test_news_of_a_full_queue_comes_after_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker says nothing within a call: what did not leave is told like everything else."""
    hand_over = VirtualBroker._hand_over
    calls = [0]

    def full(broker: VirtualBroker, name: str, work: Any, now: int) -> bool:
        calls[0] += 1
        return calls[0] not in (2, 5) and hand_over(broker, name, work, now)

    monkeypatch.setattr(VirtualBroker, "_hand_over", full)
    rehearsed = once(tmp_path)

    assert OrderEvent.REJECTED in events(rehearsed)
    rehearsed.check_same()


def test_news_before_the_start_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is the first entry; what the venue said by then follows it, then and now."""
    connect = VirtualBroker.connect

    async def talkative(broker: VirtualBroker) -> None:
        await connect(broker)
        broker._report("slow to answer")

    monkeypatch.setattr(VirtualBroker, "connect", talkative)
    rehearsed = once(tmp_path)

    entries = list(read_journal(rehearsed.journal))
    assert isinstance(entries[0].message, SessionStarted)
    (early,) = [entry for entry in entries if entry.causation == CONNECTING]
    assert isinstance(early.message, ToolReport)
    rehearsed.check_same()


def test_what_is_not_whole_is_on_record(tmp_path: Path) -> None:
    """A look that is put off because news is under way is put off again."""
    slow = {"fault": "delay_answers", "on": ["submit"], "by": "250ms"}
    rehearsed = once(tmp_path, slow, speed=600)

    assert rehearsed.has(NewsMissing)
    rehearsed.check_same()


def test_commands_after_the_last_bar_come_again_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a doubt is waited for at the end the operator is heard, then as now."""
    let_pass = PacedDriver._let_pass  # which nothing but the wait for a doubt asks for
    left = [CommandVerb.KILL, CommandVerb.STOP_NEW_ORDERS]

    async def commanded(driver: PacedDriver, until: int) -> None:
        if left:
            driver.inbox.submit(Request(verb=left.pop(), by="test"))
        await let_pass(driver, until)

    monkeypatch.setattr(PacedDriver, "_let_pass", commanded)
    lost = {"fault": "lose_requests", "on": ["submit"], "after": 8}
    rehearsed = once(tmp_path, lost, address=replace(WELL, recv_window_ms=3_000))

    entries = list(read_journal(rehearsed.journal))
    places = [Place.of(e.causation) for e in entries if isinstance(e.message, OperatorCommand)]
    assert [20, 20] == [place.begun for place in places if place is not None]
    assert rehearsed.has(ClockRead, KillStep)
    rehearsed.check_same()


def test_the_venue_in_this_process_costs_no_record(tmp_path: Path) -> None:
    """A paper session's journal has none of it: its venue says the same again."""
    result = run_replay(replace(spec_of(tmp_path), broker=PaperBroker))

    messages = [entry.message for entry in read_journal(result.out / "journal.sqlite")]
    assert not [each for each in messages if isinstance(each, VenueReport | AccountRead)]


# -- properties

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A session takes seconds, and what fails by its timing does not fail again: it is not shrunk."""

FAULTS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "fault": st.sampled_from(
                    ["lose_answers", "fail_after", "fail_before", "repeat_requests", "cut_answers"]
                ),
                "on": st.just(["submit", "cancel", "order"]),
                "chance": st.sampled_from([0.2, 0.6]),
                "after": st.integers(0, 3),
            }
        ),
        st.fixed_dictionaries(
            {
                "fault": st.sampled_from(["lose_news", "duplicate_news", "reorder_news"]),
                "chance": st.sampled_from([0.3, 0.8]),
            }
        ),
        st.fixed_dictionaries(
            {
                "fault": st.sampled_from(["delay_answers", "delay_requests"]),
                "on": st.just(["submit", "order"]),
                "by": st.just("30ms"),
                "chance": st.just(0.5),
            }
        ),
        st.fixed_dictionaries(
            {
                "fault": st.just("lose_requests"),
                "on": st.just(["submit", "account", "order"]),
                "after": st.integers(3, 9),
                "count": st.integers(1, 2),
            }
        ),
    ),
    max_size=3,
)


@settings(max_examples=8, deadline=None, phases=NO_SHRINKING)
@given(FAULTS, st.integers(0, 99), st.sampled_from([0.0, 600.0]), st.booleans())
def test_whatever_the_wire_does_the_session_is_executed_again(
    faults: list[dict[str, Any]], seed: int, speed: float, commanded: bool
) -> None:
    """Whatever comes, and whenever: the same journal, byte for byte."""
    with TemporaryDirectory() as folder:
        rehearsed = once(
            Path(folder),
            *faults,
            seed=seed,
            speed=speed,
            commands=dict(COMMANDS) if commanded else None,
        )
        rehearsed.check_same()


CUTS = st.builds(
    "{}:{}".format,
    st.sampled_from(["journal.encoded", "journal.states_taken", "journal.committed"]),
    st.integers(1, 30),
)


@settings(max_examples=8, deadline=None, phases=NO_SHRINKING)
@given(st.lists(CUTS, min_size=1, max_size=2), st.integers(0, 99))
def test_killed_anywhere_and_gone_on_with_the_books_are_the_venues(
    cuts: list[str], seed: int
) -> None:
    """The truth's log and the journal agree; nothing is doubled or lost; it is executed again."""
    with TemporaryDirectory() as folder:
        rehearsed = once(Path(folder), *LOST, seed=seed, cuts=tuple(cuts))
        rehearsed.check_same()
        assert Comparison() == rehearsed.truth()
