"""Every bound of the runtime, in one place, each with its reason."""

from __future__ import annotations

SYSTEM_LANE_MAX = 64
"""Holds, snapshots and timers per actor; more at once means that somebody loops."""

REDUCE_LANE_MAX = 16_384
"""Acks, fills, cancels. A venue burst of a few thousand is real; past this, truth is lost."""

OPEN_LANE_MAX = 1_024
"""Intents that wait. A strategy a thousand orders ahead of its broker is not in control."""

DATA_LANE_MAX = 4_096
"""Bars, quotes and ticks that wait; past this the newest of a key replaces an older one."""

NEVER_DROPPED_FACTOR = 4
"""Classes that may not be dropped go this many times over the bound, held, before the end."""

DISPATCH_DEPTH_MAX = 64
"""Messages that cause each other within one stimulus; a strategy that answers every refusal with
the same intent is stopped here and not by the interpreter's recursion limit."""

EFFECTS_MAX = 1_024
"""Intents that one call of a strategy may return: an answer without an end must not eat memory."""

INTENTS_PER_MOMENT_MAX = 8_192
"""Intents of one strategy at one session time: answers that breed two answers each are endless too,
however short each chain of them is."""

DEAD_LETTERS_KEPT = 256
"""Dead letters kept in memory for the operator; all are counted and journaled."""

STALL_AFTER_S = 0.5
"""A loop that does not run its timer for this long is stalled: counted, and looked at
by Health."""

CHART_POINTS_MAX = 1_500
"""Points of one sampled series: more than a screen has pixels helps nobody."""

KILL_FIRST_LOOK_MS = 10
"""First pause between two looks of a kill at what is left; each next one is twice as long."""

KILL_LOOK_MS_MAX = 30_000
"""Longest pause between two looks: a venue that comes back is asked within this."""

KILL_CONFIRM_MS = 30_000
"""Without the venue's confirmation for this long a kill is reported as unconfirmed."""

SETTLE_SLICE_S = 0.01
"""How long messages are handled before the event loop has its turn: for commits and answers."""

REMOTE_PATIENCE_S = 15.0
"""How long what a venue elsewhere still has to say is waited for: more than one time out of it."""

LAST_READINGS = 8
"""How often an account is read before the end, where news comes in the middle of each reading."""

STOP_PATIENCE_S = 2.0
"""A session that was asked to end works off what strategies still have to hear for this long."""

LAST_PATIENCE_S = 2.0
"""After that it works off what everybody else has to hear; of a venue elsewhere for this long."""

KILL_FLATTEN_ORDERS_MAX = 64
"""Orders that one kill may send to close one position; what is left then needs a person."""

COMMANDS_WAITING_MAX = 256
"""Commands, and questions, that may wait for one session: past this it does not listen."""

PAUSE_S_MAX = 366 * 86_400
"""Longest pause: what is to last longer is no pause, and its end may be no date at all."""

TEXT_MAX = 500
"""Characters of what somebody gives as a reason, a name or a scope; the rest is left out."""

KILL_GRACE_S = 0.04
"""A kill that the session has not taken for this long interrupts the handler that is running."""

KILL_HANDLER_S = 0.25
"""While a kill is on its way to its end, a strategy's handler that takes this long is stopped."""

KILL_LAST_RESORT_S = 4.0
"""A session that has not taken a kill for this long is ended: a dead process sends nothing."""

SENTINEL_TICK_S = 0.02
"""How often the sentinel looks at the kill file, at kills on their way, and at the loop."""

CHART_KEPT_EVERY = 256
"""Turns after which a live session keeps its charts anew: a crash costs them so many points."""

STATE_EVERY_S = 1.0
"""
Shortest time between two snapshots of a running session in ``state.json``, real seconds.

One costs the loop about a millisecond and a thread two syncs: recent enough to look at.
"""

STATE_HISTORY_EVERY_S = 60.0
"""Shortest time between two snapshots in ``state.jsonl`` while a session runs, real seconds."""

REFUSALS_KEPT = 8
"""Kinds of refusals remembered per symbol, for `explain`; all are journaled."""

RECONCILER_ACTS_MAX = 50
"""Most differences that one look does something about: a venue limits how often it is asked."""

CHECK_PATIENCE_S = 0.25
"""How long the first turn waits for the check of an earlier process's journal: 300,000 entries."""
