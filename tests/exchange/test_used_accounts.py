"""A session on an account that is not empty: it is explained, taken over, or there is none."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exchange_house import BTC, client_of, order, serving
from test_exchange_in_session import FAR, ONE, listed, messages, session_of
from test_exchange_session import CONFIGURATION, environment, trade, venue

from actors.opening import AccountUnexplained
from actors.session import run_paper
from actors.spec import SessionResult, SessionSpec
from messages import (
    EXTERNAL,
    AccountAdopted,
    Hold,
    HoldMode,
    HoldPlaced,
    OperatorReduce,
    PositionSide,
    Reconciled,
    Side,
)
from scenarios.exchange.server import Exchange
from state.facts import Facts
from state.journal.reader import read_journal
from state.reconciliation import MismatchKind
from state.reconciliation_policy import Policy, ReconciliationPlan
from state.register import register_of

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from session_world import Script, on_bars

K = MismatchKind


def buying() -> Script:
    """Return a strategy that buys one, and leaves an order that nobody fills."""
    return on_bars(
        {
            0: lambda desk: [desk.open(BTC, Side.BUY, ONE)],
            2: lambda desk: [desk.open(BTC, Side.BUY, ONE, policy=FAR)],
        }
    )


def plan(policy: Policy = Policy.REFUSE, **policies: Policy) -> ReconciliationPlan:
    """Return a plan that looks every half minute of session time."""
    named = {MismatchKind(name): each for name, each in policies.items()}
    return ReconciliationPlan(policy, named, 30_000, 10_000, patient=True)


async def session(
    folder: Path, url: str, script: Script, how: ReconciliationPlan, *own: str
) -> SessionResult:
    """Run a session on the account at ``url``."""
    spec: SessionSpec = session_of(folder, script, url)
    return await run_paper(replace(spec, reconciliation=how, own_tags=frozenset(own)), speed=0)


async def used(folder: Path, exchange: Exchange, url: str) -> str:
    """Leave a position and an open order behind; return the tag of the session that did."""
    result = await session(folder, url, buying(), plan())
    assert 1 == len(exchange.venue.account().positions)
    assert 1 == len(exchange.venue.account().open_orders)
    return result.session_id.rsplit("-", 1)[-1][:10]


def of(result: SessionResult, kind: type) -> list[Any]:
    """Return a session's messages of one class."""
    return [message for message in messages(result) if isinstance(message, kind)]


def folded(spec: SessionSpec, result: SessionResult) -> Facts:
    """Return what a session's journal makes certain."""
    facts = Facts(spec.instruments, currency=spec.currency, deposit=spec.cash)
    return facts.fold_all(read_journal(result.out / "journal.sqlite"))


async def test_a_used_account_is_refused_by_default(tmp_path: Path) -> None:
    """Everything that is there is named, and nothing is sent."""
    async with serving(tmp_path / "t", listed=listed(session_of(tmp_path, Script(), ""))) as (
        exchange,
        url,
    ):
        tag = await used(tmp_path / "one", exchange, url)
        seen = len(exchange.venue.requests)
        with pytest.raises(AccountUnexplained) as refused:
            await session(tmp_path / "two", url, buying(), plan(), tag)

        assert [K.EXTERNAL_POSITION, K.STRAY_ORDER, K.BALANCE_DRIFT] == [
            one.mismatch.kind for one in refused.value.found
        ]
        assert seen == len(exchange.venue.requests)


async def test_a_used_account_is_adopted_when_that_is_the_policy(tmp_path: Path) -> None:
    """Lots, money and the order are entries of the journal, and its fold is the venue's account."""
    quiet = Script()
    spec = session_of(tmp_path, quiet, "")
    async with serving(tmp_path / "t", listed=listed(spec)) as (exchange, url):
        await used(tmp_path / "one", exchange, url)
        result = await session(tmp_path / "two", url, quiet, plan(Policy.ADOPT))
        account = exchange.venue.account()
    facts = folded(spec, result)
    held = facts.ledger.position(EXTERNAL, BTC, PositionSide.BOTH)

    assert held is not None
    assert (ONE, dict.fromkeys(account.open_orders)) == (
        held.quantity,
        dict.fromkeys(facts.outside.watched),
    )
    assert account.net_flow == facts.ledger.cash
    assert [()] * 2 == [told.differences for told in of(result, Reconciled)]
    assert {"start"} == {adopted.occasion for adopted in of(result, AccountAdopted)}
    check_shown(result)
    assert [] == of(result, HoldPlaced)
    facts.ledger.audit()


async def test_a_kill_that_was_to_flatten_flattens_what_a_new_session_takes_over(
    tmp_path: Path,
) -> None:
    """
    The kill is the account's, not the session's that it was told to.

    That exchange has no market any more by then: the close waits there.
    """
    quiet = Script()
    kill = Hold("kill", "drill", HoldMode.DRAIN, "cli:ann", 7, latched=True, flatten=True)
    spec = session_of(tmp_path / "two", quiet, "")
    register_of(spec.runs_dir, spec.mode, spec.account).replace({kill.hold_id: kill})
    async with serving(tmp_path / "t", listed=listed(spec)) as (exchange, url):
        await used(tmp_path / "one", exchange, url)
        result = await session(tmp_path / "two", url, quiet, plan(Policy.ADOPT))
        account = exchange.venue.account()

    (close,) = of(result, OperatorReduce)
    assert (EXTERNAL, Side.SELL, ONE) == (close.strategy, close.side, close.quantity)
    assert f"tg-{close.intent_id.lower()}" in account.open_orders
    assert "killed" == result.outcome
    (kept,) = register_of(spec.runs_dir, spec.mode, spec.account).load()
    assert kept.flatten


