"""
Find a strategy class and check its parameters.

A strategy is named in one of four ways: the name of a shipped one (``sma_cross``), a name that
an installed package offers (entry points of the group ``tidegate.strategies``),
``module:Class``, or ``file.py:Class`` (the class may be left out when the file defines one).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from state.ledger import LotMethod
from strategies.blame import own_files, place_of_class, place_of_error, told
from strategies.contract import Strategy, StrategyParams
from strategies.sources import Sources, root_of, sources_of

ENTRY_POINT_GROUP = "tidegate.strategies"
IMPORT_ERRORS = (Exception, SystemExit)
"""What a module may raise when it is imported; a script that ends the process is no strategy."""

SHIPPED: Mapping[str, str] = {
    "donchian_breakout": "strategies.donchian_breakout:DonchianBreakout",
    "dual_dca": "strategies.dual_dca:DualDca",
    "dual_dca_lifo": "strategies.dual_dca_lifo:DualDcaLifo",
    "grid": "strategies.grid:Grid",
    "sma_cross": "strategies.sma_cross:SmaCross",
}
"""Every shipped strategy by its name."""


class StrategyLoadError(ValueError):
    """A strategy cannot be found, loaded or made, or a parameter of it is wrong."""


@dataclass(frozen=True, slots=True)
class LoadedStrategy:
    """
    A strategy class with what identifies its code.

    ``name`` is what a session calls it unless it is told otherwise; ``source`` says where the
    class comes from, ``source_sha256`` is the digest of that file and of what it imports beside it,
    ``made_of`` says what that leaves out.
    """

    name: str
    factory: type[Strategy]
    source: str
    source_sha256: str
    made_of: Sources


def load_strategy(use: str) -> LoadedStrategy:
    """Load the strategy that ``use`` names; raise ``StrategyLoadError`` in one clear line."""
    if use.endswith(".py"):
        return _from_file(use, Path(use), "")
    target, colon, class_name = use.rpartition(":")
    if colon and target.endswith(".py"):
        return _from_file(use, Path(target), class_name)
    if colon:
        return _from_module(use, target, class_name)
    if use in SHIPPED:
        module_name, _, class_name = SHIPPED[use].partition(":")
        return _described(use, _class_of(use, _imported(use, module_name), class_name), use)
    return _from_entry_point(use)


def parse_params(loaded: LoadedStrategy, params: Mapping[str, Any]) -> StrategyParams:
    """Return the checked parameters; raise ``StrategyLoadError`` with one line per wrong one."""
    model = loaded.factory.Params
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        lines = [_param_problem(loaded.name, model, detail) for detail in error.errors()]
        raise StrategyLoadError("\n".join(lines)) from None
    except Exception as error:  # a validator of the strategy's own that does not work
        place = place_of_error(error, own_files(model)) or place_of_class(model)
        raise StrategyLoadError(
            f"strategy {loaded.name}: parameters: {place}: {told(error)}"
        ) from error


def resolve_lot_method(loaded: LoadedStrategy, asked: LotMethod | None) -> LotMethod:
    """
    Return which lots a reduction closes: what is ``asked``, else the strategy's own, else FIFO.

    Raises ``StrategyLoadError`` where a strategy that needs one is asked to do with another.
    """
    own = loaded.factory.lot_method
    if own is None:
        return LotMethod.FIFO if asked is None else asked
    if asked is not None and asked is not own:
        raise StrategyLoadError(
            f"strategy {loaded.name}: lot_method: found {asked.value!r}, expected {own.value!r} "
            "or none: the strategy needs its own"
        )
    return own


def _param_problem(strategy: str, model: type[StrategyParams], detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    known = ", ".join(model.model_fields) or "none"
    if detail["type"] == "extra_forbidden":
        return f"strategy {strategy}: unknown parameter {name!r}; expected one of: {known}"
    if detail["type"] == "missing":
        return f"strategy {strategy}: parameter {name!r} is missing, and needed"
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message.split(", unable to parse")[0]
    if message.startswith("Input should be "):
        message = "expected " + message.removeprefix("Input should be ")
    if not name:
        return f"strategy {strategy}: parameters: {message}"
    return f"strategy {strategy}: parameter {name!r}: found {detail['input']!r}, {message}"


# ---------------------------------------------------------------------------- where it comes from


def _from_file(use: str, path: Path, class_name: str) -> LoadedStrategy:
    if not path.is_file():
        raise StrategyLoadError(f"strategy {use!r}: no such file: {path}")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    # The content is part of the name: an edited file is another module, never a stale one.
    module_name = f"user_strategy_{path.stem}_{digest[:12]}"
    module = sys.modules.get(module_name) or _executed(use, path.resolve(), module_name)
    factory = _class_of(use, module, class_name) if class_name else _only_class_of(use, module)
    name, source = _snake(factory.__name__), f"{path}:{factory.__name__}"
    if factory.__module__ == module_name:
        # Of the bytes that were loaded: the file may be another by now, and so may its twin be,
        # a file of the same content that was loaded before.
        file = path.resolve()
        found = sources_of(content, file, file.parent)
        return LoadedStrategy(name, factory, source, found.sha256, found)
    return _described(name, factory, source)


def _executed(use: str, path: Path, module_name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise StrategyLoadError(f"strategy {use!r}: {path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    _also_import_from(path.parent)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except IMPORT_ERRORS as error:
        del sys.modules[module_name]
        raise StrategyLoadError(_import_problem(use, error, str(path))) from error
    return module


def _also_import_from(folder: Path) -> None:
    # Last, so that a neighbour of the strategy never hides an installed package.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _from_module(use: str, module_name: str, class_name: str) -> LoadedStrategy:
    _also_import_from(Path.cwd())
    factory = _class_of(use, _imported(use, module_name), class_name)
    return _described(_snake(factory.__name__), factory, use)


def _from_entry_point(use: str) -> LoadedStrategy:
    offered: dict[str, EntryPoint] = {
        point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)
    }
    if use not in offered:
        names = sorted({*SHIPPED, *offered})
        near = get_close_matches(use, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
        raise StrategyLoadError(
            f"strategy {use!r}: not a known name, and neither module:Class nor file.py:Class{hint}"
        )
    point = offered[use]
    try:
        factory = point.load()
    except IMPORT_ERRORS as error:
        raise StrategyLoadError(_import_problem(use, error, _file_of(point.module))) from error
    return _described(use, _checked(use, factory), point.value)


def _imported(use: str, module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except IMPORT_ERRORS as error:
        raise StrategyLoadError(_import_problem(use, error, _file_of(module_name))) from error


def _file_of(module_name: str) -> str:
    """Return the file of a module that cannot be imported, empty where that is not known."""
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError, AttributeError):
        return ""
    return "" if spec is None else spec.origin or ""


def _import_problem(use: str, error: BaseException, file: str) -> str:
    """Name the line at fault: of the strategy's own ``file`` if the error came through it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"strategy {use!r}: {error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    what = told(error)
    own = place_of_error(error, frozenset({file}))
    if own is not None:
        return f"strategy {use!r}: {own.file}:{own.line}: {what}"
    frames = traceback.extract_tb(error.__traceback__)
    others = [f for f in frames if f.filename != __file__ and "importlib" not in f.filename]
    if not others:
        return f"strategy {use!r}: {what}"
    return f"strategy {use!r}: {others[-1].filename}:{others[-1].lineno}: {what}"


