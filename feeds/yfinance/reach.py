"""How Yahoo is reached, and how a rehearsal keeps it on this machine."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from feeds.errors import ExtraMissing, FeedSettingError

NAME = "yfinance"


@dataclass(frozen=True, slots=True)
class YahooReach:
    """
    What is asked of Yahoo, and where it is.

    Prices are as they were traded, but for splits: Yahoo divides its whole history by each. With
    ``adjusted`` they are divided for dividends too, by days and weeks; those of less than a day
    never are. With a ``loopback_port`` every host of Yahoo's is that local port, trusted by
    ``loopback_ca``; nothing is looked up and no proxy is asked then.
    """

    adjusted: bool = False
    loopback_port: int = 0
    loopback_ca: Path | None = None
    timeout_s: float = 10.0

    @property
    def name(self) -> str:
        """Return the name that its series have in a store: other prices are another series."""
        return f"{NAME}-adjusted" if self.adjusted else NAME


def library() -> Any:
    """
    Return yfinance, set to raise what it would only log, and to keep nothing on the disk.

    It would keep cookies and zones below the user's home, those of a rehearsal too. Raises
    ``ExtraMissing`` where it is not installed.
    """
    try:
        yfinance = import_module(NAME)
    except ImportError as error:
        raise ExtraMissing("feed.source yfinance", NAME, NAME) from error
    yfinance.config.debug.hide_exceptions = False
    yfinance.set_tz_cache_location(os.devnull)
    # What fails is raised, and told by whoever asked.
    logging.getLogger(NAME).setLevel(logging.CRITICAL)
    # It tells its users what its own makers have to change.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="^yfinance")
    return yfinance


@contextmanager
def session_of(reach: YahooReach) -> Iterator[Any]:
    """Give the connections that yfinance is to use, and close them afterwards."""
    curl = import_module("curl_cffi")
    options: dict[str, Any] = {"impersonate": "chrome", "use_thread_local_curl": False}
    pinned = curl.ffi.NULL
    if reach.loopback_ca is not None and not reach.loopback_ca.is_file():
        raise FeedSettingError(
            f"venue.loopback_ca {reach.loopback_ca}: no such file; "
            "expected the certificate of the rehearsal's server (PEM)"
        )
    if reach.loopback_port:
        pinned = curl.lib.curl_slist_append(pinned, f"::127.0.0.1:{reach.loopback_port}".encode())
        options |= {"curl_options": {curl.CurlOpt.CONNECT_TO: pinned}, "trust_env": False}
    if reach.loopback_ca is not None:
        options["verify"] = str(reach.loopback_ca)
    session = curl.Session(**options)
    try:
        yield session
    finally:
        session.close()
        curl.lib.curl_slist_free_all(pinned)
