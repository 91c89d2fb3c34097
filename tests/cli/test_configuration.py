"""Later sources win, key by key; what is wrong is named with its source; secrets stay secret."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config import Configuration, load
from tidegate.exits import ConfigError
from tidegate.layers import Layer, leaves, merge
from tidegate.redaction import MASK

SECRET = "s3cr3t-0f-the-tide"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str, mode: int = 0o644) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def load_only(*files: Path, **environ: str) -> Configuration:
    return load(files, environ=environ)


def refused(*files: Path, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_only(*files, **environ)
    return str(caught.value)


# ------------------------------------------------------------------------------------ precedence


def test_each_source_beats_the_ones_before_it() -> None:
    """Defaults, files in order, the environment, the command line."""
    first = written("a.toml", "[session]\nname = 'a'\nseed = 1\ncash = '1'\ndir = 'a'\n")
    second = written("b.toml", "[session]\nseed = 2\ncash = '2'\ndir = 'b'\n")
    line = Layer(
        "command line", {"session": {"dir": "d"}}, {("session", "dir"): "command line --dir"}
    )

    found = load(
        [first, second],
        environ={"TIDEGATE_SESSION__CASH": "3", "TIDEGATE_SESSION__DIR": "c"},
        command_line=line,
    )

    session = found.settings.session
    assert ("paper", "a", 2, Decimal(3), "d") == (
        session.mode,
        session.name,
        session.seed,
        session.cash,
        session.dir,
    )
    assert ("default", "a.toml", "b.toml", "environment TIDEGATE_SESSION__CASH") == tuple(
        found.origin("session", key) for key in ("mode", "name", "seed", "cash")
    )
    assert "command line --dir" == found.origin("session", "dir")


def test_tables_merge_and_lists_are_replaced() -> None:
    """A later file changes one key of a table and leaves the rest; a list is taken whole."""
    first = written(
        "a.toml",
        "[universe]\nsymbols = ['A/USD', 'B/USD']\n"
        "[venue.ccxt]\nparams = {timeout = 5}\nurls = {a = 'x'}\n",
    )
    second = written("b.toml", "[universe]\nsymbols = ['C/USD']\n[venue.ccxt.urls]\nb = 'y'\n")

    found = load_only(first, second).settings

    assert ("C/USD",) == found.universe.symbols
    assert {"params": {"timeout": 5}, "urls": {"a": "x", "b": "y"}} == found.venue.ccxt


TREES = st.recursive(
    st.integers(0, 9),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(st.lists(TABLES, max_size=4))
def test_every_leaf_is_that_of_the_last_layer_that_has_it(tables: list[dict[str, Any]]) -> None:
    """Whatever the layers hold, the winner's value is the merged one, and it is named."""
    layers = [Layer(str(place), table) for place, table in enumerate(tables)]

    merged, sources = merge(layers)

    assert set(sources) == {key for key, _ in leaves(merged)}
    for key, value in leaves(merged):
        winner: Any = tables[int(sources[key])]
        for part in key:
            winner = winner[part]
        if value != {}:
            assert value == winner


def test_the_three_formats_mean_the_same() -> None:
    """TOML, JSON and YAML give the same settings."""
    files = [
        written("a.toml", "[session]\nseed = 9\n[risk]\nmax_order_notional = '10.5'\n"),
        written("a.json", '{"session": {"seed": 9}, "risk": {"max_order_notional": "10.5"}}'),
        written("a.yaml", "session: {seed: 9}\nrisk:\n  max_order_notional: '10.5'\n"),
    ]

    found = [load_only(file).settings for file in files]

    assert found[0] == found[1] == found[2]
    assert Decimal("10.5") == found[0].risk.max_order_notional


def test_the_default_file_is_read_unless_another_is_given() -> None:
    """`./tidegate.toml` counts only when no file is named, and not where it must not."""
    written("tidegate.toml", "[session]\nseed = 7\n")
    other = written("other.toml", "[session]\nname = 'other'\n")

    assert 7 == load_only().settings.session.seed
    assert 42 == load_only(other).settings.session.seed
    assert 42 == load(environ={}, default_file=False).settings.session.seed


