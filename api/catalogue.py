"""HTTP about items, locations and policies: what there is, and adding to it."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.bodies import Code, Day, Long, Quantity, Short, Strict, body_of, parse
from api.desk import AtDesk, DryRun, Recording, answer, page, place_in_body, read_cursor
from api.stock import Body, Limit
from reserve import access, assessment, catalogue, coverage, journal, policy
from reserve.access import Verb
from reserve.errors import Unknown
from reserve.model import OUTSIDE, Category, ConsumptionSource, LocationKind, PolicyKind, ScopePeak

router = APIRouter(prefix="/v1")


class PackIn(Strict):
    gtin: Annotated[str, Field(min_length=8, max_length=14)]
    units_per_pack: Quantity
    name: Annotated[Short, Field(max_length=40)] | None = None


class ItemIn(Strict):
    code: Code
    name_zh: Short
    name_en: Short
    category: Category
    base_unit: Annotated[Short, Field(max_length=20)]
    standard: Annotated[Short, Field(max_length=80)] | None = None
    gb_class: Annotated[str, Field(pattern=r"^\d{7}$")] | None = None
    shelf_life_days: Annotated[int, Field(strict=True, ge=1, le=36600)] | None = None
    packs: Annotated[list[PackIn], Field(default_factory=list, max_length=100)]


_INSIDE = [kind for kind in LocationKind if kind not in {*OUTSIDE, LocationKind.TRANSIT}]


def _inside(value: object) -> object:
    if value not in _INSIDE:
        raise PydanticCustomError("kind", "use one of {kinds}", {"kinds": ", ".join(_INSIDE)})
    return value


class LocationIn(Strict):
    code: Code
    name_zh: Short
    name_en: Short
    kind: Annotated[LocationKind, BeforeValidator(_inside), WithJsonSchema({"enum": _INSIDE})]
    parent: Code
    consumption_source: ConsumptionSource | None = None
    opened_on: Day | None = None
    closed_on: Day | None = None
    owner: Short | None = None
    keeper: Short | None = None


CodeInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class LocationChange(Strict):
    """`inspects`: what is received here waits in its bay until it has been inspected (验收待检)."""

    inspects: Annotated[bool, Field(strict=True)]


def _norm(value: object) -> Fraction | None:
    """Units a person (or bed) and day, at most three decimals."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10**6:
        raise PydanticCustomError("norm", "a norm is a number above 0, at most 10^6")
    return Fraction(Decimal(repr(value)))


class PolicyIn(Strict):
    code: Code
    item: Code | None = None
    category: Category | None = None
    scope: Code
    kind: PolicyKind
    required_days: Annotated[int, Field(strict=True, ge=1, le=3660)] | None = None
    persons: Quantity | None = None
    norm: Annotated[Any, BeforeValidator(_norm)] = None
    quantity: Quantity | None = None
    method: Short = "rolling_mean_max"
    look_back_days: Annotated[int, Field(strict=True, ge=28, le=3660)] = 365
    lead_time_days: Annotated[int, Field(strict=True, ge=0, le=3660)] = 14
    margin_days: Annotated[int, Field(strict=True, ge=0, le=3660)] = 7
    physical_days: Annotated[int, Field(strict=True, ge=0, le=3660)] | None = None
    contracted_days: Annotated[int, Field(strict=True, ge=1, le=3660)] | None = None
    physical_percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = None
    verified_within_days: Annotated[int, Field(strict=True, ge=1, le=3660)] = 180
    look_ahead_days: Annotated[int, Field(strict=True, ge=1, le=policy.MAX_LOOK_AHEAD_DAYS)] = 30
    blue_percent: Annotated[int, Field(strict=True, ge=1, le=100)] = 10
    yellow_percent: Annotated[int, Field(strict=True, ge=1, le=100)] = 50
    scope_peak: ScopePeak = ScopePeak.PEAK_OF_SUM
    effective_from: Day
    effective_until: Day | None = None
    source_title: Short | None = None
    source_text: Long


