"""What an outbreak uses: cases a day, the patients they become, the staff beside them, and units a day of each item.

Reading order: `seir` or a file gives cases, `patients` (or a census from a file) the beds, `shifts` the staff, `use`
the units a day, and `seven_day_peak` what the rule would call the peak of it. Nothing is rounded on the way.
"""

from collections.abc import Mapping
from math import expm1
from operator import index
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DAYS_MAX = 3660
"""Ten years of days: a longer scenario is a slip of the pen."""
CRITICAL = "critical"
"""The class of patients that `critical_share` sends to intensive care."""
_LARGEST = 1e18


class Epidemic(NamedTuple):
    """An outbreak day by day; every day S + E + I + R is the number of people.

    Attributes
    ----------
    new_infectious : float64 of shape (H,), persons/day
        Those who fall ill on each day: the cases.
    susceptible, exposed, infectious, removed : float64 of shape (H,), persons
        At the end of each day.
    """

    new_infectious: Floats
    susceptible: Floats
    exposed: Floats
    infectious: Floats
    removed: Floats


class Patients(NamedTuple):
    """Patients in bed by class.

    Attributes
    ----------
    classes : tuple of B str
        In the order of the stays that were given.
    census : float64 of shape (B, H), persons
    """

    classes: tuple[str, ...]
    census: Floats


def rate_of(mean_days: float) -> float:
    """Return the rate of leaving a state in which people stay `mean_days` on average, exits being exponential.

    Parameters
    ----------
    mean_days : float, days
        Above zero.

    Returns
    -------
    float, 1/day

    Raises
    ------
    ValueError
        If `mean_days` is not a finite number above zero.

    Examples
    --------
    >>> rate_of(5)
    0.2
    """
    days = _number("mean_days", mean_days)
    if days < 1e-9:
        raise ValueError("mean_days must be a number of days above 0.")
    return 1 / days


def beta_of(r0: float, gamma: float) -> float:
    """Return the contacts a day that make one case infect `r0` others in a people all susceptible.

    In the daily recursion a case is infectious for 1 / (1 - exp(-gamma)) days, so R0 = beta / (1 - exp(-gamma)).

    Parameters
    ----------
    r0 : float, persons/person
    gamma : float, 1/day

    Returns
    -------
    float, 1/day

    Raises
    ------
    ValueError
        If either is negative, not finite, or above 10^18.

    Examples
    --------
    >>> round(beta_of(3.0, rate_of(5)), 4)
    0.5438
    """
    return _number("r0", r0) * -expm1(-_number("gamma", gamma))


def seir(  # noqa: PLR0917, the letters of the model in its own order
    people: float,
    exposed: float,
    infectious: float,
    beta: float,
    sigma: float,
    gamma: float,
    days: int,
    measures: ArrayLike | None = None,
) -> Epidemic:
    """Follow an outbreak day by day: susceptible, exposed, infectious, removed.

    On a day S (1 - exp(-beta I / N)) are infected, E (1 - exp(-sigma)) fall ill and I (1 - exp(-gamma)) are removed,
    all of them from the state at its start.

    Parameters
    ----------
    people : float, persons
        N, at least 1; `exposed` and `infectious` are among them and nobody is removed on day 0.
    exposed, infectious : float, persons
        At the start of day 0.
    beta, sigma, gamma : float, 1/day
        Contacts that infect, and the rates of falling ill and of recovering (`beta_of`, `rate_of`).
    days : int, days
        H, 1 to 3,660.
    measures : array_like of shape (H,), optional
        Factor on beta for each day: 1 is none, 0.6 leaves 60 % of the contacts.

    Returns
    -------
    Epidemic

    Raises
    ------
    ValueError
        If a number is negative, not finite or above 10^18, `days` is out of range, more are exposed and infectious than
        there are people, or `measures` has another length.

    References
    ----------
    Kermack and McKendrick (1927), Proc. R. Soc. A 115, with exponential exits over a day.

    Examples
    --------
    >>> seir(1_000_000, 0, 100, beta=0.5, sigma=0.25, gamma=0.2, days=3).new_infectious.round(3)
    array([ 0.   , 11.059, 17.666])
    """
    total, e, i = _number("people", people), _number("exposed", exposed), _number("infectious", infectious)
    if total < 1:
        raise ValueError("people must be at least 1.")
    if e + i > total:
        raise ValueError("exposed and infectious together must not be more than people.")
    horizon = _whole("days", days, 1, DAYS_MAX)
    contacts = _number("beta", beta) * _measures(measures, horizon)
    # 1 - exp(-x) loses every digit where one person in 10^15 is ill; expm1 loses none.
    falling_ill, leaving = -expm1(-_number("sigma", sigma)), -expm1(-_number("gamma", gamma))
    s, r = max(0.0, total - e - i), 0.0
    states = np.empty((5, horizon))
    for day, contact in enumerate(contacts.tolist()):
        infected, ill, gone = s * -expm1(-contact * i / total), e * falling_ill, i * leaving
        s, e, i, r = s - infected, e - ill + infected, i - gone + ill, r + gone
        states[:, day] = ill, s, e, i, r
    return Epidemic(*states)


