"""Scenarios (情景): an outbreak as somebody states it, kept for good, and what each run gives with the day's stock."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import bindparam, func, insert, select
from sqlmodel import Session

from forecasting import epidemic
from reserve import assessment, catalogue, coverage, journal, norms, outbreak_words, outlook, stock
from reserve.catalogue import PLACE, ItemRow, Place
from reserve.coverage import TableQuestion
from reserve.entry import Entry
from reserve.errors import AlreadyThere, Conflict, Fault, Invalid, Unknown, UnknownItem
from reserve.lots import life
from reserve.model import LocationKind, NormBasis, Scenario, ScenarioRun, table
from reserve.norms import NormRow
from reserve.outbreak import (
    Beds,
    Course,
    Need,
    Outbreak,
    Seir,
    Staff,
    Stock,
    Window,
    Worked,
    course,
    missing_hours,
    needs,
    result,
    staff,
)
from reserve.outbreak_words import Warned

SCENARIO, RUN = (table(model) for model in (Scenario, ScenarioRun))

Json = dict[str, Any]

DAYS_MAX = 366
ITEMS_MAX = 200
COMPARED_MAX = 20
LEAD_MAX = 366
RESERVED = "comparison"
"""No scenario has this code: the address is taken."""


class ScenarioRow(NamedTuple):
    """A scenario as it was stated; `definition` is JSON."""

    id: int
    code: str
    name: str
    scope: str
    definition: str
    recorded_at: datetime
    actor: str


class RunRow(NamedTuple):
    """One run of a scenario; `result` is JSON."""

    scenario_id: int
    run: int
    as_of: date
    result: str
    recorded_at: datetime
    actor: str


class Listed(NamedTuple):
    """A scenario with the number of its latest run and what comes first in its result, which is all but the tables."""

    scenario: ScenarioRow
    run: int
    head: Json


class Case(NamedTuple):
    """A scenario with everything it rests on, ready to be worked out."""

    stated: Json
    outbreak: Outbreak
    norms: Sequence[NormRow]
    items: Sequence[ItemRow]
    found: Course
    staff: Staff


# -- stating and running ----------------------------------------------------------------------------------------------


def state(session: Session, entry: Entry, *, code: str, name: str, scope: Place, definition: Json) -> RunRow:
    """Keep a scenario for good and run it once with today's stock.

    Refused: a code that is taken; norms that are not loaded; an item without a norm; a day too far away; staff that
    norms speak of and whose hours nobody says.
    """
    if code == RESERVED:
        detail = f"{RESERVED} is the address of the comparison; choose another code."
        raise Invalid(detail, code="reserved_code", faults=[Fault("/code", "reserved_code", detail)])
    if session.connection().execute(_BY_CODE, {"code": code}).first() is not None:
        raise AlreadyThere(
            f"There is already a scenario {code}; a scenario is never edited: choose another code.",
            code="scenario_exists",
        )
    _require_days(definition, entry.today)
    _case(session, definition)
    session.connection().execute(
        _APPEND,
        {
            "code": code,
            "name": name,
            "scope_id": scope.id,
            "definition": compact(definition),
            "recorded_at": entry.now,
            "actor": entry.actor,
        },
    )
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="scenario.made",
        subject=f"scenario {code}",
        after={"name": name, "scope": scope.code, "definition": definition},
    )
    return run(session, entry, find(session, code))


def run(session: Session, entry: Entry, row: ScenarioRow) -> RunRow:
    """Work a scenario out with the stock and the norms of now; what it gave before stays.

    Refused: a scenario whose days are over.
    """
    session.connection().execute(_LOCK, {"id": row.id})  # two who run it at once number their runs one after the other
    definition: Json = json.loads(row.definition)
    scope = catalogue.require_place(session, row.scope, "/scope")
    last = session.connection().execute(_LAST_RUN, {"id": row.id}).scalar_one()
    number = (last or 0) + 1
    found = compact(_worked_out(session, entry.now, entry.zone, scope, definition))
    session.connection().execute(
        _APPEND_RUN,
        {
            "scenario_id": row.id,
            "run": number,
            "as_of": entry.today,
            "result": found,
            "recorded_at": entry.now,
            "actor": entry.actor,
        },
    )
    journal.write(
        session,
        actor=entry.actor,
        now=entry.now,
        verb="scenario.run",
        subject=f"scenario {row.code}",
        # the result is long; its digest puts it under the seal of the entry
        after={"run": number, "as_of": entry.today, "result_sha256": sha256(found.encode()).hexdigest()},
    )
    return run_of(session, row, number)


def _require_days(definition: Json, today: date) -> None:
    if definition["starts_on"] is None:
        return
    starts_on = date.fromisoformat(definition["starts_on"])
    if starts_on > today + timedelta(days=LEAD_MAX):
        detail = f"A scenario begins within {LEAD_MAX} days from today, not on {starts_on}."
    elif starts_on + timedelta(days=definition["days"]) <= today:
        detail = (
            f"A scenario of {definition['days']} days from {starts_on} on is over; leave starts_on out to play it now."
        )
    else:
        return
    raise Invalid(detail, code="scenario_days", faults=[Fault("/starts_on", "scenario_days", detail)])


def _case(session: Session, definition: Json) -> Case:
    """The outbreak, its norms and the items they speak of.

    Raises
    ------
    Invalid
        no such norms; an item that is not there or has no norm; staff without hours; more items than are worked out.
    """
    rows = norms.require_preset(session, definition["norms"])
    outbreak = outbreak_of(definition)
    spoken_of = {row.item for row in rows if row.item is not None}
    asked = definition["items"]
    wanted = sorted(spoken_of) if asked is None else list(dict.fromkeys(asked))
    items = catalogue.items_by_code(session, wanted)
    faults = []
    for code in wanted:
        n = wanted.index(code) if asked is None else asked.index(code)
        if code not in items:
            faults.append(Fault(f"/items/{n}", UnknownItem.code, f"There is no item {code}; see GET /v1/items."))
        elif code not in spoken_of:
            detail = f"The norms {definition['norms']} do not speak of {code}: post one, or leave the item out."
            faults.append(Fault(f"/items/{n}", "no_norm", detail))
    if faults:
        raise Invalid(faults[0].detail, code=faults[0].code, faults=faults)
    if not wanted:
        detail = f"The norms {definition['norms']} speak of no item: post some by POST /v1/norms."
        raise Invalid(detail, code="no_norm", faults=[Fault("/norms", "no_norm", detail)])
    if len(wanted) > ITEMS_MAX:
        detail = (
            f"A scenario works out at most {ITEMS_MAX} items, the norms speak of {len(wanted)}: name some in items."
        )
        raise Invalid(detail, code="too_many_items", faults=[Fault("/items", "too_many_items", detail)])
    found = course(outbreak)
    used = [row for row in rows if row.item is None or row.item in items]
    missing = missing_hours(outbreak, found, used)
    if missing:
        faults = [
            Fault(
                f"/staff/hours/{role}/{name}",
                "no_staff_hours",
                f"The norms {definition['norms']} say nothing of the hours of {role} beside a {name} patient: "
                "give them in staff.hours.",
            )
            for role, name in missing
        ]
        raise Invalid(faults[0].detail, code="no_staff_hours", faults=faults)
    return Case(definition, outbreak, used, [items[code] for code in wanted], found, staff(outbreak, found, used))


def outbreak_of(definition: Json) -> Outbreak:
    """The assumptions of a definition, as they were kept."""
    cases, beds, bands = definition["cases"], definition["beds"], definition["bands"]
    model = cases.get("seir")
    made = None
    if model is not None:
        gamma = model["gamma"] if model["gamma"] is not None else epidemic.rate_of(model["infectious_days"])
        made = Seir(
            model["people"],
            model["exposed"],
            model["infectious"],
            model["beta"] if model["beta"] is not None else epidemic.beta_of(model["r0"], gamma),
            model["sigma"] if model["sigma"] is not None else epidemic.rate_of(model["incubation_days"]),
            gamma,
            tuple((m["from_day"], m["factor"]) for m in model["measures"]),
        )
    return Outbreak(
        days=definition["days"],
        curve=None if cases.get("curve") is None else tuple(cases["curve"]),
        census=None if cases.get("census") is None else {k: tuple(v) for k, v in cases["census"].items()},
        seir=made,
        beds=None
        if beds is None or beds["hospital_share"] is None
        else Beds(beds["hospital_share"], beds["delay_days"], beds["shares"], beds["stay_days"]),
        available={} if beds is None else beds["available"],
        hours_per_shift=definition["staff"]["hours_per_shift"],
        hours=definition["staff"]["hours"],
        low=None if bands is None else bands["low_factor"],
        high=None if bands is None else bands["high_factor"],
    )


# -- working out ------------------------------------------------------------------------------------------------------


def _worked_out(session: Session, now: datetime, zone: ZoneInfo, scope: Place, definition: Json) -> Json:
    today = now.astimezone(zone).date()
    starts_on = today if definition["starts_on"] is None else date.fromisoformat(definition["starts_on"])
    window = Window(today, starts_on, definition["days"])
    if window.skipped >= window.days:
        raise Conflict(
            f"The {window.days} days of this scenario from {starts_on} on are over; state another.",
            code="scenario_over",
        )
    case = _case(session, definition)
    found = needs(case.items, case.norms, case.found, case.staff)
    stocks, unknown = _stocks(session, now, zone, scope, case, today)
    others = _other_presets(session, case)
    rows = []
    for need in found:
        held = stocks[need.item.code]
        row = result(need, held, window, case.outbreak)
        row["ordinary_known"] = need.item.code not in unknown
        row["other_norms"] = _others_told(need, others)
        row["explanation"] = outbreak_words.explanation(
            need, held.ordinary, row, window, Worked(case.found, case.staff, case.outbreak.hours_per_shift)
        )
        rows.append(row)
    beds = _beds(case, window)
    said = _warnings(case, window, rows, beds, unknown)
    return {
        "as_of": today.isoformat(),
        "starts_on": starts_on.isoformat(),
        "days": window.days,
        "norms": definition["norms"],
        "cases": _cases(case.found, window),
        "beds": beds,
        "runs_out_first": [
            {name: row[name] for name in ("item", "runs_out_on", "days_met", "unmet")}
            for row in sorted(rows, key=lambda r: (r["days_met"], -r["unmet"], r["item"]))
            if row["runs_out_on"] is not None
        ],
        "warnings": [w._asdict() for w in said],
        # a list of scenarios reads what stands before this
        "by_day": _by_day(case, window),
        "path_from": today.isoformat(),
        "items": rows,
    }


def _stocks(
    session: Session, now: datetime, zone: ZoneInfo, scope: Place, case: Case, today: date
) -> tuple[dict[str, Stock], list[str]]:
    """Usable lots, ordinary use and the rule's row of each item; and the items whose ordinary use is not known."""
    places = {place.id: place for place in catalogue.places(session)}
    wanted = {item.code for item in case.items}
    lots: dict[str, list[tuple[int, int | None]]] = {code: [] for code in wanted}
    for row in stock.rows(session, stock.StockQuestion(day=today, scope=scope)):
        lies_here = row.owner is None and places[row.location_id].kind != LocationKind.TRANSIT
        if row.item in wanted and row.usable and lies_here:
            lots[row.item].append((row.usable, life(row.expires_on, today)))
    rules = _rules(session, now, zone, scope, case.items)
    found, unknown = {}, []
    for item in case.items:
        daily: float | None = 0.0
        if case.stated["ordinary_use"]:
            daily = _ordinary(rules.get(item.code, {}))
        if daily is None:
            unknown.append(item.code)
        found[item.code] = Stock(lots[item.code], daily or 0.0, rules.get(item.code))
    return found, unknown


