"""Whatever goes wrong in a strategy, the line of its own file is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from session_world import BTC

from actors.strategy.border import ForeignEffect
from messages import ActorFailed, DeadLetter
from scenarios.reading import parse_scenario
from scenarios.runner import run_scenario
from state.journal import decode_line
from strategies.blame import (
    Place,
    own_files,
    place_of_class,
    place_of_error,
    place_of_hook,
)
from strategies.contract import Strategy
from strategies.loader import load_strategy
from strategies.trial import Candidate

HEAD = """\
from decimal import Decimal

from messages import Bar, ExecutionPolicy, OrderType, Plan, Rollback, Side
from strategies.contract import Strategy, StrategyParams

ONE = Decimal(1)
"""

BASE = """

class Owl(Strategy):
    def buy(self, **terms):
        return self.desk.open("BTC/USDT", Side.BUY, ONE, **terms)

    def on_bar(self, bar):
        self.bars = getattr(self, "bars", 0) + 1
        return [self.buy()] if self.bars == 2 else None
"""


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the loader adds to the path go with the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def written(folder: Path, body: str, name: str = "owl.py") -> tuple[Path, int]:
    """Write a strategy; return its file and the line that says HERE, 0 if none does."""
    file = folder / "nest" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(HEAD + body, encoding="utf-8")
    lines = file.read_text(encoding="utf-8").splitlines()
    return file, next((n for n, line in enumerate(lines, 1) if "# HERE" in line), 0)


def rehearsed(file: Path, **changed: Any) -> list[Any]:
    """Run a strategy over ten bars; return what was journaled."""
    document = {
        "scenario": "a strategy is run",
        "strategies": [{"name": "owl", "use": str(file)}],
        "market": {BTC: {"flat": {"price": 100, "bars": 10}}},
        "expect": [{"exit_code": 0}],
        **changed,
    }
    result = run_scenario(parse_scenario(document, "s"), folder=file.parent)
    return [decode_line(line).message for line in result.story.splitlines()]


def first_failure(file: Path, **changed: Any) -> ActorFailed:
    failures = [m for m in rehearsed(file, **changed) if isinstance(m, ActorFailed)]
    assert failures, "nothing failed"
    return failures[0]


# -------------------------------------------------------------------------- what a hook raises

RAISING = {
    "on_start": (BASE + "\n    def on_start(self):\n        1 / 0  # HERE\n", {}),
    "on_bar": (
        "\n\nclass Owl(Strategy):\n    def on_bar(self, bar):\n        return 1 / 0  # HERE\n",
        {},
    ),
    "on_fill": (BASE + "\n    def on_fill(self, fill):\n        1 / 0  # HERE\n", {}),
    "on_order_update": (
        BASE + "\n    def on_order_update(self, report):\n        1 / 0  # HERE\n",
        {},
    ),
    "on_order_rejected": (
        BASE + "\n    def on_order_rejected(self, rejection):\n        1 / 0  # HERE\n",
        {"risk": {"max_order_notional": "1"}},
    ),
    "can_submit_order": (
        BASE + "\n    def can_submit_order(self, intent):\n        1 / 0  # HERE\n",
        {},
    ),
    "book_state": (
        BASE + "\n    def book_state(self, symbol, position_side):\n"
        '        return 1 / 0 if hasattr(self, "bars") else None  # HERE\n',
        {},
    ),
}


@pytest.mark.parametrize("hook", RAISING)
def test_an_error_in_a_hook_names_the_line_that_raised_it(tmp_path: Path, hook: str) -> None:
    """File, line and function of the user's own, whoever called it."""
    body, changed = RAISING[hook]
    file, line = written(tmp_path, body)

    failed = first_failure(file, **changed)

    assert f"nest/owl.py:{line} in {hook}" == failed.place
    assert "ZeroDivisionError: division by zero" == failed.error


def test_on_intent_ended_names_its_line_too(tmp_path: Path) -> None:
    """The end of an intent that needed more than one order is a hook like any other."""
    policy = "ExecutionPolicy(OrderType.LIMIT, limit_price=Decimal(50), timeout_ms=60_000)"
    body = BASE.replace("self.buy()", f"self.buy(policy={policy})")
    file, line = written(
        tmp_path, body + "\n    def on_intent_ended(self, ended):\n        1 / 0  # HERE\n"
    )

    assert f"nest/owl.py:{line} in on_intent_ended" == first_failure(file).place


def test_an_error_in_a_library_names_the_line_that_called_it(tmp_path: Path) -> None:
    """Deep in another module nothing is to be mended: the innermost own line is."""
    file, line = written(
        tmp_path,
        "\n\nimport json\n\n\nclass Owl(Strategy):\n    def on_bar(self, bar):\n"
        '        return self.parsed("{")\n\n    def parsed(self, text):\n'
        "        return json.loads(text)  # HERE\n",
    )

    failed = first_failure(file)

    assert f"nest/owl.py:{line} in parsed" == failed.place
    assert "json/decoder.py" in failed.traceback


