"""What must hold whatever is done, in whatever order, by however many at once: the books against a plain dict."""

import os
import random
import shutil
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from books import W1, Books, adjust, assert_the_books_hold, balances, issue, receive, try_
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import event

from reserve import catalogue, coverage, database, ledger, lots, verify
from reserve.catalogue import NewLocation
from reserve.errors import InsufficientStock, LotConflict, Refusal
from reserve.model import LocationKind

LATER = date(2027, 6, 30)


# -- the books against a dict -----------------------------------------------------------------------------------------


@pytest.fixture
def mirror(sqlite_template, tmp_path):
    """Other books, with the same catalogue."""
    shutil.copy(sqlite_template, tmp_path / "mirror.db")
    engine = hurried(database.connect(f"sqlite:///{tmp_path}/mirror.db"))
    with database.writing(engine) as session:
        catalogue.add_location(session, NewLocation("371400", "德州市", "Dezhou", LocationKind.REGION))
        for code, life in (("N95", 1095), ("VENT", None)):
            catalogue.add_item(session, catalogue.NewItem(code, code, code, "protective", "只", shelf_life_days=life))
    yield engine
    database.close(engine)


def hurried(engine):
    """Thousands of small transactions need not survive a power cut here."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return engine


@pytest.mark.long
def test_p03_the_books_agree_with_a_plain_dict_whatever_is_done(city, mirror):
    database.close(hurried(city))  # connections made from now on are in a hurry

    class OfThisCity(Books):
        engine = city

    OfThisCity.mirror = mirror
    runs = int(os.environ.get("BOOKS_RUNS", "0")) or (60 if city.dialect.name == "sqlite" else 25)
    steps = int(os.environ.get("BOOKS_STEPS", "40"))
    run_state_machine_as_test(
        OfThisCity,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            derandomize="BOOKS_RUNS" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert_the_books_hold(city)
    with database.reading(city) as session:
        assert verify.verify(session) == []


# -- splitting --------------------------------------------------------------------------------------------------------


def test_splitting_a_receipt_changes_no_coverage(city):
    with database.writing(city) as session:
        from reserve import policy, reporting
        from reserve.model import PolicyKind

        item = catalogue.item(session, "N95")
        policy.add(
            session,
            entry(),
            policy.NewPolicy("P", "371400", PolicyKind.DAYS, TODAY, "text", item="N95", required_days=30),
        )
        told = [reporting.Report("371402-H1", "N95", TODAY - timedelta(days=n), 37) for n in range(1, 60)]
        reporting.report(session, entry(), told)

    def row(*lines):
        with database.writing(city) as session:
            receive(session, *lines)
            moment = coverage.when(None, now=NOW, zone=SHANGHAI)
            scope = [catalogue.place(session, "371400")]
            (found,) = coverage.assess_item(session, coverage.board(session, moment), item, scope, moment)
            session.rollback()
        return found.row

    soon = TODAY + timedelta(days=9)
    whole = row(("N95", "A", 1000, soon), ("N95", "B", 999, LATER))
    assert whole["wasted_by_expiry"] > 0
    assert row(("N95", "A", 600, soon), ("N95", "B", 999, LATER), ("N95", "A", 400, soon)) == whole
    assert row(("N95", "A", 600, soon), ("N95", "B", 999, LATER), ("N95", "A2", 400, soon)) == whole
    assert row(("N95", "A", 1000, soon), *(("N95", f"B{n}", 111, LATER) for n in range(9))) == whole


# -- many at once -----------------------------------------------------------------------------------------------------


def at_once(*works):
    """Run all together; what each answered, or the error that was no refusal."""
    together, answers = threading.Barrier(len(works)), [None] * len(works)

    def start(n, work):
        together.wait(60)
        try:
            answers[n] = work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            answers[n] = error

    threads = [threading.Thread(target=start, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    return answers


def test_p03_a_race_for_one_lot_sells_nothing_twice_and_every_refusal_is_true(city):
    database.transact(city, lambda session: receive(session, ("N95", "A", 300, LATER)))

    def clerk(seed):
        chance = random.Random(seed)  # noqa: S311 - a repeatable test
        sizes = [chance.randint(1, 9) for _ in range(20)]
        return lambda: [(q, try_(city, lambda session, q=q: issue(session, ("N95", q)))) for q in sizes]

    answers = [pair for each in at_once(*(clerk(seed) for seed in range(8))) for pair in each]
    refused = [(q, answer) for q, answer in answers if isinstance(answer, Refusal)]
    sold = sum(q for q, answer in answers if not isinstance(answer, Refusal))
    left = balances(city)[W1, "N95", "A"]
    assert sold + left == 300
    assert refused
    for q, refusal in refused:
        assert type(refusal) is InsufficientStock
        (line,) = refusal.extra["lines"]
        assert left <= line["usable"] < q == line["requested"]
    assert_the_books_hold(city)


def test_p03_clerks_with_clocks_apart_keep_every_moment_above_zero(city):
    database.transact(city, lambda session: receive(session, ("N95", "A", 20, LATER)))

    def clerk(seed):
        chance = random.Random(seed)  # noqa: S311 - a repeatable test
        skew = timedelta(seconds=chance.uniform(-3, 3))

        def work(session, kind, q):
            told = entry(now=datetime.now(UTC) + skew)
            if kind == "in":
                return receive(session, ("N95", "A", q, LATER), told=told)
            if kind == "lost":
                return adjust(session, ("N95", "A", -q, "lost"), told=told)
            return issue(session, ("N95", q), told=told)

        steps = [(chance.choice(["in", "out", "out", "lost"]), chance.randint(1, 12)) for _ in range(15)]
        return lambda: [try_(city, lambda session, step=step: work(session, *step)) for step in steps]

    answers = [answer for each in at_once(*(clerk(seed) for seed in range(6))) for answer in each]
    assert {type(a) for a in answers if isinstance(a, Exception)} == {InsufficientStock}
    assert_the_books_hold(city)


def test_documents_with_their_lines_in_opposite_order_do_not_lock_each_other(city):
    """Sorted locks: not one of them is broken by the database and run again."""
    rows = [("N95", f"L{n}", 1000, LATER) for n in range(6)] + [("VENT", "V", 1000, None), ("VENT", "EMPTY", 1, None)]
    database.transact(city, lambda session: receive(session, *rows))
    database.transact(city, lambda session: adjust(session, ("VENT", "EMPTY", -1, "lost")))
    runs, documents = [], 15

    def clerk(seed):
        def work(session, kind):
            runs.append(kind)
            order = list(rows) if seed % 2 else list(reversed(rows))
            if kind == 0:
                return receive(session, *((item, number, 2, day) for item, number, _, day in order))
            if kind == 1:
                return issue(session, *((item, 3) for item in dict.fromkeys(row[0] for row in order)))
            return adjust(
                session,
                *(
                    (item, number, 1 if (n + seed) % 2 or number == "EMPTY" else -1, "other")
                    for n, (item, number, *_) in enumerate(order)
                ),
            )

        return lambda: [
            database.transact(city, lambda session, kind=kind: work(session, kind % 3)) for kind in range(documents)
        ]

    answers = at_once(*(clerk(seed) for seed in range(6)))
    assert [a for a in answers if isinstance(a, Exception)] == []
    assert len(runs) == 6 * documents
    assert_the_books_hold(city)


def test_the_same_new_lots_made_by_many_at_once_are_made_once(city):
    rounds, runs = 5, []
    names = [[f"X{n}-{lot}" for lot in range(6)] for n in range(rounds)]

    def clerk(seed, new):
        order = random.Random(seed).sample(new, len(new))  # noqa: S311 - a repeatable test

        def work(session):
            runs.append(seed)
            return receive(session, *(("N95", name, 10, LATER) for name in order))

        return lambda: database.transact(city, work)

    for new in names:
        answers = at_once(*(clerk(seed, new) for seed in range(8)))
        assert [a for a in answers if isinstance(a, Exception)] == []
    assert balances(city) == {(W1, "N95", name): 80 for new in names for name in new}
    assert len(runs) == 8 * rounds  # nobody waited in a circle and was run again
    assert_the_books_hold(city)


def test_of_many_expiries_of_one_new_lot_one_is_kept_and_the_others_are_told(city):
    def clerk(day):
        return lambda: try_(city, lambda session: receive(session, ("N95", "X", 10, date(2027, 1, day))))

    answers = at_once(*(clerk(day) for day in range(1, 9)))
    made = [a for a in answers if not isinstance(a, Exception)]
    assert len(made) == 1
    assert {type(a) for a in answers if isinstance(a, Exception)} == {LotConflict}
    expiry = str(made[0].movements[0].expires_on)
    assert all(expiry in a.detail for a in answers if isinstance(a, Exception))
    assert balances(city) == {(W1, "N95", "X"): 10}


def test_of_many_reversals_of_one_movement_one_is_recorded(city):
    database.transact(city, lambda session: receive(session, ("N95", "A", 10, LATER)))
    issued = database.transact(city, lambda session: issue(session, ("N95", 4))).movements[0].id
    received = 1
    for movement, left in ((issued, 10), (received, 0)):
        answers = at_once(
            *[
                lambda movement=movement: try_(
                    city, lambda session: ledger.reverse(session, entry(), movement_id=movement, reason="twice")
                )
            ]
            * 6
        )
        assert sorted(type(a).__name__ for a in answers) == ["AlreadyReversed"] * 5 + ["Posted"]
        assert balances(city)[W1, "N95", "A"] == left
    assert_the_books_hold(city)


def test_b3_no_issue_is_recorded_after_a_hold_was_answered(city):
    rounds, after = 12, []
    for n in range(rounds):
        number = f"H{n}"
        database.transact(city, lambda session, number=number: receive(session, ("N95", number, 10_000, LATER)))
        answered = threading.Event()

        def clerk(number=number, answered=answered):
            taken = 0
            while True:
                last = answered.is_set()
                found = try_(city, lambda session: issue(session, ("N95", 1, number)))
                if last:
                    return taken, found
                taken += 1

        def chief(number=number, answered=answered):
            def work(session):
                found = catalogue.item(session, "N95")
                lots.place_hold(session, item_id=found.id, lot_number=number, reason="recall", actor="Wang", now=NOW)

            database.transact(city, work)
            left = balances(city)[W1, "N95", number]
            answered.set()
            return left

        *clerks, left = at_once(clerk, clerk, chief)
        after += [type(found).__name__ for _, found in clerks]
        assert balances(city)[W1, "N95", number] == left
    assert after == ["LotOnHold"] * 2 * rounds


# -- what a document costs --------------------------------------------------------------------------------------------


def test_a_document_costs_the_same_statements_however_many_lines_it_has(city):
    statements = []

    @event.listens_for(city, "before_cursor_execute")
    def keep(_connection, _cursor, statement, *_):
        statements.append(statement)

    def cost(work):
        statements.clear()
        database.transact(city, work)
        return len(statements)

    def three(lines):
        """A receipt of new lots, an issue that empties them but one, an adjustment of each."""
        rows = [("N95", f"L{lines}-{n}", 10, LATER) for n in range(lines)]
        changes = [("N95", row[1], 1 if n % 2 else -1, "other") for n, row in enumerate(rows)]
        return (
            cost(lambda session: receive(session, *rows)),
            cost(lambda session: adjust(session, *changes)),
            cost(lambda session: issue(session, *[("N95", 9)] * lines)),
        )

    few, many = three(2), three(200)
    assert many == few
    assert max(few) <= 14
