"""Items, packs and places: found by their codes, made once, named again but never re-coded."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy import insert as sql_insert
from sqlmodel import Session

from reserve.errors import AlreadyThere, Fault, Invalid, UnknownLocation
from reserve.model import (
    OUTSIDE,
    QUANTITY_MAX,
    Category,
    ConsumptionSource,
    Item,
    Location,
    LocationKind,
    Pack,
    table,
)

ITEM, PACK, PLACE = (table(model) for model in (Item, Pack, Location))


class ItemRow(NamedTuple):
    id: int
    code: str
    name_zh: str
    name_en: str
    category: Category
    base_unit: str
    standard: str | None
    shelf_life_days: int | None
    gb_class: str | None = None


class PackRow(NamedTuple):
    item_id: int
    gtin: str
    units_per_pack: int
    name: str | None


class Place(NamedTuple):
    """A location with what the ledger asks of it."""

    id: int
    code: str
    name_zh: str
    name_en: str
    kind: LocationKind
    parent_id: int | None
    path: str
    consumption_source: ConsumptionSource | None
    opened_on: date | None
    closed_on: date | None
    owner: str | None = None
    keeper: str | None = None
    inspects: bool = False
    bay_of: int | None = None

    @property
    def inside(self) -> bool:
        """Stock is counted here."""
        return self.kind not in OUTSIDE

    @property
    def stocked(self) -> bool:
        """Goods lie here, as against on the road or outside."""
        return self.inside and self.kind != LocationKind.TRANSIT

    def holds(self, other: "Place") -> bool:
        """`other` is this location or lies below it."""
        return other.path.startswith(self.path)


_ITEM_COLUMNS = (
    ITEM.c.id,
    ITEM.c.code,
    ITEM.c.name_zh,
    ITEM.c.name_en,
    ITEM.c.category,
    ITEM.c.base_unit,
    ITEM.c.standard,
    ITEM.c.shelf_life_days,
    ITEM.c.gb_class,
)
PLACE_COLUMNS = (
    PLACE.c.id,
    PLACE.c.code,
    PLACE.c.name_zh,
    PLACE.c.name_en,
    PLACE.c.kind,
    PLACE.c.parent_id,
    PLACE.c.path,
    PLACE.c.consumption_source,
    PLACE.c.opened_on,
    PLACE.c.closed_on,
    PLACE.c.owner,
    PLACE.c.keeper,
    PLACE.c.inspects,
    PLACE.c.bay_of,
)
_ITEMS = select(*_ITEM_COLUMNS).order_by(ITEM.c.code)
_ITEMS_BY_CODE = select(*_ITEM_COLUMNS).where(ITEM.c.code.in_(bindparam("codes", expanding=True)))
_PACKS = select(PACK.c.item_id, PACK.c.gtin, PACK.c.units_per_pack, PACK.c.name).order_by(PACK.c.gtin)
_PACKS_BY_GTIN = select(PACK.c.item_id, PACK.c.gtin, PACK.c.units_per_pack, PACK.c.name).where(
    PACK.c.gtin.in_(bindparam("gtins", expanding=True))
)
_PLACES = select(*PLACE_COLUMNS).order_by(PLACE.c.path)
_PLACE_BY_CODE = select(*PLACE_COLUMNS).where(PLACE.c.code == bindparam("code"))
_BAY_OF = select(*PLACE_COLUMNS).where(PLACE.c.bay_of == bindparam("place"))
_PLACES_BY_CODE = select(*PLACE_COLUMNS).where(PLACE.c.code.in_(bindparam("codes", expanding=True)))


# -- finding ----------------------------------------------------------------------------------------------------------


def items(session: Session) -> list[ItemRow]:
    return [ItemRow._make(row) for row in session.connection().execute(_ITEMS)]


def items_by_code(session: Session, codes: Iterable[str]) -> dict[str, ItemRow]:
    """The items among `codes` that exist; the caller says what to do about the others."""
    rows = session.connection().execute(_ITEMS_BY_CODE, {"codes": sorted(set(codes))})
    return {row.code: ItemRow._make(row) for row in rows}


def item(session: Session, code: str) -> ItemRow | None:
    return items_by_code(session, [code]).get(code)


def items_by_id(session: Session, ids: Iterable[int]) -> dict[int, ItemRow]:
    statement = select(*_ITEM_COLUMNS).where(ITEM.c.id.in_(sorted(set(ids))))
    return {row.id: ItemRow._make(row) for row in session.connection().execute(statement)}


def packs(session: Session) -> list[PackRow]:
    return [PackRow._make(row) for row in session.connection().execute(_PACKS)]


def packs_by_gtin(session: Session, gtins: Iterable[str]) -> dict[str, PackRow]:
    rows = session.connection().execute(_PACKS_BY_GTIN, {"gtins": sorted(set(gtins))})
    return {row.gtin: PackRow._make(row) for row in rows}


def places(session: Session) -> list[Place]:
    """All locations, the outside ends too, in the order of their paths."""
    return sorted((Place._make(row) for row in session.connection().execute(_PLACES)), key=_tree_order)


def place(session: Session, code: str) -> Place | None:
    row = session.connection().execute(_PLACE_BY_CODE, {"code": code}).one_or_none()
    return None if row is None else Place._make(row)


def places_by_code(session: Session, codes: Iterable[str]) -> dict[str, Place]:
    rows = session.connection().execute(_PLACES_BY_CODE, {"codes": sorted(set(codes))})
    return {row.code: Place._make(row) for row in rows}


def require_place(session: Session, code: str, pointer: str = "/location") -> Place:
    """A location inside the reserve, by its code.

    Raises
    ------
    UnknownLocation
        no such code, or one of the product's own ends (SUPPLIER, CONSUMER, TRANSIT ...), where nobody records stock.
    """
    return inside(place(session, code), code, pointer)


def inside(found: Place | None, code: str, pointer: str = "/location") -> Place:
    """`found`, if it is a location inside the reserve; refused as `require_place` does otherwise."""
    if found is None or not found.inside or found.kind == LocationKind.TRANSIT:
        detail = f"There is no location {code}; see GET /v1/locations for the codes in use."
        raise UnknownLocation(detail, faults=[Fault(pointer, UnknownLocation.code, detail)])
    return found


def _tree_order(found: Place) -> tuple[int, ...]:
    return tuple(int(part) for part in found.path.strip("/").split("/"))


# -- making -----------------------------------------------------------------------------------------------------------


class NewPack(NamedTuple):
    gtin: str
    units_per_pack: int
    name: str | None = None


class NewItem(NamedTuple):
    code: str
    name_zh: str
    name_en: str
    category: Category
    base_unit: str
    standard: str | None = None
    gb_class: str | None = None
    shelf_life_days: int | None = None
    packs: Sequence[NewPack] = ()


class NewLocation(NamedTuple):
    code: str
    name_zh: str
    name_en: str
    kind: LocationKind
    parent: str | None = None
    consumption_source: ConsumptionSource | None = None
    opened_on: date | None = None
    closed_on: date | None = None
    owner: str | None = None
    keeper: str | None = None


def add_item(session: Session, new: NewItem) -> ItemRow:
    """Make an item with its packs. A code or a GTIN that is taken is refused."""
    if item(session, new.code) is not None:
        raise AlreadyThere(f"There is already an item {new.code}; choose another code.", code="item_exists")
    wanted = [pack._replace(gtin=normal_gtin(pack.gtin, f"/packs/{n}/gtin")) for n, pack in enumerate(new.packs)]
    taken = packs_by_gtin(session, [pack.gtin for pack in wanted])
    if taken or len({pack.gtin for pack in wanted}) < len(wanted):
        numbers = ", ".join(sorted(taken)) or "the same number twice"
        raise AlreadyThere(f"A pack has that GTIN already: {numbers}.", code="gtin_exists")
    connection = session.connection()
    values = new._asdict()
    del values["packs"]
    item_id = connection.execute(sql_insert(ITEM).values(**values).returning(ITEM.c.id)).scalar_one()
    for pack in wanted:
        if not 1 <= pack.units_per_pack <= QUANTITY_MAX:
            raise Invalid(f"A pack holds 1 to 10^15 base units, not {pack.units_per_pack}.")
        connection.execute(sql_insert(PACK).values(item_id=item_id, **pack._asdict()))
    found = item(session, new.code)
    assert found is not None  # noqa: S101 - inserted above, in this transaction
    return found


def add_location(session: Session, new: NewLocation) -> Place:
    """Make a location below its parent. Outside ends are the product's own and cannot be added."""
    if new.kind in OUTSIDE or new.kind == LocationKind.TRANSIT:
        raise Invalid(f"A location of kind {new.kind} is the product's own; use one of the kinds inside the reserve.")
    if place(session, new.code) is not None:
        raise AlreadyThere(f"There is already a location {new.code}; choose another code.", code="location_exists")
    above = None if new.parent is None else require_place(session, new.parent, "/parent")
    connection = session.connection()
    values = new._asdict()
    del values["parent"]
    location_id = connection.execute(
        sql_insert(PLACE).values(**values, parent_id=above and above.id, path="").returning(PLACE.c.id)
    ).scalar_one()
    path = f"{above.path if above else '/'}{location_id}/"
    connection.execute(update(PLACE).where(PLACE.c.id == location_id).values(path=path))
    found = place(session, new.code)
    assert found is not None  # noqa: S101 - inserted above, in this transaction
    return found


