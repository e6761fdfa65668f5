"""Recording: what a clerk may do, what is refused and with which words, and that a refusal leaves no trace."""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError

from reserve import assessment, catalogue, coverage, database, ledger, lots, stock
from reserve.errors import (
    AlreadyReversed,
    Conflict,
    InsufficientStock,
    Invalid,
    LotConflict,
    LotExpired,
    LotOnHold,
    NotReversible,
    OutOfBounds,
    Refusal,
    Unknown,
    UnknownItem,
    UnknownLocation,
    UnknownLot,
    UnknownPack,
    WouldGoNegative,
)
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.model import QUANTITY_MAX, Purpose

CITY, COUNTY = "371400-W1", "371425-W1"
BOX = "06901234567892"
LATER = date(2027, 6, 30)


def lot(number, quantity=100, expires_on=LATER, item="N95", **more):
    return ReceiptLine(number, expires_on, item=item, quantity=quantity, **more)


def receive(engine, *lines, location=CITY, **changes):
    with database.writing(engine) as session:
        return ledger.receive(session, entry(**changes), location=location, lines=lines)


def issue(engine, *lines, location=CITY, purpose=Purpose.USE, **changes):
    with database.writing(engine) as session:
        return ledger.issue(session, entry(**changes), location=location, lines=lines, purpose=purpose)


def adjust(engine, *lines, location=CITY, **changes):
    with database.writing(engine) as session:
        return ledger.adjust(session, entry(**changes), location=location, lines=lines)


def reverse(engine, movement_id, **changes):
    with database.writing(engine) as session:
        return ledger.reverse(session, entry(**changes), movement_id=movement_id, reason="typing error")


def hold(engine, lot_number, item="N95", now=NOW):
    with database.writing(engine) as session:
        found = catalogue.item(session, item)
        lots.place_hold(session, item_id=found.id, lot_number=lot_number, reason="recall", actor="Wang", now=now)


def taken(posted):
    return [(m.lot_number, m.quantity) for m in posted.movements]


def there(engine, location=CITY, **question):
    """What lies at a place: lot number -> units."""
    with database.reading(engine) as session:
        scope = catalogue.place(session, location)
        question = stock.StockQuestion(**{"day": TODAY, "scope": scope, **question})
        return {row.lot_number: row.on_hand for row in stock.rows(session, question)}


def books(engine):
    """Every row that a recording may write."""
    tables = ("document", "movement", "balance", "lot", "coveragedue", "hold")
    with engine.connect() as connection:
        return {t: sorted(map(str, connection.execute(text(f"SELECT * FROM {t}")))) for t in tables}


@contextmanager
def refused(engine, kind, code=None):
    """P15: the refusal has its code, says what to do, and leaves no trace."""
    before = books(engine)
    with pytest.raises(kind) as caught:
        yield caught
    assert books(engine) == before
    assert type(caught.value) is kind
    assert caught.value.code == (code or kind.code)
    assert caught.value.detail.endswith(".")


# -- receipts ---------------------------------------------------------------------------------------------------------


def test_a_receipt_puts_goods_in_stock_and_answers_with_a_document(city):
    posted = receive(city, lot("A", 100), lot("B", 50, date(2026, 12, 31), unit_cost=25_000), reference="PO 7")
    assert posted.document == "RC-20260401-000001"
    first, second = posted.movements
    assert (first.source, first.target, first.quantity, first.lot_number) == ("SUPPLIER", CITY, 100, "A")
    assert (second.expires_on, second.reference, second.actor) == (date(2026, 12, 31), "PO 7", "Li Wei")
    assert (first.occurred_at, first.recorded_at, first.kind) == (NOW, NOW, "receipt")
    assert first.id < second.id
    assert there(city) == {"A": 100, "B": 50}


def test_documents_are_numbered_one_after_the_other_with_their_kind_and_day(city):
    receive(city, lot("A"))
    evening = datetime(2026, 4, 1, 16, 0, tzinfo=UTC)  # midnight in Dezhou: the second of April
    numbers = [
        issue(city, IssueLine("N95", 1), now=evening).document,
        adjust(city, AdjustmentLine("N95", "A", -1, "lost"), now=evening).document,
        reverse(city, 2, now=evening).document,
    ]
    assert numbers == ["IS-20260402-000001", "AD-20260402-000001", "RV-20260402-000001"]
    with pytest.raises(InsufficientStock):
        issue(city, IssueLine("N95", 1000), now=evening)
    assert issue(city, IssueLine("N95", 1), now=evening).document == "IS-20260402-000002"  # the refusal left no gap


