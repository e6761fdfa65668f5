"""What must be held where, from which day, by which text: effective-dated, never edited (储备标准)."""

from collections.abc import Iterable
from datetime import date, datetime
from fractions import Fraction
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlmodel import Session

from forecasting.peak import parse_method
from reserve import catalogue, journal
from reserve.catalogue import ItemRow, Place
from reserve.entry import Entry
from reserve.errors import AlreadyThere, Fault, Invalid, UnknownItem
from reserve.model import QUANTITY_MAX, Category, Policy, PolicyKind, ScopePeak, table
from reserve.posting import mark_due

POLICY = table(Policy)

MAX_LOOK_AHEAD_DAYS = 90
"""As far as use is forecast."""

DEFAULT_LEAD_TIME_DAYS = 14
"""How long an order takes where nobody says otherwise."""


class NewPolicy(NamedTuple):
    """A policy as its maker states it; `norm` is units a person (or bed) and day."""

    code: str
    scope: str
    kind: PolicyKind
    effective_from: date
    source_text: str
    item: str | None = None
    category: Category | None = None
    required_days: int | None = None
    persons: int | None = None
    norm: Fraction | None = None
    quantity: int | None = None
    method: str = "rolling_mean_max"
    look_back_days: int = 365
    lead_time_days: int = DEFAULT_LEAD_TIME_DAYS
    margin_days: int = 7
    physical_days: int | None = None
    contracted_days: int | None = None
    physical_percent: int | None = None
    verified_within_days: int = 180
    look_ahead_days: int = 30
    blue_percent: int = 10
    yellow_percent: int = 50
    scope_peak: ScopePeak = ScopePeak.PEAK_OF_SUM
    effective_until: date | None = None
    source_title: str | None = None


class PolicyRow(NamedTuple):
    code: str
    item_id: int | None
    category: Category | None
    scope_id: int
    kind: PolicyKind
    required_days: int | None
    persons: int | None
    norm_per_1000: int | None
    quantity: int | None
    method: str
    look_back_days: int
    lead_time_days: int
    margin_days: int
    physical_days: int | None
    contracted_days: int | None
    physical_percent: int | None
    verified_within_days: int
    look_ahead_days: int
    blue_percent: int
    yellow_percent: int
    scope_peak: ScopePeak
    effective_from: date
    effective_until: date | None
    source_title: str | None
    source_text: str
    recorded_at: datetime
    actor: str

    @property
    def rate(self) -> Fraction | None:
        """Units a day that a persons or full-load policy plans with; None for the others."""
        if self.persons is None or self.norm_per_1000 is None:
            return None
        return Fraction(self.persons * self.norm_per_1000, 1000)

    @property
    def physical(self) -> Fraction | None:
        """The days that stock itself must cover; None for a fixed quantity."""
        if self.required_days is None:
            return None
        if self.physical_days is not None:
            return Fraction(self.physical_days)
        return Fraction(self.required_days * (100 if self.physical_percent is None else self.physical_percent), 100)

    @property
    def in_parts(self) -> bool:
        """Whether promises count towards it, each part judged by itself."""
        return any(part is not None for part in (self.physical_days, self.contracted_days, self.physical_percent))

    @property
    def looks_ahead(self) -> int:
        """Days within which a fall is warned of: never less than an order takes."""
        return min(MAX_LOOK_AHEAD_DAYS, max(self.look_ahead_days, self.lead_time_days + self.margin_days))

    def speaks_of(self, item: ItemRow) -> bool:
        return self.item_id == item.id or (self.category is not None and self.category == item.category)


_COLUMNS = [POLICY.c[name] for name in PolicyRow._fields]


