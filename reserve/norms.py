"""Norms of use (用量定额): what a staff shift, a patient-day or a case uses, with its source; appended, never edited.

Of one preset, basis, class, role and item the latest row counts, so a city corrects a published figure by writing its
own beside it. An amount of 0 takes a norm out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from sqlalchemy import bindparam, insert, select
from sqlmodel import Session

from reserve import catalogue, journal
from reserve.entry import Entry
from reserve.errors import Fault, Invalid, Unknown, UnknownItem
from reserve.model import NormBasis, UsageNorm, table

NORM = table(UsageNorm)

BED_CLASSES = ("moderate", "severe", "critical")
"""Of a patient: 普通型, 重型, 危重型."""
PIECES = frozenset({"只", "个", "件", "副", "套", "条", "片", "枚", "支", "台", "顶", "each"})
"""Units that all count single things."""

Key = tuple[str, str, str, str, str | None]
"""Preset, basis, class, role and item: what a norm speaks of."""


class NewNorm(NamedTuple):
    """A norm as somebody states it, in thousandths of the item's base unit, or of an hour."""

    preset: str
    basis: NormBasis
    amount_per_1000: int
    source_text: str
    bed_class: str = ""
    role: str = ""
    item: str | None = None
    reusable: bool = False

    @property
    def key(self) -> Key:
        return (self.preset, self.basis.value, self.bed_class, self.role, self.item)


class NormRow(NamedTuple):
    """A norm as it stands. `item` is its code; None for hours of staff."""

    id: int
    preset: str
    basis: NormBasis
    bed_class: str
    role: str
    item: str | None
    amount_per_1000: int
    reusable: bool
    source_text: str
    recorded_at: datetime
    actor: str

    @property
    def key(self) -> Key:
        return (self.preset, self.basis.value, self.bed_class, self.role, self.item)

    @property
    def amount(self) -> float:
        return self.amount_per_1000 / 1000


class Published(NamedTuple):
    """A norm of a preset, by the code and the unit of our catalogue."""

    basis: NormBasis
    bed_class: str
    role: str
    item: str | None
    unit: str
    amount_per_1000: int
    source_text: str
    reusable: bool


class Own(NamedTuple):
    """How a city names an item of a preset: its code, and its base units in one unit of the norm."""

    item: str
    units: Fraction | None = None


class Skipped(NamedTuple):
    """What was left out of a preset, and why.

    `unknown_item`: the city has no such item; `unit`: its base unit counts something else; `too_small`: an amount that
    the conversion takes below a thousandth of a base unit, where 0 would take the norm out.
    """

    item: str
    wanted: str
    reason: str
    zh: str
    en: str


class Loaded(NamedTuple):
    preset: str
    added: Sequence[NormRow]
    unchanged: int
    skipped: Sequence[Skipped]


def add(session: Session, entry: Entry, norms: Sequence[NewNorm]) -> list[NormRow]:
    """Record norms, all or none; each replaces what its preset said of the same class, role and item until now.

    Refused: an unknown item; a role, class, item or reuse that the basis does not have; the same norm twice.
    """
    _refuse_bad(norms)
    items = catalogue.items_by_code(session, {n.item for n in norms if n.item is not None})
    unknown = [(n, norm.item) for n, norm in enumerate(norms) if norm.item is not None and norm.item not in items]
    if unknown:
        faults = [
            Fault(f"/norms/{n}/item", UnknownItem.code, f"There is no item {code}; see GET /v1/items.")
            for n, code in unknown
        ]
        raise UnknownItem(faults[0].detail, faults=faults)
    before = {row.key: row for row in in_force(session)}
    for norm in norms:
        session.connection().execute(
            _APPEND,
            {
                **norm._asdict(),
                "item_id": None if norm.item is None else items[norm.item].id,
                "recorded_at": entry.now,
                "actor": entry.actor,
            },
        )
    made = {row.key: row for row in in_force(session, with_zero=True)}
    journal.write_all(
        session,
        [
            journal.Change(
                entry.actor,
                entry.now,
                "norm.made",
                _subject(norm),
                None if norm.key not in before else _facts(before[norm.key]),
                _facts(made[norm.key]),
            )
            for norm in norms
        ],
    )
    return [made[norm.key] for norm in norms]


