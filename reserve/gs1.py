"""What a scan says: GS1 element strings and links, trade item numbers and NMPA device codes, read or refused with why.

biip knows the table of GS1 application identifiers and cuts one element off; which text is taken for what, every
date and every refusal is decided here. Nothing is guessed: a text with two readings is refused.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from enum import StrEnum
from string import hexdigits
from typing import NamedTuple

from reserve.errors import Fault, Invalid

LENGTH_MAX = 512
QUANTITY_MAX = 10**15  # as reserve.model has it, which a module without a database cannot ask
GS = "\x1d"


class Reason(StrEnum):
    """Why a scan was not read; each is a fault's code, so that a page has a sentence in both languages."""

    EMPTY = "scan_empty"
    TOO_LONG = "scan_too_long"
    CHARACTER = "scan_character"
    FORM = "scan_form"
    HIBC = "scan_hibc"
    AHM = "scan_ahm"
    LINK = "scan_link"
    UPC_E = "scan_upc_e"
    CAPS_LOCK = "scan_caps_lock"
    AMBIGUOUS = "scan_ambiguous"
    ELEMENT = "scan_element"
    SEPARATOR = "scan_separator_lost"
    CHECK_DIGIT = "scan_check_digit"
    DATE = "scan_no_such_date"
    DATES = "scan_dates_reversed"
    TWO_VALUES = "scan_two_values"
    COUNT = "scan_count"


class UnreadableScan(Invalid):
    """Nothing was understood, not even in part. The fault points at `/data`; its code is the `Reason`."""

    code = "unreadable_scan"
    title = "The scan cannot be read"

    def __init__(self, detail: str, reason: Reason = Reason.FORM, pointer: str = "/data") -> None:
        self.reason = reason
        super().__init__(detail, faults=[Fault(pointer, reason.value, detail)])


class Scan(NamedTuple):
    """What a code says. A second barcode of a label may name no item: then `gtin` is None and the lot is there."""

    form: str  # gs1, digital_link, gtin, sscc or nmpa_ma
    symbology: str | None = None  # what kind of barcode the scanner says it was, `]d2`, if it says so
    gtin: str | None = None  # (01) as 14 digits, its check digit right
    issuer: str | None = None  # of the device identifier: GS1 or MA
    device_identifier: str | None = None  # the NMPA's DI: the GTIN, or MA.156.M0. up to the product code
    lot_number: str | None = None
    expires_on: date | None = None  # (17): the last usable day; day 00 is the last of its month
    manufactured_on: date | None = None
    best_before_on: date | None = None  # (15), which some goods carry in place of (17)
    serial: str | None = None
    count: int | None = None  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a scan
    count_ai: str | None = None  # 37: trade items in a logistic unit; 30: pieces in one trade item
    net_weight_kg: Decimal | None = None
    sscc: str | None = None
    content_gtin: str | None = None  # (02): what a logistic unit holds; count and lot are of these
    others: tuple[tuple[str, str], ...] = ()  # every other identifier and its value, in the order of the code
    doubt: str | None = None  # lot_may_hold_more: no separator was seen and the last value could be two

    @property
    def counted_gtin(self) -> str | None:
        """The trade item that is received or issued: the one scanned, or what the scanned logistic unit holds."""
        return self.gtin or self.content_gtin


class Element(NamedTuple):
    ai: str
    value: str
    ends_with_separator: bool


def read(data: str, *, today: date) -> Scan:
    """Read one scan, whatever the scanner made of it. `today` places two-digit years.

    Raises
    ------
    UnreadableScan
        anything that is not certain: nothing else is ever raised, whatever `data` is.

    Examples
    --------
    >>> scan = read("]d2010693804720003617280600103A517", today=date(2026, 4, 1))
    >>> scan.gtin, scan.lot_number, scan.expires_on
    ('06938047200036', '3A517', datetime.date(2028, 6, 30))
    """
    symbology, text = _opened(data)
    if symbology in _OF_GTINS:
        return _read_gtin(text, symbology, today)
    if text.startswith("MA."):
        return _read_ma(text, symbology, today)
    if text.startswith("+"):
        detail = "This is a HIBC code, which is not read here: type the item, the lot and the expiry from the label."
        raise UnreadableScan(detail, Reason.HIBC)
    if text.lower().startswith(("http://", "https://")):
        return _scan("digital_link", symbology, _told(_link_elements(text)), today)
    if text.startswith("("):
        return _scan("gs1", symbology, _told(_bracketed_elements(text)), today)
    if text.isdigit() and symbology not in _OF_ELEMENTS:
        return _read_digits(text, symbology, today)
    return _read_elements(text, symbology, today)


