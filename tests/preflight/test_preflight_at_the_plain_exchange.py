"""`tidegate check --venue` at the virtual exchange that speaks our own dialect."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import anyio
from preflight_house import checked, configure, found_in

sys.path.append(str(Path(__file__).parents[1] / "exchange"))

from exchange_house import KEY, client_of, order, serving

from scenarios.exchange.log import read_truth

CONFIGURATION = """\
[universe]
symbols = ["BTC/USDT"]
[feed]
source = "synthetic"
[[strategies]]
name = "sma"
use = "sma_cross"
[venue]
adapter = "virtual"
timeout_s = 2.0
"""


async def asked(url: str, key: str = KEY) -> dict[str, tuple[str, str]]:
    """Return what a check of a session at ``url`` has found."""
    environ = {"TIDEGATE_VENUE__URL": url, "TIDEGATE_VENUE__CREDENTIALS__API_KEY": key}
    return found_in(await anyio.to_thread.run_sync(partial(checked, "--venue", **environ)))


async def test_the_account_is_read_and_nothing_is_sent(tmp_path: Path) -> None:
    """Flat, and taken; the log has what it had before."""
    configure(CONFIGURATION)
    async with serving(tmp_path / "truth.ndjson") as (_, url):
        before = read_truth(tmp_path / "truth.ndjson")
        found = await asked(url)

        assert before == read_truth(tmp_path / "truth.ndjson")

    assert ("ok", url) == found["venue.address"]
    assert {"ok"} == {found[f"venue.{name}"][0] for name in ("key", "orders", "positions")}


async def test_an_order_of_ours_that_rests_there_is_told(tmp_path: Path) -> None:
    """By its name: a new session would be refused beside it."""
    configure(CONFIGURATION)
    async with serving(tmp_path / "truth.ndjson") as (_, url), client_of(url) as client:
        client.broker.submit(order("tg-0123456789-1", price="1"), 1)
        await client.quiet()
        found = await asked(url)

    assert "fail" == found["venue.orders"][0]
    assert "tg-0123456789-1" in found["venue.orders"][1]


async def test_a_wrong_key_and_no_exchange_are_failures(tmp_path: Path) -> None:
    """Each in one line that has the address and no key."""
    configure(CONFIGURATION)
    async with serving(tmp_path / "truth.ndjson") as (_, url):
        wrong = await asked(url, "another key for tests")
    gone = await asked(url)

    for found in (wrong, gone):
        assert "fail" == found["venue.key"][0]
        assert url in found["venue.key"][1]
        assert "another key" not in found["venue.key"][1]
