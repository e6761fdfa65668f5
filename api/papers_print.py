"""From what the ledger answers to what is printed: documents, stock cards and traces as plain data for `printing`.

`printing` and typst are loaded when something is printed, and not before.
"""

from datetime import date, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from fastapi import Response

from api import papers_words as own
from reserve.cards import Card
from reserve.catalogue import Place
from reserve.countsheets import Sheet
from reserve.documents import Line, Paper
from reserve.model import CountState, DocumentKind, LocationKind
from reserve.trace import Step, Trace

if TYPE_CHECKING:
    from api import printing, typesetting

# what has no paper of its own is printed on that of its like
_KINDS: Final = {DocumentKind.ARRIVAL: "transfer", DocumentKind.SETTLEMENT: "adjustment"}
_SIGNED: Final = {DocumentKind.ADJUSTMENT, DocumentKind.SETTLEMENT, DocumentKind.COUNT}
_RESULTS: Final = ("passed", "downgraded", "rejected")


def printed(at: datetime, zone: ZoneInfo, paper: Paper | None = None) -> "typesetting.Printing":
    """What the foot of a paper says: when it was printed, and under which seal the document lies."""
    from api.typesetting import Printing

    sealed = paper.sealed if paper is not None else None
    if sealed is None:
        return Printing(at, zone)
    return Printing(at, zone, seal=str(sealed.number), digest=sealed.digest)


def pdf(content: bytes, name: str) -> Response:
    return Response(
        content,
        media_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}.pdf"'},
    )


def document(paper: Paper, language: str) -> "printing.PrintedDocument":
    """One document as its paper wants it."""
    from api.printing import PrintedDocument

    header = paper.header
    # the party of a receipt gave the goods, of a transfer carries them, of an inspection looked at them
    role = "carrier" if paper.target is not None else "inspector" if header.kind == DocumentKind.INSPECTION else ""
    helper = own.say(language, role, name=header.party) if role and header.party else ""
    undone = sorted({line.reverses_document for line in paper.lines if line.reverses_document})
    return PrintedDocument(
        kind=_KINDS.get(DocumentKind(header.kind), header.kind),  # type: ignore[arg-type]  # one of printing's kinds
        number=header.number,
        place=_named(header.place),
        occurred_at=header.occurred_at,
        actor=header.actor,
        lines=_counted(paper) if paper.counted else [_printed_line(paper, line) for line in paper.lines],
        reference=header.reference or "",
        source=None if paper.source is None else _named(paper.source),
        target=None if paper.target is None else _named(paper.target),
        purpose=header.purpose or "",
        recipient="" if paper.target is not None else header.recipient or "",
        supplier="" if role else header.party or "",
        reason=" · ".join(part for part in (header.reason, header.restriction, helper) if part),
        reverses=", ".join(undone),
        approved_by=paper.approved_by or "",
        approved_at=paper.approved_at,
    )


def card(found: Card, *, since: date, until: date) -> "printing.StockCard":
    from api.printing import CardRow, StockCard

    question = found.question
    rows = [
        CardRow(
            occurred_at=row.line.occurred_at,
            number=row.line.document,
            counterpart=_named(row.counterpart)
            if row.counterpart.inside
            else _party(row.line) or _named(row.counterpart),
            lot_number=row.line.lot_number,
            received=row.received,
            issued=row.issued,
            person=row.line.actor,
        )
        for row in found.rows
    ]
    return StockCard(
        item=_item(question.item.code, question.item.name_zh, question.item.name_en),
        place=_named(question.place),
        base_unit=question.item.base_unit,
        since=since,
        until=until,
        opening=found.opening,
        rows=rows,
        closing=found.closing,
    )


