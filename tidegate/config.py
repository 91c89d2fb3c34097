"""
The configuration: one model composed of each floor's own settings, and how it is loaded.

``load`` merges files, environment and command line, checks the result as a whole, and keeps
for every key the origin that won. Whatever is wrong is reported at once, each problem on one
line with its origin, its key, what was found and what was expected.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from actors.risk.defaults import trade_defaults
from actors.settings import (
    ExecutionSettings,
    HealthSettings,
    Money,
    ReconciliationSettings,
    RiskSettings,
)
from brokers.settings import VenueSettings
from feeds.settings import FeedSettings
from state.found import shown
from state.ledger import LotMethod
from tidegate.control.addresses import http_address, is_loopback
from tidegate.exits import ConfigError
from tidegate.layers import Key, Layer, environment_layer, file_layer, leaves, merge
from tidegate.redaction import exposed_secrets, is_secret, masked, secrets_in, without_secrets
from tidegate.schema import model_at, nearest
from tidegate.universe_lists import UniverseLists, lists_of

DEFAULT_FILE = Path("tidegate.toml")
BY_HAND: Final = frozenset({("risk", "live_notional_cap")})
"""Keys that only a file sets: no variable left in a shell, no option typed in haste."""
TRADE_DEFAULT = "trade default"
KINDS: Final = (
    dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), 'a list, as ["A"]')
    | dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "a table of keys")
    | dict.fromkeys(("bool_type", "bool_parsing"), "true or false")
)
"""What pydantic has Python's words for, by its types of errors, in those of a file."""
"""The origin of a limit that nobody gave and ``trade`` does not go without."""


class Section(BaseModel):
    """Base of the sections: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SessionSettings(Section):
    """``[session]``: what kind of run this is and where it is kept."""

    mode: Literal["replay", "paper", "shadow", "live"] = Field(
        "paper", description="how orders are executed"
    )
    name: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$",
        description="a name of your own for it, kept in `manifest.json`",
    )
    dir: str = Field("runs", min_length=1, description="folder of all sessions")
    seed: int = Field(
        42, ge=0, lt=2**63, description="everything random comes from it; also `TIDEGATE_SEED`"
    )
    cash: Money = Field(
        Decimal(100_000), gt=0, description="what a simulated account starts with, in its currency"
    )
    extent: Literal["full", "quick"] = Field(
        "full", description="all of the data, or its first UTC day only (a smoke test)"
    )


class UniverseSettings(Section):
    """``[universe]``: what may be traded."""

    symbols: tuple[str, ...] = Field((), description="symbols; empty means all of the feed's")
    allow: tuple[str, ...] = Field(
        (), description="when given, only these may be opened; added up over all sources"
    )
    deny: tuple[str, ...] = Field(
        (), description="these may not be opened, whoever allows them; added up over all sources"
    )
    files: tuple[str, ...] = Field(
        (),
        description="files with more of both lists: TOML, JSON or YAML with `allow` and `deny`, or "
        "plain text with one symbol a line, `-SYMBOL` to deny it",
    )
    instruments: str | None = Field(
        None, description="file with the instruments' rules; one it lacks has no limits at all"
    )


class StrategySettings(Section):
    """``[[strategies]]``: one strategy with its symbols and parameters."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$",
        description="its name in orders, artifacts and reports; unique",
    )
    use: str = Field(
        min_length=1, description="a shipped or installed name, `module:Class` or `file.py:Class`"
    )
    symbols: tuple[str, ...] = Field((), description="its symbols; empty means the universe")
    params: dict[str, Any] = Field(
        default_factory=dict, description="its parameters, checked by the strategy's own `Params`"
    )
    lot_method: LotMethod | None = Field(
        None, description="which lots a reduction closes; default: the strategy's own, else `fifo`"
    )
    budget: Money | None = Field(None, description="most it may have invested")