def base_units(scan: Scan, units_per_pack: int) -> int | None:
    """How many base units a scan says, or None where it does not say.

    (37) counts packs of the trade item. (30) counts pieces, which GS1 does not say are base units: with a pack of one
    the two agree, with any other a person is asked.
    """
    if scan.count is None or (scan.count_ai == "30" and units_per_pack != 1):
        return None
    units = scan.count * units_per_pack
    if units > QUANTITY_MAX:
        detail = f"{scan.count} packs of {units_per_pack} are more than 10^15: type the quantity."
        raise UnreadableScan(detail, Reason.COUNT)
    return units


_OF_ELEMENTS = frozenset({"]C1", "]d2", "]Q3", "]J1", "]e0", "]e1", "]e2"})  # GS1 General Specifications 5.1.2
_OF_GTINS = frozenset({"]E0", "]E1", "]E2", "]E3", "]E4", "]I1"})
_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9A-Za-z]")
# A Chinese input method writes full-width forms; a barcode has none, so there is only one way back.
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0x241D: GS}
# None of these can be part of a value, as they hold characters outside GS1's set 82; `<GS>` could, and never is.
_SUBSTITUTES = ("{GS}", "<GS>", "[GS]", "{FNC1}", "<FNC1>", "^]", "^", "|", "~")
_SET_82 = re.compile(r"[!\"%-?A-Z_a-z]{1,20}")
_GTIN_LENGTHS = frozenset({8, 12, 13, 14})
_CHECKED = ("00", "01", "02", "03", "410", "411", "412", "413", "414", "415", "416", "417")
_DATED = frozenset(
    {"11", "12", "13", "15", "16", "17", "4324", "4325", "4326", "7003", "7006", "7007", "7011", "8008"}  # YYMMDD first
)
_OPEN_SETUP = (
    "The scanner may drop the separator GS (FNC1): open scanner set-up and let it send GS, "
    "or type the item, the lot and the expiry from the label."
)


def _opened(data: str) -> tuple[str | None, str]:
    """The symbology identifier, if any, and the text behind it, free of what a scanner adds."""
    if len(data) > LENGTH_MAX:
        raise UnreadableScan(f"A scan has at most {LENGTH_MAX} characters, not {len(data)}.", Reason.TOO_LONG)
    text = data.translate(_NARROW).strip(" \t\r\n")
    for character in text:
        if character != GS and not " " <= character <= "~":
            detail = f"The scan holds the character U+{ord(character):04X}, which no code has: scan again, in English."
            raise UnreadableScan(detail, Reason.CHARACTER)
    symbology = _SYMBOLOGY.match(text)
    identifier = symbology and symbology[0]
    if identifier and identifier.swapcase() in _OF_ELEMENTS and identifier not in _OF_GTINS:
        detail = (
            f"{identifier} is {identifier.swapcase()} with Caps Lock on, which spoils lots: turn it off, scan again."
        )
        raise UnreadableScan(detail, Reason.CAPS_LOCK)
    text = text[len(identifier or "") :]
    if not text.strip(GS):
        raise UnreadableScan("The scan is empty: scan again.", Reason.EMPTY)
    return identifier, text


def _shown(text: str) -> str:
    return repr(text[:40])


def _read_digits(text: str, symbology: str | None, today: date) -> Scan:
    """Digits with nothing that says what they are. Where two readings fit the text is refused.

    A number of a GTIN's length is a GTIN and nothing else unless it begins with a day: reading a mistyped
    10614141000416 as the lot 614141000416 would be worse than not knowing a lone lot.
    """
    if len(text) == 20 and text.startswith("8"):
        detail = "This is a code of Ali Health (AHM), which does not name a pack: type the item, lot and expiry."
        raise UnreadableScan(detail, Reason.AHM)
    if len(text) in {6, 7}:
        raise _maybe_upc_e(text)
    if len(text) == 18 and _check_digit_is_right(text):
        if _are_elements(text):
            raise _ambiguous(text)
        return _scan("sscc", symbology, {"00": text}, today)
    if len(text) not in _GTIN_LENGTHS or (_begins_with_day(text, today) and not _check_digit_is_right(text)):
        return _read_elements(text, symbology, today)
    return _read_gtin(text, symbology, today)