# ------------------------------------------------------------------------------------- the class


def _class_of(use: str, module: ModuleType, class_name: str) -> type[Strategy]:
    found = getattr(module, class_name, None)
    if found is None:
        names = [kind.__name__ for kind in _strategies_in(module)]
        near = get_close_matches(class_name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it has: {', '.join(names) or 'none'}"
        where = getattr(module, "__file__", None) or "its module"
        raise StrategyLoadError(f"strategy {use!r}: no class {class_name!r} in {where}{hint}")
    return _checked(use, found)


def _only_class_of(use: str, module: ModuleType) -> type[Strategy]:
    found = _strategies_in(module)
    if not found and len(unfinished := _strategies_in(module, abstract=True)) == 1:
        return _checked(use, unfinished[0])  # which says what it lacks
    if len(found) != 1:
        names = ", ".join(kind.__name__ for kind in found) or "none"
        raise StrategyLoadError(
            f"strategy {use!r}: found {len(found)} strategies in the file ({names}), "
            f"expected one, or a name: {use}:Class"
        )
    return _checked(use, found[0])


def _strategies_in(module: ModuleType, *, abstract: bool = False) -> list[type[Strategy]]:
    """Return the strategies, whole or ``abstract``, that ``module`` itself defines, in order."""
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Strategy)
        and inspect.isabstract(kind) is abstract
        and kind.__module__ == module.__name__
    ]


def _checked(use: str, found: Any) -> type[Strategy]:
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise StrategyLoadError(f"strategy {use!r}: found {found!r}, expected a Strategy subclass")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise StrategyLoadError(
            f"strategy {use!r}: {_at(found)}class {found.__name__} lacks {missing}"
        )
    params: Any = found.Params
    if not (isinstance(params, type) and issubclass(params, StrategyParams)):
        raise StrategyLoadError(
            f"strategy {use!r}: {_at(found)}Params of {found.__name__} is {params!r}, "
            "expected a subclass of StrategyParams"
        )
    return found


def _at(kind: type) -> str:
    place = place_of_class(kind)
    return "" if place is None else f"{place.file}:{place.line}: "


def _described(name: str, factory: type[Strategy], source: str) -> LoadedStrategy:
    file = inspect.getsourcefile(factory)
    if file is None:
        raise StrategyLoadError(f"strategy {name!r}: the source of {factory.__name__} is not known")
    path = Path(file).resolve()
    root = root_of(path, factory.__module__)
    found = sources_of(path.read_bytes(), path, root)
    return LoadedStrategy(name, factory, source, found.sha256, found)


def _snake(name: str) -> str:
    """Return ``SmaCross`` as ``sma_cross``, ``RSIBand`` as ``rsi_band``."""
    text = ""
    for place, letter in enumerate(name):
        starts = letter.isupper() and place > 0
        if starts and (name[place - 1].islower() or name[place + 1 : place + 2].islower()):
            text += "_"
        text += letter.lower()
    return text.strip("_")