@router.get("/items", tags=["catalogue"])
def get_items(desk: AtDesk, request: Request, limit: Limit = 100, cursor: str | None = None) -> Response:
    """物资. Items with their packs, by code."""
    after = read_cursor(cursor, (str,))
    with desk.asking(request) as (session, _actor):
        items, packs = catalogue.items(session), catalogue.packs(session)
    rows = [row for row in items if after is None or row.code > after[0]]
    kept, following = page(rows[: limit + 1], limit, lambda row: [row.code])
    return answer({"items": [_item(row, packs) for row in kept], "next_cursor": following})


@router.get("/locations", tags=["catalogue"])
def get_locations(desk: AtDesk, request: Request, limit: Limit = 100, cursor: str | None = None) -> Response:
    """库点. The locations of one's subtree, parents first."""
    after = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        places = [p for p in catalogue.places(session) if p.inside and actor.place.holds(p)]
    codes = {p.id: p.code for p in places}
    start = 0
    if after is not None:
        start = next((n + 1 for n, p in enumerate(places) if p.id == after[0]), len(places))
    kept, following = page(places[start : start + limit + 1], limit, lambda p: [p.id])
    return answer({"items": [_place(p, codes) for p in kept], "next_cursor": following})


@router.get("/policies", tags=["catalogue"])
def get_policies(desk: AtDesk, request: Request) -> Response:
    """储备标准. Every version of every policy, with the text it rests on."""
    with desk.asking(request) as (session, actor):
        places = {p.id: p for p in catalogue.places(session)}
        items = {i.id: i.code for i in catalogue.items(session)}
        # those that rule here and those that are made below; a neighbour's are the neighbour's
        near = [p for p in places.values() if p.holds(actor.place) or actor.place.holds(p)]
        scopes = {p.id: p.code for p in near}
        rows = [row for row in policy.versions(session) if row.scope_id in scopes]
    return answer({"items": [_policy(row, scopes, items) for row in rows], "next_cursor": None})


