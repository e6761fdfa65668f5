"""A reserve as one would keep it on paper, lot by lot and day by day, and drawn stock to try it with."""

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import strategies as st

CASES = Path(__file__).parent / "cases"


def cases(*names):
    found = [case for name in names for case in json.loads((CASES / name).read_text())["cases"]]
    return [pytest.param(case, id=case["name"]) for case in found]


def lots_of(case):
    return [tuple(lot) for lot in case["inputs"]["lots"]]


def close(case):
    return {"abs": case["tolerance"]}


def same_number(found, expected, case):
    return found is None if expected is None else found == pytest.approx(expected, **close(case))


class Plain(list):
    """A day-by-day reserve: lots as [life, units], issued first-expired-first-out."""

    def __init__(self, lots=()):
        super().__init__()
        self.receive(lots)

    def receive(self, lots):
        """Units and life counted from day 0; what is expired on day 0 counts nowhere."""
        self.extend([math.inf if life is None else life, units] for units, life in lots if life is None or life > 0)
        self.sort(key=lambda lot: lot[0])

    def expire(self, day):
        lost = 0
        while self and self[0][0] <= day:
            lost += self.pop(0)[1]
        return lost

    def issue(self, asked):
        while self and self[0][1] <= asked:
            asked -= self.pop(0)[1]
        if self:
            self[0][1] -= asked
            return 0
        return asked

    def on_hand(self):
        return sum(units for _, units in self)

    def seen_from(self, day):
        """What is left, with lives counted from that day."""
        return [(units, None if life == math.inf else life - day) for life, units in self]


def plain_days(lots, peak):
    """(days, wasted): how long it lasts at the peak and what expires until then; counted in 1 / its denominator."""
    one, asked = peak.denominator, peak.numerator
    stock, wasted = Plain([(units * one, life) for units, life in lots]), 0
    for day in range(10**6):
        wasted += stock.expire(day)
        unmet = stock.issue(asked)
        if unmet:
            return day + 1 - Fraction(unmet, asked), Fraction(wasted, one)
    raise AssertionError


lives = st.one_of(st.none(), st.integers(-2, 25), st.integers(1, 4))
stocks = st.lists(st.tuples(st.integers(0, 60), lives), max_size=7)
peaks = st.builds(Fraction, st.integers(1, 60), st.integers(1, 7))
