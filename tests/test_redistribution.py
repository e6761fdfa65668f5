"""Who gives what to whom: worked cases, every plan of small worlds tried, and what must hold of any plan."""

import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.depletion import cover
from forecasting.redistribution import ARCS_MAX, Move, Place, Route, redistribute

CASES = json.loads((Path(__file__).parent / "cases" / "12_redistribution.json").read_text())["cases"]


def lots_after(places, routes, moves):
    """Play the moves plainly: what each place holds once the goods are there."""
    days = {(way.giver, way.taker): way.transit_days for way in routes}
    lots = {name: [list(lot) for lot in place.lots] for name, place in places.items()}
    for move in moves:
        life = places[move.giver].lots[move.lot][1]
        lots[move.giver][move.lot][0] -= move.units
        lots[move.taker].append([move.units, None if life is None else life - days[move.giver, move.taker]])
    return {name: [tuple(lot) for lot in held] for name, held in lots.items()}


def days_of(places, lots):
    return {name: cover(lots[name], place.peak, place.required_days).days for name, place in places.items()}


def assert_allowed(places, routes, plan):
    """Check all that is promised of any plan, without the planner."""
    before = days_of(places, {name: place.lots for name, place in places.items()})
    after = lots_after(places, routes, plan.moves)
    days = days_of(places, after)
    ways = {(way.giver, way.taker): way for way in routes}
    assert all(move.units > 0 and (move.giver, move.taker) in ways for move in plan.moves)
    assert len({(move.giver, move.lot, move.taker) for move in plan.moves}) == len(plan.moves)
    assert all(units >= 0 for held in after.values() for units, _ in held)
    for name, place in places.items():
        gave = sum(move.units for move in plan.moves if move.giver == name)
        got = sum(move.units for move in plan.moves if move.taker == name)
        assert not (gave and got)
        if gave:
            assert before[name] >= place.required_days
            assert days[name] >= place.required_days
        if got:
            assert before[name] < place.required_days
            assert got <= cover(place.lots, place.peak, place.required_days).shortfall
            assert days[name] >= before[name]
    assert plan.days == days
    assert plan.moved == sum(move.units for move in plan.moves)
    assert plan.cost == sum(Fraction(str(ways[move.giver, move.taker].cost)) * move.units for move in plan.moves)
    takers = [name for name in places if before[name] is not None and before[name] < places[name].required_days]
    if takers:
        assert plan.least_days == min(*(places[n].required_days for n in takers), *(days[n] for n in takers), math.inf)
    else:
        assert plan.least_days is None


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_a_plan_is_worked_out_by_hand(case):
    told, expected = case["inputs"], case["expected"]
    places = {
        name: Place([tuple(lot) for lot in place["lots"]], place["peak"], place["required_days"])
        for name, place in told["places"].items()
    }
    routes = [Route(*way) for way in told["cost"]]
    plan = redistribute(places, routes)
    assert_allowed(places, routes, plan)
    assert (plan.moved, plan.cost) == (expected["moved"], expected["cost"])
    assert plan.least_days == pytest.approx(expected["least_days"], abs=case["tolerance"])
    assert plan.days == {name: pytest.approx(days, abs=case["tolerance"]) for name, days in expected["days"].items()}


