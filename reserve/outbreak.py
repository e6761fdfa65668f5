"""An outbreak worked out (情景推演), pure: cases, beds and staff a day, units of each item, dated stock along it."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecasting import depletion, epidemic, paths
from reserve.catalogue import ItemRow
from reserve.model import NormBasis
from reserve.norms import BED_CLASSES, NormRow

Floats = NDArray[np.float64]
Json = dict[str, Any]

WORST_DAYS = 30


class Seir(NamedTuple):
    """People who infect each other. Rates a day; `measures` are (from day, factor on beta)."""

    people: float
    exposed: float
    infectious: float
    beta: float
    sigma: float
    gamma: float
    measures: tuple[tuple[int, float], ...] = ()


class Beds(NamedTuple):
    """How cases become patients: shares of the cases and of the admissions, days until the bed and in it."""

    hospital_share: float
    delay_days: int
    shares: Mapping[str, float]
    stay_days: Mapping[str, int]


class Outbreak(NamedTuple):
    """What somebody assumes. Exactly one of `curve`, `census` and `seir` leads; a census may have a curve beside it."""

    days: int
    curve: tuple[float, ...] | None = None
    census: Mapping[str, tuple[float, ...]] | None = None
    seir: Seir | None = None
    beds: Beds | None = None
    available: Mapping[str, int] = {}
    hours_per_shift: float = 8.0
    hours: Mapping[str, Mapping[str, float]] = {}
    low: float | None = None
    high: float | None = None


class Course(NamedTuple):
    """Cases and patients day by day; `cases` is None where only a census is known."""

    cases: Floats | None
    classes: tuple[str, ...]
    census: Floats
    """(B, H) persons"""


class Staff(NamedTuple):
    """Shifts a day by role and class of the patients they stand beside."""

    roles: tuple[str, ...]
    hours: Floats
    """(R, B) beside one patient and day"""
    shifts: Floats
    """(R, B, H)"""

    def of(self, role: str) -> Floats:
        found: Floats = self.shifts[self.roles.index(role)].sum(axis=0)
        return found


class Worked(NamedTuple):
    """An outbreak worked out once for all items."""

    found: Course
    staff: Staff
    hours_per_shift: float


class Need(NamedTuple):
    """Units a day of one item that the outbreak asks for, ordinary use not counted."""

    item: ItemRow
    norms: tuple[NormRow, ...]
    units: Floats
    """(H,)"""


class Stock(NamedTuple):
    """What is known of an item on the day of the run: usable lots with their life, ordinary use, and the rule's row."""

    lots: Sequence[tuple[int, int | None]]
    ordinary: float
    rule: Json | None


class Rule(NamedTuple):
    """What stock is judged by today: days of it at a rate. `by_peak`: the rate is the peak, and moves with it."""

    days: Fraction
    rate: Fraction
    by_peak: bool


class Window(NamedTuple):
    """The days of a scenario against today: `lead` ordinary days before it, or `skipped` days of it that are over."""

    as_of: date
    starts_on: date
    days: int

    @property
    def lead(self) -> int:
        return max(0, (self.starts_on - self.as_of).days)

    @property
    def skipped(self) -> int:
        return max(0, (self.as_of - self.starts_on).days)

    def date(self, day: int) -> str:
        return (self.starts_on + timedelta(days=day)).isoformat()

    def ahead(self, day: int) -> str:
        return (self.as_of + timedelta(days=day)).isoformat()


def course(outbreak: Outbreak) -> Course:
    """Cases a day and patients by class, from a curve, a model or a census."""
    cases = _cases(outbreak)
    if outbreak.census is not None:
        classes = tuple(name for name in BED_CLASSES if name in outbreak.census)
        return Course(cases, classes, np.array([outbreak.census[name] for name in classes], dtype=np.float64))
    assert cases is not None  # noqa: S101 - a scenario without a census has cases
    beds = outbreak.beds
    if beds is None:
        return Course(cases, (), np.zeros((0, outbreak.days)))
    admitted = epidemic.admissions(cases, beds.hospital_share, beds.delay_days)
    classes = tuple(name for name in BED_CLASSES if beds.shares.get(name))
    rows = [epidemic.census(beds.shares[name] * admitted, beds.stay_days[name]) for name in classes]
    return Course(cases, classes, np.array(rows).reshape(len(classes), outbreak.days))