def test_a_generator_names_the_line_that_it_came_to(tmp_path: Path) -> None:
    """A hook that yields its intents runs after it was called, and is found all the same."""
    file, line = written(
        tmp_path,
        "\n\nclass Owl(Strategy):\n    def on_bar(self, bar):\n"
        "        yield self.desk.open(bar.symbol, Side.BUY, ONE)\n        1 / 0  # HERE\n",
    )

    assert f"nest/owl.py:{line} in on_bar" == first_failure(file).place


def test_a_base_class_of_the_users_own_counts_as_theirs(tmp_path: Path) -> None:
    """A hook that is inherited from another file of the user's is found there."""
    _, line = written(
        tmp_path,
        "\n\nclass Bird(Strategy):\n    def on_bar(self, bar):\n        1 / 0  # HERE\n",
        "bird_of_blame.py",
    )
    file, _ = written(
        tmp_path, "\n\nfrom bird_of_blame import Bird\n\n\nclass Owl(Bird):\n    pass\n"
    )

    assert f"nest/bird_of_blame.py:{line} in on_bar" == first_failure(file).place


# ----------------------------------------------------------------- what is noticed only afterwards

GIVEN = {
    "a float": "[self.desk.open('BTC/USDT', Side.BUY, 0.1)]",
    "a text": '["buy"]',
    "no list": "5",
    "another's": "[type(self.desk)('other', (), prefix='x', clock=self.desk)"
    ".open('BTC/USDT', Side.BUY, ONE)]",
    "a plan without uses_plans": "[self.desk.update_plan('BTC/USDT', Plan())]",
    "a rollback without a state": "[self.desk.open('BTC/USDT', Side.BUY, ONE, "
    "policy=ExecutionPolicy(rollback=Rollback.IF_UNFILLED))]",
    "no end": "iter(lambda: self.desk.open('BTC/USDT', Side.BUY, ONE), None)",
}
ON_OCCASION = {
    "on_fill": ("fill", {}),
    "on_order_update": ("report", {}),
    "on_order_rejected": ("rejection", {"risk": {"max_order_notional": "1"}}),
}


@pytest.mark.parametrize("given", GIVEN)
def test_what_a_hook_returned_is_put_down_to_the_hook(tmp_path: Path, given: str) -> None:
    """Our code raises, after the hook has returned: the place is where the hook is written."""
    file, line = written(
        tmp_path,
        f"\n\nclass Owl(Strategy):\n    def on_bar(self, bar):  # HERE\n"
        f"        return {GIVEN[given]}\n",
    )

    failed = first_failure(file)

    assert f"nest/owl.py:{line} in on_bar" == failed.place
    assert failed.error.startswith(("MalformedIntent: ", "ForeignEffect: "))


@pytest.mark.parametrize("hook", ON_OCCASION)
@pytest.mark.parametrize("given", ["a float", "a text", "no list"])
def test_of_several_hooks_the_one_that_returned_it_is_named(
    tmp_path: Path, hook: str, given: str
) -> None:
    """News of one order go to several hooks: the others are not suspected."""
    argument, changed = ON_OCCASION[hook]
    others = [name for name in ON_OCCASION if name != hook]
    body = BASE
    for name in others:
        body += f"\n    def {name}(self, news):\n        return []\n"
    body += f"\n    def {hook}(self, {argument}):  # HERE\n        return {GIVEN[given]}\n"
    file, line = written(tmp_path, body)

    assert f"nest/owl.py:{line} in {hook}" == first_failure(file, **changed).place


def test_on_start_is_told_from_the_hooks_of_messages(tmp_path: Path) -> None:
    """It answers no message, and is named all the same."""
    file, line = written(tmp_path, BASE + "\n    def on_start(self):  # HERE\n        return [1]\n")

    assert f"nest/owl.py:{line} in on_start" == first_failure(file).place


@pytest.mark.parametrize(
    ("hook", "arguments", "given"),
    [("snapshot", "", "{'x': {1}}"), ("book_state", ", symbol, position_side", "object()")],
)
def test_a_state_that_is_not_json_ready_is_put_down_to_its_hook(
    tmp_path: Path, hook: str, arguments: str, given: str
) -> None:
    """What cannot be kept would be lost: it fails, and says what and where."""
    ready = "None if not hasattr(self, 'bars') else "
    file, line = written(
        tmp_path,
        BASE + f"\n    def {hook}(self{arguments}):  # HERE\n        return {ready}{given}\n",
    )
    late = {"session": {"start": "2024-01-01T23:55:00Z"}}

    failed = first_failure(file, **late)

    assert f"nest/owl.py:{line} in {hook}" == failed.place
    assert failed.error.startswith(f"UnreadyState: {hook} is not JSON-ready: ")


