"""A strategy is found by each of its four names, and what is wrong is said in one line."""

from __future__ import annotations

import hashlib
import importlib
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import strategies.sma_cross
from messages import PositionSide
from strategies.contract import missing_hooks
from strategies.loader import StrategyLoadError, load_strategy, parse_params
from strategies.sma_cross import SmaCross, SmaCrossParams
from strategies.trial import Candidate
from tidegate.templates import fill

GOOD = """
from strategies.contract import Strategy, StrategyParams

class Params(StrategyParams):
    depth: int = 3

class NightOwl(Strategy):
    Params = Params
    def on_bar(self, bar):
        return None
"""

UNTYPED = """from strategies.contract import Strategy, StrategyParams

class Params(StrategyParams):
    depth = 3
"""
ABSTRACT = """from strategies.contract import Strategy
class Owl(Strategy):
    pass
"""
ODD_PARAMS = """from strategies.contract import Strategy
class Owl(Strategy):
    Params = dict
    def on_bar(self, bar):
        return None
"""
BAD_VALIDATOR = """
from pydantic import model_validator
from strategies.contract import Strategy, StrategyParams

class Params(StrategyParams):
    @model_validator(mode="after")
    def _check(self):
        return 1 / 0

class Owl(Strategy):
    Params = Params
    def on_bar(self, bar):
        return None
"""
BOOKS = {"BTC/USDT": (PositionSide.BOTH,)}


def written(folder: Path, text: str, name: str = "owl.py") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_shipped_strategy_is_found_by_its_name() -> None:
    """`sma_cross` is the shipped class, and its digest is that of its file."""
    loaded = load_strategy("sma_cross")

    digest = hashlib.sha256(Path(strategies.sma_cross.__file__).read_bytes()).hexdigest()
    assert loaded.factory is SmaCross
    assert loaded.name == "sma_cross"
    assert loaded.source_sha256 == digest


def test_a_strategy_is_found_as_module_and_class() -> None:
    """`module:Class` is imported like any other module."""
    loaded = load_strategy("strategies.sma_cross:SmaCross")

    assert loaded.factory is SmaCross
    assert loaded.name == "sma_cross"


def test_a_strategy_is_found_in_a_file(tmp_path: Path) -> None:
    """A file with one strategy needs no class name; its digest is that of its bytes."""
    path = written(tmp_path, GOOD)

    alone, named = load_strategy(str(path)), load_strategy(f"{path}:NightOwl")

    assert alone.factory is named.factory
    assert alone.name == "night_owl"
    assert alone.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_module_in_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the command itself was started from elsewhere."""
    written(tmp_path, GOOD, "owl_of_the_house.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    assert load_strategy("owl_of_the_house:NightOwl").name == "night_owl"


def test_a_strategy_of_an_installed_package_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that offers `tidegate.strategies` needs no path: its name is enough."""
    installed(tmp_path, monkeypatch, "offered_owl", GOOD)

    loaded = load_strategy("offered_owl")

    assert loaded.name == "offered_owl"
    assert loaded.factory.__name__ == "NightOwl"
    assert loaded.source == "module_of_offered_owl:NightOwl"
    assert loaded.source_sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert parse_params(loaded, {"depth": "7"}).model_dump() == {"depth": 7}


@pytest.mark.parametrize("how", ["file", "module", "entry point"])
def test_a_strategy_of_the_whole_contract_runs_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """All three ways give a class whose state comes back and that has every live hook."""
    text = fill("strategy.py.txt", {"NAME": "whole", "CLASS": "Whole", "FOLDER": "x"})
    if how == "file":
        use = str(written(tmp_path, text, "whole.py"))
    elif how == "module":
        written(tmp_path, text, "whole_of_the_house.py")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        use = "whole_of_the_house:Whole"
    else:
        installed(tmp_path, monkeypatch, "whole_owl", text, "Whole")
        use = "whole_owl"

    loaded = load_strategy(use)
    candidate = Candidate("whole", loaded.factory, parse_params(loaded, {}), BOOKS)

    assert [] == candidate.problems()
    assert [] == missing_hooks(loaded.factory)