@pytest.mark.parametrize("gtin", [BOX, "6901234567892", " 06901234567892 "])
def test_boxes_are_booked_in_base_units(city, gtin):
    receive(city, ReceiptLine("A", LATER, gtin=gtin, packs=3), ReceiptLine("B", LATER, gtin=gtin, quantity=7))
    assert there(city) == {"A": 1200, "B": 7}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (ReceiptLine("A", LATER, item="VENT", gtin=BOX, packs=1), "gtin_of_another_item"),
        (ReceiptLine("A", LATER, item="N95", packs=1), "invalid_value"),
        (ReceiptLine("A", LATER, gtin=BOX), "invalid_value"),
        (ReceiptLine("A", LATER, gtin=BOX, packs=1, quantity=400), "invalid_value"),
        (ReceiptLine("A", LATER, quantity=1), "invalid_value"),
        (ReceiptLine("A", LATER, gtin="06901234567893", packs=1), "invalid_gtin"),
        (ReceiptLine("A", LATER, gtin="6901", packs=1), "invalid_gtin"),
        (ReceiptLine("A", LATER, gtin=BOX, packs=QUANTITY_MAX // 400 + 1), "quantity_too_large"),
    ],
)
def test_a_line_that_cannot_be_understood_is_refused_whole(city, line, code):
    with refused(city, Invalid, code):
        receive(city, lot("B"), line)


def test_the_same_lot_with_another_expiry_is_refused_with_both_dates(city):
    receive(city, lot("A", expires_on=date(2027, 1, 31)))
    with refused(city, LotConflict) as caught:
        receive(city, lot("B"), lot("A", expires_on=date(2027, 1, 13)), location=COUNTY)
    assert "2027-01-31" in caught.value.detail
    assert "2027-01-13" in caught.value.detail
    assert [fault.pointer for fault in caught.value.faults] == ["/lines/1/expires_on"]


def test_two_expiries_of_one_lot_within_one_document_are_refused(city):
    with refused(city, LotConflict) as caught:
        receive(city, lot("A", expires_on=date(2027, 1, 31)), lot("A", expires_on=date(2027, 1, 13)))
    assert "2027-01-31" in caught.value.detail
    assert "2027-01-13" in caught.value.detail


def test_an_undated_lot_does_not_become_a_dated_one(city):
    receive(city, lot("V1", 2, None, item="VENT"))
    with refused(city, LotConflict) as caught:
        receive(city, lot("V1", 2, LATER, item="VENT"))
    assert "none" in caught.value.detail


def test_the_same_lot_number_of_two_items_is_two_lots(city):
    receive(city, lot("A", 5, date(2027, 1, 31)), lot("A", 3, None, item="VENT"))
    with database.reading(city) as session:
        rows = stock.rows(session, stock.StockQuestion(day=TODAY))
    assert [(r.item, r.lot_number, r.expires_on, r.on_hand) for r in rows] == [
        ("N95", "A", date(2027, 1, 31), 5),
        ("VENT", "A", None, 3),
    ]


def test_the_same_lot_twice_in_one_document_is_two_lines_of_one_lot(city):
    posted = receive(city, lot("A", 30), lot("A", 12))
    assert [m.quantity for m in posted.movements] == [30, 12]
    assert there(city) == {"A": 42}


def test_goods_are_taken_in_on_their_last_day_and_not_on_the_next(city):
    receive(city, lot("A", expires_on=TODAY))
    with refused(city, LotExpired) as caught:
        receive(city, lot("B", expires_on=TODAY - timedelta(days=1)))
    assert "2026-03-31" in caught.value.detail


def test_goods_that_expire_need_their_date_and_goods_that_do_not_need_none(city):
    with refused(city, Invalid, "expiry_required") as caught:
        receive(city, lot("V1", 2, None, item="VENT"), lot("A", expires_on=None))
    assert [fault.pointer for fault in caught.value.faults] == ["/lines/1/expires_on"]
    receive(city, lot("V1", 2, None, item="VENT"))
    assert there(city) == {"V1": 2}


def test_a_lot_made_after_it_expires_is_refused(city):
    with refused(city, Invalid, "dates_reversed"):
        receive(city, lot("A", expires_on=LATER, manufactured_on=LATER + timedelta(days=1)))


@pytest.mark.parametrize(
    ("line", "place", "kind"),
    [
        (lot("A", item="N96"), CITY, UnknownItem),
        (ReceiptLine("A", LATER, gtin="06901234567809", packs=1), CITY, UnknownPack),
        (lot("A"), "371400-W9", UnknownLocation),
        (lot("A"), "SUPPLIER", UnknownLocation),
        (lot("A"), "TRANSIT", UnknownLocation),
    ],
)
def test_unknown_codes_are_refused_by_name(city, line, place, kind):
    with refused(city, kind) as caught:
        receive(city, lot("B"), line, location=place)
    assert caught.value.faults[0].pointer in {"/lines/1/item", "/lines/1/gtin", "/location"}


