"""The command desk: what an operator may say, what he is answered, what is journaled of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import check_journal
from safety_world import FAR_BELOW, ONE, Daemon, daemon
from session_world import BTC, DAY, ETH, MINUTE, START, Script, flat

from actors.commands import CommandDesk, Request, as_document
from actors.runtime.limits import PAUSE_S_MAX, TEXT_MAX
from messages import (
    EVERYTHING,
    CommandRefused,
    CommandVerb,
    ExecutionReport,
    Hold,
    HoldLifted,
    HoldMode,
    HoldPlaced,
    KillReport,
    OpenIntent,
    OperatorCommand,
    OrderEvent,
    RiskDecision,
    Scope,
    Side,
    Verdict,
)

KILL, STOP, PAUSE, RESUME = (
    CommandVerb.KILL,
    CommandVerb.STOP_NEW_ORDERS,
    CommandVerb.PAUSE,
    CommandVerb.RESUME,
)


def buyer(policy: Any = FAR_BELOW) -> Script:
    """Return a script that orders at every bar."""
    script = Script()
    script.on_bar = lambda strategy, bar: [
        strategy.desk.open(bar.symbol, Side.BUY, ONE, policy=policy)
    ]
    return script


@pytest.fixture
def world() -> Daemon:
    """A session of one strategy that orders at each of its bars."""
    return daemon(flat(BTC, 40), buyer().spec()).begin().play(2)


def sent_at(world: Daemon) -> list[int]:
    """Return the minutes at which orders left."""
    return [
        (report.timestamp - START) // MINUTE
        for report in world.all(ExecutionReport)
        if report.event is OrderEvent.SENT
    ]


def refused(world: Daemon) -> list[str]:
    return [refusal.reason for refusal in world.all(CommandRefused)]


# -- each command does what it says


def test_stop_new_orders_refuses_what_opens_until_it_is_resumed(world: Daemon) -> None:
    """Each intent is answered, with the operator's words; then it trades as before."""
    answer = world.take(STOP, reason="news at noon")
    world.play(3)
    lifted = world.resume()
    world.play(2)

    denied = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]
    assert answer.ok
    assert lifted.ok
    assert ["stop-new-orders"] == [hold.hold_id for hold in answer.holds]
    assert [1, 2, 6, 7] == sent_at(world)
    assert 3 == len(denied)
    assert "hold=stop-new-orders cause=news at noon by=cli:ann" == denied[0].causes[0].detail


def test_a_pause_keeps_what_comes_and_ends_by_itself(world: Daemon) -> None:
    """What is good no longer when it ends is refused as expired, never executed late."""
    answer = world.take(PAUSE, for_s=150)
    world.play(4)

    assert answer.ok
    assert START + 2 * MINUTE + 150_000 == answer.holds[0].until
    assert {} == world.holds
    (lifted,) = world.all(HoldLifted)
    assert ("clock", START + 2 * MINUTE + 150_000) == (lifted.lifted_by, lifted.at)
    expired = [d for d in world.all(RiskDecision) if d.verdict is Verdict.DENIED]
    assert ["intent_expired"] == [d.causes[0].code.value for d in expired]
    assert [1, 2, 4, 5, 6] == sent_at(world)


def test_a_pause_can_be_resumed_before_its_end(world: Daemon) -> None:
    """And its end does not come a second time."""
    world.take(PAUSE, for_s=600)
    world.resume()
    world.take(PAUSE, for_s=3_000)
    world.play(15)

    assert ["pause"] == list(world.holds)
    assert 1 == len(world.all(HoldLifted))


def test_a_newer_pause_takes_the_place_of_the_older(world: Daemon) -> None:
    """Shorter or longer: what was said last counts, and only its end is one."""
    world.take(PAUSE, for_s=90)
    world.take(PAUSE, for_s=300)
    world.play(3)
    assert ["pause"] == list(world.holds)

    world.take(PAUSE, for_s=30)
    world.play(2)

    assert {} == world.holds


def test_a_pause_until_a_moment_ends_at_that_moment(world: Daemon) -> None:
    """``until`` goes before ``for_s``."""
    answer = world.take(PAUSE, until=START + 5 * MINUTE, for_s=1.0)

    assert START + 5 * MINUTE == answer.holds[0].until