def staff(outbreak: Outbreak, found: Course, norms: Sequence[NormRow]) -> Staff:
    """Shifts that the patients ask for: hours by norm, or as the scenario says."""
    by_norm = {(n.role, n.bed_class): n.amount for n in norms if n.basis == NormBasis.STAFF_HOURS}
    roles = tuple(sorted({role for role, _ in by_norm} | set(outbreak.hours)))
    classes = found.classes
    hours = np.array([[_hours(outbreak, by_norm, role, name) or 0.0 for name in classes] for role in roles])
    hours, days = hours.reshape(len(roles), len(classes)).astype(np.float64), found.census.shape[1]
    if not hours.size:
        return Staff(roles, hours, np.zeros((len(roles), len(classes), days)))
    # a column for each role and class, so that what stands beside whom stays known
    apart = np.einsum("rb,ab->arb", hours, np.eye(len(classes))).reshape(len(classes), -1)
    shifts = epidemic.shifts(found.census, apart, outbreak.hours_per_shift).reshape(len(roles), len(classes), days)
    return Staff(roles, hours, shifts)


def missing_hours(outbreak: Outbreak, found: Course, norms: Sequence[NormRow]) -> list[tuple[str, str]]:
    """(role, class) for which something is used a shift and nobody says how many hours they are there."""
    by_norm = {(n.role, n.bed_class): n.amount for n in norms if n.basis == NormBasis.STAFF_HOURS}
    asked = {n.role for n in norms if n.basis == NormBasis.STAFF_SHIFT}
    return [
        (role, name)
        for role in sorted(asked)
        for name in found.classes
        if _hours(outbreak, by_norm, role, name) is None
    ]


def _hours(outbreak: Outbreak, by_norm: Mapping[tuple[str, str], float], role: str, bed_class: str) -> float | None:
    said = outbreak.hours.get(role, {})
    for found in (said.get(bed_class), by_norm.get((role, bed_class)), by_norm.get((role, ""))):
        if found is not None:
            return found
    return None


def _cases(outbreak: Outbreak) -> Floats | None:
    if outbreak.curve is not None:
        after = outbreak.days - len(outbreak.curve)
        return np.concatenate([np.array(outbreak.curve, dtype=np.float64), np.zeros(after)])
    if outbreak.seir is None:
        return None
    model = outbreak.seir
    factors = np.ones(outbreak.days)
    for day, factor in model.measures:
        factors[day:] = factor
    return epidemic.seir(
        model.people,
        model.exposed,
        model.infectious,
        model.beta,
        model.sigma,
        model.gamma,
        outbreak.days,
        factors,
    ).new_infectious


# -- units ------------------------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """One product of the sum: so many units a day come from patients (of a class) or from cases."""

    norm: NormRow
    bed_class: str | None
    hours: float | None
    persons: Floats
    """(H,) patients of the class, or cases"""
    units: Floats
    """(H,)"""


def terms(item: ItemRow, norms: Sequence[NormRow], found: Course, on_shift: Staff) -> list[Term]:
    """What one item is used for, day by day; a norm of a class stands before one of every class."""
    made = []
    for norm, name in _applying(norms, found.classes):
        if norm.item != item.code or norm.reusable:
            continue
        if norm.basis == NormBasis.CASE:
            if found.cases is not None:
                made.append(Term(norm, None, None, found.cases, found.cases * norm.amount))
            continue
        b = found.classes.index(name)
        if norm.basis == NormBasis.PATIENT_DAY:
            made.append(Term(norm, name, None, found.census[b], found.census[b] * norm.amount))
        elif norm.role in on_shift.roles:
            r = on_shift.roles.index(norm.role)
            hours = float(on_shift.hours[r, b])
            made.append(Term(norm, name, hours, found.census[b], on_shift.shifts[r, b] * norm.amount))
    return made


class Lasting(NamedTuple):
    """A reusable item: held by staff and replaced when worn out, or tied up by patients while they are in bed."""

    norm: NormRow
    persons: float
    """The most at one time."""
    person_days: float
    held: Floats
    """(H,) units handed out up to and with each day"""


def lasting(item: ItemRow, norms: Sequence[NormRow], found: Course, on_shift: Staff) -> list[Lasting]:
    """Reusable units: persons x max(1, norm x days) where as many come every day, following them where not."""
    groups: dict[tuple[str, str], list[tuple[NormRow, str]]] = {}
    for norm, name in _applying(norms, found.classes):
        if norm.item == item.code and norm.reusable and norm.amount_per_1000:
            groups.setdefault((norm.basis.value, norm.role), []).append((norm, name))
    made = []
    for (basis, role), pairs in groups.items():
        rows = [found.classes.index(name) for _, name in pairs]
        amounts = np.array([norm.amount for norm, _ in pairs])
        if basis == NormBasis.PATIENT_DAY:
            tied = amounts @ found.census[rows]
            persons = found.census[rows].sum(axis=0)
            made.append(Lasting(pairs[0][0], float(tied.max()), float(persons.sum()), np.maximum.accumulate(tied)))
        elif role in on_shift.roles:
            there = on_shift.shifts[on_shift.roles.index(role)][rows]
            persons = there.sum(axis=0)
            worn = np.cumsum(amounts @ there)
            held = np.maximum(np.maximum.accumulate(persons), worn)
            made.append(Lasting(pairs[0][0], float(persons.max()), float(persons.sum()), held))
    return made


