"""What would expire unused (轮换): which lots, how many to which hospital by which day, and what is owed first.

The reserve's own pace is what its warehouses hand out, by the ledger. A hospital's room is what it uses beyond what it
gets from the reserve already: the same use is not counted once as the reserve's and once as the hospital's.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from forecasting import rotation
from forecasting.depletion import waste_by_lot
from forecasting.rotation import Hospital, Rotation
from reserve import figures, outlook, plan_words
from reserve.catalogue import Place
from reserve.consumption import History
from reserve.coverage import Board
from reserve.entry import day_bounds
from reserve.evidence import iso, rounded
from reserve.explain import Sentence, exact
from reserve.figures import Found, Situation
from reserve.lots import LOT, life
from reserve.model import DocumentKind, LocationKind, Moment, Purpose
from reserve.outlook import Use
from reserve.plan_words import LotTold
from reserve.planning import LARGEST, Drawing, Json
from reserve.posting import DOCUMENT, MOVEMENT
from reserve.stock import StockRow

LOOK_BACK_DAYS = 365
FEWEST_DAYS = 28
"""A book younger than this is not read as if it told the pace of a year."""


class Terms(NamedTuple):
    """Days on the road, the share of the plan below which a reserve is not drawn down, and how far is looked."""

    transit_days: int = 1
    floor_percent: int = 70
    within_days: int = 365
    """Lots that expire later are not told of: nobody sends them yet."""


class Handed(NamedTuple):
    """What the warehouses of a scope hand out a day: in all, and to each hospital by its code."""

    a_day: Fraction
    to: Mapping[str, Fraction]
    days: int


NOTHING = Handed(Fraction(0), {}, FEWEST_DAYS)


def stores(world: Board, scope: Place) -> list[Place]:
    """The reserve's own warehouses of a scope."""
    return [
        p
        for p in world.places.values()
        if p.kind == LocationKind.WAREHOUSE and p.owner is None and p.bay_of is None and scope.holds(p)
    ]


def hospitals(world: Board, scope: Place, as_of: date) -> list[Place]:
    return [
        p
        for p in world.places.values()
        if p.kind == LocationKind.HOSPITAL
        and p.owner is None
        and scope.holds(p)
        and (p.closed_on is None or p.closed_on >= as_of)
    ]


