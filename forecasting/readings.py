"""The same stock as other systems read it: their months of stock and classes, by their own published formulas."""

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from forecasting.exact import rate, units

US_CLASSES = ("0", "1-3", "4-6", "7-14", "15-30", ">30")
_LEAST = (0, 1, 4, 7, 15, 31)

BHIMA_MONTH = Fraction(61, 2)
"""Days of BHIMA's month: 30.5."""


class Need(NamedTuple):
    """What QAT plans with: units a month, months that the stock lasts, and units over (or, negative, short of) plan."""

    monthly: Fraction
    months_of_stock: Fraction | None
    surplus: Fraction


def us_class(days: Fraction | int) -> str:
    """Class of days of supply as US hospitals reported them to HHS, by whole days completed.

    Parameters
    ----------
    days : Fraction or int, days

    Raises
    ------
    ValueError
        If it is negative or no exact number.

    References
    ----------
    US Department of Health and Human Services (2020), COVID-19 Guidance for Hospital Reporting, "on-hand supply".

    Examples
    --------
    >>> us_class(Fraction(69, 10)), us_class(Fraction(309, 10)), us_class(31)
    ('4-6', '15-30', '>30')
    """
    completed = floor(rate("days", days))
    return [name for name, least in zip(US_CLASSES, _LEAST, strict=True) if completed >= least][-1]


def adjusted_consumption(used: int, days: int, days_out: int) -> int:
    """Use of a period as OpenLMIS adjusts it for days without stock, rounded up.

    Parameters
    ----------
    used : int, units
    days : int, days
        Of the period.
    days_out : int, days
        Without stock; with none left, use is taken as it is.

    Raises
    ------
    ValueError
        If a number is negative or not whole, or more days are out than there are.

    References
    ----------
    OpenLMIS reference distribution, requisition: calculated fields, adjusted consumption.

    Examples
    --------
    >>> adjusted_consumption(20, 90, 5)
    22
    """
    left = _left(used, days, days_out)
    return used if not left else ceil(Fraction(used * days, left))


def maximum_stock(periods: int, average: Fraction | int) -> int:
    """Stock that OpenLMIS fills up to: so many periods of average consumption, to the nearest unit (halves up).

    Examples
    --------
    >>> maximum_stock(2, Fraction(29, 4))
    15
    """
    return floor(units("periods", periods) * rate("average", average) + Fraction(1, 2))


def average_monthly(used: int, days: int, days_out: int, month: Fraction | int = 30) -> Fraction | None:
    """Use of a month of so many days over the days with stock, as open mSupply counts it; None without such a day.

    Parameters
    ----------
    used : int, units
    days, days_out : int, days
    month : Fraction or int, days
        30; BHIMA's first algorithm is the same with 30.5.

    Raises
    ------
    ValueError
        If a number is negative or not whole, or more days are out than there are.

    References
    ----------
    open mSupply, average monthly consumption with days out of stock; BHIMA, stock: CMM, algorithm 1.

    Examples
    --------
    >>> round(float(average_monthly(10, 180, 69)), 2)
    2.7
    >>> round(float(average_monthly(270, 365, 92, BHIMA_MONTH)), 2)
    30.16
    """
    left = _left(used, days, days_out)
    return None if not left else Fraction(used) / left * rate("month", month)


def average_by_months(used: int, months: int, days_out: int) -> Fraction | None:
    """Use of a month over the months less those without stock: BHIMA's second algorithm; None when none is left.

    Examples
    --------
    >>> round(float(average_by_months(270, 12, 92)), 3)
    30.055
    """
    left = units("months", months) - units("days_out", days_out) / BHIMA_MONTH
    return Fraction(units("used", used)) / left if left > 0 else None


def need(stock: int, shipments: int, used: int, months: int, months_wanted: int) -> Need:
    """Stock against plan as QAT shows it: what is left after the period, less the months of stock wanted.

    Parameters
    ----------
    stock, shipments, used : int, units
        At the beginning, arriving, and used in the period.
    months, months_wanted : int, months
        Of the period; of stock wanted at its end.

    Raises
    ------
    ValueError
        If a number is negative or not whole, or the period has no month.

    References
    ----------
    USAID GHSC-PSM, Quantification Analytics Tool: AMC, MOS, stock projection.

    Examples
    --------
    >>> need(5_000, 20_000, 360_000, 36, 5).surplus
    Fraction(-385000, 1)
    """
    if units("months", months) < 1:
        raise ValueError("months must be 1 or more")
    monthly = Fraction(units("used", used), months)
    left = Fraction(units("stock", stock) + units("shipments", shipments) - used)
    surplus = left - units("months_wanted", months_wanted) * monthly
    return Need(monthly, stock / monthly if monthly else None, surplus)


def _left(used: int, days: int, days_out: int) -> int:
    """Days with stock."""
    units("used", used)
    if units("days_out", days_out) > units("days", days):
        raise ValueError(f"days_out must be at most the {days} days")
    return days - days_out
