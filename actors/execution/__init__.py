"""Execution: the way to the venue and back, in cores that decide and one actor that does."""

from actors.execution.actor import ExecutionActor
from actors.execution.books import Books

__all__ = ["Books", "ExecutionActor"]
