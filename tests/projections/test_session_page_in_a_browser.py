"""The page as a browser sees it, where one is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from session_makers import STORY_FACTS, story
from test_session_reports import dark_summary, evil_summary

from state.projections import Summary, SummaryProjection, write_session_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_TIME_S = 120
BROWSER_ITSELF = "not an origin"
OWN_PAGES = "source: chrome://"


@pytest.fixture(scope="module")
def browser() -> str:
    """Return the path of a browser, or skip."""
    for name in BROWSERS:
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")


def seen_by(browser: str, page: Path) -> tuple[str, list[str], str]:
    """Return the page's final document, the addresses it asked for, and the browser's console."""
    folder = page.parent
    log = folder / "net.json"
    finished = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={log}",
            "--enable-logging=stderr",
            "--window-size=1280,2400",
            "--virtual-time-budget=10000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        check=False,
        timeout=BROWSER_TIME_S,
    )
    if finished.returncode != 0:
        pytest.skip(f"the browser does not start here: {finished.stderr.decode()[-300:]}")
    addresses = [
        event["params"]["url"]
        for event in json.loads(log.read_text("utf-8"))["events"]
        if isinstance(event.get("params"), dict)
        # What the browser asks for on its own account names no page as its origin.
        and event["params"].get("initiator", BROWSER_ITSELF) != BROWSER_ITSELF
    ]
    document = re.sub(r"<script.*?</script>", "", finished.stdout.decode("utf-8"), flags=re.DOTALL)
    # Without any route, a browser's own pages complain too: only this page's word counts.
    said = [line for line in finished.stderr.decode("utf-8").splitlines() if OWN_PAGES not in line]
    return document, addresses, "\n".join(said)


def page_of(summary: Summary, folder: Path) -> Path:
    """Write a page and return its path."""
    page = folder / "session.html"
    write_session_html(summary, page)
    return page


def test_a_request_would_be_seen(browser: str, tmp_path: Path) -> None:
    """The tests below can fail: a page that does fetch something is found out."""
    page = tmp_path / "session.html"
    page.write_text('<img src="http://example.invalid/a.png">', "utf-8")

    assert "http://example.invalid/a.png" in seen_by(browser, page)[1]


def test_charts_are_drawn_without_a_network(browser: str, tmp_path: Path) -> None:
    """Equity, drawdown, exposure and price with fills are on the page, and nothing was fetched."""
    projection = SummaryProjection()
    projection.write(story())
    projection.set_facts(STORY_FACTS)

    page = page_of(projection.summary(), tmp_path)
    document, addresses, console = seen_by(browser, page)

    assert 'data-drawn="yes"' in document
    for chart, lines in (("account-chart", 3), ("price-chart", 2)):  # 2: one in the legend
        start = document.index(f'id="{chart}"')
        end = document.index("</section>", start)
        drawn = document[start:end]
        assert 'class="main-svg"' in drawn
        assert lines == drawn.count('class="js-line"')
        if chart == "price-chart":
            assert drawn.count('class="point"') > 20
    assert "Share chart" not in document
    assert [] == addresses
    assert "CONSOLE" not in console


def test_holds_and_kills_are_on_the_page(browser: str, tmp_path: Path) -> None:
    """A browser shows the kill's card, each placement's row, and shades the time of each hold."""
    summary = dark_summary()
    document, addresses, console = seen_by(browser, page_of(summary, tmp_path))

    assert 'data-drawn="yes"' in document
    assert 'id="held">Held beyond the end: ' in document
    kill = card(document, "Kill s-1-K1")
    assert "<h3>Stages of s-1-K1</h3>" in kill
    assert 4 + 3 == kill.count("<tr>") - 2  # stages and causes, besides the two heads
    assert "yes, 2024-01-01 01:01:00Z" in kill
    holds = card(document, "Holds and halts")
    assert len(summary.holds) == holds.count("<tr>") - 1
    assert "pause (2)" in holds
    start = document.index('id="account-chart"')
    chart = document[start : document.index("</section>", start)]
    shaded = re.findall(r"fill: rgb\(194, 47, 47\); fill-opacity: 0\.1;", chart)
    assert len(summary.holds) == len(shaded)
    assert [] == addresses
    assert "CONSOLE" not in console


def card(document: str, title: str) -> str:
    """Return the card of that title."""
    start = document.index(f"<h2>{title}</h2>")
    return document[start : document.index("</section>", start)]


def test_names_that_attack_are_shown_as_text(browser: str, tmp_path: Path) -> None:
    """No script, handler or image out of a name comes to life, in tables or in charts."""
    document, addresses, console = seen_by(browser, page_of(evil_summary(), tmp_path))

    assert 'data-drawn="yes"' in document
    assert "<img" not in document
    assert "<a " not in document.replace("<a rel=", "")
    assert "alert(2)" in document
    assert [] == addresses
    assert "CONSOLE" not in console