def _ordinary(rule: Json) -> float | None:
    """Units a day that the forecast expects: the figure the coverage table shows; None where it can tell none."""
    use = (rule.get("expected") or {}).get("use_30_days")
    return None if use is None else float(use["mean"]) / outlook.BLOCK_DAYS


def _rules(session: Session, now: datetime, zone: ZoneInfo, scope: Place, items: Sequence[ItemRow]) -> dict[str, Json]:
    """The rule's own row of each item: as it was stored, or worked out where nobody has yet."""
    found: dict[str, Json] = {
        row.item: json.loads(row.row) | {"stale": row.stale}
        for row in coverage.stored(session, TableQuestion(scope=scope.code), now)
    }
    moment = coverage.when(None, now=now, zone=zone)
    missing = [item for item in items if item.code not in found]
    world = coverage.board(session, moment) if missing else None
    for item in missing:
        assert world is not None  # noqa: S101 - read above where anything is missing
        for situation in coverage.read(session, world, item, [scope], moment):
            found[item.code] = assessment.assess(situation).row | {"stale": False}
    return found


def _other_presets(session: Session, case: Case) -> dict[str, list[Need]]:
    """What the same outbreak would use by the other norms that are loaded, where they can be worked out."""
    wanted = {item.code for item in case.items}
    by_preset: dict[str, list[NormRow]] = {}
    for row in norms.in_force(session):
        if row.preset != case.stated["norms"] and (row.item is None or row.item in wanted):
            by_preset.setdefault(row.preset, []).append(row)
    found = {}
    for preset, rows in by_preset.items():
        if not missing_hours(case.outbreak, case.found, rows):
            found[preset] = needs(case.items, rows, case.found, staff(case.outbreak, case.found, rows))
    return found


