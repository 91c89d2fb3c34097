"""
What somebody has to have done before money is at stake: rehearse what will trade, and approve it.

A rehearsal (scenarios that passed) and an approval (a person's) are each for exactly one thing:
the configuration as a manifest would keep it, the sources of its strategies, the very code of this
program, and the versions of the installed packages that decide with it. Whatever changes any of it
needs both anew. What says how it is run and not what trades is left out: the mode, and the loopback
port and certificate of a rehearsal.

They are lines of ``clearance.jsonl`` in the live account's folder, appended and synced, never
changed: the file is also the history of who let what trade.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from actors.risk.defaults import LIVE_NEEDS
from actors.runtime.clock import wall_ms
from state.atomic import append_line
from state.lease import LIVE
from state.manifest import config_sha256
from tidegate.compose import compose
from tidegate.config import Configuration
from tidegate.control.daemon import account_folder
from tidegate.exits import StartRefused, Wanting
from tidegate.origin import code_sha256
from tidegate.packages import changes, versions_of

FILE: Final = "clearance.jsonl"
SHOWN: Final = 12
"""Characters of a hash that are shown to people."""

Kind = Literal["rehearsal", "approval"]


class Cleared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One line of ``clearance.jsonl``: at ``at`` (int ms UTC) something was done for ``subject``.

    ``by`` and ``reason`` are an approval's; ``scenarios`` (sha256 by path) a rehearsal's.
    ``packages`` are the versions that it was done with, by package.
    """

    version: int = 1
    kind: Kind
    subject: str
    at: int
    by: str = ""
    reason: str = ""
    scenarios: dict[str, str] = {}
    packages: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Clearance:
    """
    What has been done for one thing that is to trade: the newest of each kind, or ``None``.

    ``packages`` are the versions that are installed, ``otherwise`` what was done, and last, with
    other ones: it does not count.
    """

    subject: str
    rehearsal: Cleared | None
    approval: Cleared | None
    packages: Mapping[str, str] = field(default_factory=dict)
    otherwise: Mapping[Kind, Cleared] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rehearsal or an approval is for."""

    sha256: str
    account: str
    venue: str
    strategies: Mapping[str, str]
    """Source (with the beginning of its hash) by strategy."""

    limits: Mapping[str, str]
    """What bounds it, by key: the cap, and the limits that live does not go without."""

    packages: Mapping[str, str]
    """Versions of the installed packages that decide with it."""

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person has to read before approving it."""
        return [
            ("subject", self.sha256[:SHOWN]),
            ("account", f"{self.account} at {self.venue}"),
            *((f"strategy {name}", source) for name, source in self.strategies.items()),
            *((f"package {name}", version) for name, version in self.packages.items()),
            *((f"risk.{name}", value) for name, value in self.limits.items()),
        ]


def subject_of(configuration: Configuration) -> Subject:
    """
    Return what ``configuration`` would trade.

    Raises whatever composing its parts raises: what cannot start is not for clearing.
    """
    parts = compose(_live(configuration))
    config: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parts.config, enc_hook=str))
    config["venue"].pop("loopback_port", None)
    venue = configuration.settings.venue
    sources = {
        each.name: f"{each.source} ({each.source_sha256[:SHOWN]})" for each in parts.strategies
    }
    return Subject(
        config_sha256({"config": config, "code": code_sha256()}),
        venue.account,
        venue.exchange or venue.adapter.value,
        sources,
        {
            name: str(getattr(configuration.settings.risk, name))
            for name in ("live_notional_cap", *LIVE_NEEDS)
        },
        versions_of(configuration),
    )


def _live(configuration: Configuration) -> Configuration:
    """Return the same, live: a rehearsal and what it rehearses are one subject."""
    session = configuration.settings.session.model_copy(update={"mode": LIVE})
    settings = configuration.settings.model_copy(update={"session": session})
    return replace(configuration, settings=settings)


def clearance_file(configuration: Configuration) -> Path:
    """Return where the clearances of the configuration's account are."""
    settings = configuration.settings
    return account_folder(Path(settings.session.dir), LIVE, settings.venue.account) / FILE


