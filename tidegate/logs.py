"""
Logs: one line per event, to stderr and to files, without secrets.

Every event passes one chain: level, time from the clock that is passed in, redaction, then a
rendering for each place it goes to. Files get JSON lines whatever the terminal shows, so that
they can be searched by field. Events of libraries that use ``logging`` go the same way.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from tidegate.redaction import Redactor

LOG_FILE = "tidegate.log"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50, "exception": 40}


class Logs:
    """Where log events go. One object per process, closed at its end."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        log_format: str = "console",
        level: str = "info",
        stream: IO[str] | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._threshold = _LEVELS[level]
        self._stream = stream
        self._render = _json_line if log_format == "json" else _console_line
        self._redactor = Redactor()
        self._files: list[IO[str]] = []

    def install(self) -> None:
        """Make this the place of all logs of the process."""
        chain: list[Processor] = [
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            self._write,
        ]
        structlog.configure(
            processors=chain,
            wrapper_class=structlog.make_filtering_bound_logger(self._threshold),
            cache_logger_on_first_use=False,
        )
        root = logging.getLogger()
        root.handlers = [_Forward(self)]
        root.setLevel(max(self._threshold, logging.WARNING))

    def hide(self, secrets: list[str]) -> None:
        """Keep these texts out of every line from now on."""
        self._redactor = Redactor(secrets)

    @contextmanager
    def also_to(self, folder: Path) -> Iterator[Path]:
        """Write every event to the log file in ``folder`` too, while the block runs."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOG_FILE
        with path.open("a", encoding="utf-8") as file:
            self._files.append(file)
            try:
                yield path
            finally:
                self._files.remove(file)

    def emit(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write one event; its time is the clock's."""
        line = log_event(self._now_ms(), self._redactor, level, event, fields)
        for file in self._files:
            file.write(_json_line(line) + "\n")
            file.flush()
        stream = self._stream or sys.stderr
        stream.write(self._render(line) + "\n")

    def _write(self, _logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        fields = dict(event_dict)
        level = str(fields.pop("level", method))
        self.emit(level, str(fields.pop("event", "")), fields)
        raise structlog.DropEvent


class _Forward(logging.Handler):
    """Brings the events of libraries into our chain."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = logging.Formatter().formatException(record.exc_info)
        self._logs.emit(record.levelname.lower(), record.getMessage(), fields)


def log_event(
    at: int, redactor: Redactor, level: str, event: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return an event of time ``at`` (int ms UTC) as it may be written: without secrets."""
    stamp = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
    opening = {"timestamp": stamp.replace("+00:00", "Z"), "level": level, "event": event}
    return redactor.event({**opening, **fields})


def write_event(
    file: IO[str], at: int, redactor: Redactor, level: str, event: str, fields: Mapping[str, Any]
) -> None:
    """Append one event to a log file, as a JSON line."""
    file.write(_json_line(log_event(at, redactor, level, event, fields)) + "\n")


def _json_line(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _console_line(line: Mapping[str, Any]) -> str:
    fields = dict(line)
    opening = f"{fields.pop('timestamp')} {fields.pop('level'):<8} {fields.pop('event')}"
    exception = fields.pop("exception", None)
    text = " ".join([opening, *(f"{name}={_field(value)}" for name, value in fields.items())])
    return text if exception is None else f"{text}\n{exception}"


def _field(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
