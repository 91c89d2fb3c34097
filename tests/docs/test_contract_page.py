"""The page of the strategy contract has every hook and every word of the desk, and no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from markdown_pages import blocks, text_of

import messages
from actors.runtime.supervision import STRATEGY_INTENSITY, Backoff
from messages import IntentAction
from strategies.contract import LIVE_HOOKS, Strategy
from strategies.desk import Desk

PAGE = Path("docs/reference/strategy-contract.md")
PAGES_WITH_PYTHON = (
    PAGE,
    Path("docs/explanation/execution-policy.md"),
    Path("docs/explanation/plans.md"),
)


def public(kind: type) -> set[str]:
    """Return the public names of a class and of what its objects have."""
    names = {name for name in dir(kind) if not name.startswith("_")}
    return names | {name for name in getattr(kind, "__slots__", ()) if not name.startswith("_")}


def section(title: str) -> str:
    """Return the part of the page under a heading of the second level."""
    found = text_of(PAGE).partition(f"\n## {title}\n")[2]
    assert found, f"the page has no section {title!r}"
    return found.partition("\n## ")[0]


def rows(text: str) -> list[str]:
    """Return the first cell's code of each row of the tables of a text, without its arguments."""
    found = re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)
    return [cell.partition("(")[0] for cell in found]


def test_every_hook_is_on_the_page_and_nothing_else() -> None:
    """A hook that is added, renamed or taken away fails here."""
    hooks = {name for name in public(Strategy) if callable(getattr(Strategy, name))} - {"Params"}

    assert sorted(hooks) == sorted(rows(section("Hooks")))


def test_every_class_attribute_is_on_the_page() -> None:
    """What a strategy declares beside its hooks."""
    attributes = {
        name
        for name in public(Strategy)
        if not callable(getattr(Strategy, name)) or name == "Params"
    }

    assert sorted(attributes) == sorted(rows(section("Class attributes")))


def test_every_word_of_the_desk_is_on_the_page_and_nothing_else() -> None:
    """What strategies use stands in tables, what is the runner's is named as such."""
    text = section("The desk")
    runners = set(
        re.findall(r"`(\w+)`", text.partition("### The runner's")[2].partition("A test")[0])
    )

    assert sorted(public(Desk)) == sorted({*rows(text), *runners})
    assert not runners & set(rows(text))


def test_arguments_are_those_of_the_hooks() -> None:
    """A row says what a hook is called with."""
    for name, shown in re.findall(r"^\| `(\w+)\(([^)]*)\)`", section("Hooks"), flags=re.MULTILINE):
        parameters = list(inspect.signature(getattr(Strategy, name)).parameters)[1:]
        asked = [word.strip() for word in shown.split(",") if word.strip()]

        assert parameters == asked, name


def test_the_live_hooks_are_marked_and_listed() -> None:
    """Whoever looks for one finds it marked where it is explained."""
    marked = re.findall(r"^\| `(\w+)\([^`]*` \| live \|", section("Hooks"), flags=re.MULTILINE)
    listed = re.findall(r"`(\w+)`", section("Live hooks").partition("\n\n")[0].splitlines()[1])

    assert sorted(LIVE_HOOKS) == sorted(marked)
    assert list(LIVE_HOOKS) == listed


def test_every_action_is_named() -> None:
    """Each thing that a strategy can ask for has its word at the desk."""
    text = section("The desk")

    assert [action.name for action in IntentAction if f"{action.name}" not in text] == []


def test_the_figures_of_restarts_are_the_ones_in_force() -> None:
    """What is promised about failures is what the supervisor does."""
    text = section("What is guaranteed")
    delays = [Backoff().delay_s(number) for number in range(3)]

    assert [1.0, 2.0, 4.0] == delays
    assert "after 1 s, then 2 s, then 4 s" in text
    assert (3, 600.0, 10, 86_400.0) == (
        STRATEGY_INTENSITY.burst,
        STRATEGY_INTENSITY.burst_s,
        STRATEGY_INTENSITY.sustained,
        STRATEGY_INTENSITY.sustained_s,
    )
    assert "More than three failures within ten minutes or ten within a day" in text


@pytest.mark.parametrize("page", PAGES_WITH_PYTHON, ids=str)
def test_the_python_of_a_page_runs(page: Path) -> None:
    """What is shown can be typed."""
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, f"{page}:{block.line}", "exec"), {})
    assert messages.Plan is not None


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        ("docs/explanation/execution-policy.md", ("ExecutionPolicy",)),
        (
            "docs/explanation/plans.md",
            ("Plan", "PlanStop", "PlanTarget", "PlanTrail", "PlanAdd"),
        ),
    ],
)
def test_every_term_of_a_policy_and_of_a_plan_is_explained(
    page: str, kinds: tuple[str, ...]
) -> None:
    """A field that is added has to be explained where the others are."""
    text = text_of(Path(page))
    missing = [
        f"{kind}.{name}"
        for kind in kinds
        for name in getattr(messages, kind).__struct_fields__
        if not re.search(rf"\b{name}\b", text) and not name.startswith("activate_")
    ]

    assert missing == []
