"""Run scenarios from the command line, and write a first one for a strategy."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.runtime.clock import monotonic_s
from scenarios.errors import ScenarioError
from scenarios.expectations import Miss
from scenarios.reading import find_scenarios, read_scenario
from scenarios.runner import ScenarioResult, duration, run_scenario, timeline_around
from state.manifest import file_sha256
from strategies.loader import load_strategy, parse_params
from tidegate.clearance import SHOWN, note_rehearsal, subject_of
from tidegate.config import load
from tidegate.exits import Exit, UsageRefused
from tidegate.origin import RESERVED_NAMES
from tidegate.output import say_document
from tidegate.templates import fill

_FORM = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


@dataclass(slots=True)
class Tally:
    """What all scenarios together came to."""

    results: list[ScenarioResult]
    bad: list[tuple[Path, Sequence[str]]]
    wall_s: float

    @property
    def failed(self) -> int:
        """Return how many scenarios failed."""
        return sum(1 for result in self.results if not result.passed)

    @property
    def exit_code(self) -> Exit:
        """Return the exit code: what is no scenario weighs more than what fails."""
        if self.bad:
            return Exit.USAGE
        return Exit.WANTING if self.failed else Exit.DONE


def run_all(
    paths: Sequence[Path],
    *,
    word: str | None,
    queued: bool,
    as_json: bool,
    rehearsed: Sequence[Path] | None = None,
) -> int:
    """
    Run the scenarios that ``paths`` name, say what came of each, and return the exit code.

    Where all pass, that is noted as the rehearsal of the configuration in ``rehearsed``.
    """
    # First: whoever has misspelled it should not have to wait for the scenarios.
    noting = None if rehearsed is None else _noting(rehearsed)
    files = find_scenarios(paths)
    if word is not None:
        files = [file for file in files if _has(file, word.lower())]
        if not files:
            raise UsageRefused(f"-k {word}: no scenario's file or sentence has that word")
    tally = Tally([], [], 0.0)
    started_s = monotonic_s()
    for file in files:
        try:
            result = run_scenario(file, queued=queued)
        except ScenarioError as error:
            tally.bad.append((file, error.problems))
            _say_bad(file, error.problems, as_json=as_json)
            continue
        tally.results.append(result)
        if not as_json:
            _say(result)
    tally.wall_s = monotonic_s() - started_s
    noted = noting(files) if noting is not None and tally.exit_code is Exit.DONE else None
    if as_json:
        say_document({**document(tally), **({} if noted is None else {"rehearsal": noted})})
    else:
        _say_total(tally)
        if noted is not None:
            print(f"noted as the rehearsal of {noted['subject'][:SHOWN]} in {noted['file']}")
    return tally.exit_code


def _noting(rehearsed: Sequence[Path]) -> Callable[[Sequence[Path]], dict[str, Any]]:
    configuration = load(rehearsed)
    subject = subject_of(configuration)

    def note(files: Sequence[Path]) -> dict[str, Any]:
        passed = {str(file): file_sha256(file) for file in files}
        return {
            "subject": subject.sha256,
            "file": note_rehearsal(configuration, subject, passed),
        }

    return note


def _has(file: Path, word: str) -> bool:
    if word in str(file).lower():
        return True
    try:
        return word in read_scenario(file).scenario.lower()
    except ScenarioError:
        return True  # it is run, and says what is wrong with it


def _say(result: ScenarioResult) -> None:
    mark = "PASS" if result.passed else "FAIL"
    span = duration(result.virtual_ms)
    print(f"{mark}  {result.scenario}  [{result.path}]  {span}  {result.wall_ms:.0f} ms")
    if not result.passed:
        print("\n".join(f"      {line}".rstrip() for line in result.report().splitlines()))
    sys.stdout.flush()


def _say_bad(file: Path, problems: Sequence[str], *, as_json: bool) -> None:
    if not as_json:
        print(f"BAD   {file}")
    for problem in problems:
        sys.stderr.write(f"tidegate: {problem}\n")


def _say_total(tally: Tally) -> None:
    passed = len(tally.results) - tally.failed
    virtual_ms = sum(result.virtual_ms for result in tally.results)
    bad = f", {len(tally.bad)} bad" if tally.bad else ""
    print(
        f"{passed} passed, {tally.failed} failed{bad}: "
        f"{duration(virtual_ms)} of session time in {tally.wall_s:.1f} s"
    )


def document(tally: Tally) -> dict[str, Any]:
    """Return the one JSON document about a run of scenarios."""
    return {
        "passed": len(tally.results) - tally.failed,
        "failed": tally.failed,
        "bad": [{"path": str(file), "problems": list(found)} for file, found in tally.bad],
        "wall_ms": round(tally.wall_s * 1000),
        "exit_code": int(tally.exit_code),
        "scenarios": [
            {
                "path": str(result.path),
                "scenario": result.scenario,
                "passed": result.passed,
                "virtual_ms": result.virtual_ms,
                "wall_ms": round(result.wall_ms, 1),
                "sessions": [
                    {"outcome": outcome, "exit_code": code} for outcome, code in result.outcomes
                ],
                "misses": [_miss(result, miss) for miss in result.misses],
            }
            for result in tally.results
        ],
    }


def _miss(result: ScenarioResult, miss: Miss) -> dict[str, Any]:
    return {
        "place": miss.place,
        "expected": miss.expected,
        "found": miss.found,
        "timeline": timeline_around(result.timeline, miss.around),
    }


def write_new(name: str, use: str) -> tuple[Path, ScenarioResult]:
    """Write a scenario for the strategy ``use`` into the current folder and run it once."""
    if not _FORM.fullmatch(name) or name in RESERVED_NAMES:
        raise UsageRefused(
            f"scenario name: found {name!r}, expected lower case words joined by _ or -, "
            "like kill_drill, and no name of a package of ours"
        )
    path = Path(f"{name}.scenario.toml")
    if path.exists():
        raise UsageRefused(f"{path} exists; nothing was written")
    params = parse_params(load_strategy(use), {})
    values = params.model_dump(mode="json")
    table = ", ".join(f"{key} = {_toml(value)}" for key, value in values.items())
    words = {"NAME": name, "USE": use, "PARAMS": f"{{ {table} }}" if table else "{}"}
    path.write_text(fill("scenario.toml.txt", words), encoding="utf-8")
    return path, run_scenario(path)


def _toml(value: Any) -> str:
    match value:
        case None:
            raise UsageRefused("a parameter has no default that TOML can write; write the file")
        case bool() | int() | float() | str():
            return json.dumps(value)
        case list():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case _:
            items = ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items())
            return f"{{ {items} }}"
