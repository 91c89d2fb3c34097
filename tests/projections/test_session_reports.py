"""session.md and session.html: complete, the same every time, and safe with any name in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace
from safety_makers import dark_day, evidence, hold, kill_hold
from session_makers import STORY_FACTS, T0, Tape, d, story

from messages import (
    BreachAction,
    Cause,
    CircuitOpened,
    CommandRefused,
    CommandVerb,
    DataStale,
    HoldLifted,
    HoldPlaced,
    KillStage,
    KillStep,
    MarketSampled,
    Message,
    OperatorCommand,
    ReasonCode,
    RiskBreached,
    Scope,
    SessionStarted,
    Side,
)
from state.projections import (
    PlotlyScriptMissing,
    Summary,
    SummaryProjection,
    session_md,
    write_session_html,
    write_session_md,
)
from state.projections import session_html as page_module
from state.projections.report_text import amount, moment, percent, price, short
from state.projections.session_html import plotly_script

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u2028"
    "&amp;'\"`|[x](javascript:1)"
)


def story_summary(**facts: object) -> Summary:
    """Return the summary of the eventful day."""
    projection = SummaryProjection()
    projection.write(story())
    projection.set_facts({**STORY_FACTS, **facts})
    return projection.summary()


def evil_summary() -> Summary:
    """Return a summary in which everything that a user can name is an attack."""
    tape = Tape(strategy=EVIL, symbol=EVIL)
    tape.add(SessionStarted("s", T0, EVIL, EVIL, 1))
    tape.market(Side.BUY, "1", "100")
    tape.deny(tape.intent(order_id=EVIL), Cause(ReasonCode.HELD, EVIL))
    tape.add(MarketSampled(EVIL, ((T0, 100.0), (T0 + 1, 101.0))))
    tape.add(*evil_safety())
    projection = SummaryProjection()
    projection.write(tape.entries())
    projection.set_facts({"data": {EVIL: EVIL}, "symbols": [EVIL], "notes": [EVIL]})
    return projection.summary()


def evil_safety() -> list[Message]:
    """Return a kill and what goes with it, as an attacker would name them."""
    scope = Scope(symbol=EVIL)
    placed = hold(EVIL, scope=scope, cause=EVIL, set_by=EVIL)
    killed = kill_hold(cause=EVIL, set_by=EVIL)
    command = OperatorCommand("operator", T0, EVIL, CommandVerb.PAUSE, EVIL, EVIL, scope)
    return [
        command,
        CommandRefused("operator", T0, EVIL, CommandVerb.PAUSE, EVIL, EVIL),
        HoldPlaced(placed),
        HoldLifted(placed, EVIL, EVIL, T0),
        HoldPlaced(killed),
        KillStep("kill", T0, EVIL, KillStage.LATCHED, 0, 0, EVIL),
        evidence(kill_id=EVIL, cause=EVIL, by=EVIL, open_orders=(EVIL,), positions=(EVIL,)),
        RiskBreached("risk", T0, EVIL, BreachAction.HALT, Cause(ReasonCode.HELD, EVIL)),
        CircuitOpened("health", T0, EVIL, EVIL, 5, 1, T0 + 1),
        DataStale("health", T0, EVIL, 1, 1),
    ]


def page_without_library(summary: Summary, path: Path) -> str:
    """Write the page and return it without the plotting library's text."""
    write_session_html(summary, path)
    page = path.read_bytes()
    library = plotly_script().read_bytes()
    assert 1 == page.count(library)
    return page.replace(library, b"/* library */").decode("utf-8")


class Elements(HTMLParser):
    """Collects elements, and the text of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data


def parsed(page: str) -> Elements:
    """Return the page's elements."""
    elements = Elements()
    elements.feed(page)
    elements.close()
    return elements


