"""The venue without a wire: its facts add up, and are enough to make it again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from exchange_house import BTC, ETH, START, bar, order, terms
from hypothesis import given
from hypothesis import strategies as st

from brokers.virtual.wire import FundingAtMark, Shown
from messages import Side
from scenarios.exchange.facts import Fact, FactKind, Terms
from scenarios.exchange.log import TruthLog, TruthUnreadable, read_truth
from scenarios.exchange.truth import fold_truth
from scenarios.exchange.venue import TruthContradicted, Venue, line_of, restored
from state.instruments import Instrument

PERP = "BTC/USDT:USDT"


def listed() -> Terms:
    """Return terms of two spot markets and a perpetual."""
    of = terms(BTC, ETH)
    perpetual = Instrument.permissive(PERP, Decimal(5))
    return msgspec.structs.replace(of, instruments={**of.instruments, PERP: perpetual})


quantities = st.sampled_from(["0.5", "1", "2.25"])
symbols = st.sampled_from([BTC, ETH, PERP])
steps = st.one_of(
    st.tuples(
        st.just("submit"),
        symbols,
        st.sampled_from(list(Side)),
        quantities,
        st.sampled_from([None, "95", "99.5", "101", "110"]),
    ),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("cancel_all"), st.sampled_from(["", BTC])),
    st.tuples(st.just("bar"), symbols, st.floats(90, 110)),
    st.tuples(st.just("funding"), st.sampled_from([0.0001, -0.0002])),
)


def played(venue: Venue, moves: list[tuple[object, ...]]) -> list[Fact]:
    """Do what ``moves`` say and return all facts."""
    facts = list(venue.opening)
    sent = 0
    for number, move in enumerate(moves):
        match move:
            case ("submit", str(symbol), Side() as side, str(quantity), price):
                asked = order(
                    f"c{sent}",
                    quantity,
                    symbol=symbol,
                    side=side,
                    price=None if price is None else str(price),
                )
                sent += 1
                facts += venue.submit(asked)
            case ("again", int(which)):
                facts += venue.submit(order(f"c{which}"))
                sent = max(sent, which + 1)
            case ("cancel", int(which)):
                facts += venue.cancel(f"c{which}")
            case ("cancel_all", str(symbol)):
                facts += venue.cancel_all(symbol)
            case ("bar", str(symbol), float(price)):
                taken = venue.shown.get("m", 0)
                piece = bar(number, round(price, 2), symbol=symbol)
                facts += venue.show(Shown("m", taken + 1, (piece,)))
            case ("funding", float(rate)):
                taken = venue.shown.get("m", 0)
                paid = FundingAtMark(PERP, START + number * 60_000, rate, Decimal(100))
                facts += venue.show(Shown("m", taken + 1, (paid,)))
            case _:
                raise AssertionError(move)
    return facts


def check_sums(venue: Venue, facts: list[Fact]) -> None:
    """Check that the facts alone add up to the engine's own state."""
    folded = fold_truth(facts)
    account = venue.account()
    assert {(symbol, side): quantity for symbol, side, quantity in account.positions} == folded.held
    assert account.net_flow == folded.net_flow
    assert set(account.open_orders) == folded.live
    assert [] == folded.repeated


@given(st.lists(steps, max_size=40))
def test_the_facts_add_up_to_the_engines_state(moves: list[tuple[object, ...]]) -> None:
    """Positions, money and live orders follow from the log without the matching engine."""
    venue = Venue(listed())

    facts = played(venue, moves)

    check_sums(venue, facts)
    assert list(range(1, len(facts) + 1)) == [fact.n for fact in facts]
    assert list(range(1, venue.seq + 1)) == [fact.seq for fact in facts if fact.report is not None]


@given(st.lists(steps, max_size=25), st.data())
def test_a_venue_is_made_again_from_any_beginning_of_its_log(
    moves: list[tuple[object, ...]], data: st.DataObject
) -> None:
    """Killed between any two lines, it says after its restart what it would have said."""
    venue = Venue(listed())
    facts = played(venue, moves)
    kept = data.draw(st.integers(1, len(facts)))

    again, unwritten = restored(facts[:kept])

    whole = facts[:kept] + unwritten
    assert facts[: len(whole)] == whole
    check_sums(again, whole)
    if kept == len(facts):
        assert [] == unwritten
        assert venue.engine.snapshot() == again.engine.snapshot()
        assert venue.news == again.news


def test_a_log_that_does_not_follow_from_its_inputs_is_refused() -> None:
    """A fill that nobody's order explains is no truth to go on with."""
    venue = Venue(listed())
    facts = played(venue, [("submit", BTC, Side.BUY, "1", None), ("bar", BTC, 100.0)])
    at = next(place for place, fact in enumerate(facts) if fact.fact is FactKind.FILLED)
    facts[at] = msgspec.structs.replace(facts[at], at=facts[at].at + 1)

    with pytest.raises(TruthContradicted, match=f"line {at + 1}"):
        restored(facts)


def test_a_source_that_leaves_a_number_out_is_refused() -> None:
    """A hole in the market would go unnoticed for ever."""
    venue = Venue(listed())
    venue.show(Shown("m", 1, (bar(0),)))

    with pytest.raises(ValueError, match="expected 2"):
        venue.show(Shown("m", 3, (bar(2),)))


def test_what_was_shown_before_changes_nothing() -> None:
    """A batch whose answer was lost can be shown again."""
    venue = Venue(listed())
    batch = Shown("m", 1, (bar(0), bar(1)))

    first, again = venue.show(batch), venue.show(batch)

    assert 2 == len(first)
    assert [] == again


async def test_a_torn_line_is_cut_off_and_the_rest_read(tmp_path: Path) -> None:
    """What a crash left of a line was never told to anybody."""
    path = tmp_path / "truth.ndjson"
    venue = Venue(listed())
    facts = [*venue.opening, *venue.submit(order("a"))]
    path.write_bytes(b"".join(map(line_of, facts)) + line_of(facts[-1])[:20])

    assert facts == read_truth(path)
    log = TruthLog(path)
    log.write(venue.submit(order("b")))
    await log.synced()
    log.close()

    assert len(facts) + 2 == len(read_truth(path))


def test_a_missing_line_is_named(tmp_path: Path) -> None:
    """A log with a hole is no log."""
    path = tmp_path / "truth.ndjson"
    venue = Venue(listed())
    facts = [*venue.opening, *venue.submit(order("a"))]
    path.write_bytes(line_of(facts[0]) + line_of(facts[2]))

    with pytest.raises(TruthUnreadable, match="line 2: found number 3, expected 2"):
        read_truth(path)


async def test_a_log_has_one_writer(tmp_path: Path) -> None:
    """Two venues on one log would each contradict the other."""
    log = TruthLog(tmp_path / "truth.ndjson")

    with pytest.raises(BlockingIOError):
        TruthLog(tmp_path / "truth.ndjson")
    log.close()
