"""Who gives what to whom (调剂): the places directly below a scope, each judged by its own peak, and the moves between.

A region below the scope is one place. What lies in the scope itself and in none of them, its own stores and hospitals,
is one more, under the scope's own code. A place that uses nothing owes nothing to anybody: all it holds may go.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from sqlmodel import Session

from forecasting import redistribution
from forecasting.depletion import Cover, cover
from forecasting.redistribution import ARCS_MAX, Plan, Route
from reserve import coverage, figures, plan_words
from reserve.catalogue import ItemRow, Place
from reserve.consumption import History
from reserve.coverage import Board
from reserve.evidence import floored, iso
from reserve.explain import Sentence
from reserve.figures import Situation
from reserve.lots import life
from reserve.model import LocationKind
from reserve.plan_words import LEFT_OUT, MoveTold
from reserve.planning import LARGEST, Drawing, Json, in_days
from reserve.policy import PolicyRow
from reserve.stock import StockRow


class Batch(NamedTuple):
    """Units of one lot at one store; `moves`: they may be given away."""

    row: StockRow
    units: int
    life: int | None
    moves: bool


class Part(NamedTuple):
    """A place of the plan: its lots, its peak and its rule; `left_out` says why it gives or takes nothing."""

    place: Place
    batches: Sequence[Batch]
    peak: Fraction | None
    required_days: Fraction
    policy: str | None
    cover: Cover | None
    store: Place | None
    """Where what it gets is sent."""
    left_out: str | None

    @property
    def idle(self) -> bool:
        """It uses nothing, so that no days are asked of it."""
        return self.peak == 0


def parts(session: Session, drawing: Drawing, scope: Place, item: ItemRow) -> list[Part]:
    """The places of the plan of one item, the scope's own first."""
    regions = below(drawing.world, scope)
    cases = coverage.read(session, drawing.world, item, [scope, *regions], drawing.moment)
    own = _own(cases[0], drawing.world, regions)
    return [_part(case, drawing.world, _inside(drawing.world, case.scope, regions)) for case in [own, *cases[1:]]]


def below(world: Board, scope: Place) -> list[Place]:
    """The regions directly below a scope."""
    return [p for p in world.places.values() if p.parent_id == scope.id and p.kind == LocationKind.REGION]


def _inside(world: Board, place: Place, regions: Sequence[Place]) -> list[Place]:
    """The stores and hospitals of a part: of a region all below it, of the scope those in no region."""
    apart = [region for region in regions if region.id != place.id] if place not in regions else []
    return [p for p in world.places.values() if p.stocked and place.holds(p) and not any(r.holds(p) for r in apart)]


def _own(case: Situation, world: Board, regions: Sequence[Place]) -> Situation:
    """The scope without the regions below it."""
    kept = [n for n, p in enumerate(case.history.places) if not any(region.holds(p) for region in regions)]
    lots = [row for row in case.lots if not any(r.holds(world.places[row.location_id]) for r in regions)]
    return case._replace(lots=lots, history=_rows(case.history, kept))


def _rows(history: History, kept: Sequence[int]) -> History:
    now = {n: row for row, n in enumerate(kept)}
    rows = np.array(kept, dtype=np.intp)
    return history._replace(
        places=tuple(history.places[n] for n in kept),
        values=history.values[rows],
        reported=history.reported[rows],
        censored=history.censored[rows],
        active=history.active[rows],
        declared=tuple(history.declared[n] for n in kept) if history.declared else (),
        excluded=tuple(left._replace(row=now[left.row]) for left in history.excluded if left.row in now),
    )


def _part(case: Situation, world: Board, inside: Sequence[Place]) -> Part:
    batches = _batches(case, world)
    lots = [(batch.units, batch.life) for batch in batches]
    judged = [(_peak(case, rule), rule) for rule in in_days(case.policies)]
    store = _store(case, inside)
    if not judged:
        return Part(case.scope, batches, None, Fraction(0), None, None, store, "no_rule")
    if any(rate is None for (rate, _), _ in judged):
        return Part(case.scope, batches, None, Fraction(0), None, None, store, "peak_unknown")
    (rate, known), rule = max(judged, key=lambda j: ((j[0][0] or 0) * (j[1].physical or 0), j[1].code))
    assert rate is not None and rule.physical is not None  # noqa: PT018, S101 - seen above; a rule in days has days
    found = cover(lots, rate, rule.physical)
    below_rule = found.days is not None and found.days < rule.physical
    left_out = None
    if not known and not below_rule:
        left_out = "peak_is_a_bound"
    elif rate == 0 and not any(batch.moves for batch in batches):
        left_out = "no_use"
    elif below_rule and store is None:
        left_out = "no_store"
    return Part(case.scope, batches, rate, rule.physical, rule.code, found, store, left_out)


