"""The form of a scenario file: pydantic models, one module per part."""

from scenarios.model.base import format_offset, parse_offset
from scenarios.model.document import Scenario, json_schema

__all__ = ["Scenario", "format_offset", "json_schema", "parse_offset"]
