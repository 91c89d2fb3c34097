"""The check before a start says which addresses of a venue a rehearsal does not dial."""

from __future__ import annotations

import pytest

from brokers.ccxt.address import CcxtAddress
from brokers.ccxt.inspecting import reached

HERE = "http://127.0.0.1:1"
URLS = {"rest": HERE, "ws": "wss://stream.example.com/ws"}


@pytest.mark.parametrize("address", [CcxtAddress("okx"), CcxtAddress("okx", loopback_port=1)])
def test_nothing_of_a_venue_is_left_out_where_all_of_it_is_reached(address: CcxtAddress) -> None:
    """Neither the venue itself nor a port for all of its hosts leaves an address undialled."""
    assert [] == list(reached(address, URLS))


def test_a_rehearsal_by_addresses_names_what_it_leaves_out() -> None:
    """Ablation: the stream's own host is not of this machine, and fills are asked for."""
    (finding,) = reached(CcxtAddress("okx", urls={"api": {"rest": HERE}}), URLS)

    assert "warn" == finding.status
    assert "api.ws (stream.example.com); without a stream" in finding.detail


def test_a_rehearsal_by_addresses_may_have_all_of_them_here() -> None:
    """Nothing is left out, and that is said."""
    (finding,) = reached(CcxtAddress("okx", urls=HERE), {"rest": HERE})

    assert "ok" == finding.status
