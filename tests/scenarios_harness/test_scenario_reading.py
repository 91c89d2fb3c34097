"""From a file to a scenario, or to one clear line per problem."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from rehearsal import document, opens

from actors.outcomes import EXIT_CODES
from scenarios.errors import ScenarioError
from scenarios.model import format_offset, json_schema, parse_offset
from scenarios.model.expect import Outcome
from scenarios.reading import find_scenarios, parse_scenario, read_scenario
from scenarios.runner import run_scenario
from scenarios.stage import CUT, FAULT, JOURNAL_FAILED, START_REFUSED

GOOD = document([opens(2, "a")])


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the good document with one place changed, or taken out (``None``)."""
    made = copy.deepcopy(GOOD)
    place: Any = made
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def problem_of(path: tuple[Any, ...], value: Any) -> str:
    """Return what is said of the changed document."""
    with pytest.raises(ScenarioError) as caught:
        run_scenario(parse_scenario(changed(path, value), "f.scenario.json"))
    return str(caught.value)


LINE = ("strategies", 0, "script", 0)
BAR = {"at": "5m"}
WRONG: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "nothing": (("scenario",), None, "f.scenario.json: scenario: missing, and needed"),
    "unknown": (("expects",), [], 'f.scenario.json: expects: unknown key; did you mean "expect"?'),
    "empty": (("expect",), [], "f.scenario.json: expect: found none, expected at least one"),
    "deep key": ((*LINE, "sied"), "buy", 'script[0].sied: unknown key; did you mean "side"?'),
    "float": (
        (*LINE, "quantity"),
        0.5,
        'quantity: found 0.5 (a number), expected an exact number in quotes, like "0.5"',
    ),
    "verb": ((*LINE, "do"), "opne", "script[0].do: found 'opne' (text), expected 'open', 'add'"),
    "no side": ((*LINE, "side"), None, "script[0]: side: missing, and needed to open"),
    "two times": (
        (*LINE, "at"),
        "5m",
        "script[0]: found bar and at, expected exactly one of: bar, at, on, every",
    ),
    "time": (
        ("steps",),
        [{"at": "5x", "stop": {}}],
        "steps[0].at: found '5x' (text), expected a time like \"90s\"",
    ),
    "two actions": (
        ("steps",),
        [{**BAR, "stop": {}, "disk_full": {}}],
        "steps[0]: found disk_full and stop, expected exactly one action of: tell,",
    ),
    "no action": (("steps",), [BAR], "steps[0]: found none, expected exactly one action of: tell"),
    "two steps' times": (
        ("steps",),
        [{**BAR, "bar": 2, "stop": {}}],
        "steps[0]: found at and bar, expected exactly one time of: at, bar, on",
    ),
    "a start that waits": (
        ("steps",),
        [{"on": {"message": "Escalated"}, "start": {}}],
        "steps[0]: start: goes with at or bar only",
    ),
    "fault": (
        ("steps",),
        [{**BAR, "venue": {"fault": "delay_fills"}}],
        "steps[0].venue: by: missing, and needed by delay_fills",
    ),
    "actor": (
        ("steps",),
        [{**BAR, "crash": {"actor": "riks"}}],
        "steps[0].crash.actor: found 'riks', expected one of: execution, feed, reconciler, risk,",
    ),
    "message": (
        ("steps",),
        [{**BAR, "tell": {"actor": "risk", "message": "OpenItent"}}],
        (
            "steps[0].tell.message: found 'OpenItent', expected a message's class; "
            'did you mean "OpenIntent"?'
        ),
    ),
    "a message's field": (
        ("steps",),
        [{**BAR, "tell": {"actor": "risk", "message": "OpenIntent", "fields": {"side": "up"}}}],
        "steps[0].tell.fields: OpenIntent: Invalid enum value 'up' - at `.side`",
    ),
    "a message's unknown field": (
        ("steps",),
        [{**BAR, "tell": {"actor": "risk", "message": "Wake", "fields": {"when": 1}}}],
        "steps[0].tell.fields.when: unknown field of Wake; it has: actor, key, generation, at",
    ),
    "silent symbol": (
        ("steps",),
        [{**BAR, "silence": {"symbols": ["ETH/USDT"]}}],
        "steps[0].silence: ETH/USDT has no market",
    ),
    "what was seen": (
        ("expect",),
        [{"seen": {"message": "KillReprot"}}],
        (
            "expect[0].seen.message: found 'KillReprot' (text), "
            'expected the name of a journaled message; did you mean "KillReport"?'
        ),
    ),
    "what is never journaled": (
        ("expect",),
        [{"seen": {"message": "ApprovedOpen"}}],
        "expect[0].seen.message: found 'ApprovedOpen' (text), expected the name of a journaled",
    ),
    "a field of what was seen": (
        ("expect",),
        [{"never": {"message": "HoldPlaced", "where": {"hold_id": "kill"}}}],
        "expect[0].never: HoldPlaced has no field 'hold_id'; it has: hold",
    ),
    "expecting nothing": (
        ("expect",),
        [{"order": {"tag": "a"}}],
        "expect[0].order: found nothing to expect, expected life, status, filled or fee",
    ),
    "two expectations": (
        ("expect",),
        [{"exit_code": 0, "outcome": "completed"}],
        "expect[0]: found outcome and exit_code, expected exactly one expectation of: seen,",
    ),
    "a limit": (
        ("risk",),
        {"max_oder_notional": "1"},
        'risk.max_oder_notional: unknown key; did you mean "max_order_notional"?',
    ),
    "a close": (
        ("market", "BTC/USDT"),
        {"closes": [1, -5]},
        "closes[1]: found -5 (a number), expected a price above zero, or [price, how many bars]",
    ),
    "two markets": (
        ("market", "BTC/USDT"),
        {"closes": [1], "flat": {"bars": 1}},
        "market.BTC/USDT: found closes and flat, expected exactly one source of: closes, rows",
    ),
    "a row": (
        ("market", "BTC/USDT"),
        {"rows": [[1, 2, 3, 4, 5]]},
        "market.BTC/USDT.rows[0]: found [1.0, 2.0, 3.0, 4.0, 5.0], expected 0 < low <= open",
    ),
    "no file": (("market", "BTC/USDT"), {"file": "no.csv"}, "market.BTC/USDT.file: no such file:"),
    "a symbol": (
        ("market", "BTC/USD:BTC"),
        {"closes": [1]},
        "instruments.BTC/USD:BTC: symbol 'BTC/USD:BTC': settles in BTC but is quoted in USD",
    ),
    "two currencies": (
        ("market", "ETH/EUR"),
        {"closes": [1]},
        "market: found 2 account currencies (EUR, USDT), expected one",
    ),
    "a strategy's symbol": (
        ("strategies", 0, "symbols"),
        ["ETH/USDT"],
        "strategies[0]: ETH/USDT has no market; expected one of: BTC/USDT",
    ),
    "a parameter": (
        ("strategies", 0),
        {"name": "one", "use": "sma_cross", "params": {"fst": 1}},
        "strategies[0]: strategy sma_cross: unknown parameter 'fst'; expected one of: fast",
    ),
    "a strategy's file": (
        ("strategies", 0),
        {"name": "one", "use": "no.py"},
        "strategies[0]: strategy 'no.py': no such file: no.py",
    ),
    "a zone": (
        ("session",),
        {"start": "2024-01-01T00:00:00"},
        "session.start: found '2024-01-01T00:00:00' (text), expected a time with its zone",
    ),
    "a time frame": (("session",), {"timeframe": "1q"}, "session.timeframe: time frame '1q' has"),
    "an instrument": (
        ("instruments",),
        {"ETH/USDT": {}},
        "instruments.ETH/USDT: found no market of that symbol, expected one of: BTC/USDT",
    ),
}