def _peak(case: Situation, rule: PolicyRow) -> tuple[Fraction | None, bool]:
    if rule.rate is not None:
        return rule.rate, True
    found = figures.peak_of(case.history, rule.method, rule.look_back_days, rule.scope_peak)
    if not found.own and not case.history.places:
        return Fraction(0), True  # nobody here uses anything
    return found.peak, found.known


def _batches(case: Situation, world: Board) -> list[Batch]:
    """Usable lots in the order of expiry; what is promised to a requisition or lies at a hospital stays."""
    found = []
    for row in sorted(case.lots, key=lambda r: (r.expires_on or date.max, r.lot_number, r.location)):
        days = life(row.expires_on, case.as_of)
        store = world.places[row.location_id].kind == LocationKind.WAREHOUSE
        free = row.available if store else 0
        found += [Batch(row, n, days, moves) for n, moves in ((free, True), (row.usable - free, False)) if n]
    return found


def _store(case: Situation, inside: Sequence[Place]) -> Place | None:
    """Where goods are sent: the open warehouse of the reserve that holds most of the item; else a hospital."""
    lying: dict[int, int] = defaultdict(int)
    for row in case.lots:
        lying[row.location_id] += row.usable
    open_ = [
        p
        for p in inside
        if p.kind != LocationKind.REGION
        and p.owner is None
        and p.bay_of is None
        and (p.closed_on is None or p.closed_on >= case.as_of)
    ]
    ranked = sorted(open_, key=lambda p: (p.kind != LocationKind.WAREHOUSE, -lying[p.id], p.code))
    return ranked[0] if ranked else None


# -- the plan ---------------------------------------------------------------------------------------------------------


def plan(item: ItemRow, scope: Place, found: Sequence[Part], *, as_of: date, transit_days: int) -> Json:
    """The plan of one item between the places of a scope, with the days of each before and after."""
    taking_part = {part.place.code: part for part in found if part.left_out is None}
    givers = [code for code, part in taking_part.items() if not _lacks(part)]
    takers = [code for code, part in taking_part.items() if _lacks(part)]
    made: Plan | None = None
    reason = "no_taker" if not takers else "no_giver" if not givers else "too_large"
    if takers and givers and _size(taking_part, len(takers)):
        try:
            made = _solve(taking_part, givers, takers, transit_days)
            reason = made.reason
        except RuntimeError:  # the solver's numbers did not hold when they were checked: say so, plan nothing
            reason = "not_solved"
    lines = [] if made is None else _lines(item, scope, taking_part, made, as_of, transit_days)
    said = plan_words.NO_MOVES[reason]
    return {
        "item": item.code,
        "base_unit": item.base_unit,
        "reason_code": reason,
        "words": said._asdict(),
        "moved": sum(line["units"] for line in lines),
        "least_days": None if made is None else floored(made.least_days),
        "places": [_told(part, _after(part, made), lines) for part in found],
        "lines": lines,
    }


def _lacks(part: Part) -> bool:
    return part.cover is not None and part.cover.days is not None and part.cover.days < part.required_days


def _size(taking_part: Mapping[str, Part], takers: int) -> bool:
    """Whether it is small enough for the solver: lots times routes, and numbers that a float64 tells apart."""
    moving = sum(sum(batch.moves for batch in part.batches) for part in taking_part.values() if not _lacks(part))
    held = max(sum(batch.units for batch in part.batches) for part in taking_part.values())
    required = max(Fraction(part.peak or 0) * (part.required_days + 1) for part in taking_part.values())
    return moving * takers <= ARCS_MAX and held <= LARGEST and required <= LARGEST


