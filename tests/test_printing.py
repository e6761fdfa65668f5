"""Paper: what is printed is what was given, in both languages, and every code reads back as what it stands for."""

import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import biip
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from pypdf import PdfReader

from api import codes, label_sheets, printing, typesetting
from api.codes import Code
from api.label_sheets import Label, LotLabel, PlaceLabel
from api.printing import CardRow, Kind, PrintedDocument, PrintedLine, RecallTrace, StockCard, Trace
from api.typesetting import Language, Named, Printing
from reserve.errors import Invalid

GTIN = "06901234567892"
SVG = "{http://www.w3.org/2000/svg}"
PRINTED = Printing(
    at=datetime(2026, 4, 1, 1, 30, tzinfo=UTC),
    zone=ZoneInfo("Asia/Shanghai"),
    owner="德州市医用物资战略储备",
    seal="17",
    digest="9f86d081884c7d65",
)
N95 = Named("N95", "医用防护口罩", "Medical respirator")
GOWN = Named("GOWN-L", "一次性防护服", "Coverall")
STORE = Named("371400-W1", "德州中心库", "Dezhou store")
HOSPITAL = Named("371425-H1", "齐河县医院", "Qihe hospital")
HOSTILE = '#import "x": * $x^2$ *bold* _em_ @ref <lab> </text><script>alert(1)</script> \\n [c] {d} // e /* `f` &amp;'
LINES = [
    PrintedLine(N95, "AB-1/2", date(2028, 6, 30), "piece", 118_000, "外箱破损", book=118_500, counted=118_000),
    PrintedLine(N95, "K2299", date(2026, 4, 12), "piece", 3_000, book=3_000, counted=3_001),
    PrintedLine(GOWN, "ABCDEFGHIJKLMNOPQRST", None, "件", 777, book=777, counted=777, result="rejected"),
]
RECEIPT = PrintedDocument(
    "receipt",
    "RC-20260401-000123",
    STORE,
    datetime(2026, 3, 31, 23, 5, tzinfo=UTC),
    "张伟",
    LINES,
    reference="发票 0331",
    supplier="山东某公司",
)
CARD = StockCard(
    N95,
    STORE,
    "piece",
    date(2026, 3, 1),
    date(2026, 3, 31),
    100_000,
    [
        CardRow(
            datetime(2026, 3, 2, 3, 4, tzinfo=UTC), "RC-20260302-000001", "山东某公司", "AB-1/2", 20_000, 0, "张伟"
        ),
        CardRow(datetime(2026, 3, 9, 16, 4, tzinfo=UTC), "IS-20260310-000044", HOSPITAL, "K2299", 0, 2_000, "李娜"),
    ],
    118_000,
)
TRACE = RecallTrace(
    N95,
    "K2299",
    "piece",
    date(2026, 4, 12),
    date(2024, 4, 13),
    hold="厂家召回 2026-15",
    held_since=datetime(2026, 4, 1, 0, 0, tzinfo=UTC),
    held_by="王芳",
    lies=[Trace(3_000, STORE), Trace(400, HOSPITAL)],
    came=[Trace(10_000, STORE, datetime(2025, 1, 2, 3, 4, tzinfo=UTC), "RC-20250102-000007", "山东某公司")],
    went=[
        Trace(2_000, STORE, datetime(2025, 5, 2, 3, 4, tzinfo=UTC), "IS-20250502-000007", "齐河疾控", "use"),
        Trace(1_000, STORE, datetime(2025, 5, 3, 3, 4, tzinfo=UTC), "IS-20250503-000001", "禹城医院", "donation"),
        Trace(2_500, STORE, datetime(2025, 5, 4, 3, 4, tzinfo=UTC), "IS-20250504-000002", "齐河疾控", "use"),
    ],
    in_transit=[Trace(500, STORE, datetime(2026, 3, 30, 3, 4, tzinfo=UTC), "TR-20260330-000002", "齐河县医院")],
    disposed=[Trace(550, STORE, datetime(2025, 9, 1, 3, 4, tzinfo=UTC), "AD-20250901-000001", note="受潮")],
)
LANGUAGES = get_args(Language)
KINDS = get_args(Kind)
LOT_CHARACTERS = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