@router.post("/items", status_code=201, openapi_extra=body_of(ItemIn), tags=["catalogue"])
def post_item(desk: AtDesk, request: Request, raw: Body) -> Response:
    """Add an item with its packs."""
    body = parse(ItemIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        access.require(recording.actor, Verb.MANAGE, None)
        given = body.model_dump(exclude={"packs"})
        packs = [catalogue.NewPack(**pack.model_dump()) for pack in body.packs]
        made = catalogue.add_item(recording.session, catalogue.NewItem(**given, packs=packs))
        answered = _item(made, catalogue.packs(recording.session))
        _journal(recording, "item.made", made.code, answered)
        return answered

    return desk.record(request, raw, work)


@router.post("/locations", status_code=201, openapi_extra=body_of(LocationIn), tags=["catalogue"])
def post_location(desk: AtDesk, request: Request, raw: Body) -> Response:
    """Add a location below one that there is."""
    body = parse(LocationIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        above = place_in_body(recording, Verb.MANAGE, body.parent, "/parent")
        made = catalogue.add_location(recording.session, catalogue.NewLocation(**body.model_dump()))
        answered = _place(made, {above.id: above.code})
        _journal(recording, "location.made", made.code, answered)
        return answered

    return desk.record(request, raw, work)


@router.patch("/locations/{code}", openapi_extra=body_of(LocationChange), tags=["catalogue"])
def patch_location(desk: AtDesk, request: Request, code: CodeInPath, raw: Body) -> Response:
    """Switch inspection of what is received on or off."""
    body = parse(LocationChange, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place = access.reach(recording.session, recording.actor, Verb.MANAGE, code)
        if place is None:
            raise Unknown(f"There is no location {code}.", code="unknown_location")
        changed = catalogue.set_inspection(recording.session, place, inspects=body.inspects)
        journal.write(
            recording.session,
            actor=recording.actor.signature,
            now=recording.now,
            verb="location.changed",
            subject=code,
            before={"inspects": place.inspects},
            after={"inspects": changed.inspects},
        )
        codes = {p.id: p.code for p in catalogue.places(recording.session)}
        return _place(changed, codes)

    return desk.record(request, raw, work, status=200)


@router.post("/policies", status_code=201, openapi_extra=body_of(PolicyIn), tags=["catalogue"])
def post_policy(
    desk: AtDesk,
    request: Request,
    raw: Body,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> Response:
    """Add a policy, or a new version of one from its `effective_from` on; a dry run answers what would change."""
    body = parse(PolicyIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        scope = place_in_body(recording, Verb.MANAGE, body.scope, "/scope")
        before = _standing(recording, scope, body.effective_from) if dry_run else {}
        made = policy.add(recording.session, recording.entry(), policy.NewPolicy(**dict(body)))
        if dry_run:
            raise DryRun(_changes(before, _standing(recording, scope, body.effective_from)))
        items = {made.item_id: body.item} if made.item_id is not None else {}
        return _policy(made, {scope.id: scope.code}, items)

    try:
        return desk.record(request, raw, work, parameters={"dry_run"})
    except DryRun as ended:
        return answer(ended.found)


def _journal(recording: Recording, verb: str, code: str, made: dict[str, Any]) -> None:
    facts = {name: value for name, value in made.items() if name != "code"}
    journal.write(
        recording.session, actor=recording.actor.signature, now=recording.now, verb=verb, subject=code, after=facts
    )


def _standing(recording: Recording, scope: catalogue.Place, day: date) -> dict[str, assessment.Assessment]:
    """How every item of a scope would be judged with today's stock under the policies of a day."""
    now = coverage.when(None, now=recording.now, zone=recording.desk.zone)
    rules = policy.in_force(recording.session, max(day, now.as_of))
    world = coverage.board(recording.session, now)._replace(policies=rules)
    cases = (
        case
        for item in catalogue.items(recording.session)
        for case in coverage.read(recording.session, world, item, [scope], now)
    )
    return {case.item.code: assessment.assess(case) for case in cases}


_COMPARED = ("level", "binding_policy", "required", "shortfall", "required_days")


def _changes(before: dict[str, assessment.Assessment], after: dict[str, assessment.Assessment]) -> dict[str, Any]:
    """The items that would be judged otherwise."""
    rows = [
        {
            "item": code,
            "before": {name: before[code].row[name] for name in _COMPARED},
            "after": {name: found.row[name] for name in _COMPARED},
        }
        for code, found in after.items()
        if any(before[code].row[name] != found.row[name] for name in _COMPARED)
    ]
    return {"dry_run": True, "changes": rows}


def _item(row: catalogue.ItemRow, packs: list[catalogue.PackRow]) -> dict[str, Any]:
    values = row._asdict()
    del values["id"]
    own = [p for p in packs if p.item_id == row.id]
    return {**values, "packs": [{"gtin": p.gtin, "units_per_pack": p.units_per_pack, "name": p.name} for p in own]}


def _place(place: catalogue.Place, codes: dict[int, str]) -> dict[str, Any]:
    return {
        "code": place.code,
        "name_zh": place.name_zh,
        "name_en": place.name_en,
        "kind": place.kind,
        "parent": None if place.parent_id is None else codes.get(place.parent_id),
        "consumption_source": place.consumption_source,
        "opened_on": place.opened_on,
        "closed_on": place.closed_on,
        "owner": place.owner,
        "keeper": place.keeper,
        "inspects": place.inspects,
        "bay_of": None if place.bay_of is None else codes.get(place.bay_of),
    }


def _policy(row: policy.PolicyRow, scopes: dict[int, str], items: Any) -> dict[str, Any]:  # noqa: ANN401 - id to code
    values = row._asdict()
    norm = values.pop("norm_per_1000")
    return {
        **{k: v for k, v in values.items() if k not in {"item_id", "scope_id"}},
        "norm": None if norm is None else norm / 1000,
        "item": items.get(row.item_id),
        "scope": scopes.get(row.scope_id),
    }
