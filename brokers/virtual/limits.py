"""Every bound of the virtual venue's broker, each with its reason."""

from __future__ import annotations

from typing import Final

JOBS_MAX: Final = 10_000
"""Most requests that wait; one more has certainly not left, and is told so."""

IN_FLIGHT_MAX: Final = 16
"""Most requests under way at once: more would only wait in the venue instead of here."""

READS_MAX: Final = 3
"""How often a question is asked before it counts as unanswered; questions change nothing."""

RETRY_FIRST_S: Final = 0.05
RETRY_MAX_S: Final = 2.0

NEWS_WAIT_S: Final = 5.0
"""How long a question for news is kept open: also how old the account's word gets when quiet."""

LOOK_S: Final = 0.002
"""How often a wait for quiet looks: at the end of a session, or in a rehearsal at full speed."""

SKEW_MS: Final = 1_000
"""How far the venue's clock may be from the machine's."""
