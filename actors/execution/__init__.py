"""Execution: the way to the venue and back, in cores that decide and one actor that does."""

from actors.execution.actor import ExecutionActor
from actors.execution.books import Books
from actors.execution.doubt import PLAN, DoubtPlan
from actors.execution.last_look import LastLook
from actors.execution.resolver import DoubtPorts

__all__ = ["PLAN", "Books", "DoubtPlan", "DoubtPorts", "ExecutionActor", "LastLook"]