def _solve(taking_part: Mapping[str, Part], givers: Sequence[str], takers: Sequence[str], transit_days: int) -> Plan:
    """Every giver to every taker at the same cost; a giver that uses nothing is asked for no days."""
    places = {
        code: redistribution.Place(
            [(batch.units, batch.life) for batch in part.batches],
            part.peak or 1,
            0 if part.idle else part.required_days,
            frozenset(n for n, batch in enumerate(part.batches) if not batch.moves),
        )
        for code, part in taking_part.items()
    }
    moving = {code: [b for b in taking_part[code].batches if b.moves] for code in givers}
    return redistribution.redistribute(
        places, [Route(a, b, 1, transit_days) for a in givers if moving[a] for b in takers]
    )


def _after(part: Part, made: Plan | None) -> Fraction | None:
    before = None if part.cover is None else part.cover.days
    if made is None or part.idle or part.place.code not in made.days:
        return before
    return made.days[part.place.code]


def _lines(
    item: ItemRow, scope: Place, taking_part: Mapping[str, Part], made: Plan, as_of: date, transit_days: int
) -> list[Json]:
    told = []
    for move in made.moves:
        giver, taker = taking_part[move.giver], taking_part[move.taker]
        row = giver.batches[move.lot].row
        assert taker.store is not None  # noqa: S101 - who has none takes nothing
        said: Sentence = plan_words.move(
            MoveTold(
                item.base_unit,
                giver.place,
                taker.place,
                move.units,
                row.lot_number,
                row.expires_on,
                (giver.required_days, taker.required_days),
                (_days(giver), _days(taker)),
                (_after(giver, made), _after(taker, made)),
            )
        )
        told.append(
            {
                "scope": scope.code,
                "item": item.code,
                "from": giver.place.code,
                "to": taker.place.code,
                "source": row.location,
                "target": taker.store.code,
                "lot_number": row.lot_number,
                "expires_on": iso(row.expires_on),
                "units": move.units,
                "expected_on": iso(as_of + timedelta(days=transit_days)),
                "words": said._asdict(),
            }
        )
    return told


def _days(part: Part) -> Fraction | None:
    return None if part.cover is None else part.cover.days


def _told(part: Part, after: Fraction | None, lines: Sequence[Json]) -> Json:
    code, found = part.place.code, part.cover
    gives = sum(line["units"] for line in lines if line["from"] == code)
    takes = sum(line["units"] for line in lines if line["to"] == code)
    usable = sum(batch.units for batch in part.batches)
    role = "none" if part.left_out else "taker" if _lacks(part) else "giver"
    return {
        "place": code,
        "name_zh": part.place.name_zh,
        "name_en": part.place.name_en,
        "role": role,
        "policy": part.policy,
        "peak_daily": None if part.peak is None else float(part.peak),
        "required_days": None if part.policy is None else float(part.required_days),
        "shortfall": None if found is None else found.shortfall,
        "usable_before": usable,
        "usable_after": usable - gives + takes,
        "days_before": floored(_days(part)),
        "days_after": floored(after),
        "gives": gives,
        "receives": takes,
        "left_out": part.left_out,
        "words": LEFT_OUT[part.left_out]._asdict() if part.left_out else None,
    }


# -- a line that is sent ----------------------------------------------------------------------------------------------


def after_sending(session: Session, drawing: Drawing, item: ItemRow, named: Mapping[str, Place]) -> bool | None:
    """Whether the giver keeps its rule now that a line has been sent; None where it is no line of such a plan.

    `named`: the line's scope, from, to, source and target. What was sent is on nobody's shelf any more.
    """
    world, scope = drawing.world, named["scope"]
    regions = below(world, scope)
    ends = (("from", "source"), ("to", "target"))
    places = {scope.id: scope, **{region.id: region for region in regions}}
    if named["from"].id == named["to"].id or any(
        named[part].id not in places or named[store] not in _inside(world, named[part], regions) for part, store in ends
    ):
        return None
    part = next(p for p in parts(session, drawing, scope, item) if p.place.id == named["from"].id)
    if part.left_out is not None and not (part.idle and part.left_out == "no_use"):
        return False
    return not _lacks(part)
