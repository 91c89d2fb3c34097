"""
Exact decimal arithmetic for money, and the one place where a quotient is rounded.

Money is ``Decimal`` from the moment an intent is formed. Sums, differences and products of
decimals are exact as long as the context has room for every digit; 76 is room for a quantity
of 18 decimals times a price of 17 significant digits times a fee rate, with twenty digits to
spare. Quotients are different: one third has no last digit. So there is one function that
divides, ``ratio``, its rounding is written down, and nothing that must balance is made by it.

Two contexts share the precision. ``EXACT`` is a thread's ordinary context: a strategy may
divide under it. ``STRICT`` raises ``decimal.Inexact`` in the very operation that would drop a
digit; the ledger works under it, so an inexact sum cannot pass unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    localcontext,
    setcontext,
)
from functools import wraps
from math import isfinite
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

ZERO = Decimal(0)
BASIS_POINT = Decimal("0.0001")

DIGITS = 76
"""Significant digits of exact arithmetic: see the module's docstring for what they hold."""

RATIO_DIGITS = 28
RATIO_QUANTUM = Decimal("1e-12")
"""A quotient is reported to twelve decimals: finer than any venue's price or currency."""

FINEST_STEP = Decimal("1e-18")
"""Grid of prices and quantities where an instrument sets none; finer than any venue's."""

EXACT = Context(
    prec=DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)
STRICT = Context(
    prec=DIGITS,
    rounding=ROUND_HALF_EVEN,
    traps=[InvalidOperation, DivisionByZero, Overflow, Inexact],
)
_RATIO = Context(
    prec=RATIO_DIGITS, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)


def use_exact_context() -> None:
    """
    Make ``EXACT`` the decimal context of this thread and of every task it starts from now on.

    A copy of it: whoever sets its rounding or its traps does not set them for ``ratio``.

    Call it before the event loop makes its first task: a task keeps the context it was born with.
    """
    setcontext(EXACT.copy())


def apart(work: Callable[P, T]) -> Callable[P, T]:
    """
    Return ``work`` with a decimal context of its own at every call: what it sets, it sets there.

    For code that is not ours. ccxt's rounding sets the rounding and the traps of whatever context
    it finds; that would be ``EXACT`` itself, and every quotient of ours rounded up ever after.
    """

    @wraps(work)
    def isolated(*args: P.args, **named: P.kwargs) -> T:
        with localcontext(Context()):
            return work(*args, **named)

    return isolated


def plain(d: Decimal) -> str:
    """Return ``d`` as fixed-point text, never with an exponent; every zero is ``0``."""
    if not d:
        return "0"
    text = str(d)
    return text if "E" not in text else format(d, "f")


def ratio(n: Decimal, d: Decimal) -> Decimal:
    """
    Return ``n / d`` to 28 significant digits, then 12 decimals, without trailing zeros.

    Both roundings are half to even. The result never has a positive exponent, so its text has
    none either. Raises ``decimal.DivisionByZero`` (``InvalidOperation`` for 0/0).
    """
    rounded = EXACT.quantize(_RATIO.divide(n, d), RATIO_QUANTUM)
    # Normalising turns 20.000000000000 into 2E+1; adding zero brings it back to 20.
    return EXACT.add(EXACT.normalize(rounded), ZERO)


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """
    Return ``total * part / whole`` rounded half to even at 12 decimals.

    The caller keeps ``total - share``: what rounding takes from one side stays on the other.
    """
    return EXACT.quantize(EXACT.divide(EXACT.multiply(total, part), whole), RATIO_QUANTUM)


def exact(price: float | Decimal) -> Decimal:
    """
    Return the decimal that a market-data float stands for: its shortest exact text.

    Raises ``ValueError`` for what is not a finite number.
    """
    if isinstance(price, float):
        if not isfinite(price):
            raise ValueError(f"not a finite number: {price!r}")
        # The base class's text: a subclass (numpy's) may decorate its own.
        return Decimal(float.__repr__(price))
    return Decimal(price)
