"""Where a lot came from, where it lies and who got it (召回追溯), and lots with what there is of each. Reads only.

What came is what lies somewhere, is on the road, was handed out, disposed of or lost: the trace shows both sides and
whether they agree. A reader of a part of the reserve gets that part: goods from and to elsewhere are then a side of
their own, and nothing is told about elsewhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Date, and_, case, func, literal, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session

from reserve import documents
from reserve.catalogue import ITEM, PLACE, ItemRow, Place
from reserve.documents import Ends, Line
from reserve.lots import HOLD, LOT, is_expired
from reserve.model import OUTSIDE, DocumentKind, LocationKind
from reserve.posting import BALANCE, DOCUMENT, MOVEMENT
from reserve.stock import INSPECTION


class HoldRow(NamedTuple):
    reason: str
    note: str | None
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None


class Lying(NamedTuple):
    """What of the lot lies at a place now, and why it may not be used there."""

    place: Place
    on_hand: int
    hold: str | None


class Road(NamedTuple):
    """A transfer of the lot: what was sent, what came, what was lost, and what is still on the road."""

    document: str
    occurred_at: datetime
    source: Place
    target: Place | None
    sent: int
    arrived: int
    lost: int
    on_the_road: int


class Step(NamedTuple):
    """A line of the ledger and what still stands of it: nothing where it was reversed.

    `net` is signed: goods that users gave back and gains of a count are against the direction of their list.
    """

    line: Line
    place: Place
    net: int


class Recipient(NamedTuple):
    """Who got units of the lot, net of what was reversed or given back."""

    recipient: str | None
    quantity: int
    documents: int


class Renamed(NamedTuple):
    """Units that an inspection made another item: the lot they are followed as from there, or were before."""

    document: str
    quantity: int
    became: bool
    item: str
    item_name_zh: str
    item_name_en: str
    lot_number: str


class Sums(NamedTuple):
    """received + from_elsewhere is the sum of all the others. `lost` is net of gains, `downgraded` of what came so."""

    received: int
    from_elsewhere: int
    lies: int
    in_transit: int
    issued: int
    disposed: int
    lost: int
    downgraded: int
    returned: int
    to_elsewhere: int

    @property
    def balanced(self) -> bool:
        return self.received + self.from_elsewhere == sum(self[2:])


class Trace(NamedTuple):
    """`complete`: nothing of the lot was left out; never said of a part of the reserve."""

    item: ItemRow
    lot_number: str
    manufactured_on: date | None
    expires_on: date | None
    expired: bool
    hold: str | None
    holds: list[HoldRow]
    lies: list[Lying]
    in_transit: list[Road]
    receipts: list[Step]
    issues: list[Step]
    recipients: list[Recipient]
    transfers: list[Road]
    moves: list[Step]
    """Between places without a road: out of a bay once inspected."""
    disposals: list[Step]
    adjustments: list[Step]
    downgrades: list[Step]
    returns: list[Step]
    renamed: list[Renamed]
    sums: Sums
    complete: bool


# -- a trace ----------------------------------------------------------------------------------------------------------


def trace(session: Session, item: ItemRow, lot_number: str, *, day: date, within: Place | None) -> Trace | None:
    """Follow a lot through what lies `within` a place, None for everywhere; None where nothing of it has been there."""
    lot = session.connection().execute(
        select(LOT.c.id, LOT.c.manufactured_on, LOT.c.expires_on).where(
            LOT.c.item_id == item.id, LOT.c.lot_number == lot_number
        )
    ).one_or_none()  # fmt: skip
    if lot is None:
        return None
    history = documents.lines(session, MOVEMENT.c.lot_id == lot.id)
    lying = _lying(session, lot.id)
    sight = _Sight(within, documents.roads(session, history))
    seen = [line for line in history if sight.sees(line)]
    if within is not None and not seen:
        return None
    holds = _holds(session, lot.id)
    hold = max((h.reason for h in holds if h.lifted_at is None), default=None)
    found = _Followed(sight)
    for line in seen:
        if line.reverses is None:
            found.follow(line)
    shown = [
        Lying(place, on_hand, hold or (INSPECTION if place.bay_of is not None else None))
        for place, on_hand in lying
        if sight.reaches(place)
    ]
    roads = found.roads()
    whole = len(seen) == len(history) and (within is None or within.parent_id is None)
    return Trace(
        item=item,
        lot_number=lot_number,
        manufactured_on=lot.manufactured_on,
        expires_on=lot.expires_on,
        expired=is_expired(lot.expires_on, day),
        hold=hold,
        holds=holds,
        lies=shown,
        in_transit=[road for road in roads if road.on_the_road],
        receipts=found.receipts,
        issues=found.issues,
        recipients=_recipients(found.issues),
        transfers=roads,
        moves=found.moves,
        disposals=found.disposals,
        adjustments=found.adjustments,
        downgrades=found.downgrades,
        returns=found.returns,
        renamed=_renamed(session, lot.id, {step.line.document for step in found.downgrades}),
        sums=Sums(
            received=_net(found.receipts),
            from_elsewhere=found.from_elsewhere,
            lies=sum(row.on_hand for row in shown),
            in_transit=sum(road.on_the_road for road in roads),
            issued=_net(found.issues),
            disposed=_net(found.disposals),
            lost=-_net(found.adjustments),
            downgraded=-_net(found.downgrades),
            returned=_net(found.returns),
            to_elsewhere=found.to_elsewhere,
        ),
        complete=whole,
    )


@dataclass(frozen=True)
class _Sight:
    """What a reader may see: places of a subtree, and roads that begin or end there."""

    within: Place | None
    ends: dict[int, Ends]

    def reaches(self, place: Place) -> bool:
        return self.within is None or self.within.holds(place)

    def holds(self, place: Place, line: Line) -> bool:
        """Whether what lies at this end of a line is the reader's to see; the road belongs to both of its ends."""
        if not place.inside:
            return False
        if place.kind != LocationKind.TRANSIT or self.within is None:
            return self.reaches(place)
        ends = self.ends.get(line.root)
        return ends is not None and (self.reaches(ends.source) or self.reaches(ends.target))

    def sees(self, line: Line) -> bool:
        return self.within is None or self.holds(line.source, line) or self.holds(line.target, line)


