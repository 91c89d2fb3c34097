"""What a person reads after a session: projections of its journal, made with it or later."""

from state.projections.artifacts import CsvArtifacts
from state.projections.timestamps import iso_ms

__all__ = ["CsvArtifacts", "iso_ms"]