def test_p04_a_document_whose_last_line_is_refused_leaves_nothing(city):
    with refused(city, UnknownItem):
        receive(city, *(lot(f"L{n}") for n in range(200)), lot("X", item="N96"))
    receive(city, lot("A", 10))
    with refused(city, InsufficientStock):
        issue(city, IssueLine("N95", 10), IssueLine("N95", 1))


def test_donated_goods_come_from_the_donor(city):
    with database.writing(city) as session:
        posted = ledger.receive(session, entry(), location=CITY, lines=[lot("A")], source="DONOR")
    assert posted.movements[0].source == "DONOR"
    before = books(city)
    with database.writing(city) as session, pytest.raises(Invalid, match="not an outside end"):
        ledger.receive(session, entry(), location=CITY, lines=[lot("A")], source=COUNTY)
    assert books(city) == before


# -- quantities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", [0, -1, 1.5, 5.0, "5", True, None, 2**63])
def test_a_quantity_is_a_whole_number_of_units(city, quantity):
    receive(city, lot("A", 10))
    with pytest.raises(Invalid) as caught, database.writing(city) as session:
        ledger.receive(session, entry(), location=CITY, lines=[lot("A", quantity)])
    assert caught.value.code in {"invalid_value", "quantity_too_large"}
    if quantity is not None:
        with pytest.raises(Invalid):
            issue(city, IssueLine("N95", quantity))
    assert there(city) == {"A": 10}


def test_a_document_without_lines_is_refused(city):
    for record in (receive, issue, adjust):
        with refused(city, Invalid):
            record(city)


def test_one_lot_holds_up_to_ten_to_the_fifteenth_and_not_one_more(city):
    receive(city, lot("A", QUANTITY_MAX))
    assert there(city) == {"A": 10**15}
    with refused(city, Invalid, "quantity_too_large"):
        receive(city, lot("A", 1))
    with refused(city, Invalid, "quantity_too_large"):
        receive(city, lot("B", QUANTITY_MAX + 1))
    receive(city, lot("B", QUANTITY_MAX))
    posted = issue(city, IssueLine("N95", 10**15), IssueLine("N95", 10**15 - 1))
    assert sum(m.quantity for m in posted.movements) == 2 * 10**15 - 1
    assert there(city) == {"B": 1}


# -- issues -----------------------------------------------------------------------------------------------------------


def test_what_expires_first_goes_first_and_what_never_expires_goes_last(city):
    receive(city, lot("V0", 5, None, "VENT"), lot("V2", 5, date(2027, 1, 1), "VENT"), lot("V1", 5, LATER, "VENT"))
    assert taken(issue(city, IssueLine("VENT", 12))) == [("V2", 5), ("V1", 5), ("V0", 2)]


def test_of_lots_that_expire_together_the_lower_number_goes_first(city):
    receive(city, lot("B", 5), lot("C", 5), lot("A", 5))
    assert taken(issue(city, IssueLine("N95", 7))) == [("A", 5), ("B", 2)]


def test_several_movements_of_a_line_are_one_document(city):
    receive(city, lot("A", 5), lot("B", 5), lot("C", 5, date(2026, 5, 1)))
    posted = issue(city, IssueLine("N95", 11))
    assert taken(posted) == [("C", 5), ("A", 5), ("B", 1)]
    assert {m.document for m in posted.movements} == {posted.document}
    assert there(city) == {"B": 4}


def test_two_lines_of_the_same_item_share_the_shelf(city):
    receive(city, lot("A", 5, date(2026, 5, 1)), lot("B", 5), lot("V1", 3, None, "VENT"))
    posted = issue(city, IssueLine("N95", 4), IssueLine("VENT", 2), IssueLine("N95", 4))
    assert taken(posted) == [("A", 4), ("V1", 2), ("A", 1), ("B", 3)]
    with refused(city, InsufficientStock) as caught:
        issue(city, IssueLine("N95", 1), IssueLine("N95", 2))
    assert caught.value.extra["lines"] == [
        {"line": 1, "item": "N95", "lot_number": None, "on_hand": 2, "usable": 1, "requested": 2}
    ]


def test_a_named_lot_that_is_not_the_first_needs_a_reason_that_the_ledger_keeps(city):
    receive(city, lot("A", 5, date(2026, 5, 1)), lot("B", 5), lot("C", 5))
    with refused(city, Invalid, "override_reason_required") as caught:
        issue(city, IssueLine("N95", 2, "B"))
    assert "Lot A expires first (2026-05-01)" in caught.value.detail
    assert caught.value.faults[0].pointer == "/lines/0/override_reason"
    posted = issue(city, IssueLine("N95", 2, "B", "the hospital's masks must be of one lot"))
    assert posted.movements[0].reason == "the hospital's masks must be of one lot"


