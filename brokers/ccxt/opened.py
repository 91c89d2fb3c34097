"""What a ccxt broker has between ``connect`` and ``close``."""

from __future__ import annotations

from dataclasses import dataclass

from brokers.ccxt.calls import Calls
from brokers.ccxt.client import CcxtClient
from brokers.ccxt.ordering import Ordering
from brokers.ccxt.private_stream import PrivateStream
from brokers.ccxt.rulebook import Rulebook
from brokers.ccxt.survey import Surveyor
from brokers.ccxt.timers import Timers


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection, and who does what over it."""

    client: CcxtClient
    calls: Calls
    ordering: Ordering
    stream: PrivateStream
    surveyor: Surveyor
    timers: Timers
    rulebook: Rulebook
