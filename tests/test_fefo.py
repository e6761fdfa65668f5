"""Why this lot: what an answer says of the lots that are taken, and of those that were passed over."""

from datetime import date

from conftest import NOW, entry

from reserve import database, ledger
from reserve.fefo import PASSED_OVER_MAX, Candidate, explain, order
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import Purpose

W1 = "371400-W1"


def lot(number: int, available: int = 10, **more: bool | int) -> Candidate:
    return Candidate(number, 1, f"L{number:03}", date(2026, 6, 1 + number % 28), available, **more)  # type: ignore[arg-type]  # a test sets any field


def told(looked) -> list[tuple[str, str, int]]:
    return [(why.lot_number, why.code, why.taken) for why in looked.lots]


def test_lots_that_cannot_go_are_named_with_why_and_what_is_used_up_is_not():
    shelf = [lot(1, expired=True), lot(2, held=True), lot(3, 0, promised=5), lot(4, 0), lot(5), lot(6)]
    assert told(explain(shelf, {5: 4})) == [
        ("L001", "expired", 0),
        ("L002", "on_hold", 0),
        ("L003", "promised", 0),
        ("L005", "first_to_expire", 4),
    ]


def test_a_lot_that_was_named_before_an_earlier_one_is_not_said_to_expire_first_nor_the_other_later():
    looked = explain([lot(1), lot(2)], {2: 3}, named=True, because="outer box torn")
    assert told(looked) == [("L001", "passed_over", 0), ("L002", "chosen", 3)]
    assert "outer box torn" in looked.lots[1].en
    assert told(explain([lot(1), lot(2)], {1: 3}, named=True)) == [("L001", "named", 3)]


def test_a_lot_that_another_line_has_used_up_is_said_to_be():
    assert told(explain([lot(1), lot(2)], {2: 3}, gone={1: 10})) == [
        ("L001", "other_line", 0),
        ("L002", "first_to_expire", 3),
    ]


def test_an_answer_ends_however_many_lots_lie_before_the_one_that_is_named():
    shelf = order([lot(n) for n in range(1, 28)])
    looked = explain(shelf, {27: 1}, named=True, because="x")
    assert len(looked.lots) == PASSED_OVER_MAX + 1
    assert looked.more == 26 - PASSED_OVER_MAX
    assert told(looked)[-1] == ("L027", "chosen", 1)


def test_two_lines_of_a_document_explain_each_what_it_found(city):
    with database.writing(city) as session:
        lines = [ReceiptLine(n, date(2027, m, 1), item="N95", quantity=10) for n, m in (("A", 1), ("B", 2), ("C", 3))]
        ledger.receive(session, entry(), location=W1, lines=lines)
        asked = [IssueLine("N95", 10), IssueLine("N95", 2, "C", "torn"), IssueLine("N95", 1)]
        posted = ledger.issue(session, entry(), location=W1, lines=asked, purpose=Purpose.USE)
    codes = [[(w["lot_number"], w["code"]) for w in line["lots"]] for line in posted.more["picking"]]
    assert codes == [
        [("A", "first_to_expire")],
        [("A", "other_line"), ("B", "passed_over"), ("C", "chosen")],
        [("A", "other_line"), ("B", "first_to_expire")],
    ]


def test_a_preview_says_of_every_lot_whether_it_would_go(city):
    with database.writing(city) as session:
        lines = [ReceiptLine(n, date(2027, m, 1), item="N95", quantity=10) for n, m in (("A", 1), ("B", 2))]
        ledger.receive(session, entry(), location=W1, lines=lines)
    with database.reading(city) as session:
        why = ledger.picking(session, entry(now=NOW), location=W1, item="N95", quantity=4)
        assert [(w["lot_number"], w["code"], w["taken"]) for w in why["lots"]] == [
            ("A", "first_to_expire", 4),
            ("B", "later", 0),
        ]
        none = ledger.picking(session, entry(now=NOW), location=W1, item="VENT", quantity=4)
        assert (none["short"], none["lots"]) == (4, [])