def test_a_named_lot_that_is_among_the_first_needs_no_reason(city):
    receive(city, lot("A", 5, date(2026, 5, 1)), lot("B", 5), lot("C", 5))
    posted = issue(city, IssueLine("N95", 5, "A"), IssueLine("N95", 2, "C"))  # B and C expire on the same day
    assert taken(posted) == [("A", 5), ("C", 2)]


def test_an_expired_or_held_lot_does_not_count_as_the_first(city):
    receive(city, lot("OLD", 5, TODAY), lot("HELD", 5, date(2026, 5, 1)), lot("B", 5))
    hold(city, "HELD")
    tomorrow = NOW + timedelta(days=1)
    assert taken(issue(city, IssueLine("N95", 2, "B"), now=tomorrow)) == [("B", 2)]


def test_a_named_lot_that_is_expired_held_or_elsewhere_is_refused(city):
    receive(city, lot("OLD", 5, TODAY), lot("HELD", 5), lot("B", 5))
    receive(city, lot("FAR", 5), location=COUNTY)
    hold(city, "HELD")
    tomorrow = NOW + timedelta(days=1)
    for number, kind in (("OLD", LotExpired), ("HELD", LotOnHold), ("FAR", UnknownLot), ("NONE", UnknownLot)):
        with refused(city, kind) as caught:
            issue(city, IssueLine("N95", 1), IssueLine("N95", 1, number, "wanted"), now=tomorrow)
        assert caught.value.faults[0].pointer == "/lines/1/lot_number"


def test_too_little_says_how_much_there_is_and_moves_nothing(city):
    receive(city, lot("A", 30), lot("HELD", 500), lot("OLD", 7, TODAY), lot("V1", 2, None, "VENT"))
    hold(city, "HELD")
    with refused(city, InsufficientStock) as caught:
        issue(city, IssueLine("VENT", 1), IssueLine("N95", 31), IssueLine("VENT", 9), now=NOW + timedelta(days=1))
    assert caught.value.extra["lines"] == [
        {"line": 1, "item": "N95", "lot_number": None, "on_hand": 537, "usable": 30, "requested": 31},
        {"line": 2, "item": "VENT", "lot_number": None, "on_hand": 2, "usable": 1, "requested": 9},
    ]
    assert "N95: 31 requested, 30 usable of 537" in caught.value.detail


def test_too_little_of_a_named_lot_speaks_of_that_lot(city):
    receive(city, lot("A", 30), lot("B", 500))
    with refused(city, InsufficientStock) as caught:
        issue(city, IssueLine("N95", 31, "A"))
    assert caught.value.extra["lines"] == [
        {"line": 0, "item": "N95", "lot_number": "A", "on_hand": 30, "usable": 30, "requested": 31}
    ]


def test_goods_of_another_place_are_not_touched(city):
    receive(city, lot("A", 10))
    receive(city, lot("A", 10), location=COUNTY)
    with refused(city, InsufficientStock):
        issue(city, IssueLine("N95", 11))
    issue(city, IssueLine("N95", 10))
    assert there(city) == {}
    assert there(city, COUNTY) == {"A": 10}


def test_an_issue_keeps_its_purpose_and_recipient(city):
    receive(city, lot("A", 10))
    with database.writing(city) as session:
        ledger.issue(
            session,
            entry(),
            location=CITY,
            lines=[IssueLine("N95", 3)],
            purpose=Purpose.ALLOCATION,
            recipient="齐河县医院",
        )
    with database.reading(city) as session:
        newest = stock.movements(session, stock.MovementQuestion())[0]
    assert (newest.purpose, newest.recipient, newest.target) == ("allocation", "齐河县医院", "CONSUMER")


# -- the last usable day ----------------------------------------------------------------------------------------------

LAST_MOMENT = datetime(2026, 4, 1, 15, 59, 59, 999_999, tzinfo=UTC)
NEXT_DAY = datetime(2026, 4, 1, 16, 0, tzinfo=UTC)


def usable_everywhere(engine, now):
    """The same lot asked of every function: the stock list, the coverage row, the shelf of an issue."""
    day = now.astimezone(SHANGHAI).date()
    with database.reading(engine) as session:
        (row,) = stock.rows(session, stock.StockQuestion(day=day))
        moment = coverage.when(None, now=now, zone=SHANGHAI)
        world = coverage.board(session, moment)
        item = catalogue.item(session, "N95")
        (case,) = coverage.read(session, world, item, [catalogue.place(session, CITY)], moment)
        counted = assessment.assess(case).row
    try:
        with database.writing(engine) as session:
            ledger.issue(session, entry(now=now), location=CITY, lines=[IssueLine("N95", 5)], purpose=Purpose.USE)
            session.rollback()
        issued = 5
    except InsufficientStock as refusal:
        (short,) = refusal.extra["lines"]
        issued = short["usable"]
    return row.usable, counted["usable"], issued, counted["expired"]