def test_markdown_tells_what_ran_what_came_out_and_what_was_held() -> None:
    """Every section stands, with the identity of the run and each hold's trigger."""
    text = session_md(story_summary())

    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [
        "Result",
        "Strategies",
        "Execution",
        "Round trips",
        "Open positions",
        "Holds and halts",
        "Refused and ended orders",
        "Incidents",
        "Actors that failed or restarted",
        "Dead letters",
        "Gaps in the data",
        "What ran",
        "Where to look next",
    ] == headings
    for expected in (
        "# Session replay-1f3c9a2e\n",
        "Replay: completed (exit code 0, done).",
        "- Seed: 42\n",
        f"sha256 {STORY_FACTS['config_sha256']}",
        "binance_spot_BTCUSDT_1m_202412.csv.gz: sha256 9645d008",
        "| h2 | 2024-01-01 15:00:00Z | max_daily_loss | refuse | strategy trend | risk |",
        "data is fresh again",
        "| denied | cash_insufficient |",
        "`orders.csv`: every order with its end and the reason for it",
        "- Bars: 4,320\n",
    ):
        assert expected in text


def test_synthetic_data_is_labelled_in_both_reports(tmp_path: Path) -> None:
    """Nobody can take a generated market for a recorded one."""
    label = "SYNTHETIC DATA"
    synthetic, recorded = story_summary(synthetic=True), story_summary()

    assert label in session_md(synthetic)
    assert label in page_without_library(synthetic, tmp_path / "a.html")
    assert label not in session_md(recorded)
    assert label not in page_without_library(recorded, tmp_path / "b.html")


def test_reports_do_not_depend_on_when_or_where_a_session_ran(tmp_path: Path) -> None:
    """Wall time, speed and folder change no byte; nor does the order of hashing."""
    here = story_summary()
    there = story_summary(wall_s=99.0, load_s=3.0, bars_per_s=1.0, folder="/elsewhere")
    for name, summary in (("here", here), ("there", there)):
        write_session_md(summary, tmp_path / f"{name}.md")
        write_session_html(summary, tmp_path / f"{name}.html")

    assert (tmp_path / "here.md").read_bytes() == (tmp_path / "there.md").read_bytes()
    assert (tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()

    program = (
        "import sys; from pathlib import Path; from test_session_reports import *\n"
        "write_session_md(story_summary(), Path(sys.argv[1], 'hash.md'))\n"
        "write_session_html(story_summary(), Path(sys.argv[1], 'hash.html'))\n"
        "assert 'plotly' not in sys.modules, 'importing plotly costs more than the page'\n"
    )
    for seed in ("0", "12345"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE))),
        }
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], check=True, env=environment, cwd=ROOT
        )
        for suffix in ("md", "html"):
            assert (tmp_path / f"here.{suffix}").read_bytes() == (
                tmp_path / f"hash.{suffix}"
            ).read_bytes()


def test_no_name_becomes_markup_in_the_page(tmp_path: Path) -> None:
    """Whatever users name, the page has its own elements and scripts only, and shows the text."""
    page = page_without_library(evil_summary(), tmp_path / "session.html")
    found = parsed(page)
    tags = [tag for tag, _ in found.elements]

    assert 3 == tags.count("script") == len(found.scripts)
    assert "img" not in tags
    assert not [name for _, names in found.elements for name in names if name.startswith("on")]
    assert EVIL.split("\u2028", maxsplit=1)[0] in found.text
    data = json.loads(found.scripts[0])
    assert EVIL == data["symbols"][0]["symbol"]
    assert EVIL == data["symbols"][0]["fills"][0][4]


def test_the_page_forbids_requests_and_foreign_scripts(tmp_path: Path) -> None:
    """The policy allows no source but the page itself; its scripts carry a nonce of its content."""
    pages = [
        page_without_library(summary, tmp_path / "session.html")
        for summary in (story_summary(), evil_summary())
    ]
    nonces = []
    for page in pages:
        found = parsed(page)
        (policy,) = (
            attributes["content"] or ""
            for tag, attributes in found.elements
            if tag == "meta" and "http-equiv" in attributes
        )
        (nonce,) = re.findall(r"script-src 'nonce-([0-9a-f]{32})'", policy)
        nonces.append(nonce)
        scripts = [attributes for tag, attributes in found.elements if tag == "script"]

        assert policy.startswith("default-src 'none'; ")
        assert "unsafe-eval" not in policy
        assert [None, nonce, nonce] == [script.get("nonce") for script in scripts]
        names = {name for _, attributes in found.elements for name in attributes}
        assert names.isdisjoint({"src", "href", "srcset", "action"})
    assert nonces[0] != nonces[1]


