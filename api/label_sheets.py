"""Labels of lots and places, laid out as sheets of PDF or SVG."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from xml.sax.saxutils import escape

from api import codes, words
from api.codes import Code

if TYPE_CHECKING:
    pass
from api.typesetting import (
    Language,
    Named,
    Printing,
    is_wide,
    name_in,
    other_name_in,
    say,
    text_width,
    typeset,
    with_code,
)

Layout = Literal["50x30", "a4"]


class LotLabel(NamedTuple):
    item: Named
    lot_number: str
    expires_on: date | None
    base_unit: str
    units_per_pack: int | None = None
    gtin: str | None = None
    serial: str | None = None
    place: Named | None = None


class PlaceLabel(NamedTuple):
    place: Named
    parent: Named | None = None


Label = LotLabel | PlaceLabel


def labels_pdf(labels: Sequence[Label], language: Language, layout: Layout, printing: Printing) -> bytes:
    """Labels, one a page of 50 x 30 mm for a label printer, or 4 x 9 to a sheet of A4 with lines to cut along."""
    form = _FORMS[layout]
    pages = [[_label_data(x, y, face) for x, y, face in page] for page in _laid_out(labels, language, form)]
    data = {"title": say(language, "labels"), "language": language, "cut": form.cut, "pages": pages}
    return typeset("labels", {**data, "width_mm": form.width_mm, "height_mm": form.height_mm}, printing.at)


def labels_svg(labels: Sequence[Label], language: Language, layout: Layout) -> list[str]:
    """Return the same labels as one self-contained SVG a page, its words as text for the reader's own fonts."""
    form = _FORMS[layout]
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{form.width_mm}mm" height="{form.height_mm}mm" '
        f'viewBox="0 0 {form.width_mm} {form.height_mm}" font-family="{_SVG_FONTS}" fill="#000">'
        f"<title>{say(language, 'labels')}</title>"
        f'<path fill="#fff" d="M0 0h{form.width_mm}v{form.height_mm}H0z"/>'
        + "".join(_label_svg(x, y, face, cut=form.cut) for x, y, face in page)
        + "</svg>"
        for page in _laid_out(labels, language, form)
    ]


class _Form(NamedTuple):
    """A page of labels, in millimetres."""

    width_mm: float
    height_mm: float
    columns: int
    rows: int
    left: float
    top: float
    cut: bool


class _Word(NamedTuple):
    """A line of text on a label: the left of its baseline, the room it has, and the height of its letters."""

    x: float
    y: float
    width: float
    size: float
    text: str
    strong: bool = False


class _Face(NamedTuple):
    """What is on one label."""

    code: Code
    code_x: float
    code_y: float
    code_mm: float
    words: Sequence[_Word]


_LABEL_MM: Final = (50, 30)


# no gaps and no white edge to lose: an office printer cannot print the outer 4 mm of a page
_FORMS: Final[Mapping[Layout, _Form]] = {
    "50x30": _Form(50, 30, 1, 1, 0, 0, cut=False),
    "a4": _Form(210, 297, 4, 9, 5, 13.5, cut=True),
}


_NEVER_FIRST: Final = "，。、；：！？）】》」』”’…·,.;:!?)]"


_SVG_FONTS: Final = "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'WenQuanYi Micro Hei', sans-serif"


def _laid_out(labels: Sequence[Label], language: Language, form: _Form) -> list[list[tuple[float, float, _Face]]]:
    if not labels:
        raise ValueError("There are no labels to print.")
    faces = [_lot_face(x, language) if isinstance(x, LotLabel) else _place_face(x, language) for x in labels]
    room = form.columns * form.rows
    return [
        [
            (
                form.left + at % form.columns * _LABEL_MM[0],
                form.top + at // form.columns * _LABEL_MM[1],
                face,
            )
            for at, face in enumerate(faces[start : start + room])
        ]
        for start in range(0, len(faces), room)
    ]


def _lot_face(label: LotLabel, language: Language) -> _Face:
    item, other = label.item, "en" if language == "zh" else "zh"
    packed = _packed(label, language)
    foot = [packed, with_code(label.place, language)]
    named = _stacked(
        18, 2, 30,
        [
            (name_in(item, language), (3.3, 2.9, 2.5), 2, True),
            (other_name_in(item, language), (2.1, 1.9), 2, False),
            (item.code, (2.3,), 1, False),
        ],
    )  # fmt: skip
    return _Face(
        codes.lot_code(item.code, label.lot_number, label.expires_on, gtin=label.gtin, serial=label.serial),
        1.5, 1.5, 15.5,
        [
            *named,
            _Word(2, 18.4, 15, 1.7, label.gtin or ""),
            _Word(2, 21.8, 10, 2.1, _both(language, other, "label.lot")),
            _Word(13, 21.8, 35, 3.1, label.lot_number, strong=True),
            _Word(2, 25.5, 17.5, 2.1, _both(language, other, "label.use_by")),
            _Word(20.5, 25.5, 27.5, 3.9 if label.expires_on else 2.8, _use_by(label.expires_on, language, other), True),
            _Word(2, 28.6, 46, 2.1, " · ".join(part for part in foot if part)),
        ],
    )  # fmt: skip


