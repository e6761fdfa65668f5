"""The books against a plain model: every verb of the ledger, and what each must answer or refuse.

The model is a list of flows (a moment, a place, a lot, a change) and dicts for what is held, promised, on a sheet or on
the road; each step goes to the database and to the model, and both must say the same.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count

from conftest import NOW, SHANGHAI, TODAY, entry
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from reserve import catalogue, counting, database, ledger, lots, replay, requisitions, stock, transfers, transit
from reserve.catalogue import NewLocation
from reserve.entry import day_bounds
from reserve.errors import (
    AlreadyReversed,
    Conflict,
    InsufficientStock,
    LotExpired,
    LotOnHold,
    NotReversible,
    OutOfBounds,
    Refusal,
    UnknownLot,
    WouldGoNegative,
)
from reserve.ledger import AdjustmentLine, IssueLine, ReceiptLine
from reserve.lines import LotLine, SettledLine
from reserve.model import LocationKind, Purpose
from reserve.requisitions import WantedLine

W1, W2 = "371400-W1", "371425-W1"
OUTSIDE = {"SUPPLIER", "DONOR", "CONSUMER", "WASTE", "VARIANCE"}


def receive(session, *rows, location=W1, told=None):
    lines = [ReceiptLine(number, expires_on, item=item, quantity=q) for item, number, q, expires_on in rows]
    return ledger.receive(session, told or entry(), location=location, lines=lines)


def issue(session, *lines, location=W1, told=None):
    lines = [IssueLine(*line) for line in lines]
    return ledger.issue(session, told or entry(), location=location, lines=lines, purpose=Purpose.USE)


def adjust(session, *lines, location=W1, told=None):
    lines = [AdjustmentLine(*line) for line in lines]
    return ledger.adjust(session, told or entry(), location=location, lines=lines)


def try_(engine, work):
    try:
        return database.transact(engine, work)
    except Refusal as refusal:
        return refusal


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
    assert {key: units for key, units in balances(engine).items() if units or key in inside} == inside
    assert sum(running.values()) == 0
    undone = [movement.reverses for movement in history if movement.reverses]
    assert len(undone) == len(set(undone))


PLACES = st.sampled_from([0, 0, 1])
LOTS = st.one_of(st.sampled_from([3, 5]), st.integers(0, 6))
"""Two lots and one place are busier than the others, so that what is done to them meets."""
UNITS = st.integers(1, 60)
FEW = st.one_of(st.integers(1, 15), UNITS)
WHEN = st.one_of(st.none(), st.none(), st.integers(0, 5), st.timedeltas(timedelta(0), timedelta(days=5)))
"""Now, a civil day so many days ago, or a moment."""

ITEMS = st.sampled_from(["N95", "N95", "VENT"])
KNOWN = st.none() | st.timedeltas(timedelta(0), timedelta(days=4))

EXPIRES_AFTER = (0, 2, 4, 4, 9, 400, None)
"""Days of each lot; the last never expires and is a ventilator's."""

ROAD = "TRANSIT"


@dataclass
class OnItsWay:
    """A transfer as the model has it: what was sent, and every change of what of it is on the road."""

    source: int
    target: int
    sent_at: datetime
    sent: dict = field(default_factory=dict)
    flows: list = field(default_factory=list)  # (occurred_at, movement id, lot, change, recorded_at)

    def left(self, lot):
        return sum(flow[3] for flow in self.flows if flow[2] == lot)

    @property
    def outstanding(self):
        return {lot: self.left(lot) for lot in self.sent}

    @property
    def state(self):
        left = self.outstanding
        if not any(left.values()):
            return "closed"
        return "in_transit" if left == self.sent else "short"

    def below_zero(self, lot, quantity, moment):
        """Whether units that leave the road at a moment would be missing then or later."""
        running = sum(flow[3] for flow in self.flows if flow[2] == lot and flow[0] <= moment) - quantity
        lowest = running
        for flow in sorted(flow for flow in self.flows if flow[2] == lot and flow[0] > moment):
            running += flow[3]
            lowest = min(lowest, running)
        return lowest < 0


@dataclass
class Promised:
    """An approved requisition: the lots it was promised, and what its issues handed out."""

    place: int
    item: str
    lots: dict
    state: str = "approved"


