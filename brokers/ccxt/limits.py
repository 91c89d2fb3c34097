"""Every bound of the ccxt broker, each with its reason."""

from __future__ import annotations

from typing import Final

JOBS_MAX: Final = 10_000
"""Most requests that wait in a lane; one more has certainly not left, and is told so."""

WORKERS: Final = {"cancel": 4, "reduce": 4, "create": 8, "read": 4}
"""Requests under way at once, by lane: each has its own, so that none waits for another's."""

READS_MAX: Final = 3
"""How often a question is asked before it counts as unanswered; questions change nothing."""

RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0

CALM_S: Final = 1.0
"""How long nobody goes after a rate limit that does not say for how long."""

ORDERS_KEPT_MAX: Final = 20_000
"""Orders that are over and still known by id; older ones are asked for anew."""

RAW_WAITING_MAX: Final = 100_000
"""Most messages of the stream that wait to be read: some minutes of a storm."""

ACCOUNT_SOON_S: Final = 0.2
"""How long after news the account is asked for: several fills of a moment are one question."""

ACCOUNT_CALM_S: Final = 1.0
"""The same once a good part of the allowance is used: questions about orders need it more."""

ACCOUNT_SHARE: Final = 0.3
"""What part of the allowance that is."""

FUNDING_EVERY_S: Final = 60.0
"""How often payments are asked for: they come every few hours, and the question is dear."""

ACCOUNT_MISSES_MAX: Final = 4
"""After so many times without an answer the word about the account is too old to be one."""

ACCOUNT_TRIES_MAX: Final = 5
"""How often the account is read anew because news came in the middle of it."""

ALONE_MAX_S: Final = 2.0
"""For how long at most the account waits to be read while the venue wants to be left alone: a ban
may last for days, and the end of a session reads it once more."""

STREAM_WAIT_S: Final = 10.0
"""How long an order that opens waits for the private stream to be up."""

CHECK_AFTER_S: Final = 1.0
"""How long fills that a reply counts may take on the stream before they are asked for."""

CLOCK_EVERY_S: Final = 600.0
"""How often the venue's clock is compared with ours: quartz drifts by seconds a day."""

RULES_EVERY_S: Final = 3_600.0
"""How often a market's rules are read anew: venues announce changes days before, and make few."""

RULES_JITTER: Final = 0.25
"""By what part of that a reading comes earlier or later."""

RULES_AGAIN_S: Final = 30.0
"""How long after a reading a doubt about the rules waits: a refusal may have other reasons."""

LISTING_ROUNDS_MAX: Final = 20
"""How often a reading of the markets may ask something that follows from the answers before."""

SKEW_MS: Final = 1_000
"""How far the venue's clock may be from ours after it was compared."""

READ_LAG_MS: Final = 2_000
"""How long a venue's own copies may need to agree on an order."""

ABSENT_TWICE: Final = 2
"""How often in a row an order must not be known before that is believed."""

UNLISTED_MAX: Final = 60
"""How often an order is asked for whose trades are not listed; some never are, forced ones above
all: what is missing then is the account's to show."""

TRADES_PAGES_MAX: Final = 40
"""Most pages of trades that are read of one symbol in one go."""

TRADES_SPANS_MAX: Final = 27
"""Most stretches of one list of trades: by the week, half a year, which is what venues remember."""

TRADES_REMEMBERED: Final = 16_384
"""Newest trades that are known by id; an older one that is told again is counted again."""

TRADES_OVERLAP_MS: Final = 60_000
"""How far behind its watermark a list of trades begins: venues list them late."""

LOOK_S: Final = 0.01
"""How often a wait for the stream looks."""

UNALTERED_MAX: Final = 1_000
"""Amounts and prices of which it is remembered that ccxt leaves them as they are."""

CLOSING_S: Final = 5.0
"""How long the end of a session waits for the venue's timer to be stopped: it may be left alone."""

DEAD_MAN_MIN_S: Final = 10
"""Span of the venue's timer below which is warned: in a shorter one a stall of the machine or its
disk lets it run out, and where each symbol has one that weighs ten, putting them off takes much of
what there is."""

DEAD_MAN_TIMEOUTS: Final = 4
"""How many time-outs of a request it should be: put off every third of it, one question may be
lost, to the end of its time-out, and the next one take as long, before it runs out."""