def admissions(cases: ArrayLike, share: float, delay_days: int) -> Floats:
    """Admissions a day: a share of the cases, some days later.

    Parameters
    ----------
    cases : array_like of shape (H,), persons/day
    share : float
        Of the cases, 0 to 1.
    delay_days : int, days
        From falling ill to the bed, 0 to 3,660; what would come after the horizon is left out.

    Returns
    -------
    float64 of shape (H,), persons/day

    Raises
    ------
    ValueError
        If cases are empty, negative or not finite, the share is not 0 to 1, or the delay is out of range.

    Examples
    --------
    >>> admissions([100, 200, 400, 800], share=0.1, delay_days=2)
    array([ 0.,  0., 10., 20.])
    """
    ill, part = _days("cases", cases), _share("share", share)
    later = min(_whole("delay_days", delay_days, 0, DAYS_MAX), len(ill))
    admitted: Floats = np.concatenate([np.zeros(later), part * ill[: len(ill) - later]])
    return admitted


def census(admissions: ArrayLike, stay_days: int) -> Floats:
    """Patients in bed a day: those admitted on the last `stay_days` days, today included.

    Parameters
    ----------
    admissions : array_like of shape (H,), persons/day
    stay_days : int, days
        1 to 3,660: 1 is in and out on the same day.

    Returns
    -------
    float64 of shape (H,), persons

    Raises
    ------
    ValueError
        If admissions are empty, negative or not finite, or the stay is out of range.

    Examples
    --------
    >>> census([1, 2, 3, 4, 0, 0, 0], stay_days=3)
    array([1., 3., 6., 9., 7., 4., 0.])
    """
    admitted = _days("admissions", admissions)
    stay = min(_whole("stay_days", stay_days, 1, DAYS_MAX), len(admitted))
    # Differences of running sums would leave crumbs of patients after the last has gone home; sums of stays do not.
    return np.convolve(admitted, np.ones(stay))[: len(admitted)]


def patients(
    cases: ArrayLike,
    hospital_share: float,
    delay_days: int,
    critical_share: float,
    stay_days: Mapping[str, int],
) -> Patients:
    """Patients in bed by class: the critical share in intensive care, the others in the wards.

    Parameters
    ----------
    cases : array_like of shape (H,), persons/day
    hospital_share : float
        Of the cases, 0 to 1.
    delay_days : int, days
        From falling ill to the bed.
    critical_share : float
        Of the admissions, 0 to 1.
    stay_days : mapping of str to int, days
        Stay by class: `critical` and one other (severe, or moderate).

    Returns
    -------
    Patients

    Raises
    ------
    ValueError
        As `admissions` and `census`, and if the classes are not `critical` and one other.

    Examples
    --------
    >>> found = patients([100, 0, 0, 0], 0.2, 1, 0.25, {"severe": 2, "critical": 3})
    >>> found.classes, found.census.tolist()
    (('severe', 'critical'), [[0.0, 15.0, 15.0, 0.0], [0.0, 5.0, 5.0, 5.0]])
    """
    if len(stay_days) != 2 or CRITICAL not in stay_days:
        raise ValueError("stay_days must name two classes of patients: critical and one other, such as severe.")
    admitted, critical = admissions(cases, hospital_share, delay_days), _share("critical_share", critical_share)
    shares = {name: critical if name == CRITICAL else 1 - critical for name in stay_days}
    return Patients(
        tuple(stay_days), np.stack([census(shares[name] * admitted, stay_days[name]) for name in stay_days])
    )


