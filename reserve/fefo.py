"""First expired, first out (近效期先出): which lots to take, as a pure decision."""

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import NamedTuple


class Candidate(NamedTuple):
    """A lot on the shelf. `available` may leave it without any later day falling below zero, or a promise broken.

    `promised` is what requisitions have of it already.
    """

    lot_id: int
    item_id: int
    lot_number: str
    expires_on: date | None
    available: int
    expired: bool = False
    held: bool = False
    promised: int = 0

    @property
    def usable(self) -> bool:
        return not self.expired and not self.held and self.available > 0


class Picked(NamedTuple):
    """So many units of a lot for one line of a document."""

    line: int
    lot_id: int
    quantity: int


class Why(NamedTuple):
    """Why a lot is taken, or is not: a stable code, and the sentence in both languages."""

    lot_number: str
    expires_on: date | None
    taken: int
    code: str
    zh: str
    en: str


def order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Earliest expiry first, undated last; the lot number breaks ties, so that two clerks are told the same."""
    return sorted(candidates, key=lambda c: (c.expires_on or date.max, c.lot_number, c.lot_id))


def pick(candidates: Sequence[Candidate], quantity: int, line: int = 0) -> list[Picked]:
    """What to take for `quantity` units, or as much of it as there is; the caller compares the sum.

    >>> a = Candidate(1, 1, "A", date(2026, 6, 30), 5)
    >>> b = Candidate(2, 1, "B", date(2026, 5, 31), 3)
    >>> pick([a, b], 4)
    [Picked(line=0, lot_id=2, quantity=3), Picked(line=0, lot_id=1, quantity=1)]
    """
    picked = []
    for candidate in order(candidates):
        taken = min(quantity, candidate.available) if candidate.usable else 0
        if taken:
            picked.append(Picked(line, candidate.lot_id, taken))
            quantity -= taken
    return picked


class Looked(NamedTuple):
    """The lots a line looked at: those it takes and those it passes over; of the latter `more` are not named."""

    lots: list[Why]
    more: int


PASSED_OVER_MAX = 20
"""Lots named beside those that are taken: a document of many lines over a shelf of many lots must end somewhere."""


def explain(
    shelf: Sequence[Candidate],
    taken: Mapping[int, int],
    *,
    gone: Mapping[int, int] = MappingProxyType({}),
    named: bool = False,
    because: str | None = None,
) -> Looked:
    """Why these lots and not those before them; `shelf` is in the order in which lots should go.

    `gone` is what other lines of the document have taken before; `because` is the reason of a clerk who named the lot.
    """
    left = len(taken)
    lots: list[Why] = []
    passed = 0
    for lot in shelf:
        if not left:
            break
        units = taken.get(lot.lot_id, 0)
        if units:
            left -= 1
            lots.append(_taken(lot, units, named=named, because=because))
        elif lot.available > 0 or lot.promised or lot.expired or lot.held:
            passed += 1
            if passed <= PASSED_OVER_MAX:
                lots.append(_passed_over(lot, gone.get(lot.lot_id, 0), named=named))
    return Looked(lots, max(0, passed - PASSED_OVER_MAX))


def later(shelf: Sequence[Candidate], looked: Looked) -> list[Why]:
    """The usable lots behind those a line looked at, which are not needed yet."""
    seen = {why.lot_number for why in looked.lots}
    return [
        Why(lot.lot_number, lot.expires_on, 0, *_words(lot, "later"))
        if lot.usable
        else _passed_over(lot, 0, named=False)
        for lot in shelf
        if lot.lot_number not in seen
    ]


def _taken(lot: Candidate, units: int, *, named: bool, because: str | None) -> Why:
    if because:
        words = ("chosen", f"由操作人指定:{because}", f"chosen by the clerk: {because}")
    else:
        words = _words(lot, "named" if named else "first_to_expire")
    return Why(lot.lot_number, lot.expires_on, units, *words)


def _passed_over(lot: Candidate, gone: int, *, named: bool) -> Why:
    if lot.expired:
        words = _words(lot, "expired")
    elif lot.held:
        words = _words(lot, "on_hold")
    elif lot.available <= 0:
        words = _words(lot, "promised")
    elif named and gone < lot.available:
        words = _words(lot, "passed_over")
    else:
        words = _words(lot, "other_line")
    return Why(lot.lot_number, lot.expires_on, 0, *words)


def _words(lot: Candidate, code: str) -> tuple[str, str, str]:
    zh, en = _SENTENCES[code]
    told = {"until": lot.expires_on or "-", "promised": lot.promised}
    return code, zh.format_map(told), en.format_map(told)


_SENTENCES = {
    "first_to_expire": ("可用批号中最先到期({until})", "expires first of what is usable ({until})"),
    "named": ("按指定批号发出,无更早到期的可用批号", "the lot that was named; no usable lot expires before it"),
    "expired": ("已过期({until})", "expired on {until}"),
    "on_hold": ("冻结或待检", "on hold or waiting for inspection"),
    "promised": ("已分配 {promised}", "{promised} promised to requisitions"),
    "passed_over": ("未取:已指定其他批号({until})", "passed over for the lot that was named ({until})"),
    "other_line": ("已由本单其他行领完", "used up by other lines of this document"),
    "later": ("到期较晚({until}),暂不需要", "expires later ({until}) and is not needed yet"),
}
