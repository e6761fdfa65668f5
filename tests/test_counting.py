"""Counts: blind while counting, decided by another person, and the books right whatever moved in between."""

import contextlib
import io
import shutil
import time
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Thread

import pytest
from conftest import NOW, SHANGHAI, connect, entry
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from served import Served, receipt
from sqlalchemy import Engine, inspect, text

from reserve import access, catalogue, counting, countsheets, database, ledger, lots, stock
from reserve.access import same_person
from reserve.counting import CountedLine, NamedLot, Selection
from reserve.countsheets import SheetQuestion
from reserve.errors import Conflict, Invalid, Refusal, Unknown, WouldGoNegative
from reserve.ledger import IssueLine, ReceiptLine
from reserve.model import Category, CountState, LocationKind, Purpose, Role
from reserve.verify import verify

W1 = "371400-W1"
END = date(2027, 6, 30)
MANAGER = "Wang Fang (22222222)"


def everything(engine: Engine) -> dict:
    """Every row of every table but keys: a refused request leaves them all as they were."""
    with database.reading(engine) as session:
        names = sorted(set(inspect(session.connection()).get_table_names()) - {"key", "beat"})
        return {
            name: sorted(map(repr, session.connection().execute(text(f'SELECT * FROM "{name}"')).all()))
            for name in names
        }


def at(**after) -> datetime:
    return NOW + timedelta(**after)


def receive(session, quantity, lot="A", expires=END, item="N95", *, now=NOW, location=W1, **more):
    line = ReceiptLine(lot, expires, item=item, quantity=quantity)
    return ledger.receive(session, entry(now=now, **more), location=location, lines=[line])


def issue(session, quantity, lot="A", item="N95", now=NOW, **more):
    line = IssueLine(item, quantity, lot, "as asked")
    return ledger.issue(session, entry(now=now, **more), location=W1, lines=[line], purpose=Purpose.USE)


def opened(session, now=NOW, **selection):
    return counting.open_sheet(session, entry(now=now), location=W1, selection=Selection(**selection)).head.number


def counted(session, number, figure, lot="A", item="N95", *, now=None, actor="Li Wei", **more):
    return counting.count(
        session, entry(now=now or at(hours=1), actor=actor), number, [CountedLine(item, lot, figure, **more)]
    )


def approved(session, number, now=None, actor=MANAGER, **more):
    return counting.approve(session, entry(now=now or at(hours=9), actor=actor), number, **more)


def on_hand(session, lot="A", location=W1):
    rows = session.connection().execute(
        text(
            "SELECT on_hand FROM balance JOIN lot ON lot.id = lot_id JOIN location ON location.id = location_id"
            " WHERE lot_number = :lot AND code = :place"
        ),
        {"lot": lot, "place": location},
    )
    return rows.scalar_one_or_none() or 0


# -- the books --------------------------------------------------------------------------------------------------------


def test_k06_fifteen_thousand_counted_thirteen_and_two_thousand_issued_since_leave_eleven(city: Engine) -> None:
    received, morning = datetime(2026, 4, 19, 2, tzinfo=UTC), datetime(2026, 4, 21, 1, tzinfo=UTC)
    with database.writing(city) as session:
        receive(session, 15_000, now=received)
        number = opened(session, now=morning)
        counted(session, number, 13_000, now=morning + timedelta(hours=1))
        issue(session, 2_000, now=morning + timedelta(hours=6))
        done = approved(session, number, now=morning + timedelta(hours=8))
        assert on_hand(session) == 11_000
        (movement,) = done.movements
        assert (movement.document, movement.kind, movement.quantity) == (number, "count", 2_000)
        assert (movement.source, movement.target, movement.reason) == (W1, "VARIANCE", "count_loss")
        (line,) = done.sheet.lines
        assert (line.book, line.counted, line.variance, line.moved_since) == (15_000, 13_000, -2_000, -2_000)
        assert verify(session) == []


