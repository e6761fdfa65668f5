"""Which place gives what to which, so that the poorest place is as far from running out as it can be.

A giver keeps its own rule, a taker receives no more than it lacks. The best plan is the one with the most days in the
poorest place that lacks; of those the one that moves the most; of those the cheapest.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, isfinite
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import exact
from forecasting.depletion import Lot, cover

ARCS_MAX = 20_000
"""Lots times routes that are planned in one go."""
Reason = Literal["planned", "no_taker", "no_giver", "no_route", "nothing_to_give"]
Floats = NDArray[np.float64]
Entry = tuple[int, int, float]
"""Row, column and coefficient."""
Rows = tuple[list[Entry], list[float], float | Floats]
"""Entries of further rows, and the least and the most of each."""
_LARGEST = 10**12
_INFEASIBLE = 2
_WHOLE = 1e-5


class Place(NamedTuple):
    """A place with its dated lots, its peak in units/day and the days it must cover.

    `fixed` names lots, by their place among them, that count for its days and do not move.
    """

    lots: Sequence[Lot]
    peak: Fraction | int
    required_days: Fraction | int
    fixed: frozenset[int] = frozenset()


class Route(NamedTuple):
    """A way goods may go: its cost a unit (kilometres, say) and its days, which shorten what may still be used."""

    giver: str
    taker: str
    cost: Fraction | float = 0
    transit_days: int = 0


class Move(NamedTuple):
    """Units of one of the giver's lots, by its place among them, to the taker."""

    giver: str
    lot: int
    taker: str
    units: int


class Plan(NamedTuple):
    """What to move.

    Attributes
    ----------
    moves : tuple of Move
    moved : int, units
    cost : Fraction
        Units times the cost of their route, a float being read to 1e-6.
    least_days : Fraction or None, days
        Coverage of the poorest place that lacked, once the goods are there, and no more than the least that is
        required of one; None when no place lacks.
    days : dict of str to Fraction or None, days
        Coverage of each place afterwards; None where nothing is used.
    reason : Reason
        Why it is empty, or `planned`.
    """

    moves: tuple[Move, ...]
    moved: int
    cost: Fraction
    least_days: Fraction | None
    days: dict[str, Fraction | None]
    reason: Reason


def redistribute(places: Mapping[str, Place], routes: Iterable[Route]) -> Plan:
    """Move stock from places that keep their rule to those that do not.

    Coverage is at least t when on each day k < t that is 0 or an expiry day, stock with life > k is at least c (t - k):
    linear in what is moved. Sums of lots by life are nested on either side, so the programme is one of flows in a
    network and its vertices are whole numbers. The solver proposes; what it proposes is judged in exact numbers.

    Parameters
    ----------
    places : mapping of str to Place
        Those with days >= required may give, those with less take; a place at a peak of zero does neither.
    routes : iterable of Route
        At most one from a place to another.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If a number is negative, not finite, not whole where it must be or above 10^12, a route is doubled or names a
        place that is not there, or lots times routes are more than 20,000.
    RuntimeError
        If the solver's answer does not hold in exact numbers.

    References
    ----------
    Hoffman and Kruskal (1956), Integral boundary points of convex polyhedra (why the vertices are whole numbers);
    Huangfu and Hall (2018), Parallelizing the dual revised simplex method, Math. Prog. Comp. 10 (HiGHS).

    Examples
    --------
    >>> counties = {name: Place([(units, None)], 100, 30) for name, units in (("A", 5000), ("B", 1000), ("C", 2400))}
    >>> plan = redistribute(counties, [Route("A", "B", 2), Route("A", "C", 1)])
    >>> plan.moves
    (Move(giver='A', lot=0, taker='B', units=1700), Move(giver='A', lot=0, taker='C', units=300))
    >>> plan.least_days, plan.cost
    (Fraction(27, 1), Fraction(3700, 1))
    """
    known = {name: _checked(name, place) for name, place in places.items()}
    ways = _ways(known, routes)
    days = {name: cover(place.lots, place.peak, place.required_days).days for name, place in known.items()}
    givers = {name for name, place in known.items() if (t := days[name]) is not None and t >= place.required_days}
    takers = {name for name, t in days.items() if t is not None} - givers
    arcs = _arcs(known, [way for way in ways if way.giver in givers and way.taker in takers])
    if not (takers and givers and arcs):
        reason: Reason = "no_taker" if not takers else "no_giver" if not givers else "no_route"
        return _plan(known, takers, arcs, np.zeros(len(arcs), dtype=np.int64), reason)
    found = _Programme(known, takers, arcs).solve()
    return _plan(known, takers, arcs, found, "planned" if found.any() else "nothing_to_give")


