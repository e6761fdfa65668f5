"""Paper: documents, stock cards and recall traces as PDF, labels as PDF and SVG; the same data, the same bytes.

Pure functions over plain data: the moment of printing comes in, and typst sees values only as JSON, where they are
inert. A `Sheet` holds all words of a paper, resolved, so that a page can show the very same thing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from api import codes, words

if TYPE_CHECKING:
    pass
from api.typesetting import (
    Cell,
    Column,
    Language,
    Named,
    Printing,
    Row,
    Sheet,
    Table,
    breakable,
    code_cell,
    count_cell,
    day_text,
    fitting_mm,
    foot_lines,
    moment_text,
    name_in,
    other_name_in,
    say,
    sheet_pdf,
    signed_text,
    with_code,
)

Kind = Literal[
    "receipt", "issue", "transfer", "count_sheet", "count", "disposal", "adjustment", "reversal", "inspection"
]


class PrintedLine(NamedTuple):
    item: Named
    lot_number: str
    expires_on: date | None
    base_unit: str
    quantity: int | None = None
    """Signed in an adjustment; None where it is still to be written by hand."""
    remark: str = ""
    reversed: bool = False
    book: int | None = None
    """Of a count: what the ledger said; never shown on the sheet to be counted with."""
    counted: int | None = None
    result: Literal["", "passed", "downgraded", "rejected"] = ""
    """Of an inspection."""


class PrintedDocument(NamedTuple):
    kind: Kind
    number: str
    place: Named
    occurred_at: datetime | None
    actor: str
    lines: Sequence[PrintedLine]
    reference: str = ""
    source: Named | None = None
    target: Named | None = None
    purpose: str = ""
    recipient: str = ""
    supplier: str = ""
    """Who sold or gave it."""
    reason: str = ""
    reverses: str = ""
    """The number of the document that a reversal undoes."""
    approved_by: str = ""
    approved_at: datetime | None = None
    draft: bool = False


class CardRow(NamedTuple):
    occurred_at: datetime
    number: str
    counterpart: Named | str
    lot_number: str
    received: int
    issued: int
    person: str


class StockCard(NamedTuple):
    item: Named
    place: Named
    base_unit: str
    since: date
    until: date
    opening: int
    rows: Sequence[CardRow]
    closing: int


class Trace(NamedTuple):
    """One place where units of a lot lie, came from, went to or are on the way."""

    quantity: int
    place: Named | None = None
    occurred_at: datetime | None = None
    number: str = ""
    party: str = ""
    """The supplier, the recipient, or the place it travels to."""
    note: str = ""
    """The purpose, the state or the reason."""


class RecallTrace(NamedTuple):
    item: Named
    lot_number: str
    base_unit: str
    expires_on: date | None = None
    manufactured_on: date | None = None
    hold: str = ""
    """Why it is held; empty when it is not."""
    held_since: datetime | None = None
    held_by: str = ""
    lies: Sequence[Trace] = ()
    came: Sequence[Trace] = ()
    went: Sequence[Trace] = ()
    in_transit: Sequence[Trace] = ()
    disposed: Sequence[Trace] = ()
    gtin: str | None = None


def document_pdf(document: PrintedDocument, language: Language, printing: Printing) -> bytes:
    return sheet_pdf(document_sheet(document, language, printing), printing)


def stock_card_pdf(card: StockCard, language: Language, printing: Printing) -> bytes:
    return sheet_pdf(stock_card_sheet(card, language, printing), printing)


def recall_pdf(trace: RecallTrace, language: Language, printing: Printing) -> bytes:
    return sheet_pdf(recall_sheet(trace, language, printing), printing)


def document_sheet(document: PrintedDocument, language: Language, printing: Printing) -> Sheet:
    """Resolve a document: heading, lines as its kind wants them, totals of each item, and who signs."""
    return Sheet(
        language=language,
        owner=printing.owner,
        title=say(language, f"title.{document.kind}"),
        number=document.number,
        mark=_mark(document, language),
        code=codes.reference_code(document.number),
        facts=_document_facts(document, language, printing.zone),
        tables=[_lines(document, language), *_totals(document, language)],
        signatures=[say(language, f"sign.{who}") for who in _SIGNATURES[document.kind]],
        foot=foot_lines(language, printing, document.number),
    )


def stock_card_sheet(card: StockCard, language: Language, printing: Printing) -> Sheet:
    """Resolve a stock card with its running balance.

    Raises
    ------
    ValueError
        opening + in - out is not the closing balance: such a card must not be shown.
    """
    facts = [
        ("item", with_code(card.item, language)),
        ("place", with_code(card.place, language)),
        ("unit", words.unit(language, card.base_unit)),
        ("period", f"{card.since} – {card.until}"),
        ("opening", f"{card.opening:,}"),
        ("closing", f"{card.closing:,}"),
    ]
    return Sheet(
        language=language,
        owner=printing.owner,
        title=say(language, "title.stock_card"),
        number="",
        mark="",
        code=None,
        facts=[(say(language, label), breakable(value)) for label, value in facts],
        tables=[_card_table(card, language, printing.zone)],
        signatures=[say(language, f"sign.{who}") for who in ("prepared", "checked")],
        foot=foot_lines(language, printing, f"{card.item.code} {card.place.code}"),
        landscape=True,
    )


def recall_sheet(trace: RecallTrace, language: Language, printing: Printing) -> Sheet:
    """Resolve a trace: where the lot lies, whence it came, whom it went to, and whether that adds up."""
    parts = {
        "lies": (trace.lies, ("place", "note.state", "quantity")),
        "in_transit": (trace.in_transit, ("when", "document", "source", "party.target", "quantity")),
        "came": (trace.came, ("when", "document", "place", "party.supplier", "quantity")),
        "went": (
            sorted(trace.went, key=lambda part: part.party),
            ("party.recipient", "when", "document", "place", "note.purpose", "quantity"),
        ),
        "disposed": (trace.disposed, ("when", "document", "place", "note.reason", "quantity")),
    }
    return Sheet(
        language=language,
        owner=printing.owner,
        title=say(language, "title.recall"),
        number=trace.lot_number,
        mark=say(language, "held") if trace.hold else "",
        code=codes.lot_code(trace.item.code, trace.lot_number, trace.expires_on, gtin=trace.gtin),
        facts=_recall_facts(trace, language, printing.zone),
        tables=[
            _balance_of(trace, language),
            *(_traced(key, part, columns, language, printing.zone) for key, (part, columns) in parts.items()),
        ],
        signatures=[say(language, f"sign.{who}") for who in ("prepared", "checked", "approved")],
        foot=foot_lines(language, printing, f"{trace.item.code} {trace.lot_number}"),
    )


# -- documents --------------------------------------------------------------------------------------------------------


def _mark(document: PrintedDocument, language: Language) -> str:
    undone = [line.reversed for line in document.lines]
    if document.draft:
        return say(language, "draft")
    if any(undone):
        return say(language, "reversed" if all(undone) else "partly_reversed")
    return ""


def _document_facts(document: PrintedDocument, language: Language, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Every field that is filled in; a document says nothing of those that are not."""
    purpose = _PURPOSES.get(document.purpose)
    approved = [document.approved_by, moment_text(document.approved_at, zone)]
    facts = [
        ("number", document.number),
        ("occurred", moment_text(document.occurred_at, zone)),
        ("place", with_code(document.place, language)),
        ("actor", document.actor),
        ("source", with_code(document.source, language)),
        ("target", with_code(document.target, language)),
        ("supplier", document.supplier),
        ("recipient", document.recipient),
        ("purpose", say(language, purpose) if purpose else document.purpose),
        ("reference", document.reference),
        ("reverses", document.reverses),
        ("reason", document.reason),
        ("approved", " ".join(part for part in approved if part)),
    ]
    return [(say(language, label), breakable(value)) for label, value in facts if value]