def test_no_name_becomes_markup_in_markdown() -> None:
    """Tags, links, code and table bars are escaped, and every table keeps its columns."""
    text = session_md(evil_summary())

    assert "<script" not in text.replace("\\<", "")
    assert "](javascript" not in text.replace("\\]", "")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert 1 == len(widths), block


def test_a_session_in_which_nothing_happened_has_reports(tmp_path: Path) -> None:
    """No account, no orders, no charts: still a page and a text."""
    summary = SummaryProjection().summary()
    write_session_md(summary, tmp_path / "session.md")
    page = page_without_library(summary, tmp_path / "session.html")

    assert "not ended: the journal stops here" in (tmp_path / "session.md").read_text("utf-8")
    assert 'id="account-chart"' not in page
    assert 'id="price-chart"' not in page


def dark_summary() -> Summary:
    """Return the summary of the day that ended in a kill."""
    projection = SummaryProjection()
    projection.write(dark_day().entries())
    return projection.summary()


def test_the_page_tells_a_kill_and_what_is_held_before_anything_else(tmp_path: Path) -> None:
    """The sentence on top, a card of the kill with its tables, a tile, and each hold's row."""
    page = page_without_library(dark_summary(), tmp_path / "session.html")
    text = parsed(page).text

    order = [
        "Held beyond the end: stale:ETH/USDT, risk:max_drawdown_pct, kill.",
        "Kill s-1-K1",
        "Stages of s-1-K1",
        "Held at s-1-K1",
        "Holds and halts",
        "in force; it outlives the session",
        "Breached limits",
        "Commands",
        "refused: a pause needs an end",
        "Circuits",
        "Stale data",
    ]
    places = [text.index(part) for part in order]
    assert sorted(places) == places
    assert "the newest confirmed by the venue" in text


def test_a_hold_is_shaded_for_the_time_that_this_session_was_held(tmp_path: Path) -> None:
    """An earlier session's hold begins where this one does; what was lifted ends there."""
    page = page_without_library(dark_summary(), tmp_path / "session.html")
    held = json.loads(parsed(page).scripts[0])["holds"]

    assert {"since": T0 + 20 * 60_000, "lifted": T0 + 25 * 60_000} == held[0]
    assert {"since": T0 + 60 * 60_000, "lifted": None} == held[-1]


def test_a_missing_plotting_script_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file and the package, and no half page is left."""
    monkeypatch.setattr(page_module, "find_spec", lambda name: None)

    with pytest.raises(PlotlyScriptMissing, match=r"plotly\.min\.js of the package plotly"):
        write_session_html(story_summary(), tmp_path / "session.html")
    assert [] == list(tmp_path.iterdir())


def test_symbols_share_one_chart_with_a_selector(tmp_path: Path) -> None:
    """Each charted symbol can be chosen; those left out are counted."""
    summary = story_summary()
    page = page_without_library(summary, tmp_path / "a.html")
    more = replace(summary, charts=replace(summary.charts, symbols_total=60))

    assert 3 == page.count("<option>")
    assert "57 more symbols are not charted" in page_without_library(more, tmp_path / "b.html")


def test_numbers_are_written_for_people() -> None:
    """Grouped, rounded half to even, without minus zero; times to the second where exact."""
    assert ["1,234.57", "-0.12", "0.00", "+3.00", "0.00", "-"] == [
        amount(d("1234.565000001"), 2),
        amount(d("-0.125"), 2),
        amount(d("-0.001"), 2),
        amount(d(3), 2, signed=True),
        amount(d("0.004"), 2, signed=True),
        amount(None, 2),
    ]
    assert ["45,000", "0.00000001", "-2.5", "0"] == [
        price(d("4.5E+4")),
        price(d("1E-8")),
        price(d("-2.50")),
        price(d("-0.0")),
    ]
    assert ["+1.25%", "0.00%", "12.35%", "-"] == [
        percent(d("0.0125"), signed=True),
        percent(-0.000001),
        percent(0.123456),
        percent(None),
    ]
    assert ["2024-01-01 00:00:00Z", "2024-01-01 00:00:00.001Z", "-"] == [
        moment(T0),
        moment(T0 + 1),
        moment(None),
    ]
    assert "one two" == short(" one\n\ttwo ")
    assert 300 == len(short("x" * 1_000))