def test_the_seed_has_a_short_name_in_the_environment() -> None:
    """`TIDEGATE_SEED` is `TIDEGATE_SESSION__SEED`; two that differ are refused."""
    assert 5 == load_only(TIDEGATE_SEED="5").settings.session.seed
    assert "session.seed is also set" in refused(TIDEGATE_SEED="5", TIDEGATE_SESSION__SEED="6")


def test_the_environment_sets_lists_tables_and_free_keys() -> None:
    """Lists are JSON; below a free table the case of a name counts."""
    found = load_only(
        TIDEGATE_UNIVERSE__SYMBOLS='["BTC/USDT", "ETH/USDT"]',
        TIDEGATE_STRATEGIES='[{"name": "s", "use": "sma_cross", "params": {"fast": 5}}]',
        TIDEGATE_VENUE__CCXT__options__defaultType="swap",
        TIDEGATE_VENUE__CCXT__PARAMS__TIMEOUT="1000",
        TIDEGATE_SHARED_DATA="/elsewhere",
    ).settings

    assert ("BTC/USDT", "ETH/USDT") == found.universe.symbols
    assert {"fast": 5} == found.strategies[0].params
    assert {"options": {"defaultType": "swap"}, "params": {"timeout": 1000}} == found.venue.ccxt


# ---------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[session]\nsead = 1\n", "a.toml: unknown key 'session.sead'; did you mean \"seed\"?"),
        ("[sesion]\nseed = 1\n", "a.toml: unknown section 'sesion'; did you mean \"session\"?"),
        ("[feed.synthetic]\nbar = 1\n", "unknown key 'feed.synthetic.bar'; did you mean \"bars\"?"),
        (
            "[[strategies]]\nname = 'a'\nuse = 'x'\nparms = {}\n",
            "a.toml: unknown key 'strategies[0].parms'; did you mean \"params\"?",
        ),
        (
            "[session]\nseed = 'many'\n",
            "a.toml: session.seed: found 'many' (text), expected a valid integer",
        ),
        (
            "[session]\nmode = 'dry'\n",
            "session.mode: found 'dry' (text), expected 'replay', 'paper', 'shadow' or 'live'",
        ),
        (
            "[risk]\nmax_order_notional = 1000.5\n",
            "risk.max_order_notional: found 1000.5 (a number), expected an exact amount in quotes",
        ),
        ("[session]\nseed = -1\n", "session.seed: found -1 (a number), expected greater than or"),
        ("session = 3\n", "a.toml: session: found 3 (a number), expected a table of keys"),
        (
            "[universe]\nsymbols = 'BTC/USDT'\n",
            "universe.symbols: found 'BTC/USDT' (text), expected a list, as [\"A\"]",
        ),
        (
            "[venue.alpaca]\nextended_hours = 'maybe'\n",
            "venue.alpaca.extended_hours: found 'maybe' (text), expected true or false",
        ),
        ("[[strategies]]\nname = 'a'\n", "a.toml: strategies[0].use: missing, and needed"),
        ("[session\n", "a.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(text: str, said: str) -> None:
    """One line: file, section and key, what was found, what was expected."""
    message = refused(written("a.toml", text))

    assert said in message
    assert 1 == len(message.splitlines())


def test_every_problem_is_reported_at_once() -> None:
    """Two mistakes in two sources are two lines, each with its own source."""
    file = written("a.toml", "[session]\nseed = 'x'\n")

    message = refused(file, TIDEGATE_FEED__SPEED="fast")

    assert "a.toml: session.seed: found 'x'" in message
    assert "environment TIDEGATE_FEED__SPEED: feed.speed: found 'fast'" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TIDEGATE_SESSION__SEAD", "unknown key 'session.sead'; did you mean \"seed\"?"),
        ("TIDEGATE_SESION__SEED", "unknown section 'sesion'; did you mean \"session\"?"),
        ("TIDEGATE_SESSION_SEED", "did you mean 'TIDEGATE_SESSION__SEED'?"),
        ("TIDEGATE_UNIVERSE__SYMBOLS", 'expected JSON, like ["BTC/USDT"]'),
    ],
)
def test_a_wrong_variable_is_named(name: str, said: str) -> None:
    """A mistyped variable is an error, not a setting that silently does not exist."""
    message = refused(**{name: "1,2"})

    assert name in message
    assert said in message


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.toml", None, "none.toml: no such file"),
        ("a.ini", "x", "a.ini: found a file ending in '.ini', expected .toml, .json, .yaml"),
        ("a.json", "[1]", "a.json: found a list, expected a table of sections"),
        ("a.json", '{"session": {"seed": 1, "seed": 2}}', "key 'seed' is given twice"),
        ("a.yaml", "session:\n  seed: 1\n  seed: 2\n", "a.yaml:3: key 'seed' is given twice"),
        ("a.yaml", "session: [\n", "a.yaml: not valid YAML"),
        ("a.json", "{", "a.json: not valid JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, text: str | None, said: str) -> None:
    """Missing, of no known form, or broken: the file is named, and the place where there is one."""
    if text is not None:
        written(name, text)

    assert said in refused(Path(name))


# --------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "text",
    [
        f"[session]\nseed = 1\n[venue.credentials]\napi_key = '{SECRET}'\n",
        f"[session]\nseed = 1\n[venue.ccxt]\napiKey = '{SECRET}'\n",
        f"[session]\nseed = 1\n[venue.ccxt]\npassword = '{SECRET}'\n",
        f"[[strategies]]\nname = 'a'\nuse = 'b'\nparams = {{ api_key = '{SECRET}' }}\n",
    ],
)
def test_credentials_in_the_configuration_file_are_refused(text: str) -> None:
    """Even in a file that only its owner reads; and the error does not show them."""
    message = refused(written("tidegate.toml", text, mode=0o600))

    assert "credentials do not belong in the configuration file" in message
    assert SECRET not in message