def test_scoped_holds_stand_side_by_side() -> None:
    """One for each scope, each lifted by its own; what none covers goes on."""
    bars = {BTC: flat(BTC, 12), ETH: flat(ETH, 12)}
    world = (
        daemon(bars, buyer().spec("one", (BTC, ETH)), buyer().spec("two", (BTC,))).begin().play(1)
    )
    for scope in (Scope(symbol=BTC), Scope(strategy="two"), Scope(side="short")):
        assert world.take(STOP, scope=scope).ok
    world.play(1)

    assert [
        "stop-new-orders:symbol=BTC/USDT",
        "stop-new-orders:strategy=two",
        "stop-new-orders:side=short",
    ] == list(world.holds)
    denied = {(d.strategy, d.symbol) for d in world.all(RiskDecision) if d.causes}
    assert {("one", BTC), ("two", BTC)} == denied

    world.resume(scope=Scope(symbol=BTC))
    assert ["stop-new-orders:strategy=two", "stop-new-orders:side=short"] == list(world.holds)

    world.resume()
    assert {} == world.holds


def test_a_kill_answers_with_its_hold_and_its_id(world: Daemon) -> None:
    """The steps and the report follow under that id."""
    answer = world.kill(reason="drill", by="http")
    world.play(1)

    assert ("abc-K1", True) == (answer.kill_id, answer.ok)
    (hold,) = answer.holds
    assert ("kill", "drill", "http", True, HoldMode.DRAIN) == (
        hold.hold_id,
        hold.cause,
        hold.set_by,
        hold.latched,
        hold.mode,
    )
    assert "drill" in answer.text
    assert answer.kill_id == world.all(KillReport)[0].kill_id


# -- what is latched


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({}, "kill: latched; expected --unlatch and a --reason"),
        ({"unlatch": True}, "unlatching needs a --reason: it is kept with the hold"),
        (
            {"unlatch": True, "reason": "  "},
            "unlatching needs a --reason: it is kept with the hold",
        ),
        ({"reason": "all is well"}, "kill: latched; expected --unlatch and a --reason"),
        ({"hold_id": "kill"}, "kill: latched; expected --unlatch and a --reason"),
    ],
)
def test_a_kill_is_lifted_by_saying_so_with_a_reason(
    world: Daemon, terms: dict[str, Any], says: str
) -> None:
    """Anything less is refused, and the kill stays."""
    world.kill()
    answer = world.resume(**terms)

    assert (False, says) == (answer.ok, answer.text)
    assert [says] == refused(world)
    assert "kill" in world.holds


def test_a_reason_is_kept_with_the_lifted_hold(world: Daemon) -> None:
    """Who lifted it, and why."""
    world.kill()
    world.resume(unlatch=True, reason="checked the venue by hand", by="cli:bob")

    (lifted,) = world.all(HoldLifted)
    assert ("cli:bob", "checked the venue by hand") == (lifted.lifted_by, lifted.reason)


def test_an_obstacle_keeps_kills_from_being_lifted_and_nothing_else(world: Daemon) -> None:
    """The kill file is still there: other holds can be resumed."""
    world.assembly.desk.obstacle = lambda: "the kill file is still there"
    world.kill()
    world.take(STOP)
    refusal = world.resume(unlatch=True, reason="well")
    stop = world.resume(hold_id="stop-new-orders")

    assert (False, "the kill file is still there") == (refusal.ok, refusal.text)
    assert stop.ok
    assert ["kill"] == list(world.holds)


def test_a_plain_resume_lifts_what_it_may_and_leaves_the_kill(world: Daemon) -> None:
    """What is left is named."""
    world.take(STOP)
    world.kill()
    answer = world.resume()

    assert answer.ok
    assert "lifted stop-new-orders; still held by kill" == answer.text
    assert ["kill"] == list(world.holds)