def add(session: Session, entry: Entry, new: NewPolicy) -> PolicyRow:
    """Make a policy, or a new version of one from its `effective_from` on. Every item it speaks of is assessed again.

    Refused: an unknown scope or item; terms that its kind does not have, or that cannot be; a second version of the
    same day.
    """
    scope = catalogue.require_place(session, new.scope, "/scope")
    item = None if new.item is None else catalogue.item(session, new.item)
    if new.item is not None and item is None:
        detail = f"There is no item {new.item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    _refuse_bad_terms(new)
    taken = select(POLICY.c.id).where(POLICY.c.code == new.code, POLICY.c.effective_from == new.effective_from)
    if session.connection().execute(taken).first() is not None:
        raise AlreadyThere(
            f"Policy {new.code} has a version from {new.effective_from} already; choose another day.",
            code="policy_exists",
        )
    _refuse_rewriting(session, entry, new)
    _refuse_another(session, new, scope, item)
    values = {k: v for k, v in new._asdict().items() if k not in {"scope", "item", "norm"}}
    norm = None if new.norm is None else int(new.norm * 1000)
    session.connection().execute(
        insert(POLICY).values(
            **values,
            scope_id=scope.id,
            item_id=item and item.id,
            norm_per_1000=norm,
            recorded_at=entry.now,
            actor=entry.actor,
        )
    )
    told = [p for p in versions(session) if p.code == new.code]
    made = next(p for p in told if p.effective_from == new.effective_from)
    replaced = [p for p in told if p.effective_from < new.effective_from]
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="policy.made",
        subject=new.code,
        before=_facts(replaced[-1], new) if replaced else None,
        after=_facts(made, new),
    )
    below = [p for p in catalogue.places(session) if scope.holds(p)]
    spoken_of = [i for i in catalogue.items(session) if made.speaks_of(i)]
    mark_due(session, ((p.id, i.id) for i in spoken_of for p in below), entry.now)
    return made


def _facts(row: PolicyRow, new: NewPolicy) -> journal.Facts:
    """A version as the journal keeps it: by codes, which all versions of a policy share."""
    values = row._asdict()
    for told_otherwise in ("code", "item_id", "scope_id", "recorded_at", "actor"):
        del values[told_otherwise]
    return {**values, "item": new.item, "scope": new.scope}


def _refuse_rewriting(session: Session, entry: Entry, new: NewPolicy) -> None:
    """A new version begins today or later: what last month's figures rested on is never changed."""
    earlier = select(POLICY.c.id).where(POLICY.c.code == new.code, POLICY.c.effective_from != new.effective_from)
    if new.effective_from < entry.today and session.connection().execute(earlier).first() is not None:
        detail = f"Policy {new.code} is in force already; a new version begins on {entry.today} or later."
        raise Invalid(
            detail, code="policy_in_the_past", faults=[Fault("/effective_from", "policy_in_the_past", detail)]
        )


def _refuse_another(session: Session, new: NewPolicy, scope: Place, item: ItemRow | None) -> None:
    """A code is one policy: a version of it speaks of the same thing in the same scope, or it would end another's."""
    same = (scope.id, item and item.id, new.category)
    standing = select(POLICY.c.scope_id, POLICY.c.item_id, POLICY.c.category).where(POLICY.c.code == new.code).limit(1)
    found = session.connection().execute(standing).first()
    if found is not None and tuple(found) != same:
        detail = f"There is already a policy {new.code} of another scope or item; choose another code."
        raise AlreadyThere(detail, code="policy_exists")


def versions(session: Session, known_at: datetime | None = None) -> list[PolicyRow]:
    """Every version of every policy, by code and day."""
    statement = select(*_COLUMNS).order_by(POLICY.c.code, POLICY.c.effective_from)
    if known_at is not None:
        statement = statement.where(POLICY.c.recorded_at <= known_at)
    return [PolicyRow._make(row) for row in session.connection().execute(statement)]


def in_force(session: Session, day: date, known_at: datetime | None = None) -> list[PolicyRow]:
    """The version of each policy that rules on `day`: the latest begun, unless it has ended."""
    begun = {p.code: p for p in versions(session, known_at) if p.effective_from <= day}
    return [p for p in begun.values() if p.effective_until is None or p.effective_until >= day]