def _others_told(need: Need, others: Mapping[str, Sequence[Need]]) -> list[Json]:
    told = []
    ours = float(need.units.sum())
    for preset, found in sorted(others.items()):
        other = next(n for n in found if n.item.id == need.item.id)
        if other.norms:
            theirs = float(other.units.sum())
            times = round(theirs / ours, 3) if ours else None
            told.append({"preset": preset, "outbreak_total": round(theirs), "times": times})
    return told


def _cases(found: Course, window: Window) -> Json | None:
    if found.cases is None:
        return None
    peak = int(found.cases.argmax())
    return {
        "total": round(float(found.cases.sum()), 3),
        "peak": {"day": peak, "date": window.date(peak), "cases": round(float(found.cases[peak]), 3)},
    }


def _beds(case: Case, window: Window) -> Json:
    classes = {}
    for name, census in zip(case.found.classes, case.found.census, strict=True):
        peak, available = int(census.argmax()), case.outbreak.available.get(name)
        over = np.zeros(len(census), dtype=bool) if available is None else census > available + 1e-9
        classes[name] = {
            "peak": {"day": peak, "date": window.date(peak), "patients": round(float(census[peak]), 3)},
            "patient_days": round(float(census.sum()), 3),
            "available": available,
            "days_over": int(over.sum()),
            "over_from": window.date(int(over.argmax())) if over.any() else None,
        }
    together = case.found.census.sum(axis=0)
    peak = int(together.argmax())
    patients = float(together[peak]) if len(case.found.classes) else 0.0
    return {
        "classes": classes,
        "peak": {"day": peak, "date": window.date(peak), "patients": round(patients, 3)},
        "patient_days": round(float(together.sum()), 3),
    }


