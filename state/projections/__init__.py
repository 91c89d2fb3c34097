"""What a person reads after a session: projections of its journal, made with it or later."""

from state.projections.artifacts import CsvArtifacts
from state.projections.rebuild import Projection, project
from state.projections.report_tables import summary_table
from state.projections.session_html import (
    PlotlyScriptMissing,
    write_session_html,
)
from state.projections.session_md import session_md, write_session_md
from state.projections.summary import FactsInvalid, RunFacts, Summary, run_facts, summary_json
from state.projections.tables import Table
from state.projections.tally import SummaryProjection
from state.projections.timestamps import iso_ms

__all__ = [
    "CsvArtifacts",
    "FactsInvalid",
    "PlotlyScriptMissing",
    "Projection",
    "RunFacts",
    "Summary",
    "SummaryProjection",
    "Table",
    "iso_ms",
    "project",
    "run_facts",
    "session_md",
    "summary_json",
    "summary_table",
    "write_session_html",
    "write_session_md",
]
