"""Alerts: what is news, told once to everybody who should know, and delivered at least once."""

import json
import threading
from datetime import date, timedelta
from fractions import Fraction

import pytest
from conftest import NOW, SHANGHAI, TODAY, entry
from sqlalchemy import text

from reserve import alerts, catalogue, coverage, database, ledger, levels, outbox, policy, reporting
from reserve.alerts import Change, NewReceiver, decide
from reserve.assessment import Assessment
from reserve.errors import Unknown, UnknownLocation
from reserve.explain import Sentence
from reserve.ledger import IssueLine, ReceiptLine
from reserve.levels import Facts, Verdict
from reserve.model import Level, PolicyKind, Purpose
from reserve.outbox import Outcome
from reserve.policy import NewPolicy
from reserve.reporting import Report

W1 = "371400-W1"
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


# -- what is news -----------------------------------------------------------------------------------------------------


def assessed(days, verdict=None, *, known=True, declared=True):
    """A row of so many days where 30 are required."""
    days = None if days is None else Fraction(str(days))
    facts = Facts(days, Fraction(30), usable=1, known=known, probability=Fraction(0))
    said = Sentence("原因", "reason")
    return Assessment(None, None, TODAY, verdict or levels.judge(facts), [facts], None, declared, said, {}, {})


NO_POLICY, NO_USE = Verdict(Level.UNKNOWN, "no_policy"), Verdict(Level.UNKNOWN, "no_consumption")


@pytest.mark.parametrize(
    ("previous", "found", "change"),
    [
        (None, assessed(40), None),
        (None, assessed(20), "raised"),
        (None, assessed(3), "raised"),
        (None, assessed(40, known=False), "unknown"),
        (None, assessed(40, NO_POLICY), None),
        (None, assessed(None, NO_USE), None),
        ("normal", assessed(40), None),
        ("normal", assessed(20), "raised"),
        ("orange", assessed(20), None),
        ("orange", assessed(3), "worse"),
        ("orange", assessed(30.5), None),
        ("orange", assessed(31), "restored"),
        ("red", assessed(3), None),
        ("red", assessed(15.5), None),
        ("red", assessed(16), "eased"),
        ("red", assessed(40), "restored"),
        ("red", assessed(40, known=False), "unknown"),
        ("red", assessed(None, NO_USE), "unknown"),
        ("red", assessed(40, NO_POLICY), "unknown"),
        ("normal", assessed(None, NO_USE), None),
        ("unknown", assessed(None, NO_USE), None),
        ("unknown", assessed(40, known=False), None),
        ("unknown", assessed(40), "restored"),
        ("unknown", assessed(3), "raised"),
        ("yellow", assessed(20), "worse"),
    ],
)
def test_what_is_news_and_what_is_not(previous, found, change):
    before = None if previous is None else Level(previous)
    told = decide(before, found)
    if change is None:
        assert told is None
    else:
        assert (told.change, told.previous) == (change, before)
        assert told.level != before


def test_an_alert_that_eases_part_of_the_way_says_where_to():
    assert decide(Level.RED, assessed(31)) == Change(Level.NORMAL, Level.RED, "restored")
    assert decide(Level.RED, assessed(30.5)) == Change(Level.ORANGE, Level.RED, "eased")


# -- a city that runs low ---------------------------------------------------------------------------------------------


def receive(engine, quantity, number="A", **changes):
    line = ReceiptLine(number, date(2028, 6, 30), item="N95", quantity=quantity)
    database.transact(engine, lambda session: ledger.receive(session, entry(**changes), location=W1, lines=[line]))


def issue(engine, quantity, **changes):
    lines = [IssueLine("N95", quantity)]
    database.transact(
        engine,
        lambda session: ledger.issue(session, entry(**changes), location=W1, lines=lines, purpose=Purpose.ALLOCATION),
    )


def add_policy(engine, scope="371400", code="N95-30D", **more):
    new = NewPolicy(code, scope, PolicyKind.DAYS, date(2026, 1, 1), "不少于1个月用量", "N95", required_days=30)
    new = new._replace(**more)
    database.transact(engine, lambda session: policy.add(session, entry(), new))


def add_receiver(engine, name, scope="371400", levels_=tuple(Level), **more):
    new = NewReceiver(name, f"https://example.org/{name}", scope, levels=levels_, **more)
    return database.transact(engine, lambda session: alerts.add_receiver(session, new, NOW))


