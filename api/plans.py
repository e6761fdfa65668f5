"""HTTP about plans: what to order, what to move between places, what to use before it expires; and sending a line."""

from collections import defaultdict
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field
from sqlmodel import Session

from api.bodies import Code, Day, LotNumber, Quantity, Short, Strict, body_of, parse
from api.desk import AtDesk, Desk, Recording, answer, language_of, page, place_in_body, place_in_path, read_cursor
from api.stock import Body, CodeAsked, document
from reserve import catalogue, coverage, planning, redistributing, replenishing, rotating, transfers
from reserve.access import Verb
from reserve.catalogue import ItemRow, PackRow, Place
from reserve.entry import Entry
from reserve.errors import Conflict, Fault, Invalid, Unknown, UnknownItem
from reserve.lines import IssueLine
from reserve.model import Category
from reserve.planning import Drawing, Json, Question

router = APIRouter(prefix="/v1")

Scope = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
Limit = Annotated[int, Query(ge=1, le=200)]
TransitDays = Annotated[int, Query(ge=0, le=60)]
All = Annotated[bool, Query(alias="all")]


@router.get("/plans/replenishment", tags=["asking"])
def get_replenishment(
    desk: AtDesk,
    request: Request,
    scope: Scope,
    item: CodeAsked = None,
    category: Category | None = None,
    service_level: Annotated[float, Query(gt=0, le=1, allow_inf_nan=False)] = 0.95,
    review_days: Annotated[int, Query(ge=0, le=365)] = 7,
    everything: All = False,  # noqa: FBT002 - a query parameter
    limit: Limit = 100,
    cursor: str | None = None,
) -> Response:
    """补货计划. What to order of each item that a policy in days judges: how much, in packs, by which day, why."""
    terms = replenishing.Terms(review_days, service_level)

    def rows(session: Session, drawing: Drawing, place: Place, items: list[ItemRow]) -> list[Json]:
        packs: dict[int, list[PackRow]] = defaultdict(list)
        for pack in catalogue.packs(session):
            packs[pack.item_id].append(pack)
        found = []
        for one in items:
            case = coverage.read(session, drawing.world, one, [place], drawing.moment)[0]
            line = replenishing.plan(case, packs[one.id], terms)
            if everything or line["units"] != 0 or line["reason_code"] == "life_too_short":
                found.append(line)
        return found

    told = {"service_level": service_level, "review_days": review_days}
    return _answer(desk, request, _Asked(scope, item, category, limit, cursor), rows, told, ruled=True)


@router.get("/plans/redistribution", tags=["asking"])
def get_redistribution(
    desk: AtDesk,
    request: Request,
    scope: Scope,
    item: CodeAsked = None,
    category: Category | None = None,
    transit_days: TransitDays = 1,
    everything: All = False,  # noqa: FBT002 - a query parameter
    limit: Limit = 25,
    cursor: str | None = None,
) -> Response:
    """调剂计划. Who gives what to whom between the places directly below a scope; days before and after."""

    def rows(session: Session, drawing: Drawing, place: Place, items: list[ItemRow]) -> list[Json]:
        found = []
        for one in items:
            parts = redistributing.parts(session, drawing, place, one)
            plan = redistributing.plan(one, place, parts, as_of=drawing.moment.as_of, transit_days=transit_days)
            if everything or item is not None or plan["reason_code"] != "no_taker" or _unknown(plan):
                found.append(plan)
        return found

    told = {"transit_days": transit_days}
    return _answer(desk, request, _Asked(scope, item, category, limit, cursor), rows, told, ruled=True)


@router.get("/plans/rotation", tags=["asking"])
def get_rotation(
    desk: AtDesk,
    request: Request,
    scope: Scope,
    item: CodeAsked = None,
    category: Category | None = None,
    transit_days: TransitDays = 1,
    floor_percent: Annotated[int, Query(ge=0, le=100)] = 70,
    within_days: Annotated[int, Query(ge=1, le=3660)] = 365,
    everything: All = False,  # noqa: FBT002 - a query parameter
    limit: Limit = 25,
    cursor: str | None = None,
) -> Response:
    """轮换计划. Lots that would expire unused: how many to which hospital by which day, and what is owed first."""
    terms = rotating.Terms(transit_days, floor_percent, within_days)

    def rows(session: Session, drawing: Drawing, place: Place, items: list[ItemRow]) -> list[Json]:
        handed = rotating.handed_out(session, drawing, place)
        found = []
        for one in items:
            case = coverage.read(session, drawing.world, one, [place], drawing.moment)[0]
            plan = rotating.plan(case, drawing.world, handed.get(one.id, rotating.NOTHING), terms)
            if everything or plan["lots"] or plan["reason_code"] == "too_large":
                found.append(plan)
        return found

    told = {"transit_days": transit_days, "floor_percent": floor_percent, "within_days": within_days}
    return _answer(desk, request, _Asked(scope, item, category, limit, cursor), rows, told, ruled=False)


