"""First expired, first out (近效期先出): which lots to take, as a pure decision."""

from collections.abc import Mapping, Sequence
from datetime import date
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


def explain(candidates: Sequence[Candidate], taken: Mapping[int, int], because: str | None = None) -> list[Why]:
    """Why these lots and not the others, in the order in which they should go; `because` is a clerk's own reason."""
    return [_why(c, taken.get(c.lot_id, 0), because) for c in order(candidates)]


def _why(lot: Candidate, taken: int, because: str | None) -> Why:
    until = lot.expires_on or "-"
    if taken and because:
        code, zh, en = "chosen", f"由操作人指定:{because}", f"chosen by the clerk: {because}"
    elif taken:
        code, zh, en = "first_to_expire", f"可用批号中最先到期({until})", f"expires first of what is usable ({until})"
    elif lot.expired:
        code, zh, en = "expired", f"已过期({until})", f"expired on {until}"
    elif lot.held:
        code, zh, en = "on_hold", "冻结或待检", "on hold or waiting for inspection"
    elif lot.available <= 0 and lot.promised:
        code, zh, en = "promised", f"已分配 {lot.promised}", f"{lot.promised} promised to requisitions"
    elif lot.available <= 0:
        code, zh, en = "used_up", "当时已无余量", "nothing left of it at that moment"
    else:
        code, zh, en = "later", f"到期较晚({until}),暂不需要", f"expires later ({until}) and is not needed yet"
    return Why(lot.lot_number, lot.expires_on, taken, code, zh, en)
