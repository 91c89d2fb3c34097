"""From what a scenario tells an actor to the message itself."""

from __future__ import annotations

from difflib import get_close_matches

import msgspec

from messages import Message, message_types
from scenarios.errors import ScenarioError
from scenarios.model.steps import Tell
from scenarios.sight import resolved

MESSAGES: dict[str, type[Message]] = {kind.__name__: kind for kind in message_types()}


def decoded(tell: Tell, where: str, start_ms: int, number: int = 1) -> Message:
    """Return the nth message that ``tell`` describes, or raise one clear ``ScenarioError``."""
    kind = MESSAGES.get(tell.message)
    if kind is None:
        near = get_close_matches(tell.message, MESSAGES, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ScenarioError(
            f"{where}.message: found {tell.message!r}, expected a message's class{hint}"
        )
    fields = {
        name: value.replace("{n}", str(number)) if isinstance(value, str) else value
        for name, value in resolved(tell.fields, start_ms).items()
    }
    unknown = [name for name in tell.fields if name not in kind.__struct_fields__]
    if unknown:
        raise ScenarioError(
            f"{where}.fields.{unknown[0]}: unknown field of {tell.message}; "
            f"it has: {', '.join(kind.__struct_fields__)}"
        )
    try:
        return msgspec.convert({"type": tell.message, **fields}, kind, strict=False)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$", "`").replace("Object ", "")
        raise ScenarioError(f"{where}.fields: {tell.message}: {text}") from error