def _by_day(case: Case, window: Window) -> Json:
    """The table of days: cases, patients and how full their beds are, staff on shift."""
    found, available = case.found, case.outbreak.available
    return {
        "dates": [window.date(day) for day in range(window.days)],
        "cases": None if found.cases is None else _rounded(found.cases),
        "census": {name: _rounded(row) for name, row in zip(found.classes, found.census, strict=True)},
        "occupancy": {
            name: _rounded(row / available[name]) if available[name] else None
            for name, row in zip(found.classes, found.census, strict=True)
            if name in available
        },
        "staff": {role: _rounded(case.staff.of(role)) for role in case.staff.roles},
    }


def _rounded(values: Any) -> list[float]:  # noqa: ANN401 - an array
    return [round(float(value), 3) for value in values]


def _warnings(case: Case, window: Window, rows: Sequence[Json], beds: Json, unknown: Sequence[str]) -> list[Warned]:
    widest = max(
        (
            (max(other["times"], 1 / other["times"]), row["item"], other["preset"], other["times"])
            for row in rows
            for other in row["other_norms"]
            if other["times"]
        ),
        default=None,
    )
    said = [outbreak_words.norms_differ(case.stated["norms"], None if widest is None else widest[1:])]
    for name, told in beds["classes"].items():
        if told["days_over"]:
            most = told["peak"]["patients"]
            said.append(outbreak_words.beds_over(name, most, told["available"], told["days_over"], told["over_from"]))
    if unknown:
        said.append(outbreak_words.ordinary_unknown(unknown))
    curve = case.outbreak.curve
    if curve is not None and len(curve) < window.days:
        said.append(outbreak_words.curve_ended(window.date(len(curve))))
    first = case.stated["cases"].get("file_from")
    if first is not None and first != window.starts_on.isoformat():
        said.append(outbreak_words.replayed(first, window.starts_on.isoformat()))
    if window.skipped:
        said.append(outbreak_words.partly_over(window.skipped, window.as_of.isoformat()))
    by_case = sorted({n.item for n in case.norms if n.basis == NormBasis.CASE and n.item is not None})
    if by_case and case.found.cases is None:
        said.append(outbreak_words.skipped_norms(by_case))
    return said


