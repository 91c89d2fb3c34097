"""Run the virtual exchange: its refusals, its key, its end."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

from actors.runtime.clock import wall_ms
from actors.runtime.entropy import session_entropy
from feeds.contract import BarFeed
from scenarios.exchange.facts import Terms
from scenarios.exchange.faults import Faults, FaultScript, FaultsRefused, read_script
from scenarios.exchange.log import TruthLogOver, TruthUnreadable
from scenarios.exchange.market import play
from scenarios.exchange.server import Exchange
from scenarios.exchange.venue import TruthContradicted
from tidegate.compose import feed_of, instruments_of, single_currency
from tidegate.config import Configuration
from tidegate.control.token import TokenRefused, token_at
from tidegate.exits import Exit, StartRefused, UsageRefused
from tidegate.front import current
from tidegate.logs import Logs
from tidegate.output import say_document
from tidegate.places import unwritable
from tidegate.redaction import Redactor

HOST = "127.0.0.1"
TRUTH = Path("venue", "truth.ndjson")
KEY = "venue.key"


@dataclass(frozen=True, slots=True)
class Serving:
    """What the command line says about the exchange."""

    port: int
    truth: Path | None
    faults: Path | None
    key_file: Path | None
    market: bool


def serve_venue(configuration: Configuration, wanted: Serving, *, as_json: bool) -> int:
    """Serve until a signal asks for the end; return the exit code."""
    truth = wanted.truth or Path(configuration.settings.session.dir) / TRUTH
    if (problem := unwritable(truth.parent)) is not None:
        raise UsageRefused(f"--truth {truth}: {problem}")
    script = _script(wanted.faults)
    feed = feed_of(configuration)
    terms = _terms(configuration, feed)
    key_file = wanted.key_file or truth.with_name(KEY)
    try:
        key = token_at(key_file).reveal()
    except TokenRefused as refused:
        raise UsageRefused(f"--key-file {refused}") from None
    current().redactor = Redactor([key])
    logs = Logs(now_ms=wall_ms, log_format=configuration.settings.telemetry.log_format)
    logs.hide([key])
    logs.install()
    speed = configuration.settings.feed.speed

    async def serve() -> None:
        exchange = _opened(terms, truth, key, script)
        try:
            host, port = await exchange.start(HOST, wanted.port)
        except OSError as error:
            await exchange.stop()
            raise UsageRefused(f"--port {wanted.port}: cannot listen: {error.strerror}") from None
        _say(f"http://{host}:{port}", truth, key_file, as_json=as_json)
        try:
            await _until_asked(exchange, feed if wanted.market else None, speed)
        finally:
            await exchange.stop()

    anyio.run(serve)
    return Exit.DONE


def _script(path: Path | None) -> FaultScript:
    if path is None:
        return FaultScript()
    try:
        return read_script(path.read_bytes())
    except OSError as error:
        raise UsageRefused(f"--faults {path}: cannot be read: {error.strerror}") from None
    except FaultsRefused as refused:
        raise UsageRefused(
            *(f"--faults {path}: {line}" for line in str(refused).splitlines())
        ) from None


def _terms(configuration: Configuration, feed: BarFeed) -> Terms:
    settings = configuration.settings
    instruments = instruments_of(configuration, feed.symbols)
    venue = settings.venue
    return Terms(
        instruments,
        single_currency(instruments),
        settings.session.cash,
        session_entropy(),
        venue.position_mode,
        venue.slippage_bps,
        venue.participation,
        venue.brackets,
    )


def _opened(terms: Terms, truth: Path, key: str, script: FaultScript) -> Exchange:
    try:
        return Exchange(terms, truth, key, faults=Faults(script))
    except BlockingIOError:
        raise StartRefused(
            f"start-up refused: {truth}: another exchange writes this truth log"
        ) from None
    except (TruthUnreadable, TruthContradicted) as refused:
        raise StartRefused(f"start-up refused: {truth}: {refused}") from None


def _say(url: str, truth: Path, key_file: Path, *, as_json: bool) -> None:
    if as_json:
        places = {"truth": str(truth.absolute()), "key_file": str(key_file.absolute())}
        say_document({"url": url, **places, "pid": os.getpid()})
    else:
        sys.stdout.write(f"virtual exchange at {url}, truth {truth}, key {key_file}\n")
    sys.stdout.flush()


async def _until_asked(exchange: Exchange, feed: BarFeed | None, speed: float) -> None:
    """Return when a signal asks for the end; raises ``TruthLogOver`` when the disk fails."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:

            async def heed() -> None:
                async for _ in signals:
                    break
                tasks.cancel_scope.cancel()

            tasks.start_soon(heed)
            if feed is not None:
                tasks.start_soon(play, exchange, feed, speed)
            await exchange.failed.wait()
            tasks.cancel_scope.cancel()
    if exchange.failed.is_set():
        raise TruthLogOver(str(exchange.log.failure))