@pytest.mark.parametrize(("path", "value", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(path: tuple[Any, ...], value: Any, said: str) -> None:
    """The line has the place in the document, what was found and what was expected."""
    problem = problem_of(path, value)

    assert said in problem
    assert len(problem.splitlines()) == 1


def test_every_problem_has_its_line() -> None:
    """Who has made two slips is told of both."""
    twice = changed((*LINE, "quantity"), 0.5)
    twice["sesion"] = {}

    with pytest.raises(ScenarioError) as caught:
        parse_scenario(twice, "f.scenario.json")

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"scenario": "x" "y"}', "line 1, column 18: "),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice in one table"),
        ("[1]", "found a list, expected a table at the top level"),
    ],
)
def test_a_file_that_is_no_json_says_where(tmp_path: Path, text: str, said: str) -> None:
    """The line begins with the file's name."""
    path = tmp_path / "x.scenario.json"
    path.write_text(text, "utf-8")

    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error with the file's name, not a traceback."""
    path = tmp_path / "x.scenario.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(ScenarioError, match="found bytes that are not UTF-8"):
        read_scenario(path)


def test_json_and_toml_are_the_same(tmp_path: Path) -> None:
    """The same document, in either notation, is the same scenario."""
    (tmp_path / "a.scenario.json").write_text(json.dumps(GOOD), "utf-8")
    (tmp_path / "a.scenario.toml").write_text(
        'scenario = "a test"\n[[strategies]]\nname = "one"\nuse = "scripted"\n'
        'script = [{ bar = 2, do = "open", side = "buy", quantity = "1", tag = "a" }]\n'
        '[market."BTC/USDT"]\nflat = { price = 100, bars = 8 }\n'
        '[[expect]]\noutcome = "completed"\n',
        "utf-8",
    )

    found = [read_scenario(path).model_dump(exclude={"steps"}) for path in tmp_path.iterdir()]

    assert found[0] == found[1]