def applying(policies: Iterable[PolicyRow], item: ItemRow, scope: Place, places: dict[int, Place]) -> list[PolicyRow]:
    """Those that speak of this item in this scope: declared here, or days at the peak declared above.

    A rule in days for the city is a measure for a county too, since the peak shrinks with the scope; a quantity or a
    number of persons of the city is not.
    """
    return [
        p
        for p in policies
        if p.speaks_of(item)
        and (p.scope_id == scope.id or (p.kind == PolicyKind.DAYS and places[p.scope_id].holds(scope)))
    ]


_BOUNDS = {
    "required_days": (1, 36_500),
    "persons": (1, 10**12),
    "norm": (Fraction(1, 1000), 10**6),
    "quantity": (1, QUANTITY_MAX),
    "look_back_days": (28, 3660),
    "lead_time_days": (0, 3660),
    "margin_days": (0, 3660),
    "physical_days": (0, 36_500),
    "contracted_days": (1, 36_500),
    "physical_percent": (0, 100),
    "verified_within_days": (1, 3660),
    "look_ahead_days": (1, MAX_LOOK_AHEAD_DAYS),
    "blue_percent": (1, 100),
    "yellow_percent": (1, 100),
}


def method_problem(method: str, look_back_days: int) -> str | None:
    """What is wrong with a peak method: the worker could not assess by it."""
    try:
        width = parse_method(method).width
    except ValueError as error:
        return str(error)
    return None if width <= look_back_days else f"{method} looks at more than the {look_back_days} days looked back on."


def _part_faults(new: NewPolicy) -> list[Fault]:
    faults = []
    if new.physical_days is not None and new.physical_percent is not None:
        detail = "Say the part that must lie there as physical_days or as physical_percent, not both."
        faults.append(Fault("/physical_percent", "policy_terms", detail))
    if new.kind == PolicyKind.QUANTITY:
        faults += [
            Fault(f"/{term}", "policy_terms", f"A policy of kind {new.kind} has no {term}.")
            for term in ("physical_days", "contracted_days")
            if getattr(new, term) is not None
        ]
    elif new.required_days is not None and new.physical_days is not None and new.physical_days > new.required_days > 0:
        detail = f"physical_days is a part of the {new.required_days} required days."
        faults.append(Fault("/physical_days", "policy_terms", detail))
    if new.blue_percent > new.yellow_percent:
        faults.append(Fault("/blue_percent", "policy_terms", "blue_percent is no more than yellow_percent."))
    return faults


def _refuse_bad_terms(new: NewPolicy) -> None:
    by_rate = new.kind in {PolicyKind.PERSONS, PolicyKind.FULL_LOAD}
    wanted = {
        "required_days": new.kind != PolicyKind.QUANTITY,
        "persons": by_rate,
        "norm": by_rate,
        "quantity": new.kind == PolicyKind.QUANTITY,
    }
    faults = [
        Fault(f"/{term}", "policy_terms", f"A policy of kind {new.kind} {'needs' if needed else 'has no'} {term}.")
        for term, needed in wanted.items()
        if needed == (getattr(new, term) is None)
    ]
    faults += [
        Fault(f"/{term}", "policy_terms", f"{term} is {least} to {most}.")
        for term, (least, most) in _BOUNDS.items()
        if (value := getattr(new, term)) is not None and not least <= value <= most
    ]
    if new.effective_until is not None and new.effective_until < new.effective_from:
        faults.append(Fault("/effective_until", "policy_terms", "A policy ends on or after the day it begins."))
    faults += _part_faults(new)
    if problem := method_problem(new.method, new.look_back_days):
        faults.append(Fault("/method", "unknown_method", problem))
    if (new.item is None) == (new.category is None):
        faults.append(Fault("/item", "policy_terms", "A policy speaks either of an item or of a category."))
    if new.norm is not None and (new.norm * 1000).denominator != 1:
        faults.append(Fault("/norm", "policy_terms", "A norm has at most three decimals."))
    if faults:
        raise Invalid(faults[0].detail, code="policy_terms", faults=faults)
