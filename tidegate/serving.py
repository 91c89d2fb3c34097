"""Run the virtual exchange: its refusals, its key, its end."""

from __future__ import annotations

import os
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from actors.runtime.clock import wall_ms
from actors.runtime.entropy import session_entropy
from feeds.contract import BarFeed
from feeds.settings import DEFAULT_TIMEFRAME
from feeds.timeframe import parse_timeframe
from messages import FundingRate
from scenarios.exchange.facts import NotListable, Terms
from scenarios.exchange.faults import Faults, FaultScript, FaultsRefused, read_script
from scenarios.exchange.host import Host
from scenarios.exchange.log import TruthLogOver, TruthUnreadable
from scenarios.exchange.market import FundingUnreadable, play, read_funding
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
PAIRED = ".secret"
PLAIN = "plain"
ALPACA = "alpaca"


@dataclass(frozen=True, slots=True)
class Serving:
    """What the command line says about the exchange."""

    port: int
    truth: Path | None
    faults: Path | None
    key_file: Path | None
    market: bool
    dialect: str = "plain"
    limits_times: int = 1
    funding: tuple[str, ...] = ()
    real_time: bool = False


REAL_TIME_BARS: Final = 500
"""Bars of a synthetic market in real time that are there when it opens: to warm up with."""


def serve_venue(configuration: Configuration, wanted: Serving, *, as_json: bool) -> int:
    """Serve until a signal asks for the end; return the exit code."""
    truth = wanted.truth or Path(configuration.settings.session.dir) / TRUTH
    if (problem := unwritable(truth.parent)) is not None:
        raise UsageRefused(f"--truth {truth}: {problem}")
    script = _script(wanted.faults)
    if wanted.real_time:
        configuration = _of_today(configuration, wanted)
    feed = feed_of(configuration)
    funding = _funding(wanted)
    terms = _terms(configuration, feed)
    key_file = wanted.key_file or truth.with_name(KEY)
    secrets = [_secret(key_file)]
    if wanted.dialect != PLAIN:
        secrets.append(_secret(key_file.with_suffix(PAIRED)))
    current().redactor = Redactor(secrets)
    logs = Logs(now_ms=wall_ms, log_format=configuration.settings.telemetry.log_format)
    logs.hide(secrets)
    logs.install()
    speed = configuration.settings.feed.speed

    async def serve() -> None:
        if wanted.dialect == PLAIN:
            place = _plain(terms, truth, key_file, secrets[0], script)
        else:
            place = _in_dialect(terms, truth, key_file, secrets, script, wanted)
        exchange = place.host
        try:
            host, port = await exchange.start(HOST, wanted.port, place.tls)
        except OSError as error:
            await exchange.stop()
            raise UsageRefused(f"--port {wanted.port}: cannot listen: {error.strerror}") from None
        own = None
        if wanted.market:
            now = wall_ms() if wanted.real_time else None
            own = partial(play, exchange, feed, 1.0 if wanted.real_time else speed, funding, now)
        try:
            # Whoever reads the address may send a signal at once.
            await _until_asked(exchange, own, lambda: _say(place, host, port, as_json=as_json))
        finally:
            await exchange.stop()

    anyio.run(serve)
    return Exit.DONE


@dataclass(frozen=True, slots=True)
class _Place:
    """A venue that is about to be served, and the files that whoever comes needs."""

    host: Host
    files: dict[str, Path]
    tls: ssl.SSLContext | None = None


