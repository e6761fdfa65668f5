"""HTTP about what is known of use: its days, days left out, norms declared, known changes of demand."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError
from sqlmodel import Session

from api.bodies import Code, Day, Long, Quantity, Strict, Words, body_of, parse
from api.desk import AtDesk, Recording, answer, language_of, page, place_in_body, place_in_path, read_cursor
from api.stock import Body, CodeAsked, Limit, past_day
from reserve import access, catalogue, changes, reporting, use
from reserve.access import Verb
from reserve.catalogue import ItemRow
from reserve.changes import ChangeRow
from reserve.errors import Invalid, Unknown
from reserve.model import QUANTITY_MAX, Category
from reserve.reporting import DayOfUse
from reserve.use import DeclaredRow, Norm

router = APIRouter(prefix="/v1")

DAYS_MAX = 3660
"""Days of use in one answer."""

CodeNeeded = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


def _decimal(most: int) -> Any:  # noqa: ANN401 - a validator for Annotated
    """A number of at most three decimals, 0 to `most`."""

    def check(value: object) -> Fraction:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise PydanticCustomError("decimal", "a number from 0 to {most} is needed", {"most": most})
        found = Fraction(Decimal(repr(value)))
        if (found * 1000).denominator != 1:
            raise PydanticCustomError("decimal", "at most three decimals are kept")
        return found

    return BeforeValidator(check)


def _shown(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "number", "minimum": 0, "maximum": most})


Rate = Annotated[Any, _decimal(QUANTITY_MAX), _shown(QUANTITY_MAX)]
Times = Annotated[Any, _decimal(1000), _shown(1000)]
Factor = Annotated[Any, _decimal(changes.FACTOR_MAX), _shown(changes.FACTOR_MAX)]


class ExclusionIn(Strict):
    """`excluded` false puts the day back."""

    location: Code
    item: Code
    date: Day
    reason: Words
    excluded: Annotated[bool, Field(strict=True)]


class DeclaredUseIn(Strict):
    """Units a day, or persons x shifts a day x units a shift, or beds x units a bed and day; 0 takes it back."""

    location: Code
    item: Code
    units_per_day: Rate | None = None
    persons: Quantity | None = None
    shifts: Times | None = None
    units_per_shift: Rate | None = None
    beds: Quantity | None = None
    units_per_bed_day: Rate | None = None
    effective_from: Day
    source_text: Long


class DemandChangeIn(Strict):
    """Demand times `factor` from `first_day` to `last_day`; of all items where neither item nor category is named."""

    scope: Code
    item: Code | None = None
    category: Category | None = None
    first_day: Day
    last_day: Day
    factor: Factor
    reason: Words


class Because(Strict):
    reason: Words


# -- days -------------------------------------------------------------------------------------------------------------


@router.get("/consumption", tags=["asking"])
def get_consumption(
    desk: AtDesk,
    request: Request,
    location: CodeNeeded,
    item: CodeNeeded,
    since: date | None = None,
    until: date | None = None,
) -> Response:
    """消耗. A place's days: used and asked for, where known; days nobody reported are null. The last 35 if not said."""
    with desk.asking(request) as (session, actor):
        place = place_in_path(session, actor, location)
        today = desk.clock().astimezone(desk.zone).date()
        last = past_day(until, today)
        first = last - timedelta(days=34) if since is None else past_day(since, today)
        if first > last:
            raise Invalid("`since` lies after `until`: no day is asked for.", code="too_few_days")
        if (last - first).days >= DAYS_MAX:
            raise Invalid(f"At most {DAYS_MAX} days are answered at once; ask in parts.", code="too_many_days")
        found = reporting.days_of_use(
            session, item_id=_item(session, item).id, place=place, first=first, last=last, zone=desk.zone
        )
    return answer({"items": [_day(row) for row in found], "next_cursor": None})