def work(now=NOW):
    """The worker's transaction for one item: assess, keep, raise."""

    def run(session):
        item = catalogue.item(session, "N95")
        moment = coverage.when(None, now=now, zone=SHANGHAI)
        coverage.take_due(session, item.id)
        world = coverage.board(session, moment)
        found = coverage.assess_item(session, world, item, coverage.scopes_of(session, world, item), moment)
        coverage.store(session, found, now)
        return alerts.consider(session, found, now)

    return run


def beat(engine, now=NOW):
    return database.transact(engine, work(now))


def told(engine, **question):
    with database.reading(engine) as session:
        return alerts.told(session, **question)


def heard(engine):
    """What each receiver was told, in order."""
    found = {}
    for alert in reversed(told(engine)):
        for notice in alert.notices:
            found.setdefault(notice.receiver, []).append(alert.level)
    return found


def count(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


@pytest.fixture
def low(city):
    """A hundred masks a day, thirty days required, twenty in stock."""
    add_policy(city)
    rows = [
        Report(hospital, "N95", TODAY - timedelta(days=n), 50)
        for n in range(1, 61)
        for hospital in ("371402-H1", "371425-H1")
    ]
    database.transact(city, lambda session: reporting.report(session, entry(), rows))
    receive(city, 2000)
    return city


def test_a_fall_raises_one_alert_and_one_notice_for_each_receiver(low):
    for name in ("commission", "warehouse"):
        add_receiver(low, name)
    assert beat(low) == 1
    (alert,) = told(low)
    assert (alert.scope, alert.item, alert.level, alert.previous_level) == ("371400", "N95", "orange", None)
    assert (alert.change, alert.sequence, alert.raised_at, alert.latest) == ("raised", 1, NOW, True)
    assert json.loads(alert.coverage)["days_of_coverage"] == 20.0
    assert "20.0" in alert.reason_zh
    assert "20.0" in alert.reason_en
    assert [(n.receiver, n.state, n.attempts) for n in alert.notices] == [
        ("commission", "pending", 0),
        ("warehouse", "pending", 0),
    ]


def test_p07_coverage_alert_and_notices_are_kept_together_or_not_at_all(low):
    add_receiver(low, "commission")

    def fails(session):
        assert work()(session) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(low, fails)
    assert [count(low, table) for table in ("coverage", "alert", "notice")] == [0, 0, 0]
    assert count(low, "coveragedue") > 0
    assert beat(low) == 1
    assert [count(low, table) for table in ("alert", "notice", "coveragedue")] == [1, 1, 0]


def test_nothing_is_repeated_while_nothing_changes(low):
    add_receiver(low, "commission")
    assert [beat(low, NOW + n * HOUR) for n in range(5)] == [1, 0, 0, 0, 0]
    receive(low, 10, "B")
    assert beat(low) == 0
    assert count(low, "notice") == 1


def test_a_row_that_starts_out_well_is_no_news(low):
    receive(low, 10**6)
    assert beat(low) == 0
    assert told(low) == []


def test_only_the_scope_that_a_policy_names_rings(low):
    beat(low)
    assert [alert.scope for alert in told(low)] == ["371400"]
    with database.reading(low) as session:
        rows = coverage.stored(session, coverage.TableQuestion(item="N95"), NOW)
    assert {row.scope for row in rows} >= {"371400", W1}
    add_policy(low, W1, code="W1-30D")
    beat(low)
    assert [alert.scope for alert in told(low)] == [W1, "371400"]


def test_a_thread_whose_policy_has_ended_is_closed_by_saying_so_once(low):
    add_receiver(low, "commission")
    assert beat(low) == 1
    last_day = date(2026, 4, 2)
    add_policy(low, effective_from=last_day, effective_until=last_day)
    assert beat(low, NOW + timedelta(days=1)) == 0
    assert beat(low, NOW + timedelta(days=2)) == 1
    assert beat(low, NOW + timedelta(days=3)) == 0
    assert heard(low) == {"commission": ["orange", "unknown"]}


def test_who_hears_is_decided_by_scope_and_level(low):
    add_receiver(low, "city")
    add_receiver(low, "county", "371425")
    add_receiver(low, "only red", levels_=("red",))
    add_policy(low, "371425", code="QIHE-30D")
    beat(low)
    assert {(a.scope, a.level) for a in told(low)} == {("371400", "orange"), ("371425", "red")}
    assert {(n.receiver, a.scope) for a in told(low) for n in a.notices} == {
        ("city", "371400"),
        ("city", "371425"),
        ("county", "371425"),
        ("only red", "371425"),
    }


def test_restored_is_told_to_whoever_heard_of_the_fall(low):
    add_receiver(low, "everything")
    add_receiver(low, "only red", levels_=("red",))
    add_receiver(low, "only blue", levels_=("blue",))
    for change in (
        lambda: issue(low, 1900),  # red
        lambda: receive(low, 2000, "B"),  # eased to orange
        lambda: receive(low, 10**6, "C"),  # restored
        lambda: issue(low, 999_900),  # orange again: the red one has been told that it is over
        lambda: receive(low, 10**6, "D"),
    ):
        change()
        beat(low)
    assert heard(low) == {
        "everything": ["red", "orange", "normal", "orange", "normal"],
        "only red": ["red", "orange", "normal"],
    }
    assert [alert.change for alert in reversed(told(low))] == ["raised", "eased", "restored", "raised", "restored"]


def test_silence_is_told_and_so_is_its_end(low):
    add_receiver(low, "commission")
    receive(low, 10**6)
    assert beat(low) == 0
    in_april = NOW + timedelta(days=15)  # nobody has reported for two weeks
    assert beat(low, in_april) == 1
    assert beat(low, in_april + HOUR) == 0
    rows = [
        Report(hospital, "N95", date(2026, 4, day), 50)
        for day in range(1, 16)
        for hospital in ("371402-H1", "371425-H1")
    ]
    database.transact(low, lambda session: reporting.report(session, entry(now=in_april), rows))
    assert beat(low, in_april + 2 * HOUR) == 1
    assert heard(low) == {"commission": ["unknown", "normal"]}


def test_p12_a_day_slept_through_is_caught_up_by_the_next_beat(low):
    """Coverage crossed the rule while nobody was awake: the next assessment says so, whatever day it is."""
    add_receiver(low, "commission")
    receive(low, 5000, "B")
    beat(low)
    assert [a.level for a in told(low)] == []
    issue(low, 4500, now=NOW + timedelta(days=1))
    assert beat(low, NOW + timedelta(days=4)) == 1


@pytest.mark.parametrize("bypass", ["the item's lock", "nothing"])
def test_p09_workers_that_see_the_same_change_raise_one_alert(low, bypass):
    add_receiver(low, "commission")
    add_receiver(low, "warehouse")
    workers = 4
    together, raised = threading.Barrier(workers), []

    def consider_only(session):
        item = catalogue.item(session, "N95")
        moment = coverage.when(None, now=NOW, zone=SHANGHAI)
        world = coverage.board(session, moment)
        found = coverage.assess_item(session, world, item, coverage.scopes_of(session, world, item), moment)
        return alerts.consider(session, found, NOW)

    def start():
        together.wait(30)
        run = work() if bypass == "nothing" else consider_only
        raised.append(database.transact(low, run))

    threads = [threading.Thread(target=start) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(raised) == [0] * (workers - 1) + [1]
    assert (count(low, "alert"), count(low, "notice")) == (1, 2)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_p09_the_second_of_two_workers_breaks_on_the_first_and_finds_nothing_to_say(low):
    """The first has raised and not committed when the second raises: it waits, breaks, and is run again."""
    with database.reading(low) as session:
        item = catalogue.item(session, "N95")
        moment = coverage.when(None, now=NOW, zone=SHANGHAI)
        world = coverage.board(session, moment)
        found = coverage.assess_item(session, world, item, coverage.scopes_of(session, world, item), moment)
    runs, raised = [], []

    def consider(session):
        runs.append(1)
        return alerts.consider(session, found, NOW)

    second = threading.Thread(target=lambda: raised.append(database.transact(low, consider)))
    with database.writing(low) as first:
        assert alerts.consider(first, found, NOW) == 1
        second.start()
        while not runs or not _is_waiting(low):
            pass
    second.join()
    assert (raised, len(runs)) == ([0], 2)
    assert count(low, "alert") == 1


def _is_waiting(engine):
    with engine.connect() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return connection.execute(text(waiting)).scalar_one()


# -- receivers --------------------------------------------------------------------------------------------------------


def test_a_receiver_needs_a_place_of_the_reserve(city):
    for scope in ("371499", "CONSUMER"):
        with pytest.raises(UnknownLocation):
            add_receiver(city, "commission", scope)
    assert count(city, "receiver") == 0


def test_a_receiver_is_kept_as_it_was_made(city):
    made = add_receiver(city, "commission", "371425", ("red", "orange"), secret="s3", language="en")
    assert (made.name, made.scope, made.levels, made.language, made.secret) == (
        "commission",
        "371425",
        frozenset({"red", "orange"}),
        "en",
        "s3",
    )


def test_a_receiver_out_of_use_hears_nothing_more_and_what_waited_is_given_up(low):
    gone, kept = add_receiver(low, "gone"), add_receiver(low, "kept")
    beat(low)
    database.transact(low, lambda session: alerts.retire_receiver(session, gone.id, NOW))
    assert [n.receiver_id for n in claim(low)] == [kept.id]
    issue(low, 1900)
    beat(low)
    assert heard(low) == {"gone": ["orange"], "kept": ["orange", "red"]}
    states = {n.receiver: (n.state, n.last_error) for n in told(low)[1].notices}
    assert states["gone"] == ("failed", "the receiver was taken out of use")
    with pytest.raises(Unknown, match="no receiver"):
        database.transact(low, lambda session: alerts.retire_receiver(session, gone.id, NOW))


# -- the outbox -------------------------------------------------------------------------------------------------------


ME = "one"


def claim(engine, now=NOW, token=ME, limit=8):
    return database.transact(engine, lambda session: outbox.claim(session, now=now, token=token, limit=limit))


def settle(engine, notice, outcome, now=NOW):
    database.transact(engine, lambda session: outbox.settle(session, notice, outcome, now))


def state(engine):
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT state, attempts, last_error FROM notice ORDER BY id"))
        return [tuple(row) for row in rows]


FAILED, DONE = Outcome(delivered=False, error="answered 500"), Outcome(delivered=True)


@pytest.fixture
def waiting(low):
    """One notice waits for one receiver."""
    add_receiver(low, "commission", secret="s3", language="en")
    beat(low)
    return low


def test_a_claimed_notice_carries_all_that_is_to_be_said(waiting):
    (notice,) = claim(waiting)
    (alert,) = told(waiting)
    assert (notice.url, notice.secret, notice.language, notice.kind) == (
        "https://example.org/commission",
        "s3",
        "en",
        "webhook",
    )
    assert (notice.scope, notice.scope_name_zh, notice.item, notice.item_name_en) == (
        "371400",
        "德州市",
        "N95",
        "Medical respirator",
    )
    assert (notice.alert_id, notice.sequence, notice.level, notice.change, notice.attempts) == (
        alert.id,
        1,
        "orange",
        "raised",
        1,
    )
    assert (notice.reason_zh, notice.reason_en, notice.coverage) == (alert.reason_zh, alert.reason_en, alert.coverage)


def test_a_delivered_notice_is_not_sent_again(waiting):
    (notice,) = claim(waiting)
    settle(waiting, notice, DONE, NOW + SECOND)
    assert state(waiting) == [("delivered", 1, None)]
    assert claim(waiting, NOW + 24 * HOUR) == []
    (alert,) = told(waiting)
    assert alert.notices[0].delivered_at == NOW + SECOND


def test_p07_a_sender_that_died_leaves_its_notice_to_the_next_under_the_same_id(waiting):
    (first,) = claim(waiting, NOW, "died")
    assert claim(waiting, NOW + MINUTE, "other") == []  # the lease still stands
    (second,) = claim(waiting, NOW + MINUTE + SECOND, "other")
    assert (second.id, second.attempts) == (first.id, 2)
    settle(waiting, first, FAILED, NOW + MINUTE + 2 * SECOND)  # it was only slow: no longer its to settle
    assert state(waiting) == [("pending", 2, None)]
    assert claim(waiting, NOW + MINUTE + 3 * SECOND) == []
    settle(waiting, second, DONE, NOW + MINUTE + 3 * SECOND)
    assert state(waiting) == [("delivered", 2, None)]


def test_failures_are_tried_again_later_and_later_for_three_days(waiting):
    now = NOW
    (notice,) = claim(waiting, now)
    for attempt, pause in enumerate([10, 30, 60, 120, 300, 600, 600, 600], start=1):
        assert notice.attempts == attempt
        settle(waiting, notice, FAILED, now)
        assert claim(waiting, now + (pause - 1) * SECOND) == []
        now += pause * SECOND
        (notice,) = claim(waiting, now)


def test_a_failure_says_why_and_the_last_one_gives_up(waiting):
    (notice,) = claim(waiting)
    settle(waiting, notice, Outcome(delivered=False, error="x" * 2000), NOW)
    assert state(waiting) == [("pending", 1, "x" * 500)]
    (notice,) = claim(waiting, NOW + 72 * HOUR)
    settle(waiting, notice, FAILED, NOW + 72 * HOUR)
    assert state(waiting) == [("pending", 2, "answered 500")]
    (notice,) = claim(waiting, NOW + 73 * HOUR)
    settle(waiting, notice, FAILED, NOW + 73 * HOUR)
    assert state(waiting) == [("failed", 3, "answered 500")]
    assert claim(waiting, NOW + 100 * HOUR) == []


def test_a_final_refusal_parks_the_notice_at_once(waiting):
    (notice,) = claim(waiting)
    settle(waiting, notice, Outcome(delivered=False, error="answered 410", final=True), NOW)
    assert state(waiting) == [("failed", 1, "answered 410")]
    assert claim(waiting, NOW + HOUR) == []


def test_a_receiver_that_asks_for_time_gets_it(waiting):
    (notice,) = claim(waiting)
    settle(waiting, notice, Outcome(delivered=False, error="answered 429", retry_after=5 * MINUTE), NOW)
    assert claim(waiting, NOW + 5 * MINUTE - SECOND) == []
    assert len(claim(waiting, NOW + 5 * MINUTE)) == 1


def test_one_sending_is_under_way_to_a_receiver_and_slow_ones_delay_nobody(low):
    slow, quick = add_receiver(low, "slow"), add_receiver(low, "quick")
    beat(low)
    issue(low, 1900)
    beat(low)
    assert count(low, "notice") == 4
    first = claim(low)
    assert [(n.receiver_id, n.sequence) for n in first] == [(slow.id, 1), (quick.id, 1)]
    assert claim(low, NOW + SECOND) == []
    settle(low, first[1], DONE, NOW + SECOND)
    assert [(n.receiver_id, n.sequence) for n in claim(low, NOW + 2 * SECOND, "two")] == [(quick.id, 2)]
    settle(low, first[0], DONE, NOW + 3 * SECOND)
    assert [(n.receiver_id, n.sequence) for n in claim(low, NOW + 4 * SECOND, "three")] == [(slow.id, 2)]


def test_no_more_are_taken_than_can_be_sent(low):
    for n in range(5):
        add_receiver(low, f"r{n}")
    beat(low)
    assert len(claim(low, token="one", limit=3)) == 3
    assert len(claim(low, token="two", limit=3)) == 2


def test_p09_two_senders_never_hold_the_same_notice(low):
    for n in range(12):
        add_receiver(low, f"r{n}")
    beat(low)
    together, taken = threading.Barrier(4), []

    def start(token):
        together.wait(30)
        for _ in range(3):
            taken.extend((notice.id, token) for notice in claim(low, token=token, limit=2))

    threads = [threading.Thread(target=start, args=[f"t{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [notice for notice, _ in taken]
    assert len(ids) == len(set(ids))
    while more := claim(low, token="rest"):
        ids += [notice.id for notice in more]
    assert len(ids) == len(set(ids)) == 12


# -- asking -----------------------------------------------------------------------------------------------------------


def test_alerts_are_listed_newest_first_open_and_resolved(low):
    add_policy(low, "371425", code="QIHE-30D")
    beat(low)
    receive(low, 10**6, "B")
    beat(low)
    listed = told(low)
    assert [(a.scope, a.change, a.latest) for a in listed] == [
        ("371400", "restored", True),
        ("371425", "raised", True),
        ("371400", "raised", False),
    ]
    assert [(a.scope, a.change) for a in told(low, state="open")] == [("371425", "raised")]
    assert [(a.scope, a.change) for a in told(low, state="resolved")] == [("371400", "restored"), ("371400", "raised")]
    assert [a.level for a in told(low, level="red")] == ["red"]
    with database.reading(low) as session:
        county = catalogue.place(session, "371425")
    assert {a.scope for a in told(low, within=county.path)} == {"371425"}
    assert told(low, limit=1) + told(low, before=listed[0].id) == listed