def test_a_lot_is_usable_until_midnight_of_its_last_day_here_and_in_no_function_after(city):
    receive(city, lot("A", 5, TODAY))
    assert usable_everywhere(city, NOW) == (5, 5, 5, 0)
    assert usable_everywhere(city, LAST_MOMENT) == (5, 5, 5, 0)
    assert usable_everywhere(city, NEXT_DAY) == (0, 0, 0, 5)


@pytest.mark.parametrize("last_day", [date(2028, 2, 29), date(2026, 2, 28), date(2026, 12, 31)])
def test_month_ends_and_leap_days_are_days_like_others(city, last_day):
    morning = datetime.combine(last_day, datetime.min.time(), SHANGHAI)
    receive(city, lot("A", 5, last_day), now=morning)
    late = morning + timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999)
    assert usable_everywhere(city, late) == (5, 5, 5, 0)
    assert usable_everywhere(city, late + timedelta(microseconds=1)) == (0, 0, 0, 5)


def test_an_issue_entered_for_the_last_usable_day_is_judged_by_that_day(city):
    receive(city, lot("A", 5, TODAY))
    tomorrow = NOW + timedelta(days=1)
    assert taken(issue(city, IssueLine("N95", 2), now=tomorrow, occurred=TODAY)) == [("A", 2)]
    with refused(city, InsufficientStock):
        issue(city, IssueLine("N95", 2), now=tomorrow)


# -- reversals --------------------------------------------------------------------------------------------------------


def test_a_reversal_leaves_what_was_before_and_both_stay_visible(city):
    receive(city, lot("A", 10), lot("B", 10, date(2026, 5, 1)))
    issued = issue(city, IssueLine("N95", 13))
    for movement in issued.movements:
        undone = reverse(city, movement.id).movements[0]
        assert (undone.source, undone.target) == (movement.target, movement.source)
        assert (undone.quantity, undone.reverses, undone.reason) == (movement.quantity, movement.id, "typing error")
    assert there(city) == {"A": 10, "B": 10}
    with database.reading(city) as session:
        assert len(stock.movements(session, stock.MovementQuestion())) == 6


def test_a_movement_is_reversed_once(city):
    receive(city, lot("A", 10))
    movement = issue(city, IssueLine("N95", 3)).movements[0]
    done = reverse(city, movement.id)
    with refused(city, AlreadyReversed) as caught:
        reverse(city, movement.id)
    assert done.document in caught.value.detail


def test_a_reversal_is_never_reversed(city):
    receive(city, lot("A", 10))
    undone = reverse(city, issue(city, IssueLine("N95", 3)).movements[0].id)
    with refused(city, NotReversible):
        reverse(city, undone.movements[0].id)


def test_a_receipt_is_not_reversed_once_its_goods_have_gone(city):
    received = receive(city, lot("A", 10))
    issued = issue(city, IssueLine("N95", 3))
    with refused(city, InsufficientStock):
        reverse(city, received.movements[0].id)
    reverse(city, issued.movements[0].id)
    reverse(city, received.movements[0].id)
    assert there(city) == {}


def test_a_movement_that_does_not_exist_cannot_be_reversed(city):
    with refused(city, Unknown, "unknown_movement"):
        reverse(city, 12345)


def test_a_gain_and_a_loss_are_reversed_like_anything_else(city):
    receive(city, lot("A", 10))
    gain, loss = adjust(city, AdjustmentLine("N95", "A", 5, "found"), AdjustmentLine("N95", "A", -2, "lost")).movements
    reverse(city, gain.id)
    reverse(city, loss.id)
    assert there(city) == {"A": 10}


# -- adjustments ------------------------------------------------------------------------------------------------------


def test_a_gain_comes_from_the_variance_and_a_loss_goes_there(city):
    receive(city, lot("A", 10))
    posted = adjust(city, AdjustmentLine("N95", "A", -4, "damaged"), AdjustmentLine("N95", "A", 1, "count_gain"))
    assert sorted((m.source, m.target, m.quantity, m.reason) for m in posted.movements) == [
        (CITY, "VARIANCE", 4, "damaged"),
        ("VARIANCE", CITY, 1, "count_gain"),
    ]
    assert there(city) == {"A": 7}


