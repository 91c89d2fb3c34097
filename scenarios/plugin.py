"""
The pytest plugin: every ``*.scenario.json`` and ``*.scenario.toml`` is a test.

Loaded in every pytest run of an environment that has Tidegate, therefore it imports nothing of
the house before there is a scenario to run. ``-p no:tidegate`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from scenarios.runner import ScenarioResult

SUFFIXES = (".scenario.json", ".scenario.toml")


class ScenarioFailed(Exception):
    """A scenario whose expectations were not met; the message is all that there is to say."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option to run every scenario under both dispatchers."""
    group = parser.getgroup("tidegate", "scenarios")
    group.addoption(
        "--scenarios-queued",
        action="store_true",
        help="run each scenario under the queued dispatcher too, and compare the events",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect scenario files."""
    if not file_path.name.endswith(SUFFIXES):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """A file with one scenario."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the one item, whatever is in the file."""
        yield ScenarioItem.from_parent(self, name="scenario")


class ScenarioItem(pytest.Item):
    """One scenario as a test."""

    def runtest(self) -> None:
        """Run it; raise what pytest then shows."""
        result = self._run(queued=False)
        if not result.passed:
            raise ScenarioFailed(f'"{result.scenario}"\n\n{result.report()}')
        if self.config.getoption("--scenarios-queued"):
            queued = self._run(queued=True)
            if queued.story != result.story:
                raise ScenarioFailed(
                    f'"{result.scenario}"\n\nthe queued dispatcher journals other events:\n'
                    f"{_first_difference(result, queued)}"
                )

    def _run(self, *, queued: bool) -> ScenarioResult:
        from scenarios.errors import ScenarioError
        from scenarios.runner import run_scenario

        try:
            return run_scenario(self.path, queued=queued)
        except ScenarioError as error:
            raise ScenarioFailed(str(error)) from None

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """Show a failed scenario without the frames that it failed in."""
        if isinstance(excinfo.value, ScenarioFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where it is and what it is called."""
        return self.path, 0, f"scenario {self.path.name}"


def _first_difference(fused: ScenarioResult, queued: ScenarioResult) -> str:
    pairs = zip(fused.timeline, queued.timeline, strict=False)
    for one, other in pairs:
        if one != other:
            return f"  fused:  {one}\n  queued: {other}"
    return f"  fused: {len(fused.timeline)} lines, queued: {len(queued.timeline)} lines"