def test_folders_are_searched_and_each_file_comes_once(tmp_path: Path) -> None:
    """A file that is named and found is run once; other files of a folder are let be."""
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("b.scenario.json", "a.scenario.toml", "notes.json"):
        (inner / name).touch()

    found = find_scenarios([inner / "b.scenario.json", tmp_path])

    assert [path.name for path in found] == ["b.scenario.json", "a.scenario.toml"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone", "no such file or folder"),
        ("empty", "found no scenario, expected files *.scenario.json|.toml"),
        ("x.json", "found 'x.json', expected a name *.scenario.json|.toml"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(tmp_path: Path, name: str, said: str) -> None:
    """Nothing is silently not run."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.json").touch()

    with pytest.raises(ScenarioError) as caught:
        find_scenarios([tmp_path / name])

    assert str(caught.value) == f"{tmp_path / name}: {said}"


@pytest.mark.parametrize(
    ("text", "offset_ms"),
    [
        ("90s", 90_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("1d", 86_400_000),
        ("00:05:00", 300_000),
        ("30:00:00.250", 108_000_250),
        (0, 0),
    ],
)
def test_times_are_read_in_every_form(text: object, offset_ms: int) -> None:
    """A time is ms since the first bar opened."""
    assert parse_offset(text) == offset_ms


@pytest.mark.parametrize("text", ["", "5", "5 m", "m5", "1:2:3", "00:99:00", 5, -1, None, True])
def test_what_is_no_time_is_refused(text: object) -> None:
    """A bare number is no time: its unit would be a guess."""
    with pytest.raises(ValueError, match="expected a time like"):
        parse_offset(text)


def test_times_are_written_as_they_can_be_read() -> None:
    """What the timeline shows can be copied into a file."""
    assert parse_offset(format_offset(5_400_250)) == 5_400_250


def test_the_schema_describes_every_key() -> None:
    """An editor can say what each key is for."""
    silent = []

    def look(table: Any, path: str) -> None:
        for name, field in table.get("properties", {}).items():
            if "description" not in field:
                silent.append(f"{path}.{name}")

    schema = json_schema()
    look(schema, "")
    for name, table in schema["$defs"].items():
        if name != "InstrumentTable":
            look(table, name)

    assert silent == []


def test_an_outcome_that_no_session_has_is_a_bad_file() -> None:
    """A slip in what is expected is the file's fault: every outcome there is can be expected."""
    assert {*EXIT_CODES, CUT, FAULT, JOURNAL_FAILED, START_REFUSED} == set(get_args(Outcome))
    with pytest.raises(ScenarioError, match=r"expect\[0\].outcome: found 'killd'"):
        parse_scenario(document(expect=[{"outcome": "killd"}]), "f.scenario.json")