def pages_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]


def text_of(pdf: bytes) -> str:
    """All words of a PDF without white: where a line was broken is not what is asked."""
    return tight("".join(pages_of(pdf)))


def tight(text: str) -> str:
    return re.sub(r"[\s\u200b]", "", text)


def words_of(svg: str) -> str:
    return "".join(word.text or "" for word in ET.fromstring(svg).iter(f"{SVG}text"))  # noqa: S314 - our own


def picture(width: int, path: str, *, dots: int = 6) -> Image.Image:
    """Draw the path of a code as a printer would, run by run."""
    image = Image.new("L", (width * dots, width * dots), 255)
    draw = ImageDraw.Draw(image)
    for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path):
        left, top = int(x) * dots, int(y) * dots
        draw.rectangle((left, top, left + int(length) * dots - 1, top + dots - 1), fill=0)
    return image


def scanned(code: Code) -> Any:
    (found,) = zxingcpp.read_barcodes(picture(*codes.symbol(code)))
    return found


# -- codes ------------------------------------------------------------------------------------------------------------


@given(
    st.integers(min_value=0, max_value=10**13 - 1),
    st.text(LOT_CHARACTERS, min_size=1, max_size=20),
    st.none() | st.dates(date(2000, 1, 1), date(2075, 12, 31)),
    st.none() | st.text(LOT_CHARACTERS, min_size=1, max_size=20),
)
def test_a_label_read_back_is_the_same_lot(digits: int, lot: str, expires_on: date | None, serial: str | None) -> None:
    body = f"{digits:013d}"
    gtin = body + str(-sum(int(d) * (3 if n % 2 == 0 else 1) for n, d in enumerate(body)) % 10)
    code = codes.lot_code("N95", lot, expires_on, gtin=gtin, serial=serial)
    found = scanned(code)
    assert found.content_type == zxingcpp.ContentType.GS1
    assert found.bytes.decode() == code.text == codes.lot_element_string(gtin, lot, expires_on, serial)
    message = biip.parse(code.text).gs1_message
    assert message is not None
    told = {element.ai.ai: element for element in message.element_strings}
    assert told["01"].value == gtin
    assert told["10"].value == lot
    assert (told["21"].value if serial else None) == serial
    if expires_on is None:
        assert "17" not in told
    else:
        assert told["17"].value == f"{expires_on:%y%m%d}"
        if 1980 <= expires_on.year <= 2070:
            assert told["17"].date == expires_on


def test_fixed_lengths_come_first_and_a_separator_only_before_the_serial_number() -> None:
    written = codes.lot_element_string("6901234567892", "A1", date(2028, 6, 30), "S1")
    assert written == "01069012345678921728063010A1\x1d21S1"
    assert codes.readable(codes.lot_code("N95", "A1", date(2028, 6, 30), gtin=GTIN)) == f"(01){GTIN}(17)280630(10)A1"


def test_an_undated_lot_and_one_that_ends_too_far_ahead_for_two_digits_have_no_day_in_their_code() -> None:
    assert codes.lot_element_string(GTIN, "A1") == f"01{GTIN}10A1"
    assert codes.lot_element_string(GTIN, "A1", date(2099, 12, 31)) == f"01{GTIN}10A1"


def test_a_wrong_check_digit_is_never_printed() -> None:
    with pytest.raises(Invalid, match="check digit"):
        codes.lot_code("N95", "A1", gtin="06901234567891")


@pytest.mark.parametrize("lot", ["", "x" * 21, "批号", "a b", "a\x1d21b", "[10]"])
def test_a_lot_number_that_gs1_cannot_write_gets_our_own_code(lot: str) -> None:
    with pytest.raises(ValueError, match="GS1"):
        codes.lot_element_string(GTIN, lot)
    assert codes.lot_code("N95", lot, gtin=GTIN).kind == "datamatrix"


@given(st.text(LOT_CHARACTERS, min_size=1, max_size=20))
def test_a_lot_of_an_item_without_a_gtin_still_has_a_code(lot: str) -> None:
    found = scanned(codes.lot_code("GOWN-L", lot, date(2028, 1, 1)))
    assert found.bytes.decode() == f"L:GOWN-L/{lot}"