def _lines(document: PrintedDocument, language: Language) -> Table:
    extra = _EXTRA.get(document.kind, _PLAIN)
    rows = [
        Row(
            [
                Cell(f"{number}", tight=True),
                Cell(breakable(name_in(line.item, language)), breakable(other_name_in(line.item, language))),
                code_cell(line.item.code),
                Cell(line.lot_number, tight=True),
                Cell(day_text(line.expires_on, language), tight=True),
                Cell(words.unit(language, line.base_unit)),
                *(value(line, language) for _, _, value in extra),
            ],
            struck=line.reversed,
        )
        for number, line in enumerate(document.lines, start=1)
    ]
    columns = [
        Column(say(language, "no"), max(10, 4 + 1.8 * len(str(len(rows)))), number=True),
        Column(say(language, "item")),
        Column(say(language, "code"), fitting_mm((line.item.code for line in document.lines), 14, 26)),
        Column(say(language, "lot"), fitting_mm((line.lot_number for line in document.lines), 18, 32)),
        Column(say(language, "expiry"), 21),
        Column(say(language, "unit"), 12),
        *(Column(say(language, title), mm, title in _NUMBERS) for title, mm, _ in extra),
    ]
    return Table("", columns, rows, say(language, "no_lines"))


def _totals(document: PrintedDocument, language: Language) -> list[Table]:
    """Sum the lines of each item; a sheet to be counted with has no sums to copy."""
    if document.kind == "count_sheet" or not document.lines:
        return []
    lines_of: defaultdict[tuple[Named, str], list[PrintedLine]] = defaultdict(list)
    for line in document.lines:
        lines_of[line.item, line.base_unit].append(line)
    sums = _COUNT_SUMS if document.kind == "count" else _SUMS
    if any(line.reversed for line in document.lines):
        sums = [*sums, ("of_which_reversed", lambda line: (line.quantity or 0) if line.reversed else 0)]
    rows = [
        Row([
            Cell(breakable(name_in(item, language))),
            code_cell(item.code),
            Cell(words.unit(language, unit)),
            count_cell(len(lines)),
            *(count_cell(sum(units(line) for line in lines)) for _, units in sums),
        ])
        for (item, unit), lines in lines_of.items()
    ]  # fmt: skip
    columns = [
        Column(say(language, "item")),
        Column(say(language, "code"), fitting_mm((item.code for item, _ in lines_of), 14, 26)),
        Column(say(language, "unit"), 12),
        Column(say(language, "lines"), 14, number=True),
        *(Column(say(language, title), 26, number=True) for title, _ in sums),
    ]
    return [Table(say(language, "totals"), columns, rows)]