def _place_face(label: PlaceLabel, language: Language) -> _Face:
    place = label.place
    named = _stacked(
        23, 2.5, 25,
        [
            (name_in(place, language), (4.0, 3.4, 2.8), 3, True),
            (other_name_in(place, language), (2.4, 2.1), 3, False),
        ],
    )  # fmt: skip
    above = f"{say(language, 'label.within')} {with_code(label.parent, language)}" if label.parent else ""
    return _Face(
        codes.reference_code(place.code),
        1.5, 1.5, 20.5,
        [*named, _Word(2, 25.4, 46, 3.8, place.code, strong=True), _Word(2, 28.5, 46, 2.2, above)],
    )  # fmt: skip


def _stacked(
    x: float, y: float, width: float, paragraphs: Sequence[tuple[str, Sequence[float], int, bool]]
) -> list[_Word]:
    """Set names below each other, each in the largest of its sizes in which it fits its lines."""
    found = []
    for text, sizes, lines_max, strong in paragraphs:
        if not text:
            continue
        size = next((size for size in sizes if len(_wrapped(text, width, size)) <= lines_max), sizes[-1])
        lines = _wrapped(text, width, size)
        if len(lines) > lines_max:
            lines = [*lines[: lines_max - 1], _cut("".join(lines[lines_max - 1 :]).rstrip(), width, size)]
        for line in lines:
            y += size * 1.12
            found.append(_Word(x, round(y - size * 0.15, 2), width, size, line.rstrip(), strong))
        y += 0.4
    return found


def _wrapped(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines of an estimated width: at spaces, and between Chinese characters."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and text_width(line + piece.rstrip()) * size > width:
            lines.append(line)
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    """Cut a text where a line may end: after a space, and at Chinese characters that may begin a line."""
    pieces = [""]
    for character in text:
        wide = is_wide(character) or (pieces[-1] and is_wide(pieces[-1][-1]))
        if pieces[-1].endswith(" ") or (wide and character not in _NEVER_FIRST):
            pieces.append("")
        pieces[-1] += character
    return pieces


def _cut(text: str, width: float, size: float) -> str:
    """Squeeze a last line by at most a quarter; what is longer still ends in an ellipsis."""
    if text_width(text) * size <= width * 1.33:
        return text
    while text and text_width(text + "…") * size > width * 1.33:
        text = text[:-1]
    return f"{text}…"


def _label_data(x: float, y: float, face: _Face) -> dict[str, Any]:
    code, said = codes.svg(face.code), codes.readable(face.code)
    place = {"x": x, "y": y, "width_mm": _LABEL_MM[0], "height_mm": _LABEL_MM[1]}
    placed = {"code_x": face.code_x, "code_y": face.code_y, "code_mm": face.code_mm}
    return {**place, **placed, "code": code, "code_text": said, "words": [word._asdict() for word in face.words]}


def _label_svg(x: float, y: float, face: _Face, *, cut: bool) -> str:
    width, path = codes.symbol(face.code)
    scale = face.code_mm / width
    frame = 'fill="none" stroke="#aaa" stroke-width="0.1" stroke-dasharray="1 1"'
    return (
        f'<g transform="translate({x} {y})">'
        + (f'<path {frame} d="M0 0h{_LABEL_MM[0]}v{_LABEL_MM[1]}H0z"/>' if cut else "")
        + f'<path shape-rendering="crispEdges" d="{path}" '
        f'transform="translate({face.code_x} {face.code_y}) scale({scale:.5f})"/>'
        + "".join(_word_svg(word) for word in face.words if word.text)
        + "</g>"
    )


def _word_svg(word: _Word) -> str:
    """Text with the room it has, when it may need more: every reader's fonts are a little different."""
    tight = text_width(word.text) * word.size > word.width * 0.95
    room = f' textLength="{word.width}" lengthAdjust="spacingAndGlyphs"' if tight else ""
    weight = ' font-weight="bold"' if word.strong else ""
    said = escape(codes.plain(word.text))
    return f'<text x="{word.x}" y="{word.y}" font-size="{word.size}"{weight}{room}>{said}</text>'


def _packed(label: LotLabel, language: Language) -> str:
    if not label.units_per_pack:
        return words.unit(language, label.base_unit)
    units = words.unit(language, label.base_unit, label.units_per_pack)
    return say(language, "label.pack").format(n=f"{label.units_per_pack:,}", unit=units)


def _both(language: Language, other: str, key: str) -> str:
    return f"{say(language, key)} {say(other, key)}"


def _use_by(day: date | None, language: Language, other: str) -> str:
    return str(day) if day else _both(language, other, "no_expiry")