def load(session: Session, entry: Entry, preset: str, published: Sequence[Published], own: Mapping[str, Own]) -> Loaded:
    """Put a published preset beside the city's items; `own` says how the city names and counts them.

    Items the city does not have are skipped and named, so is one that counts something else and says no conversion, and
    an amount that its conversion takes to nothing.
    Loading again adds what has changed since or could not be added before, and nothing else.

    Refused: a name in `own` that the preset does not speak of, or an item of the city's that is not there.
    """
    wanted = {norm.item: norm.unit for norm in published if norm.item is not None}
    for code, named in own.items():
        if code not in wanted:
            detail = f"The preset {preset} has no item {code}; it has {', '.join(sorted(wanted))}."
            raise Invalid(detail, code="not_in_preset", faults=[Fault(f"/items/{code}", "not_in_preset", detail)])
        if catalogue.item(session, named.item) is None:
            detail = f"There is no item {named.item}; see GET /v1/items."
            raise UnknownItem(detail, faults=[Fault(f"/items/{code}/item", UnknownItem.code, detail)])
    names = {code: own.get(code, Own(code)) for code in wanted}
    items = catalogue.items_by_code(session, {named.item for named in names.values()})
    factors: dict[str, Fraction] = {}
    skipped = []
    for code, unit in sorted(wanted.items()):
        named = names[code]
        found = items.get(named.item)
        factor = None if found is None else named.units or _conversion(unit, found.base_unit)
        if factor is None:
            skipped.append(_skipped(code, named.item, unit, None if found is None else found.base_unit))
        else:
            factors[code] = factor
    standing = {row.key: row for row in in_force(session, preset=preset)}
    fresh, unchanged = [], 0
    for norm in published:
        if norm.item is not None and norm.item not in factors:
            continue
        amount = norm.amount_per_1000 if norm.item is None else round(norm.amount_per_1000 * factors[norm.item])
        if norm.item is not None and not amount and norm.amount_per_1000:
            skipped.append(_too_small(norm, names[norm.item], factors[norm.item]))
            continue
        new = NewNorm(
            preset,
            norm.basis,
            amount,
            norm.source_text if norm.item is None else _told(norm, names[norm.item], factors[norm.item]),
            norm.bed_class,
            norm.role,
            None if norm.item is None else names[norm.item].item,
            norm.reusable,
        )
        same = standing.get(new.key)
        if same is not None and (same.amount_per_1000, same.source_text, same.reusable) == (
            new.amount_per_1000,
            new.source_text,
            new.reusable,
        ):
            unchanged += 1
        else:
            fresh.append(new)
    return Loaded(preset, add(session, entry, fresh) if fresh else [], unchanged, skipped)


def in_force(
    session: Session, *, preset: str | None = None, item: str | None = None, with_zero: bool = False
) -> list[NormRow]:
    """The norms that count, by preset and key; one of 0 only `with_zero`."""
    latest: dict[Key, NormRow] = {}
    for row in session.connection().execute(_ALL if preset is None else _OF_PRESET, {"preset": preset}):
        found = NormRow._make(row)._replace(basis=NormBasis(row.basis))
        latest[found.key] = found
    kept = (row for row in latest.values() if with_zero or row.amount_per_1000)
    return sorted(
        (row for row in kept if item is None or row.item == item),
        key=lambda r: (r.preset, r.item or "", r.basis.value, r.role, r.bed_class),
    )


def require_preset(session: Session, preset: str, pointer: str = "/norms") -> list[NormRow]:
    """The norms of a preset that is loaded.

    Raises
    ------
    Invalid
        nobody has recorded or loaded one of that name.
    """
    found = in_force(session, preset=preset)
    if not found:
        detail = f"There are no norms {preset}; load a preset by POST /v1/norms/presets/NAME or post your own."
        raise Invalid(detail, code="unknown_norms", faults=[Fault(pointer, "unknown_norms", detail)])
    return found


def unknown_preset(name: str, known: Sequence[str]) -> Unknown:
    return Unknown(f"There is no preset {name}; there are {', '.join(known)}.", code="unknown_preset")