def _read_gtin(text: str, symbology: str | None, today: date) -> Scan:
    if not (text.isdigit() and len(text) in _GTIN_LENGTHS):
        detail = f"{_shown(text)} is not a GTIN of 8, 12, 13 or 14 digits: scan again, or scan the square code."
        raise UnreadableScan(detail, Reason.FORM)
    if symbology not in _OF_GTINS and _check_digit_is_right(text) and _begins_with_day(text, today):
        raise _ambiguous(text)
    upc_e = None if len(text) > 8 or symbology == "]E4" else _upc_a_of_upc_e(text)
    if upc_e and _check_digit_is_right(text):
        raise _ambiguous(text)
    if upc_e and symbology != "]E0":
        raise _maybe_upc_e(text)
    return _scan("gtin", symbology, {"01": (upc_e or text).zfill(14)}, today)


def _check_digit_is_right(digits: str) -> bool:
    """GS1 General Specifications 7.9; for every key of GS1, whose weights count from the right."""
    weighted = sum(int(digit) * (3 if n % 2 == 0 else 1) for n, digit in enumerate(reversed(digits[:-1])))
    return (10 - weighted % 10) % 10 == int(digits[-1])


def _upc_a_of_upc_e(text: str) -> str | None:
    """The twelve digits of a compressed UPC, None where the eight cannot be one."""
    from biip import ParseError
    from biip.upc import Upc

    try:
        return Upc.parse(text).as_upc_a()
    except ParseError:
        return None


def _maybe_upc_e(text: str) -> UnreadableScan:
    detail = f"{text} may be a shortened UPC-E: let the scanner send it as UPC-A (12 digits), or type the item."
    return UnreadableScan(detail, Reason.UPC_E)


def _ambiguous(text: str) -> UnreadableScan:
    detail = f"{text} can be read in two ways: let the scanner send the symbology identifier, or type what is printed."
    return UnreadableScan(detail, Reason.AMBIGUOUS)


def _begins_with_day(text: str, today: date) -> bool:
    return text[:2] in {"11", "15", "17"} and _is_near(text[:2], text[2:8], today) and _are_elements(text)


def _are_elements(text: str) -> bool:
    try:
        _told(_elements(text))
    except UnreadableScan:
        return False
    return True


def _read_elements(text: str, symbology: str | None, today: date) -> Scan:
    body = _with_separators(text).lstrip(GS)
    elements = [element for field in body.split(GS) if field for element in _elements(field)]
    if not elements:
        raise UnreadableScan("The scan is empty: scan again.", Reason.EMPTY)
    said = _told(elements)
    doubt = None
    if GS not in body:  # a scanner that sent one separator sends them all
        _refuse_swallowed(elements[-1], said, today)
        doubt = "lot_may_hold_more" if _may_hold_more(elements[-1], said) else None
    return _scan("gs1", symbology, said, today, doubt=doubt)


def _with_separators(text: str) -> str:
    if GS in text:
        return text
    for substitute in _SUBSTITUTES:
        text = text.replace(substitute, GS)
    return text


def _elements(field: str) -> Iterator[Element]:
    """The elements of a text without separators. One whose length varies must be the last."""
    while field:
        element = _first(field)
        field = field[len(element.ai) + len(element.value) :]
        if field and element.ends_with_separator:
            raise _overrun(element, field)
        yield element


def _first(field: str) -> Element:
    """Cut the first element off.

    biip's `extract`, never its `parse`: some patterns of the table, such as (4302), take exponential time to find that
    a text does not match to its end, and only `parse` asks them to.
    """
    from biip import ParseConfig, ParseError
    from biip.gs1_application_identifiers import GS1ApplicationIdentifier
    from biip.gs1_element_strings import GS1ElementString

    try:
        known = GS1ApplicationIdentifier.extract(field)
    except ParseError as error:
        detail = f"{_shown(field)} begins with nothing that GS1 knows: scan again, or type what the label says."
        raise UnreadableScan(detail, Reason.ELEMENT) from error
    try:
        # biip takes the century from the clock of the machine: days are ours to read.
        found = GS1ElementString.extract(field, config=ParseConfig(gs1_element_strings_verify_date=False))
    except ParseError as error:
        value = field[len(known.ai) :]
        day = known.ai in _DATED and len(value) >= 6 and value[:6].isdigit()
        raise _no_such_day(known.ai, value[:6]) if day else _unfit(known.ai, value) from error
    return Element(known.ai, found.value, known.separator_required)