def test_a_private_file_of_its_own_may_hold_credentials() -> None:
    """0600 and nothing else in it; with wider permissions it is refused."""
    main = written("tidegate.toml", "[session]\nseed = 1\n")
    private = written("keys.toml", f"[venue.credentials]\nsecret = '{SECRET}'\n", mode=0o600)

    found = load_only(main, private).settings.venue.credentials.secret
    private.chmod(0o640)

    assert found is not None
    assert SECRET == found.get_secret_value()
    assert "found permissions 0640, expected 0600" in refused(main, private)


def test_an_env_file_is_not_read() -> None:
    """What happens to lie in the folder does not decide whose account is traded."""
    written(".env", f"TIDEGATE_VENUE__CREDENTIALS__SECRET={SECRET}\n", mode=0o600)

    assert load_only().settings.venue.credentials.secret is None


def test_secrets_are_masked_wherever_the_configuration_is_shown() -> None:
    """Not in its rows, its manifest form or its representation; known to the log's redaction."""
    found = load_only(TIDEGATE_VENUE__CREDENTIALS__API_KEY=SECRET)

    shown = json.dumps([*found.rows(), found.public()], default=str) + repr(
        found.settings.venue.credentials
    )
    assert SECRET not in shown
    assert ("venue.credentials.api_key", MASK) in [row[:2] for row in found.rows()]
    assert "credentials" not in found.public()["venue"]
    assert [SECRET] == found.secrets()


def test_a_secret_where_none_belongs_is_not_shown_in_the_error() -> None:
    """Neither as a key that is not known there, nor deeper in a table."""
    for name in ("TIDEGATE_VENUE__CCXT__secret", "TIDEGATE_VENUE__CCXT__PARAMS__apiKey"):
        with pytest.raises(ConfigError) as refused:
            load_only(**{name: SECRET})

        assert SECRET not in str(refused.value)
        assert "venue.ccxt" in str(refused.value)


def test_a_bad_secret_is_not_shown_in_its_error() -> None:
    """An error about a secret says which, never what."""
    message = refused(TIDEGATE_VENUE__CREDENTIALS=f'["{SECRET}"]')

    assert "venue.credentials: found a secret" in message
    assert SECRET not in message