def installed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    class_name: str = "NightOwl",
) -> Path:
    """Put a package with a strategy where installed packages are looked for; return its file."""
    file = written(folder, text, f"module_of_{name}.py")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    point = f"{name} = module_of_{name}:{class_name}"
    (info / "entry_points.txt").write_text(f"[tidegate.strategies]\n{point}\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return file


def test_an_edited_file_is_loaded_anew(tmp_path: Path) -> None:
    """What runs is what the file says now, not what it said before."""
    path = written(tmp_path, GOOD)
    before = load_strategy(str(path))
    written(tmp_path, GOOD.replace("depth: int = 3", "depth: int = 4"))

    after = load_strategy(str(path))

    assert parse_params(before, {}).model_dump() == {"depth": 3}
    assert parse_params(after, {}).model_dump() == {"depth": 4}


def test_a_digest_is_that_of_what_was_loaded(tmp_path: Path) -> None:
    """Also where another file held the same text, was loaded first, and has changed since."""
    first = written(tmp_path, GOOD, "one/owl.py")
    load_strategy(str(first))
    first.write_text("changed = True\n")
    second = written(tmp_path, GOOD, "two/owl.py")

    loaded = load_strategy(str(second))

    assert loaded.source_sha256 == hashlib.sha256(second.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name\n", "owl.py:1: ModuleNotFoundError"),
        ("x = 1\ny = x / 0\n", "owl.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\ndef broken(:\n", "owl.py:2: SyntaxError"),
        ("x = 1\nimport sys\nsys.exit('bye')\n", "owl.py:3: SystemExit: bye"),
        ("import json\njson.loads('{')\n", "owl.py:2: JSONDecodeError"),
        (UNTYPED, "owl.py:3: PydanticUserError"),
        (ABSTRACT, "owl.py:2: class Owl lacks on_bar"),
        (ODD_PARAMS, "owl.py:2: Params of Owl is <class 'dict'>, expected a subclass of"),
        ("x = 1\n", "found 0 strategies in the file (none), expected one"),
        (GOOD + "class Second(NightOwl):\n    pass\n", "found 2 strategies"),
    ],
)
def test_a_broken_file_is_refused_by_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    """The error is one line and names the place at fault."""
    path = written(tmp_path, text)

    with pytest.raises(StrategyLoadError) as caught:
        load_strategy(str(path))

    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name\n", "broken_owl.py:1: ModuleNotFoundError"),
        ("import json\njson.loads('{')\n", "broken_owl.py:2: JSONDecodeError"),
        ("x = 1\ndef broken(:\n", "broken_owl.py:2: SyntaxError"),
        ("x = 1\n", "broken_owl.py; it has: none"),
    ],
)
@pytest.mark.parametrize("how", ["module", "entry point"])
def test_a_broken_module_is_refused_by_its_own_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str, how: str
) -> None:
    """Not by that of the library in which its error was raised."""
    if how == "module":
        written(tmp_path, text, "broken_owl.py")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        use = "broken_owl:Owl"
    else:
        installed(tmp_path, monkeypatch, "broken_owl", text)
        use = "broken_owl"
    importlib.invalidate_caches()

    with pytest.raises(StrategyLoadError) as caught:
        load_strategy(use)
    for name in ("broken_owl", "module_of_broken_owl"):
        sys.modules.pop(name, None)

    if how == "entry point" and text == "x = 1\n":
        said = "AttributeError: module 'module_of_broken_owl' has no attribute 'NightOwl'"
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("sma_cros", "did you mean 'sma_cross'?"),
        ("nobody", "sma_cross"),
        ("strategies.sma_cross:SmaCros", "did you mean 'SmaCross'?"),
        ("strategies.sma_cross:ExactWindows", "expected a Strategy subclass"),
        ("no.such.module:X", "ModuleNotFoundError"),
        ("missing.py:X", "no such file"),
        ("strategies.contract:Strategy", "lacks on_bar"),
    ],
)
def test_a_wrong_name_is_refused_with_what_is_known(use: str, said: str) -> None:
    """A name that leads nowhere is refused with the nearest one."""
    with pytest.raises(StrategyLoadError) as caught:
        load_strategy(use)

    assert said in str(caught.value)


