"""HTTP about coverage: the stored rows, one row explained, any past day again, and the projection at the peak."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import Session

from api import exports
from api.desk import AtDesk, Desk, answer, language_of, moment, page, place_in_path, read_cursor, unchanged
from api.stock import CodeAsked, Limit, aware, past_day
from reserve import assessment, backtests, catalogue, coverage, evidence, figures, policy, projection, readings
from reserve.access import Actor
from reserve.assessment import Assessment, Situation
from reserve.catalogue import ItemRow, Place
from reserve.coverage import TableQuestion
from reserve.errors import Invalid, Unknown
from reserve.model import Category, Level

router = APIRouter(prefix="/v1", tags=["asking"])

CodeNamed = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
Method = Annotated[str | None, Query(max_length=40)]


@router.get("/coverage")
def get_coverage(
    desk: AtDesk,
    request: Request,
    scope: CodeAsked = None,
    item: CodeAsked = None,
    category: Category | None = None,
    level: Level | None = None,
    as_of: date | None = None,
    known_at: datetime | None = None,
    method: Method = None,
    limit: Limit = 100,
    cursor: str | None = None,
    format: exports.Format = "json",  # noqa: A002 - the contract's name
) -> Response:
    """保障能力. One row an item and scope as the worker stored it; `as_of`, `known_at` or `method` compute it again."""
    language, after = language_of(request), read_cursor(cursor, (str, str))
    with desk.asking(request) as (session, actor):
        named = None if scope is None else place_in_path(session, actor, scope)
        if as_of is not None or known_at is not None or method is not None:
            if named is None:
                raise Invalid("Say for which scope a past day or another method is asked for.", code="scope_needed")
            texts = _recomputed(session, desk, named, (item, category, level), (as_of, known_at, method), language)
            return _listed(texts, None) if format == "json" else _sheet(texts, format)
        rows = coverage.stored(
            session,
            TableQuestion(
                scope=scope,
                within=actor.place,
                item=item,
                category=category,
                level=level,
                after=None if after is None else _ids(session, after),
                limit=limit + 1,
            ),
            desk.clock(),
        )
        if not rows and item is not None:
            _item_named(session, item)
    kept, following = page(rows, limit, lambda row: [row.scope, row.item])
    if format != "json":
        return _sheet([row.text(language) for row in kept], format)
    etag = _etag(language, following or "", *(f"{r.scope}/{r.item}/{r.number}/{r.stale}" for r in kept))
    return unchanged(request, etag) or _listed([row.text(language) for row in kept], following, etag)


@router.get("/coverage/{scope}/{item}")
def get_explained(
    desk: AtDesk,
    request: Request,
    scope: CodeNamed,
    item: CodeNamed,
    as_of: date | None = None,
    known_at: datetime | None = None,
    method: Method = None,
) -> Response:
    """One row with everything that went in: enough to redo the number by hand."""
    language = language_of(request)
    with desk.asking(request) as (session, actor):
        place, article = _named(session, actor, scope, item)
        if as_of is None and known_at is None and method is None:
            question = TableQuestion(scope=scope, item=item)
            kept = coverage.stored(session, question, desk.clock(), explained=True)
            if kept:
                row = kept[0]
                etag = _etag(language, f"{row.scope}/{row.item}/{row.number}/{row.stale}")
                text = f'{row.text(language)[:-1]},"explanation":{row.explanation}}}'
                return unchanged(request, etag) or _text(text, etag)
        with _situation(session, desk, place, article, (as_of, known_at, method)) as case:
            found = assessment.assess(case)
    return answer({**row_of(found, language, desk.clock()), "explanation": found.explanation})


@router.get("/coverage/{scope}/{item}/peaks")
def get_peaks(desk: AtDesk, request: Request, scope: CodeNamed, item: CodeNamed, as_of: date | None = None) -> Response:
    """日均消耗上限. The peak by every named method side by side, with the days of coverage each would give."""
    with desk.asking(request) as (session, actor):
        place, article = _named(session, actor, scope, item)
        with _situation(session, desk, place, article, (as_of, None, None)) as case:
            found = figures.find(case)
            return answer(
                {
                    "scope": scope,
                    "item": item,
                    "as_of": case.as_of,
                    "sum_of_peaks": float(found.peak.sum_of_peaks),
                    "items": evidence.peaks(found),
                }
            )


@router.get("/coverage/{scope}/{item}/readings")
def get_readings(
    desk: AtDesk, request: Request, scope: CodeNamed, item: CodeNamed, as_of: date | None = None
) -> Response:
    """The same row as OpenLMIS, open mSupply, BHIMA, QAT and the US classes read it, by their own formulas."""
    with desk.asking(request) as (session, actor):
        place, article = _named(session, actor, scope, item)
        with _situation(session, desk, place, article, (as_of, None, None)) as case:
            rows = readings.told(figures.find(case))
            return answer({"scope": scope, "item": item, "as_of": case.as_of, "items": rows})


@router.get("/coverage/{scope}/{item}/projection")
def get_projection(
    desk: AtDesk,
    request: Request,
    scope: CodeNamed,
    item: CodeNamed,
    days: Annotated[int, Query(ge=1, le=365)] = 90,
    as_of: date | None = None,
    method: Method = None,
    receipts: bool = True,  # noqa: FBT001, FBT002 - a query parameter
) -> Response:
    """Stock day by day: at the peak, and as use is forecast; `receipts=false` leaves out what is under way."""
    with desk.asking(request) as (session, actor):
        place, article = _named(session, actor, scope, item)
        with _situation(session, desk, place, article, (as_of, None, method)) as case:
            told = projection.project(case, days, receipts=receipts)
            told["held"] = backtests.held(session, article, place, as_of=case.as_of, zone=desk.zone)
            return answer(told)


Asked = tuple[date | None, datetime | None, str | None]


@contextmanager
def _situation(session: Session, desk: Desk, place: Place, item: ItemRow, asked: Asked) -> Iterator[Situation]:
    case = next(iter(_situations(session, desk, place, [item], asked)))
    yield case


def _situations(session: Session, desk: Desk, place: Place, items: list[ItemRow], asked: Asked) -> Iterator[Situation]:
    as_of, known_at, method = asked
    now = desk.clock()
    today = now.astimezone(desk.zone).date()
    past = None if as_of is None else past_day(as_of, today)
    at = coverage.when(past, now=now, zone=desk.zone, known_at=aware(known_at))
    world = coverage.board(session, at)
    for item in items:
        for case in coverage.read(session, world, item, [place], at, method):
            if method is not None:
                _require_method(method, case)
            yield case


def _require_method(method: str, case: Situation) -> None:
    """A window no wider than what the policies of the row look back on."""
    look_back = max([assessment.DEFAULT_LOOK_BACK_DAYS, *(rule.look_back_days for rule in case.policies)])
    if problem := policy.method_problem(method, look_back):
        raise Invalid(problem, code="unknown_method")


def _recomputed(
    session: Session,
    desk: Desk,
    place: Place,
    filters: tuple[str | None, Category | None, Level | None],
    asked: Asked,
    language: str,
) -> list[str]:
    code, category, level = filters
    items = [
        i
        for i in catalogue.items(session)
        if (code is None or i.code == code) and (category is None or i.category == category)
    ]
    if code is not None and not items:
        _item_named(session, code)
    now = desk.clock()
    found = [assessment.assess(case) for case in _situations(session, desk, place, items, asked)]
    told = [a for a in found if (a.row["on_hand"] or a.judged or a.row["peak_daily"]) and level in {None, a.level}]
    return [json.dumps(row_of(a, language, now), ensure_ascii=False, separators=(",", ":")) for a in told]


def row_of(found: Assessment, language: str, now: datetime) -> dict[str, Any]:
    """A row computed for this answer: never stale."""
    reason = found.reason.zh if language == "zh" else found.reason.en
    return {**found.row, "stale": False, "reason": reason, "assessed_at": moment(now)}


def _named(session: Session, actor: Actor, scope: str, item: str) -> tuple[Place, ItemRow]:
    return place_in_path(session, actor, scope), _item_named(session, item)


def _item_named(session: Session, code: str) -> ItemRow:
    found = catalogue.item(session, code)
    if found is None:
        raise Unknown(f"There is no item {code}; see GET /v1/items.", code="unknown_item")
    return found


def _ids(session: Session, after: list[Any]) -> tuple[int, int]:
    place, item = catalogue.place(session, after[0]), catalogue.item(session, after[1])
    if place is None or item is None:
        raise Invalid("This cursor is not one of ours; use next_cursor as it was answered.", code="bad_cursor")
    return place.id, item.id


def _etag(*parts: str) -> str:
    """From the numbers of the assessments, not from hashing what they say."""
    return f'"{sha256("|".join(parts).encode()).hexdigest()[:32]}"'


def _listed(texts: list[str], following: str | None, etag: str | None = None) -> Response:
    return _text(f'{{"items":[{",".join(texts)}],"next_cursor":{json.dumps(following)}}}', etag)


def _sheet(texts: list[str], wanted: exports.Format) -> Response:
    return exports.sheet([json.loads(text) for text in texts], wanted, "coverage")


def _text(text: str, etag: str | None = None) -> Response:
    headers = {"Vary": "Accept-Language", **({"ETag": etag} if etag else {})}
    return Response(text, media_type="application/json", headers=headers)