def _refuse_bad(norms: Sequence[NewNorm]) -> None:
    faults, seen = [], set()
    for n, norm in enumerate(norms):
        of_staff = norm.basis in {NormBasis.STAFF_HOURS, NormBasis.STAFF_SHIFT}
        wants_item = norm.basis != NormBasis.STAFF_HOURS
        told = {
            "role": (bool(norm.role), of_staff),
            "item": (norm.item is not None, wants_item),
        }
        for field, (given, wanted) in told.items():
            if wanted and not given:
                faults.append(
                    Fault(f"/norms/{n}/{field}", "usage_norm_terms", f"A norm of {norm.basis} needs a {field}.")
                )
            elif given and not wanted:
                faults.append(
                    Fault(f"/norms/{n}/{field}", "usage_norm_terms", f"A norm of {norm.basis} has no {field}.")
                )
        if norm.bed_class and norm.basis == NormBasis.CASE:
            detail = f"A norm of {norm.basis} has no bed_class."
            faults.append(Fault(f"/norms/{n}/bed_class", "usage_norm_terms", detail))
        if norm.reusable and norm.basis not in {NormBasis.STAFF_SHIFT, NormBasis.PATIENT_DAY}:
            detail = "Reusable is what staff wear (staff_shift) or what patients are tied to (patient_day)."
            faults.append(Fault(f"/norms/{n}/reusable", "usage_norm_terms", detail))
        if norm.key in seen:
            faults.append(Fault(f"/norms/{n}", "usage_norm_terms", "This norm stands twice: send it once."))
        seen.add(norm.key)
    if faults:
        raise Invalid(f"{faults[0].pointer}: {faults[0].detail}", code="usage_norm_terms", faults=faults)


def _conversion(unit: str, base_unit: str) -> Fraction | None:
    """Base units in one unit of the norm, where that is beyond doubt."""
    if unit == base_unit or (unit in PIECES and base_unit in PIECES):
        return Fraction(1)
    if unit in {"双", "对"} and base_unit in {"双", "对", "pair", "pairs"}:
        return Fraction(1)
    return None


def _skipped(code: str, wanted: str, unit: str, base_unit: str | None) -> Skipped:
    if base_unit is None:
        return Skipped(
            code,
            wanted,
            "unknown_item",
            f"没有物资 {wanted}：如以其他编码记账，请在 items 中写明，例如 {code} 对应本市编码",
            f"There is no item {wanted}: name yours in items, under {code}, if you keep it by another code",
        )
    return Skipped(
        code,
        wanted,
        "unit",
        f"定额以「{unit}」计，{wanted} 以「{base_unit}」计：请在 items 中写明 1 {unit}合多少{base_unit}（units）",
        f"The norm counts in {unit}, {wanted} in {base_unit}: say in items how many make one (units)",
    )


def _too_small(norm: Published, named: Own, factor: Fraction) -> Skipped:
    assert norm.item is not None  # noqa: S101 - hours are not converted
    amount, units = norm.amount_per_1000 / 1000, f"{float(factor):g}"
    of = " ".join(part for part in (norm.basis.value, norm.role, norm.bed_class) if part)
    return Skipped(
        norm.item,
        named.item,
        "too_small",
        f"定额 {of}：{amount:g} {norm.unit}按 1 {norm.unit}合 {units} 换算后不足 {named.item} 基本单位的千分之一，"
        "未载入：请核对 items 中的 units",
        f"{amount:g} {norm.unit} ({of}), at {units} to one, is less than a thousandth of a base unit of {named.item}"
        " and was not loaded: check units in items",
    )


def _told(norm: Published, named: Own, factor: Fraction) -> str:
    """The source with the conversion that was made, so that nobody takes a piece for a pair."""
    if factor == 1:
        return norm.source_text
    return f"{norm.source_text} [1 {norm.unit} = {float(factor):g} base units of {named.item}]"


def _subject(norm: NewNorm) -> str:
    """What the journal files it under: its preset, and its item or the role whose hours they are."""
    return f"norms {norm.preset}/{norm.item or norm.role}"


def _facts(row: NormRow) -> journal.Facts:
    told = ("basis", "bed_class", "role", "amount_per_1000", "reusable", "source_text")
    return {name: value for name, value in row._asdict().items() if name in told}


_APPEND = insert(NORM).values(
    preset=bindparam("preset"),
    basis=bindparam("basis"),
    bed_class=bindparam("bed_class"),
    role=bindparam("role"),
    item_id=bindparam("item_id"),
    amount_per_1000=bindparam("amount_per_1000"),
    reusable=bindparam("reusable"),
    source_text=bindparam("source_text"),
    recorded_at=bindparam("recorded_at"),
    actor=bindparam("actor"),
)
_ALL = (
    select(
        NORM.c.id,
        NORM.c.preset,
        NORM.c.basis,
        NORM.c.bed_class,
        NORM.c.role,
        catalogue.ITEM.c.code,
        NORM.c.amount_per_1000,
        NORM.c.reusable,
        NORM.c.source_text,
        NORM.c.recorded_at,
        NORM.c.actor,
    )
    .outerjoin(catalogue.ITEM, catalogue.ITEM.c.id == NORM.c.item_id)
    .order_by(NORM.c.id)
)
_OF_PRESET = _ALL.where(NORM.c.preset == bindparam("preset"))
