"""
Interactive Brokers: known to the configuration, and refused.

There is no way there. A session whose ``[venue] adapter`` is ``ib`` is refused before anything is
opened, with exit code 2 and the text below; nothing is simulated in its place, because a session
that trades somewhere else than it says is worse than none. What a way there would have to bring is
in ``docs/how-to/alpaca.md``.
"""

from __future__ import annotations

from typing import Final

REFUSAL: Final = (
    "[venue] adapter: 'ib' is known and has no way there: it needs a client of the TWS API, a "
    "gateway that runs and is signed in, and order ids that outlive both; expected 'paper', "
    "'virtual', 'ccxt' or 'alpaca' (the last for US shares)"
)
"""What is said to whoever asks for it."""
