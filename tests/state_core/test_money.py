"""Exact decimals: what is divided, what is printed, and what an inexact operation does."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal, Inexact, getcontext, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.money import EXACT, STRICT, ZERO, apart, exact, plain, ratio, share, use_exact_context

decimals = st.decimals(min_value=-(10**12), max_value=10**12, places=18)
positive = st.decimals(min_value=Decimal("1e-9"), max_value=10**12, places=9)


class DecoratedFloat(float):
    """A float that, as numpy's do, shows its type in its repr."""

    def __repr__(self) -> str:
        return f"DecoratedFloat({float.__repr__(self)})"


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_plain_text_never_has_an_exponent_and_loses_nothing(d: Decimal) -> None:
    """Whatever form a decimal has, its text is fixed point and reads back as the same value."""
    text = plain(d)

    assert "E" not in text.upper()
    assert d == Decimal(text)


@pytest.mark.parametrize(
    ("d", "text"),
    [
        ("1E-7", "0.0000001"),
        ("1E+5", "100000"),
        ("-0", "0"),
        ("0E-8", "0"),
        ("1.50", "1.50"),
        ("-2.5E-9", "-0.0000000025"),
    ],
)
def test_plain_text_of_awkward_decimals(d: str, text: str) -> None:
    """Small, round and signed-zero values read as a person would write them."""
    assert text == plain(Decimal(d))


@given(decimals, positive)
def test_a_ratio_is_within_half_a_unit_of_the_twelfth_decimal(n: Decimal, d: Decimal) -> None:
    """Up to its 28 digits, a quotient is the nearest one of twelve decimals."""
    found = ratio(n, d)

    true = Fraction(n) / Fraction(d)
    bound = Fraction(1, 2 * 10**12) + abs(true) / 10**27
    assert abs(Fraction(found) - true) <= bound


@pytest.mark.parametrize(
    ("n", "d", "text"),
    [("1", "3", "0.333333333333"), ("100", "5", "20"), ("10", "4", "2.5"), ("0", "7", "0")],
)
def test_a_ratio_has_no_trailing_zeros_and_no_exponent(n: str, d: str, text: str) -> None:
    """A quotient's own text is already its shortest fixed-point form."""
    assert text == str(ratio(Decimal(n), Decimal(d)))


@given(decimals, positive, positive)
def test_a_share_and_its_rest_are_the_whole(total: Decimal, part: Decimal, whole: Decimal) -> None:
    """What rounding takes from a share stays in the rest: together they are the total, exactly."""
    first = share(total, part, whole)
    rest = EXACT.subtract(total, first)

    assert Fraction(total) == Fraction(first) + Fraction(rest)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_becomes_the_decimal_that_it_shows(price: float) -> None:
    """The decimal of a float is its shortest text, and gives the same float back."""
    assert Decimal(repr(price)) == exact(price)
    assert price == float(exact(price))


def test_a_float_of_another_library_is_read_by_its_value() -> None:
    """A subclass whose repr is decorated (numpy's is) is read by its value all the same."""
    assert Decimal("96123.45") == exact(DecoratedFloat(96123.45))


@pytest.mark.parametrize("price", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(price: float) -> None:
    """A price that is not finite never becomes money."""
    with pytest.raises(ValueError, match="not a finite number"):
        exact(price)


def test_the_strict_context_raises_where_a_digit_would_be_lost() -> None:
    """An inexact operation cannot pass unseen under STRICT."""
    with localcontext(STRICT), pytest.raises(Inexact):
        Decimal(1) / Decimal(3)


def test_the_exact_context_is_the_threads_once_asked_for() -> None:
    """After ``use_exact_context`` ordinary operators are exact to 76 digits."""
    with localcontext():
        use_exact_context()
        product = Decimal("123456789.123456789123456789") * Decimal("0.000012345678901234567")

        assert getcontext().prec == EXACT.prec
        assert getcontext() is not EXACT
        assert ZERO == product - Decimal("0.000012345678901234567") * Decimal(
            "123456789.123456789123456789"
        )
        assert len(product.as_tuple().digits) > 28


def test_what_a_strangers_code_does_to_its_decimal_context_stays_there() -> None:
    """Rounding, traps and precision of ours are as before, whatever it has set, or raised."""
    before = repr(EXACT)

    def careless(fails: bool) -> Decimal:
        context = getcontext()
        context.rounding, context.prec = ROUND_UP, 3
        context.traps[Inexact] = fails
        return Decimal(1) / Decimal(3)

    with localcontext():
        use_exact_context()
        assert Decimal("0.334") == apart(careless)(fails=False)
        with pytest.raises(Inexact):
            apart(careless)(fails=True)

        assert before == repr(getcontext())
    assert before == repr(EXACT)