class _Arc(NamedTuple):
    giver: str
    lot: int
    taker: str
    units: int
    life: int | None
    life_there: int | None
    cost: Fraction


class _Level(NamedTuple):
    """All that passes through a place with life > day; its column, and the stock there with such a life."""

    place: str
    day: int
    column: int
    outlives: int


class _Programme:
    """The flows of one item: columns for each arc, then for each level of each place.

    A level's column is what passes through its place with life > day: what passes the next level, and the arcs between.
    """

    def __init__(self, places: Mapping[str, Place], takers: set[str], arcs: Sequence[_Arc]) -> None:
        self.places, self.takers, self.arcs = places, sorted(takers), arcs
        self.levels: list[_Level] = []
        self.chain: list[Entry] = []
        for name in sorted({arc.giver for arc in arcs}):
            self._add_levels(name, [(i, arc.life) for i, arc in enumerate(arcs) if arc.giver == name])
        for name in self.takers:
            self._add_levels(name, [(i, arc.life_there) for i, arc in enumerate(arcs) if arc.taker == name])
        self.lacking = [level for level in self.levels if level.place in takers]
        self.most = np.array([arc.units for arc in arcs] + [self._most(level) for level in self.levels], dtype=float)
        lives = np.array([np.inf if arc.life_there is None else arc.life_there for arc in arcs])
        to = np.array([arc.taker for arc in arcs])
        self.passing = [np.flatnonzero((to == level.place) & (lives > level.day)) for level in self.lacking]
        self.limit = min(Fraction(places[name].required_days) for name in takers)
        self.costs = np.array([float(arc.cost) for arc in arcs]) / float(max(arc.cost for arc in arcs) or 1)

    def solve(self) -> NDArray[np.int64]:
        """Units of each arc: the most days in the poorest taker, then the most units, then the least cost."""
        least, best = self._most_days()
        needs, moved = self._needs(least), int(best.sum())
        if not moved:
            return best
        cheap = self._cheapest(needs, moved)
        tidy = self._tidiest(needs, moved)
        if int(tidy.sum()) == moved and self._cost(tidy) <= self._cost(cheap):
            return tidy
        return cheap

    def _add_levels(self, name: str, through: list[tuple[int, int | None]]) -> None:
        place = self.places[name]
        lives = {life for _, life in [*place.lots, *through] if life is not None}
        days = [0, *sorted(day for day in lives if 0 < day < place.required_days)]
        first, arcs = len(self.levels), len(self.arcs)
        for i, day in enumerate(days, start=first):
            outlives = sum(units for units, life in place.lots if life is None or life > day)
            self.levels.append(_Level(name, day, arcs + i, outlives))
            self.chain.append((i, arcs + i, 1.0))
            if i > first:
                self.chain.append((i - 1, arcs + i, -1.0))
        for arc, life in through:
            below = len(days) if life is None else bisect_left(days, life)
            self.chain.append((first + below - 1, arc, -1.0))

    def _most(self, level: _Level) -> int:
        """Whole units that may pass: what a giver can spare there, what a taker lacks in all."""
        place = self.places[level.place]
        if level.place in self.takers:
            return cover(place.lots, place.peak, place.required_days).shortfall
        return floor(level.outlives - place.peak * (place.required_days - Fraction(level.day)))

    def _needs(self, days: Fraction, *, more: bool = False) -> Floats:
        """Whole units that must pass each level of the takers for so many days; or for any more than so many."""
        needs = []
        for level in self.lacking:
            units = self.places[level.place].peak * (days - level.day)
            needs.append(max(0, (floor(units) + 1 if more else ceil(units)) - level.outlives))
        return np.array(needs, dtype=float)

    def _most_days(self) -> tuple[Fraction, NDArray[np.int64]]:
        """Most days of the poorest taker that whole units can give, and the most units moved for it.

        The solver's days are good to about 1e-7; which whole units they stand for is found by asking just above them.
        """
        none = np.zeros(len(self.arcs), dtype=np.int64)
        low, best = self._least(none), none
        relaxed = self._relaxed_days()
        high = min(self.limit, relaxed + (1 + relaxed) / 10**6)
        step = 1 / max(Fraction(self.places[name].peak) for name in self.takers)
        asked = min(self.limit, relaxed.limit_denominator(10**6))
        while asked > low and (found := self._moving_most(self._needs(asked))) is None:
            high, asked, step = asked, asked - step, 2 * step
        if asked <= low:
            found = self._moving_most(self._needs(low))
        low, best = self._better(low, best, found)
        while low < self.limit and (found := self._moving_most(self._needs(low, more=True))) is not None:
            low, best = self._better(low, best, found)
            high = high if high > low else self.limit
            middle = (low + high) / 2
            if (found := self._moving_most(self._needs(middle))) is None:
                high = middle
            low, best = self._better(low, best, found)
        return low, best

    def _better(
        self, low: Fraction, best: NDArray[np.int64], found: NDArray[np.int64] | None
    ) -> tuple[Fraction, NDArray[np.int64]]:
        return (low, best) if found is None else (self._least(found), found)

    def _relaxed_days(self) -> Fraction:
        """Most days of the poorest taker if units could be split."""
        days = len(self.most)
        objective = np.zeros(days + 1)
        objective[days] = -1
        entries: list[Entry] = []
        least = []
        for i, level in enumerate(self.lacking):
            c = Fraction(self.places[level.place].peak)
            entries += [(i, level.column, float(1 / c)), (i, days, -1.0)]
            least.append(float(-level.day - level.outlives / c))
        most = np.append(self.most, float(self.limit))
        found = self._milp(objective, np.zeros(days + 1), most, [(entries, least, np.inf)], whole=False)
        return Fraction(0) if found is None else Fraction(float(found[days]))

    def _moving_most(self, needs: Floats) -> NDArray[np.int64] | None:
        """Most units that can be moved under the needs; None when they cannot be met."""
        lower = self._lower(needs)
        if (lower > self.most).any():
            return None
        objective = np.zeros(len(self.most))
        objective[: len(self.arcs)] = -1
        found = self._milp(objective, lower, self.most, [])
        return None if found is None else self._judged(found, needs)

    def _cheapest(self, needs: Floats, moved: int) -> NDArray[np.int64]:
        """Cheapest way to move so many units under the needs."""
        arcs = len(self.arcs)
        objective = np.zeros(len(self.most))
        objective[:arcs] = self.costs
        found = self._milp(objective, self._lower(needs), self.most, [self._all_moved(moved)])
        if found is None:
            raise RuntimeError("The solver found no cheapest plan although there is a plan.")
        return self._judged(found, needs)

    def _tidiest(self, needs: Floats, moved: int) -> NDArray[np.int64]:
        """Among the cheapest, a plan whose takers can spend what they get, and that moves what expires first.

        Weights keep the order of the three for usual costs; whoever asks compares the exact cost.
        """
        arcs, width, extra = len(self.arcs), len(self.most), len(self.lacking)
        lives = sorted({arc.life for arc in self.arcs if arc.life is not None})
        rank = {life: i / (len(lives) + 1) for i, life in enumerate(lives)}
        hops = 2 * len({level.place for level in self.levels})
        gaps = [b - a for a, b in pairwise(sorted({0.0, *self.costs.tolist()})) if b - a > 1e-6]
        objective = np.full(width + extra, float(hops))
        objective[arcs:width] = 0
        objective[:arcs] = [1.0 if arc.life is None else rank[arc.life] for arc in self.arcs]
        objective[:arcs] += hops * hops * (1 + extra) / min([1.0, *gaps]) * self.costs
        entries: list[Entry] = []
        least = []
        for i, level in enumerate(self.lacking):
            place = self.places[level.place]
            entries += [(i, level.column, 1.0), (i, width + i, 1.0)]
            least.append(float(ceil(place.peak * (place.required_days - Fraction(level.day))) - level.outlives))
        lower, most = np.append(self._lower(needs), np.zeros(extra)), np.append(self.most, np.full(extra, np.inf))
        found = self._milp(objective, lower, most, [self._all_moved(moved), (entries, least, np.inf)])
        if found is None:
            raise RuntimeError("The solver found no tidiest plan although there is a plan.")
        return self._judged(found, needs)

    def _lower(self, needs: Floats) -> Floats:
        lower = np.zeros(len(self.most))
        lower[[level.column for level in self.lacking]] = needs
        return lower

    def _all_moved(self, moved: int) -> Rows:
        return [(0, i, 1.0) for i in range(len(self.arcs))], [float(moved)], float(moved)

    def _milp(
        self, objective: Floats, lower: Floats, upper: Floats, rows: list[Rows], *, whole: bool = True
    ) -> Floats | None:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        lots = {key: i for i, key in enumerate(dict.fromkeys((arc.giver, arc.lot) for arc in self.arcs))}
        giving: list[Entry] = [(lots[arc.giver, arc.lot], i, 1.0) for i, arc in enumerate(self.arcs)]
        held = [float(self.places[giver].lots[lot][0]) for giver, lot in lots]
        constraints = []
        for entries, low, high in [
            (self.chain, [0.0] * len(self.levels), 0.0),
            (giving, [0.0] * len(held), np.array(held)),
            *rows,
        ]:
            i, j, values = zip(*entries, strict=True)
            table = csr_array((values, (i, j)), shape=(len(low), len(objective)))
            constraints.append(LinearConstraint(table, low, high))
        bounds, arcs = Bounds(lower, upper), len(self.arcs)
        # A vertex is whole already, and found without the search (and the chatter) that asking for whole units starts.
        for integrality in (0, np.append(np.ones(arcs), np.zeros(len(objective) - arcs))):
            found = milp(
                objective,
                integrality=integrality,
                bounds=bounds,
                constraints=constraints,
                options={"mip_rel_gap": 0},
            )
            if found.status == _INFEASIBLE:
                return None
            if found.x is None:
                raise RuntimeError(f"The solver stopped without an answer: {found.message}")
            answer: Floats = found.x
            if not whole or np.abs(answer[:arcs] - np.rint(answer[:arcs])).max() < _WHOLE:
                break
        return answer

    def _judged(self, proposed: Floats, needs: Floats) -> NDArray[np.int64]:
        """Whole units, judged without the solver: lots, the givers' rules, and what the takers get."""
        units: NDArray[np.int64] = np.rint(proposed[: len(self.arcs)]).astype(np.int64)
        passed = [int(units[through].sum()) for through in self.passing]
        enough = all(through >= need for through, need in zip(passed, needs.tolist(), strict=True))
        received = all(through <= self.most[level.column] for level, through in zip(self.lacking, passed, strict=True))
        if not (enough and received and (units >= 0).all() and _givers_keep_their_rule(self.places, self.arcs, units)):
            raise RuntimeError("The solver's answer does not hold in whole numbers.")
        return units

    def _least(self, units: NDArray[np.int64]) -> Fraction:
        """Days of the poorest taker afterwards, no more than the least required of one."""
        days = _days(self.places, _after(self.places, self.arcs, units))
        return min([self.limit, *(days[name] or Fraction(0) for name in self.takers)])

    def _cost(self, units: NDArray[np.int64]) -> Fraction:
        return sum((arc.cost * moved for arc, moved in zip(self.arcs, units.tolist(), strict=True)), Fraction(0))


