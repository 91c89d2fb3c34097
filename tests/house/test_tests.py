"""Every test says what it guarantees, and checks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKING_NAMES = ("assert", "check", "expect", "fail", "raises", "verify", "warns")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(tree: ast.AST) -> Iterator[Function]:
    """Yield the test functions of a module, those in classes too."""
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node


def checks_something(test: Function) -> bool:
    """Tell whether a test asserts, expects an exception, or calls what does."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name.lstrip("_").startswith(CHECKING_NAMES):
                return True
    return False


def modules() -> list[Path]:
    """Return every module with tests."""
    found = [*Path(ROOT, "tests").rglob("*.py"), *Path(ROOT, "scenarios").rglob("test_*.py")]
    return sorted(found)


def test_every_test_states_its_guarantee() -> None:
    """A test without a docstring is known only to whom wrote it."""
    silent = [
        f"{path.relative_to(ROOT)}:{test.lineno} {test.name}"
        for path in modules()
        for test in functions_of(ast.parse(path.read_text("utf-8")))
        if not ast.get_docstring(test)
    ]

    assert silent == []


def test_every_test_checks_something() -> None:
    """A test that asserts nothing cannot fail for the right reason."""
    idle = [
        f"{path.relative_to(ROOT)}:{test.lineno} {test.name}"
        for path in modules()
        for test in functions_of(ast.parse(path.read_text("utf-8")))
        if not checks_something(test)
    ]

    assert idle == []


def test_a_test_that_only_runs_is_recognised() -> None:
    """Running code is not checking it; an expected exception is."""
    idle, sound = functions_of(
        ast.parse(
            "def test_idle(): f()\n"
            "async def test_sound():\n    with pytest.raises(ValueError): f()\n"
        )
    )

    assert not checks_something(idle)
    assert checks_something(sound)
