"""
Which addresses are this machine's, and a venue's addresses moved onto it.

Pure: nobody is asked. Both ways to a venue, its market data and its account, keep to this.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

NAMES: Final = frozenset({"localhost", "ip6-localhost"})


class UrlsUnfit(ValueError):
    """Addresses that a venue has no use for; the text says which, and what it has."""


def is_local(host: str) -> bool:
    """Return whether a host is this machine."""
    if host in NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pins_to_this_machine(loopback_port: int, urls: object) -> bool:
    """Return whether a port, or addresses that are all local, keep a client on this machine."""
    hosts = list(hosts_of(urls))
    return bool(loopback_port) or (bool(hosts) and all(map(is_local, hosts)))


def hosts_of(urls: object) -> Iterator[str]:
    """Yield the hosts of all addresses in a nest of them."""
    for _, url in leaves_of(urls):
        host = urlsplit(url).hostname
        if host:
            yield host


def leaves_of(urls: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every address in a nest of them, with its dotted place."""
    if isinstance(urls, Mapping):
        for name, each in urls.items():
            yield from leaves_of(each, f"{path}.{name}" if path else str(name))
    elif isinstance(urls, str):
        yield path, urls


def left_elsewhere(urls: object) -> list[tuple[str, str]]:
    """Return place and host of every address that is not this machine."""
    found = [(place, urlsplit(url).hostname or "") for place, url in leaves_of(urls)]
    return [(place, host) for place, host in found if host and not is_local(host)]


def merged(urls: Mapping[str, Any], given: Mapping[str, Any] | str) -> dict[str, Any]:
    """
    Return a venue's ``urls`` with those that are ``given`` in their place.

    Where one address is given for many, in place of ``urls``, of ``api`` or of a nest within it,
    each of the many is moved there and keeps its path; a stream's stays a stream's. Raises
    ``UrlsUnfit`` for a name that the venue does not have.
    """
    own = {"api": given} if isinstance(given, str) else given
    return _merged(urls, own, "urls")


def _merged(urls: Mapping[str, Any], given: Mapping[str, Any], path: str) -> dict[str, Any]:
    made = dict(urls)
    for name, url in given.items():
        place = f"{path}.{name}"
        if name not in urls:
            raise UrlsUnfit(f"{place}: found one, expected some of {', '.join(sorted(urls))}")
        there = urls[name]
        if isinstance(url, Mapping):
            if not isinstance(there, Mapping):
                raise UrlsUnfit(f"{place}: found a table, expected an address")
            made[name] = _merged(there, url, place)
        elif isinstance(url, str) and urlsplit(url).scheme in _SCHEMES and urlsplit(url).hostname:
            is_one = isinstance(there, str) and place != "urls.api"
            made[name] = url if is_one else moved(there, url)
        else:
            raise UrlsUnfit(
                f"{place}: found {url!r}, expected an address like http://127.0.0.1:8080"
            )
    return made


_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})


def moved(urls: Any, onto: str) -> Any:
    """Return addresses at ``onto``: each keeps its path, and what it is: stream or not."""
    if isinstance(urls, Mapping):
        return {name: moved(each, onto) for name, each in urls.items()}
    if not isinstance(urls, str):
        return urls
    base, parts = urlsplit(onto), urlsplit(urls)
    safe = "s" if base.scheme in {"https", "wss"} else ""
    scheme = ("ws" if parts.scheme in {"ws", "wss"} else "http") + safe
    path = base.path.rstrip("/") + parts.path
    return urlunsplit((scheme, base.netloc, path, parts.query, parts.fragment))