def _after(places: Mapping[str, Place], arcs: Sequence[_Arc], units: NDArray[np.int64]) -> dict[str, list[Lot]]:
    """Lots of each place once the goods are there."""
    lots = {name: list(place.lots) for name, place in places.items()}
    for arc, moved in zip(arcs, units.tolist(), strict=True):
        if moved:
            there, life = lots[arc.giver][arc.lot]
            lots[arc.giver][arc.lot] = (there - moved, life)
            lots[arc.taker].append((moved, arc.life_there))
    return lots


def _days(places: Mapping[str, Place], lots: Mapping[str, Sequence[Lot]]) -> dict[str, Fraction | None]:
    return {name: cover(lots[name], place.peak, place.required_days).days for name, place in places.items()}


def _givers_keep_their_rule(places: Mapping[str, Place], arcs: Sequence[_Arc], units: NDArray[np.int64]) -> bool:
    after = _after(places, arcs, units)
    if any(there < 0 for lots in after.values() for there, _ in lots):
        return False
    days = _days(places, after)
    return all((days[name] or 0) >= places[name].required_days for name in {arc.giver for arc in arcs})


def _plan(
    places: Mapping[str, Place], takers: set[str], arcs: Sequence[_Arc], units: NDArray[np.int64], reason: Reason
) -> Plan:
    days = _days(places, _after(places, arcs, units))
    moves = [(arc, moved) for arc, moved in zip(arcs, units.tolist(), strict=True) if moved]
    limits = [places[name].required_days for name in takers]
    return Plan(
        moves=tuple(Move(arc.giver, arc.lot, arc.taker, moved) for arc, moved in moves),
        moved=sum(moved for _, moved in moves),
        cost=sum((arc.cost * moved for arc, moved in moves), Fraction(0)),
        least_days=min([*map(Fraction, limits), *(days[name] or Fraction(0) for name in takers)], default=None),
        days=days,
        reason=reason,
    )


