"""One example of every message class, made from its declaration alone."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin

import msgspec

from messages import Message, message_types


def concrete_classes() -> list[type[Message]]:
    """Return every message class that can be sent, in order of definition."""
    found = message_types()
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


def example(kind: type[Any], **given: Any) -> Any:
    """Return an instance of a struct with plain values in every field that must have one."""
    values = {
        field.name: value_of(field.type)
        for field in msgspec.structs.fields(kind)
        if field.required or field.name in given
    }
    return kind(**{**values, **{name: given[name] for name in given if name in values}})


def value_of(kind: Any) -> Any:
    """Return a plain value of a type."""
    if get_origin(kind) in (Union, types.UnionType):
        return value_of(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return ()
    if issubclass(kind, Enum):
        return next(iter(kind))
    if issubclass(kind, msgspec.Struct):
        return example(kind)
    plain: dict[type[Any], Any] = {
        str: "x",
        int: 1,
        float: 1.0,
        Decimal: Decimal(1),
        bool: False,
    }
    return plain[kind]