@dataclass
class _Followed:
    """The lines of a lot, each put where it belongs; what was undone counts nothing and is still shown."""

    sight: _Sight
    receipts: list[Step] = field(default_factory=list)
    issues: list[Step] = field(default_factory=list)
    moves: list[Step] = field(default_factory=list)
    disposals: list[Step] = field(default_factory=list)
    adjustments: list[Step] = field(default_factory=list)
    downgrades: list[Step] = field(default_factory=list)
    returns: list[Step] = field(default_factory=list)
    from_elsewhere: int = 0
    to_elsewhere: int = 0
    on_roads: dict[int, list[Line]] = field(default_factory=dict)

    def follow(self, line: Line) -> None:
        units = 0 if line.reversed_by is not None else line.quantity
        source, target = line.source, line.target
        here, there = self.sight.holds(source, line), self.sight.holds(target, line)
        if line.on_the_road:
            self.on_roads.setdefault(line.root, []).append(line)
        if not source.inside:
            self._came(line, units)
        elif not target.inside:
            self._left(line, units)
        elif not line.on_the_road:
            self.moves.append(Step(line, source, units))
        if source.inside and target.inside and here != there:
            self.from_elsewhere += units if there else 0
            self.to_elsewhere += units if here else 0

    def _came(self, line: Line, units: int) -> None:
        """Goods from outside: bought or given, given back by users, found again."""
        if line.source.kind in {LocationKind.SUPPLIER, LocationKind.DONOR}:
            self.receipts.append(Step(line, line.target, units))
        elif line.source.kind == LocationKind.CONSUMER:
            self.issues.append(Step(line, line.target, -units))
        elif line.source.kind == LocationKind.WASTE:
            self.disposals.append(Step(line, line.target, -units))
        else:
            self._differed(line).append(Step(line, line.target, units))

    def _left(self, line: Line, units: int) -> None:
        if line.target.kind in {LocationKind.SUPPLIER, LocationKind.DONOR}:
            self.returns.append(Step(line, line.source, units))
        elif line.target.kind == LocationKind.CONSUMER:
            self.issues.append(Step(line, line.source, units))
        elif line.target.kind == LocationKind.WASTE:
            self.disposals.append(Step(line, line.source, units))
        else:
            self._differed(line).append(Step(line, line.source, -units))

    def _differed(self, line: Line) -> list[Step]:
        return self.downgrades if line.kind == DocumentKind.INSPECTION else self.adjustments

    def roads(self) -> list[Road]:
        return [self._road(root, lines) for root, lines in self.on_roads.items()]

    def _road(self, root: int, lines: Sequence[Line]) -> Road:
        standing = [line for line in lines if line.reversed_by is None]
        sent = sum(line.quantity for line in standing if line.target.kind == LocationKind.TRANSIT)
        left = [line for line in standing if line.source.kind == LocationKind.TRANSIT]
        arrived = sum(line.quantity for line in left if line.target.inside)
        lost = sum(line.quantity for line in left if not line.target.inside)
        ends, first = self.sight.ends.get(root), lines[0]
        return Road(
            document=ends.number if ends else first.document,
            occurred_at=ends.occurred_at if ends else first.occurred_at,
            source=ends.source if ends else first.source,
            target=ends.target if ends else None,
            sent=sent,
            arrived=arrived,
            lost=lost,
            on_the_road=sent - arrived - lost,
        )