def test_gains_count_before_losses_in_the_answer_and_in_the_ledger(city):
    posted = adjust(
        city, AdjustmentLine("N95", "A", 5, "found", LATER), AdjustmentLine("VENT", "V", 2, "found"), now=NOW
    )
    assert [m.quantity for m in posted.movements] == [5, 2]
    posted = adjust(city, AdjustmentLine("N95", "A", -9, "lost"), AdjustmentLine("N95", "A", 4, "found"))
    assert [(m.source, m.quantity) for m in posted.movements] == [("VARIANCE", 4), (CITY, 9)]
    assert there(city) == {"V": 2}


def test_a_loss_of_more_than_the_books_hold_is_refused(city):
    receive(city, lot("A", 10))
    with refused(city, InsufficientStock) as caught:
        adjust(city, AdjustmentLine("N95", "A", -7, "lost"), AdjustmentLine("N95", "A", -4, "damaged"))
    (short,) = caught.value.extra["lines"]
    assert (short["usable"], short["requested"], short["lot_number"]) == (10, 11, "A")


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        (AdjustmentLine("N95", "A", 1, "because"), Invalid, "unknown_reason"),
        (AdjustmentLine("N95", "A", 0, "found"), Invalid, "invalid_value"),
        (AdjustmentLine("N95", "NEW", -1, "lost"), UnknownLot, "unknown_lot"),
        (AdjustmentLine("N95", "NEW", 1, "found"), Invalid, "expiry_required"),
        (AdjustmentLine("N96", "A", 1, "found"), UnknownItem, "unknown_item"),
        (AdjustmentLine("N95", "A", QUANTITY_MAX + 1, "found"), Invalid, "quantity_too_large"),
    ],
)
def test_an_adjustment_that_cannot_be_is_refused(city, line, kind, code):
    receive(city, lot("A", 10))
    with refused(city, kind, code):
        adjust(city, AdjustmentLine("N95", "A", 1, "found"), line)


def test_held_and_expired_goods_can_be_written_off_though_not_handed_out(city):
    receive(city, lot("HELD", 5), lot("OLD", 5, TODAY))
    hold(city, "HELD")
    adjust(
        city,
        AdjustmentLine("N95", "HELD", -5, "damaged"),
        AdjustmentLine("N95", "OLD", -5, "other"),
        now=NOW + timedelta(days=3),
    )
    assert there(city) == {}


# -- back-dating ------------------------------------------------------------------------------------------------------

APRIL_12 = datetime(2026, 4, 12, 2, 0, tzinfo=UTC)


def on(day):
    return date(2026, 4, day)


def at(day, hour=2):
    return datetime(2026, 4, day, hour, tzinfo=UTC)


def test_k5_an_issue_of_the_ninth_that_would_empty_the_tenth_is_refused_and_names_both(city):
    receive(city, lot("A", 100), now=at(1))
    issue(city, IssueLine("N95", 80), now=at(10))
    with refused(city, WouldGoNegative) as caught:
        issue(city, IssueLine("N95", 50), now=APRIL_12, occurred=on(9))
    assert caught.value.extra == {"day": "2026-04-10", "balance": -30}
    assert "-30" in caught.value.detail
    assert "2026-04-10" in caught.value.detail
    issue(city, IssueLine("N95", 20), now=APRIL_12, occurred=on(9))
    assert there(city) == {}
    assert there(city, at=at(10, 1), day=on(9)) == {"A": 80}


def test_the_day_is_named_too_when_nothing_is_left_today(city):
    receive(city, lot("A", 100), now=at(1))
    issue(city, IssueLine("N95", 100), now=at(10))
    with refused(city, WouldGoNegative) as caught:
        issue(city, IssueLine("N95", 50), now=APRIL_12, occurred=on(9))
    assert caught.value.extra == {"day": "2026-04-10", "balance": -50}


def test_the_lines_of_a_document_count_together_when_the_day_is_named(city):
    receive(city, lot("A", 100), now=at(1))
    issue(city, IssueLine("N95", 80), now=at(10))
    with refused(city, WouldGoNegative) as caught:
        issue(city, IssueLine("N95", 15), IssueLine("N95", 35), now=APRIL_12, occurred=on(9))
    assert caught.value.extra == {"day": "2026-04-10", "balance": -30}


def test_goods_that_came_later_cannot_have_gone_out_before(city):
    receive(city, lot("A", 100), now=at(10))
    with refused(city, InsufficientStock) as caught:
        issue(city, IssueLine("N95", 5), now=APRIL_12, occurred=on(9))
    (short,) = caught.value.extra["lines"]
    assert (short["on_hand"], short["usable"]) == (100, 0)


