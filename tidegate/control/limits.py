"""Every bound of the control plane, in one place, each with its reason."""

from __future__ import annotations

BODY_BYTES_MAX = 16_384
"""A command is a few hundred bytes; its reason may be a paragraph."""

REASON_CHARS_MAX = 2_000
"""A reason is kept with its hold, in the journal and in every report: a paragraph, not a file."""

HEADER_LINE_BYTES_MAX = 4_096
"""A target, a token, a host: nothing of ours is near this."""

HEADERS_MAX = 64
"""Headers of one request; browsers send some twenty."""

CONNECTIONS_MAX = 64
"""
Open connections of each of the two listeners. Every one is a file of the process, and the journal
and the register need theirs: whoever opens connections without end must not get there.
"""

READS_MAX = 16
"""Reads answered at a time. Each may wait for the session; more would only wait longer."""

COMMANDS_MAX = 16
"""Commands taken at a time, apart from the reads: those cannot keep a kill waiting."""

REQUEST_S = 5.0
"""A client that has not sent its request for this long has gone, or means no good."""

KEEP_ALIVE_S = 15.0
"""How long a connection may be silent between two requests."""

ASK_S = 0.7
"""How long a read waits for the session: with it, `status` answers within a second, always."""

COMMAND_S = 3.0
"""How long a command's answer waits for the session; past it the answer is: on its way."""

LATCHING_MAX = 4
"""Threads that may wait for a hanging disk, each to latch a kill."""

TICKETS_KEPT = 64
"""Commands on their way whose answer can be asked for later."""

WATCH_TICK_S = 0.25
"""How often the watch looks at the session's pulse."""

FACTS_EVERY_S = 1.0
"""How often the watch asks for the facts that are shown, with their age, when nobody answers."""

HEARTBEAT_LOG_S = 60.0
"""One line a minute: a log in which nothing happens still says that it is alive."""

KILLS_KEPT = 16
"""Kills whose steps and report can be asked for; the journal has all."""

START_S = 10.0
"""How long the control plane's thread may take to listen."""

STOP_S = 5.0
"""How long its last answers may take when the daemon ends."""

ALIVE_EVERY_S = 86_400.0
"""One notice a day that the daemon lives: whoever does not get it knows that it does not."""

NOTICES_WAITING_MAX = 256
"""Lines of notices that wait to be sent; the newest matter, the oldest make room."""

NOTICE_LINES_MAX = 20
"""Lines of one notice: what fits a telephone."""

NOTICES_EVERY_S = 2.0
"""Pause between two notices: chat servers refuse who writes faster."""

NOTICE_RETRIES_S = (2.0, 10.0)
"""Pauses before a notice that did not arrive is tried again; then it is dropped and counted."""
