"""Log lines carry the clock's time and no secret, wherever they go."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tidegate.logs import LOG_FILE, Logs

AT = 1_700_000_000_123
STAMP = "2023-11-14T22:13:20.123Z"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def installed(stream: io.StringIO, log_format: str = "json") -> Logs:
    logs = Logs(now_ms=lambda: AT, log_format=log_format, stream=stream)
    logs.install()
    return logs


def test_a_line_has_the_time_of_the_clock_that_was_passed_in() -> None:
    """No line carries a time of its own making."""
    stream = io.StringIO()
    installed(stream)

    structlog.get_logger().info("feed_started", symbol="BTC/USDT")

    expected = {
        "timestamp": STAMP,
        "level": "info",
        "event": "feed_started",
        "symbol": "BTC/USDT",
    }
    assert json.loads(stream.getvalue()) == expected


@pytest.mark.parametrize("name", ["api_key", "apiKey", "secret", "password", "auth_token"])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_value_under_a_secrets_name_is_masked(name: str, log_format: str) -> None:
    """However deep it lies, and in both forms."""
    stream = io.StringIO()
    installed(stream, log_format)

    structlog.get_logger().info("asked", **{name: "tide-9f3"}, headers=[{name: "tide-9f3"}])

    assert "tide-9f3" not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_a_configured_secret_is_masked_inside_any_text(tmp_path: Path) -> None:
    """In messages, in fields, in tracebacks, in the lines of libraries, on screen and on disk."""
    stream = io.StringIO()
    logs = installed(stream)
    logs.hide(["hunter2hunter2"])

    with logs.session() as log:
        log.open(tmp_path)
        structlog.get_logger().warning("refused hunter2hunter2", url="x?k=hunter2hunter2&y")
        logging.getLogger("library").warning("sent %s", "hunter2hunter2")
        try:
            raise ValueError("bad key hunter2hunter2")
        except ValueError:
            structlog.get_logger().exception("failed")

    written = stream.getvalue() + (tmp_path / LOG_FILE).read_text()
    assert "hunter2" not in written
    assert "ValueError: bad key ***" in written


def test_a_session_keeps_its_log_as_json_lines(tmp_path: Path) -> None:
    """The file is machine-readable whatever the terminal shows, and holds the session's only."""
    stream = io.StringIO()
    logs = installed(stream, "console")

    structlog.get_logger().info("before")
    with logs.session() as log:
        structlog.get_logger().info("planned")
        log.open(tmp_path / "logs")
        structlog.get_logger().info("during", orders=3)
    structlog.get_logger().info("after")

    lines = (tmp_path / "logs" / LOG_FILE).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["planned", "during"]
    assert f"{STAMP} info     during orders=3" in stream.getvalue()
