"""What must hold whatever is done, in whatever order, by however many at once: the books against a plain dict."""

import random
import shutil
import threading
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, text

from reserve import catalogue, coverage, database, ledger, lots, stock
from reserve.catalogue import NewLocation
from reserve.entry import day_bounds
from reserve.errors import (
    AlreadyReversed,
    Conflict,
    InsufficientStock,
    LotConflict,
    LotExpired,
    NotReversible,
    Refusal,
    UnknownLot,
    WouldGoNegative,
)
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.model import LocationKind, Purpose

W1, W2 = "371400-W1", "371425-W1"
LATER = date(2027, 6, 30)


def receive(session, *rows, location=W1, told=None):
    lines = [ReceiptLine(number, expires_on, item=item, quantity=q) for item, number, q, expires_on in rows]
    return ledger.receive(session, told or entry(), location=location, lines=lines)


def issue(session, *lines, location=W1, told=None):
    lines = [IssueLine(*line) for line in lines]
    return ledger.issue(session, told or entry(), location=location, lines=lines, purpose=Purpose.USE)


def adjust(session, *lines, location=W1, told=None):
    lines = [AdjustmentLine(*line) for line in lines]
    return ledger.adjust(session, told or entry(), location=location, lines=lines)


def balances(engine):
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT location.code, item.code, lot_number, on_hand FROM balance"
                " JOIN location ON location.id = location_id JOIN lot ON lot.id = lot_id"
                " JOIN item ON item.id = item_id"
            )
        )
        return {(place, item, number): on_hand for place, item, number, on_hand in rows}


def assert_the_books_hold(engine):
    """P3: every balance is in minus out, and no moment of its history is below zero."""
    with database.reading(engine) as session:
        history = stock.movements(session, stock.MovementQuestion(limit=10**6))
    running = defaultdict(int)
    for movement in sorted(history, key=lambda m: (m.occurred_at, m.id)):
        lot = movement.item, movement.lot_number
        running[movement.source, *lot] -= movement.quantity
        running[movement.target, *lot] += movement.quantity
        if movement.source not in OUTSIDE:
            assert running[movement.source, *lot] >= 0
    inside = {key: units for key, units in running.items() if key[0] not in OUTSIDE}
    assert balances(engine) == inside
    assert sum(running.values()) == 0
    undone = [movement.reverses for movement in history if movement.reverses]
    assert len(undone) == len(set(undone))


OUTSIDE = {"SUPPLIER", "DONOR", "CONSUMER", "WASTE", "VARIANCE"}


# -- the books against a dict -----------------------------------------------------------------------------------------

PLACES = st.integers(0, 1)
LOTS = st.integers(0, 6)
UNITS = st.integers(1, 60)
WHEN = st.one_of(st.none(), st.none(), st.integers(0, 5), st.timedeltas(timedelta(0), timedelta(days=5)))
"""Now, a civil day so many days ago, or a moment."""

EXPIRES_AFTER = (0, 2, 4, 4, 9, 400, None)
"""Days of each lot; the last never expires and is a ventilator's."""


