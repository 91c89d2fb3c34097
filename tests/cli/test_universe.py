"""The universe: lists add up over all sources, what is denied is denied, and it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk import RiskLimits
from actors.universe import Share, share_of
from tidegate.compose import compose
from tidegate.config import Configuration, load
from tidegate.exits import ConfigError
from tidegate.layers import Layer
from tidegate.universe_lists import UniverseLists, lists_of

if TYPE_CHECKING:
    from tests.cli.conftest import Tidegate

WAVES = [100.0 + (place % 20 if place % 40 < 20 else 20 - place % 20) for place in range(200)]

THREE = """
[universe]
symbols = ["BTC/USDT", "ETH/USDT", "DOGE/USDT"]
{universe}
[[strategies]]
name = "names"
use = "sma_cross"
symbols = ["ETH/USDT", "DOGE/USDT"]
[[strategies]]
name = "takes"
use = "sma_cross"
"""


def written(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def configured(universe: str = "", command_line: Layer | None = None, **environ: str) -> Any:
    file = written("c.toml", THREE.format(universe=universe))
    return load([file], environ=environ, command_line=command_line)


def refused(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configured(**environ)
    return list(caught.value.problems)


def said_on_the_line(**lists: list[str]) -> Layer:
    origins = {("universe", name): f"command line --{name}" for name in lists}
    return Layer("command line", {"universe": lists}, origins)


# ------------------------------------------------------------------------------------- adding up


def test_lists_add_up_over_every_source_and_each_entry_keeps_its_own() -> None:
    """Two files, a list of each form, the environment and the command line: nothing is lost."""
    written("a.toml", 'allow = ["ETH/USDT"]\ndeny = [\n  "FOO/USDT",\n]\n')
    written("b.json", '{"deny": ["FOO/USDT", "BAR/USDT"]}')
    written("c.yaml", "allow: [ADA/USDT]\n")
    written("d.txt", "# what we know\n\nBTC/USDT  # the first\n-DOGE/USDT\n")
    second = written("second.toml", '[universe]\ndeny = ["XRP/USDT"]\nfiles = ["d.txt"]\n')
    first = written(
        "first.toml",
        '[universe]\nallow = ["BTC/USDT"]\nfiles = ["a.toml", "b.json", "c.yaml"]\n',
    )

    found = load(
        [first, second],
        environ={"TIDEGATE_UNIVERSE__DENY": '["SOL/USDT"]'},
        command_line=said_on_the_line(deny=["BTC/USDT"], allow=["BTC/USDT"]),
    )

    assert {
        "BTC/USDT": ("first.toml", "command line --allow", "d.txt:3"),
        "ETH/USDT": ("a.toml:1",),
        "ADA/USDT": ("c.yaml:1",),
    } == found.lists.allow
    assert {
        "XRP/USDT": ("second.toml",),
        "SOL/USDT": ("environment TIDEGATE_UNIVERSE__DENY",),
        "BTC/USDT": ("command line --deny",),
        "FOO/USDT": ("a.toml:3", "b.json:1"),
        "BAR/USDT": ("b.json:1",),
        "DOGE/USDT": ("d.txt:4",),
    } == found.lists.deny
    assert tuple(found.lists.allow) == found.settings.universe.allow
    assert tuple(found.lists.deny) == found.settings.universe.deny
    assert ("a.toml", "b.json", "c.yaml", "d.txt") == found.settings.universe.files


SYMBOLS = st.sampled_from(["A/B", "C/D", "E/F", "G/H"])
SAID = st.fixed_dictionaries({}, optional={"allow": st.lists(SYMBOLS), "deny": st.lists(SYMBOLS)})


@given(st.lists(SAID, max_size=5))
def test_no_later_source_can_take_an_entry_back(said: list[dict[str, list[str]]]) -> None:
    """The union of each list, and a symbol that anybody denies cannot be opened."""
    layers = [Layer(str(place), {"universe": lists}) for place, lists in enumerate(said)]

    found = lists_of(layers)
    limits = RiskLimits(universe_allow=tuple(found.allow), universe_deny=tuple(found.deny))

    assert {s for each in said for s in each.get("allow", ())} == set(found.allow)
    assert {s for each in said for s in each.get("deny", ())} == set(found.deny)
    for symbol in ("A/B", "C/D", "E/F", "G/H"):
        denied = any(symbol in each.get("deny", ()) for each in said)
        unlisted = bool(found.allow) and symbol not in found.allow
        assert (denied or unlisted) is (limits.denied(symbol) is not None)


def test_the_order_of_sources_does_not_change_what_a_session_is() -> None:
    """The same lists from other sources give the same configuration, and the same session id."""
    one = compose(configured('deny = ["DOGE/USDT"]\nallow = ["ETH/USDT", "BTC/USDT"]'))
    written("lists.txt", "-DOGE/USDT\nBTC/USDT\n")
    other = compose(
        configured('files = ["lists.txt"]', command_line=said_on_the_line(allow=["ETH/USDT"]))
    )

    assert one.config["universe"] == other.config["universe"]
    assert one.universe != other.universe


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.txt", "BTC/USDT\nA B\n", "l.txt:2: found 'A B' (text), expected one symbol"),
        ("l.txt", "-\n", "l.txt:1: found '-' (text), expected one symbol"),
        ("l.txt", "--X\n", "l.txt:1: found '--X' (text), expected one symbol"),
        ("l.toml", 'allow = ["A/B"]\ndenny = []\n', "l.toml:2: unknown key 'denny'; did you"),
        ("l.toml", "\ndeny = [5]\n", "l.toml:2: deny[0]: found 5 (a number), expected a symbol"),
        ("l.toml", 'deny = "A/B"\n', "l.toml:1: deny: found 'A/B' (text), expected a list of"),
        ("l.toml", "deny = [\n", "l.toml: not valid TOML: "),
        ("l.json", '{"deny": [\n"A/B",\n', "l.json: not valid JSON: "),
        ("l.json", '{"deny": ["A/B"],\n"deny": []}', "l.json: key 'deny' is given twice"),
        ("l.yaml", "deny: [A/B]\ndeny: []\n", "l.yaml:2: key 'deny' is given twice"),
        ("l.json", "[]", "l.json: found a list, expected a table of sections"),
    ],
)
def test_a_bad_line_is_one_error_with_file_and_line(name: str, text: str, said: str) -> None:
    """Whatever the form of the file, it is named, and so is the place in it."""
    written(name, text)

    (problem,) = refused(TIDEGATE_UNIVERSE__FILES=json.dumps([name]))

    assert said in problem


def test_every_bad_line_of_every_file_is_reported_at_once() -> None:
    """Also a file that is not there, with the source that names it."""
    written("a.txt", "A B\n-\n")
    written("b.toml", "deny = [7]\n")

    problems = refused(TIDEGATE_UNIVERSE__FILES='["a.txt", "none.txt", "b.toml"]')

    assert [
        "environment TIDEGATE_UNIVERSE__FILES: universe.files: none.txt: no such file",
        "a.txt:1: found 'A B'",
        "a.txt:2: found '-'",
        "b.toml:1: deny[0]: found 7",
    ] == [problem.partition(" (")[0] for problem in problems]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"DOGE"', "universe.deny: found 'DOGE' (text), expected a list of symbols"),
        ('["DO GE"]', "universe.deny[0]: found 'DO GE' (text), expected a symbol"),
        ("[4]", "universe.deny[0]: found 4 (a number), expected a symbol"),
        ('["-DOGE"]', "universe.deny[0]: found '-DOGE' (text), expected a symbol"),
    ],
)
def test_a_bad_entry_of_the_configuration_is_named_with_its_source(value: str, said: str) -> None:
    """The lists of the configuration itself are held to the same form."""
    (problem,) = refused(TIDEGATE_UNIVERSE__DENY=value)

    assert problem.startswith("environment TIDEGATE_UNIVERSE__DENY: ")
    assert said in problem


def test_lists_that_leave_nothing_are_refused() -> None:
    """A session that may open nothing at all was not meant."""
    with pytest.raises(ConfigError, match="allow and deny leave none of BTC/USDT, ETH/USDT"):
        compose(configured('allow = ["ADA/USDT"]'))


# ------------------------------------------------------------------------ what a strategy is given


def test_a_restricted_symbol_is_heard_by_whom_names_it_and_hinted_to_everybody() -> None:
    """Named symbols keep their data; the universe as it is comes without what is restricted."""
    limits = RiskLimits(universe_allow=("A", "B"), universe_deny=("B",))

    assert Share(("B", "A"), ("B",)) == share_of(("B", "A"), ("A", "B", "C"), limits)
    assert Share(("A",), ("B", "C")) == share_of((), ("A", "B", "C"), limits)


def test_every_strategy_of_a_session_is_told_what_is_restricted_for_it() -> None:
    """The specs that the actors are made of carry symbols and hint, and rules for both."""
    parts = compose(configured('deny = ["DOGE/USDT"]'))
    names, takes = parts.strategies

    assert (("ETH/USDT", "DOGE/USDT"), ("DOGE/USDT",)) == (names.symbols, names.restricted)
    assert (("BTC/USDT", "ETH/USDT"), ("DOGE/USDT",)) == (takes.symbols, takes.restricted)
    assert {"BTC/USDT", "ETH/USDT", "DOGE/USDT"} == set(parts.instruments)


def test_a_symbol_that_nobody_hears_of_needs_no_rules() -> None:
    """What is denied because it settles in another currency does not stand in the way."""
    file = written(
        "two.toml",
        '[universe]\nsymbols = ["BTC/USDT", "BTC/EUR"]\ndeny = ["BTC/EUR"]\n'
        '[[strategies]]\nname = "a"\nuse = "sma_cross"\n',
    )

    parts = compose(load([file], environ={}))

    assert ("USDT", ["BTC/USDT"]) == (parts.currency, list(parts.instruments))


def test_a_budget_of_a_restricted_symbol_is_no_slip_of_the_pen() -> None:
    """Denying a symbol for a while does not break the configuration that limits it."""
    budget = '[risk]\nsymbol_budgets = { "DOGE/USDT" = "5" }\n'
    file = written("c.toml", THREE.format(universe='deny = ["DOGE/USDT"]') + budget)

    assert compose(load([file], environ={})).limits.symbol_budgets


# ------------------------------------------------------------------------------------ what is shown


@pytest.fixture
def three(bars: Callable[..., Path]) -> Configuration:
    """Write a runnable session of three symbols over files; return its configuration."""
    for name in ("btc", "eth", "doge"):
        bars(f"{name}.csv", WAVES)
    files = '["btc.csv@BTC/USDT", "eth.csv@ETH/USDT", "doge.csv@DOGE/USDT"]'
    feed = f'\n[feed]\nsource = "file"\nfiles = {files}\nspeed = 0\n'
    written("deny.txt", "-DOGE/USDT\n-GONE/USDT\n")
    text = THREE.format(universe='files = ["deny.txt"]') + feed
    return load([written("tidegate.toml", text)], environ={})


def test_the_manifest_shows_the_result_and_whose_word_it_is(
    three: Configuration, tidegate: Tidegate
) -> None:
    """Symbols, both lists with their sources, and what is restricted for each strategy."""
    ended = tidegate("replay", "-c", "tidegate.toml", "--deny", "ETH/USDT", "--out", "out")
    manifest = json.loads(Path("out/manifest.json").read_text())

    assert (0, "") == (ended.exit_code, ended.stderr)
    assert {
        "symbols": ["BTC/USDT", "ETH/USDT", "DOGE/USDT"],
        "tradable": ["BTC/USDT"],
        "allow": {},
        "deny": {
            "ETH/USDT": ["command line --deny"],
            "DOGE/USDT": ["deny.txt:1"],
            "GONE/USDT": ["deny.txt:2"],
        },
        "restricted": {
            "names": ["ETH/USDT", "DOGE/USDT"],
            "takes": ["ETH/USDT", "DOGE/USDT"],
        },
    } == manifest["universe"]
    assert ["DOGE/USDT", "ETH/USDT", "GONE/USDT"] == manifest["config"]["universe"]["deny"]
    assert "files" not in manifest["config"]["universe"]
    assert 0 == tidegate("verify", "out").exit_code


def test_nothing_restricted_is_opened(three: Configuration, tidegate: Tidegate) -> None:
    """Of three markets that move alike only the ones that may be traded have orders."""
    tidegate("replay", "-c", "tidegate.toml", "--out", "out")
    orders = Path("out/orders.csv").read_text()

    assert "names,ETH/USDT" in orders
    assert "takes,BTC/USDT" in orders
    assert "DOGE/USDT" not in orders


@pytest.mark.parametrize(
    "options",
    [
        ["--deny", "ETH/USDT", "BTC/USDT"],
        ["--deny", "ETH/USDT", "--deny", "BTC/USDT"],
    ],
)
def test_an_option_takes_several_symbols_and_comes_several_times(
    three: Configuration, tidegate: Tidegate, options: list[str]
) -> None:
    """As `--data` does."""
    checked = tidegate("check", "--json", "--allow", "ETH/USDT", *options)
    details = [row["detail"] for row in json.loads(checked.stdout)["checks"]]

    assert 1 == checked.exit_code
    assert any("allow and deny leave none of" in detail for detail in details)


def test_trade_takes_the_options_too(three: Configuration, tidegate: Tidegate) -> None:
    """What is denied on its command line is in its manifest."""
    ended = tidegate("trade", "--deny", "BTC/USDT")
    (manifest,) = Path("runs").rglob("manifest.json")

    assert 0 == ended.exit_code
    deny = json.loads(manifest.read_text())["universe"]["deny"]
    assert ["command line --deny"] == deny["BTC/USDT"]


@pytest.mark.parametrize("command", [["check"], ["trade"], ["replay", "-c", "tidegate.toml"]])
def test_a_bad_list_is_an_error_of_the_configuration(
    three: Configuration, tidegate: Tidegate, command: list[str]
) -> None:
    """Exit code 2, one line with file and line, and nothing has started."""
    written("deny.txt", "-DOGE/USDT\n- ETH/USDT\n")

    refused = tidegate(*command)

    assert 2 == refused.exit_code
    assert "tidegate: deny.txt:2: found '- ETH/USDT' (text), expected one symbol" in refused.stderr
    assert 1 == len(refused.stderr.splitlines())
    assert not Path("runs").exists()


def test_check_says_what_is_restricted_and_warns_of_strangers(
    three: Configuration, tidegate: Tidegate
) -> None:
    """A slip in a symbol's name restricts nothing, so somebody should know."""
    checked = tidegate("check", "--json", "--allow", "BTC/USDT", "ETH/USDT")
    rows = json.loads(checked.stdout)["checks"]
    found = [(row["status"], row["detail"]) for row in rows if row["subject"] == "universe"]

    assert [
        ("ok", "BTC/USDT, ETH/USDT; not to be opened: DOGE/USDT (denied by deny.txt:1)"),
        ("warn", "deny: GONE/USDT (deny.txt:2) is no symbol of this session"),
    ] == found