def clearance_of(configuration: Configuration, subject: Subject) -> Clearance:
    """
    Return what has been done for ``subject``.

    An approval counts only after a rehearsal: what was approved unrehearsed has to be approved
    again; and both only with the versions that they were done with. Raises ``Wanting`` for a file
    with a line that is no clearance.
    """
    rehearsal: Cleared | None = None
    approval: Cleared | None = None
    otherwise: dict[Kind, Cleared] = {}
    for one in _lines(clearance_file(configuration)):
        if one.subject != subject.sha256:
            continue
        if one.packages != subject.packages:
            otherwise[one.kind] = one
        elif one.kind == "rehearsal":
            rehearsal = one
        elif rehearsal is not None:
            approval = one
    return Clearance(subject.sha256, rehearsal, approval, subject.packages, otherwise)


def note_rehearsal(
    configuration: Configuration, subject: Subject, scenarios: Mapping[str, str]
) -> Path:
    """Write down that ``scenarios`` (sha256 by path) have all passed; return where."""
    assert scenarios, "a rehearsal of nothing is none"
    one = Cleared(
        kind="rehearsal",
        subject=subject.sha256,
        at=wall_ms(),
        scenarios=dict(scenarios),
        packages=dict(subject.packages),
    )
    return _append(configuration, one)


def note_approval(configuration: Configuration, subject: Subject, by: str, reason: str) -> Path:
    """Write down that ``by`` approves of ``subject``; return where."""
    one = Cleared(
        kind="approval",
        subject=subject.sha256,
        at=wall_ms(),
        by=by,
        reason=reason,
        packages=dict(subject.packages),
    )
    return _append(configuration, one)


def require_clearance(configuration: Configuration) -> Clearance:
    """Return the clearance of what is to trade; raises ``StartRefused`` where it is not whole."""
    clearance = clearance_of(configuration, subject_of(configuration))
    problems = [
        f"start-up refused: {detail}"
        for status, _, detail in findings(clearance)
        if status == "fail"
    ]
    if problems:
        raise StartRefused(*problems)
    return clearance


def findings(clearance: Clearance) -> Iterator[tuple[Literal["ok", "fail"], str, str]]:
    """Yield status, subject and detail of both, for a check."""
    short = clearance.subject[:SHOWN]
    done = clearance.rehearsal
    if done is None:
        how = "`tidegate scenario run PATH -c FILE` notes one that does"
        found = _otherwise(clearance, "rehearsal") or f"no scenario has passed for {short}"
        yield "fail", "rehearsal", f"{found}; {how}"
    else:
        yield "ok", "rehearsal", f"{len(done.scenarios)} scenarios passed for {short}, {_at(done)}"
    done = clearance.approval
    if done is None:
        found = _otherwise(clearance, "approval") or f"nobody has approved of {short}"
        yield "fail", "approval", f"{found}; `tidegate approve` does"
    else:
        why = f": {done.reason}" if done.reason else ""
        yield "ok", "approval", f"{short} by {done.by}, {_at(done)}{why}"


def _otherwise(clearance: Clearance, kind: Kind) -> str:
    """Return with which versions it was done instead, empty where it was not."""
    done = clearance.otherwise.get(kind)
    if done is None:
        return ""
    short, differ = clearance.subject[:SHOWN], changes(done.packages, clearance.packages)
    if kind == "rehearsal":
        return f"scenarios passed for {short} with {differ}, {_at(done)}"
    return f"{short} was approved by {done.by} with {differ}, {_at(done)}"


def _at(done: Cleared) -> str:
    return datetime.fromtimestamp(done.at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _append(configuration: Configuration, one: Cleared) -> Path:
    path = clearance_file(configuration)
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path, msgspec.json.encode(one) + b"\n")
    return path


def _lines(path: Path) -> Iterator[Cleared]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    # A last line without its end was never acknowledged to anybody.
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            yield msgspec.json.decode(line, type=Cleared)
        except msgspec.DecodeError as error:
            raise Wanting(f"{path}, line {number}: found no clearance: {error}") from None