class MoveIn(Strict):
    """A line of the redistribution plan as it was answered."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    scope: Code
    item: Code
    giver: Annotated[Code, Field(alias="from")]
    taker: Annotated[Code, Field(alias="to")]
    source: Code
    target: Code
    lot_number: LotNumber
    units: Quantity
    expires_on: Day | None = None
    expected_on: Day | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None
    words: dict[str, str] | None = None
    reference: Short | None = None
    carrier: Short | None = None


@router.post("/plans/redistribution/transfers", status_code=201, openapi_extra=body_of(MoveIn), tags=["recording"])
def post_redistribution_transfer(desk: AtDesk, request: Request, raw: Body) -> Response:
    """按计划调拨. Send a line of the redistribution plan as the transfer it stands for, while it still holds."""
    body = parse(MoveIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        place_in_body(recording, Verb.RECORD, body.source, "/source")
        entry = recording.entry(reference=body.reference)
        return document(_send(recording.session, entry, body))

    return desk.record(request, raw, work)


def _send(session: Session, entry: Entry, body: MoveIn) -> Any:  # noqa: ANN401 - what `transfers` posts
    named = {
        name: catalogue.require_place(session, code, f"/{name}")
        for name, code in (
            ("scope", body.scope),
            ("from", body.giver),
            ("to", body.taker),
            ("source", body.source),
            ("target", body.target),
        )
    }
    item = catalogue.item(session, body.item)
    if item is None:
        detail = f"There is no item {body.item}; see GET /v1/items."
        raise UnknownItem(detail, faults=[Fault("/item", UnknownItem.code, detail)])
    line = IssueLine(body.item, body.units, body.lot_number, f"plan {body.scope}: {body.giver} -> {body.taker}")
    posted = transfers.send(
        session,
        entry,
        source=body.source,
        target=body.target,
        lines=[line],
        carrier=body.carrier,
        expected_on=body.expected_on,
    )
    # judged after it is sent, in the same transaction: by then nobody else can take from the shelf
    moment = coverage.when(None, now=entry.now, zone=entry.zone)
    drawing = planning.draw(session, moment)
    left = redistributing.after_sending(session, drawing, item, named)
    if left is None:
        detail = "The line is not one of this plan: its source and target lie elsewhere. Ask for the plan again."
        raise Invalid(detail, code="not_of_the_plan", faults=[Fault("/source", "not_of_the_plan", detail)])
    if not left:
        detail = f"{body.giver} can no longer give so much without falling below its rule: ask for the plan again."
        raise Conflict(detail, code="plan_outdated", faults=[Fault("/units", "plan_outdated", detail)])
    return posted


# -- shared -----------------------------------------------------------------------------------------------------------

Rows = Callable[[Session, Drawing, Place, list[ItemRow]], list[Json]]


class _Asked:
    """What every plan is asked by."""

    def __init__(self, scope: str, item: str | None, category: Category | None, limit: int, cursor: str | None) -> None:
        self.scope, self.item, self.category, self.limit = scope, item, category, limit
        after = read_cursor(cursor, (str,))
        self.after = None if after is None else after[0]


def _answer(desk: Desk, request: Request, asked: _Asked, rows: Rows, told: Json, *, ruled: bool) -> Response:
    """The plan of one page of items, drawn from the books of now."""
    language = language_of(request)
    with desk.asking(request) as (session, actor):
        place = place_in_path(session, actor, asked.scope)
        item = None if asked.item is None else catalogue.item(session, asked.item)
        if asked.item is not None and item is None:
            raise Unknown(f"There is no item {asked.item}; see GET /v1/items.", code="unknown_item")
        drawing = planning.draw(session, coverage.when(None, now=desk.clock(), zone=desk.zone))
        question = Question(place, item, asked.category, asked.after, asked.limit)
        found = planning.items(session, drawing, question, ruled=ruled)
        items, following = page(found, asked.limit, lambda one: [one.code])
        planned = rows(session, drawing, place, items)
    return answer(
        {
            "scope": place.code,
            "as_of": drawing.moment.as_of,
            **told,
            "items": [_said(row, language) for row in planned],
            "next_cursor": following,
        },
        {"Vary": "Accept-Language"},
    )


def _said(row: Json, language: str) -> Json:
    """A row with its reason in the reader's language, before the words in both; and each of its parts."""
    told: Json = {
        name: [_said(part, language) for part in value] if name in {"lots", "lines", "places"} else value
        for name, value in row.items()
    }
    if "words" in told:
        words = row["words"]
        told["reason"] = None if words is None else words[language]
    return told


def _unknown(plan: Json) -> bool:
    return any(part["left_out"] in {"peak_unknown", "no_store"} for part in plan["places"])
