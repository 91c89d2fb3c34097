"""Every bound of what the whole house shares, with its reason."""

ASIDE_S = 0.02
"""
Longest that one step waits for an order that is on its way, real seconds.

An order is on its way for a millisecond, and its sync on a busy disk for some of them. A reading of
an account is six such steps: even where none of them is let go sooner, it comes 0.12 s later.
"""