def _of_today(configuration: Configuration, wanted: Serving) -> Configuration:
    """Return the configuration with its synthetic market, if it has one, begun a while ago."""
    if not wanted.market:
        raise UsageRefused("--real-time: there is no market of the exchange's own; add --market")
    settings = configuration.settings
    if settings.feed.source != "synthetic" or configuration.is_given("feed", "synthetic", "start"):
        return configuration
    step = parse_timeframe(settings.feed.timeframe or DEFAULT_TIMEFRAME)
    begins = datetime.fromtimestamp((wall_ms() // step - REAL_TIME_BARS) * step / 1000, UTC)
    synthetic = settings.feed.synthetic.model_copy(update={"start": begins, "bars": 0})
    feed = settings.feed.model_copy(update={"synthetic": synthetic})
    return replace(configuration, settings=settings.model_copy(update={"feed": feed}))


def _secret(path: Path) -> str:
    try:
        return token_at(path).reveal()
    except TokenRefused as refused:
        raise UsageRefused(f"--key-file {refused}") from None


def _plain(terms: Terms, truth: Path, key_file: Path, key: str, script: FaultScript) -> _Place:
    faults = Faults(script)
    host = _opened(truth, lambda: Exchange(terms, truth, key, faults=faults))
    return _Place(host, {"truth": truth, "key_file": key_file})


def _in_dialect(
    terms: Terms,
    truth: Path,
    key_file: Path,
    secrets: Sequence[str],
    script: FaultScript,
    wanted: Serving,
) -> _Place:
    from scenarios.exchange.authority import AuthorityUnavailable, TestAuthority

    # A market of its own trades at any time; one that is shown moves bar by bar.
    terms = msgspec.structs.replace(terms, at_once=wanted.market)
    make = _alpaca if wanted.dialect == ALPACA else _binanceusdm
    try:
        host = _opened(truth, lambda: make(terms, truth, secrets, Faults(script), wanted))
        try:
            # Only by whoever has the truth log: the clients of an exchange that runs already
            # trust the certificate that is there.
            authority = TestAuthority(truth.with_name("tls"))
        except BaseException:
            host.log.close()
            raise
    except (AuthorityUnavailable, NotListable) as refused:
        raise UsageRefused(f"--dialect {wanted.dialect}: {refused}") from None
    files = {
        "truth": truth,
        "key_file": key_file,
        "secret_file": key_file.with_suffix(PAIRED),
        "ca_file": authority.ca_path,
    }
    return _Place(host, files, authority.tls)


def _binanceusdm(
    terms: Terms, truth: Path, secrets: Sequence[str], faults: Faults, wanted: Serving
) -> Host:
    from scenarios.exchange.binanceusdm import Binanceusdm, Keys, Limits

    limits = Limits().times(wanted.limits_times)
    api_key, secret = secrets
    return Binanceusdm(terms, truth, Keys(api_key, secret), faults=faults, limits=limits)


def _alpaca(
    terms: Terms, truth: Path, secrets: Sequence[str], faults: Faults, wanted: Serving
) -> Host:
    from scenarios.exchange.alpaca import Alpaca, Keys
    from scenarios.exchange.alpaca.server import REQUESTS_MAX

    most = REQUESTS_MAX * wanted.limits_times
    api_key, secret = secrets
    return Alpaca(terms, truth, Keys(api_key, secret), faults=faults, requests_max=most)


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


def _funding(wanted: Serving) -> list[FundingRate]:
    rates: list[FundingRate] = []
    if wanted.funding and not wanted.market:
        raise UsageRefused("--funding: there is no market of the exchange's own; add --market")
    for text in wanted.funding:
        file, at, symbol = text.partition("@")
        if not at or not symbol:
            raise UsageRefused(f"--funding {text}: found no symbol, expected FILE@SYMBOL")
        try:
            rates += read_funding(Path(file), symbol)
        except FundingUnreadable as refused:
            raise UsageRefused(f"--funding {refused}") from None
    return rates


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


def _opened(truth: Path, make: Callable[[], Host]) -> Host:
    try:
        return make()
    except BlockingIOError:
        raise StartRefused(
            f"start-up refused: {truth}: another exchange writes this truth log"
        ) from None
    except FaultsRefused as refused:
        raise UsageRefused(*str(refused).splitlines()) from None
    except (TruthUnreadable, TruthContradicted) as refused:
        raise StartRefused(f"start-up refused: {truth}: {refused}") from None


def _say(place: _Place, host: str, port: int, *, as_json: bool) -> None:
    url = f"http{'' if place.tls is None else 's'}://{host}:{port}"
    if as_json:
        files = {name: str(path.absolute()) for name, path in place.files.items()}
        say_document({"url": url, "port": port, **files, "pid": os.getpid()})
    else:
        files = {name.removesuffix("_file"): str(path) for name, path in place.files.items()}
        told = ", ".join(f"{name} {path}" for name, path in files.items())
        sys.stdout.write(f"virtual exchange at {url}, {told}\n")
    sys.stdout.flush()


async def _until_asked(
    exchange: Host,
    market: Callable[[], Coroutine[Any, Any, None]] | None,
    ready: Callable[[], None],
) -> None:
    """Return when a signal asks for the end; raises ``TruthLogOver`` when the disk fails."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        ready()
        async with anyio.create_task_group() as tasks:

            async def heed() -> None:
                async for _ in signals:
                    break
                tasks.cancel_scope.cancel()

            tasks.start_soon(heed)
            if market is not None:
                tasks.start_soon(market)
            await exchange.failed.wait()
            tasks.cancel_scope.cancel()
    if exchange.trouble is not None:
        raise exchange.trouble
    if exchange.failed.is_set():
        raise TruthLogOver(str(exchange.log.failure))