@pytest.mark.parametrize("code", ["371400-W1", "RC-20260401-000123", "x" * 40])
def test_a_place_and_a_document_are_found_by_their_qr(code: str) -> None:
    found = scanned(codes.reference_code(code))
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    assert found.text == f"R:{code}"


def test_the_picture_of_a_code_is_a_whole_svg_and_runs_nothing() -> None:
    drawn = ET.fromstring(codes.svg(codes.reference_code("371400-W1"), HOSTILE + "\x00"))  # noqa: S314 - our own
    assert [part.tag for part in drawn] == [f"{SVG}title", f"{SVG}path", f"{SVG}path"]
    assert drawn[0].text == HOSTILE + "\ufffd"


# -- labels -----------------------------------------------------------------------------------------------------------

LABELS: list[Label] = [
    LotLabel(N95, "AB-1/2", date(2028, 6, 30), "piece", 20, GTIN, place=STORE),
    LotLabel(GOWN, "ABCDEFGHIJKLMNOPQRST", None, "件"),
    PlaceLabel(STORE, Named("371400", "德州市", "Dezhou")),
]
ON_LABELS = [
    *("AB-1/2", "2028-06-30", "N95", "医用防护口罩", "Medicalrespirator", GTIN, "有效期至", "Useby", "20"),
    *("ABCDEFGHIJKLMNOPQRST", "无效期", "GOWN-L", "一次性防护服", "Coverall"),
    *("371400-W1", "德州中心库", "Dezhoustore", "371400"),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_say_in_both_languages_what_lies_in_the_box(language: Language) -> None:
    pdf = label_sheets.labels_pdf(LABELS, language, "50x30", PRINTED)
    pages = PdfReader(io.BytesIO(pdf)).pages
    assert [
        (round(float(p.mediabox.width) / 72 * 25.4), round(float(p.mediabox.height) / 72 * 25.4)) for p in pages
    ] == [(50, 30)] * 3
    told = text_of(pdf)
    assert [words for words in ON_LABELS if words not in told] == []
    drawn = tight("".join(words_of(page) for page in label_sheets.labels_svg(LABELS, language, "50x30")))
    assert [words for words in ON_LABELS if words not in drawn] == []


def test_thirty_six_labels_fill_an_a4_sheet_and_the_next_one_begins_another() -> None:
    for count, pages in ((36, 1), (37, 2), (73, 3)):
        labels = [PlaceLabel(Named(f"SHELF-{n}")) for n in range(count)]
        told = pages_of(label_sheets.labels_pdf(labels, "zh", "a4", PRINTED))
        assert len(told) == pages
        assert len(label_sheets.labels_svg(labels, "zh", "a4")) == pages
        assert f"SHELF-{count - 1}" in told[-1]


def test_every_code_of_a_sheet_can_be_read_from_its_svg() -> None:
    (page,) = label_sheets.labels_svg(LABELS, "zh", "a4")
    root = ET.fromstring(page)  # noqa: S314 - our own
    paths = [path for path in root.iter(f"{SVG}path") if "scale" in path.get("transform", "")]
    read = [zxingcpp.read_barcodes(picture(60, path.get("d", "")))[0].bytes.decode() for path in paths]
    assert read == [f"01{GTIN}1728063010AB-1/2", "L:GOWN-L/ABCDEFGHIJKLMNOPQRST", "R:371400-W1"]


def test_every_word_of_a_label_stays_on_it_however_long_its_names_are() -> None:
    long = Named("X" * 40, "医用防护口罩，无呼气阀（折叠）" * 10, "Medical respirator without a valve " * 10)
    labels: list[Label] = [
        LotLabel(long, "W" * 20, date(2028, 6, 30), "piece", 1_200_000, GTIN, "S" * 20, long),
        PlaceLabel(long, long),
    ]
    for language in LANGUAGES:
        for page in label_sheets.labels_svg(labels, language, "50x30"):
            for word in ET.fromstring(page).iter(f"{SVG}text"):  # noqa: S314 - our own
                x, y, size = (float(word.get(name, "")) for name in ("x", "y", "font-size"))
                room = float(word.get("textLength", typesetting.text_width(word.text or "") * size))
                assert x + room <= 49, word.text
                assert size <= y <= 29, word.text
        assert len(pages_of(label_sheets.labels_pdf(labels, language, "50x30", PRINTED))) == 2


def test_a_lot_number_and_a_day_never_touch_the_name_above_them() -> None:
    for language in LANGUAGES:
        for face in (label_sheets._lot_face(label, language) for label in LABELS if isinstance(label, LotLabel)):  # noqa: SLF001
            last = max(word.y for word in face.words if word.y < 19)
            lot = next(word for word in face.words if word.text in {"AB-1/2", "ABCDEFGHIJKLMNOPQRST"})
            assert last <= lot.y - 0.75 * lot.size


def test_a_svg_sheet_fetches_nothing_and_hostile_names_are_only_words() -> None:
    hostile = Named("N95", HOSTILE[:40] + "\x00", "</text><script>")
    (page,) = label_sheets.labels_svg([LotLabel(hostile, "A1", None, HOSTILE)], "zh", "a4")
    root = ET.fromstring(page)  # noqa: S314 - our own
    assert {part.tag.removeprefix(SVG) for part in root.iter()} <= {"svg", "g", "path", "text", "title"}
    assert not [name for part in root.iter() for name in part.attrib if "href" in name or name.startswith("on")]
    assert page.count("http") == 1  # the name of the format itself
    assert "</text><script>" in words_of(page)


def test_no_labels_are_no_sheet() -> None:
    with pytest.raises(ValueError, match="no labels"):
        label_sheets.labels_pdf([], "zh", "a4", PRINTED)


# -- documents --------------------------------------------------------------------------------------------------------

TITLES = {
    "receipt": ("入库单", "Receiptnote"),
    "issue": ("出库单", "Issuenote"),
    "transfer": ("调拨单", "Transfernote"),
    "count_sheet": ("盘点表（盲盘）", "Countsheet(blind)"),
    "count": ("盘点表（核准）", "Countsheet(approved)"),
    "disposal": ("报废单", "Disposalnote"),
    "adjustment": ("调整单", "Adjustmentnote"),
    "reversal": ("冲销单", "Reversalnote"),
    "inspection": ("验收单", "Inspectionnote"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_document_prints_each_name_lot_and_number(kind: Kind, language: Language) -> None:
    pdf = printing.document_pdf(RECEIPT._replace(kind=kind), language, PRINTED)
    told = text_of(pdf)
    assert TITLES[kind][LANGUAGES.index(language)] in told
    wanted = [line.lot_number for line in LINES] + [line.item.code for line in LINES]
    wanted += [tight(name) for line in LINES for name in (line.item.zh, line.item.en)]
    wanted += ["RC-20260401-000123", "371400-W1", "2028-06-30", "2026-04-0107:05", "张伟", "2026-04-0109:30"]
    wanted += ["9f86d081884c7d65", "德州市医用物资战略储备"]
    if kind in {"receipt", "issue", "transfer", "disposal", "reversal", "inspection"}:
        wanted += ["118,000", "3,000", "777", "121,000"]
    assert [words for words in wanted if words not in told] == []


def test_each_language_prints_its_own_words_only() -> None:
    for kind in KINDS:
        sheet = printing.document_sheet(RECEIPT._replace(kind=kind), "en", PRINTED)
        labels = [label for label, _ in sheet.facts] + [c.title for t in sheet.tables for c in t.columns]
        labels += [sheet.title, *sheet.signatures, *(table.title for table in sheet.tables)]
        assert [label for label in labels if re.search("[\u4e00-\u9fff]", label)] == []


def test_the_sheet_to_count_with_is_blind() -> None:
    lines = [line._replace(quantity=None) for line in LINES]
    told = text_of(printing.document_pdf(RECEIPT._replace(kind="count_sheet", lines=lines), "zh", PRINTED))
    assert "实盘数" in told
    assert "账面" not in told
    for number in ("118,500", "118,000", "3,001", "777"):
        assert number not in told


def test_an_approved_count_shows_book_counted_and_variance_with_its_sign() -> None:
    (lines, totals) = printing.document_sheet(RECEIPT._replace(kind="count"), "zh", PRINTED).tables
    figures = [[cell.text for cell in row.cells[6:9]] for row in lines.rows]
    assert figures == [["118,500", "118,000", "-500"], ["3,000", "3,001", "+1"], ["777", "777", "0"]]
    assert [cell.text for cell in totals.rows[0].cells[4:]] == ["121,500", "121,001", "-499"]


def test_an_adjustment_shows_which_way_it_went() -> None:
    lines = [LINES[0]._replace(quantity=-500), LINES[1]._replace(quantity=20)]
    told = text_of(printing.document_pdf(RECEIPT._replace(kind="adjustment", lines=lines), "en", PRINTED))
    assert "-500" in told
    assert "+20" in told


def test_the_qr_of_a_document_is_its_number() -> None:
    sheet = printing.document_sheet(RECEIPT, "zh", PRINTED)
    assert sheet.code is not None
    assert scanned(sheet.code).text == "R:RC-20260401-000123"


def test_a_reversed_line_is_struck_and_the_paper_says_so() -> None:
    some = RECEIPT._replace(lines=[LINES[0], LINES[1]._replace(reversed=True)])
    every = RECEIPT._replace(lines=[line._replace(reversed=True) for line in LINES])
    assert "部分冲销" in text_of(printing.document_pdf(some, "zh", PRINTED))
    assert "已冲销" in text_of(printing.document_pdf(every, "zh", PRINTED))
    assert "REVERSED" in text_of(printing.document_pdf(every, "en", PRINTED))
    assert "冲销" not in text_of(printing.document_pdf(RECEIPT, "zh", PRINTED))
    (lines, totals) = printing.document_sheet(some, "zh", PRINTED).tables
    assert [row.struck for row in lines.rows] == [False, True]
    assert [cell.text for cell in totals.rows[0].cells[4:]] == ["121,000", "3,000"]


def test_a_draft_says_that_it_is_one() -> None:
    assert "草稿" in text_of(printing.document_pdf(RECEIPT._replace(draft=True), "zh", PRINTED))
    assert "DRAFT" in text_of(printing.document_pdf(RECEIPT._replace(draft=True), "en", PRINTED))


def test_a_document_of_five_hundred_lines_repeats_its_header_and_numbers_its_pages() -> None:
    lines = [
        PrintedLine((N95, GOWN)[n % 2], f"LOT-{n:04d}", date(2027, 1, 1) + timedelta(n), "piece", n + 1)
        for n in range(500)
    ]
    pages = pages_of(printing.document_pdf(RECEIPT._replace(lines=lines), "zh", PRINTED))
    assert len(pages) > 10
    for number, page in enumerate(pages, start=1):
        assert tight(f"第 {number} 页 共 {len(pages)} 页") in tight(page)
        assert "RC-20260401-000123" in page
    listing = [page for page in pages if "LOT-" in page]
    assert all("批号" in page and "有效期至" in page for page in listing)
    assert re.findall(r"LOT-\d{4}", "".join(pages)) == [f"LOT-{n:04d}" for n in range(500)]
    assert f"{sum(range(1, 500, 2)):,}" in pages[-1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_words_are_printed_as_they_are_and_do_nothing(language: Language) -> None:
    hostile = Named("N95", HOSTILE, HOSTILE)
    lines = [PrintedLine(hostile, "A1", None, HOSTILE, 1, HOSTILE)]
    document = RECEIPT._replace(lines=lines, actor=HOSTILE, reference=HOSTILE, supplier=HOSTILE, place=hostile)
    told = text_of(printing.document_pdf(document, language, PRINTED))
    assert told.count(tight(HOSTILE)) >= 5
    card = CARD._replace(rows=[], closing=100_000, item=hostile)
    assert tight(HOSTILE) in text_of(printing.stock_card_pdf(card, language, PRINTED))
    assert tight(HOSTILE) in text_of(printing.recall_pdf(TRACE._replace(hold=HOSTILE), language, PRINTED))


def test_a_character_that_the_font_lacks_or_that_no_text_may_hold_does_not_stop_the_printer() -> None:
    lines = [LINES[0]._replace(remark="virus \U0001f9a0 \x00\x1b")]
    told = text_of(printing.document_pdf(RECEIPT._replace(lines=lines), "zh", PRINTED))
    assert "AB-1/2" in told
    assert "virus" in told


def test_a_document_without_lines_says_so() -> None:
    assert "没有明细" in text_of(printing.document_pdf(RECEIPT._replace(lines=[]), "zh", PRINTED))


# -- stock card and recall --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stock_card_runs_from_its_opening_to_its_closing_balance(language: Language) -> None:
    pdf = printing.stock_card_pdf(CARD, language, PRINTED)
    told = text_of(pdf)
    wanted = ["100,000", "20,000", "120,000", "2,000", "118,000", "2026-03-1000:04", "2026-03-01", "2026-03-31", "李娜"]
    wanted += ["RC-20260302-000001", "IS-20260310-000044", "AB-1/2", "K2299", "山东某公司", "371425-H1", "371400-W1"]
    wanted += [N95.zh if language == "zh" else tight(N95.en), "只" if language == "zh" else "piece"]
    assert [words for words in wanted if words not in told] == []
    page = PdfReader(io.BytesIO(pdf)).pages[0]
    assert page.mediabox.width > page.mediabox.height


def test_a_stock_card_that_does_not_add_up_is_not_printed() -> None:
    with pytest.raises(ValueError, match="118000, not 118001"):
        printing.stock_card_pdf(CARD._replace(closing=118_001), "zh", PRINTED)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_recall_names_every_place_document_and_recipient(language: Language) -> None:
    told = text_of(printing.recall_pdf(TRACE, language, PRINTED))
    parts = [*TRACE.lies, *TRACE.came, *TRACE.went, *TRACE.in_transit, *TRACE.disposed]
    wanted = [words for part in parts for words in (f"{part.quantity:,}", part.number, part.party)]
    wanted += ["K2299", "2026-04-12", "2024-04-13", "厂家召回2026-15", "王芳", "371400-W1", "371425-H1", "受潮"]
    assert [words for words in wanted if words not in told] == []


def test_a_recall_sums_by_recipient_and_shows_what_does_not_add_up() -> None:
    sheet = printing.recall_sheet(TRACE, "zh", PRINTED)
    assert [cell.text for cell in sheet.tables[0].rows[0].cells] == ["10,000", "3,400", "500", "5,500", "550", "50"]
    went = next(table for table in sheet.tables if table.title == "发给了谁")
    sums = [(row.cells[0].text, row.cells[-1].text) for row in went.rows if row.strong]
    assert sums == [("小计 齐河疾控", "4,500"), ("合计", "5,500")]


def test_a_lot_that_is_not_held_and_went_nowhere_still_has_its_trace() -> None:
    told = text_of(printing.recall_pdf(RecallTrace(N95, "A1", "piece"), "zh", PRINTED))
    assert "未冻结" in told
    assert "没有记录" in told


# -- bytes ------------------------------------------------------------------------------------------------------------


def test_the_same_paper_printed_at_the_same_moment_is_the_same_bytes_and_says_when() -> None:
    for made in (
        lambda printed: printing.document_pdf(RECEIPT, "zh", printed),
        lambda printed: printing.stock_card_pdf(CARD, "en", printed),
        lambda printed: printing.recall_pdf(TRACE, "zh", printed),
        lambda printed: label_sheets.labels_pdf(LABELS, "zh", "a4", printed),
    ):
        first = made(PRINTED)
        assert first == made(PRINTED)
        assert first != made(PRINTED._replace(at=PRINTED.at + timedelta(seconds=1)))
        about = PdfReader(io.BytesIO(first)).metadata
        assert about is not None
        assert about.creation_date == PRINTED.at


def test_two_people_may_print_at_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: printing.document_pdf(RECEIPT, "zh", PRINTED), range(8)))
    assert len(set(made)) == 1


def test_paper_is_for_the_archive_and_carries_its_own_font() -> None:
    pdf = printing.document_pdf(RECEIPT, "zh", PRINTED)
    reader = PdfReader(io.BytesIO(pdf))
    assert "pdfaid" in reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert reader.trailer["/Root"]["/Lang"] == "zh"
    fonts = {font["/BaseFont"] for page in reader.pages for font in page["/Resources"]["/Font"].get_object().values()}
    assert all("MicroHei" in font for font in map(str, fonts))