def test_a_later_receipt_does_not_hide_a_day_below_zero(city):
    receive(city, lot("A", 100), now=at(1))
    issue(city, IssueLine("N95", 80), now=at(5))
    receive(city, lot("A", 500), now=at(7))
    with refused(city, WouldGoNegative) as caught:
        issue(city, IssueLine("N95", 21), now=at(8), occurred=on(4))
    assert caught.value.extra == {"day": "2026-04-05", "balance": -1}


def test_a_loss_of_the_past_is_checked_like_an_issue(city):
    receive(city, lot("A", 100), now=at(1))
    issue(city, IssueLine("N95", 100), now=at(10))
    with refused(city, WouldGoNegative) as caught:
        adjust(city, AdjustmentLine("N95", "A", -30, "damaged"), now=APRIL_12, occurred=on(9))
    assert caught.value.extra == {"day": "2026-04-10", "balance": -30}


def test_what_comes_in_on_a_day_counts_from_its_start_and_what_goes_out_from_its_end(city):
    came = receive(city, lot("A", 100), now=APRIL_12, occurred=on(9)).movements[0]
    went = issue(city, IssueLine("N95", 100), now=APRIL_12, occurred=on(9)).movements[0]
    assert came.occurred_at == datetime(2026, 4, 8, 16, 0, tzinfo=UTC)
    assert went.occurred_at == datetime(2026, 4, 9, 15, 59, 59, 999_999, tzinfo=UTC)
    assert came.recorded_at == went.recorded_at == APRIL_12


def test_an_entry_of_today_or_with_no_time_is_of_now(city):
    assert receive(city, lot("A")).movements[0].occurred_at == NOW
    assert receive(city, lot("A"), occurred=TODAY).movements[0].occurred_at == NOW


def test_a_moment_keeps_its_moment_whatever_its_zone(city):
    told = datetime(2026, 3, 31, 23, 30, tzinfo=SHANGHAI)
    assert receive(city, lot("A"), occurred=told).movements[0].occurred_at == datetime(2026, 3, 31, 15, 30, tzinfo=UTC)


def test_the_future_is_refused_and_a_clock_a_little_ahead_is_not(city):
    ahead = receive(city, lot("A"), occurred=NOW + timedelta(minutes=5))
    assert ahead.movements[0].occurred_at == NOW
    for future in (NOW + timedelta(minutes=5, microseconds=1), TODAY + timedelta(days=1), date.max):
        with refused(city, OutOfBounds):
            receive(city, lot("A"), occurred=future)
        with refused(city, OutOfBounds):
            issue(city, IssueLine("N95", 1), occurred=future)


def test_back_dating_is_bounded_in_civil_days(city):
    receive(city, lot("A"), occurred=TODAY - timedelta(days=14))
    with refused(city, OutOfBounds) as caught:
        receive(city, lot("A"), occurred=TODAY - timedelta(days=15))
    assert "2026-03-18" in caught.value.detail
    with refused(city, OutOfBounds):
        receive(city, lot("A"), occurred=TODAY - timedelta(days=1), back_dating_days=0)
    receive(city, lot("A"), occurred=date(2019, 1, 1), back_dating_days=None)


def test_days_at_the_ends_of_the_calendar_are_refused_and_a_naive_moment_is_a_bug(city):
    with refused(city, OutOfBounds):
        receive(city, lot("A"), occurred=date.min, back_dating_days=None)
    with pytest.raises(ValueError, match="needs its zone"):
        receive(city, lot("A"), occurred=datetime(2026, 3, 31, 12, 0))  # noqa: DTZ001 - the point


def test_an_entry_of_now_comes_after_what_a_server_with_a_faster_clock_recorded(city):
    ahead = NOW + timedelta(minutes=10)
    receive(city, lot("A", 10), now=ahead)
    posted = issue(city, IssueLine("N95", 4), now=NOW)
    assert posted.movements[0].occurred_at == ahead
    assert posted.movements[0].recorded_at == NOW
    undone = reverse(city, posted.movements[0].id, now=NOW)
    assert undone.movements[0].occurred_at == ahead


def test_p03_no_moment_of_the_history_is_below_zero_after_back_dating(city):
    receive(city, lot("A", 10), now=at(2))
    issue(city, IssueLine("N95", 4), now=at(6))
    receive(city, lot("A", 5), now=APRIL_12, occurred=on(4))
    issue(city, IssueLine("N95", 11), now=APRIL_12, occurred=on(5))
    with database.reading(city) as session:
        history = sorted(stock.movements(session, stock.MovementQuestion()), key=lambda m: (m.occurred_at, m.id))
    running, seen = 0, []
    for movement in history:
        running += movement.quantity if movement.target == CITY else -movement.quantity
        seen.append(running)
    assert seen == [10, 15, 4, 0]


# -- what the database itself refuses ---------------------------------------------------------------------------------


def execute(engine, statement, **values):
    with engine.begin() as connection:
        connection.execute(text(statement), values)


