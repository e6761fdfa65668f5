"""Barcodes drawn: what is written in the code of a lot, a place or a document, and its picture as SVG."""

import re
from datetime import date
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple
from xml.sax.saxutils import escape

from reserve.catalogue import normal_gtin
from reserve.scans import LOT_PREFIX, REFERENCE_PREFIX

Kind = Literal["gs1", "datamatrix", "qr"]

_LOT: Final = re.compile(r"[!-\"%-?A-Z_a-z]{1,20}", re.ASCII)
_GROUP_SEPARATOR: Final = "\x1d"
_IDENTIFIERS: Final = re.compile(r"(01)(\d{14})(?:(17)(\d{6}))?(10)([^\x1d]+)(?:\x1d(21)([^\x1d]+))?", re.ASCII)
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_YEARS: Final = range(2000, 2076)
"""A year has two digits in a GS1 code and is read as within 49 years past and 50 ahead; other days are left out."""
_QUIET: Final = {"gs1": 1, "datamatrix": 1, "qr": 4}
"""Modules of white that a scanner needs around each kind."""


class Code(NamedTuple):
    """What a scanner sends, and how it is drawn."""

    kind: Kind
    text: str


class Symbol(NamedTuple):
    """The modules of a code with its quiet zone: a square of that width, and its black as an SVG path."""

    width: int
    path: str


def lot_code(
    item: str, lot_number: str, expires_on: date | None = None, *, gtin: str | None = None, serial: str | None = None
) -> Code:
    """Return the code of a lot: of GS1 where a pack of the item has a GTIN, else our own `L:ITEM/LOT`."""
    if gtin and _LOT.fullmatch(lot_number):
        return Code("gs1", lot_element_string(gtin, lot_number, expires_on, serial))
    return Code("datamatrix", f"{LOT_PREFIX}{item}/{lot_number}")


def reference_code(code: str) -> Code:
    """Return the code of a place or a document: `R:371400-W1`, `R:RC-20260401-000123`."""
    return Code("qr", f"{REFERENCE_PREFIX}{code}")


def lot_element_string(gtin: str, lot_number: str, expires_on: date | None = None, serial: str | None = None) -> str:
    """Write 01, 17, 10 and 21 as a scanner sends them: fixed lengths first, a group separator only where needed.

    Raises
    ------
    Invalid
        no GTIN, or its check digit is wrong.
    ValueError
        a lot or serial number that GS1 has no characters for.
    """
    for number in (lot_number, *([serial] if serial else [])):
        if not _LOT.fullmatch(number):
            raise ValueError(f"{number!r} does not fit into a GS1 code: 1 to 20 of its characters are needed.")
    day = f"17{expires_on:%y%m%d}" if expires_on and expires_on.year in _YEARS else ""
    tail = f"{_GROUP_SEPARATOR}21{serial}" if serial else ""
    return f"01{normal_gtin(gtin, '/gtin')}{day}10{lot_number}{tail}"


def readable(code: Code) -> str:
    """Return the text printed beside a code: GS1 identifiers in brackets."""
    return _bracketed(code.text, "(", ")") if code.kind == "gs1" else code.text


@lru_cache(maxsize=1024)
def symbol(code: Code) -> Symbol:
    """Draw a code as runs of black modules."""
    import zxingcpp

    if code.kind == "qr":
        drawn = zxingcpp.create_barcode(code.text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    elif code.kind == "gs1":
        # brackets, not parentheses: a lot number may hold a parenthesis and never a bracket
        text = _bracketed(code.text, "[", "]")
        drawn = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix, gs1=True, force_square=True)
    else:
        drawn = zxingcpp.create_barcode(code.text, zxingcpp.BarcodeFormat.DataMatrix, force_square=True)
    image: Any = drawn.to_image(scale=1, add_quiet_zones=False)  # a buffer, which its types do not say
    rows: list[list[int]] = memoryview(image).tolist()  # type: ignore[assignment]
    quiet = _QUIET[code.kind]
    path = "".join(
        f"M{start + quiet} {y + quiet}h{length}v1h-{length}z"
        for y, row in enumerate(rows)
        for start, length in _runs(row)
    )
    return Symbol(len(rows) + 2 * quiet, path)


def svg(code: Code, title: str = "") -> str:
    """Return the picture by itself: black on white, with nothing fetched and nothing run."""
    width, path = symbol(code)
    frame = f'viewBox="0 0 {width} {width}" role="img" shape-rendering="crispEdges"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}><title>{escape(plain(title or readable(code)))}</title>'
        f'<path fill="#fff" d="M0 0h{width}v{width}h-{width}z"/><path d="{path}"/></svg>'
    )


def plain(text: str) -> str:
    """Show what no XML may hold (control characters, half characters) as U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def _bracketed(element_string: str, opening: str, closing: str) -> str:
    found = _IDENTIFIERS.fullmatch(element_string)
    if found is None:
        raise ValueError(f"{element_string!r} is not the element string of a lot.")
    parts = iter(found.groups())
    return "".join(f"{opening}{ai}{closing}{value}" for ai, value in zip(parts, parts, strict=True) if ai)


def _runs(row: list[int]) -> list[tuple[int, int]]:
    """Return start and length of each run of black (0) in a row of modules."""
    black = "".join("x" if module == 0 else " " for module in row)
    return [(run.start(), len(run[0])) for run in re.finditer("x+", black)]
