"""What lies at one place, under lock: how much of each lot may leave at a moment, and what that would do later."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Select, bindparam, func, select, union_all
from sqlmodel import Session

from reserve import lots
from reserve.catalogue import Place
from reserve.fefo import Candidate
from reserve.lots import LOT, LotRow
from reserve.model import Allocation, table
from reserve.posting import BALANCE, MOVEMENT

ALLOCATION = table(Allocation)


class Flow(NamedTuple):
    occurred_at: datetime
    lot_id: int
    change: int


class Shelf:
    """The lots of some items at one place, locked; how much of each may leave at a moment."""

    def __init__(
        self,
        place: Place,
        on_hand: dict[int, int],
        found: dict[int, LotRow],
        held: set[int],
        promised: dict[int, int] | None = None,
    ) -> None:
        self.place = place
        self.on_hand = on_hand
        self.lots = found
        self.held = held if place.bay_of is None else set(found)  # what lies in a bay waits for inspection
        self.promised = promised or {}
        self.later: list[Flow] = []
        self.available = dict(on_hand)

    def open_at(self, session: Session, moment: datetime, *, explicit: bool) -> datetime:
        """Look at the shelf as it was at `moment`: nothing may leave that a later movement has taken since.

        An entry of now is put after everything already recorded here, however the clocks of two servers differ.
        """
        self.later = _flows_after(session, moment, self.place.id, list(self.lots))
        if not explicit:
            moment = max([moment, *(flow.occurred_at for flow in self.later)])
            self.later = []
            return moment
        for lot_id, now in self.on_hand.items():
            then = now - sum(flow.change for flow in self.later if flow.lot_id == lot_id)
            lowest = running = then
            for flow in self.later:
                if flow.lot_id == lot_id:
                    running += flow.change
                    lowest = min(lowest, running)
            self.available[lot_id] = lowest
        return moment

    def candidates(self, day: date) -> list[Candidate]:
        return [
            Candidate(
                lot.id,
                lot.item_id,
                lot.lot_number,
                lot.expires_on,
                max(0, self.available[lot.id] - self.promised.get(lot.id, 0)),
                expired=lots.is_expired(lot.expires_on, day),
                held=lot.id in self.held,
                promised=self.promised.get(lot.id, 0),
            )
            for lot in self.lots.values()
        ]

    def first_below_zero(self, lot_ids: Iterable[int], taken: int) -> tuple[datetime, int] | None:
        """When these lots together would first be below zero if `taken` left at the moment the shelf is open at."""
        ids = set(lot_ids)
        later = [flow for flow in self.later if flow.lot_id in ids]
        running = sum(self.on_hand[i] for i in ids) - sum(flow.change for flow in later) - taken
        if running < 0:
            return None  # there was too little at the moment itself
        for flow in later:
            running += flow.change
            if running < 0:
                return flow.occurred_at, running
        return None


def lock_shelf(session: Session, place: Place, item_ids: Iterable[int], least: int) -> Shelf:
    """All lots of some items of which there are at least so many units: 1 for what lies there, 0 for what ever did."""
    asked = {"location": place.id, "items": sorted(item_ids), "least": least}
    rows = session.connection().execute(_LOCK_BALANCES_OF_ITEMS, asked)
    on_hand = {row.lot_id: row.on_hand for row in rows}
    found = lots.share(session, on_hand) if on_hand else {}
    if not on_hand:
        return Shelf(place, {}, {}, set())
    return Shelf(place, on_hand, found, lots.held(session, on_hand), promised(session, place, on_hand))


def look(session: Session, place: Place, item_ids: Iterable[int]) -> Shelf:
    """What lies there of some items, only looked at: nobody waits for the reader, and nothing is kept for them."""
    rows = session.connection().execute(
        _BALANCES_OF_ITEMS, {"location": place.id, "items": sorted(item_ids), "least": 1}
    )
    on_hand = {row.lot_id: row.on_hand for row in rows}
    if not on_hand:
        return Shelf(place, {}, {}, set())
    found = lots.by_ids(session, on_hand)
    return Shelf(place, on_hand, found, lots.held(session, on_hand), promised(session, place, on_hand))


def promised(session: Session, place: Place, lot_ids: Iterable[int]) -> dict[int, int]:
    """What requisitions have been promised of these lots here. Read under the lock of their balances."""
    rows = session.connection().execute(_PROMISED, {"location": place.id, "lots": sorted(lot_ids)})
    return {row.lot_id: int(row.promised) for row in rows}


def lock_lots(session: Session, place: Place, named: Iterable[LotRow]) -> Shelf:
    """Some lots by name, whatever is left of them; holds do not matter to whoever corrects the books."""
    found = {lot.id: lot for lot in named}
    on_hand = lock(session, place.id, list(found))
    return Shelf(place, on_hand, {lot_id: found[lot_id] for lot_id in on_hand}, set())


def lock(session: Session, location_id: int, lot_ids: Sequence[int]) -> dict[int, int]:
    rows = session.connection().execute(_LOCK_BALANCES, {"location": location_id, "lots": sorted(lot_ids)})
    return {row.lot_id: row.on_hand for row in rows}


def _flows_after(session: Session, moment: datetime, location_id: int, lot_ids: list[int]) -> list[Flow]:
    if not lot_ids:
        return []
    rows = session.connection().execute(
        _FLOWS_AFTER, {"moment": moment, "location": location_id, "lots": sorted(lot_ids)}
    )
    return [Flow(row.occurred_at, row.lot_id, row.change) for row in rows]


def not_before(session: Session, moment: datetime, location_id: int, lot_ids: list[int]) -> datetime:
    return max([moment, *(flow.occurred_at for flow in _flows_after(session, moment, location_id, lot_ids))])


_LOCK_BALANCES = (
    select(BALANCE.c.lot_id, BALANCE.c.on_hand)
    .where(BALANCE.c.location_id == bindparam("location"), BALANCE.c.lot_id.in_(bindparam("lots", expanding=True)))
    .order_by(BALANCE.c.location_id, BALANCE.c.lot_id)
    .with_for_update()
)
_BALANCES_OF_ITEMS = (
    select(BALANCE.c.lot_id, BALANCE.c.on_hand)
    .join(LOT, LOT.c.id == BALANCE.c.lot_id)
    .where(
        BALANCE.c.location_id == bindparam("location"),
        LOT.c.item_id.in_(bindparam("items", expanding=True)),
        BALANCE.c.on_hand >= bindparam("least"),
    )
    .order_by(BALANCE.c.location_id, BALANCE.c.lot_id)
)
_LOCK_BALANCES_OF_ITEMS = _BALANCES_OF_ITEMS.with_for_update(of=BALANCE)


_PROMISED = (
    select(ALLOCATION.c.lot_id, func.sum(ALLOCATION.c.quantity).label("promised"))
    .where(
        ALLOCATION.c.location_id == bindparam("location"), ALLOCATION.c.lot_id.in_(bindparam("lots", expanding=True))
    )
    .group_by(ALLOCATION.c.lot_id)
)


def _flows(end: str) -> Select[tuple[datetime, int, int, int]]:
    column, sign = (MOVEMENT.c.source_id, -1) if end == "source" else (MOVEMENT.c.target_id, 1)
    return select(
        MOVEMENT.c.occurred_at, MOVEMENT.c.id, MOVEMENT.c.lot_id, (MOVEMENT.c.quantity * sign).label("change")
    ).where(
        column == bindparam("location"),
        MOVEMENT.c.lot_id.in_(bindparam("lots", expanding=True)),
        MOVEMENT.c.occurred_at > bindparam("moment"),
    )


_FLOWS_AFTER = union_all(_flows("source"), _flows("target")).order_by("occurred_at", "id")