@pytest.fixture
def busy(city):
    """Some history of every append-only kind."""
    receive(city, lot("A", 10))
    issue(city, IssueLine("N95", 3))
    execute(
        city,
        "INSERT INTO consumption (item_id, location_id, day, revision, quantity, recorded_at, actor)"
        " SELECT item.id, location.id, '2026-03-31', 1, 5, '2026-04-01 00:00:00', 'x' FROM item, location"
        " WHERE item.code = 'N95' AND location.code = '371402-H1'",
    )
    execute(
        city,
        "INSERT INTO alert (scope_id, item_id, sequence, level, change, reason_zh, reason_en, coverage, raised_at)"
        " SELECT location.id, item.id, 1, 'red', 'raised', '', '', '{}', '2026-04-01 00:00:00' FROM item, location"
        " WHERE item.code = 'N95' AND location.code = '371400'",
    )
    return city


@pytest.mark.parametrize("table", ["document", "movement", "consumption", "alert"])
def test_p05_nothing_recorded_can_be_changed_or_deleted(busy, table):
    before = books(busy)
    column = {"document": "actor", "movement": "quantity", "consumption": "quantity", "alert": "reason_en"}[table]
    statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
    if busy.dialect.name == "sqlite":
        statements.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
        statements.append(f"REPLACE INTO {table} SELECT * FROM {table}")
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    for statement in statements:
        with pytest.raises(IntegrityError, match=f"{table} is append-only"):
            execute(busy, statement)
    assert books(busy) == before


MOVEMENT = (
    "INSERT INTO movement (document_id, line, lot_id, source_id, target_id, quantity, occurred_at, reverses)"
    " SELECT document_id, 90, lot_id, source_id, {target}, {quantity}, occurred_at, {reverses} FROM movement"
    " WHERE id = 1"
)


def movement(quantity="1", target="target_id", reverses="NULL"):
    return MOVEMENT.format(target=target, quantity=quantity, reverses=reverses)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(movement(quantity="0"), id="nothing moved"),
        pytest.param(movement(quantity="-1"), id="moved backwards"),
        pytest.param(movement(quantity=str(10**15 + 1)), id="more than can be"),
        pytest.param(movement(target="source_id"), id="both ends the same"),
        pytest.param(movement(target="99999"), id="to nowhere"),
        pytest.param(movement(reverses="99999"), id="reverses nothing"),
        pytest.param("UPDATE balance SET on_hand = -1", id="below zero"),
        pytest.param("UPDATE balance SET on_hand = 1000000000000001", id="balance beyond the largest"),
        pytest.param("UPDATE lot SET manufactured_on = '2099-01-01'", id="made after it expires"),
        pytest.param("INSERT INTO lot (item_id, lot_number) SELECT item_id, lot_number FROM lot", id="a lot twice"),
        pytest.param("UPDATE location SET kind = 'somewhere'", id="a kind of place that is none"),
        pytest.param("UPDATE pack SET units_per_pack = 0", id="an empty box"),
    ],
)
def test_the_database_refuses_what_can_never_be(busy, statement):
    before = books(busy)
    with pytest.raises(IntegrityError):
        execute(busy, statement)
    assert books(busy) == before
    execute(busy, movement())  # the same statement with possible values is taken


def test_the_database_refuses_the_same_reversal_twice(busy):
    reverse(busy, 2)
    with pytest.raises(IntegrityError):
        execute(busy, movement(reverses="2"))


@pytest.mark.parametrize(
    ("database_url", "value"),
    [("sqlite", "1.5"), ("sqlite", "'five'"), ("sqlite", "'5x'"), ("postgresql", "'1.5'"), ("postgresql", "'five'")],
    indirect=["database_url"],
)
def test_the_database_refuses_fractions_and_text_for_quantities(busy, value):
    for statement in (movement(quantity=value), f"UPDATE balance SET on_hand = {value}"):
        before = books(busy)
        with pytest.raises((IntegrityError, DataError)):  # PostgreSQL's types refuse it, SQLite's own checks do
            execute(busy, statement)
        assert books(busy) == before


def test_an_outside_place_never_has_a_balance_through_the_ledger(busy):
    with busy.connect() as connection:
        kinds = connection.execute(
            text("SELECT DISTINCT kind FROM balance JOIN location ON location.id = balance.location_id")
        ).scalars()
        assert list(kinds) == ["warehouse"]


def test_every_refusal_of_the_ledger_is_a_refusal_with_a_stable_code():
    kinds = {InsufficientStock, WouldGoNegative, LotConflict, LotExpired, LotOnHold, AlreadyReversed, NotReversible}
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(issubclass(kind, Conflict) and issubclass(kind, Refusal) for kind in kinds)