def check_shown(result: SessionResult) -> None:
    """Check that what was adopted is in every file that shows what the account holds."""
    adopted = [each.adoption.fill for each in of(result, AccountAdopted) if each.adoption.fill]
    (trade,) = csv.DictReader((result.out / "trades.csv").read_text().splitlines())
    held = list(csv.DictReader((result.out / "positions.csv").read_text().splitlines()))

    assert [fill.trade_id for fill in adopted] == [trade["trade_id"]]
    assert (EXTERNAL, "1", "") == (trade["strategy"], trade["quantity"], trade["decision_price"])
    assert {(EXTERNAL, BTC, "1")} == {
        (row["strategy"], row["symbol"], row["quantity"]) for row in held
    }
    (position,) = result.summary["positions"]
    assert (EXTERNAL, "1") == (position["strategy"], position["quantity"])
    assert 0 == result.summary["fills"]  # nobody has traded
    assert "adopted" in {incident["kind"] for incident in result.summary["incidents"]}
    assert EXTERNAL in (result.out / "session.md").read_text()
    last = list(csv.DictReader((result.out / "account.csv").read_text().splitlines()))[-1]
    worth = Decimal(held[-1]["quantity"]) * Decimal(held[-1]["mark_price"])
    assert Decimal(last["equity"]) == Decimal(last["cash"]) + worth


async def test_own_stray_orders_are_cancelled_when_that_is_the_policy(tmp_path: Path) -> None:
    """One of an earlier session of ours is; one that only looks like ours is never touched."""
    how = plan(Policy.CANCEL, external_position=Policy.ADOPT, balance_drift=Policy.ADOPT)
    async with serving(tmp_path / "t", listed=listed(session_of(tmp_path, Script(), ""))) as (
        exchange,
        url,
    ):
        tag = await used(tmp_path / "one", exchange, url)
        with pytest.raises(AccountUnexplained) as refused:
            await session(tmp_path / "two", url, Script(), how)  # knows of no session but itself
        assert [K.FOREIGN_ORDER] == [one.mismatch.kind for one in refused.value.found]
        assert 1 == len(exchange.venue.account().open_orders)

        await session(tmp_path / "three", url, Script(), how, tag)

        assert () == exchange.venue.account().open_orders


async def test_a_position_without_a_market_here_cannot_be_adopted(tmp_path: Path) -> None:
    """The refusal says why, although the policy would have it."""
    spec = session_of(tmp_path, Script(), "")
    both = dict(spec.instruments)
    both["ETH/USDT"] = replace(both[BTC], symbol="ETH/USDT")
    terms = msgspec.structs.replace(listed(spec), instruments=both)
    async with serving(tmp_path / "t", listed=terms) as (_, url):
        async with client_of(url) as client:
            client.broker.submit(order("x", symbol="ETH/USDT"), 0)
            client.bar(symbol="ETH/USDT")
            await client.quiet()
        with pytest.raises(AccountUnexplained) as refused:
            await session(tmp_path, url, Script(), plan(Policy.ADOPT))

    (one,) = refused.value.found
    assert (K.EXTERNAL_POSITION, "ETH/USDT is not an instrument of this session") == (
        one.mismatch.kind,
        one.why,
    )


# -- two processes


def test_a_second_daemon_on_a_used_account_is_refused_and_told_why(tmp_path: Path) -> None:
    """Exit code 5 with a table, or with one document; with the policy it goes on, exit code 0."""
    # Four processes: what they have to say is said after a few bars.
    short = CONFIGURATION.replace("bars = 400", "bars = 80")
    with venue(tmp_path, configuration=short) as exchange:
        code, first, said = trade(tmp_path, exchange.environment)
        assert 0 == code, said
        code, document, _ = trade(tmp_path, exchange.environment)
        assert 5 == code
        error = document["error"]
        assert "cannot explain" in error["problems"][0]
        assert "balance_drift" in {each["class"] for each in error["differences"]}
        assert {"refuse"} == {each["policy"] for each in error["differences"]}

        table = subprocess.run(
            [sys.executable, "-m", "tidegate", "trade", "--mode", "paper"],
            cwd=tmp_path,
            env=environment(exchange.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert 5 == table.returncode
        assert "balance_drift" in table.stdout
        assert "expected" in table.stdout.splitlines()[0]

        adopt = {**exchange.environment, "TIDEGATE_RECONCILIATION__POLICY": "adopt"}
        code, second, said = trade(tmp_path, adopt)
        assert 0 == code, said

    assert first["session_id"] != second["session_id"]
    entries = read_journal(tmp_path / second["folder"] / "journal.sqlite")
    told = [entry.message for entry in entries]
    assert [each for each in told if isinstance(each, AccountAdopted)]
    assert () == [each for each in told if isinstance(each, Reconciled)][-1].differences
    assert Decimal(0) != sum(
        (each.adoption.transfer for each in told if isinstance(each, AccountAdopted)), Decimal(0)
    )
