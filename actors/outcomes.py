"""How a session may end, and the exit code of each way."""

from __future__ import annotations

COMPLETED = "completed"
HALTED = "halted"
INTERRUPTED = "interrupted"
INPUT_REFUSED = "input_refused"
RISK_HALTED = "risk_halted"
KILLED = "killed"

EXIT_DONE = 0
EXIT_INPUT = 2
EXIT_RISK_HALT = 3
EXIT_KILLED = 4
EXIT_FAULT = 6
EXIT_INTERRUPTED = 130

GOES_ON = frozenset({INTERRUPTED, RISK_HALTED, KILLED})
"""How a session may end that somebody stopped and that can be gone on with: it had no fault."""

EXIT_CODES = {
    COMPLETED: EXIT_DONE,
    INPUT_REFUSED: EXIT_INPUT,
    RISK_HALTED: EXIT_RISK_HALT,
    KILLED: EXIT_KILLED,
    HALTED: EXIT_FAULT,
    INTERRUPTED: EXIT_INTERRUPTED,
}
