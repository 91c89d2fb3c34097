"""The reference is the judge, so it is itself checked: by hand, and by two peers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING

import explain
import pytest
import reference
from markets import MADE_UP, REAL_FILES, MadeUp, RealFile

pytestmark = pytest.mark.exhaustive

if TYPE_CHECKING:
    from peers import PeerOutcome  # at run time only where the peers are installed

CASH = 1_000_000_000
HALF_A_CENT = Decimal("0.005")
# A peer's fee is one float product; its price is the very float that the text stands for.
FLOAT_FEE_ERROR = Decimal("1e-9")


def row(number: int, open_: str, close: str) -> reference.Row:
    """Return a bar of which only open and close matter."""
    values = (open_, max(open_, close), min(open_, close), close, "1")
    return reference.Row(number * 60_000, *map(Decimal, values))


def test_the_reference_follows_the_rules_worked_out_by_hand() -> None:
    """
    With windows of 1 and 2: long from bar 2's close, a tie is flat, the last order is lost.

    Closes 10, 11 (above the mean 10.5: long), 11 (tie: flat), 12 (long), 9 (flat), and
    every order is executed at the open of the bar after.
    """
    rows = [
        row(0, "10", "10"),
        row(1, "10", "11"),
        row(2, "11.5", "11"),
        row(3, "10.5", "12"),
        row(4, "12.5", "13"),
        row(5, "13", "9"),
    ]

    outcome = reference.sma_cross(
        rows, fast=1, slow=2, quantity=Decimal(2), cash=Decimal(1000), fee_bps=Decimal(10)
    )

    assert outcome.trades == [
        reference.Trade(120_000, "buy", Decimal("11.5"), Decimal(2), Decimal("0.023")),
        reference.Trade(180_000, "sell", Decimal("10.5"), Decimal(2), Decimal("0.021")),
        reference.Trade(240_000, "buy", Decimal("12.5"), Decimal(2), Decimal("0.025")),
    ]
    assert outcome.equity == Decimal(1000) - 23 + 21 - 25 + 18 - Decimal("0.069")


def test_the_reference_slips_against_the_trader() -> None:
    """A buy pays more and a sale earns less than the open, by the given basis points."""
    rows = [row(0, "10", "10"), row(1, "10", "11"), row(2, "100", "9"), row(3, "100", "9")]

    outcome = reference.sma_cross(rows, fast=1, slow=2, fee_bps=Decimal(0), slippage_bps=Decimal(5))

    assert [trade.price for trade in outcome.trades] == [Decimal("100.05"), Decimal("99.95")]


def agree(rows: list[reference.Row], quantity: int, peers: ModuleType, peer: str) -> None:
    """Check that a peer, fed the exact signal, trades as the reference does."""
    wants = reference.wants_long([row.close for row in rows], explain.FAST, explain.SLOW)
    exact = reference.sma_cross(rows, quantity=Decimal(quantity), cash=Decimal(CASH))

    theirs = peers.PEERS[peer](rows, wants, quantity=quantity, cash=CASH, fee_rate=0.001)

    assert_same_trades(exact, theirs)


def assert_same_trades(exact: reference.Outcome, theirs: PeerOutcome) -> None:
    """Check time, side, price and quantity of every trade exactly; fees and equity to the cent."""
    expected = [(t.timestamp, t.side, t.price, t.quantity) for t in exact.trades]
    actual = [
        (t.timestamp, t.side, Decimal(repr(t.price)), Decimal(t.quantity)) for t in theirs.trades
    ]

    assert actual == expected
    for ours, trade in zip(exact.trades, theirs.trades, strict=True):
        if trade.fee is not None:
            assert abs(ours.fee - Decimal(trade.fee)) < FLOAT_FEE_ERROR * max(Decimal(1), ours.fee)
    assert abs(Decimal(theirs.fees) - sum(t.fee for t in exact.trades)) < HALF_A_CENT
    assert abs(Decimal(theirs.equity) - exact.equity) < HALF_A_CENT


@pytest.mark.parametrize("peer", ["backtesting.py", "backtrader"])
@pytest.mark.parametrize("file", REAL_FILES, ids=lambda file: file.name)
def test_a_peer_fed_the_exact_signal_trades_as_the_reference_on_real_data(
    file: RealFile,
    peer: str,
    peers: ModuleType,
    rows_of: Callable[[RealFile], list[reference.Row]],
) -> None:
    """On six recorded markets the reference and two engines of others agree to the cent."""
    agree(rows_of(file), file.quantity, peers, peer)


@pytest.mark.parametrize("peer", ["backtesting.py", "backtrader"])
@pytest.mark.parametrize("market", MADE_UP, ids=lambda market: market.name)
def test_a_peer_fed_the_exact_signal_trades_as_the_reference_anywhere(
    market: MadeUp, peer: str, peers: ModuleType
) -> None:
    """The same holds on made-up markets, which need no data beside the repository."""
    agree(market.rows(), 1, peers, peer)


def check_own_averages(
    rows: list[reference.Row], quantity: int, peers: ModuleType, peer: str
) -> explain.Differences:
    """Check that every decision of a peer on its own averages is explained, and all its trades."""
    own = peers.PEERS[peer](rows, None, quantity=quantity, cash=CASH, fee_rate=0.001)
    found = explain.differences(rows, own.decided)

    assert found.unexplained == []
    # Apart from those decisions nothing differs: trading them by our rules gives its trades.
    as_decided = reference.replay(
        rows,
        own.decided,
        quantity=Decimal(quantity),
        cash=Decimal(CASH),
        fee_bps=Decimal(10),
    )
    assert_same_trades(as_decided, own)
    return found


@pytest.mark.parametrize("peer", ["backtesting.py", "backtrader"])
@pytest.mark.parametrize("file", REAL_FILES, ids=lambda file: file.name)
def test_a_peer_differs_on_real_data_only_where_floats_cannot_tell(
    file: RealFile,
    peer: str,
    peers: ModuleType,
    rows_of: Callable[[RealFile], list[reference.Row]],
    record_property: Callable[[str, object], None],
) -> None:
    """On its own float averages a peer decides otherwise at ties and roundings, nowhere else."""
    found = check_own_averages(rows_of(file), file.quantity, peers, peer)

    record_property(f"{file.name} {peer}", str(found))


@pytest.mark.parametrize("peer", ["backtesting.py", "backtrader"])
@pytest.mark.parametrize(
    # backtrader raises on a market shorter than its own indicator's period.
    "market",
    [market for market in MADE_UP if market.bars > explain.SLOW],
    ids=lambda market: market.name,
)
def test_a_peer_differs_anywhere_only_where_floats_cannot_tell(
    market: MadeUp, peer: str, peers: ModuleType
) -> None:
    """The same on made-up markets; those with coarse ticks have ties at which floats do differ."""
    found = check_own_averages(market.rows(), 1, peers, peer)

    if market.name == "penny, many ties":
        assert found.ties != []