def handed_out(session: Session, drawing: Drawing, scope: Place) -> dict[int, Handed]:
    """What the warehouses of a scope handed out a day over the last year, by item: two statements for all items.

    Issues for use and allocation, and transfers to a hospital of the scope; what was reversed is left out. The year is
    shorter where the warehouses have had the item for less.
    """
    world, moment = drawing
    ids = [p.id for p in stores(world, scope)]
    codes = [p.code for p in hospitals(world, scope, moment.as_of)]
    zone = moment.zone
    begin = day_bounds(moment.as_of - timedelta(days=LOOK_BACK_DAYS), zone)[0]
    end = day_bounds(moment.as_of, zone)[0]
    asked = {"stores": ids, "hospitals": codes, "begin": begin, "end": end}
    connection = session.connection()
    began = {row[0]: row[1] for row in connection.execute(_BEGAN, {"stores": ids, "end": end})}
    units: dict[int, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
    for item_id, recipient, quantity in connection.execute(_HANDED, asked):
        units[item_id][recipient] += int(quantity)
    found = {}
    for item_id, to in units.items():
        days = _days_since(began[item_id], drawing)
        found[item_id] = Handed(
            Fraction(sum(to.values()), days), {code: Fraction(to[code], days) for code in codes if code in to}, days
        )
    return found


def _days_since(began: datetime, drawing: Drawing) -> int:
    first = began.astimezone(drawing.moment.zone).date()
    return min(LOOK_BACK_DAYS, max(FEWEST_DAYS, (drawing.moment.as_of - first).days))


_undo = aliased(MOVEMENT, name="undo")
_HANDED = (
    select(LOT.c.item_id, DOCUMENT.c.recipient, func.sum(MOVEMENT.c.quantity))
    .select_from(MOVEMENT)
    .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
    .join(DOCUMENT, DOCUMENT.c.id == MOVEMENT.c.document_id)
    .where(
        MOVEMENT.c.source_id.in_(bindparam("stores", expanding=True)),
        MOVEMENT.c.occurred_at >= bindparam("begin", type_=Moment),
        MOVEMENT.c.occurred_at < bindparam("end", type_=Moment),
        or_(
            and_(
                DOCUMENT.c.kind == DocumentKind.ISSUE.value,
                DOCUMENT.c.purpose.in_([Purpose.USE.value, Purpose.ALLOCATION.value]),
            ),
            and_(
                DOCUMENT.c.kind == DocumentKind.TRANSFER.value,
                DOCUMENT.c.recipient.in_(bindparam("hospitals", expanding=True)),
            ),
        ),
        ~select(_undo.c.id).where(_undo.c.reverses == MOVEMENT.c.id).exists(),
    )
    .group_by(LOT.c.item_id, DOCUMENT.c.recipient)
)
_BEGAN = (
    select(LOT.c.item_id, func.min(MOVEMENT.c.occurred_at, type_=Moment))
    .select_from(MOVEMENT)
    .join(LOT, LOT.c.id == MOVEMENT.c.lot_id)
    .where(
        MOVEMENT.c.target_id.in_(bindparam("stores", expanding=True)),
        MOVEMENT.c.occurred_at < bindparam("end", type_=Moment),
    )
    .group_by(LOT.c.item_id)
)


# -- the plan of one item, pure ---------------------------------------------------------------------------------------


class Taker(NamedTuple):
    """A hospital: what it uses a day, what of that comes from the reserve already, and its own lots."""

    place: Place
    use: Fraction
    handed: Fraction
    lots: list[tuple[int, int | None]]

    @property
    def room_rate(self) -> Fraction:
        """Units a day that it buys itself, and could take from the reserve instead."""
        return max(Fraction(0), self.use - self.handed)


def plan(case: Situation, world: Board, handed: Handed, terms: Terms) -> Json:
    """Lots of the scope's warehouses that would expire unused, and what to do with them."""
    found = figures.find(case)
    kept = {p.id for p in stores(world, case.scope)}
    rows = [row for row in found.held.lots if row.location_id in kept and row.available]
    lots = [(row.available, life(row.expires_on, case.as_of)) for row in rows]
    takers = _takers(case, world, handed)
    rule = max(
        (j for j in found.judged if j.rate is not None and j.policy.physical is not None),
        key=lambda j: (j.required, j.policy.code),
        default=None,
    )
    required = Fraction(0) if rule is None or rule.policy.physical is None else rule.policy.physical
    peak = Fraction(0) if rule is None or rule.rate is None else rule.rate
    keep = max((j.required for j in found.judged), default=0)
    held = sum(units for units, _ in lots)
    if any(n > LARGEST for n in [peak * (required + 1), Fraction(held), Fraction(keep), *(t.use for t in takers)]):
        return {**_heading(found, handed, takers), **_nothing("too_large"), "lots": [], "lines": []}
    unknown = bool(found.judged) and (not found.can_tell or not found.peak.known)
    made = rotation.rotate(
        lots,
        {t.place.code: Hospital(t.lots, t.room_rate, terms.transit_days) for t in takers},
        rate=handed.a_day,
        peak=peak,
        required_days=required,
        # nothing leaves a reserve of which it is not known what it must keep
        plan_units=held if unknown else keep,
        floor_share=Fraction(1) if unknown else Fraction(terms.floor_percent, 100),
    )
    floor = ceil(Fraction(terms.floor_percent, 100) * keep)
    told = {
        n: one
        for n, one in _lots(found, rows, made, handed.a_day, required, floor).items()
        if one.life <= terms.within_days
    }
    reason = (
        "peak_unknown"
        if unknown
        else "planned"
        if any(one.sent for one in told.values())
        else "owed"
        if told
        else "nothing_expires"
    )
    certain = waste_by_lot(lots, _all_use(found))
    return {
        **_heading(found, handed, takers),
        **(_nothing("peak_unknown") if unknown else {"reason_code": reason, "words": None}),
        "policy": None if rule is None else rule.policy.code,
        "required_days": None if rule is None else float(required),
        "peak_daily": float(peak),
        "floor_units": floor,
        "lots": [{**_lot(one, sure), "words": plan_words.wasted(one)._asdict()} for one, sure in _with(told, certain)],
        "lines": _lines(case, rows, made, told, takers),
    }


def _takers(case: Situation, world: Board, handed: Handed) -> list[Taker]:
    """Hospitals below the scope that are known to use the item, at the mean of the days of the last year they told."""
    found = []
    row_of = {place.id: n for n, place in enumerate(case.history.places)}
    for place in hospitals(world, case.scope, case.as_of):
        n = row_of.get(place.id)
        use = None if n is None else _mean(case.history, n)
        if use:
            own = [(row.usable, life(row.expires_on, case.as_of)) for row in case.lots if row.location_id == place.id]
            found.append(Taker(place, use, handed.to.get(place.code, Fraction(0)), [lot for lot in own if lot[0]]))
    return found


def _mean(history: History, row: int) -> Fraction | None:
    """Units a day; None where too few days are known."""
    last = slice(-LOOK_BACK_DAYS, None)
    known = history.reported[row, last] & history.active[row, last] & ~history.censored[row, last]
    days = int(np.count_nonzero(known))
    if days < FEWEST_DAYS:
        return None
    return Fraction(sum(history.values[row, last][known].tolist()), days)


def _all_use(found: Found) -> Fraction:
    """What the whole scope is expected to use a day."""
    mean = found.use.mean / outlook.BLOCK_DAYS if isinstance(found.use, Use) else 0.0
    return Fraction(mean).limit_denominator(10**6)


# -- as it is answered ------------------------------------------------------------------------------------------------


def _heading(found: Found, handed: Handed, takers: Sequence[Taker]) -> Json:
    case = found.case
    return {
        "scope": case.scope.code,
        "item": case.item.code,
        "category": case.item.category,
        "base_unit": case.item.base_unit,
        "as_of": iso(case.as_of),
        "handed_out_daily": exact(handed.a_day),
        "handed_out_days": handed.days,
        "expected_use_daily": round(float(_all_use(found)), 4),
        "hospitals": [
            {
                "hospital": taker.place.code,
                "use_daily": exact(taker.use),
                "from_reserve_daily": exact(taker.handed),
                "own_units": sum(units for units, _ in taker.lots),
            }
            for taker in takers
        ],
    }


def _nothing(reason: str) -> Json:
    return {"reason_code": reason, "words": plan_words.NO_ROTATION[reason]._asdict()}


def _lots(
    found: Found, rows: Sequence[StockRow], made: Rotation, rate: Fraction, required: Fraction, floor: int
) -> dict[int, LotTold]:
    """Each lot that loses something, by its place among them."""
    sent: dict[int, int] = defaultdict(int)
    for line in made.lines:
        sent[line.lot] += line.units
    left = {one.lot: one for one in made.left}
    told = {}
    for n, (row, lost) in enumerate(zip(rows, made.waste_by_lot, strict=True)):
        days = life(row.expires_on, found.case.as_of)
        if not lost or row.expires_on is None or days is None:
            continue
        rest = left.get(n)
        told[n] = LotTold(
            unit=found.case.item.base_unit,
            location=row.location,
            lot_number=row.lot_number,
            units=row.available,
            expires_on=row.expires_on,
            life=days,
            rate=rate,
            waste=ceil(lost),
            sent=sent[n],
            owed=0 if rest is None else rest.owed,
            no_room=0 if rest is None else rest.no_room,
            limit=None if rest is None else rest.limit,
            required_days=required,
            keep_units=floor,
        )
    return told


def _with(told: Mapping[int, LotTold], certain: Sequence[Fraction]) -> list[tuple[LotTold, int]]:
    return [(one, rounded(certain[n])) for n, one in told.items()]


def _lot(told: LotTold, certain: int) -> Json:
    return {
        "location": told.location,
        "lot_number": told.lot_number,
        "expires_on": iso(told.expires_on),
        "units": told.units,
        "waste": told.waste,
        "waste_at_all_use": certain,
        "sent": told.sent,
        "owed": told.owed,
        "no_room": told.no_room,
        "limit": told.limit,
    }


def _lines(
    case: Situation,
    rows: Sequence[StockRow],
    made: Rotation,
    told: Mapping[int, LotTold],
    takers: Sequence[Taker],
) -> list[Json]:
    by_code = {taker.place.code: taker for taker in takers}
    lines = []
    for line in (one for one in made.lines if one.lot in told):
        row, taker = rows[line.lot], by_code[line.hospital]
        send_by = case.as_of + timedelta(days=line.send_by)
        said: Sentence = plan_words.send(
            taker.place, taker.room_rate, line.units, told[line.lot], send_by, now=line.send_by == 0
        )
        lines.append(
            {
                "item": case.item.code,
                "source": row.location,
                "target": line.hospital,
                "lot_number": row.lot_number,
                "expires_on": iso(row.expires_on),
                "units": line.units,
                "send_by": iso(send_by),
                "now": line.send_by == 0,
                "words": said._asdict(),
            }
        )
    return lines