def shifts(census: ArrayLike, hours_per_patient_day: ArrayLike, hours_per_shift: float) -> Floats:
    """Shifts a day of each role that the patients in bed ask for.

    Parameters
    ----------
    census : array_like of shape (B, H) or (H,), persons
        By class of patient.
    hours_per_patient_day : array_like of shape (B, R), hours
        Staff hours beside one patient on one day, by class and role.
    hours_per_shift : float, hours
        Above zero, at most 24.

    Returns
    -------
    float64 of shape (R, H), shifts/day

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is negative, not finite or above 10^18.

    References
    ----------
    World Health Organization, Essential Supplies Forecasting Tool: hours of each occupation per patient and 24 h.

    Examples
    --------
    Sixteen severe patients and four critical ones, health workers and cleaners, shifts of 8 hours:

    >>> shifts([[16], [4]], [[18.22, 0.5], [32.69, 0.75]], 8).round(3).tolist()
    [[52.785], [1.375]]
    """
    beds = _table("census", np.atleast_2d(_array("census", census)), "bed classes x days")
    hours = _table("hours_per_patient_day", _array("hours_per_patient_day", hours_per_patient_day), "classes x roles")
    if len(hours) != len(beds):
        raise ValueError("hours_per_patient_day must have a row for each bed class of the census.")
    shift = _number("hours_per_shift", hours_per_shift)
    if not 1e-3 <= shift <= 24:
        raise ValueError("hours_per_shift must be above 0 and at most 24.")
    worked: Floats = hours.T @ beds / shift
    return worked


def use(
    census: ArrayLike,
    shifts: ArrayLike,
    norm_shift: ArrayLike,
    *,
    norm_patient: ArrayLike | None = None,
    cases: ArrayLike | None = None,
    norm_case: ArrayLike | None = None,
    ordinary: ArrayLike | None = None,
) -> Floats:
    """Units a day of each item: what staff, patients and cases use, and ordinary use beside it.

    Parameters
    ----------
    census : array_like of shape (B, H) or (H,), persons
    shifts : array_like of shape (R, H) or (H,), shifts/day
        From `shifts`.
    norm_shift : array_like of shape (R, I), or (R,) for one item, units/shift
    norm_patient : array_like of shape (B, I), or (B,) for one item, units/(person day), optional
    cases : array_like of shape (H,), persons/day, optional
    norm_case : array_like of shape (I,) or float, units/person, optional
        Tests and what screening staff use; it needs `cases`.
    ordinary : array_like of shape (I,) or float, units/day, optional
        Use that goes on beside the outbreak.

    Returns
    -------
    float64 of shape (H, I), units/day
        One column for one item.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is negative, not finite or above 10^18.

    Examples
    --------
    Respirators and pairs of gloves on a day with 29 patients, one of them critical:

    >>> beds = [[28], [1]]
    >>> use(beds, shifts(beds, [[18.22], [32.69]], 8), [[1, 24]]).round(1)
    array([[  67.9, 1628.5]])
    """
    beds = _table("census", np.atleast_2d(_array("census", census)), "bed classes x days")
    staff = _table("shifts", np.atleast_2d(_array("shifts", shifts)), "roles x days")
    horizon = beds.shape[1]
    if staff.shape[1] != horizon:
        raise ValueError("shifts must have as many days as the census.")
    per_shift = _norms("norm_shift", norm_shift, len(staff), "role")
    items = per_shift.shape[1]
    units: Floats = staff.T @ per_shift
    if norm_patient is not None:
        per_patient = _norms("norm_patient", norm_patient, len(beds), "bed class")
        if per_patient.shape[1] != items:
            raise ValueError("norm_patient must have as many items as norm_shift.")
        units += beds.T @ per_patient
    if norm_case is not None:
        if cases is None:
            raise ValueError("norm_case needs cases: give the cases a day.")
        ill = _days("cases", cases)
        if len(ill) != horizon:
            raise ValueError("cases must have as many days as the census.")
        units += np.outer(ill, _items("norm_case", norm_case, items))
    if ordinary is not None:
        units += _items("ordinary", ordinary, items)
    return units