class ControlSettings(Section):
    """``[control]``: how a running daemon is reached."""

    socket: str = Field(
        "auto",
        min_length=1,
        description="command socket; `auto` puts it into the account's folder, or into one with "
        "a short name where the system allows no path as long",
    )
    http: str = Field(
        "127.0.0.1:0",
        description="address of the HTTP interface, `HOST:PORT`; port 0 takes any, empty is none",
    )
    http_allow_remote: bool = Field(
        False,
        description="let `http` be an address that other machines reach; then reads need the "
        "token too, and nothing is encrypted",
    )
    token_file: str | None = Field(
        None,
        description="file with the HTTP interface's token (0600), made if absent; by default "
        "`control.token` in the account's folder",
    )
    kill_file: str = Field("KILL", description="a file whose appearance is a kill; empty for none")

    @field_validator("http")
    @classmethod
    def _check_http(cls, value: str) -> str:
        http_address(value)
        return value

    @model_validator(mode="after")
    def _check_remote(self) -> ControlSettings:
        address = http_address(self.http)
        if address is not None and not self.http_allow_remote and not is_loopback(address[0]):
            raise ValueError(
                f"http is {self.http}, expected an address of this machine alone (127.0.0.1), or "
                "http_allow_remote = true"
            )
        return self


class TelemetrySettings(Section):
    """``[telemetry]``: logs, metrics, notifications."""

    log_format: Literal["console", "json"] = Field("console", description="form of log lines")
    metrics: bool = Field(True, description="answer `/metrics` on the control plane")
    notify: tuple[str, ...] = Field(
        (),
        description="whom `trade` tells of holds, kills, quarantines and halts, and daily that it "
        "lives: addresses as apprise has them, like `mailto://...`; secrets, so by environment or "
        "a private file; needs `tidegate[notify]`",
    )


class Settings(Section):
    """The whole configuration."""

    session: SessionSettings = SessionSettings()
    venue: VenueSettings = VenueSettings()
    universe: UniverseSettings = UniverseSettings()
    feed: FeedSettings = FeedSettings()
    strategies: tuple[StrategySettings, ...] = ()
    risk: RiskSettings = RiskSettings()
    health: HealthSettings = HealthSettings()
    execution: ExecutionSettings = ExecutionSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    control: ControlSettings = ControlSettings()
    telemetry: TelemetrySettings = TelemetrySettings()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Checked settings, with the origin of every key that is not at its default."""

    settings: Settings
    sources: Mapping[Key, str]
    given: Mapping[str, Any]
    lists: UniverseLists = field(default_factory=UniverseLists)
    """The universe's lists, each entry with its sources."""

    def origin(self, *key: str) -> str:
        """Return what to call the origin of ``key``, or of the nearest key above or below it."""
        for length in range(len(key), 0, -1):
            if (name := self.sources.get(key[:length])) is not None:
                return name
        below = [name for known, name in self.sources.items() if known[: len(key)] == key]
        return below[-1] if below else "default"

    def is_given(self, *key: str) -> bool:
        """Tell whether anything but a default sets ``key`` or a key below it."""
        return any(known[: len(key)] == key for known in self.sources)

    def public(self) -> dict[str, Any]:
        """Return all values, JSON-ready, without any secret key: what a manifest keeps."""
        public: dict[str, Any] = without_secrets(self.settings.model_dump(mode="json"))
        return public

    def origins(self) -> list[str]:
        """Return every source that sets anything, each once."""
        keys = (name for key, name in self.sources.items() if self.lists.known(key) is None)
        return list(dict.fromkeys((*keys, *self.lists.origins())))

    def rows(self) -> list[tuple[str, Any, str]]:
        """
        Return (key, value, origin) of every key, secrets masked, in the order of the model.

        A list that is added up over its sources has a row for each of its entries.
        """
        values = masked(self.settings.model_dump(mode="json"))
        rows: list[tuple[str, Any, str]] = []
        for key, value in leaves(values):
            if found := self.lists.known(key):
                rows += [
                    (".".join(key), symbol, self.lists.origin(key, symbol)) for symbol in found
                ]
            else:
                rows.append((".".join(key), value, self.origin(*key)))
        return rows

    def secrets(self) -> list[str]:
        """Return every configured secret, for the log to keep silent about."""
        return secrets_in(self.given)


def load(
    files: Sequence[Path] = (),
    *,
    environ: Mapping[str, str] | None = None,
    command_line: Layer | None = None,
    default_file: bool = True,
) -> Configuration:
    """
    Load and check the configuration; later sources win, key by key.

    Order: ``files`` as given (without any: ``./tidegate.toml`` if it exists and ``default_file``
    allows it), then the environment, then the command line. The universe's lists are added up.
    """
    paths = list(files)
    if not paths and default_file and DEFAULT_FILE.exists():
        paths = [DEFAULT_FILE]
    layers = [file_layer(path) for path in paths]
    problems = [
        problem
        for layer in layers
        if layer.path is not None
        for problem in exposed_secrets(layer.path, layer.values)
    ]
    if problems:
        raise ConfigError(*problems)
    layers.append(environment_layer(Settings, os.environ if environ is None else environ))
    if command_line is not None:
        layers.append(command_line)
    refuse_by_hand_elsewhere(layers)
    lists = lists_of(layers)
    merged, sources = merge([*layers, lists.layer()])
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(*_problems(error, layers)) from None
    return with_trade_defaults(Configuration(settings, sources, merged, lists))