def _arcs(places: Mapping[str, Place], ways: Sequence[Route]) -> list[_Arc]:
    count = sum(len(places[way.giver].lots) for way in ways)
    if count > ARCS_MAX:
        raise ValueError(
            f"There are {count:,} lots times routes, and {ARCS_MAX:,} is the most that is planned in one go: "
            "ask for one item at a time, or for fewer places."
        )
    return [
        _Arc(way.giver, i, way.taker, units, life, there, Fraction(way.cost))
        for way in ways
        for i, (units, life) in enumerate(places[way.giver].lots)
        if units
        and i not in places[way.giver].fixed
        and ((there := None if life is None else life - way.transit_days) is None or there > 0)
    ]


def _ways(places: Mapping[str, Place], routes: Iterable[Route]) -> list[Route]:
    ways: dict[tuple[str, str], Route] = {}
    for way in routes:
        pair = way.giver, way.taker
        if not {*pair} <= places.keys() or way.giver == way.taker:
            raise ValueError(
                f"routes must lead from one of the places to another: {way.giver} to {way.taker} does not."
            )
        if pair in ways:
            raise ValueError(f"routes must name a way once: {way.giver} to {way.taker} is there twice.")
        cost = _cost(f"cost of {way.giver} to {way.taker}", way.cost)
        ways[pair] = Route(*pair, cost, _whole(f"transit_days of {way.giver} to {way.taker}", way.transit_days))
    return list(ways.values())