def reusable(persons: ArrayLike, norm: ArrayLike, days: int) -> float:
    """Units of an item that is cleaned and used again: at least one each, and a new one when it is worn out.

    Parameters
    ----------
    persons : array_like of shape (R,) or float, persons
        Staff by role.
    norm : array_like of shape (R,) or float, units/(person day)
        0 for a role that does not use the item at all.
    days : int, days
        1 to 3,660.

    Returns
    -------
    float, units
        persons x max(1, norm x days), summed over the roles: once for the whole period, not a day.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a number is negative, not finite or above 10^18.

    Examples
    --------
    >>> reusable([100, 30], [0.1, 0.1], 7)
    130.0
    """
    staff, worn = np.atleast_1d(_array("persons", persons)), np.atleast_1d(_array("norm", norm))
    if staff.ndim != 1 or staff.shape != worn.shape or not staff.size:
        raise ValueError("persons and norm must have one number for each role.")
    each = np.where(worn > 0, np.maximum(1, worn * _whole("days", days, 1, DAYS_MAX)), 0)
    return float((staff * each).sum())


def seven_day_peak(use: ArrayLike) -> Floats:
    """Highest mean use of any 7 consecutive days: the scenario's own peak, to set beside the rule's.

    Parameters
    ----------
    use : array_like of shape (H, I) or (H,), units/day
        Fewer than 7 days count as one window.

    Returns
    -------
    float64 of shape (I,), units/day

    Raises
    ------
    ValueError
        If it is empty, negative or not finite.

    Examples
    --------
    >>> seven_day_peak([0, 0, 70, 70, 70, 0, 0, 0])
    array([30.])
    """
    units = _use(use)
    width = min(7, len(units))
    means: Floats = np.lib.stride_tricks.sliding_window_view(units, width, axis=0).mean(axis=-1).max(axis=0)
    return means


def peak_day(use: ArrayLike) -> NDArray[np.int64]:
    """Day of the highest use of each item, the first of equals.

    Parameters
    ----------
    use : array_like of shape (H, I) or (H,), units/day

    Returns
    -------
    int64 of shape (I,), days from day 0

    Raises
    ------
    ValueError
        If it is empty, negative or not finite.

    Examples
    --------
    >>> peak_day([[1, 9], [3, 9], [2, 0]])
    array([1, 0])
    """
    highest: NDArray[np.int64] = _use(use).argmax(axis=0).astype(np.int64)
    return highest


def _array(name: str, values: ArrayLike) -> Floats:
    """Numbers that are finite, not negative and small enough to be multiplied; or say which argument is not."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array(np.nan)
    if not (np.isfinite(numbers) & (numbers >= 0) & (numbers <= _LARGEST)).all():
        raise ValueError(f"{name} must be given in numbers from 0 to 10^18.")
    return numbers


def _number(name: str, value: float) -> float:
    number = _array(name, value)
    if number.ndim:
        raise ValueError(f"{name} must be one number from 0 to 10^18.")
    return float(number)


def _share(name: str, value: float) -> float:
    share = _number(name, value)
    if share > 1:
        raise ValueError(f"{name} must be a share from 0 to 1.")
    return share


def _whole(name: str, value: SupportsIndex, least: int, most: int) -> int:
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most:,}.")
    return number


def _days(name: str, values: ArrayLike) -> Floats:
    days = _array(name, values)
    if days.ndim != 1 or not 1 <= len(days) <= DAYS_MAX:
        raise ValueError(f"{name} must be a row of 1 to {DAYS_MAX:,} days.")
    return days


def _measures(values: ArrayLike | None, horizon: int) -> Floats:
    if values is None:
        return np.ones(horizon)
    measures = _days("measures", values)
    if len(measures) != horizon:
        raise ValueError(f"measures must have a factor for each of the {horizon:,} days.")
    return measures


def _table(name: str, table: Floats, axes: str) -> Floats:
    if table.ndim != 2 or not table.size:
        raise ValueError(f"{name} must be a table of {axes} and not empty.")
    return table


def _norms(name: str, values: ArrayLike, rows: int, row: str) -> Floats:
    norms = _array(name, values)
    norms = norms[:, None] if norms.ndim == 1 else norms
    if norms.ndim != 2 or len(norms) != rows or not norms.size:
        raise ValueError(f"{name} must have one row for each {row} and a column for each item.")
    return norms


def _items(name: str, values: ArrayLike, items: int) -> Floats:
    norms = np.atleast_1d(_array(name, values))
    if norms.shape != (items,):
        raise ValueError(f"{name} must have one number for each of the {items:,} items.")
    return norms


def _use(use: ArrayLike) -> Floats:
    units = _array("use", use)
    units = units[:, None] if units.ndim == 1 else units
    return _table("use", units, "days x items")