class Books(RuleBasedStateMachine):
    """Every step goes to the database and to the model, and both must give the same answer or the same refusal."""

    engine = None
    mirror = None
    numbers = count()

    def __init__(self):
        super().__init__()
        run = next(self.numbers)
        self.run = run
        self.places = [f"W{run}-{n}" for n in range(2)]
        self.lots = [
            (
                "VENT" if days is None else "N95",
                f"R{run}L{n}",
                None if days is None else TODAY + timedelta(days=days),
            )
            for n, days in enumerate(EXPIRES_AFTER)
        ]
        self.lot_of = {number: n for n, (_, number, _) in enumerate(self.lots)}
        for engine in (self.engine, self.mirror):
            with database.writing(engine) as session:
                for code in self.places:
                    new = NewLocation(code, code, code, LocationKind.WAREHOUSE, "371400")
                    catalogue.add_location(session, new)
        self.now = NOW
        self.flows = []  # (occurred_at, movement id, place or ROAD, lot, change, recorded_at)
        self.movements = {}  # id -> (movement, lot, the transfer or requisition it belongs to)
        self.undone = set()
        self.made = set()
        self.holds = {}  # lot -> [(placed, lifted)]
        self.transfers = {}  # number -> OnItsWay
        self.requisitions = {}  # number -> Promised
        self.sheets = {}  # (place, lot) -> (number, counted, counted_at)
        self.counted = {}  # (place, lot) -> counted_at of the last approved count
        self.keys = {}  # Idempotency-Key -> answer

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

    def promised(self, place, lot):
        return sum(r.lots.get(lot, 0) for r in self.requisitions.values() if r.place == place)

    def held(self, lot):
        return bool(self.holds.get(lot)) and self.holds[lot][-1][1] is None

    def expired(self, lot, moment):
        expires_on = self.lots[lot][2]
        return expires_on is not None and expires_on < moment.astimezone(SHANGHAI).date()

    def usable(self, item, moment):
        found = [n for n in self.made if self.lots[n][0] == item and not self.held(n) and not self.expired(n, moment)]
        return sorted(found, key=lambda n: (self.lots[n][2] or date.max, self.lots[n][1]))

    def fefo(self, place, item, quantity, moment):
        """The lots that go out and how much of each, and what is missing: nothing that is promised goes."""
        expected, missing = [], quantity
        for n in self.usable(item, moment):
            taken = min(missing, max(0, self.available(place, n, moment) - self.promised(place, n)))
            if taken:
                expected.append((n, taken))
                missing -= taken
        return expected, missing

    def behind_a_count(self, occurred, moment, pairs):
        """Whether an entry that names its moment lies at or before the last count of what it touches."""
        return occurred is not None and any(pair in self.counted and self.counted[pair] >= moment for pair in pairs)

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

    def told(self, occurred=None, actor="Li Wei"):
        return entry(now=self.now, occurred=occurred, actor=actor)

    def write(self, movements, belongs_to=None):
        """The model's side of what was recorded."""
        for movement in movements:
            lot = self.lot_of[movement.lot_number]
            for code, change in ((movement.source, -movement.quantity), (movement.target, movement.quantity)):
                if code in OUTSIDE:
                    continue
                place = ROAD if code == ROAD else self.places.index(code)
                self.flows.append((movement.occurred_at, movement.id, place, lot, change, self.now))
                if place == ROAD:
                    way = self.transfers[belongs_to]
                    way.flows.append((movement.occurred_at, movement.id, lot, change, self.now))
            self.movements[movement.id] = (movement, lot, belongs_to)
            assert movement.recorded_at == self.now

    def record(self, work, kinds):
        """What the database says, which is a refusal of one of `kinds` (or codes) where the model expects one."""
        answer = try_(self.engine, work)
        if isinstance(answer, Refusal):
            assert type(answer) in kinds or answer.code in kinds, (answer, kinds)
        else:
            assert not kinds, (answer, kinds)
        return answer

    @staticmethod
    def one_of(things):
        """Any of them, most often one of the last."""
        order = sorted(things, reverse=True)
        return st.one_of(st.sampled_from(order[:3]), st.sampled_from(order))

    # what can be done

    @initialize(rows=st.lists(st.tuples(PLACES, LOTS, UNITS), min_size=4, max_size=10), when=WHEN)
    def stock_the_shelves(self, rows, when):
        """Some lots lie there from the start, so that there is something to hand out, send and count."""
        for place, lot, quantity in rows:
            self.receive(place, lot, quantity, when)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours):
        self.now += timedelta(hours=hours)

    @rule(place=PLACES, lot=LOTS, quantity=UNITS, when=WHEN)
    def receive(self, place, lot, quantity, when):
        item, number, expires_on = self.lots[lot]
        occurred, moment = self.moment(when, incoming=True)
        refusals = set()
        if self.expired(lot, moment):
            refusals = {LotExpired}
        elif self.behind_a_count(occurred, moment, [(place, lot)]):
            refusals = {"before_last_count"}
        found = self.record(
            lambda session: receive(
                session,
                (item, number, quantity, expires_on),
                location=self.places[place],
                told=self.told(occurred),
            ),
            refusals,
        )
        if not refusals:
            assert found.movements[0].occurred_at == moment
            self.made.add(lot)
            self.write(found.movements)

    @rule(place=PLACES, lot=LOTS, quantity=UNITS, key=st.integers(0, 3))
    def receive_with_a_key(self, place, lot, quantity, key):
        """A terminal that sends the same receipt again and again hears what was answered first, and records once."""
        item, number, expires_on = self.lots[lot]
        name = f"run{self.run}-key{key}"

        def work(session):
            asked = {"actor": "terminal", "key": name}
            before = replay.begin(session, **asked, request_digest="the same", now=self.now)
            if before is not None:
                return before.body
            rows = (item, number, quantity, expires_on)
            posted = receive(session, rows, location=self.places[place], told=self.told())
            replay.finish(session, **asked, answer=replay.Answer(201, json.dumps({"document": posted.document})))
            return posted

        refusals = {LotExpired} if name not in self.keys and self.expired(lot, self.now) else set()
        found = self.record(work, refusals)
        if name in self.keys:
            assert found == self.keys[name]
        elif not refusals:
            self.keys[name] = json.dumps({"document": found.document})
            self.made.add(lot)
            self.write(found.movements)

    @rule(place=PLACES, item=ITEMS, quantity=FEW, when=WHEN)
    def issue(self, place, item, quantity, when):
        occurred, moment = self.moment(when, incoming=False)
        found = self.take_out(
            place,
            item,
            quantity,
            occurred,
            moment,
            lambda session: issue(session, (item, quantity), location=self.places[place], told=self.told(occurred)),
        )
        if found is not None:
            self.write(found.movements)

    def take_out(self, place, item, quantity, occurred, moment, work):
        """First expired first out, or why not; None where it was refused."""
        expected, missing = self.fefo(place, item, quantity, moment)
        refusals = {InsufficientStock, WouldGoNegative} if missing else set()
        if not missing and self.behind_a_count(occurred, moment, [(place, n) for n, _ in expected]):
            refusals = {"before_last_count"}
        found = self.record(work, refusals)
        if not refusals:
            assert [(m.lot_number, m.quantity) for m in found.movements] == [(self.lots[n][1], q) for n, q in expected]
            assert {m.occurred_at for m in found.movements} == {moment}
            return found
        if not missing:
            return None
        below = self.first_below_zero(place, self.usable(item, moment), moment, quantity)
        if below is not None and occurred is not None:
            assert type(found) is WouldGoNegative
            assert found.extra == {"day": below[0].astimezone(SHANGHAI).date().isoformat(), "balance": below[1]}
        else:
            (short,) = found.extra["lines"]
            assert short["usable"] == quantity - missing < quantity == short["requested"]
            there = [n for n in self.made if self.lots[n][0] == item]
            assert short["on_hand"] == sum(self.sum(place, n) for n in there)
        return None

    def first_below_zero(self, place, lots_, moment, quantity):
        running = sum(f[4] for f in self.flows if f[2] == place and f[3] in lots_ and f[0] <= moment) - quantity
        if running < 0:
            return None
        for flow in sorted(f for f in self.flows if f[2] == place and f[3] in lots_ and f[0] > moment):
            running += flow[4]
            if running < 0:
                return flow[0], running
        return None

    @rule(place=PLACES, lot=LOTS, quantity=FEW, gain=st.booleans(), when=WHEN)
    def adjust(self, place, lot, quantity, gain, when):
        item, number, expires_on = self.lots[lot]
        occurred, moment = self.moment(when, incoming=gain)
        refusals = set() if gain else self.refusals_of_a_loss(place, lot, quantity, moment)
        if not refusals and self.behind_a_count(occurred, moment, [(place, lot)]):
            refusals = {"before_last_count"}
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
            self.write(found.movements)

    def refusals_of_a_loss(self, place, lot, quantity, moment):
        if lot not in self.made:
            return {UnknownLot}
        if self.available(place, lot, moment) < quantity:
            return {InsufficientStock, WouldGoNegative}
        return set()

    @rule(place=PLACES, lot=LOTS, quantity=FEW, reason=st.sampled_from(["damaged", "expired"]), when=WHEN)
    def dispose(self, place, lot, quantity, reason, when):
        item, number, _ = self.lots[lot]
        occurred, moment = self.moment(when, incoming=False)
        refusals = self.refusals_of_a_loss(place, lot, quantity, moment)
        if not refusals and reason == "expired" and not self.expired(lot, moment):
            refusals = {"not_expired"}
        if not refusals and self.behind_a_count(occurred, moment, [(place, lot)]):
            refusals = {"before_last_count"}
        lines = [LotLine(item, number, quantity)]
        found = self.record(
            lambda session: ledger.dispose(
                session, self.told(occurred), location=self.places[place], lines=lines, reason=reason
            ),
            refusals,
        )
        if not refusals:
            assert found.movements[0].occurred_at == moment
            self.write(found.movements)

    @precondition(lambda self: self.movements)
    @rule(data=st.data())
    def reverse(self, data):
        original = data.draw(self.one_of(self.movements))
        movement, lot, belongs_to = self.movements[original]
        way = self.transfers.get(belongs_to)
        refusals = set()
        if movement.reverses:
            refusals = {NotReversible}
        elif original in self.undone:
            refusals = {AlreadyReversed}
        elif movement.target == ROAD:
            refusals = {InsufficientStock} if way.left(lot) < movement.quantity else set()
        elif movement.target in self.places:
            there = self.sum(self.places.index(movement.target), lot)
            refusals = {InsufficientStock} if there < movement.quantity else set()
        found = self.record(
            lambda session: ledger.reverse(session, self.told(), movement_id=original, reason="mistake"), refusals
        )
        if refusals:
            return
        self.write(found.movements, belongs_to)
        self.undone.add(original)
        (back,) = found.movements
        assert (back.source, back.target, back.quantity) == (movement.target, movement.source, movement.quantity)
        assert back.occurred_at == self.now
        if movement.target == ROAD:
            way.sent[lot] -= movement.quantity
        if way is not None:
            with database.reading(self.engine) as session:
                assert transit.find(session, belongs_to).state == way.state
        promised = self.requisitions.get(belongs_to)
        if promised is not None and promised.state != "cancelled":  # it is promised to them again
            promised.lots[lot] = promised.lots.get(lot, 0) + movement.quantity
            promised.state = "approved"

    # transfers

    @rule(source=PLACES, item=ITEMS, quantity=FEW, when=WHEN)
    def send(self, source, item, quantity, when):
        occurred, moment = self.moment(when, incoming=False)
        target = 1 - source
        found = self.take_out(
            source,
            item,
            quantity,
            occurred,
            moment,
            lambda session: transfers.send(
                session,
                self.told(occurred),
                source=self.places[source],
                target=self.places[target],
                lines=[IssueLine(item, quantity)],
            ),
        )
        if found is not None:
            sent = {self.lot_of[m.lot_number]: m.quantity for m in found.movements}
            self.transfers[found.document] = OnItsWay(source, target, moment, sent)
            self.write(found.movements, found.document)
            self.assert_as_it_stands(found, found.document)

    def assert_as_it_stands(self, found, number):
        way = self.transfers[number]
        assert found.more["state"] == way.state
        left = {self.lot_of[row["lot_number"]]: row["outstanding"] for row in found.more["outstanding"]}
        assert left == way.outstanding

    @precondition(lambda self: self.transfers)
    @rule(data=st.data(), when=WHEN, more=st.sampled_from([-6, -1, 0, 0, 0, 1]))
    def take_in(self, data, when, more):
        """All that is left of a transfer, or about as much as is left of one lot: less, all, or one too many."""
        number = data.draw(self.one_of(self.transfers))
        way = self.transfers[number]
        lot = data.draw(st.none() | st.sampled_from(sorted(way.sent)))
        asked = {n: units for n, units in way.outstanding.items() if units}
        if lot is not None:
            asked = {lot: max(1, way.left(lot) + more)}
        occurred, moment = self.moment_on_the_road(data, way, when, incoming=True)
        refusals, moment = self.refusals_on_the_road(way, asked, occurred, moment, way.target)
        lines = [LotLine(*self.lots[n][:2], units) for n, units in asked.items()]
        found = self.record(
            lambda session: transfers.receive(
                session, self.told(occurred), number=number, lines=None if lot is None else lines
            ),
            refusals,
        )
        if not refusals:
            assert {m.occurred_at for m in found.movements} == {moment}
            assert {self.lot_of[m.lot_number]: m.quantity for m in found.movements} == asked
            self.write(found.movements, number)
            self.assert_as_it_stands(found, number)

    @precondition(lambda self: self.transfers)
    @rule(
        data=st.data(),
        when=WHEN,
        outcome=st.sampled_from(["lost", "damaged", "returned"]),
        more=st.sampled_from([-6, -1, 0, 0, 0, 1]),
    )
    def settle(self, data, when, outcome, more):
        number = data.draw(self.one_of(self.transfers))
        way = self.transfers[number]
        lot = data.draw(st.sampled_from(sorted(way.sent)))
        asked = {lot: max(1, way.left(lot) + more)}
        occurred, moment = self.moment_on_the_road(data, way, when, incoming=False)
        place = way.source if outcome == "returned" else None
        refusals, moment = self.refusals_on_the_road(way, asked, occurred, moment, place)
        lines = [SettledLine(*self.lots[lot][:2], asked[lot], outcome, "never came")]
        found = self.record(
            lambda session: transfers.settle(session, self.told(occurred), number=number, lines=lines), refusals
        )
        if not refusals:
            assert {m.occurred_at for m in found.movements} == {moment}
            self.write(found.movements, number)
            self.assert_as_it_stands(found, number)

    def moment_on_the_road(self, data, way, when, *, incoming):
        """Any moment, or the very one at which something of this transfer happened: what was undone since, too."""
        recent = sorted({flow[0] for flow in way.flows if self.now - flow[0] < timedelta(days=10)})
        if recent and data.draw(st.booleans()):
            occurred = data.draw(st.sampled_from(recent))
            return occurred, occurred
        return self.moment(when, incoming=incoming)

    def refusals_on_the_road(self, way, asked, occurred, moment, place):
        """Why goods may not leave the road then, and the moment at which they do."""
        if way.state == "closed":
            return {"transfer_closed"}, moment
        if any(units > way.left(lot) for lot, units in asked.items()):
            return {"more_than_sent"}, moment
        zone = SHANGHAI
        if occurred is not None and moment.astimezone(zone).date() < way.sent_at.astimezone(zone).date():
            return {OutOfBounds}, moment
        moment = max(moment, way.sent_at)
        if occurred is not None and any(way.below_zero(lot, units, moment) for lot, units in asked.items()):
            return {WouldGoNegative}, moment
        if place is not None and self.behind_a_count(occurred, moment, [(place, lot) for lot in asked]):
            return {"before_last_count"}, moment
        return set(), moment

    # requisitions

    @rule(place=PLACES, item=ITEMS, quantity=FEW)
    def promise(self, place, item, quantity):
        """Asked for by one, approved by another: the lots that go first are promised."""
        expected, missing = self.fefo(place, item, quantity, self.now)

        def work(session):
            made = requisitions.request(
                session,
                self.told(actor="Nurse"),
                location=self.places[place],
                purpose=Purpose.USE,
                recipient="Ward 3",
                lines=[WantedLine(item, quantity)],
            )
            return requisitions.approve(session, self.told(actor="Wang"), number=made.number)

        found = self.record(work, {InsufficientStock} if missing else set())
        if not missing:
            lots_ = {self.lot_of[row["lot_number"]]: row["quantity"] for row in found["allocations"]}
            assert lots_ == dict(expected)
            self.requisitions[found["number"]] = Promised(place, item, lots_)

    @precondition(lambda self: self.requisitions)
    @rule(data=st.data(), quantity=st.none() | FEW)
    def hand_out(self, data, quantity):
        """What was promised, or some of it."""
        number = data.draw(self.one_of(self.requisitions))
        found = self.requisitions[number]
        order = sorted(found.lots, key=lambda n: (self.lots[n][2] or date.max, self.lots[n][1]))
        wanted, taken = sum(found.lots.values()) if quantity is None else quantity, {}
        for lot in order:
            if units := min(wanted, found.lots[lot]):
                taken[lot] = units
                wanted -= units
        refusals = set()
        if found.state != "approved":
            refusals = {"requisition_decided"}
        elif wanted:
            refusals = {"more_than_promised"}
        else:
            reasons = [self.unusable(found.place, lot, units) for lot, units in taken.items()]
            refusals = {next(filter(None, reasons))} if any(reasons) else set()
        lines = None if quantity is None else [WantedLine(found.item, quantity)]
        posted = self.record(
            lambda session: requisitions.issue(session, self.told(), number=number, lines=lines), refusals
        )
        if refusals:
            return
        assert {self.lot_of[m.lot_number]: m.quantity for m in posted.movements} == taken
        self.write(posted.movements, number)
        found.lots = {lot: units - taken.get(lot, 0) for lot, units in found.lots.items() if units > taken.get(lot, 0)}
        found.state = "approved" if found.lots else "closed"

    def unusable(self, place, lot, units):
        if self.expired(lot, self.now):
            return LotExpired
        if self.held(lot):
            return LotOnHold
        return InsufficientStock if self.sum(place, lot) < units else None

    @precondition(lambda self: self.requisitions)
    @rule(data=st.data())
    def cancel(self, data):
        number = data.draw(self.one_of(self.requisitions))
        found = self.requisitions[number]
        refusals = set() if found.state == "approved" else {"requisition_decided"}
        self.record(
            lambda session: requisitions.cancel(session, self.told(), number=number, reason="not needed"), refusals
        )
        if not refusals:
            found.state, found.lots = "cancelled", {}

    # counts

    @rule(place=PLACES, lot=LOTS, counted=st.integers(0, 90), at_once=st.booleans())
    def count(self, place, lot, counted, at_once):
        """Somebody counts a lot on a sheet of its own; it is posted when another approves it, now or later."""
        item, number, expires_on = self.lots[lot]
        line = counting.CountedLine(item, number, counted, expires_on=expires_on)

        def work(session):
            selection = counting.Selection(items=[])
            sheet = counting.open_sheet(session, self.told(), location=self.places[place], selection=selection)
            counting.count(session, self.told(), sheet.head.number, [line])
            return sheet.head.number

        refusals = {"count_open"} if (place, lot) in self.sheets else set()
        found = self.record(work, refusals)
        if not refusals:
            self.sheets[place, lot] = found, counted, self.now
            self.made.add(lot)
            if at_once:
                self.post_count(place, lot)

    @precondition(lambda self: self.sheets)
    @rule(data=st.data())
    def approve(self, data):
        self.post_count(*data.draw(st.sampled_from(sorted(self.sheets))))

    def post_count(self, place, lot):
        """Another posts the difference to what lay there when it was counted, as the books have it by now."""
        number, counted, counted_at = self.sheets[place, lot]
        book = sum(f[4] for f in self.flows if f[2:4] == (place, lot) and f[0] <= counted_at)
        change = counted - book
        refusals = {WouldGoNegative} if self.sum(place, lot) + change < 0 else set()
        found = self.record(lambda session: counting.approve(session, self.told(actor="Wang"), number), refusals)
        if refusals:
            return
        posted = [m.quantity if m.target == self.places[place] else -m.quantity for m in found.movements]
        assert posted == ([change] if change else [])
        assert all(m.occurred_at == self.now for m in found.movements)
        self.write(found.movements)
        self.counted[place, lot] = max(counted_at, self.counted.get((place, lot), counted_at))
        del self.sheets[place, lot]

    # holds

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

    @rule()
    def restart(self):
        """Every connection ends; what was committed is there for the next."""
        database.close(self.engine)

    # what can be asked

    @rule(place=PLACES, days=st.integers(0, 6), known=KNOWN)
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

    @rule(item=ITEMS, days=st.integers(0, 6), known=KNOWN)
    def ask_what_was_on_the_road(self, item, days, known):
        end = day_bounds(self.now.astimezone(SHANGHAI).date() - timedelta(days=days), SHANGHAI)[1]
        known_at = None if known is None else self.now - known
        with database.reading(self.engine) as session:
            ids = [catalogue.place(session, code).id for code in self.places]
            asked = catalogue.item(session, item).id
            then = transit.on_the_road(session, asked, at=end, known_at=known_at)
            now = transit.on_the_road(session, asked)
        assert [then.get(place, 0) for place in ids] == [self.under_way(item, n, end, known_at) for n in range(2)]
        assert [now.get(place, 0) for place in ids] == [self.under_way(item, n) for n in range(2)]

    def under_way(self, item, target, end=None, known_at=None):
        return sum(
            change
            for way in self.transfers.values()
            if way.target == target
            for moment, _, lot, change, recorded_at in way.flows
            if self.lots[lot][0] == item
            and (end is None or moment < end)
            and (known_at is None or recorded_at <= known_at)
        )

    # what must hold after every step

    @invariant()
    def the_balances_and_promises_are_the_models(self):
        mine = {"mine": f"R{self.run}L%"}
        with self.engine.connect() as connection:
            rows = connection.execute(_BALANCES, mine)
            found = {(place, number): on_hand for place, number, on_hand in rows if on_hand}
            rows = connection.execute(_PROMISES, mine)
            promised = {(place, number): int(units) for place, number, units in rows}
        ends = [*enumerate(self.places), (ROAD, ROAD)]
        expected = {(code, self.lots[n][1]): self.sum(place, n) for place, code in ends for n in self.made}
        assert found == {key: units for key, units in expected.items() if units}
        expected = {(code, self.lots[n][1]): self.promised(p, n) for p, code in ends[:2] for n in self.made}
        assert promised == {key: units for key, units in expected.items() if units}

    def teardown(self):
        running = defaultdict(int)
        for flow in sorted(self.flows, key=lambda f: f[:2]):
            running[flow[2:4]] += flow[4]
            assert running[flow[2:4]] >= 0
        for way in self.transfers.values():
            left = defaultdict(int)
            for _, _, lot, change, _ in sorted(way.flows):
                left[lot] += change
                assert left[lot] >= 0
        if len(self.flows) % 3 == 1:
            self.replay()

    def replay(self):
        """The ledger, line by line into other books: the same balances come out."""
        ids, numbers = {}, {}
        for original, (movement, lot, belongs_to) in sorted(self.movements.items()):
            told = entry(now=movement.recorded_at, occurred=movement.occurred_at)

            sent = numbers.get((belongs_to, lot))

            def again(session, m=movement, lot=lot, told=told, sent=sent):
                return self.repeated(session, m, lot, told, sent, ids)

            posted = database.transact(self.mirror, again)
            ids[original] = posted.movements[0].id
            if movement.kind == "transfer":
                numbers[belongs_to, lot] = posted.document
        ours = {key: units for key, units in balances(self.engine).items() if key[0] in self.places}
        theirs = {key: units for key, units in balances(self.mirror).items() if key[0] in self.places}
        assert {key: units for key, units in theirs.items() if units} == {
            key: units for key, units in ours.items() if units
        }

    def repeated(self, session, movement, lot, told, sent, ids):
        """One movement as a document of its own; an arrival or a settlement of the transfer `sent`."""
        item, number, expires_on = self.lots[lot]
        units = movement.quantity
        inward = movement.target in self.places
        where = {"location": movement.target if inward else movement.source, "told": told}
        match movement.kind:
            case "receipt":
                return receive(session, (item, number, units, expires_on), **where)
            case "issue":
                return issue(session, (item, units, number, "replay"), **where)
            case "adjustment" | "count":
                return adjust(session, (item, number, units if inward else -units, "other", expires_on), **where)
            case "disposal":
                lines = [LotLine(item, number, units)]
                return ledger.dispose(session, told, location=movement.source, lines=lines, reason=movement.reason)
            case "transfer":
                target = next(code for code in self.places if code != movement.source)
                lines = [IssueLine(item, units, number, "replay")]
                return transfers.send(session, told, source=movement.source, target=target, lines=lines)
            case "arrival":
                return transfers.receive(session, told, number=sent, lines=[LotLine(item, number, units)])
            case "settlement":
                outcome = movement.reason.split(":")[0]
                lines = [SettledLine(item, number, units, outcome, "replay")]
                return transfers.settle(session, told, number=sent, lines=lines)
        assert movement.kind == "reversal"
        return ledger.reverse(session, told, movement_id=ids[movement.reverses], reason="mistake")


_BALANCES = text(
    "SELECT code, lot_number, on_hand FROM balance JOIN location ON location.id = location_id"
    " JOIN lot ON lot.id = lot_id WHERE lot_number LIKE :mine"
)
_PROMISES = text(
    "SELECT code, lot_number, sum(quantity) FROM allocation JOIN location ON location.id = location_id"
    " JOIN lot ON lot.id = lot_id WHERE lot_number LIKE :mine GROUP BY code, lot_number"
)
