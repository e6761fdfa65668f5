"""A lot from whoever gave it to whoever got it: after transfers, reversals, holds, losses; and whether it adds up."""

from datetime import date, timedelta

import pytest
from books import W1, W2, adjust, issue, receive
from conftest import NOW, TODAY, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_cards import Statements
from test_invariants import LATER

from reserve import catalogue, database, inspection, ledger, lots, trace, transfers, verify
from reserve.errors import Refusal
from reserve.ledger import IssueLine, LotLine, Purpose
from reserve.lines import InspectedLine, SettledLine
from reserve.posting import Particulars

H1 = "371402-H1"
HERE = {"city": None, "county": "371425", "hospital": H1}


def ask(engine, lot="A", item="N95", within=None, day=TODAY):
    with database.reading(engine) as session:
        scope = None if within is None else catalogue.place(session, within)
        return trace.trace(session, catalogue.item(session, item), lot, day=day, within=scope)


def give(session, quantity, to, told=None, location=W1, purpose=Purpose.ALLOCATION):
    lines = [IssueLine("N95", quantity)]
    return ledger.issue(session, told or entry(), location=location, lines=lines, purpose=purpose, recipient=to)


def hold(session, lot="A", reason="recall"):
    item = catalogue.item(session, "N95")
    lots.place_hold(session, item_id=item.id, lot_number=lot, reason=reason, actor="Chief", now=NOW)


@pytest.fixture
def told(city):
    """100 masks bought; 40 sent to a county, 25 of them came, 5 were lost; three hospitals got some, one gave back."""
    with database.writing(city) as session:
        receive(session, ("N95", "A", 100, LATER), told=entry(reference="PO 7"))
        sent = transfers.send(session, entry(), source=W1, target=W2, lines=[IssueLine("N95", 40)])
        transfers.receive(session, entry(), number=sent.document, lines=[LotLine("N95", "A", 25)])
        lost = [SettledLine("N95", "A", 5, "lost", "fell off")]
        transfers.settle(session, entry(), number=sent.document, lines=lost)
        give(session, 10, "德城区医院")
        give(session, 7, "德城区医院", purpose=Purpose.USE)
        wrong = give(session, 8, "齐河县医院")
        ledger.reverse(session, entry(), movement_id=wrong.movements[0].id, reason="wrong truck")
        give(session, 6, "乡卫生院", location=W2)
        adjust(session, ("N95", "A", -3, "damaged"), ("N95", "A", 1, "found"))
        ledger.dispose(session, entry(), location=W2, lines=[LotLine("N95", "A", 2)], reason="damaged")
    return city


def test_a_lot_is_followed_to_its_last_unit(told):
    found = ask(told)
    assert found.sums._asdict() == {
        "received": 100,
        "from_elsewhere": 0,
        "lies": 41 + 17,
        "in_transit": 10,
        "issued": 23,
        "disposed": 2,
        "lost": 2 + 5,
        "downgraded": 0,
        "returned": 0,
        "to_elsewhere": 0,
    }
    assert found.sums.balanced
    assert found.complete
    assert [(row.place.code, row.on_hand, row.hold) for row in found.lies] == [(W1, 41, None), (W2, 17, None)]


def test_recipients_are_summed_net_of_what_was_undone(told):
    assert ask(told).recipients == [("德城区医院", 17, 2), ("乡卫生院", 6, 1), ("齐河县医院", 0, 1)]
    undone = [step for step in ask(told).issues if step.net == 0]
    assert [(step.line.recipient, step.line.quantity) for step in undone] == [("齐河县医院", 8)]
    assert undone[0].line.reversed_by_document.startswith("RV-")


def test_a_transfer_shows_what_came_what_was_lost_and_what_is_still_on_the_road(told):
    (road,) = ask(told).transfers
    assert (road.source.code, road.target.code) == (W1, W2)
    assert (road.sent, road.arrived, road.lost, road.on_the_road) == (40, 25, 5, 10)
    assert ask(told).in_transit == [road]


def test_goods_that_came_back_from_the_road_lie_where_they_were_sent_from(told):
    with database.writing(told) as session:
        number = ask(told).transfers[0].document
        line = SettledLine("N95", "A", 10, "returned", "truck turned round")
        transfers.settle(session, entry(), number=number, lines=[line])
    found = ask(told)
    assert (found.in_transit, found.sums.in_transit) == ([], 0)
    assert found.lies[0].on_hand == 51
    assert found.sums.balanced


def test_a_held_lot_says_so_wherever_it_lies_and_who_held_it_when(told):
    with database.writing(told) as session:
        hold(session)
    found = ask(told)
    assert found.hold == "recall"
    assert {row.hold for row in found.lies} == {"recall"}
    (row,) = found.holds
    assert (row.reason, row.placed_by, row.placed_at, row.lifted_at) == ("recall", "Chief", NOW, None)