def _quantity_cell(line: PrintedLine, _language: Language) -> Cell:
    return count_cell(line.quantity)


def _signed_cell(line: PrintedLine, _language: Language) -> Cell:
    return Cell("" if line.quantity is None else signed_text(line.quantity), tight=True)


def _remark_cell(line: PrintedLine, language: Language) -> Cell:
    return Cell(breakable(line.remark, 10), say(language, "reversed") if line.reversed else "")


def _variance(line: PrintedLine) -> int:
    return (line.counted or 0) - (line.book or 0)


def _variance_cell(line: PrintedLine, _language: Language) -> Cell:
    known = line.counted is not None and line.book is not None
    return Cell(signed_text(_variance(line)) if known else "", tight=True)


def _result_cell(line: PrintedLine, language: Language) -> Cell:
    return Cell(say(language, f"result.{line.result}") if line.result else "")


def _blank_cell(_line: PrintedLine, _language: Language) -> Cell:
    return Cell("")


_Value = Callable[[PrintedLine, Language], Cell]
_PLAIN: Final[Sequence[tuple[str, float, _Value]]] = [
    ("quantity", 21, _quantity_cell),
    ("remark", 25, _remark_cell),
]
# the columns that follow the unit, by kind
_EXTRA: Final[Mapping[str, Sequence[tuple[str, float, _Value]]]] = {
    "count_sheet": [("counted", 22, _blank_cell), ("recounted", 22, _blank_cell), ("remark", 18, _blank_cell)],
    "count": [
        ("book", 17, lambda line, _: count_cell(line.book)),
        ("counted", 17, lambda line, _: count_cell(line.counted)),
        ("variance", 15, _variance_cell),
        ("reason", 20, _remark_cell),
    ],
    "adjustment": [("adjusted", 19, _signed_cell), ("reason", 27, _remark_cell)],
    "inspection": [("quantity", 19, _quantity_cell), ("result", 15, _result_cell), ("remark", 20, _remark_cell)],
}
_NUMBERS: Final = {"quantity", "book", "counted", "recounted", "variance", "adjusted"}
_SUMS: Final[Sequence[tuple[str, Callable[[PrintedLine], int]]]] = [("total", lambda line: line.quantity or 0)]
_COUNT_SUMS: Final[Sequence[tuple[str, Callable[[PrintedLine], int]]]] = [
    ("book", lambda line: line.book or 0),
    ("counted", lambda line: line.counted or 0),
    ("variance", _variance),
]
_PURPOSES: Final = {"use": "purpose.use", "allocation": "purpose.allocation", "donation": "purpose.donation"}
_SIGNATURES: Final[Mapping[Kind, Sequence[str]]] = {
    "receipt": ("prepared", "delivered", "received_in", "checked"),
    "issue": ("prepared", "handed_out", "received", "checked"),
    "transfer": ("prepared", "sent", "carried", "received_in", "checked"),
    "count_sheet": ("counted", "recounted", "witnessed"),
    "count": ("counted", "witnessed", "checked", "approved"),
    "disposal": ("prepared", "carried_out", "witnessed", "approved"),
    "adjustment": ("prepared", "checked", "approved"),
    "reversal": ("prepared", "checked", "approved"),
    "inspection": ("inspected", "checked", "approved"),
}


# -- stock card -------------------------------------------------------------------------------------------------------


def _card_table(card: StockCard, language: Language, zone: ZoneInfo) -> Table:
    received, issued = sum(row.received for row in card.rows), sum(row.issued for row in card.rows)
    return Table(
        "",
        [Column(say(language, title), mm, title in _CARD_NUMBERS) for title, mm in _CARD_MM.items()],
        [
            _card_edge(say(language, "opening"), None, None, card.opening),
            *_card_rows(card, language, zone),
            _card_edge(say(language, "closing"), received, issued, card.closing),
        ],
    )