def _unfit(ai: str, value: str) -> UnreadableScan:
    detail = f"({ai}) cannot hold {_shown(value)}: scan again, or type what the label says. {_OPEN_SETUP}"
    return UnreadableScan(detail, Reason.ELEMENT)


def _overrun(element: Element, rest: str) -> UnreadableScan:
    if not _SET_82.match(rest):
        detail = f"({element.ai}) holds {_shown(rest[0])}, which a GS1 value has not: scan again, or type the label."
        return UnreadableScan(detail, Reason.CHARACTER)
    detail = f"({element.ai}) goes on after {_shown(element.value)}. {_OPEN_SETUP}"
    return UnreadableScan(detail, Reason.SEPARATOR)


def _told(elements: Iterable[Element]) -> dict[str, str]:
    """Value by identifier; the same one twice with two values is two labels."""
    said: dict[str, str] = {}
    for ai, value, _ in elements:
        if said.setdefault(ai, value) != value:
            detail = f"({ai}) is there twice, as {_shown(said[ai])} and as {_shown(value)}: scan one code at a time."
            raise UnreadableScan(detail, Reason.TWO_VALUES)
    return said


def _refuse_swallowed(last: Element, said: dict[str, str], today: date) -> None:
    """Refuse a last value that holds its neighbour as well, because the separator between them was lost.

    Only a day or a check digit is certain enough. A lost (21) or (30) looks like any lot: each of 2021 holds a 21.
    """
    if not last.ends_with_separator:
        return
    for at in range(1, len(last.value) - 7):
        ai, rest = last.value[at : at + 2], last.value[at + 2 :]
        if _starts_missing_neighbour(ai, rest, said, today):
            detail = f"({last.ai}) {last.value} seems to hold ({ai}) {rest} as well. {_OPEN_SETUP}"
            raise UnreadableScan(detail, Reason.SEPARATOR)


def _starts_missing_neighbour(ai: str, rest: str, said: dict[str, str], today: date) -> bool:
    if ai in said:
        return False
    if ai in {"01", "02"}:
        return len(rest) >= 14 and rest[:14].isdigit() and _check_digit_is_right(rest[:14])
    if ai in {"11", "17"} or (ai == "15" and "17" not in said):
        return _is_near(ai, rest[:6], today) and (len(rest) == 6 or rest[6:].startswith(_NEIGHBOURS))
    return False


_NEIGHBOURS = ("01", "02", "10", "11", "15", "17", "21", "30", "37", "240")


def _may_hold_more(last: Element, said: dict[str, str]) -> bool:
    """Whether the last value could be two, of which (21) is the usual one. Too common to refuse, worth a look."""
    if last.ai not in {"10", "21", "30", "37"}:
        return False
    if last.ai in {"10", "21"} and not {"30", "37"} & said.keys() and _COUNT_BEHIND.search(last.value):
        return True
    tails = [last.value[at:-1] for at in range(1, len(last.value) - 2)]
    return any(tail.startswith(ai) for ai in {"10", "21"} - said.keys() for tail in tails)


_COUNT_BEHIND = re.compile(r".(?:(?:30|37)[1-9][0-9]{0,7}|240.+)\Z", re.ASCII)


def _bracketed_elements(text: str) -> Iterator[Element]:
    """The elements of `(01)…(17)…(10)…` as people type it: spaces around a value are theirs."""
    before, *parts = _BRACKETED.split(text)
    if before.strip():
        detail = f"{_shown(before)} is not a GS1 identifier in brackets: write (01), (17), (10)."
        raise UnreadableScan(detail, Reason.FORM)
    for ai, value in zip(parts[::2], parts[1::2], strict=True):
        yield _whole(ai, value.strip(" "))


_BRACKETED = re.compile(r"\(([0-9]{2,4})\)")


def _whole(ai: str, value: str) -> Element:
    """The element of which both ends are known."""
    element = _first(ai + value)
    if element.ai != ai:
        detail = f"({ai}) is not an identifier of GS1: type what the label says."
        raise UnreadableScan(detail, Reason.ELEMENT)
    if element.value != value:
        raise _unfit(ai, value)
    return element