def test_a_gift_names_its_donor_and_what_it_was_given_for(city):
    with database.writing(city) as session:
        line = ledger.ReceiptLine("G", LATER, item="N95", quantity=9)
        gift = Particulars(party="德州慈善总会", restriction="支援齐河县")
        ledger.receive(session, entry(), location=W1, lines=[line], source="DONOR", told=gift)
    (step,) = ask(city, "G").receipts
    assert (step.line.source.code, step.line.party, step.line.restriction) == ("DONOR", "德州慈善总会", "支援齐河县")
    assert ask(city, "G").sums.received == 9


def test_goods_that_wait_in_a_bay_are_shown_as_waiting_and_what_was_sent_back_as_returned(city):
    with database.writing(city) as session:
        catalogue.set_inspection(session, catalogue.place(session, W1), inspects=True)
        receive(session, ("N95", "A", 100, LATER))
        lines = [
            InspectedLine("N95", "A", 60, "passed"),
            InspectedLine("N95", "A", 10, "rejected", "torn boxes"),
            InspectedLine("N95", "A", 5, "downgraded", "no seal", into_item="VENT"),
        ]
        inspection.inspect(session, entry(), location=W1, inspector="Zhao", lines=lines)
    found = ask(city)
    assert [(row.place.bay_of is not None, row.on_hand, row.hold) for row in found.lies] == [
        (False, 60, None),
        (True, 25, "inspection"),
    ]
    assert (found.sums.received, found.sums.returned, found.sums.downgraded, found.sums.lost) == (100, 10, 5, 0)
    assert found.sums.balanced
    assert [(r.became, r.item, r.lot_number, r.quantity) for r in found.renamed] == [(True, "VENT", "A", 5)]
    other = ask(city, item="VENT")
    assert [(r.became, r.item, r.quantity) for r in other.renamed] == [(False, "N95", 5)]
    assert (other.sums.lies, other.sums.downgraded, other.sums.balanced) == (5, -5, True)


def test_a_lot_that_has_expired_says_so(told):
    assert not ask(told, day=LATER).expired
    assert ask(told, day=LATER + timedelta(days=1)).expired


def test_a_lot_that_nobody_knows_is_none(told):
    assert ask(told, "NOPE") is None
    assert ask(told, item="VENT") is None


# -- part of the reserve ----------------------------------------------------------------------------------------------


def test_a_county_sees_its_own_part_and_it_adds_up(told):
    found = ask(told, within="371425")
    assert [row.place.code for row in found.lies] == [W2]
    assert found.recipients == [("乡卫生院", 6, 1)]
    assert found.receipts == []
    sums = found.sums
    assert (sums.received, sums.from_elsewhere, sums.lies, sums.in_transit) == (0, 40, 17, 10)
    assert (sums.issued, sums.disposed, sums.lost, sums.to_elsewhere) == (6, 2, 5, 0)
    assert sums.balanced
    assert not found.complete


def test_the_sender_sees_the_road_and_then_that_it_left(told):
    found = ask(told, within=W1)
    assert [row.place.code for row in found.lies] == [W1]
    assert (found.sums.in_transit, found.sums.to_elsewhere, found.sums.lost) == (10, 25, 2 + 5)
    assert found.sums.balanced


def test_who_never_had_any_of_a_lot_learns_nothing_of_it(told):
    assert ask(told, within=H1) is None
    assert ask(told, "NOPE", within=H1) is None


def test_the_whole_city_is_complete_only_for_its_own_top(told):
    assert ask(told, within="371400").complete


# -- always -----------------------------------------------------------------------------------------------------------

VERBS = ["receive", "issue", "gain", "loss", "dispose", "send", "arrive", "lose", "back", "reverse"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(VERBS), st.sampled_from([W1, W2, H1]), st.integers(1, 40), st.integers(0, 99)),
        max_size=20,
    )
)
def test_what_came_is_what_lies_went_or_was_lost_whatever_was_done(city, steps):
    """Each example has a lot of its own; every part of the reserve adds up by itself."""
    with city.connect() as connection:
        lot = f"L{connection.exec_driver_sql('SELECT count(*) FROM lot').scalar_one()}"
    with database.writing(city) as session:
        receive(session, ("N95", lot, 50, LATER))
    moved, sent = [], []
    for verb, place, quantity, pick in steps:
        try:
            with database.writing(city) as session:
                posted = do(session, verb, place, lot, quantity, (pick, moved, sent))
        except (Refusal, LookupError):
            continue
        moved += [m.id for m in posted.movements]
        if verb == "send":
            sent.append(posted.document)
    parts = {name: ask(city, lot, within=code) for name, code in {**HERE, "store": W1, "region": "371400"}.items()}
    assert all(part is None or part.sums.balanced for part in parts.values())
    whole = parts["city"]
    assert parts["region"] == whole
    assert whole.sums.received == sum(step.net for step in whole.receipts)
    assert (whole.sums.from_elsewhere, whole.sums.to_elsewhere) == (0, 0)
    assert sum(row.quantity for row in whole.recipients) == whole.sums.issued >= 0
    assert sum(
        row.on_hand for part in (parts["county"], parts["hospital"], parts["store"]) if part for row in part.lies
    ) == (whole.sums.lies)
    with database.reading(city) as session:
        assert verify.verify(session) == []