def _card_rows(card: StockCard, language: Language, zone: ZoneInfo) -> list[Row]:
    rows, balance = [], card.opening
    for row in card.rows:
        balance += row.received - row.issued
        other = row.counterpart if isinstance(row.counterpart, str) else with_code(row.counterpart, language)
        whole = (moment_text(row.occurred_at, zone), row.number)
        told = [*(Cell(text, tight=True) for text in whole), Cell(breakable(other)), Cell(row.lot_number, tight=True)]
        units = (row.received or None, row.issued or None, balance)
        rows.append(Row([*told, *map(count_cell, units), Cell(breakable(row.person, 12))]))
    if balance != card.closing:
        raise ValueError(f"{card.opening} + in - out is {balance}, not {card.closing}.")
    return rows


def _card_edge(title: str, received: int | None, issued: int | None, balance: int) -> Row:
    figures = [count_cell(units) for units in (received, issued, balance)]
    return Row([Cell(""), Cell(""), Cell(title), Cell(""), *figures, Cell("")], strong=True)


_CARD_MM: Final = {
    "when": 28, "document": 38, "from_to": 0, "lot": 32, "in": 22, "out": 22, "balance": 24, "person": 26,
}  # fmt: skip
_CARD_NUMBERS: Final = {"in", "out", "balance"}


# -- recall -----------------------------------------------------------------------------------------------------------


def _recall_facts(trace: RecallTrace, language: Language, zone: ZoneInfo) -> list[tuple[str, str]]:
    held = [trace.hold, moment_text(trace.held_since, zone), trace.held_by]
    facts = [
        ("item", with_code(trace.item, language)),
        ("lot", trace.lot_number),
        ("made", str(trace.manufactured_on or "")),
        ("expiry", day_text(trace.expires_on, language)),
        ("unit", words.unit(language, trace.base_unit)),
        ("hold", " · ".join(part for part in held if part) if trace.hold else say(language, "not_held")),
    ]
    return [(say(language, label), breakable(value)) for label, value in facts if value]


def _balance_of(trace: RecallTrace, language: Language) -> Table:
    """Set what came against where it is now; what does not add up is shown, never hidden."""
    came, known = _sum(trace.came), [_sum(part) for part in (trace.lies, trace.in_transit, trace.went, trace.disposed)]
    figures = [came, *known, came - sum(known)]
    titles = ("came.sum", "lies.sum", "in_transit.sum", "went.sum", "disposed.sum", "unexplained")
    columns = [Column(say(language, title), number=True) for title in titles]
    return Table(say(language, "balance_of"), columns, [Row([count_cell(figure) for figure in figures], strong=True)])


def _traced(key: str, part: Sequence[Trace], wanted: Sequence[str], language: Language, zone: ZoneInfo) -> Table:
    columns = [
        Column(say(language, title.split(".")[-1]), _TRACE_MM.get(title, 0), title == "quantity") for title in wanted
    ]
    rows = []
    for party, group in groupby(part, key=lambda trace: trace.party if key == "went" else ""):
        traces = list(group)
        rows += [Row([_trace_cell(trace, title, language, zone) for title in wanted]) for trace in traces]
        if party and len(traces) > 1:
            rows.append(_sum_row(f"{say(language, 'subtotal')} {party}", traces, len(wanted)))
    if rows:
        rows.append(_sum_row(say(language, "total"), part, len(wanted)))
    return Table(say(language, f"part.{key}"), columns, rows, say(language, "nothing"))


def _sum_row(title: str, traces: Sequence[Trace], width: int) -> Row:
    return Row([Cell(breakable(title)), *[Cell("")] * (width - 2), count_cell(_sum(traces))], strong=True)


def _trace_cell(trace: Trace, title: str, language: Language, zone: ZoneInfo) -> Cell:
    if title == "quantity":
        return count_cell(trace.quantity)
    if title == "when":
        return Cell(moment_text(trace.occurred_at, zone), tight=True)
    if title == "document":
        return Cell(trace.number, tight=True)
    if title in {"place", "source"}:
        return Cell(breakable(name_in(trace.place, language)), trace.place.code if trace.place else "")
    if title == "note.purpose" and trace.note in _PURPOSES:
        return Cell(say(language, _PURPOSES[trace.note]))
    return Cell(breakable(trace.party if title.startswith("party") else trace.note))


def _sum(part: Iterable[Trace]) -> int:
    return sum(trace.quantity for trace in part)


_TRACE_MM: Final = {"when": 27, "document": 36, "quantity": 22, "note.purpose": 20}