def _link_elements(text: str) -> Iterator[Element]:
    """The elements of a GS1 Digital Link that is not compressed (GS1 Digital Link URI Syntax 1.4)."""
    host, _, rest = text.partition("://")[2].partition("/")
    path, _, query = rest.partition("#")[0].partition("?")
    segments = path.removesuffix("/").split("/")
    start = next((n for n, segment in enumerate(segments) if segment in _QUALIFIERS), None)
    if start is None or not host or "?" in host or "#" in host or (len(segments) - start) % 2:
        raise _no_link(text)
    keys, values = segments[start::2], [_unquoted(value) for value in segments[start + 1 :: 2]]
    if keys[1:] != [ai for ai in _QUALIFIERS[keys[0]] if ai in keys[1:]]:
        raise _no_link(text)
    if keys[0] == "01" and len(values[0]) in _GTIN_LENGTHS:
        values[0] = values[0].zfill(14)
    for ai, value in zip(keys, values, strict=True):
        yield _whole(ai, value)
    for pair in query.split("&"):
        ai, _, value = pair.partition("=")
        if ai.isdigit():  # the other parameters are the host's own
            yield _whole(ai, _unquoted(value.replace("+", " ")))


# The qualifiers of each key in the order in which they may follow it.
_QUALIFIERS = {"01": ("22", "10", "21", "235"), "00": ()}


def _unquoted(text: str) -> str:
    head, *escaped = text.split("%")
    for part in escaped:
        if len(part) < 2 or not set(part[:2]) <= set(hexdigits) or int(part[:2], 16) > 0x7E:
            raise _no_link(text)
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in escaped)


def _no_link(text: str) -> UnreadableScan:
    detail = (
        f"{_shown(text)} is not a GS1 Digital Link that names an item, …/01/GTIN/10/LOT?17=YYMMDD: "
        "scan another code of the label, or type the item, the lot and the expiry."
    )
    return UnreadableScan(detail, Reason.LINK)


def _read_ma(text: str, symbology: str | None, today: date) -> Scan:
    """`MA.156.M0.rrrrrr.piiiiiic` and its production identifiers (MA(IDcode) manual of ZIIOT).

    The check characters are kept unchecked: their published algorithm has been withdrawn. `.E` is the day from which
    a device has lapsed and `.V` the last day it is valid, so they may differ by one day and `.V` counts.
    """
    found = _MA.match(text)
    if not found:
        detail = f"{_shown(text)} is not an MA code, MA.156.M0.rrrrrr.piiiiiic: type the item, the lot and the expiry."
        raise UnreadableScan(detail, Reason.FORM)
    said = _told(_ma_fields(text[found.end() :]))
    days = {tag: _ma_day(tag, said[tag], today) for tag in said if tag in "MPEV"}
    made, lapsed, valid = days.get("M") or days.get("P"), days.get("E"), days.get("V")
    if days.get("P", made) != made or (lapsed and valid and (lapsed - valid).days not in {0, 1}):
        detail = f"{_shown(text[found.end() :])} gives two days for one: type the dates that the label says."
        raise UnreadableScan(detail, Reason.TWO_VALUES)
    expires_on = valid or lapsed
    _refuse_reversed(made, expires_on)
    return Scan(
        form="nmpa_ma",
        symbology=symbology,
        issuer="MA",
        device_identifier=found[0],
        lot_number=said.get("L"),
        serial=said.get("S"),
        manufactured_on=made,
        expires_on=expires_on,
        others=tuple((tag, value) for tag, value in said.items() if tag in "DC"),
    )


_MA = re.compile(r"MA\.156\.M0\.[0-9A-Za-z]{6}\.[0-9A-Za-z]{8,20}(?![^.])")


def _ma_fields(text: str) -> Iterator[Element]:
    for field in text.split(".")[1:]:
        tag, value = field[:1], field[1:]
        if tag not in set("LSMPDEVC") or not _SET_82.fullmatch(value):
            detail = f"{_shown('.' + field)} is not a field of an MA code: type the item, the lot and the expiry."
            raise UnreadableScan(detail, Reason.ELEMENT)
        yield Element(tag, value, ends_with_separator=True)


def _ma_day(tag: str, digits: str, today: date) -> date:
    day = None
    if digits.isdigit() and len(digits) == 6:
        day = _day(digits, today)
    if digits.isdigit() and len(digits) == 8 and 1990 <= int(digits[:4]) <= 2100:
        day = _civil(int(digits[:4]), digits[4:])
    if day is None:
        raise _no_such_day(f".{tag}", digits)
    return day