def needs(items: Sequence[ItemRow], norms: Sequence[NormRow], found: Course, on_shift: Staff) -> list[Need]:
    """Units a day of each item, from staff, patients and cases."""
    made = []
    for item in items:
        own = tuple(n for n in norms if n.item == item.code)
        units = sum((t.units for t in terms(item, own, found, on_shift)), np.zeros(found.census.shape[1]))
        for kept in lasting(item, own, found, on_shift):
            units = units + np.diff(kept.held, prepend=0.0)
        made.append(Need(item, own, units))
    return made


def _applying(norms: Sequence[NormRow], classes: Sequence[str]) -> list[tuple[NormRow, str]]:
    """Each norm with each class it holds for; one a case holds for none."""
    exact = {(n.basis, n.role, n.item, n.bed_class) for n in norms if n.bed_class}
    found = []
    for norm in norms:
        if norm.basis == NormBasis.CASE:
            found.append((norm, ""))
        elif norm.bed_class:
            found += [(norm, name) for name in classes if name == norm.bed_class]
        else:
            found += [(norm, name) for name in classes if (norm.basis, norm.role, norm.item, name) not in exact]
    return found


# -- stock along it ---------------------------------------------------------------------------------------------------


class Along(NamedTuple):
    """Stock along one path from today on."""

    days_met: Fraction
    runs_out: int | None
    """First day from today that is not met in full; None within the scenario."""
    unmet: float
    expired: float
    left: float
    usable: Floats


def path_of(need: Need, ordinary: float, window: Window, factor: float = 1.0) -> Floats:
    """Units a day from today to the end of the scenario."""
    ahead: Floats = np.concatenate([np.zeros(window.lead), factor * need.units[window.skipped :]]) + ordinary
    return ahead


def follow(lots: Sequence[tuple[int, int | None]], demand: Floats) -> Along:
    """Dated stock, first-expired-first-out, along a path of use."""
    found = paths.deplete(*_split(lots), demand)
    usable, waste, whole = found.on_hand[0], float(found.waste[0, -1]), int(found.whole_days[0])
    unmet = max(0.0, float(demand.sum()) - (float(usable[0]) - waste))
    met = Fraction(whole)
    if whole < len(demand):
        met += min(Fraction(1), Fraction(float(usable[whole])) / Fraction(float(demand[whole])))
    return Along(met, whole if whole < len(demand) else None, unmet, waste, float(usable[-1]), usable)


def _split(lots: Sequence[tuple[int, int | None]]) -> tuple[list[int], list[float]]:
    """Quantities and lives, as the arithmetic takes them."""
    return [units for units, _ in lots], [inf if days is None else float(days) for _, days in lots]


def result(need: Need, stock: Stock, window: Window, outbreak: Outbreak) -> Json:
    """The row of one item: what is used, how long the dated stock lasts under it, and beside it the rule's figures."""
    daily = need.units + stock.ordinary
    along = follow(stock.lots, path_of(need, stock.ordinary, window))
    own_peak = up(float(epidemic.seven_day_peak(daily)[0]), 6)
    rule = stock.rule or {}
    peak = int(epidemic.peak_day(daily)[0])
    worst, worst_from = _worst(daily)
    return {
        "item": need.item.code,
        "name_zh": need.item.name_zh,
        "name_en": need.item.name_en,
        "base_unit": need.item.base_unit,
        "usable": int(along.usable[0]),
        "lots": _by_life(stock.lots, window.as_of),
        "ordinary_daily": float(up(stock.ordinary, 2)),
        "demand": [round(float(units), 3) for units in daily],
        "total": whole_up(float(daily.sum())),
        "outbreak_total": whole_up(float(need.units.sum())),
        "peak_day": {"day": peak, "date": window.date(peak), "units": float(up(float(daily[peak]), 2))},
        "seven_day_peak": float(up(float(own_peak), 2)),
        "worst_30_days": {"units": whole_up(worst), "from": window.date(worst_from)},
        "usable_by_day": [floor(float(units) + 1e-6) for units in along.usable],
        **_along(along, window),
        "falls_below_on": _falls_below(along, stock, window),
        "bands": _bands(need, stock, window, outbreak),
        "at_scenario_peak": _at_peak(stock, own_peak),
        "rule": {
            name: rule.get(name)
            for name in ("as_of", "stale", "peak_daily", "days_of_coverage", "required_days", "required", "level")
        },
        "norms": [_norm(n) for n in need.norms],
    }