def test_the_dead_letter_says_where_too(tmp_path: Path) -> None:
    """Whoever looks at the message that was lost finds the line that lost it."""
    file, line = written(tmp_path, RAISING["on_fill"][0])

    letters = [m for m in rehearsed(file) if isinstance(m, DeadLetter)]

    assert letters[0].detail.startswith(f"nest/owl.py:{line} in on_fill: ZeroDivisionError: ")


# ------------------------------------------------------------------------------ before it starts

FORGETFUL = """
    def restore(self, state):  # HERE
        self.odd = True

    def snapshot(self):
        return hasattr(self, "odd")
"""
NEW_BACKOFF = """
    def execution_backoff(self):  # HERE
        from strategies.backoff import StrategyRejectionBackoff

        return StrategyRejectionBackoff()
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\n    def __init__(self, desk, params):\n        {}['x']  # HERE\n", "KeyError: 'x'"),
        ("\n    def snapshot(self):  # HERE\n        return {1, 2}\n", "is not JSON-ready: "),
        ("\n    def snapshot(self):\n        return 1 / 0  # HERE\n", "ZeroDivisionError"),
        ("\n    def restore(self, state):\n        1 / 0  # HERE\n", "ZeroDivisionError"),
        (FORGETFUL, "a fresh object that restored false gives true, expected the same"),
        (
            "\n    def book_state(self, symbol, side):  # HERE\n        return object()\n",
            "book_state is not JSON-ready: ",
        ),
        (
            "\n    def restore_book(self, symbol, side, state):\n        1 / 0  # HERE\n",
            "ZeroDivisionError",
        ),
        (
            "\n    def set_broker_min_order(self, minimum):\n        1 / 0  # HERE\n",
            "ZeroDivisionError",
        ),
        (NEW_BACKOFF, "execution_backoff returned another object the second time"),
    ],
)
def test_a_trial_names_the_line_of_what_does_not_come_back(
    tmp_path: Path, body: str, said: str
) -> None:
    """A fresh object shows what can be seen before anything depends on it."""
    file, line = written(tmp_path, BASE + body)
    loaded = load_strategy(str(file))
    candidate = Candidate("owl", loaded.factory, loaded.factory.Params(), {BTC: ("both",)})  # type: ignore[dict-item]

    try:
        (problem,) = candidate.problems()
    except ValueError as error:
        problem = str(error)

    assert f"nest/owl.py:{line} in " in problem or f"nest/owl.py:{line}: " in problem
    assert said in problem


def test_a_whole_strategy_has_no_problems(tmp_path: Path) -> None:
    """The shipped one comes back on a fresh object."""
    loaded = load_strategy("sma_cross")

    found = Candidate("sma", loaded.factory, loaded.factory.Params(), {BTC: ("both",)}).problems()  # type: ignore[dict-item]

    assert [] == found


# --------------------------------------------------------------------------------- the pieces


def test_an_error_from_elsewhere_has_no_place_of_the_strategys() -> None:
    """Where no line of its own took part, none is named."""
    with pytest.raises(ValueError) as caught:
        json.loads("{")

    assert place_of_error(caught.value, frozenset({"elsewhere.py"})) is None


def test_the_cause_of_an_error_is_looked_through() -> None:
    """What our code raised because of the strategy's error leads to the strategy's line."""
    with pytest.raises(KeyError) as caught:
        {}["x"]
    wrapped = ForeignEffect("wrapped")
    wrapped.__cause__ = caught.value

    place = place_of_error(wrapped, frozenset({__file__}))

    assert place is not None
    assert "test_the_cause_of_an_error_is_looked_through" == place.function


def test_a_hook_that_is_left_to_the_base_is_put_down_to_the_class(tmp_path: Path) -> None:
    """The base's own lines are nothing that a user could mend."""
    file, line = written(tmp_path, "\n\nclass Owl(Strategy):  # HERE\n    on_bar = None\n")
    kind = load_strategy(str(file)).factory

    assert Place(str(file), line, "") == place_of_hook(kind, "on_fill")
    assert place_of_class(kind) == place_of_hook(kind, "nothing_like_it")
    assert frozenset({str(file)}) == own_files(kind)
    assert frozenset() == own_files(Strategy) == own_files(len)
    assert place_of_class(dict) is None


def test_a_place_reads_the_same_on_every_machine() -> None:
    """Two parts of the path, as in tracebacks."""
    assert "nest/owl.py:7 in on_bar" == str(Place("/a/b/nest/owl.py", 7, "on_bar"))
    assert "nest/owl.py:7" == str(Place("/a/b/nest/owl.py", 7, ""))


@pytest.fixture(autouse=True)
def fresh_modules() -> Iterator[None]:
    """Forget the modules of strategies that were written for one test."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("user_strategy_", "bird_of_blame")):
            del sys.modules[name]
