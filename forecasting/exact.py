"""Numbers the rule is judged by, read once: whole quantities and days, rational rates; or what is wrong with them."""

from collections.abc import Collection, Sized
from fractions import Fraction
from numbers import Integral, Rational

LONGEST = 36_525 + 366
"""Longest horizon that is followed day by day, and widest window, in days: a hundred years and one."""


def whole(name: str, value: object) -> int:
    """Read a whole number of any kind; numpy's too, which would overflow.

    Parameters
    ----------
    name : str
        What the number is, for the refusal.
    value : int, or float without a fraction

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> whole("life", 30.0)
    30
    >>> whole("life", float("nan"))
    Traceback (most recent call last):
    ValueError: life must be a whole number: not nan.
    """
    if isinstance(value, Integral) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise ValueError(f"{name} must be a whole number: not {value!r}.")


def units(name: str, value: object) -> int:
    """Read a whole number of units or days, 0 or more.

    Raises
    ------
    ValueError
        If it is not.

    Examples
    --------
    >>> units("quantity", -1)
    Traceback (most recent call last):
    ValueError: quantity must not be negative: not -1.
    """
    number = whole(name, value)
    if number < 0:
        raise ValueError(f"{name} must not be negative: not {value!r}.")
    return number


def days(name: str, value: object, least: int = 0) -> int:
    """Read a number of days that will be gone through one by one: `least`..`LONGEST`.

    Raises
    ------
    ValueError
        If it is not whole or not within.

    Examples
    --------
    >>> days("width", 0, least=1)
    Traceback (most recent call last):
    ValueError: width must lie within 1..36891 days: not 0.
    """
    number = whole(name, value)
    if not least <= number <= LONGEST:
        raise ValueError(f"{name} must lie within {least}..{LONGEST} days: not {value!r}.")
    return number


def rate(name: str, value: object) -> Fraction:
    """Read a rate (units/day) or a number of days that need not be whole, 0 or more, as the rational it is.

    A float with a fraction is refused: 1000/7 units a day for 30 days would not be exactly 30 days.

    Raises
    ------
    ValueError
        If it is not rational, or negative.

    Examples
    --------
    >>> rate("peak", Fraction(1000, 7)), rate("peak", 3500)
    (Fraction(1000, 7), Fraction(3500, 1))
    >>> rate("peak", 142.857)
    Traceback (most recent call last):
    ValueError: peak must be a whole number or a Fraction, and not negative: not 142.857. Round a float up first.
    """
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, Rational) or number < 0:
        raise ValueError(
            f"{name} must be a whole number or a Fraction, and not negative: not {value!r}. Round a float up first."
        )
    return Fraction(int(number.numerator), int(number.denominator))


def share(name: str, value: object) -> Fraction:
    """Read a rational within 0..1.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> share("min_share", Fraction(7, 10))
    Fraction(7, 10)
    """
    number = rate(name, value)
    if number > 1:
        raise ValueError(f"{name} must lie within 0..1: not {value!r}.")
    return number


def one_of(name: str, value: str, allowed: Collection[str]) -> None:
    """Refuse a word that is not one of those allowed.

    Raises
    ------
    ValueError
        If it is not.

    Examples
    --------
    >>> one_of("scope_peak", "sum", ("peak_of_sum", "sum"))
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}: not {value!r}.")


def as_many(name: str, values: Sized, count: int, each: str) -> None:
    """Refuse a sequence that has not one value for each.

    Raises
    ------
    ValueError
        If it has not.

    Examples
    --------
    >>> as_many("norm", [None, None], 2, "location")
    """
    if len(values) != count:
        raise ValueError(f"{name} must hold one value for each {each}, {count}: not {len(values)}.")
