"""Walk the settings model: what type a key has, and which key was probably meant."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the settings model of the table at ``location``, None where there is none."""
    current: Any = model
    for part in location:
        annotation = _step(current, part)
        if annotation is None:
            return None
        current = annotation
    return _as_model(current)


def annotation_at(model: type[BaseModel], key: Sequence[str]) -> tuple[Any, bool]:
    """
    Return the annotation of ``key`` (None for an unknown one).

    The second value tells whether the key lies inside a free table, where any name goes.
    """
    current: Any = model
    for part in key:
        if _is_free(current):
            return None, True
        current = _step(current, part)
        if current is None:
            return None, False
    return current, False


def is_structured(annotation: Any) -> bool:
    """Tell whether a value of this type is a list or a table."""
    return any(
        _as_model(member) is not None
        or (get_origin(member) or member) in {list, tuple, dict, set, frozenset}
        for member in _members(annotation)
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the name that was probably meant, or nothing."""
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""


def _step(current: Any, part: str | int) -> Any:
    for member in _members(current):
        if isinstance(part, int):
            if (get_origin(member) or member) in {list, tuple} and get_args(member):
                return get_args(member)[0]
            continue
        kind = _as_model(member)
        if kind is not None and part in kind.model_fields:
            field = kind.model_fields[part]
            return field.annotation
    return None


def _is_free(annotation: Any) -> bool:
    return any((get_origin(m) or m) in {dict, Mapping} for m in _members(annotation))


def _members(annotation: Any) -> list[Any]:
    """Return the alternatives of a union, its annotations taken off."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        return [m for part in get_args(annotation) for m in _members(part)]
    return [annotation]


def _as_model(annotation: Any) -> type[BaseModel] | None:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None
