"""Every bound of the journal, with its reason."""

BATCH = 512
"""
Entries of a simulation held in memory before they are passed on: about 200 KB of lines.

Costs per entry are flat from 128 to 4,096 and rise above, where a batch outgrows the caches.
Small ones keep short what is left to write after the last bar.
"""

SETTLE_BYTES = 16 * 1024 * 1024
"""
Bytes after which a simulation's file is sent to the disk while it grows.

Closing files of 60 MB then takes 10 ms, not 50; each step takes about 5 ms.
"""

UNCOMMITTED = 65_536
"""
Entries of a live session that may wait for the disk: about 25 MB.

At 100,000 entries a second, what the disk takes, that is two thirds of a second of backlog: past
it the disk is not keeping up, and refusing a new order is better than deciding on old truth.
"""

COMMIT_ENTRIES = 4096
"""Entries in one commit at most, so that none takes much longer than a sync (about 10 ms)."""

LINGER_S = 0.05
"""Time after which an entry that nobody asked to commit is committed all the same."""

CHECKPOINT_PAGES = 1000
"""Pages of write-ahead log (4 MB) after which a quiet moment is used for a checkpoint."""

CHECKPOINT_PAGES_LATEST = 16_000
"""Pages of write-ahead log (64 MB) after which a checkpoint no longer waits for a quiet moment."""

BUSY_TIMEOUT_S = 5.0
"""Time that a write waits for another process's lock on the file; nobody should hold one."""

SIMULATION_PAGE = 32_768
"""Page size of a simulation's journal: bulk writing costs a quarter less than with 4,096."""

LIVE_PAGE = 4096
"""Page size of a live journal: each commit writes and syncs every page it touches."""

FACTS_KEPT_EVERY = 16_384
"""
Entries between two snapshots of the facts: what a start folds at most, about 0.2 s.

A snapshot is 2 to 4 MB where thousands of orders have ended; the entries between two are 6 to 20.
Making one takes 25 ms of the session's thread.
"""
