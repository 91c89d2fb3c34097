"""Decisions: the contract of a strategy and those that ship. Knows no actor and no broker."""