def recall(found: Trace, language: str) -> "printing.RecallTrace":
    """Return the trace for people who must act on it: what still stands, without what was undone."""
    from api.printing import RecallTrace, Trace

    standing = next((hold for hold in found.holds if hold.lifted_at is None), None)
    elsewhere = own.say(language, "elsewhere")
    came = [_traced(step, step.line.party or "") for step in found.receipts if step.net]
    went = [_traced(step, step.line.recipient or "", step.line.purpose or "") for step in found.issues if step.net]
    if found.sums.from_elsewhere:
        came.append(Trace(found.sums.from_elsewhere, party=elsewhere))
    if found.sums.to_elsewhere:
        went.append(Trace(found.sums.to_elsewhere, party=elsewhere))
    return RecallTrace(
        item=_item(found.item.code, found.item.name_zh, found.item.name_en),
        lot_number=found.lot_number,
        base_unit=found.item.base_unit,
        expires_on=found.expires_on,
        manufactured_on=found.manufactured_on,
        hold=own.known(language, "hold", found.hold) if found.hold else "",
        held_since=standing.placed_at if standing else None,
        held_by=standing.placed_by if standing else "",
        lies=[
            Trace(row.on_hand, _named(row.place), note=own.known(language, "hold", row.hold) if row.hold else "")
            for row in found.lies
        ],
        came=came,
        went=went,
        in_transit=[
            Trace(
                road.on_the_road,
                _named(road.source),
                road.occurred_at,
                road.document,
                party=_name(road.target, language) if road.target else "",
            )
            for road in found.in_transit
        ],
        disposed=[_traced(step, "", step.line.reason or "") for step in found.disposals if step.net],
    )


def _traced(step: Step, party: str, note: str = "") -> "printing.Trace":
    from api.printing import Trace

    return Trace(step.net, _named(step.place), step.line.occurred_at, step.line.document, party, note)


def _printed_line(paper: Paper, line: Line) -> "printing.PrintedLine":
    from api.printing import PrintedLine

    came = line.target.inside and line.target.kind != LocationKind.TRANSIT
    signed = paper.header.kind in _SIGNED and not came
    result, remark = "", line.reason or ""
    if paper.header.kind == DocumentKind.INSPECTION:
        said, _, remark = remark.partition(": ")
        result = said if said in _RESULTS else ""
    return PrintedLine(
        item=_item(line.item, line.item_name_zh, line.item_name_en),
        lot_number=line.lot_number,
        expires_on=line.expires_on,
        base_unit=line.base_unit,
        quantity=-line.quantity if signed else line.quantity,
        remark="" if remark == paper.header.reason else remark,
        reversed=line.reversed_by is not None,
        result=result,  # type: ignore[arg-type]  # one of printing's results
    )


def _counted(paper: Paper) -> "list[printing.PrintedLine]":
    from api.printing import PrintedLine

    return [
        PrintedLine(
            item=_item(line.item, line.item_name_zh, line.item_name_en),
            lot_number=line.lot_number,
            expires_on=line.expires_on,
            base_unit=line.base_unit,
            remark=line.remark or "",
            book=line.book,
            counted=line.counted,
        )
        for line in paper.counted
    ]


def count_sheet(sheet: Sheet, *, blind: bool) -> "printing.PrintedDocument":
    """A count as it stands: blind, with room to write what is counted, or with book and variance beside it."""
    from api.printing import PrintedDocument, PrintedLine

    head = sheet.head
    return PrintedDocument(
        kind="count_sheet" if blind else "count",
        number=head.number,
        place=_named(head.place),
        occurred_at=head.decided_at or head.opened_at,
        actor=head.opened_by,
        reference=head.reference or "",
        reason=head.reason or "",
        approved_by=(head.decided_by or "") if head.state == CountState.APPROVED else "",
        approved_at=head.decided_at if head.state == CountState.APPROVED else None,
        draft=head.state != CountState.APPROVED and not blind,
        lines=[
            PrintedLine(
                item=_item(line.item.code, line.item.name_zh, line.item.name_en),
                lot_number=line.lot.lot_number,
                expires_on=line.lot.expires_on,
                base_unit=line.item.base_unit,
                remark=(line.standing.remark or "") if line.standing else "",
                book=None if blind else line.book,
                counted=line.counted,
            )
            for line in sheet.lines
        ],
    )


def _party(line: Line) -> str:
    return line.recipient or line.party or ""


def _named(place: Place) -> "typesetting.Named":
    return _item(place.code, place.name_zh, place.name_en)


def _item(code: str, zh: str, en: str) -> "typesetting.Named":
    from api.typesetting import Named

    return Named(code, zh, en)


def _name(place: Place, language: str) -> str:
    return place.name_zh if language == "zh" else place.name_en
