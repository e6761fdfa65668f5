"""What of a reserve would expire unused, and which hospital uses it up in time without wasting its own.

Reading order: `room` (how much can one hospital take?) and `rotate` (who gets what, by when, and what stays owed).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import Literal, NamedTuple

from forecasting import exact
from forecasting.depletion import Lot, cover, waste_by_lot

FLOOR_SHARE = Fraction(7, 10)
"""Share of the plan below which a reserve is not drawn down for rotation, unless its policy says otherwise."""
Limit = Literal["required_days", "floor"]
Rate = Fraction | int | float
"""Expected use, units/day."""


class Hospital(NamedTuple):
    """One that uses the item: its own lots, its use in units/day, and the days a load is on the road."""

    lots: Sequence[Lot]
    use: Rate
    transit_days: int = 0


class Line(NamedTuple):
    """Units of a lot to send, and the last day to send them, from day 0 on; 0 is now."""

    lot: int
    hospital: str
    units: int
    send_by: int


class Left(NamedTuple):
    """What of a lot's expected waste is not sent.

    Attributes
    ----------
    lot : int
    owed : int, units
        A hospital has room, but the reserve would fall below what it must keep: replace first, then send.
    no_room : int, units
        No hospital can use them in time.
    limit : str or None
        What the reserve must keep where units are owed: its required days, or the floor of its policy.
    """

    lot: int
    owed: int
    no_room: int
    limit: Limit | None


class Rotation(NamedTuple):
    """Waste to expect, in units by lot, what to send, and what is left of it."""

    waste_by_lot: tuple[Fraction, ...]
    lines: tuple[Line, ...]
    left: tuple[Left, ...]


def room(lots: Sequence[Lot], use: Rate, life: int) -> int:
    """Units with a given life a hospital can take without wasting more than it would anyway.

    With E(j) its own stock with life <= j and W(j) = max over i <= j of (E(i) - u i)^+ what it loses of it, x more
    units with life k are all used if E(j) + x - u j <= W(j) on day k and on each of its own expiry days after it.

    Parameters
    ----------
    lots : sequence of (units, days)
        The hospital's own.
    use : Fraction, int or float, units/day
    life : int, days
        Days on which the units may be used there; 0 or less leaves no room.

    Returns
    -------
    int, units

    Raises
    ------
    ValueError
        If the use or a quantity is negative or not a number.

    Examples
    --------
    Five a day for 60 days, of which 100 are its own:

    >>> room([(100, 40)], 5, 60)
    200
    """
    u = _expected("use", use)
    if exact.whole("life", life) <= 0:
        return 0
    ending: dict[int, int] = {life: 0}
    for units, own in _lots("lots", lots):
        if own is not None and own > 0:
            ending[own] = ending.get(own, 0) + units
    # In whole numbers of 1 / u's denominator.
    ended = lost = 0
    least: int | None = None
    for day in sorted(ending):
        ended += ending[day] * u.denominator
        spare = u.numerator * day - ended
        lost = max(lost, -spare)
        if day >= life:
            least = spare + lost if least is None else min(least, spare + lost)
    return (least or 0) // u.denominator


def rotate(
    reserve: Sequence[Lot],
    hospitals: Mapping[str, Hospital],
    *,
    rate: Rate,
    peak: Fraction | int,
    required_days: Fraction | int,
    plan_units: int = 0,
    floor_share: Fraction = FLOOR_SHARE,
) -> Rotation:
    """Send what would expire unused to hospitals that use it in time, earliest expiry first.

    Each lot's expected waste, rounded up, is offered to the hospitals by larger use, then by code; each takes its
    `room`, and what it took is its own for the next lot. The reserve's coverage at the peak never falls below the
    required days (where it is below already: never falls), nor its stock below the floor.

    Parameters
    ----------
    reserve : sequence of (units, days)
    hospitals : mapping of str to Hospital
    rate : Fraction, int or float, units/day
        The reserve's own expected use.
    peak : Fraction or int, units/day
        At zero no days are required.
    required_days : Fraction or int, days
    plan_units : int, units
        What the reserve is planned to hold; 0 for no floor.
    floor_share : Fraction
        Share of the plan that must stay, 0 to 1.

    Returns
    -------
    Rotation

    Raises
    ------
    ValueError
        If a number is negative, not finite, or not exact where it must be, or the share is not 0 to 1.

    Examples
    --------
    >>> found = rotate([(400, 60), (10000, None)], {"H1": Hospital([(100, 40)], 5), "H2": Hospital([], 2)},
    ...                rate=1, peak=10, required_days=30)
    >>> found.lines
    (Line(lot=0, hospital='H1', units=200, send_by=20), Line(lot=0, hospital='H2', units=120, send_by=0))
    >>> found.left
    (Left(lot=0, owed=0, no_room=20, limit=None),)
    """
    stock = _lots("reserve", reserve)
    c, r = exact.rate("peak", peak), exact.rate("required_days", required_days)
    keep = ceil(exact.share("floor_share", floor_share) * exact.units("plan_units", plan_units))
    waste = waste_by_lot(stock, _expected("rate", rate))
    takers = {code: _taker(code, hospitals[code]) for code in sorted(hospitals)}
    ranked = sorted(takers, key=lambda code: -takers[code].use)
    held = {code: list(takers[code].lots) for code in ranked}
    kept = _Kept(stock, c, r, keep)
    lines: list[Line] = []
    left: list[Left] = []
    for lot in sorted((i for i, lost in enumerate(waste) if lost), key=lambda i: (stock[i][1] or 0, i)):
        life = stock[lot][1]
        if life is None:
            continue
        offered = ceil(waste[lot])
        allowed, limit = kept.allowed(life)
        wanted = sent = 0
        for code in ranked:
            if wanted == offered:
                break
            last = life - takers[code].transit_days
            taken = min(offered - wanted, room(held[code], takers[code].use, last))
            wanted += taken
            if units := min(taken, allowed - sent):
                sent += units
                held[code].append((units, last))
                lines.append(Line(lot, code, units, max(0, floor(last - units / Fraction(takers[code].use)))))
        kept.remove(sent, life)
        if sent < offered:
            left.append(Left(lot, wanted - sent, offered - wanted, limit if wanted > sent else None))
    return Rotation(waste, tuple(lines), tuple(left))


class _Kept:
    """What may still leave the reserve.

    Coverage is at least t when on each day k < t that is 0 or an expiry day, stock with life > k is at least c (t - k).
    """

    def __init__(self, stock: Sequence[Lot], c: Fraction, r: Fraction, keep: int) -> None:
        lots = [(units, life) for units, life in stock if units and (life is None or life > 0)]
        self.above_floor = max(0, sum(units for units, _ in lots) - keep)
        days = min(r, cover(lots, c, r).days or Fraction(0))
        self.spare = {
            k: floor(sum(units for units, life in lots if life is None or life > k) - c * (days - k))
            for k in {0, *(life for _, life in lots if life is not None)}
            if k < days
        }

    def allowed(self, life: int) -> tuple[int, Limit]:
        """Units with such a life that may leave, and what must be kept that says so."""
        spare = min((units for k, units in self.spare.items() if k < life), default=self.above_floor)
        return min(spare, self.above_floor), "required_days" if spare < self.above_floor else "floor"

    def remove(self, units: int, life: int) -> None:
        self.above_floor -= units
        self.spare = {k: spare - units if k < life else spare for k, spare in self.spare.items()}


def _taker(code: str, hospital: Hospital) -> Hospital:
    lots = _lots(f"lots of {code}", hospital.lots)
    use = _expected(f"use of {code}", hospital.use)
    return Hospital(lots, use, exact.units(f"transit_days of {code}", hospital.transit_days))


def _lots(name: str, lots: Sequence[Lot]) -> list[Lot]:
    return [
        (exact.units(f"{name}: units", units), None if life is None else exact.whole(f"{name}: life", life))
        for units, life in lots
    ]


def _expected(name: str, rate: Rate) -> Fraction:
    """Read a rate of use that is a forecast and may be a float: it is read to 1e-9."""
    if isinstance(rate, float) and isfinite(rate):
        return exact.rate(name, Fraction(rate).limit_denominator(10**9))
    return exact.rate(name, rate)