def test_parameters_are_checked_by_the_strategys_own_model() -> None:
    """Texts from a command line become the numbers that the strategy declares."""
    params = parse_params(load_strategy("sma_cross"), {"fast": "5", "quantity": "0.25"})

    assert params == SmaCrossParams(fast=5, slow=30, quantity=Decimal("0.25"))


def test_a_validator_that_does_not_work_is_named_by_its_line(tmp_path: Path) -> None:
    """An error in the user's own check of parameters is theirs, and so is its line."""
    path = written(tmp_path, BAD_VALIDATOR)

    with pytest.raises(StrategyLoadError, match=r"owl\.py:8 in _check: ZeroDivisionError"):
        parse_params(load_strategy(str(path)), {})


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fats": 5}, "unknown parameter 'fats'; expected one of: fast, slow, quantity"),
        ({"fast": "many"}, "parameter 'fast': found 'many', expected a valid integer"),
        ({"fast": 0}, "parameter 'fast': found 0, expected greater than or equal to 1"),
        ({"fast": 30}, "parameters: fast is 30, expected less than slow (30)"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, object], said: str) -> None:
    """The error names the parameter, what was found and what was expected."""
    with pytest.raises(StrategyLoadError) as caught:
        parse_params(load_strategy("sma_cross"), params)

    assert said in str(caught.value)


def test_a_strategy_is_all_the_files_beside_it_that_it_imports(tmp_path: Path) -> None:
    """Whoever approved of it approved of those too; what it does not import is not it."""
    owl = tmp_path / "owl.py"
    owl.write_text(f"def late():\n    from owl_parts import eyes\n{GOOD}")
    parts = tmp_path / "owl_parts"
    parts.mkdir()
    (parts / "__init__.py").write_text("")
    (parts / "eyes.py").write_text("import owl_size\n")
    (tmp_path / "owl_size.py").write_text("SIZE = 1\n")
    (tmp_path / "stranger.py").write_text("")
    before = load_strategy(str(owl)).source_sha256

    (tmp_path / "stranger.py").write_text("SIZE = 2\n")

    assert before == load_strategy(str(owl)).source_sha256

    for path in (parts / "__init__.py", parts / "eyes.py", tmp_path / "owl_size.py"):
        kept = path.read_text()
        path.write_text(f"{kept}# another\n")

        assert before != load_strategy(str(owl)).source_sha256, path.name

        path.write_text(kept)

    assert before == load_strategy(str(owl)).source_sha256


def test_a_strategy_of_a_package_is_the_modules_of_it_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever name: a relative one too."""
    package = tmp_path / "owls_of_a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "owl.py").write_text(f"from . import feathers\n{GOOD}")
    (package / "feathers.py").write_text("COUNT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    use = "owls_of_a_package.owl:NightOwl"
    before = load_strategy(use).source_sha256

    (package / "feathers.py").write_text("COUNT = 2\n")

    assert before != load_strategy(use).source_sha256


@pytest.mark.parametrize("line", ["import_module('owl_ears')", "__import__('owl_ears')"])
def test_a_module_that_is_imported_by_its_written_name_is_part_of_it(
    line: str, tmp_path: Path
) -> None:
    """It is known as well as by a statement, and nothing needs to be warned of."""
    owl = tmp_path / "owl.py"
    owl.write_text(f"from importlib import import_module\n{line}\n{GOOD}")
    (tmp_path / "owl_ears.py").write_text("LENGTH = 1\n")
    before = load_strategy(str(owl))

    (tmp_path / "owl_ears.py").write_text("LENGTH = 2\n")

    assert before.source_sha256 != load_strategy(str(owl)).source_sha256
    assert () == before.made_of.unfollowed
