"""Every bound of the projections, each with its reason. A report stays readable and memory flat."""

from __future__ import annotations

CACHED_TIMES_MAX = 4_096
"""Timestamps whose text is remembered: one batch of the journal repeats few of them."""

WAITING_ROWS_MAX = 8_192
"""Finished rows of ``orders.csv``, and of ``intents.csv``, kept in memory behind an unfinished one:
about 2 MB each; more of them wait in a file."""

TRIP_PLANS_MAX = 16
"""Plans named in one row of ``round_trips.csv``; a strategy may hand in a new one at every bar."""

PARKED_PIECE_BYTES = 1 << 20
"""Rows that waited in a file come back in pieces of about this size."""

SERIES_POINTS_MAX = 2_000
"""Points of one line: more than a screen has columns."""

QUOTE_AGE_MS_MAX = 5_000
"""A shadow's fill is compared with a quote of this age at most: an older one is not the market."""

EXPOSURE_POINTS_MAX = 500
"""Points of the exposure chart: each values every position, so there are fewer of them."""

FILL_MARKERS_MAX = 400
"""Buys marked in one price chart, and as many sells: beyond that the markers hide the price."""

CHART_SYMBOLS_MAX = 40
"""Symbols that get a price chart, in order of their first appearance: bounds the page's size."""

HOLDS_MAX = 500
"""Placements of holds listed one by one, the first ones, and beyond them those in force and those
that were latched; the others are counted by kind."""

HOLD_KINDS_MAX = 50
"""Kinds of holds told apart among those that are only counted: above what the code has."""

KILLS_MAX = 20
"""Kills told one by one, the first ones and the newest; each was lifted by a person's command."""

KILL_CAUSES_MAX = 50
"""Holds listed as in force at a kill, the first ones and all that are latched."""

KILL_STAGES_MAX = 32
"""Stages listed of a kill: there are eight, and adding `flatten` goes through six of them again."""

EVIDENCE_MAX = 100
"""Orders, and positions, listed as left by a kill; all are counted."""

COMMANDS_MAX = 200
"""Commands listed one by one, the first half of them and the newest; all are counted."""

BREACH_KINDS_MAX = 100
"""Kinds of (limit, consequence) told apart: above what the registry of guards has."""

TOOLS_MAX = 100
"""Tools told apart by what failed; further ones are counted together."""

OPENINGS_MAX = 200
"""Openings of circuits listed one by one, the first half of them and the newest."""

STALE_SYMBOLS_MAX = 200
"""Symbols told apart by their stale times; further ones are counted together."""

INCIDENTS_MAX = 200
"""Failures, restarts, quarantines and escalations listed one by one, the first ones."""

DEAD_LETTER_KINDS_MAX = 100
"""Kinds of dead letters told apart; those of further kinds are counted together."""

REASON_KINDS_MAX = 200
"""Kinds of (stage, code) told apart: above the number of codes there are."""

TEXT_MAX = 300
"""Characters of a message shown in a report; the journal has all of them."""

REBUILD_BATCH = 4_096
"""Entries of a stored journal held in memory at a time: about 2 MB."""

PIPE_BATCHES = 64
"""Batches on their way to the projections' process: a few megabytes, enough for its start."""

BEHIND_ENTRIES_TOLD = 10_000
"""Entries that the projections' process is behind by when the log says so: more than its start, or
a burst, puts it behind; and nothing is lost by it."""

ABANDON_S = 30.0
"""How long a process of projections that nobody needs any more may take to end by itself: it closes
its files. Past it it is stuck, and is ended; the next start makes the files anew."""

KILLED_S = 5.0
"""How long a process of projections may take to be gone once it was ended. Past it a disk has it,
and it is left: whoever waited for that disk would wait as long."""

STILL_S = 120.0
"""How long the projections' process may do nothing at all while the session waits for its files: a
disk that takes longer for one write is taken for one that does not answer. What it takes while it
works has no bound: that grows with the session."""

LOOK_S = 0.5
"""How often whoever waits for the projections' process looks whether it has moved."""

WORK_S = 0.001
"""Time of a processor that is work: more than what it costs to look, less than one batch takes."""

WORKS_S = 5.0
"""How often the projections' process says that it has worked since it last said so: much more often
than ``STILL_S``, and seldom enough to cost nothing."""

AHEAD_BYTES = 64 << 20
"""Lines that the projections' process holds while it reads the journal: what a session writes in
minutes. Past it the pipe is full, and what has no room in it is read from the journal too."""
