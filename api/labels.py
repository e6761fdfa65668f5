"""Labels over HTTP (标签): codes of places and lots, as a printable sheet."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from api.desk import AtDesk, Desk, language_of, place_in_path
from api.label_sheets import LotLabel, PlaceLabel, labels_pdf, labels_svg
from api.stock import CodeAsked, LotAsked
from api.typesetting import Named, Printing
from reserve import catalogue, stock
from reserve.catalogue import Place
from reserve.errors import Unknown

router = APIRouter(prefix="/v1/labels", tags=["asking"])

Form = Literal["pdf", "svg"]
Layout = Literal["50x30", "a4"]
LABELS_MAX = 1000


@router.get("/locations")
def get_location_labels(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    format: Form = "pdf",  # noqa: A002 - the contract's name
    layout: Layout = "a4",
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> Response:
    """库位标签. A label for each place of a scope that holds goods: QR code, code and names."""
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        places = {place.id: place for place in catalogue.places(session)}
    below = [place for place in places.values() if place.stocked and scope.holds(place)][:LABELS_MAX]
    labels = [PlaceLabel(_named(p), _named(places[p.parent_id]) if p.parent_id is not None else None) for p in below]
    return _sheet(desk, request, labels, format, layout, page)


@router.get("/lots")
def get_lot_labels(
    desk: AtDesk,
    request: Request,
    location: CodeAsked = None,
    item: CodeAsked = None,
    lot_number: LotAsked = None,
    format: Form = "pdf",  # noqa: A002 - the contract's name
    layout: Layout = "a4",
    copies: Annotated[int, Query(ge=1, le=100)] = 1,
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> Response:
    """批号标签. A label for each lot that lies in a scope: GS1 DataMatrix, item, lot and last usable day."""
    with desk.asking(request) as (session, actor):
        scope = actor.place if location is None else place_in_path(session, actor, location)
        labels = _lot_labels(session, desk, scope, item, lot_number)
    return _sheet(desk, request, [label for label in labels for _ in range(copies)][:LABELS_MAX], format, layout, page)


def _lot_labels(session: Session, desk: Desk, scope: Place, item: str | None, lot_number: str | None) -> list[LotLabel]:
    wanted = None
    if item is not None:
        found = catalogue.item(session, item)
        if found is None:
            raise Unknown("There is no such item; see GET /v1/items.", code="unknown_item")
        wanted = found.id
    today = desk.clock().astimezone(desk.zone).date()
    question = stock.StockQuestion(day=today, scope=scope, item_id=wanted, lot_number=lot_number, limit=LABELS_MAX)
    rows = stock.rows(session, question)
    items = {row.code: row for row in catalogue.items(session)}
    packs = {pack.item_id: pack for pack in reversed(catalogue.packs(session))}
    places = {place.code: place for place in catalogue.places(session)}
    return [
        LotLabel(
            Named(row.item, items[row.item].name_zh, items[row.item].name_en),
            row.lot_number,
            row.expires_on,
            items[row.item].base_unit,
            pack.units_per_pack if (pack := packs.get(row.item_id)) else None,
            pack.gtin if pack else None,
            place=_named(places[row.location]),
        )
        for row in rows
    ]


def _named(place: Place) -> Named:
    return Named(place.code, place.name_zh, place.name_en)


def _sheet(
    desk: Desk,
    request: Request,
    labels: list[PlaceLabel] | list[LotLabel],
    form: Form,
    layout: Layout,
    page: int,
) -> Response:
    """The labels as PDF, or one page of them as SVG; `Reserve-Pages` says how many there are."""
    if not labels:
        raise Unknown("Nothing lies there that a label could be made for.", code="no_labels")
    language = language_of(request)
    if form == "pdf":
        made = labels_pdf(labels, language, layout, Printing(desk.clock(), desk.zone))
        return Response(made, media_type="application/pdf", headers=_named_file("pdf"))
    pages = labels_svg(labels, language, layout)
    if page > len(pages):
        raise Unknown(f"There are {len(pages)} pages of labels.", code="no_labels")
    headers = {**_named_file("svg"), "Reserve-Pages": str(len(pages))}
    return Response(pages[page - 1], media_type="image/svg+xml", headers=headers)


def _named_file(ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'inline; filename="labels.{ending}"'}
