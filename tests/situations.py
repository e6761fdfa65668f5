"""Situations made by hand, without a database: stock, use and policies of one item in one scope."""

from datetime import date, timedelta

import numpy as np
from conftest import NOW, TODAY
from hypothesis import strategies as st

from reserve.assessment import Situation
from reserve.catalogue import ItemRow, Place
from reserve.changes import ChangeRow
from reserve.commitments import Promise
from reserve.consumption import History
from reserve.model import Category, CommitmentKind, LocationKind, PolicyKind, ScopePeak
from reserve.policy import PolicyRow
from reserve.stock import StockRow
from reserve.supply import Coming

SCOPE = Place(1, "371400", "德州市", "Dezhou", LocationKind.REGION, None, "/1/", None, None, None)
HOSPITALS = tuple(
    Place(n, f"H{n}", f"医院{n}", f"Hospital {n}", LocationKind.HOSPITAL, 1, f"/1/{n}/", None, None, None)
    for n in (2, 3)
)
MASKS = ItemRow(1, "N95", "口罩", "Respirator", Category.PROTECTIVE, "只", None, 1095)


def used(values, reported=None, places=HOSPITALS[:1], days=365):
    """A history of `days` days that repeats what is given."""

    def long(row, kind):
        return np.resize(np.array(row, dtype=kind), days)

    reported = [[True]] * len(values) if reported is None else reported
    return History(
        tuple(places),
        TODAY - timedelta(days=days),
        np.array([long(row, np.int64) for row in values]),
        np.array([long(row, np.bool_) for row in reported]),
        np.zeros((len(values), days), dtype=np.bool_),
        np.ones((len(values), days), dtype=np.bool_),
    )


def lying(units, life=None, hold=None, number="A"):
    expires_on = None if life is None else TODAY + timedelta(days=life - 1)
    return StockRow(2, 1, 1, "W1", "N95", number, expires_on, units, hold, 0, None, life is not None and life <= 0)


def rule(code="RULE", kind=PolicyKind.DAYS, **terms):
    blank = dict.fromkeys(PolicyRow._fields)
    given_ = {
        "code": code,
        "item_id": 1,
        "scope_id": 1,
        "kind": kind,
        "method": "rolling_mean_max",
        "look_back_days": 365,
        "lead_time_days": 14,
        "margin_days": 7,
        "verified_within_days": 180,
        "look_ahead_days": 30,
        "blue_percent": 10,
        "yellow_percent": 50,
        "scope_peak": ScopePeak.PEAK_OF_SUM,
        "effective_from": date(2026, 1, 1),
        "source_text": "不少于1个月用量",
        "recorded_at": NOW,
        "actor": "Li",
    }
    return PolicyRow(**{**blank, **given_, **terms})


def situation(lots_=(), history=None, policies=(), **more):
    return Situation(
        SCOPE, MASKS, TODAY, list(lots_), 0, used([[0]]) if history is None else history, list(policies), True, **more
    )


UNITS = st.integers(1, 5000) | st.integers(1, 10**15)


@st.composite
def situations(draw):
    shelf = draw(
        st.lists(st.tuples(UNITS, st.none() | st.integers(-3, 90), st.sampled_from([None, None, "recall"])), max_size=6)
    )
    scale = draw(st.sampled_from([1, 1, 10**6]))
    values = draw(
        st.lists(st.lists(st.integers(0, 400), min_size=5, max_size=9), min_size=1, max_size=2)
        | st.just([[0]])
        | st.just([[10**15]])
    )
    masks = st.lists(st.sampled_from([True, True, True, True, False]), min_size=9, max_size=13)
    reported = [draw(st.just([True]) | masks | st.just([False])) for _ in values]
    policies = draw(
        st.lists(
            st.sampled_from(
                [
                    rule("A", required_days=30),
                    rule("B", required_days=10, method="rolling_mean_max:14", look_back_days=90),
                    rule("C", PolicyKind.PERSONS, required_days=70, persons=37, norm_per_1000=1125),
                    rule("D", PolicyKind.QUANTITY, quantity=9999),
                    rule("E", required_days=45, method="day_quantile:0.95"),
                ]
            ),
            unique_by=lambda p: p.code,
            max_size=4,
        )
    )
    return situation(
        [lying(units, life, hold, f"L{n}") for n, (units, life, hold) in enumerate(shelf)],
        used([[v * scale if v < 10**12 else v for v in row] for row in values], reported, HOSPITALS[: len(values)]),
        policies,
    )