def refuse_by_hand_elsewhere(layers: Sequence[Layer]) -> None:
    """Raise ``ConfigError`` for what is set by hand, in a file, and was set somewhere else."""
    problems = [
        f"{layer.origin(key)}: {'.'.join(key)}: expected it in a configuration file and nowhere "
        "else: it is raised by hand, where it can be read and is approved with the rest"
        for layer in layers
        if layer.path is None
        for key, _ in leaves(layer.values)
        if key in BY_HAND
    ]
    if problems:
        raise ConfigError(*problems)


def with_trade_defaults(configuration: Configuration) -> Configuration:
    """
    Return the configuration with the limits that ``trade`` does not go without.

    A limit that is given stays as it is; a replay gets none.
    """
    settings = configuration.settings
    if settings.session.mode == "replay":
        return configuration
    missing = {
        name: limit
        for name, limit in trade_defaults(settings.session.cash).items()
        if getattr(settings.risk, name) is None
    }
    risk = settings.risk.model_copy(update=missing)
    sources = dict(configuration.sources)
    sources.update({("risk", name): TRADE_DEFAULT for name in missing})
    return replace(
        configuration, settings=settings.model_copy(update={"risk": risk}), sources=sources
    )


def _problems(error: ValidationError, layers: Sequence[Layer]) -> list[str]:
    """Return one line per problem, each once though several layers may share its key."""
    return list(dict.fromkeys(_problem(detail, layers) for detail in error.errors()))


def _problem(detail: Any, layers: Sequence[Layer]) -> str:
    location: tuple[str | int, ...] = _real_location(detail["loc"])
    origin = _origin(location, layers)
    key = spelled(location)
    kind = detail["type"]
    if kind == "extra_forbidden":
        model = model_at(Settings, location[:-1])
        known = () if model is None else model.model_fields
        what = "section" if len(location) == 1 else "key"
        return f"{origin}: unknown {what} {key!r}{nearest(str(location[-1]), known)}"
    if kind == "missing":
        return f"{origin}: {key}: missing, and needed"
    found = "a secret" if is_secret(location) else shown(masked(detail["input"]))
    return f"{origin}: {key}: found {found}, {expectation(detail)}"


def expectation(detail: Any) -> str:
    """Return what pydantic expected, in the words of our errors."""
    message: str = detail["msg"]
    if detail["type"] == "string_pattern_mismatch":
        return f"expected the form {detail['ctx']['pattern']}"
    if detail["type"] in KINDS:
        return f"expected {KINDS[detail['type']]}"
    for opening in ("Value error, ", "Assertion failed, "):
        if message.startswith(opening):
            return message.removeprefix(opening)
    message = message.partition(", unable to parse")[0].partition(", got ")[0]
    for opening in ("Input should be ", "Value should be "):
        if message.startswith(opening):
            return "expected " + message.removeprefix(opening)
    return message[:1].lower() + message[1:]


def spelled(location: Sequence[str | int]) -> str:
    """Return a key as it is written about: ``strategies[0].use``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _real_location(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return pydantic's location without the tags that it adds for the members of a union."""
    return tuple(part for part in location if isinstance(part, int) or _is_key(part))


def _is_key(part: str) -> bool:
    return not any(mark in part for mark in "[]()")


def _origin(location: Sequence[str | int], layers: Sequence[Layer]) -> str:
    """Return the origin of the value at ``location``: the highest layer that reaches deepest."""
    best, depth = "configuration", 0
    for layer in layers:
        reached = _depth(layer.values, location)
        if reached and reached >= depth:
            key = tuple(str(part) for part in location if isinstance(part, str))
            best, depth = layer.origin(key), reached
    return best


def _depth(values: Any, location: Sequence[str | int]) -> int:
    depth = 0
    for part in location:
        if not _contains(values, part):
            break
        values = values[part]
        depth += 1
    return depth


def _contains(values: Any, part: str | int) -> bool:
    if isinstance(values, Mapping):
        return part in values
    return isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
