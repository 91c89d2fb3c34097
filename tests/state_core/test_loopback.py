"""A venue's addresses on this machine: pure."""

from __future__ import annotations

import re
from typing import Any

import pytest

from state.loopback import UrlsUnfit, hosts_of, is_local, left_elsewhere, merged

URLS = {
    "api": {
        "rest": "https://{hostname}/api/v5",
        "public": {"spot": "https://a.example/v4", "swap": "https://b.example/v4?x=1"},
        "ws": {"public": "wss://s.example:8443/ws/v5"},
    },
    "www": "https://example",
}
HERE = "http://127.0.0.1:8080"


@pytest.mark.parametrize("given", [HERE, {"api": HERE}, {"api": f"{HERE}/"}])
def test_one_address_stands_for_all_and_each_keeps_its_path(given: Any) -> None:
    """What is a stream stays one, and what is a template of a host is a host no longer."""
    found = merged(URLS, given)

    assert {
        "rest": f"{HERE}/api/v5",
        "public": {"spot": f"{HERE}/v4", "swap": f"{HERE}/v4?x=1"},
        "ws": {"public": "ws://127.0.0.1:8080/ws/v5"},
    } == found["api"]
    assert "https://example" == found["www"]
    assert [] == left_elsewhere(found["api"])


def test_a_nest_is_moved_by_one_address_and_one_address_is_taken_as_it_is() -> None:
    """As ccxt would merge it; with TLS a stream has TLS."""
    given = {"api": {"rest": HERE, "public": f"{HERE}/x", "ws": "https://127.0.0.1:1"}}
    found = merged(URLS, given)["api"]

    assert HERE == found["rest"]
    assert {"spot": f"{HERE}/x/v4", "swap": f"{HERE}/x/v4?x=1"} == found["public"]
    assert {"public": "wss://127.0.0.1:1/ws/v5"} == found["ws"]


def test_what_is_not_given_is_left_and_named() -> None:
    """By its place, with its host."""
    found = merged(URLS, {"api": {"rest": HERE, "public": HERE}})

    assert [("ws.public", "s.example")] == left_elsewhere(found["api"])
    assert {"127.0.0.1", "s.example"} == set(hosts_of(found["api"]))


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"api": {"rset": HERE}}, "urls.api.rset: found one, expected some of public, rest, ws"),
        ({"rest": HERE}, "urls.rest: found one, expected some of api, www"),
        ({"api": {"rest": {"x": HERE}}}, "urls.api.rest: found a table, expected an address"),
        ({"api": {"rest": 8080}}, "urls.api.rest: found 8080, expected an address like http:"),
        ("127.0.0.1:8080", "urls.api: found '127.0.0.1:8080', expected an address like http:"),
    ],
)
def test_an_address_that_nobody_would_use_is_refused(given: Any, wrong: str) -> None:
    """A slip of the pen would leave the real one in its place."""
    with pytest.raises(UrlsUnfit, match=re.escape(wrong)):
        merged(URLS, given)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("10.0.0.1", False), ("localhost.example", False), ("", False)],
)  # fmt: skip
def test_what_is_this_machine_is_known_without_asking(host: str, local: bool) -> None:
    """By number or by one of two names."""
    assert local is is_local(host)