def test_config_show_has_a_row_for_each_entry_with_its_sources(
    three: Configuration, tidegate: Tidegate
) -> None:
    """And says of an entry that is overruled who overrules it."""
    environ = {
        "TIDEGATE_UNIVERSE__ALLOW": '["BTC/USDT", "DOGE/USDT"]',
        "TIDEGATE_UNIVERSE__DENY": '["GONE/USDT"]',
    }
    table = tidegate("config", "show", **environ).stdout
    rows = [" ".join(row.split()) for row in table.splitlines() if row.startswith(" universe.")]
    document = json.loads(tidegate("config", "show", "--json", **environ).stdout)
    allowed = "environment TIDEGATE_UNIVERSE__ALLOW"
    denied = "environment TIDEGATE_UNIVERSE__DENY"

    assert [
        f'universe.allow "BTC/USDT" {allowed}',
        f'universe.allow "DOGE/USDT" {allowed}; denied by deny.txt:1',
        f'universe.deny "GONE/USDT" {denied}, deny.txt:2',
        'universe.deny "DOGE/USDT" deny.txt:1',
        'universe.files ["deny.txt"] tidegate.toml',
    ] == rows[1:6]
    assert {"BTC/USDT": [allowed], "DOGE/USDT": [allowed]} == document["lists"]["universe.allow"]
    assert f"{denied}, deny.txt:2, deny.txt:1" == document["sources"]["universe.deny"]


def test_without_lists_there_is_nothing_to_tell() -> None:
    """An empty universe of lists adds no layer, and no origin."""
    found = lists_of([Layer("a", {"session": {"seed": 1}}), Layer("b", {"universe": 5})])

    assert UniverseLists() == found
    assert {} == found.layer().values
