"""Pages of the warehouse's papers: a place's stock card, a document to print, a lot from its giver to its users."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from sqlmodel import Session

from api import papers, papers_print, papers_words, words
from api.desk import Desk, read_cursor
from api.pages import Board, chosen, render, surroundings
from api.words import Fact, Reader
from reserve import cards, catalogue, documents, trace
from reserve.cards import Card, CardQuestion, CardRow
from reserve.catalogue import ItemRow, Place
from reserve.documents import Line, Paper
from reserve.errors import Invalid
from reserve.model import LocationKind
from reserve.trace import Trace

SHOWN_DAYS: Final = 90
"""What a card shows until somebody asks for another period."""
ROWS: Final = 200
FILES: Final[tuple[papers.FileFormat, ...]] = ("csv", "xlsx", "pdf")


def warehouse_pages(desk: Desk, board: Board) -> APIRouter:
    """Make the pages over a database; `?format=csv|xlsx|pdf` of a page is the file of what it shows."""
    router = APIRouter(include_in_schema=False)

    @router.get("/stock/{location}/{item}")
    def stock_card(request: Request, location: str, item: str) -> Response:
        return _card_page(desk, board, Reader.of(request, board.freshness()), location, item)

    @router.get("/documents/{number}")
    def document(request: Request, number: str) -> Response:
        return _document_page(desk, board, Reader.of(request, board.freshness()), number)

    @router.get("/lots/{item}/{lot_number:path}")
    def lot(request: Request, item: str, lot_number: str) -> Response:
        return _lot_page(desk, board, Reader.of(request, board.freshness()), item, lot_number)

    return router


# -- links ------------------------------------------------------------------------------------------------------------


def card_link(reader: Reader, place: str, item: str, **params: str) -> str:
    return reader.link(f"/stock/{quote(place, safe='')}/{quote(item, safe='')}", **params)


def document_link(reader: Reader, number: str, **params: str) -> str:
    return reader.link(f"/documents/{quote(number, safe='')}", **params)


def lot_link(reader: Reader, item: str, lot_number: str, **params: str) -> str:
    return reader.link(f"/lots/{quote(item, safe='')}/{quote(lot_number, safe='')}", **params)


# -- the stock card ---------------------------------------------------------------------------------------------------


def _card_page(desk: Desk, board: Board, reader: Reader, location: str, item: str) -> Response:
    since, until = _days_asked(desk, reader.params)
    lot, wanted = reader.params.get("lot", "").replace("\0", "?"), _file_asked(reader)
    with papers.one_moment(desk) as session:
        place, article = _place(session, location), _item(session, item)
        around = _around(session, reader, board.scopes(), place)
        if place is None:
            return _missing(reader, around, _say(reader, "missing.place", code=location))
        if article is None:
            return _missing(reader, around, _say(reader, "missing.item", code=item))
        question = CardQuestion(place, article, lot or None, limit=ROWS, after=_mark(reader))
        try:
            when = papers.bounds(desk, since, until)
            question = question._replace(since=when.since, until=when.until)
            if wanted is None:
                found = cards.card(session, question)
            else:
                found = papers.whole_card(session, question._replace(limit=None, after=None), wanted)
        except Invalid as refused:
            return _refused(session, reader, around, question, refused)
    if wanted is not None:
        return papers.card_file(desk, found, since, until, wanted, reader.lang)
    return render(reader, "card.html", **around, **_card(desk, reader, found, (since, until), around))


def _days_asked(desk: Desk, params: Mapping[str, str]) -> tuple[date | None, date | None]:
    """The period in the address: the last months where it says nothing, everything where it says nothing on purpose."""
    today = desk.clock().astimezone(desk.zone).date()
    since = _day(params.get("since")) if "since" in params else today - timedelta(days=SHOWN_DAYS)
    return since, _day(params.get("until"))


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def _mark(reader: Reader) -> tuple[datetime, int] | None:
    found = read_cursor(reader.params.get("after") or None, (str, int))
    return None if found is None else (papers.cursor_moment(found[0]), found[1])


def _card(desk: Desk, reader: Reader, found: Card, days: tuple[date | None, date | None], around: Fact) -> Fact:
    since, until = days
    place, item = found.question.place, found.question.item
    today = desk.clock().astimezone(desk.zone).date()
    kept = {key: reader.params[key] for key in ("since", "until", "lot") if reader.params.get(key)}
    if "since" in reader.params:
        kept["since"] = str(since or "all")

    def address(**params: str) -> str:
        return card_link(reader, place.code, item.code, **{**kept, **params})

    following = papers.card_cursor(found)
    return {
        **_words_of(reader),
        "card": found,
        "item": item,
        "item_name": reader.name(_fact(item)),
        "unit": words.unit(reader.lang, item.base_unit),
        "store": place,
        "store_name": reader.name(_fact(place)),
        "item_href": reader.item_link(item.code, scope=around["place"]["code"] if around["place"] else ""),
        "since": since,
        "until": until,
        "today": today,
        "lot": found.question.lot_number or "",
        "begins": found.question.after is None,
        "rows": [
            {
                "row": row,
                "when": _when(reader, row.line),
                "number": row.line.document,
                "href": document_link(reader, row.line.document),
                "kind": papers_words.known(reader.lang, "kind", row.line.kind),
                "other": _other(reader, row),
                "other_code": "" if not row.counterpart.inside else row.counterpart.code,
                "lot_href": lot_link(reader, item.code, row.line.lot_number),
                "notes": _notes(reader, row.line),
            }
            for row in found.rows
        ],
        "more": address(after=following) if following else "",
        "first": address() if found.question.after is not None else "",
        "all_lots": card_link(reader, place.code, item.code, **{k: v for k, v in kept.items() if k != "lot"}),
        "files": [(wanted, address(format=wanted)) for wanted in FILES],
    }


def _other(reader: Reader, row: CardRow) -> str:
    """A place by its name; outside, whoever got or gave the goods."""
    named = None if row.counterpart.inside else row.line.recipient or row.line.party
    return named or reader.name(_fact(row.counterpart))


def _notes(reader: Reader, line: Line) -> list[str]:
    """What makes a line another than it seems: why, and whether it undid or was undone."""
    why, _, more = (line.reason or "").partition(": ")
    said = [papers_words.known(reader.lang, "reason", why) + (f": {more}" if more else ""), line.reference or ""]
    if line.reverses_document:
        said.append(_say(reader, "reverses", number=line.reverses_document))
    if line.reversed_by_document:
        said.append(_say(reader, "reversed_by", number=line.reversed_by_document))
    return [part for part in said if part]


def _refused(session: Session, reader: Reader, around: Fact, question: CardQuestion, refused: Invalid) -> Response:
    """A region leads to its stores; anything else says what to change."""
    place, item = question.place, question.item
    if refused.code != "not_a_store":
        title = _say(reader, "too_many") if refused.code == "too_many_rows" else refused.detail
        cure = _say(reader, "too_many.do") if refused.code == "too_many_rows" else _say(reader, "missing.do")
        return render(reader, "error.html", 422, **around, title=title, cure=cure, back="", listed=False)
    found = cards.stores(session, place, item)
    name = reader.name(_fact(item))
    return render(
        reader,
        "stores.html",
        422,
        **around,
        **_words_of(reader),
        title=_say(reader, "region", place=reader.name(_fact(place))),
        cure=_say(reader, "region.do" if found else "region.none", item=name),
        stores=[(reader.name(_fact(store)), store.code, card_link(reader, store.code, item.code)) for store in found],
    )


# -- a document -------------------------------------------------------------------------------------------------------


def _document_page(desk: Desk, board: Board, reader: Reader, number: str) -> Response:
    with papers.one_moment(desk) as session:
        found = None if "\0" in number else documents.paper(session, number)
        around = _around(session, reader, board.scopes(), None if found is None else found.header.place)
    if found is None:
        return _missing(reader, around, _say(reader, "missing.document", code=number))
    wanted = _file_asked(reader)
    if wanted is not None:
        return papers.document_file(desk, found, wanted, reader.lang)
    return render(reader, "document.html", **around, **_document(desk, reader, found))


def _document(desk: Desk, reader: Reader, found: Paper) -> Fact:
    """The very words of the printed paper, with links where they lead further."""
    from api import codes, printing

    header = found.header
    now = papers_print.printed(desk.clock(), desk.zone, found)
    language = papers.language(reader.lang)
    sheet = printing.document_sheet(papers_print.document(found, language), language, now)
    code = codes.reference_code(header.number)
    return {
        **_words_of(reader),
        "sheet": sheet,
        "number": header.number,
        "kind": papers_words.known(reader.lang, "kind", header.kind),
        "facts": [(label, text) for label, text in sheet.facts],
        "recorded": reader.moment(header.recorded_at.isoformat()),
        "qr": Markup(codes.svg(code, header.number)),  # noqa: S704 - drawn by us from a checked code
        "follows": [(header.follows, document_link(reader, header.follows))] if header.follows else [],
        "followed_by": [(number, document_link(reader, number)) for number in found.followed_by],
        "requisition": header.requisition,
        "sealed": found.sealed,
        "lines": [
            {
                "line": line,
                "item": _line_item(reader, line),
                "unit": words.unit(reader.lang, line.base_unit),
                "lot_href": lot_link(reader, line.item, line.lot_number),
                "source": reader.name(_fact(line.source)),
                "source_href": _shelf_link(reader, line.source, line.item),
                "target": reader.name(_fact(line.target)),
                "target_href": _shelf_link(reader, line.target, line.item),
                "notes": _notes(reader, line._replace(reference=None)),
            }
            for line in found.lines
        ],
        "counted": [
            {
                "line": line,
                "item": reader.name({"code": line.item, "name_zh": line.item_name_zh, "name_en": line.item_name_en}),
            }
            for line in found.counted
        ],
        "files": [(wanted, document_link(reader, header.number, format=wanted)) for wanted in FILES],
    }


def _line_item(reader: Reader, line: Line) -> str:
    return reader.name({"code": line.item, "name_zh": line.item_name_zh, "name_en": line.item_name_en})


def _shelf_link(reader: Reader, place: Place, item: str) -> str:
    return card_link(reader, place.code, item) if place.inside and place.kind != LocationKind.TRANSIT else ""


# -- a lot ------------------------------------------------------------------------------------------------------------


def _lot_page(desk: Desk, board: Board, reader: Reader, item: str, lot_number: str) -> Response:
    today = desk.clock().astimezone(desk.zone).date()
    with papers.one_moment(desk) as session:
        around = _around(session, reader, board.scopes(), None)
        article = _item(session, item)
        if article is None:
            return _missing(reader, around, _say(reader, "missing.item", code=item))
        asked = lot_number.replace("\0", "?")
        found = trace.trace(session, article, asked, day=today, within=None)
    if found is None:
        title = _say(reader, "missing.lot", item=reader.name(_fact(article)), code=asked)
        return _missing(reader, around, title)
    wanted = _file_asked(reader)
    if wanted is not None:
        return papers.trace_file(desk, found, wanted, reader.lang)
    return render(reader, "lot.html", **around, **_trace(reader, found))


def _trace(reader: Reader, found: Trace) -> Fact:
    item, sums = found.item, found.sums
    came = [("received", sums.received), ("from_elsewhere", sums.from_elsewhere)]
    went = [(key, getattr(sums, key)) for key in sums._fields[2:]]

    def terms(part: list[tuple[str, int]], first: str) -> list[tuple[str, int]]:
        return [(_say(reader, f"sum.{key}"), units) for key, units in part if units or key == first]

    def steps(part: list[trace.Step]) -> list[Fact]:
        return [_step(reader, step) for step in part]

    return {
        **_words_of(reader),
        "trace": found,
        "item": item,
        "item_name": reader.name(_fact(item)),
        "item_href": reader.item_link(item.code),
        "unit": words.unit(reader.lang, item.base_unit),
        "hold": papers_words.known(reader.lang, "hold", found.hold) if found.hold else "",
        "holds": [
            {
                "reason": papers_words.known(reader.lang, "hold", hold.reason),
                "note": hold.note or "",
                "placed": _say(reader, "hold.placed", who=hold.placed_by, when=_at(reader, hold.placed_at)),
                "lifted": _say(reader, "hold.lifted", who=hold.lifted_by, when=_at(reader, hold.lifted_at))
                if hold.lifted_at
                else "",
            }
            for hold in found.holds
        ],
        "came": terms(came, "received"),
        "went": terms(went, "lies"),
        "lies": [
            {
                "name": reader.name(_fact(row.place)),
                "code": row.place.code,
                "href": card_link(reader, row.place.code, item.code, lot=found.lot_number, since="all"),
                "on_hand": row.on_hand,
                "state": papers_words.known(reader.lang, "hold", row.hold)
                if row.hold
                else _say(reader, "state.expired" if found.expired else "state.usable"),
                "usable": not (row.hold or found.expired),
            }
            for row in found.lies
        ],
        "recipients": [
            {"name": row.recipient or _say(reader, "recipient.unknown"), "row": row} for row in found.recipients
        ],
        "roads": [
            {
                "road": road,
                "when": _at(reader, road.occurred_at),
                "href": document_link(reader, road.document),
                "source": reader.name(_fact(road.source)),
                "target": reader.name(_fact(road.target)) if road.target else "",
            }
            for road in found.transfers
        ],
        "renamed": [
            (
                _say(reader, "became" if row.became else "was"),
                reader.name({"code": row.item, "name_zh": row.item_name_zh, "name_en": row.item_name_en}),
                lot_link(reader, row.item, row.lot_number),
                row,
            )
            for row in found.renamed
        ],
        "issues": steps(found.issues),
        "receipts": steps(found.receipts),
        "others": steps([*found.moves, *found.disposals, *found.adjustments, *found.downgrades, *found.returns]),
        "files": [(wanted, lot_link(reader, item.code, found.lot_number, format=wanted)) for wanted in FILES],
    }


def _step(reader: Reader, step: trace.Step) -> Fact:
    line = step.line
    return {
        "step": step,
        "line": line,
        "when": _when(reader, line),
        "href": document_link(reader, line.document),
        "kind": papers_words.known(reader.lang, "kind", line.kind),
        "place": reader.name(_fact(step.place)),
        "purpose": papers_words.known(reader.lang, "purpose", line.purpose),
        "notes": _notes(reader, line),
    }


# -- what they share --------------------------------------------------------------------------------------------------


def _file_asked(reader: Reader) -> papers.FileFormat | None:
    return next((wanted for wanted in FILES if wanted == reader.params.get("format")), None)


def _words_of(reader: Reader) -> Fact:
    return {"p": lambda key, **values: _say(reader, key, **values)}


def _say(reader: Reader, key: str, **values: object) -> str:
    return papers_words.say(reader.lang, key, **values)


def _when(reader: Reader, line: Line) -> str:
    return reader.moment(line.occurred_at.isoformat())


def _at(reader: Reader, moment: Any) -> str:  # noqa: ANN401 - a moment or none
    return reader.moment(moment.isoformat()) if moment else ""


def _fact(thing: Place | ItemRow) -> Fact:
    return {"code": thing.code, "name_zh": thing.name_zh, "name_en": thing.name_en}


def _place(session: Session, code: str) -> Place | None:
    found = None if "\0" in code else catalogue.place(session, code)
    return found if found is not None and found.inside else None


def _item(session: Session, code: str) -> ItemRow | None:
    return None if "\0" in code else catalogue.item(session, code)


def _around(session: Session, reader: Reader, scopes: list[Fact], place: Place | None) -> Fact:
    """The page's frame: the nearest scope around a place, and the tree to choose another from."""
    if not scopes:
        return {"place": None, "places": []}
    known = {scope["code"] for scope in scopes}
    here = scopes[0]["code"]
    if place is not None:
        above = documents.places_by_id(session, [int(part) for part in place.path.strip("/").split("/")])
        depths = sorted((p for p in above.values() if p.code in known), key=lambda p: len(p.path))
        here = depths[-1].code if depths else here
    return surroundings(reader, scopes, cast("Fact", chosen(scopes, here)))


def _missing(reader: Reader, around: Fact, title: str) -> Response:
    return render(
        reader,
        "error.html",
        404,
        **around,
        title=title,
        cure=_say(reader, "missing.do"),
        back=reader.link("/", scope=around["place"]["code"]) if around["place"] else "",
        listed=False,
    )
