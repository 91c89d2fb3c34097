"""
Logs: one line per event, to stderr and to files, without secrets.

Every event passes one chain: level, time from the clock that is passed in, redaction, then a
rendering for each place it goes to. Files get JSON lines whatever the terminal shows, so that
they can be searched by field. Events of libraries that use ``logging`` go the same way.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import IO, Any

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from state.atomic import is_disk_error
from tidegate.aside import LogLines
from tidegate.redaction import Redactor

LOG_FILE = "tidegate.log"
WAITING_LINES_MAX = 1_000
"""Lines that wait for a session's folder: far more than a start ever says."""
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50, "exception": 40}


class Logs:
    """Where log events go. One object per process, closed at its end."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        log_format: str = "console",
        shown_from: str = "info",
        stream: IO[str] | None = None,
    ) -> None:
        self._now_ms = now_ms
        self._shown_from = _LEVELS[shown_from]
        self._stream = stream
        self._aside = LogLines()
        self._render = _json_line if log_format == "json" else _console_line
        self._redactor = Redactor()
        self._session: SessionLog | None = None
        self._lock = threading.RLock()

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
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            cache_logger_on_first_use=False,
        )
        root = logging.getLogger()
        root.handlers = [_Forward(self)]
        root.setLevel(logging.WARNING)

    def hide(self, secrets: list[str]) -> None:
        """Keep these texts out of every line from now on."""
        self._redactor = Redactor(secrets)

    @contextmanager
    def session(self) -> Iterator[SessionLog]:
        """Keep every event for a session's log while the block runs, until it is told where."""
        log = SessionLog()
        self._session = log
        try:
            yield log
        finally:
            self._session = None
            log.close()

    def emit(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Write one event; its time is the clock's."""
        line = log_event(self._now_ms(), self._redactor, level, event, fields)
        with self._lock:  # threads log too: a line is whole, whoever else writes
            if self._session is not None:
                trouble = self._session.write(_json_line(line) + "\n")
                if trouble is not None:
                    self.emit("error", "session_log_ends", {"error": str(trouble)})
            if _LEVELS.get(level, logging.ERROR) >= self._shown_from:
                self._show(self._render(line) + "\n")

    def _show(self, text: str) -> None:
        if self._stream is None:
            self._aside.show(text)
        else:
            self._stream.write(text)

    def _write(self, _logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        fields = dict(event_dict)
        level = str(fields.pop("level", method))
        self.emit(level, str(fields.pop("event", "")), fields)
        raise structlog.DropEvent


class SessionLog:
    """
    The log file in a session's folder.

    The folder is known and made only when the session starts: what is said before waits in
    memory, the newest lines of it. A log is for people, and the journal is the truth: where the
    disk takes no more, the log ends there and the session does not.
    """

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=WAITING_LINES_MAX)
        self._file: FileIO | None = None
        self._ended = False

    def open(self, folder: Path) -> OSError | None:
        """Write to the log file in ``folder`` from now on, first what has waited; see ``write``."""
        if self._file is not None or self._ended:
            return None
        waiting = "".join(self._waiting)
        self._waiting.clear()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(folder / LOG_FILE, "a")
        except OSError as error:
            return self._end(error)
        return self.write(waiting)

    def write(self, text: str) -> OSError | None:
        """Write whole lines, at once if there is a file; return why nothing is written any more."""
        if self._ended:
            return None
        if self._file is None:
            self._waiting.append(text)
            return None
        try:
            rest = memoryview(text.encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            return self._end(error)
        return None

    def close(self) -> None:
        """Close the file; lines that never had one are dropped."""
        if self._file is not None:
            self._file.close()

    def _end(self, error: OSError) -> OSError:
        if not is_disk_error(error):
            raise error
        self._ended = True
        return error


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
    if isinstance(value, str) and value and not any(mark in value for mark in ' "=\n'):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
