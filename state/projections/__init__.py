"""What a person reads after a session: projections of its journal, made with it or later."""

from state.projections.artifacts import CsvArtifacts
from state.projections.summary import FactsInvalid, RunFacts, Summary, run_facts, summary_json
from state.projections.tally import SummaryProjection
from state.projections.timestamps import iso_ms

__all__ = [
    "CsvArtifacts",
    "FactsInvalid",
    "RunFacts",
    "Summary",
    "SummaryProjection",
    "iso_ms",
    "run_facts",
    "summary_json",
]