def _along(along: Along, window: Window) -> Json:
    return {
        "days_met": floor(along.days_met * 100) / 100,
        "runs_out_on": None if along.runs_out is None else window.ahead(along.runs_out),
        "unmet": whole_up(along.unmet),
        "expires_unused": floor(along.expired + 0.5),
        "left": floor(along.left + 1e-6),
    }


def judged_by(row: Json | None) -> Rule | None:
    """What a row of coverage says that stock is judged by; None where no days at a rate are asked for."""
    told = (row or {}).get("judged")
    if told:
        return Rule(Fraction(str(told["required_days"])), Fraction(told["rate"]), told["peak"])
    if row and row.get("peak_daily") and row.get("required_days"):
        return Rule(Fraction(row["required_days"]), Fraction(row["peak_daily"]), by_peak=True)
    return None


def _at_peak(stock: Stock, own_peak: Fraction) -> Json:
    """The rule's arithmetic with the scenario's peak; a rule of persons asks for its own rate, whatever the peak."""
    days = depletion.cover(list(stock.lots), own_peak, 0).days
    rule = judged_by(stock.rule)
    required_days = Fraction((stock.rule or {}).get("required_days") or WORST_DAYS) if rule is None else rule.days
    rate = own_peak if rule is None or rule.by_peak else rule.rate
    cover = depletion.cover(list(stock.lots), rate, required_days)
    return {
        "peak_daily": float(own_peak),
        "days": None if days is None else floor(days * 100) / 100,
        "required_days": int(required_days) if required_days.denominator == 1 else float(required_days),
        "rate": float(rate),
        "required": cover.required,
        "shortfall": cover.shortfall,
    }


def _falls_below(along: Along, stock: Stock, window: Window) -> str | None:
    """The first day on which what is left covers less than the rule asks of stock, at the rule's own rate."""
    rule = judged_by(stock.rule)
    if rule is None or not rule.rate or not rule.days:
        return None
    quantity, life = _split(stock.lots)
    coverage = paths.coverage_along(quantity, life, along.usable, float(rule.rate))
    day = int(paths.first_below(coverage, float(rule.days)).day[0])
    return None if day < 0 else window.ahead(day)


def _bands(need: Need, stock: Stock, window: Window, outbreak: Outbreak) -> Json | None:
    if outbreak.low is None or outbreak.high is None:
        return None
    found = {}
    for name, factor in (("low", outbreak.low), ("high", outbreak.high)):
        along = follow(stock.lots, path_of(need, stock.ordinary, window, factor))
        total = float((factor * need.units + stock.ordinary).sum())
        found[name] = {"factor": factor, "total": whole_up(total), **_along(along, window)}
    return found


def _norm(norm: NormRow) -> Json:
    return {
        "basis": norm.basis.value,
        "bed_class": norm.bed_class or None,
        "role": norm.role or None,
        "amount": norm.amount,
        "reusable": norm.reusable,
        "source_text": norm.source_text,
    }


def _worst(daily: Floats) -> tuple[float, int]:
    """The most units of any 30 consecutive days, and the first of these."""
    width = min(WORST_DAYS, len(daily))
    sums = np.lib.stride_tricks.sliding_window_view(daily, width).sum(axis=1)
    first = int(sums.argmax())
    return float(sums[first]), first


def _by_life(lots: Sequence[tuple[int, int | None]], as_of: date) -> list[Json]:
    """Usable units by their last usable day, as they went in."""
    found: dict[int | None, int] = {}
    for units, life in lots:
        found[life] = found.get(life, 0) + units
    ordered = sorted(found.items(), key=lambda pair: inf if pair[0] is None else pair[0])
    return [
        {
            "units": units,
            "life": life,
            "expires_on": None if life is None else (as_of + timedelta(days=life - 1)).isoformat(),
        }
        for life, units in ordered
    ]


def up(value: float, decimals: int) -> Fraction:
    """Rounded up, crumbs of floating point aside: what is needed never looks smaller than it is."""
    scale = 10**decimals
    return Fraction(ceil(Fraction(value) * scale - Fraction(1, 1000)), scale)


def whole_up(value: float) -> int:
    return ceil(Fraction(value) - Fraction(1, 10**6))
