"""Every test says what it guarantees, and checks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKING_NAMES = ("assert", "check", "expect", "fail", "raises", "verify", "warns")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(tree: ast.AST) -> Iterator[Function]:
    """Yield the test functions of a module, those in classes too."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node


def checks_something(test: Function, module: ast.Module) -> bool:
    """Tell whether a test asserts, expects an exception, or calls a function that does."""
    own = {node.name: node for node in module.body if isinstance(node, Function)}
    seen: set[str] = set()

    def checks(function: Function) -> bool:
        seen.add(function.name)
        for node in ast.walk(function):
            if isinstance(node, ast.Assert | ast.Raise):
                return True
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                name = node.func.id if isinstance(node.func, ast.Name) else name
                if name.lstrip("_").startswith(CHECKING_NAMES):
                    return True
                if name in own and name not in seen and checks(own[name]):
                    return True
        return False

    return checks(test)


def modules() -> list[Path]:
    """Return every module with tests."""
    found = [*Path(ROOT, "tests").rglob("*.py"), *Path(ROOT, "scenarios").rglob("test_*.py")]
    return sorted(found)


@cache
def shortcomings() -> tuple[list[str], list[str]]:
    """Return the tests that say nothing, and those that check nothing; each module is read once."""
    silent, idle = [], []
    for path in modules():
        module = ast.parse(path.read_text("utf-8"))
        for test in functions_of(module):
            name = f"{path.relative_to(ROOT)}:{test.lineno} {test.name}"
            if not ast.get_docstring(test):
                silent.append(name)
            if not checks_something(test, module):
                idle.append(name)
    return silent, idle


def test_every_test_states_its_guarantee() -> None:
    """A test without a docstring is known only to whom wrote it."""
    silent, _ = shortcomings()

    assert silent == []


def test_every_test_checks_something() -> None:
    """A test that asserts nothing cannot fail for the right reason."""
    _, idle = shortcomings()

    assert idle == []


def test_a_test_that_only_runs_is_recognised() -> None:
    """Running code is not checking it; an expected exception or a checking function is."""
    module = ast.parse(
        "def agree(): assert f() == 1\n"
        "def test_idle(): f()\n"
        "async def test_of_errors():\n    with pytest.raises(ValueError): f()\n"
        "def test_by_another(): agree()\n"
    )

    found = {test.name: checks_something(test, module) for test in functions_of(module)}

    assert found == {"test_idle": False, "test_of_errors": True, "test_by_another": True}


def test_no_two_modules_beside_the_tests_have_one_name() -> None:
    """Folders of tests share one import path: of two modules with one name, one would be found."""
    names = [path.name for path in modules() if path.name != "conftest.py"]
    twice = sorted({name for name in names if names.count(name) > 1})

    assert twice == []
