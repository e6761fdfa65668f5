"""HTTP about how well forecasts held (回测): every forecast of the last months made again, beside what came."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.desk import AtDesk, answer, page, place_in_path, read_cursor
from api.stock import CodeAsked
from reserve import backtests, catalogue, coverage
from reserve.errors import Unknown
from reserve.model import Category

router = APIRouter(prefix="/v1", tags=["asking"])


@router.get("/backtests")
def get_backtests(
    desk: AtDesk,
    request: Request,
    scope: CodeAsked = None,
    item: CodeAsked = None,
    category: Category | None = None,
    months: Annotated[int, Query(ge=1, le=backtests.MONTHS_MAX)] = backtests.MONTHS,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> Response:
    """预测回测. How often the limits of the forecast held, and whether breaks were announced; the worst item first."""
    # a page is the next items by code: how each held is only known once it was worked out
    after = read_cursor(cursor, (str,))
    with desk.asking(request) as (session, actor):
        place = actor.place if scope is None else place_in_path(session, actor, scope)
        items = sorted(
            (
                i
                for i in catalogue.items(session)
                if (item is None or i.code == item)
                and (category is None or i.category == category)
                and (after is None or i.code > after[0])
            ),
            key=lambda i: i.code,
        )
        if item is not None and catalogue.item(session, item) is None:
            raise Unknown(f"There is no item {item}; see GET /v1/items.", code="unknown_item")
        asked, following = page(items, limit, lambda i: [i.code])
        now = desk.clock()
        at = coverage.when(None, now=now, zone=desk.zone)
        world = coverage.board(session, at)
        found = backtests.table(session, world, asked, place, as_of=at.as_of, zone=desk.zone, months=months)
    return answer({**found, "next_cursor": following})