def contract(units, lead, *, kind=CommitmentKind.CONTRACT, number="CM-1", seen=None, **more):
    terms = {
        "valid_from": TODAY - timedelta(days=30),
        "valid_until": TODAY + timedelta(days=300),
        "seen_on": TODAY - timedelta(days=30),
        "called": 0,
        "called_since_seen": 0,
        "busy_until": None,
        "reference": None,
    }
    return Promise(number, kind, 1, 1, "振华防护", units, lead, seen=seen, **{**terms, **more})


def order(units, day, *, kind="planned", number="PR-1", expires=None, commitment=None, per_day=None):
    expires_on = None if expires is None else TODAY + timedelta(days=expires - 1)
    expected_on = None if day is None else TODAY + timedelta(days=day)
    return Coming(number, kind, 2, units, expected_on, per_day, expires_on, commitment, "振华防护")


def known(factor, first, last):
    changed = ChangeRow(
        1, 1, "371400", 1, "N95", None, TODAY + timedelta(days=first), TODAY + timedelta(days=last),
        int(factor * 1000), "接种活动", NOW, "Li", None, None, None,
    )  # fmt: skip
    days = np.ones(90)
    days[first : last + 1] = factor
    return {"changes": [changed], "factor": days}


@st.composite
def rich_situations(draw):
    """The same with policies in parts, promises, call-ups, orders, known changes, norms and days left out."""
    case = draw(situations())
    parts = st.sampled_from(
        [
            rule("F", required_days=30, physical_days=10, contracted_days=20),
            rule("G", required_days=20, physical_percent=35),
            rule("H", PolicyKind.QUANTITY, quantity=5000, physical_percent=70),
            rule("I", required_days=15, physical_days=0, contracted_days=25),
            rule("J", PolicyKind.PERSONS, required_days=12, persons=90, norm_per_1000=700, physical_days=5),
        ]
    )
    policies = [*case.policies, *draw(st.lists(parts, unique_by=lambda p: p.code, max_size=2))]
    kinds = st.sampled_from([CommitmentKind.CONTRACT, CommitmentKind.CAPACITY])
    states = st.sampled_from([{}, {}, {"seen": 40}, {"seen_on": TODAY - timedelta(days=200)}, {"called": 30}])
    promises = [
        contract(units, lead, kind=kind, number=f"CM-{n}", **state)
        for n, (units, lead, kind, state) in enumerate(
            draw(st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 40), kinds, states), max_size=3))
        )
    ]
    days = st.none() | st.integers(-10, 50)
    coming = [
        order(
            units,
            day,
            kind="planned" if number is None else "call_up",
            number=f"PR-{n}",
            commitment=number,
            per_day=rate,
        )
        for n, (units, day, number, rate) in enumerate(
            draw(
                st.lists(
                    st.tuples(
                        st.integers(1, 9000),
                        days,
                        st.sampled_from([None, *(p.number for p in promises)]),
                        st.none() | st.integers(50, 900),
                    ),
                    max_size=3,
                )
            )
        )
    ]
    more = draw(st.sampled_from([{}, {}, known(0.0, 0, 89), known(2.5, 3, 20), known(100.0, 0, 89)]))
    history = case.history
    if draw(st.booleans()):
        norms = st.none() | st.fractions(1, 500, max_denominator=7)
        history = history._replace(declared=tuple(draw(norms) for _ in history.places))
    return case._replace(policies=policies, promises=promises, coming=coming, history=history, **more)