def _scan(form: str, symbology: str | None, said: dict[str, str], today: date, doubt: str | None = None) -> Scan:
    _refuse_wrong_check_digits(said)
    days = {ai: _day_or_refusal(ai, value, today) for ai, value in said.items() if ai in _DATED}
    _refuse_reversed(days.get("11"), days.get("17"))
    _refuse_reversed(days.get("11"), days.get("15"))
    gtin, content = said.get("01"), said.get("02")
    if gtin and content and gtin != content:
        detail = f"The code names two trade items, {gtin} and {content}: type the item, the lot and the expiry."
        raise UnreadableScan(detail, Reason.TWO_VALUES)
    count_ai = next((ai for ai in ("37", "30") if ai in said), None)
    used = {"00", "01", "02", "10", "11", "15", "17", "21", count_ai}
    return Scan(
        form=form,
        symbology=symbology,
        gtin=gtin,
        issuer="GS1" if gtin else None,
        device_identifier=gtin,
        lot_number=said.get("10"),
        expires_on=days.get("17"),
        manufactured_on=days.get("11"),
        best_before_on=days.get("15"),
        serial=said.get("21"),
        count=_count(count_ai, said[count_ai]) if count_ai else None,
        count_ai=count_ai,
        net_weight_kg=_net_weight_kg(said),
        sscc=said.get("00"),
        content_gtin=content,
        others=tuple((ai, value) for ai, value in said.items() if ai not in used and not ai.startswith("310")),
        doubt=doubt,
    )


def _refuse_wrong_check_digits(said: dict[str, str]) -> None:
    """Refuse the whole scan: of a text in which one digit was misread no other is sure."""
    for ai in _CHECKED:
        value = said.get(ai)
        if value and not (_check_digit_is_right(value) and int(value)):
            detail = f"The check digit of {value} is wrong: read the number again, or type the one on the label."
            raise UnreadableScan(detail, Reason.CHECK_DIGIT)


def _count(ai: str, digits: str) -> int:
    if not digits or not int(digits):
        raise UnreadableScan(f"({ai}) counts nothing: type the quantity from the label.", Reason.COUNT)
    return int(digits)


def _net_weight_kg(said: dict[str, str]) -> Decimal | None:
    weights = {Decimal(value).scaleb(-int(ai[3])) for ai, value in said.items() if ai.startswith("310")}
    if len(weights) > 1:
        raise UnreadableScan("The code gives two net weights: scan one code at a time.", Reason.TWO_VALUES)
    return next(iter(weights), None)


def _day(digits: str, today: date) -> date | None:
    """YYMMDD: the year from 49 before this one to 50 after it (GS1 General Specifications 7.12)."""
    year = today.year - today.year % 100 + int(digits[:2])
    if year - today.year > 50:
        year -= 100
    elif year - today.year < -49:
        year += 100
    return _civil(year, digits[2:])


def _civil(year: int, digits: str) -> date | None:
    """MMDD of a year, day 00 being the last of its month; None where there is no such day."""
    month, day = int(digits[:2]), int(digits[2:])
    if not 1 <= month <= 12:
        return None
    last = monthrange(year, month)[1]
    return date(year, month, day or last) if day <= last else None


def _day_or_refusal(ai: str, value: str, today: date) -> date:
    day = _day(value[:6], today)
    if day is None:
        raise _no_such_day(ai, value)
    return day


def _no_such_day(field: str, digits: str) -> UnreadableScan:
    detail = f"({field}) {_shown(digits)} is no day, YYMMDD: scan again, or type the date that the label says."
    return UnreadableScan(detail, Reason.DATE)


def _refuse_reversed(made: date | None, expires: date | None) -> None:
    if made and expires and expires < made:
        detail = f"It expires on {expires}, before it was made on {made}: compare with the label and type the dates."
        raise UnreadableScan(detail, Reason.DATES)


def _is_near(ai: str, digits: str, today: date) -> bool:
    """Whether six characters are a day that goods on a shelf are made (11) or expire on (15, 17)."""
    day = _day(digits, today) if digits.isdigit() and len(digits) == 6 else None
    if day is None or day.year < today.year - 15:
        return False
    return day <= today if ai == "11" else day.year <= today.year + 20