@st.composite
def worlds(draw, units=6, lots=2, names="ABCD"):
    lot = st.tuples(st.integers(0, units), st.one_of(st.none(), st.integers(-1, 7)))
    peak = st.one_of(st.integers(0, 3), st.fractions(Fraction(1, 3), 3, max_denominator=3))
    places = {
        name: Place(draw(st.lists(lot, max_size=lots)), draw(peak), draw(st.integers(0, 6)))
        for name in names[: draw(st.integers(1, len(names)))]
    }
    pairs = [(a, b) for a in places for b in places if a != b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    routes = [Route(a, b, draw(st.integers(0, 3)), draw(st.integers(0, 2))) for a, b in chosen]
    return places, routes


@given(worlds(units=40, lots=4, names="ABCDEF"))
@settings(max_examples=60, deadline=None)
def test_no_giver_breaks_its_rule_no_lot_is_overdrawn_and_no_taker_gets_more_than_it_lacks(world):
    places, routes = world
    assert_allowed(places, routes, redistribute(places, routes))


def every_plan(places, routes):
    """(least days, units, minus cost) of every allowed plan in whole units."""
    before = {name: cover(place.lots, place.peak, place.required_days) for name, place in places.items()}
    takers = [n for n, there in before.items() if there.days is not None and there.days < places[n].required_days]
    arcs = [
        (way, i)
        for way in routes
        if before[way.giver].days is not None and way.giver not in takers and way.taker in takers
        for i, (units, life) in enumerate(places[way.giver].lots)
        if units and (life is None or life > way.transit_days)
    ]
    limit = min(places[name].required_days for name in takers)
    most = [min(places[way.giver].lots[i][0], before[way.taker].shortfall) for way, i in arcs]
    for units in product(*(range(n + 1) for n in most)):
        moves = [Move(way.giver, i, way.taker, n) for (way, i), n in zip(arcs, units, strict=True) if n]
        after = lots_after(places, routes, moves)
        if any(n < 0 for held in after.values() for n, _ in held):
            continue
        got = {name: sum(m.units for m in moves if m.taker == name) for name in takers}
        if any(got[name] > before[name].shortfall for name in takers):
            continue
        days = days_of(places, after)
        if any(days[m.giver] < places[m.giver].required_days for m in moves):
            continue
        cost = sum(way.cost * n for (way, _), n in zip(arcs, units, strict=True))
        yield min(limit, *(days[name] for name in takers), math.inf), sum(units), -cost


@st.composite
def lopsided_worlds(draw):
    """Two that have and two that lack, in numbers small enough to try every plan."""
    lot = st.tuples(st.integers(1, 5), st.one_of(st.none(), st.integers(1, 6)))
    peak = st.sampled_from([1, 2, Fraction(1, 2), Fraction(4, 3)])
    places = {}
    for name in "AB":
        places[name] = Place(draw(st.lists(lot, min_size=1, max_size=2)), draw(peak), draw(st.integers(0, 3)))
    for name in "CD":
        places[name] = Place(draw(st.lists(lot, max_size=1)), draw(peak), draw(st.integers(1, 5)))
    routes = [Route(a, b, draw(st.integers(0, 3)), draw(st.integers(0, 1))) for a in "AB" for b in "CD"]
    return places, [way for way in routes if draw(st.integers(0, 3))]


@given(lopsided_worlds())
@settings(max_examples=80, deadline=None)
def test_no_other_plan_is_better(world):
    places, routes = world
    plan = redistribute(places, routes)
    assert_allowed(places, routes, plan)
    if plan.least_days is not None:
        assert (plan.least_days, plan.moved, -plan.cost) == max(every_plan(places, routes))


def test_what_expires_first_is_moved_first():
    places = {"A": Place([(500, None), (500, 300), (500, 100)], 10, 30), "B": Place([(100, None)], 10, 30)}
    assert redistribute(places, [Route("A", "B", 1)]).moves == (Move("A", 2, "B", 200),)


def test_a_taker_gets_lots_it_can_spend_also_when_the_poorest_cannot_be_helped():
    places = {
        "A": Place([(5000, None), (5000, 8)], 10, 30),
        "B": Place([(200, None)], 10, 30),
        "C": Place([], 10, 30),
    }
    plan = redistribute(places, [Route("A", "B", 1)])
    assert plan.least_days == 0
    assert plan.days["B"] == 30


def test_days_on_the_road_count():
    near, far = Route("A", "B", 1, 0), Route("A", "B", 1, 3)
    places = {"A": Place([(100, 5), (300, None)], 10, 20), "B": Place([], 10, 5)}
    assert redistribute(places, [near]).moves == (Move("A", 0, "B", 50),)
    assert redistribute(places, [far]).moves == (Move("A", 0, "B", 20), Move("A", 1, "B", 30))
    places = {"A": Place([(100, 3), (20, None)], 1, 3), "B": Place([], 10, 5)}
    assert all(move.lot == 1 for move in redistribute(places, [far]).moves)


@pytest.mark.parametrize(
    ("places", "routes", "reason"),
    [
        ({}, [], "no_taker"),
        ({"A": Place([(100, None)], 1, 30)}, [], "no_taker"),
        ({"A": Place([(10, None)], 1, 30)}, [], "no_giver"),
        ({"A": Place([(10, None)], 1, 30), "B": Place([(9, None)], 0, 30)}, [Route("B", "A")], "no_giver"),
        ({"A": Place([(40, None)], 1, 30), "B": Place([], 1, 30)}, [], "no_route"),
        ({"A": Place([(40, None)], 1, 30), "B": Place([], 1, 30)}, [Route("B", "A")], "no_route"),
        ({"A": Place([(30, None)], 1, 30), "B": Place([], 1, 30)}, [Route("A", "B")], "nothing_to_give"),
        ({"A": Place([(99, None)], 1, 30), "B": Place([], 1, 30)}, [Route("A", "B")], "planned"),
    ],
)
def test_an_empty_plan_says_why(places, routes, reason):
    plan = redistribute(places, routes)
    assert plan.reason == reason
    assert bool(plan.moves) == (reason == "planned")
    assert_allowed(places, routes, plan)


def test_a_city_of_many_counties_and_lots_is_planned():
    chance = np.random.default_rng(7)
    places = {
        f"{i:02}": Place(
            [(int(chance.integers(1, 5000)), int(chance.integers(5, 900))) for _ in range(60)],
            Fraction(int(chance.integers(500, 60_000)), 7),
            30,
        )
        for i in range(24)
    }
    routes = [Route(a, b, float(chance.integers(5, 900)) / 10) for a in places for b in places if a != b]
    plan = redistribute(places, routes)
    assert plan.moved
    assert_allowed(places, routes, plan)


def test_huge_quantities_are_planned_to_the_unit():
    places = {
        "A": Place([(10**12, None)], 10**9, 30),
        "B": Place([(10**9 + 1, None)], 10**10, 30),
        "C": Place([(3, None)], 10**10 - 1, 30),
    }
    routes = [Route("A", "B", 2), Route("A", "C", 1)]
    plan = redistribute(places, routes)
    assert_allowed(places, routes, plan)
    # B lacks 299 billion and C 300 billion: all is moved.
    assert plan.least_days == 30
    scarce = {**places, "A": Place([(10**11 + 7, None)], 10**9, 30)}
    plan = redistribute(scarce, routes)
    assert plan.moved == 70 * 10**9 + 7
    assert_allowed(scarce, routes, plan)


def test_too_many_lots_times_routes_are_refused_in_a_sentence():
    full = Place([(10, None)] * (ARCS_MAX // 2 + 1), 1, 30)
    places = {"A": full, "B": Place([], 1, 30), "C": Place([], 1, 30)}
    with pytest.raises(ValueError, match=r"20,002 lots times routes.*one item at a time"):
        redistribute(places, [Route("A", "B"), Route("A", "C")])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place([(-1, None)], 1, 30), "lots of A: units"),
        (Place([(1.5, None)], 1, 30), "lots of A: units"),
        (Place([(10**15, None)], 1, 30), "lots of A: units"),
        (Place([(10**12, None), (1, None)], 1, 30), "lots of A: their sum"),
        (Place([(1, 2.5)], 1, 30), "lots of A: life"),
        (Place([(1, math.nan)], 1, 30), "lots of A: life"),
        (Place([(1, None)], -1, 30), "peak of A"),
        (Place([(1, None)], math.nan, 30), "peak of A"),
        (Place([(1, None)], 0.1, 30), "peak of A"),
        (Place([(1, None)], 10**13, 0), "peak of A"),
        (Place([(1, None)], math.inf, 30), "peak of A"),
        (Place([(1, None)], 1, -30), "required_days of A"),
        (Place([(1, None)], 10**12, 30), "peak x required_days of A"),
    ],
)
def test_a_place_that_is_none_is_refused_by_name(place, said):
    with pytest.raises(ValueError, match=rf"^{said} must"):
        redistribute({"A": place, "B": Place([], 1, 30)}, [Route("A", "B")])


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([Route("A", "X")], "routes must lead"),
        ([Route("A", "A")], "routes must lead"),
        ([Route("A", "B"), Route("A", "B", 2)], "routes must name a way once"),
        ([Route("A", "B", -1)], "cost of A to B must"),
        ([Route("A", "B", math.nan)], "cost of A to B must"),
        ([Route("A", "B", 1, -1)], "transit_days of A to B must"),
        ([Route("A", "B", 1, 0.5)], "transit_days of A to B must"),
    ],
)
def test_a_route_that_is_none_is_refused(routes, said):
    with pytest.raises(ValueError, match=rf"^{said}"):
        redistribute({"A": Place([(99, None)], 1, 30), "B": Place([], 1, 30)}, routes)