def incoming(session: Session, place: Place) -> Place:
    """Where goods that come to a place are put: its bay where it inspects, else itself."""
    if not place.inspects:
        return place
    found = bay(session, place)
    assert found is not None  # noqa: S101 - made when inspection was switched on, and never taken away
    return found


def bay(session: Session, place: Place) -> Place | None:
    """The bay where goods of a place wait for inspection."""
    row = session.connection().execute(_BAY_OF, {"place": place.id}).one_or_none()
    return None if row is None else Place._make(row)


def set_inspection(session: Session, place: Place, *, inspects: bool) -> Place:
    """Switch 验收待检 on or off for what comes in from now on; what waits in the bay goes on waiting.

    Refused: a bay itself, and a code too long to name a bay after.
    """
    if place.bay_of is not None or place.kind == LocationKind.REGION:
        raise Invalid(f"{place.code} is not a store: goods are inspected where they are received.", code="not_a_store")
    # two who switch at once make one bay
    session.connection().execute(select(PLACE.c.id).where(PLACE.c.id == place.id).with_for_update(key_share=True))
    if inspects and bay(session, place) is None:
        code = f"{place.code}.BAY"
        if len(code) > 40:
            raise Invalid(f"{place.code} is too long a code to name its bay after; 36 characters at most.")
        names = (f"{place.name_zh}待检区"[:120], f"{place.name_en} inspection bay"[:120])
        new = NewLocation(code, *names, LocationKind.WAREHOUSE, place.code, ConsumptionSource.NONE, owner=place.owner)
        made = add_location(session, new)
        session.connection().execute(update(PLACE).where(PLACE.c.id == made.id).values(bay_of=place.id))
    session.connection().execute(update(PLACE).where(PLACE.c.id == place.id).values(inspects=inspects))
    return place._replace(inspects=inspects)


def normal_gtin(text: str, pointer: str) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits, its check digit right (GS1 General Specifications 7.9)."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) in {8, 12, 13, 14}):
        detail = f"{text!r} is not a GTIN: 8, 12, 13 or 14 digits are expected."
        raise Invalid(detail, code="invalid_gtin", faults=[Fault(pointer, "invalid_gtin", detail)])
    digits = digits.zfill(14)
    weighted = sum(int(d) * (3 if n % 2 == 0 else 1) for n, d in enumerate(digits[:-1]))
    if (10 - weighted % 10) % 10 != int(digits[-1]):
        detail = f"The check digit of {text} is wrong: read the number again."
        raise Invalid(detail, code="invalid_gtin", faults=[Fault(pointer, "invalid_gtin", detail)])
    return digits