class Books(RuleBasedStateMachine):
    """Every step goes to the database and to the model, and both must give the same answer or the same refusal."""

    engine = None
    mirror = None
    numbers = count()

    def __init__(self):
        super().__init__()
        run = next(self.numbers)
        self.places = [f"W{run}-{n}" for n in range(2)]
        self.lots = [
            (
                "VENT" if days is None else "N95",
                f"R{run}L{n}",
                None if days is None else TODAY + timedelta(days=days),
            )
            for n, days in enumerate(EXPIRES_AFTER)
        ]
        for engine in (self.engine, self.mirror):
            with database.writing(engine) as session:
                for code in self.places:
                    new = NewLocation(code, code, code, LocationKind.WAREHOUSE, "371400")
                    catalogue.add_location(session, new)
        self.now = NOW
        self.flows = []  # (occurred_at, movement id, place, lot, change, recorded_at)
        self.movements = {}  # id -> (movement, place, lot, change)
        self.undone = set()
        self.made = set()
        self.holds = {}  # lot -> [(placed, lifted)]

    # what the model knows

    def sum(self, place, lot, *, before=None, known_at=None):
        return sum(
            f[4]
            for f in self.flows
            if f[2:4] == (place, lot) and (before is None or f[0] < before) and (known_at is None or f[5] <= known_at)
        )

    def available(self, place, lot, moment):
        then = sum(f[4] for f in self.flows if f[2:4] == (place, lot) and f[0] <= moment)
        lowest = running = then
        for flow in sorted(f for f in self.flows if f[2:4] == (place, lot) and f[0] > moment):
            running += flow[4]
            lowest = min(lowest, running)
        return lowest

    def held(self, lot):
        return bool(self.holds.get(lot)) and self.holds[lot][-1][1] is None

    def moment(self, when, *, incoming):
        """What the entry says, and the moment it means."""
        if when is None:
            return None, self.now
        if isinstance(when, timedelta):
            return self.now - when, self.now - when
        today = self.now.astimezone(SHANGHAI).date()
        day = today - timedelta(days=when)
        start, end = day_bounds(day, SHANGHAI)
        return day, self.now if not when else start if incoming else end - timedelta(microseconds=1)

    def told(self, occurred):
        return entry(now=self.now, occurred=occurred)

    def write(self, posted, lots_):
        """The model's side of what was recorded."""
        for movement in posted.movements:
            lot = next(n for n in lots_ if self.lots[n][1] == movement.lot_number)
            inward = movement.target in self.places
            place = self.places.index(movement.target if inward else movement.source)
            change = movement.quantity if inward else -movement.quantity
            self.flows.append((movement.occurred_at, movement.id, place, lot, change, self.now))
            self.movements[movement.id] = (movement, place, lot, change)
            assert movement.recorded_at == self.now

    def record(self, work, kinds):
        """What the database says, which is a refusal of one of `kinds` where the model expects one."""
        answer = try_(self.engine, work)
        expected = type(answer) in kinds if isinstance(answer, Refusal) else not kinds
        assert expected, answer
        return answer

    # what can be done

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours):
        self.now += timedelta(hours=hours)

    @rule(place=PLACES, lot=LOTS, quantity=UNITS, when=WHEN)
    def receive(self, place, lot, quantity, when):
        item, number, expires_on = self.lots[lot]
        occurred, moment = self.moment(when, incoming=True)
        expired = expires_on is not None and expires_on < moment.astimezone(SHANGHAI).date()
        found = self.record(
            lambda session: receive(
                session,
                (item, number, quantity, expires_on),
                location=self.places[place],
                told=self.told(occurred),
            ),
            {LotExpired} if expired else set(),
        )
        if not expired:
            assert found.movements[0].occurred_at == moment
            self.made.add(lot)
            self.write(found, [lot])

    @rule(place=PLACES, item=st.sampled_from(["N95", "N95", "VENT"]), quantity=UNITS, when=WHEN)
    def issue(self, place, item, quantity, when):
        occurred, moment = self.moment(when, incoming=False)
        day = moment.astimezone(SHANGHAI).date()
        usable = [
            n
            for n in self.made
            if self.lots[n][0] == item and not self.held(n) and (self.lots[n][2] is None or self.lots[n][2] >= day)
        ]
        usable.sort(key=lambda n: (self.lots[n][2] or date.max, self.lots[n][1]))
        expected, missing = [], quantity
        for n in usable:
            taken = min(missing, max(0, self.available(place, n, moment)))
            if taken:
                expected.append((n, taken))
                missing -= taken
        found = self.record(
            lambda session: issue(session, (item, quantity), location=self.places[place], told=self.told(occurred)),
            {InsufficientStock, WouldGoNegative} if missing else set(),
        )
        if not missing:
            assert [(m.lot_number, m.quantity) for m in found.movements] == [(self.lots[n][1], q) for n, q in expected]
            assert {m.occurred_at for m in found.movements} == {moment}
            self.write(found, usable)
            return
        below = self.first_below_zero(place, usable, moment, quantity)
        if below is not None and occurred is not None:
            assert type(found) is WouldGoNegative
            assert found.extra == {"day": below[0].astimezone(SHANGHAI).date().isoformat(), "balance": below[1]}
        else:
            (short,) = found.extra["lines"]
            assert short["usable"] == quantity - missing < quantity == short["requested"]
            there = [n for n in self.made if self.lots[n][0] == item]
            assert short["on_hand"] == sum(self.sum(place, n) for n in there)

    def first_below_zero(self, place, lots_, moment, quantity):
        running = sum(f[4] for f in self.flows if f[2] == place and f[3] in lots_ and f[0] <= moment) - quantity
        if running < 0:
            return None
        for flow in sorted(f for f in self.flows if f[2] == place and f[3] in lots_ and f[0] > moment):
            running += flow[4]
            if running < 0:
                return flow[0], running
        return None

    @rule(place=PLACES, lot=LOTS, quantity=UNITS, gain=st.booleans(), when=WHEN)
    def adjust(self, place, lot, quantity, gain, when):
        item, number, expires_on = self.lots[lot]
        occurred, moment = self.moment(when, incoming=gain)
        refusals = set()
        if not gain and lot not in self.made:
            refusals = {UnknownLot}
        elif not gain and self.available(place, lot, moment) < quantity:
            refusals = {InsufficientStock, WouldGoNegative}
        found = self.record(
            lambda session: adjust(
                session,
                (item, number, quantity if gain else -quantity, "found" if gain else "lost", expires_on),
                location=self.places[place],
                told=self.told(occurred),
            ),
            refusals,
        )
        if not refusals:
            assert found.movements[0].occurred_at == moment
            self.made.add(lot)
            self.write(found, [lot])

    @rule(data=st.data())
    def reverse(self, data):
        if not self.movements:
            return
        original = data.draw(st.sampled_from(sorted(self.movements)))
        movement, place, lot, change = self.movements[original]
        if movement.reverses:
            refusals = {NotReversible}
        elif original in self.undone:
            refusals = {AlreadyReversed}
        elif self.sum(place, lot) < change:
            refusals = {InsufficientStock}
        else:
            refusals = set()
        found = self.record(
            lambda session: ledger.reverse(session, self.told(None), movement_id=original, reason="mistake"), refusals
        )
        if not refusals:
            before = self.sum(place, lot)
            self.write(found, [lot])
            assert self.sum(place, lot) == before - change
            self.undone.add(original)

    @rule(lot=LOTS)
    def hold(self, lot):
        refusals = {UnknownLot} if lot not in self.made else {Conflict} if self.held(lot) else set()
        self.hold_or_lift(lots.place_hold, lot, refusals, reason="recall")
        if not refusals:
            self.holds.setdefault(lot, []).append([self.now, None])

    @rule(lot=LOTS)
    def lift(self, lot):
        refusals = {UnknownLot} if lot not in self.made else set() if self.held(lot) else {Conflict}
        self.hold_or_lift(lots.lift_hold, lot, refusals)
        if not refusals:
            self.holds[lot][-1][1] = self.now

    def hold_or_lift(self, verb, lot, refusals, **reason):
        item, number, _ = self.lots[lot]

        def work(session):
            found = catalogue.item(session, item)
            return verb(session, item_id=found.id, lot_number=number, actor="Wang", now=self.now, **reason)

        self.record(work, refusals)

    @rule(place=PLACES, days=st.integers(0, 6), known=st.none() | st.timedeltas(timedelta(0), timedelta(days=4)))
    def ask_about_a_day(self, place, days, known):
        day = self.now.astimezone(SHANGHAI).date() - timedelta(days=days)
        end = day_bounds(day, SHANGHAI)[1]
        known_at = None if known is None else self.now - known
        with database.reading(self.engine) as session:
            scope = catalogue.place(session, self.places[place])
            rows = stock.rows(session, stock.StockQuestion(day, scope, at=end, known_at=known_at))
        found = {row.lot_number: (row.on_hand, row.hold is not None, row.expired) for row in rows}
        expected = {}
        for n in self.made:
            _, number, expires_on = self.lots[n]
            if units := self.sum(place, n, before=end, known_at=known_at):
                expired = expires_on is not None and expires_on < day
                expected[number] = units, self.was_held(n, end, known_at), expired
        assert found == expected

    def was_held(self, lot, end, known_at):
        def before(moment):
            return moment is not None and moment < end and (known_at is None or moment <= known_at)

        return any(before(placed) and not before(lifted) for placed, lifted in self.holds.get(lot, []))

    # what must hold after every step

    @invariant()
    def the_balances_are_the_models(self):
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT code, lot_number, on_hand FROM balance JOIN location ON location.id = location_id"
                    " JOIN lot ON lot.id = lot_id WHERE code IN (:a, :b)"
                ),
                {"a": self.places[0], "b": self.places[1]},
            )
            found = {(place, number): on_hand for place, number, on_hand in rows if on_hand}
        expected = {(code, self.lots[n][1]): self.sum(p, n) for p, code in enumerate(self.places) for n in self.made}
        assert found == {key: units for key, units in expected.items() if units}

    def teardown(self):
        running = defaultdict(int)
        for flow in sorted(self.flows):
            running[flow[2:4]] += flow[4]
            assert running[flow[2:4]] >= 0
        if len(self.flows) % 3 == 1:
            self.replay()

    def replay(self):
        """The ledger, line by line into other books: the same balances come out."""
        ids = {}
        for original, (movement, place, lot, change) in sorted(self.movements.items()):
            item, number, expires_on = self.lots[lot]
            told = entry(now=movement.recorded_at, occurred=movement.occurred_at)
            line = (item, number, change, "other", expires_on)
            where = {"location": self.places[place], "told": told}
            verbs = {
                "receipt": lambda s, r=(item, number, change, expires_on), w=where: receive(s, r, **w),
                "issue": lambda s, r=(item, -change, number, "replay"), w=where: issue(s, r, **w),
                "adjustment": lambda s, r=line, w=where: adjust(s, r, **w),
                "reversal": lambda s, t=told, m=movement: ledger.reverse(
                    s, t, movement_id=ids[m.reverses], reason="mistake"
                ),
            }
            ids[original] = database.transact(self.mirror, verbs[movement.kind]).movements[0].id
        ours = {key: units for key, units in balances(self.engine).items() if key[0] in self.places}
        theirs = {key: units for key, units in balances(self.mirror).items() if key[0] in self.places}
        assert theirs == ours


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


def test_p03_the_books_agree_with_a_plain_dict_whatever_is_done(city, mirror):
    database.close(hurried(city))  # connections made from now on are in a hurry

    class OfThisCity(Books):
        engine = city

    OfThisCity.mirror = mirror
    runs, steps = (150, 30) if city.dialect.name == "sqlite" else (25, 30)
    run_state_machine_as_test(
        OfThisCity,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert_the_books_hold(city)


# -- splitting --------------------------------------------------------------------------------------------------------


def test_splitting_a_receipt_changes_no_coverage(city):
    with database.writing(city) as session:
        from reserve import consumption, policy
        from reserve.model import PolicyKind

        item = catalogue.item(session, "N95")
        policy.add(
            session,
            entry(),
            policy.NewPolicy("P", "371400", PolicyKind.DAYS, TODAY, "text", item="N95", required_days=30),
        )
        told = [consumption.Report("371402-H1", "N95", TODAY - timedelta(days=n), 37) for n in range(1, 60)]
        consumption.report(session, entry(), told)

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


def try_(engine, work):
    try:
        return database.transact(engine, work)
    except Refusal as refusal:
        return refusal


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