def _checked(name: str, place: Place) -> Place:
    lots = [
        (
            _whole(f"lots of {name}: units", units),
            None if life is None else _whole(f"lots of {name}: life", life, signed=True),
        )
        for units, life in place.lots
    ]
    _whole(f"lots of {name}: their sum", sum(units for units, _ in lots))
    peak = _bounded(f"peak of {name}", exact.rate(f"peak of {name}", place.peak))
    required = exact.rate(f"required_days of {name}", place.required_days)
    _bounded(f"peak x required_days of {name}", peak * required)
    return Place(lots, peak, required, frozenset(place.fixed))


def _bounded(name: str, number: Fraction) -> Fraction:
    if number > _LARGEST:
        raise ValueError(f"{name} must be at most 10^12.")
    return number


def _cost(name: str, value: Fraction | float) -> Fraction:
    if isinstance(value, float) and isfinite(value):
        # 40.3 kilometres are 403/10, not the binary fraction beside it.
        value = Fraction(value).limit_denominator(10**6)
    return _bounded(name, exact.rate(name, value))


def _whole(name: str, value: int, *, signed: bool = False) -> int:
    number = exact.whole(name, value) if signed else exact.units(name, value)
    if abs(number) > _LARGEST:
        raise ValueError(f"{name} must be at most 10^12.")
    return number