# -- asking -----------------------------------------------------------------------------------------------------------


def find(session: Session, code: str) -> ScenarioRow:
    row = session.connection().execute(_BY_CODE, {"code": code}).one_or_none()
    if row is None:
        raise Unknown(f"There is no scenario {code}; see GET /v1/scenarios.", code="unknown_scenario")
    return ScenarioRow._make(row)


def scenarios(session: Session, within: Place, *, before: int | None, limit: int) -> list[Listed]:
    """Scenarios of a subtree with the head of their latest runs, the newest first.

    A result has a megabyte and more where there are many items and days; nearly all of it is tables that no list shows.
    """
    statement = _SCENARIOS.where(PLACE.c.path.like(f"{within.path}%")).order_by(SCENARIO.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(SCENARIO.c.id < before)
    connection = session.connection()
    rows = [ScenarioRow._make(row) for row in connection.execute(statement)]
    ids = [row.id for row in rows]
    runs = connection.execute(_HEADS[connection.dialect.name], {"ids": ids}).all() if ids else []
    found = {row.scenario_id: (row.run, json.loads(row.head + "}")) for row in runs}
    return [Listed(row, *found[row.id]) for row in rows]


def latest(session: Session, rows: Sequence[ScenarioRow]) -> dict[str, RunRow]:
    """The latest run of each scenario, by code."""
    found = {run.scenario_id: run for run in _latest(session, [row.id for row in rows])}
    return {row.code: found[row.id] for row in rows}


def run_of(session: Session, row: ScenarioRow, number: int | None = None) -> RunRow:
    """One run of a scenario; the latest where no number is given."""
    if number is None:
        return latest(session, [row])[row.code]
    found = session.connection().execute(_RUN, {"id": row.id, "run": number}).one_or_none()
    if found is None:
        raise Unknown(f"Scenario {row.code} has no run {number}.", code="unknown_run")
    return RunRow._make(found)


def compared(rows: Sequence[tuple[ScenarioRow, RunRow]]) -> Json:
    """Scenarios side by side: what each asks of every item, how long stock lasts under it, and today's rule beside."""
    told, items = [], dict[str, Json]()
    for row, run_row in rows:
        found: Json = json.loads(run_row.result)
        told.append(
            {
                "code": row.code,
                "name": row.name,
                "scope": row.scope,
                "run": run_row.run,
                **{name: found[name] for name in ("as_of", "starts_on", "days", "norms", "cases")},
                "beds": {
                    "peak": found["beds"]["peak"],
                    **{name: of["peak"] for name, of in found["beds"]["classes"].items()},
                },
                "runs_out_first": found["runs_out_first"][:1],
                "warnings": found["warnings"],
            }
        )
        for line in found["items"]:
            item = items.setdefault(
                line["item"],
                {name: line[name] for name in ("item", "name_zh", "name_en", "base_unit")} | {"under": {}},
            )
            item["today"] = line["rule"] | {"usable": line["usable"]}
            item["under"][row.code] = {name: line[name] for name in _COMPARED} | {
                "days_at_scenario_peak": line["at_scenario_peak"]["days"]
            }
    for item in items.values():
        item["under"] = {row.code: item["under"].get(row.code) for row, _ in rows}
    return {"scenarios": told, "items": [items[code] for code in sorted(items)]}


_COMPARED = (
    "total",
    "peak_day",
    "seven_day_peak",
    "usable",
    "days_met",
    "runs_out_on",
    "unmet",
    "expires_unused",
)


def compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _latest(session: Session, ids: Sequence[int]) -> list[RunRow]:
    return [RunRow._make(row) for row in session.connection().execute(_LATEST, {"ids": list(ids)})] if ids else []


_SCENARIOS = select(
    SCENARIO.c.id,
    SCENARIO.c.code,
    SCENARIO.c.name,
    PLACE.c.code,
    SCENARIO.c.definition,
    SCENARIO.c.recorded_at,
    SCENARIO.c.actor,
).join(PLACE, PLACE.c.id == SCENARIO.c.scope_id)
_BY_CODE = _SCENARIOS.where(SCENARIO.c.code == bindparam("code"))
_LOCK = select(SCENARIO.c.id).where(SCENARIO.c.id == bindparam("id")).with_for_update()
_LAST_RUN = select(func.max(RUN.c.run)).where(RUN.c.scenario_id == bindparam("id"))
_RUNS = select(RUN.c.scenario_id, RUN.c.run, RUN.c.as_of, RUN.c.result, RUN.c.recorded_at, RUN.c.actor)
_RUN = _RUNS.where(RUN.c.scenario_id == bindparam("id"), RUN.c.run == bindparam("run"))
_NEWEST = (
    select(RUN.c.scenario_id, func.max(RUN.c.run).label("run"))
    .where(RUN.c.scenario_id.in_(bindparam("ids", expanding=True)))
    .group_by(RUN.c.scenario_id)
    .subquery("newest")
)
_LATEST = _RUNS.join(_NEWEST, (_NEWEST.c.scenario_id == RUN.c.scenario_id) & (_NEWEST.c.run == RUN.c.run))
_BEFORE_TABLES = ',"by_day":'
"""Found nowhere else: within a string its quotes would be written otherwise."""
_HEADS = {
    dialect: select(
        RUN.c.scenario_id, RUN.c.run, func.substr(RUN.c.result, 1, find(RUN.c.result, _BEFORE_TABLES) - 1).label("head")
    ).join(_NEWEST, (_NEWEST.c.scenario_id == RUN.c.scenario_id) & (_NEWEST.c.run == RUN.c.run))
    for dialect, find in (("sqlite", func.instr), ("postgresql", func.strpos))
}
_APPEND = insert(SCENARIO)
_APPEND_RUN = insert(RUN)