def test_what_moves_after_a_line_is_counted_is_kept_apart(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        issue(session, 10, now=at(minutes=30))  # before it is counted: part of the book
        counted(session, number, 88, now=at(hours=1))
        issue(session, 30, now=at(hours=2))
        receive(session, 7, now=at(hours=3))
        (line,) = countsheets.sheet(session, number).lines
        assert (line.frozen_book, line.book, line.variance, line.moved_since) == (100, 90, -2, -23)
        approved(session, number)
        assert on_hand(session) == 88 - 30 + 7
        (line,) = countsheets.sheet(session, number).lines
        assert (line.frozen_book, line.book, line.variance, line.moved_since) == (100, 90, -2, -23)
        issue(session, 5, now=at(days=1))
        assert countsheets.sheet(session, number).lines == [line._replace(on_hand=60)]


def test_a_late_entry_with_its_true_moment_before_the_count_is_part_of_the_book(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100, now=at(days=-1))
        number = opened(session)
        counted(session, number, 80, now=at(hours=2))
        issue(session, 20, now=at(hours=4), occurred=at(hours=1))  # the voucher lay in a drawer
        done = approved(session, number)
        assert done.movements == []
        assert done.sheet.lines[0].variance == 0
        assert on_hand(session) == 80


def test_the_books_of_the_day_of_the_count_show_the_variance_from_the_approval_on(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        counted(session, number, 90)
        approved(session, number, now=at(days=2))

        def as_of(day):
            question = stock.StockQuestion(day, at=stock.end_of_day(day, SHANGHAI))
            return stock.rows(session, question)[0].on_hand

        assert [as_of(date(2026, 4, 1)), as_of(date(2026, 4, 3))] == [100, 90]


def test_a_loss_of_more_than_is_left_is_counted_again(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        counted(session, number, 60)
        issue(session, 95, now=at(hours=2))
        with pytest.raises(WouldGoNegative) as refused:
            approved(session, number)
        assert refused.value.extra["lines"] == [
            {"line": 1, "item": "N95", "lot_number": "A", "on_hand": 5, "variance": -40}
        ]
        counted(session, number, 5, now=at(hours=3))
        assert approved(session, number).movements == []
        assert on_hand(session) == 5


def test_uncounted_lots_stay_as_they_are_and_counted_ones_are_remembered(city: Engine) -> None:
    with database.writing(city) as session:
        for lot in "ABC":
            receive(session, 100, lot)
        number = opened(session)
        counted(session, number, 100, "A")
        counted(session, number, 120, "B", now=at(hours=2))
        done = approved(session, number)
        assert [(m.lot_number, m.quantity, m.reason) for m in done.movements] == [("B", 20, "count_gain")]
        assert [line.lot.lot_number for line in done.sheet.lines if line.standing is None] == ["C"]
        assert [on_hand(session, lot) for lot in "ABC"] == [100, 120, 100]
        rows = session.connection().execute(
            text("SELECT lot_number, counted_at FROM lastcount JOIN lot ON lot.id = lot_id ORDER BY 1")
        )
        assert [(lot, str(moment)[:16]) for lot, moment in rows] == [
            ("A", "2026-04-01 03:00"),
            ("B", "2026-04-01 04:00"),
        ]


def test_a_count_without_a_variance_is_approved_without_a_document(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        counted(session, number, 100)
        done = approved(session, number)
        assert (done.movements, done.sheet.head.document_id) == ([], None)
        assert countsheets.sheet(session, number).lines[0].book == 100
        with pytest.raises(Conflict) as refused:
            approved(session, number)
        assert refused.value.code == "count_decided"


def test_held_and_expired_lots_lie_there_and_are_counted(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10, "OLD", date(2026, 4, 2))
        receive(session, 10, "HELD")
        found = catalogue.item(session, "N95")
        assert found is not None
        lots.place_hold(session, item_id=found.id, lot_number="HELD", reason="recall", actor="Li Wei", now=NOW)
        number = opened(session, now=at(days=5))
        assert [line.lot.lot_number for line in countsheets.sheet(session, number).lines] == ["OLD", "HELD"]
        counted(session, number, 9, "OLD", now=at(days=5, hours=1))
        counted(session, number, 11, "HELD", now=at(days=5, hours=1))
        approved(session, number, now=at(days=5, hours=2))
        assert (on_hand(session, "OLD"), on_hand(session, "HELD")) == (9, 11)


def test_only_what_lies_at_that_very_place_is_counted_and_only_what_was_asked_for(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10, "A")
        receive(session, 10, "B")
        receive(session, 10, "V", None, "VENT")
        receive(session, 10, "A", location="371425-W1")
        issue(session, 10, "B", now=at(seconds=1))

        def lots_of(**selection):
            sheet = counting.open_sheet(session, entry(), location=W1, selection=Selection(**selection))
            counting.cancel(session, entry(), sheet.head.number, reason="only looking")
            return [line.lot.lot_number for line in sheet.lines]

        assert lots_of() == ["A", "V"]
        assert lots_of(items=["VENT"]) == ["V"]
        assert lots_of(category=Category.PROTECTIVE) == ["A"]
        assert lots_of(lots=[NamedLot("N95", "A"), NamedLot("N95", "A")]) == ["A"]
        whole = counting.open_sheet(session, entry(), location="371400")
        assert whole.lines == []


def test_numbers_of_sheets_have_no_gaps_and_cancelled_ones_keep_theirs(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
        first = opened(session)
        counting.cancel(session, entry(), first, reason="wrong place")
        second = opened(session)
    with pytest.raises(Conflict), database.writing(city) as session:
        opened(session)
    with database.writing(city) as session:
        counting.cancel(session, entry(), second, reason="again")
        third = opened(session)
    assert [first, second, third] == [f"CT-20260401-00000{n}" for n in (1, 2, 3)]


# -- counting ---------------------------------------------------------------------------------------------------------


def test_a_line_saved_is_there_after_a_crash(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
    with database.writing(city) as session:
        counted(session, number, 97)

    def killed(session) -> None:
        counted(session, number, 1, now=at(hours=2))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.transact(city, killed)
    database.close(city)
    with database.reading(city) as session:
        assert countsheets.sheet(session, number).lines[0].counted == 97


def test_a_recount_keeps_both_and_what_is_sent_again_changes_nothing(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        assert counted(session, number, 97).changed == 1
        assert counted(session, number, 97, now=at(hours=2)).changed == 0
        assert counted(session, number, 98, now=at(hours=3), actor="Zhao Min", remark="behind the door").changed == 1
        assert counted(session, number, 98, now=at(hours=4), counted_at=at(hours=3)).changed == 0
        (line,) = countsheets.sheet(session, number).lines
        assert [(t.revision, t.counted, t.actor, t.stands) for t in line.tallies] == [
            (1, 97, "Li Wei", False),
            (2, 98, "Zhao Min", True),
        ]
        assert counted(session, number, 98, now=at(hours=5), counted_at=at(hours=5)).changed == 1  # counted anew
        assert counted(session, number, 98, now=at(hours=6), remark="sure").changed == 1
        assert countsheets.sheet(session, number).lines[0].standing.counted_at == at(hours=5)


def test_what_was_counted_last_stands_however_late_an_earlier_count_arrives(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        counted(session, number, 95, now=at(hours=3))
        late = {"now": at(hours=5), "counted_at": at(hours=1), "actor": "Zhao Min"}
        assert counted(session, number, 99, **late).changed == 1
        assert counted(session, number, 99, **late).changed == 0
        (line,) = countsheets.sheet(session, number).lines
        assert (line.counted, len(line.tallies)) == (95, 2)


def test_a_found_lot_gets_a_line_and_is_made_where_nobody_knew_it(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        receive(session, 5, "ELSEWHERE", location="371425-W1")
        number = opened(session)
        counted(session, number, 3, "NEW", expires_on=END)
        counted(session, number, 2, "ELSEWHERE")
        counted(session, number, 1, "V", "VENT")
        new = {line.lot.lot_number: (line.line, line.frozen_book) for line in countsheets.sheet(session, number).lines}
        assert new == {"A": (1, 100), "NEW": (2, 0), "ELSEWHERE": (3, 0), "V": (4, 0)}
        approved(session, number)
        assert [on_hand(session, lot) for lot in ("A", "NEW", "ELSEWHERE", "V")] == [100, 3, 2, 1]
        assert verify(session) == []


def test_a_lot_that_was_moved_and_counted_before_it_was_entered_is_no_variance(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 100)
        number = opened(session)
        counted(session, number, 40, "B", now=at(hours=2), expires_on=END)
        receive(session, 40, "B", now=at(hours=4), occurred=at(hours=1))
        assert approved(session, number).movements == []
        assert on_hand(session, "B") == 40


def test_a_lot_is_on_one_open_sheet_at_a_time(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10, "A")
        receive(session, 10, "V", None, "VENT")
        first = opened(session, items=["N95"])
        second = opened(session, items=["VENT"])
        with pytest.raises(Conflict) as refused:
            opened(session)
        assert (refused.value.code, refused.value.extra["documents"]) == ("count_open", [first, second])
        with pytest.raises(Conflict) as refused:
            counted(session, second, 10, "A")
        assert (refused.value.code, refused.value.faults[0].pointer) == ("count_open", "/lines/0/lot_number")
        counting.cancel(session, entry(), first, reason="one sheet is enough")
        counted(session, second, 10, "A")


def test_every_bad_line_is_named_at_once(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
        receive(session, 10, "B", now=at(days=-1))
        number = opened(session)
        bad = [
            CountedLine("N95", "A", -1),
            CountedLine("NOPE", "A", 1),
            CountedLine("N95", "NEW", 1),
            CountedLine("N95", "B", 1, expires_on=date(2027, 1, 1)),
            CountedLine("N95", "A", 1, counted_at=at(hours=-1)),
            CountedLine("N95", "C", 1, counted_at=at(days=2), expires_on=END),
            CountedLine("N95", "D", 10**15 + 1, expires_on=END),
            CountedLine("N95", "E", True, expires_on=END),
        ]
        with pytest.raises(Invalid) as refused:
            counting.count(session, entry(now=at(hours=1)), number, bad)
        assert [(f.pointer, f.code) for f in refused.value.faults] == [
            ("/lines/0/counted", "invalid_value"),
            ("/lines/1/item", "unknown_item"),
            ("/lines/2/expires_on", "expiry_required"),
            ("/lines/3/expires_on", "lot_conflict"),
            ("/lines/4/lot_number", "line_repeated"),
            ("/lines/4/counted_at", "counted_at_out_of_bounds"),
            ("/lines/5/counted_at", "counted_at_out_of_bounds"),
            ("/lines/6/counted", "invalid_value"),
            ("/lines/7/counted", "invalid_value"),
        ]


def test_a_clock_a_little_ahead_counts_as_now(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
        number = opened(session)
        saved = counted(session, number, 9, now=at(hours=1), counted_at=at(hours=1, minutes=4))
        assert saved.lines[0].standing.counted_at == at(hours=1)


# -- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Li Wei (aaaa0001)", "Li Wei (bbbb0002)", True),
        ("Li Wei (aaaa0001)", "li  WEI (bbbb0002)", True),
        ("Li Wei (aaaa0001)", "Ｌｉ Wei (bbbb0002)", True),
        ("Li Wei (aaaa0001)", "Li W. (aaaa0001)", True),
        ("Li Wei (aaaa0001)", "Li Wei2 (bbbb0002)", False),
        ("王芳 (aaaa0001)", "李伟 (bbbb0002)", False),
        ("Li Wei", "Wang Fang", False),
        ("Li Wei", "Li Wei (bbbb0002)", True),
        ("Desk (night) (aaaa0001)", "Desk (day) (bbbb0002)", False),
    ],
)
def test_one_person_is_known_by_key_and_by_name(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a case
    assert same_person(one, other) is same
    assert same_person(other, one) is same


def test_who_counted_does_not_approve_even_if_another_counted_it_again(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
        number = opened(session)
        counted(session, number, 9, actor="Wang Fang (11111111)")
        counted(session, number, 8, now=at(hours=2))
        for actor in ("Wang Fang (11111111)", "WANG fang (99999999)", "Li Wei"):
            with pytest.raises(Conflict) as refused:
                approved(session, number, actor=actor)
            assert refused.value.code == "approver_counted"
        assert approved(session, number, actor="Chen Jie (33333333)").sheet.head.decided_by == "Chen Jie (33333333)"


def test_opened_approved_and_cancelled_are_in_the_journal_with_what_was_before(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
        number = opened(session)
        counting.cancel(session, entry(), number, reason="torn")
        again = opened(session)
        counted(session, again, 9)
        approved(session, again, reason="broken boxes", note="photo kept")
        rows = session.connection().execute(
            text("SELECT verb, subject, actor, before FROM journal WHERE verb LIKE 'count.%' ORDER BY id")
        )
        assert [tuple(row) for row in rows] == [
            ("count.opened", number, "Li Wei", None),
            ("count.cancelled", number, "Li Wei", '{"state":"open"}'),
            ("count.opened", again, "Li Wei", None),
            ("count.approved", again, MANAGER, '{"state":"open"}'),
        ]


# -- at once ----------------------------------------------------------------------------------------------------------


def at_once(engine: Engine, *works) -> list[object]:
    """What each of these answers, or how it is refused, when all run at the same time."""
    answers: list[object] = []

    def run(work) -> None:
        try:
            answers.append(database.transact(engine, work))
        except Refusal as refusal:
            answers.append(refusal.code)

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_two_approvals_one_wins(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 1_000)
    for n in range(5):
        begin = at(days=n)
        with database.writing(city) as session:
            number = opened(session, now=begin)
            counted(session, number, 990 - n, now=begin + timedelta(hours=1))
        answers = at_once(
            city,
            *(
                lambda s, actor=actor: approved(s, number, now=begin + timedelta(hours=2), actor=actor).sheet.head.state  # noqa: B023
                for actor in (MANAGER, "Chen Jie (33333333)", "Sun Li (44444444)")
            ),
        )
        assert sorted(map(str, answers)) == ["approved", "count_decided", "count_decided"]
        with database.reading(city) as session:
            assert on_hand(session) == 990 - n
            assert verify(session) == []


def test_issues_while_a_count_is_approved_are_never_lost(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 1_000)
        number = opened(session)
        counted(session, number, 900)
    answers = at_once(
        city,
        lambda s: approved(s, number).sheet.head.state,
        *(lambda s, n=n: issue(s, 1, now=at(hours=2, seconds=n)).document for n in range(12)),
    )
    assert "approved" in answers
    with database.reading(city) as session:
        assert on_hand(session) == 900 - 12
        assert verify(session) == []


def test_of_two_sheets_for_one_lot_one_is_opened(city: Engine) -> None:
    with database.writing(city) as session:
        receive(session, 10)
    answers = at_once(city, *(opened for _ in range(4)))
    assert answers.count("count_open") == 3
    with database.reading(city) as session:
        found = countsheets.sheets(session, SheetQuestion(catalogue.require_place(session, W1)))
        assert [(row.head.number, row.lines, row.counted) for row in found] == [("CT-20260401-000001", 1, 0)]


def test_several_count_at_once_and_every_line_is_kept(city: Engine) -> None:
    with database.writing(city) as session:
        for n in range(16):
            receive(session, 10, f"L{n}")
        number = opened(session)
    answers = at_once(
        city,
        *(lambda s, n=n: counted(s, number, n, f"L{n % 16}", now=at(hours=1, seconds=n)).changed for n in range(24)),
    )
    assert answers == [1] * 24
    with database.reading(city) as session:
        lines = {line.lot.lot_number: line for line in countsheets.sheet(session, number).lines}
        assert [lines[f"L{n}"].counted for n in range(16)] == [*range(16, 24), *range(8, 16)]
        assert sum(len(line.tallies) for line in lines.values()) == 24


def test_five_thousand_lines_post_in_one_document_within_seconds(city: Engine) -> None:
    lines = [ReceiptLine(f"L{n:04d}", END, item="N95", quantity=100) for n in range(5_000)]
    took = {}
    with database.writing(city) as session:
        ledger.receive(session, entry(), location=W1, lines=lines)

    def timed(name, work):
        begun = time.perf_counter()
        answer = database.transact(city, work)
        took[name] = round(time.perf_counter() - begun, 2)
        return answer

    number = timed("open", opened)
    figures = [CountedLine("N95", f"L{n:04d}", 101 if n % 2 else 99) for n in range(5_000)]
    timed("count", lambda s: counting.count(s, entry(now=at(hours=1)), number, figures))
    timed("one line", lambda s: counted(s, number, 7, "L4999", now=at(hours=2)))
    timed("look", lambda s: countsheets.sheet(s, number))
    done = timed("approve", lambda s: approved(s, number))
    print(city.dialect.name, took)  # noqa: T201 - what was measured
    assert len(done.movements) == 5_000
    assert {m.document for m in done.movements} == {number}
    assert took["approve"] < 15  # seconds, on a machine that does other things too
    with database.reading(city) as session:
        total = session.connection().execute(text("SELECT sum(on_hand) FROM balance")).scalar_one()
        assert int(total) == sum(line.counted for line in figures[:-1]) + 7


# -- over HTTP --------------------------------------------------------------------------------------------------------


def key_of(served: Served, name: str, role: str, location: str = "371400") -> dict[str, str]:
    made = database.transact(
        served.engine,
        lambda s: access.create_key(
            s, role=Role(role), location=location, name=name, expires_on=None, now=served.clock()
        ),
    )
    return {"Authorization": f"Bearer {made.secret}"}


def line_of(counted: object = 9_000, lot: str = "A", **more: object) -> dict:
    return {"lines": [{"item": "N95", "lot_number": lot, "counted": counted, **more}]}


@pytest.fixture
def clerk(served: Served) -> TestClient:
    """A clerk of a place where 9,731 masks lie by the books."""
    client = served.client("clerk", W1)
    assert client.post("/v1/receipts", json=receipt(9_731)).status_code == 201
    served.clock.pass_by(hours=1)
    return client


def test_who_counts_never_sees_the_book_and_who_approves_sees_it_all(served: Served, clerk: TestClient) -> None:
    manager = served.client("manager")
    first = clerk.post("/v1/counts", json={"location": W1, "reference": "Q2"})
    assert first.status_code == 201
    number = first.json()["document"]
    assert number == "CT-20260401-000001"
    assert (first.json()["state"], first.json()["location"]) == ("open", W1)
    (line,) = first.json()["lines"]
    assert (line["line"], line["item"], line["lot_number"], line["expires_on"]) == (1, "N95", "A", "2027-01-31")
    assert line["counted"] is None
    served.clock.pass_by(hours=1)
    saved = clerk.put(f"/v1/counts/{number}/lines", json=line_of(9_000))
    assert (saved.status_code, saved.json()["changed"], saved.json()["left"]) == (200, 1, 0)
    looks = [clerk.get(f"/v1/counts/{number}"), served.client("viewer").get(f"/v1/counts/{number}")]
    listed = clerk.get("/v1/counts", params={"state": "open"})
    assert [(r["document"], r["lines"], r["counted"]) for r in listed.json()["items"]] == [(number, 1, 1)]
    for answer in (first, saved, *looks, listed):
        assert answer.is_success
        for word in ("9731", "731", "book", "variance", "moved_since"):
            assert word not in answer.text
    served.clock.pass_by(hours=1)
    clerk.post("/v1/issues", json={"location": W1, "purpose": "use", "lines": [{"item": "N95", "quantity": 31}]})
    seen = manager.get(f"/v1/counts/{number}").json()
    (line,) = seen["lines"]
    assert seen["blind"] is False
    assert (line["frozen_book"], line["book"], line["counted"], line["variance"]) == (9_731, 9_731, 9_000, -731)
    assert (line["moved_since"], line["counted_at"], line["remark"]) == (-31, "2026-04-01T04:00:00Z", None)
    assert [(t["revision"], t["counted"]) for t in line["revisions"]] == [(1, 9_000)]
    assert line["counted_by"].startswith("clerk Li (")
    done = manager.post(f"/v1/counts/{number}/approval", json={"reason": "water damage", "note": "photo in the file"})
    assert done.status_code == 201
    body = done.json()
    assert (body["document"], body["state"], body["uncounted"], body["counted"]) == (number, "approved", [], 1)
    assert [(m["quantity"], m["kind"], m["reference"]) for m in body["movements"]] == [(731, "count", "Q2")]
    assert [(v["book"], v["counted"], v["variance"]) for v in body["variances"]] == [(9_731, 9_000, -731)]
    told = clerk.get(f"/v1/counts/{number}").json()
    assert (told["blind"], told["lines"][0]["variance"], told["reason"]) == (False, -731, "water damage")
    (row,) = clerk.get("/v1/stock", params={"location": W1}).json()["items"]
    assert row["on_hand"] == 8_969
    moved = clerk.get("/v1/movements", params={"document": number}).json()["items"]
    assert [m["quantity"] for m in moved] == [731]


def test_a_manager_who_has_counted_sees_no_book_and_a_second_key_does_not_help(
    served: Served, clerk: TestClient
) -> None:
    number = clerk.post("/v1/counts", json={"location": W1}).json()["document"]
    client = served.client(None)
    counter = key_of(served, "Wang Fang", "manager")
    second = key_of(served, "WANG  fang", "admin")
    assert client.get(f"/v1/counts/{number}", headers=counter).json()["blind"] is False
    client.put(f"/v1/counts/{number}/lines", json=line_of(), headers=counter)
    for headers in (counter, second):
        assert client.get(f"/v1/counts/{number}", headers=headers).json()["blind"] is True
        before = everything(served.engine)
        refused = client.post(f"/v1/counts/{number}/approval", json={}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "approver_counted")
        assert everything(served.engine) == before
    assert served.client("manager").post(f"/v1/counts/{number}/approval", json={}).status_code == 201


def test_a_cancelled_sheet_shows_no_book_to_who_counts_and_its_lots_can_be_counted_again(
    served: Served, clerk: TestClient
) -> None:
    number = clerk.post("/v1/counts", json={"location": W1}).json()["document"]
    other = served.client(None)
    stranger = key_of(served, "Zhao Min", "clerk", W1)
    body = {"reason": "rain"}
    assert other.post(f"/v1/counts/{number}/cancellation", json=body, headers=stranger).status_code == 403
    done = clerk.post(f"/v1/counts/{number}/cancellation", json=body)
    assert (done.status_code, done.json()["state"], done.json()["reason"]) == (201, "cancelled", "rain")
    assert "9731" not in clerk.get(f"/v1/counts/{number}").text
    again = clerk.post("/v1/counts", json={"location": W1})
    assert again.json()["document"] == "CT-20260401-000002"
    assert (
        served.client("manager").post(f"/v1/counts/{again.json()['document']}/cancellation", json=body).json()["state"]
        == "cancelled"
    )


def test_a_count_sent_twice_with_its_key_is_opened_and_approved_once(served: Served, clerk: TestClient) -> None:
    manager = served.client("manager")
    twice = [clerk.post("/v1/counts", json={"location": W1}, headers={"Idempotency-Key": "open-1"}) for _ in range(2)]
    assert twice[0].content == twice[1].content
    number = twice[0].json()["document"]
    clerk.put(f"/v1/counts/{number}/lines", json=line_of())
    twice = [
        manager.post(f"/v1/counts/{number}/approval", json={}, headers={"Idempotency-Key": "yes"}) for _ in range(2)
    ]
    assert (twice[0].status_code, twice[0].content) == (201, twice[1].content)
    assert twice[1].headers["idempotent-replayed"] == "true"


def test_a_count_that_is_refused_leaves_every_table_as_it_was(served: Served, clerk: TestClient) -> None:
    manager = served.client("manager")
    number = clerk.post("/v1/counts", json={"location": W1}).json()["document"]
    lines, approval = f"/v1/counts/{number}/lines", f"/v1/counts/{number}/approval"
    cases = [
        (manager, "POST", approval, {}, 409, "nothing_counted"),
        (clerk, "POST", "/v1/counts", {"location": W1}, 409, "count_open"),
        (clerk, "POST", "/v1/counts", {"location": W1, "items": ["NOPE"]}, 422, "unknown_item"),
        (
            clerk,
            "POST",
            "/v1/counts",
            {"location": W1, "lots": [{"item": "N95", "lot_number": "Z"}]},
            422,
            "unknown_lot",
        ),
        (clerk, "POST", "/v1/counts", {"location": W1, "category": "food"}, 422, "invalid_value"),
        (clerk, "POST", "/v1/counts", {"location": "371425-W1"}, 403, "forbidden"),
        (clerk, "POST", "/v1/counts", {"location": "NOWHERE"}, 403, "forbidden"),
        (manager, "POST", "/v1/counts", {"location": "NOWHERE"}, 422, "unknown_location"),
        (manager, "POST", "/v1/counts", {"location": "TRANSIT"}, 403, "forbidden"),
        (clerk, "POST", approval, {}, 403, "forbidden"),
        (clerk, "PUT", lines, {"lines": []}, 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(-1), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(10**15 + 1), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(1.5), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(True), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of("5"), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(counted_at="2026-04-01"), 422, "invalid_value"),
        (clerk, "PUT", lines, line_of(counted_at="2026-04-01T02:00:00Z"), 422, "counted_at_out_of_bounds"),
        (clerk, "PUT", lines, line_of(counted_at="2026-04-02T02:00:00Z"), 422, "counted_at_out_of_bounds"),
        (clerk, "PUT", lines, line_of(expires_on="2027-02-28"), 409, "lot_conflict"),
        (clerk, "PUT", lines, line_of(lot="NEW"), 422, "expiry_required"),
        (clerk, "PUT", lines, {"lines": [*line_of()["lines"], *line_of(8)["lines"]]}, 422, "line_repeated"),
        (
            clerk,
            "PUT",
            lines,
            {"lines": [*line_of()["lines"], {"item": "NO", "lot_number": "A", "counted": 1}]},
            422,
            "unknown_item",
        ),
        (served.client("viewer"), "PUT", lines, line_of(), 403, "forbidden"),
        (served.client("reporter"), "POST", "/v1/counts", {"location": W1}, 403, "forbidden"),
        (manager, "PUT", "/v1/counts/CT-20260401-000099/lines", line_of(), 404, "unknown_count"),
        (manager, "POST", "/v1/counts/CT-20260401-000099/approval", {}, 404, "unknown_count"),
        (manager, "POST", "/v1/counts/CT-20260401-000099/cancellation", {"reason": "x"}, 404, "unknown_count"),
        (clerk, "POST", f"/v1/counts/{number}/cancellation", {}, 422, "invalid_value"),
        (clerk, "PUT", lines + "?force=1", line_of(), 422, "unknown_parameter"),
    ]
    before = everything(served.engine)
    for client, method, path, body, status, code in cases:
        answer = client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (path, body, answer.text)
        assert "9731" not in answer.text
        assert everything(served.engine) == before, (path, body)


def test_a_decided_sheet_takes_nothing_more(served: Served, clerk: TestClient) -> None:
    manager = served.client("manager")
    number = clerk.post("/v1/counts", json={"location": W1}).json()["document"]
    clerk.put(f"/v1/counts/{number}/lines", json=line_of())
    manager.post(f"/v1/counts/{number}/approval", json={})
    before = everything(served.engine)
    for client, method, part, body in (
        (clerk, "PUT", "lines", line_of(8)),
        (manager, "POST", "approval", {}),
        (manager, "POST", "cancellation", {"reason": "x"}),
    ):
        answer = client.request(method, f"/v1/counts/{number}/{part}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "count_decided")
    assert everything(served.engine) == before


def test_outside_ones_subtree_a_sheet_that_exists_and_one_that_does_not_are_told_alike(
    served: Served, clerk: TestClient
) -> None:
    number = clerk.post("/v1/counts", json={"location": W1}).json()["document"]
    outside = served.client("manager", "371425")
    for method, part, body in (
        ("GET", "", None),
        ("PUT", "/lines", line_of()),
        ("POST", "/approval", {}),
        ("POST", "/cancellation", {"reason": "x"}),
    ):
        answers = {
            (a.status_code, a.content)
            for a in (
                outside.request(method, f"/v1/counts/{n}{part}", json=body) for n in (number, "CT-20260401-000099")
            )
        }
        assert len(answers) == 1
        assert answers.pop()[0] == 403
    assert outside.get("/v1/counts").json()["items"] == []
    assert served.client("manager").get("/v1/counts/CT-20260401-000099").status_code == 404


def test_the_list_of_counts_goes_page_by_page(served: Served, clerk: TestClient) -> None:
    numbers = []
    for _ in range(3):
        numbers.append(clerk.post("/v1/counts", json={"location": W1}).json()["document"])
        clerk.post(f"/v1/counts/{numbers[-1]}/cancellation", json={"reason": "again"})
    seen, cursor = [], None
    for _ in range(3):
        asked = {"limit": 1, "location": W1, "state": "cancelled"} | ({"cursor": cursor} if cursor else {})
        body = clerk.get("/v1/counts", params=asked).json()
        seen += [row["document"] for row in body["items"]]
        cursor = body["next_cursor"]
    assert (seen, cursor) == (numbers[::-1], None)
    assert clerk.get("/v1/counts", params={"cursor": "nonsense"}).json()["code"] == "bad_cursor"
    assert clerk.get("/v1/counts", params={"location": "371425-W1"}).status_code == 403


# -- whatever happens -------------------------------------------------------------------------------------------------

LOTS = ("A", "B", "C")
_files = count()

# what happens, to which lot, how many units, how many minutes before it was entered
happenings = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "count"]), st.sampled_from(LOTS), st.integers(0, 60), st.sampled_from([0, 7, 31])
    ),
    max_size=25,
)


class Book:
    """The movements and counts of a day, as somebody with a pencil would keep them."""

    def __init__(self, session) -> None:
        self.session = session
        self.clock = NOW
        self.moved: list[tuple[str, datetime, int]] = []
        self.counts: dict[str, tuple[datetime, int, int]] = {}
        self.saved = count()

    def move(self, kind: str, lot: str, quantity: int, late: int) -> None:
        told = self.clock - timedelta(minutes=late) if late else None
        verb = receive if kind == "in" else issue
        with contextlib.suppress(Refusal):
            verb(self.session, quantity, lot, now=self.clock, occurred=told)
            self.moved.append((lot, told or self.clock, quantity if kind == "in" else -quantity))

    def count(self, number: str, lot: str, quantity: int, when: datetime) -> None:
        counted(self.session, number, quantity, lot, now=self.clock, counted_at=when, expires_on=END)
        new = (when, next(self.saved), quantity)
        self.counts[lot] = max(self.counts.get(lot, new), new)

    def expected(self) -> dict[str, int]:
        return {
            lot: figure + sum(units for name, moment, units in self.moved if name == lot and moment > when)
            for lot, (when, _, figure) in self.counts.items()
        }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=happenings, during=happenings)
@example(before=[], during=[("count", "A", 1, 7), ("count", "A", 0, 31), ("count", "A", 1, 31)])
def test_what_lies_there_is_what_was_counted_and_what_moved_since(sqlite_template, tmp_path, before, during):
    """Movements on time and late, counts on time and late: each counted lot ends at its count plus what came after."""
    path = tmp_path / f"{next(_files)}.db"
    shutil.copy(sqlite_template, path)
    engine = connect(f"sqlite:///{path}")
    with database.writing(engine) as session:
        plain_city(session)
        book = Book(session)
        for kind, lot, quantity, late in before:
            book.clock += timedelta(minutes=5)
            if kind != "count":
                book.move(kind, lot, quantity, late)
        book.clock += timedelta(minutes=5)
        start, number = book.clock, opened(session, now=book.clock)
        for kind, lot, quantity, late in during:
            book.clock += timedelta(minutes=5)
            if kind == "count":
                book.count(number, lot, quantity, max(start, book.clock - timedelta(minutes=late)))
            else:
                book.move(kind, lot, quantity, late)
        expected = book.expected()
        untouched = {lot: on_hand(session, lot) for lot in LOTS if lot not in expected}
        decide(session, number, expected, book.clock + timedelta(minutes=5))
        assert {lot: on_hand(session, lot) for lot in untouched} == untouched
        assert verify(session) == []
    database.close(engine)


def decide(session, number, expected, now) -> None:
    if not expected:
        with pytest.raises(Conflict, match="Nothing has been counted"):
            approved(session, number, now=now)
    elif min(expected.values()) < 0:
        with pytest.raises(WouldGoNegative), session.connection().begin_nested():
            approved(session, number, now=now)
    else:
        approved(session, number, now=now)
        assert {lot: on_hand(session, lot) for lot in expected} == expected


def plain_city(session) -> None:
    for code, kind, parent in (("371400", LocationKind.REGION, None), (W1, LocationKind.WAREHOUSE, "371400")):
        catalogue.add_location(session, catalogue.NewLocation(code, code, code, kind, parent))
    catalogue.add_item(
        session, catalogue.NewItem("N95", "口罩", "Mask", Category.PROTECTIVE, "只", shelf_life_days=1095)
    )


def test_an_unknown_sheet_is_told_by_its_number(city: Engine) -> None:
    with database.reading(city) as session:
        with pytest.raises(Unknown, match="CT-1"):
            countsheets.sheet(session, "CT-1")
        assert countsheets.find(session, "CT-1") is None
        place = catalogue.require_place(session, "371400")
        assert countsheets.sheets(session, SheetQuestion(place, CountState.APPROVED)) == []


def test_a_sheet_is_printed_blind_for_who_counts_and_with_its_book_for_who_approves(served: Served) -> None:
    clerk, manager = served.client("clerk"), served.client("manager")
    clerk.post("/v1/receipts", json=receipt(4321, "A"))
    number = clerk.post("/v1/counts", json={"location": "371400-W1"}).json()["document"]
    lines = {"lines": [{"item": "N95", "lot_number": "A", "counted": 4300}]}
    assert clerk.put(f"/v1/counts/{number}/lines", json=lines).status_code == 200
    texts = {}
    for name, client in (("clerk", clerk), ("manager", manager)):
        printed = client.get(f"/v1/counts/{number}?format=pdf", headers={"Accept-Language": "en"})
        assert (printed.status_code, printed.headers["content-type"]) == (200, "application/pdf")
        pages = PdfReader(io.BytesIO(printed.content)).pages
        texts[name] = "".join(page.extract_text() for page in pages)
        assert number in texts[name].replace("\u200b", "")
    assert "4,321" not in texts["clerk"]
    assert "4,321" in texts["manager"]
    assert "4,300" in texts["manager"]


def test_a_sheet_opened_with_a_key_is_no_finding_of_verify_whatever_becomes_of_it(served: Served) -> None:
    clerk, manager = served.client("clerk"), served.client("manager")
    clerk.post("/v1/receipts", json=receipt(10, "A"))
    clerk.post("/v1/receipts", json=receipt(10, "B"))
    opened = [
        clerk.post(
            "/v1/counts",
            json={"location": "371400-W1", "lots": [{"item": "N95", "lot_number": lot}]},
            headers={"Idempotency-Key": f"open-{lot}"},
        ).json()["document"]
        for lot in "AB"
    ]
    counted = {"lines": [{"item": "N95", "lot_number": "A", "counted": 10}]}
    saved = clerk.put(f"/v1/counts/{opened[0]}/lines", json=counted, headers={"Idempotency-Key": "line"})
    assert saved.status_code == 200
    assert manager.post(f"/v1/counts/{opened[0]}/approval", json={}, headers={"Idempotency-Key": "a"}).is_success
    assert manager.post(f"/v1/counts/{opened[1]}/cancellation", json={"reason": "x"}).is_success
    with database.reading(served.engine) as session:
        assert verify(session) == []