def test_a_quarantine_is_lifted_by_its_own_name_only(world: Daemon) -> None:
    """Resuming everything does not let a strategy loose that has failed."""
    world.assembly.supervisor.hold_open(
        "quarantine:one",
        "failed",
        mode=HoldMode.DRAIN,
        scope=Scope(strategy="one"),
        latched=True,
    )
    world.take(STOP)
    world.resume(unlatch=True, reason="well")
    assert ["quarantine:one"] == list(world.holds)

    assert world.resume(hold_id="quarantine:one", unlatch=True, reason="fixed").ok
    assert {} == world.holds


@pytest.mark.parametrize("hold_id", ["restarting:risk", "circuit:venue:paper", "reconciliation"])
def test_what_is_lifted_on_evidence_is_not_lifted_by_word(world: Daemon, hold_id: str) -> None:
    """Who placed it is named, and why."""
    world.assembly.supervisor.hold_open(hold_id, "for a reason", set_by="health")
    for terms in ({"hold_id": hold_id}, {}, {"unlatch": True, "reason": "I say so"}):
        answer = world.resume(**terms)

        assert not answer.ok
        assert hold_id in answer.text
    assert [hold_id] == list(world.holds)


# -- what is no command


@pytest.mark.parametrize(
    ("verb", "terms", "says"),
    [
        (KILL, {"scope": Scope(symbol=BTC)}, "a kill covers everything"),
        (STOP, {"scope": Scope(symbol="DOGE/USDT")}, "symbol: found 'DOGE/USDT', expected one of"),
        (
            STOP,
            {"scope": Scope(strategy="nobody")},
            "strategy: found 'nobody', expected one of one",
        ),
        (STOP, {"scope": Scope(venue="elsewhere")}, "venue: found 'elsewhere', expected one of"),
        (PAUSE, {"scope": Scope(side="up"), "for_s": 9}, "side: found 'up', expected one of long"),
        (PAUSE, {}, "a pause needs an end"),
        (PAUSE, {"until": START}, "is over"),
        (PAUSE, {"for_s": 0.0}, "for_s: found 0.0, expected"),
        (PAUSE, {"for_s": -5.0}, "for_s: found -5.0, expected"),
        (PAUSE, {"for_s": float("nan")}, "for_s: found nan, expected"),
        (PAUSE, {"for_s": float("inf")}, "for_s: found inf, expected"),
        (PAUSE, {"for_s": 1e300}, "a pause ends within 366 days"),
        (PAUSE, {"for_s": PAUSE_S_MAX + 1.0}, "a pause ends within 366 days"),
        (PAUSE, {"until": 1 << 80}, "a pause ends within 366 days"),
        (RESUME, {}, "nothing is held"),
        (RESUME, {"hold_id": "pause"}, "nothing is held"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    world: Daemon, verb: CommandVerb, terms: dict[str, Any], says: str
) -> None:
    """Journaled with what was asked, and nothing is changed by it."""
    answer = world.take(verb, **terms)

    assert not answer.ok
    assert says in answer.text
    assert [answer.text] == refused(world)
    assert 1 == len(world.all(OperatorCommand))
    assert {} == world.holds
    check_journal(world)
    world.lines  # noqa: B018 - whatever was asked can be written


def test_a_hold_that_is_not_there_is_named_with_those_that_are(world: Daemon) -> None:
    """A slip of the pen is answered with what could have been meant."""
    world.take(STOP)
    answer = world.resume(hold_id="stop")

    assert "hold: found 'stop', expected one of stop-new-orders" == answer.text


def test_a_scope_that_nothing_has_resumes_nothing(world: Daemon) -> None:
    """What is in force is named."""
    world.take(STOP)
    answer = world.resume(scope=Scope(symbol=BTC))

    assert not answer.ok
    assert "in force: stop-new-orders (by cli:ann)" in answer.text


@pytest.mark.parametrize(
    "words",
    ["\udcff", "two\nlines\r\x00", "x" * 100_000, "🌊" * 5_000, "\ud800" * 600, ""],
    ids=["no text", "lines", "long", "wide", "long and no text", "empty"],
)
def test_any_words_can_be_journaled(world: Daemon, words: str) -> None:
    """Bytes from a command line, a request's megabytes: no entry is lost, and no session."""
    scope = Scope(strategy=words or None, symbol=words or None)
    for verb in CommandVerb:
        world.take(verb, by=words, reason=words, hold_id=words, scope=scope, for_s=60.0)
    world.kill(reason=words, by=words)
    world.end()

    for command in world.all(OperatorCommand):
        for text in (command.by, command.reason, command.hold_id):
            assert len(text) <= TEXT_MAX
            assert "\n" not in text


@settings(max_examples=150)
@given(
    st.lists(
        st.builds(
            Request,
            verb=st.sampled_from(CommandVerb),
            by=st.text(max_size=3),
            reason=st.text(max_size=3),
            scope=st.builds(
                Scope,
                venue=st.sampled_from([None, "paper", "x"]),
                strategy=st.sampled_from([None, "one", "x"]),
                symbol=st.sampled_from([None, BTC]),
                side=st.sampled_from([None, "long", "x"]),
            ),
            for_s=st.none() | st.floats(),
            until=st.none() | st.integers(-(1 << 70), 1 << 70) | st.integers(START, START + DAY),
            hold_id=st.sampled_from(["", "kill", "pause", "stop-new-orders", "risk:x", "x"]),
            flatten=st.booleans(),
            unlatch=st.booleans(),
        ),
        max_size=8,
    )
)
def test_no_sequence_of_commands_breaks_the_desk(requests: list[Request]) -> None:
    """Each is journaled and answered; what is in force is what the journal says; orders obey."""
    world = daemon(flat(BTC, 40), buyer().spec()).begin().play(1)
    for request in requests:
        answer = world.assembly.desk.take(request)
        msgspec.json.encode(as_document(answer))
        world.settle()
        world.play(1)
    in_force: dict[str, Hold] = {}
    refusals = 0
    for message in world.messages():
        if isinstance(message, HoldPlaced):
            in_force[message.hold.hold_id] = message.hold
        elif isinstance(message, HoldLifted):
            del in_force[message.hold.hold_id]
        elif isinstance(message, CommandRefused):
            refusals += 1
        elif isinstance(message, ExecutionReport) and message.event is OrderEvent.SENT:
            assert EVERYTHING not in {hold.scope for hold in in_force.values()}

    assert in_force == dict(world.holds)
    assert len(requests) == len(world.all(OperatorCommand))
    assert refusals <= len(requests)


# -- when it is called


def test_a_command_is_journaled_before_anything_is_done_about_it(world: Daemon) -> None:
    """Who asked, then what was done."""
    world.kill(reason="drill")

    story = world.story()
    assert story.index("OperatorCommand") < story.index("HoldPlaced") < story.index("KillStep")


def test_commands_are_numbered_in_the_session(world: Daemon) -> None:
    """Refused ones too."""
    world.resume()
    world.take(STOP)

    assert ["abc-C1", "abc-C2"] == [c.command_id for c in world.all(OperatorCommand)]


def test_a_strategy_that_restarts_with_a_backlog_does_not_answer_refusals_for_ever() -> None:
    """Under a hold that refuses, a chain of answers through its mailbox comes to an end."""
    script = buyer()
    script.on_refusal = lambda strategy, _d: [
        strategy.desk.open(BTC, Side.BUY, ONE, policy=FAR_BELOW)
    ]
    for queued in (False, True):
        world = daemon(flat(BTC, 12), script.spec(), queued=queued).begin()
        world.take(STOP)
        cell = world.cell("strategy:one")
        world.assembly.supervisor.actor_failed(cell, None, RuntimeError("planted"))
        for bar in flat(BTC, 5):
            cell.mailbox.put(bar)
        world.play()

        asked = [intent.intent_id for intent in world.all(OpenIntent)]
        denied = [d.intent_id for d in world.all(RiskDecision)]
        assert sorted(asked) == sorted(denied)
        assert len(asked) < 2_000


def test_the_desk_needs_no_listener() -> None:
    """Its own obstacle is none until somebody gives it one."""
    world = daemon(flat(BTC, 2), Script().spec())

    assert isinstance(world.assembly.desk, CommandDesk)
    assert world.assembly.desk.obstacle() is None