def _net(steps: Iterable[Step]) -> int:
    return sum(step.net for step in steps)


def _recipients(issues: Iterable[Step]) -> list[Recipient]:
    """Each recipient once, the largest first; also who had everything taken back."""
    units: dict[str | None, int] = {}
    numbers: dict[str | None, set[str]] = {}
    for step in issues:
        who = step.line.recipient
        units[who] = units.get(who, 0) + step.net
        numbers.setdefault(who, set()).add(step.line.document)
    found = [Recipient(who, units[who], len(numbers[who])) for who in units]
    return sorted(found, key=lambda one: (-one.quantity, one.recipient or ""))


def _lying(session: Session, lot_id: int) -> list[tuple[Place, int]]:
    rows = (
        session.connection()
        .execute(
            select(BALANCE.c.location_id, BALANCE.c.on_hand)
            .join(PLACE, PLACE.c.id == BALANCE.c.location_id)
            .where(BALANCE.c.lot_id == lot_id, BALANCE.c.on_hand > 0, PLACE.c.kind.not_in(_NOT_LYING))
            .order_by(PLACE.c.path)
        )
        .all()
    )
    places = documents.places_by_id(session, (row.location_id for row in rows))
    return [(places[row.location_id], int(row.on_hand)) for row in rows]


def _renamed(session: Session, lot_id: int, documents_seen: set[str]) -> list[Renamed]:
    """What the lot became, and what it was: a downgrade takes it out on one line and brings it in on the next."""
    if not documents_seen:
        return []
    mine, other = aliased(MOVEMENT, name="mine"), aliased(MOVEMENT, name="other")
    variance = select(PLACE.c.id).where(PLACE.c.kind == LocationKind.VARIANCE.value)
    undo = aliased(MOVEMENT, name="undo")
    found = []
    for became, end, opposite, step in ((True, "target_id", "source_id", 1), (False, "source_id", "target_id", -1)):
        statement = (
            select(
                DOCUMENT.c.number,
                mine.c.quantity,
                literal(became),
                ITEM.c.code,
                ITEM.c.name_zh,
                ITEM.c.name_en,
                LOT.c.lot_number,
            )
            .select_from(mine)
            .join(DOCUMENT, DOCUMENT.c.id == mine.c.document_id)
            .join(other, and_(other.c.document_id == mine.c.document_id, other.c.line == mine.c.line + step))
            .join(LOT, LOT.c.id == other.c.lot_id)
            .join(ITEM, ITEM.c.id == LOT.c.item_id)
            .where(
                mine.c.lot_id == lot_id,
                DOCUMENT.c.kind == DocumentKind.INSPECTION.value,
                mine.c[end].in_(variance),
                other.c[opposite].in_(variance),
                ~select(undo.c.id).where(undo.c.reverses == mine.c.id).exists(),
            )
            .order_by(mine.c.id)
        )
        found += [Renamed._make(row) for row in session.connection().execute(statement)]
    return [row for row in found if row.document in documents_seen]


def _holds(session: Session, lot_id: int) -> list[HoldRow]:
    columns = (
        HOLD.c.reason,
        HOLD.c.note,
        HOLD.c.placed_by,
        HOLD.c.placed_at,
        HOLD.c.lifted_by,
        HOLD.c.lifted_at,
    )
    statement = select(*columns).where(HOLD.c.lot_id == lot_id).order_by(HOLD.c.placed_at.desc(), HOLD.c.id.desc())
    return [HoldRow(*row) for row in session.connection().execute(statement)]