def do(session, verb, place, lot, quantity, known):
    pick, moved, sent = known
    if verb == "receive":
        return receive(session, ("N95", lot, quantity, LATER), location=place)
    if verb == "issue":
        line = [IssueLine("N95", quantity, lot, "the lot asked for")]
        who = f"H{pick % 3}"
        return ledger.issue(session, entry(), location=place, lines=line, purpose=Purpose.USE, recipient=who)
    if verb in {"gain", "loss"}:
        reason, sign = ("count_gain", 1) if verb == "gain" else ("count_loss", -1)
        return adjust(session, ("N95", lot, sign * quantity, reason), location=place)
    if verb == "dispose":
        return ledger.dispose(session, entry(), location=place, lines=[LotLine("N95", lot, quantity)], reason="damaged")
    if verb == "send":
        line = [IssueLine("N95", quantity, lot, "the lot asked for")]
        target = [code for code in (W1, W2, H1) if code != place][pick % 2]
        return transfers.send(session, entry(), source=place, target=target, lines=line)
    if verb == "arrive":
        return transfers.receive(
            session, entry(), number=sent[pick % len(sent) if sent else 0], lines=[LotLine("N95", lot, quantity)]
        )
    if verb in {"lose", "back"}:
        outcome = "returned" if verb == "back" else ("lost", "damaged")[pick % 2]
        line = [SettledLine("N95", lot, quantity, outcome, "why")]
        return transfers.settle(session, entry(), number=sent[pick % len(sent) if sent else 0], lines=line)
    return ledger.reverse(session, entry(), movement_id=moved[pick % len(moved) if moved else 0], reason="no")


def test_a_trace_reads_only_its_lot(told):
    with database.writing(told) as session:
        hold(session)
    statements = Statements(told)
    ask(told)
    ask(told, within="371425")
    assert statements.scans() == []


# -- lots -------------------------------------------------------------------------------------------------------------


def listed(engine, scope="371400", **asked):
    with database.reading(engine) as session:
        place = catalogue.place(session, scope)
        return trace.lots(session, trace.LotsQuestion(scope=place, day=asked.pop("day", TODAY), **asked))


@pytest.fixture
def several(told):
    with database.writing(told) as session:
        receive(session, ("N95", "SOON", 30, TODAY + timedelta(days=20)), ("VENT", "A", 4, None))
        receive(session, ("N95", "GONE", 5, TODAY + timedelta(days=10)))
        issue(session, ("N95", 5, "GONE", "asked"))
        hold(session, "SOON", "quarantine")
    return told


def test_lots_stand_by_the_day_they_expire_with_what_there_is_of_each(several):
    rows = listed(several)
    assert [(r.item, r.lot_number, r.on_hand, r.usable, r.places, r.hold) for r in rows] == [
        ("N95", "SOON", 30, 0, 1, "quarantine"),
        ("N95", "A", 58, 58, 2, None),
        ("VENT", "A", 4, 4, 1, None),
    ]
    assert [r.on_hand for r in listed(several, scope="371425")] == [17]


def test_a_number_alone_finds_every_item_that_has_it(several):
    assert [r.item for r in listed(several, lot_number="A")] == ["N95", "VENT"]


def test_a_lot_of_which_none_is_left_is_found_by_its_number(several):
    assert listed(several, lot_number="GONE") == []
    (row,) = listed(several, lot_number="GONE", include_zero=True)
    assert (row.on_hand, row.places) == (0, 0)


def test_lots_are_asked_for_by_expiry_and_by_hold(several):
    assert [r.lot_number for r in listed(several, expiring_within_days=20)] == ["SOON"]
    assert listed(several, expiring_within_days=19) == []
    assert [r.lot_number for r in listed(several, held=True)] == ["SOON"]
    assert [r.item for r in listed(several, held=False)] == ["N95", "VENT"]
    late = listed(several, day=date(2027, 7, 1), expiring_within_days=10)
    assert late == []


def test_pages_of_lots_have_each_lot_once(several):
    found, after = [], None
    while True:
        rows = listed(several, limit=1, after=after)
        if not rows:
            break
        found += rows
        after = (date.fromisoformat(rows[-1].mark[0]), rows[-1].mark[1])
    assert found == listed(several)