@router.post("/consumption/exclusions", status_code=201, openapi_extra=body_of(ExclusionIn), tags=["recording"])
def post_exclusion(desk: AtDesk, request: Request, raw: Body) -> Response:
    """剔除. Leave a reported day out of the peak with a reason, or put it back."""
    body = parse(ExclusionIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        found = use.exclude(
            recording.session,
            recording.entry(),
            location=body.location,
            item=body.item,
            day=body.date,
            reason=body.reason,
            excluded=body.excluded,
        )
        return found._asdict()

    return desk.record(request, raw, work)


@router.get("/consumption/exclusions", tags=["asking"])
def get_exclusions(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """The last word on every day that was ever left out, the newest first."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        rows = use.exclusions(
            session,
            scope,
            item_id=None if item is None else _item(session, item).id,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    kept, following = page(rows, limit, lambda row: [row.id])
    return answer({"items": [row._asdict() for row in kept], "next_cursor": following})


# -- norms ------------------------------------------------------------------------------------------------------------


@router.post("/declared-use", status_code=201, openapi_extra=body_of(DeclaredUseIn), tags=["recording"])
def post_declared_use(desk: AtDesk, request: Request, raw: Body) -> Response:
    """定额. What a place uses a day by a norm, for where too little was reported; 0 takes it back."""
    body = parse(DeclaredUseIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.location)
        norm = Norm(**{name: getattr(body, name) for name in Norm._fields})
        found = use.declare(
            recording.session,
            recording.entry(),
            location=body.location,
            item=body.item,
            norm=norm,
            effective_from=body.effective_from,
            source_text=body.source_text,
        )
        return {**_declared(found), "formula": use.total(norm).formula}

    return desk.record(request, raw, work)


@router.get("/declared-use", tags=["asking"])
def get_declared_use(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """Every norm that was declared, the newest first; `in_force` says which counts today."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        rows = use.declarations(
            session,
            scope,
            desk.clock().astimezone(desk.zone).date(),
            item_id=None if item is None else _item(session, item).id,
            before=None if before is None else before[0],
            limit=limit + 1,
        )
    kept, following = page(rows, limit, lambda row: [row.id])
    return answer({"items": [_declared(row) for row in kept], "next_cursor": following})


# -- known changes ----------------------------------------------------------------------------------------------------


@router.post("/demand-changes", status_code=201, openapi_extra=body_of(DemandChangeIn), tags=["recording"])
def post_demand_change(desk: AtDesk, request: Request, raw: Body) -> Response:
    """已知变化. Forecast demand of a scope and those below it, times a factor on some days."""
    body = parse(DemandChangeIn, request, raw)
    chinese = language_of(request) == "zh"

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.MANAGE, body.scope, "/scope")
        given = {name: value for name, value in dict(body).items() if name != "factor"}
        new = changes.NewChange(**given, factor_per_1000=int(body.factor * 1000))
        found = changes.make(recording.session, recording.entry(), new)
        return {**_change(found), "weighs_on": _WEIGHS_ON["zh" if chinese else "en"].format(scope=found.scope)}

    return desk.record(request, raw, work)


@router.post("/demand-changes/{change}/ending", status_code=201, openapi_extra=body_of(Because), tags=["recording"])
def post_demand_change_ending(
    desk: AtDesk, request: Request, change: Annotated[int, Path(ge=1, le=2**63 - 1)], raw: Body
) -> Response:
    """撤销已知变化. From now on the change weighs on no day."""
    body = parse(Because, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_reach(recording, change)
        return _change(changes.end(recording.session, recording.entry(), change, body.reason))

    return desk.record(request, raw, work)


@router.get("/demand-changes", tags=["asking"])
def get_demand_changes(
    desk: AtDesk, request: Request, scope: CodeAsked = None, limit: Limit = 100, cursor: str | None = None
) -> Response:
    """The known changes that weigh on a scope or below it, those that were taken back too, the newest first."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        named = actor.place if scope is None else place_in_path(session, actor, scope)
        rows = changes.changes(session, named, before=None if before is None else before[0], limit=limit + 1)
    kept, following = page(rows, limit, lambda row: [row.id])
    return answer({"items": [_change(row) for row in kept], "next_cursor": following})


_WEIGHS_ON = {
    "zh": "{scope} 及其下级；上级范围的预测不变，如需变动请在上级另行登记。",
    "en": "{scope} and what lies below it. The forecast above it is not moved: state a change of its own there.",
}


def _day(row: DayOfUse) -> dict[str, Any]:
    values = row._asdict()
    return {"date": values.pop("day"), **values}


def _change(row: ChangeRow) -> dict[str, Any]:
    values = {**row._asdict(), "factor": row.factor}
    for name in ("scope_id", "item_id", "factor_per_1000"):
        del values[name]
    return values


def _declared(row: DeclaredRow) -> dict[str, Any]:
    values = row._asdict()
    thousandths = values.pop("per_day_per_1000")
    return {**values, "units_per_day": thousandths / 1000}


def _item(session: Session, code: str) -> ItemRow:
    found = catalogue.item(session, code)
    if found is None:
        raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
    return found


def _require_reach(recording: Recording, change: int) -> None:
    """The right where it weighs; outside, nothing is told, not even that it exists."""
    try:
        found = changes.find(recording.session, change)
    except Unknown:
        if recording.actor.place.parent_id is not None:
            raise access.forbidden() from None
        raise
    access.require(recording.actor, Verb.MANAGE, catalogue.place(recording.session, found.scope))