_NOT_LYING = [kind.value for kind in (*OUTSIDE, LocationKind.TRANSIT)]


# -- lots -------------------------------------------------------------------------------------------------------------

_NEVER = date(9999, 12, 31)


class LotTotal(NamedTuple):
    """A lot and what there is of it in a scope. `usable` is neither expired, nor held, nor waiting for inspection."""

    lot_id: int
    item: str
    item_name_zh: str
    item_name_en: str
    base_unit: str
    lot_number: str
    manufactured_on: date | None
    expires_on: date | None
    on_hand: int
    usable: int
    places: int
    hold: str | None
    expired: bool = False

    @property
    def mark(self) -> tuple[str, int]:
        return str(self.expires_on or _NEVER), self.lot_id


class LotsQuestion(NamedTuple):
    """`expiring_within_days`: lots that may be used on `day` and expire within so many; `after` a lot's mark."""

    scope: Place
    day: date
    item_id: int | None = None
    lot_number: str | None = None
    expiring_within_days: int | None = None
    held: bool | None = None
    include_zero: bool = False
    after: tuple[date, int] | None = None
    limit: int = 100


def lots(session: Session, question: LotsQuestion) -> list[LotTotal]:
    """Lots in a scope, those that expire first before the others."""
    ends = func.coalesce(LOT.c.expires_on, literal(_NEVER, Date))
    ready = case((PLACE.c.bay_of.is_(None), BALANCE.c.on_hand), else_=0)
    hold = (
        select(func.max(HOLD.c.reason))
        .where(HOLD.c.lot_id == LOT.c.id, HOLD.c.lifted_at.is_(None))
        .correlate(LOT)
        .scalar_subquery()
    )
    statement = (
        select(
            LOT.c.id,
            ITEM.c.code,
            ITEM.c.name_zh,
            ITEM.c.name_en,
            ITEM.c.base_unit,
            LOT.c.lot_number,
            LOT.c.manufactured_on,
            LOT.c.expires_on,
            func.sum(BALANCE.c.on_hand),
            func.sum(ready),
            func.sum(case((BALANCE.c.on_hand > 0, 1), else_=0)),
            hold,
        )
        .select_from(LOT)
        .join(ITEM, ITEM.c.id == LOT.c.item_id)
        .join(BALANCE, BALANCE.c.lot_id == LOT.c.id)
        .join(PLACE, PLACE.c.id == BALANCE.c.location_id)
        .where(*_wanted(question, ends, hold))
        .group_by(LOT.c.id, ITEM.c.id)
        .order_by(ends, LOT.c.id)
        .limit(question.limit)
    )
    if not question.include_zero:
        statement = statement.having(func.sum(BALANCE.c.on_hand) > 0)
    return [_total(LotTotal._make((*row, False)), question.day) for row in session.connection().execute(statement)]


def _wanted(
    question: LotsQuestion, ends: ColumnElement[date], hold: ColumnElement[str | None]
) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [
        PLACE.c.path.like(f"{question.scope.path}%"),
        PLACE.c.kind.not_in(_NOT_LYING),
    ]
    if question.item_id is not None:
        wanted.append(LOT.c.item_id == question.item_id)
    if question.lot_number is not None:
        # every item named, so that the unique index of item and number answers
        wanted.append(LOT.c.item_id.in_(select(ITEM.c.id)))
        wanted.append(LOT.c.lot_number == question.lot_number)
    if question.expiring_within_days is not None:
        last = question.day + timedelta(days=question.expiring_within_days)
        wanted.append(LOT.c.expires_on.between(question.day, last))
    if question.held is not None:
        wanted.append(hold.is_not(None) if question.held else hold.is_(None))
    if question.after is not None:
        day, lot_id = question.after
        wanted.append(ends >= day)
        wanted.append(or_(ends > day, LOT.c.id > lot_id))
    return wanted


def _total(found: LotTotal, day: date) -> LotTotal:
    expired = is_expired(found.expires_on, day)
    usable = 0 if expired or found.hold is not None else int(found.usable)
    return found._replace(on_hand=int(found.on_hand), usable=usable, places=int(found.places), expired=expired)
