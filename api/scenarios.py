"""Scenarios and norms of use over HTTP (情景、用量定额): state an outbreak, run it on today's stock, compare."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from sqlmodel import Session

from api import scenario_chart
from api.bodies import Code, Day, Long, Strict, Words, body_of, parse
from api.desk import AtDesk, Recording, answer, moment, page, place_in_body, place_in_path, read_cursor
from api.stock import Body, CodeAsked
from reserve import access, catalogue, norms, scenarios
from reserve.access import Actor, Verb
from reserve.case_sheets import read_cases
from reserve.errors import Fault, Forbidden, Invalid, Unknown
from reserve.model import NormBasis
from reserve.norms import BED_CLASSES, NewNorm, NormRow, Own
from reserve.scenarios import DAYS_MAX, ITEMS_MAX, Listed, RunRow, ScenarioRow
from seeds.usage import PRESETS

router = APIRouter(prefix="/v1")

BedClass = Literal["moderate", "severe", "critical"]
PERSONS_MAX = 1e10


Persons = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=PERSONS_MAX)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Rate = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=100)]
MeanDays = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.1, le=366)]
Factor = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=100)]
Hours = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=240)]
DayNumber = Annotated[int, Field(strict=True, ge=0, le=DAYS_MAX)]
Series = Annotated[list[Persons], Field(min_length=1, max_length=DAYS_MAX)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]


def _thousandths(value: object) -> int:
    """Units (or hours), at most three decimals, as thousandths."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**9:
        raise PydanticCustomError("norm", "an amount is a number from 0 to 10^9")
    amount = Decimal(repr(value)) * 1000
    if amount != amount.to_integral_value():
        raise PydanticCustomError("norm", "an amount has at most three decimals")
    return int(amount)


class NormIn(Strict):
    basis: NormBasis
    amount: Annotated[Any, BeforeValidator(_thousandths), Field(json_schema_extra={"type": "number"})]
    source_text: Long
    bed_class: BedClass | None = None
    role: RoleName | None = None
    item: Code | None = None
    reusable: Flag = False


class NormsIn(Strict):
    """Norms under a name of the city's, or beside a published one; the newest of the same key counts."""

    preset: Name
    norms: Annotated[list[NormIn], Field(min_length=1, max_length=1000)]


class OwnIn(Strict):
    """How the city names an item of the preset, and its base units in one unit of the norm."""

    item: Code
    units: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0.01, le=10**6)] | None = None


class PresetIn(Strict):
    items: Annotated[dict[Code, OwnIn], Field(default_factory=dict, max_length=ITEMS_MAX)]


class MeasureIn(Strict):
    from_day: DayNumber
    factor: Factor


class SeirIn(Strict):
    people: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=1, le=PERSONS_MAX)]
    exposed: Persons = 0
    infectious: Persons
    r0: Rate | None = None
    beta: Rate | None = None
    incubation_days: MeanDays | None = None
    sigma: Rate | None = None
    infectious_days: MeanDays | None = None
    gamma: Rate | None = None
    measures: Annotated[list[MeasureIn], Field(default_factory=list, max_length=100)]


class CensusIn(Strict):
    moderate: Series | None = None
    severe: Series | None = None
    critical: Series | None = None


class CasesIn(Strict):
    """One of them; a curve may stand beside a census, for what is used a case."""

    curve: Series | None = None
    census: CensusIn | None = None
    seir: SeirIn | None = None
    csv: Annotated[str, Field(strict=True, min_length=1, max_length=500_000)] | None = None


class StaysIn(Strict):
    moderate: Annotated[int, Field(strict=True, ge=1, le=DAYS_MAX)] | None = None
    severe: Annotated[int, Field(strict=True, ge=1, le=DAYS_MAX)] | None = None
    critical: Annotated[int, Field(strict=True, ge=1, le=DAYS_MAX)] | None = None


class AvailableIn(Strict):
    moderate: Annotated[int, Field(strict=True, ge=0, le=10**9)] | None = None
    severe: Annotated[int, Field(strict=True, ge=0, le=10**9)] | None = None
    critical: Annotated[int, Field(strict=True, ge=0, le=10**9)] | None = None


class BedsIn(Strict):
    """How cases become patients. With a census only `available` is said."""

    hospital_share: Share | None = None
    delay_days: DayNumber | None = None
    critical_share: Share | None = None
    severe_share: Share | None = None
    stay_days: StaysIn | None = None
    available: Annotated[AvailableIn, Field(default_factory=AvailableIn)]


class HoursIn(Strict):
    moderate: Hours | None = None
    severe: Hours | None = None
    critical: Hours | None = None


class StaffIn(Strict):
    hours_per_shift: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=1, le=24)] = 8.0
    hours: Annotated[dict[RoleName, HoursIn], Field(default_factory=dict, max_length=20)]


class BandsIn(Strict):
    low_factor: Factor
    high_factor: Factor


class ScenarioIn(Strict):
    code: Code
    name: Words
    scope: Code
    starts_on: Day | None = None
    days: Annotated[int, Field(strict=True, ge=1, le=DAYS_MAX)] | None = None
    cases: CasesIn
    beds: BedsIn | None = None
    staff: Annotated[StaffIn, Field(default_factory=StaffIn)]
    norms: Name
    items: Annotated[list[Code], Field(min_length=1, max_length=ITEMS_MAX)] | None = None
    ordinary_use: Flag = True
    bands: BandsIn | None = None


class Nothing(Strict):
    """No fields."""


CodeInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
PresetInPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
RunAsked = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
ItemAsked = Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
Language = Annotated[Literal["zh", "en"], Query()]
Theme = Annotated[Literal["light", "dark"], Query()]
FewAtATime = Annotated[int, Query(ge=1, le=100)]
Codes = Annotated[str, Query(max_length=900)]


# -- norms ------------------------------------------------------------------------------------------------------------


@router.get("/norms", tags=["catalogue"])
def get_norms(
    desk: AtDesk,
    request: Request,
    preset: Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")] = None,
    item: CodeAsked = None,
) -> Response:
    """用量定额. The norms of use that count, each with its source; and the presets that can be loaded."""
    with desk.asking(request) as (session, _actor):
        rows = norms.in_force(session, preset=preset, item=item)
    return answer({"items": [_norm(row) for row in rows], "presets": sorted(PRESETS), "next_cursor": None})


@router.post("/norms", status_code=201, openapi_extra=body_of(NormsIn), tags=["catalogue"])
def post_norms(desk: AtDesk, request: Request, raw: Body) -> Response:
    """Record norms of use, for every place; each replaces the one of its preset, class, role and item. 0 ends it."""
    body = parse(NormsIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_norms(recording.actor)
        new = [
            NewNorm(
                body.preset,
                norm.basis,
                norm.amount,
                norm.source_text,
                norm.bed_class or "",
                norm.role or "",
                norm.item,
                norm.reusable,
            )
            for norm in body.norms
        ]
        made = norms.add(recording.session, recording.entry(), new)
        return {"preset": body.preset, "norms": [_norm(row) for row in made]}

    return desk.record(request, raw, work)


@router.post("/norms/presets/{name}", status_code=201, openapi_extra=body_of(PresetIn), tags=["catalogue"])
def post_preset(desk: AtDesk, request: Request, name: PresetInPath, raw: Body) -> Response:
    """Load published norms for the items there are; what is skipped is named. Loading again adds only what is new."""
    body = parse(PresetIn, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        _require_norms(recording.actor)
        if name not in PRESETS:
            raise norms.unknown_preset(name, sorted(PRESETS))
        own = {
            code: Own(said.item, None if said.units is None else Fraction(Decimal(repr(said.units))))
            for code, said in body.items.items()
        }
        loaded = norms.load(recording.session, recording.entry(), name, PRESETS[name], own)
        return {
            "preset": name,
            "added": [_norm(row) for row in loaded.added],
            "unchanged": loaded.unchanged,
            "skipped": [skipped._asdict() for skipped in loaded.skipped],
        }

    return desk.record(request, raw, work)


def _require_norms(actor: Actor) -> None:
    """Norms are of no place: what one county writes would change the scenarios of every other."""
    access.require(actor, Verb.MANAGE, None)
    if actor.place.parent_id is not None:
        raise Forbidden("Norms of use hold for every place: a manager of the whole tree records them.")


# -- scenarios --------------------------------------------------------------------------------------------------------


@router.post("/scenarios", status_code=201, openapi_extra=body_of(ScenarioIn), tags=["scenarios"])
def post_scenario(desk: AtDesk, request: Request, raw: Body) -> Response:
    """情景. State an outbreak: cases, beds, staff, units of each item, and how long the dated stock lasts under it."""
    body = parse(ScenarioIn, request, raw)
    definition = defined(body)

    def work(recording: Recording) -> dict[str, Any]:
        scope = place_in_body(recording, Verb.RECORD, body.scope, "/scope")
        entry = recording.entry()
        made = scenarios.state(
            recording.session, entry, code=body.code, name=body.name, scope=scope, definition=definition
        )
        return _scenario(scenarios.find(recording.session, body.code), made)

    return desk.record(request, raw, work)


@router.post("/scenarios/{code}/runs", status_code=201, openapi_extra=body_of(Nothing), tags=["scenarios"])
def post_run(desk: AtDesk, request: Request, code: CodeInPath, raw: Body) -> Response:
    """Run a scenario again with the stock and the norms of now; earlier runs stay."""
    parse(Nothing, request, raw)

    def work(recording: Recording) -> dict[str, Any]:
        row = _reached(recording.session, recording.actor, code, Verb.RECORD)
        return _scenario(row, scenarios.run(recording.session, recording.entry(), row))

    return desk.record(request, raw, work)


@router.get("/scenarios", tags=["scenarios"])
def get_scenarios(
    desk: AtDesk, request: Request, scope: CodeAsked = None, limit: FewAtATime = 20, cursor: str | None = None
) -> Response:
    """The scenarios of one's places with what runs out first in each, the newest first."""
    before = read_cursor(cursor, (int,))
    with desk.asking(request) as (session, actor):
        within = actor.place if scope is None else place_in_path(session, actor, scope)
        found = scenarios.scenarios(session, within, before=None if before is None else before[0], limit=limit + 1)
    kept, following = page(found, limit, lambda listed: [listed.scenario.id])
    return answer({"items": [_listed(listed) for listed in kept], "next_cursor": following})


@router.get("/scenarios/comparison", tags=["scenarios"])
def get_comparison(desk: AtDesk, request: Request, codes: Codes) -> Response:
    """Scenarios side by side, `codes=a,b,c`: demand, peaks, days of coverage and shortfall of each item under each."""
    with desk.asking(request) as (session, actor):
        found = scenarios.compared(_asked(session, actor, codes))
    return answer(found)


@router.get("/scenarios/comparison/chart.svg", tags=["scenarios"])
def get_comparison_chart(
    desk: AtDesk, request: Request, codes: Codes, item: ItemAsked, lang: Language = "zh", theme: Theme = "light"
) -> Response:
    """One item's stock under several scenarios, drawn together."""
    with desk.asking(request) as (session, actor):
        pairs = _asked(session, actor, codes)
    lines = []
    for row, run in pairs:
        found = json.loads(run.result)
        line = _line(found, item)
        if line is not None:
            lines.append((row.code, row.name, found, line))
    if not lines:
        raise _no_line(item)
    return _svg(scenario_chart.comparison(lines, lang=lang, dark=theme == "dark"))


@router.get("/scenarios/{code}", tags=["scenarios"])
def get_scenario(desk: AtDesk, request: Request, code: CodeInPath, run: RunAsked = None) -> Response:
    """A scenario as it was stated, with its latest run or run number `run`."""
    with desk.asking(request) as (session, actor):
        row = _reached(session, actor, code, Verb.READ)
        found = scenarios.run_of(session, row, run)
    return answer(_scenario(row, found))


@router.get("/scenarios/{code}/chart.svg", tags=["scenarios"])
def get_chart(
    desk: AtDesk,
    request: Request,
    code: CodeInPath,
    item: ItemAsked,
    run: RunAsked = None,
    lang: Language = "zh",
    theme: Theme = "light",
) -> Response:
    """One item under a scenario: cases and beds, use a day, and the dated stock against what the rule requires."""
    with desk.asking(request) as (session, actor):
        row = _reached(session, actor, code, Verb.READ)
        found = json.loads(scenarios.run_of(session, row, run).result)
    line = _line(found, item)
    if line is None:
        raise _no_line(item)
    return _svg(scenario_chart.chart(row.name, found, line, lang=lang, dark=theme == "dark"))


def _line(found: dict[str, Any], item: str) -> dict[str, Any] | None:
    return next((line for line in found["items"] if line["item"] == item), None)


def _no_line(item: str) -> Unknown:
    return Unknown(f"The scenario does not speak of {item}.", code="unknown_item")


def _svg(drawn: bytes) -> Response:
    return Response(drawn, media_type="image/svg+xml")


def _reached(session: Session, actor: Actor, code: str, verb: Verb) -> ScenarioRow:
    """A scenario of the actor's places; outside, nothing is told, not even that it exists."""
    try:
        found = scenarios.find(session, code)
    except Unknown:
        if actor.place.parent_id is not None:
            raise access.forbidden() from None
        raise
    access.require(actor, verb, catalogue.place(session, found.scope))
    return found


def _asked(session: Session, actor: Actor, codes: str) -> list[tuple[ScenarioRow, RunRow]]:
    named = list(dict.fromkeys(codes.split(",")))
    if len(named) > scenarios.COMPARED_MAX or not all(re.fullmatch(r"[A-Za-z0-9._-]{1,40}", c) for c in named):
        detail = f"Name 1 to {scenarios.COMPARED_MAX} scenarios by their codes, with commas between them."
        raise Invalid(detail, code="bad_codes", faults=[Fault("/codes", "bad_codes", detail)])
    rows = [_reached(session, actor, code, Verb.READ) for code in named]
    runs = scenarios.latest(session, rows)
    return [(row, runs[row.code]) for row in rows]


# -- a body as a definition -------------------------------------------------------------------------------------------


def defined(body: ScenarioIn) -> dict[str, Any]:
    """What is kept of a stated scenario, every term in its place.

    Raises
    ------
    Invalid
        terms that exclude or miss each other, each with its pointer; SheetRefused for the sheet of cases.
    """
    faults: list[Fault] = []
    cases, longest = _cases(body.cases, faults)
    days = body.days or longest
    if days is None:
        faults.append(_fault("/days", "Say for how many days the model runs."))
    elif longest is not None and longest > days:
        faults.append(_fault("/days", f"The cases have {longest} days: give days of at least that, or leave them out."))
    elif cases["census"] is not None and body.days is not None and longest is not None and longest < body.days:
        faults.append(_fault("/cases", f"The census has {longest} of {body.days} days: say all, or leave days out."))
    beds = _beds(body.beds, faults, by_census=cases["census"] is not None)
    for n, measure in enumerate(body.cases.seir.measures if body.cases.seir else []):
        if days is not None and measure.from_day >= days:
            faults.append(_fault(f"/cases/seir/measures/{n}/from_day", "This day is after the end of the scenario."))
    if body.bands is not None and body.bands.low_factor > body.bands.high_factor:
        faults.append(_fault("/bands/low_factor", "low_factor is no more than high_factor."))
    if faults:
        raise Invalid(f"{faults[0].pointer}: {faults[0].detail}", code="scenario_terms", faults=faults)
    return {
        "starts_on": None if body.starts_on is None else body.starts_on.isoformat(),
        "days": days,
        "cases": cases,
        "beds": beds,
        "staff": {
            "hours_per_shift": body.staff.hours_per_shift,
            "hours": {role: said.model_dump(exclude_none=True) for role, said in body.staff.hours.items()},
        },
        "norms": body.norms,
        "items": body.items,
        "ordinary_use": body.ordinary_use,
        "bands": None if body.bands is None else body.bands.model_dump(),
    }


def _fault(pointer: str, detail: str) -> Fault:
    return Fault(pointer, "scenario_terms", detail)


def _cases(given: CasesIn, faults: list[Fault]) -> tuple[dict[str, Any], int | None]:
    """The cases as they are kept, and how many days they have; None where a model makes them."""
    cases: dict[str, Any] = {"curve": given.curve, "census": None, "seir": None, "file_from": None}
    leading = [name for name in ("curve", "census", "seir", "csv") if getattr(given, name) is not None]
    if len(leading) != 1 and leading != ["curve", "census"]:
        faults.append(
            _fault("/cases", "Give one of curve, census, seir and csv; only a curve may stand beside a census.")
        )
        return cases, None
    if given.csv is not None:
        sheet = read_cases(b"\xef\xbb\xbf" + given.csv.removeprefix("\ufeff").encode())
        cases |= {"curve": sheet.curve, "census": sheet.census, "file_from": sheet.first.isoformat()}
    if given.census is not None:
        cases["census"] = given.census.model_dump(exclude_none=True)
        if not cases["census"]:
            faults.append(_fault("/cases/census", f"Give patients of one class at least: {', '.join(BED_CLASSES)}."))
    if given.seir is not None:
        _refuse_bad_model(given.seir, faults)
        cases["seir"] = given.seir.model_dump()
    census: dict[str, Sequence[float]] = cases["census"] or {}
    lengths = {name: len(series) for name, series in census.items()}
    for name, length in lengths.items():
        if length != max(lengths.values()):
            detail = f"This class has {length} days, another {max(lengths.values())}: say every day of each."
            faults.append(_fault(f"/cases/census/{name}", detail))
    curve = cases["curve"]
    if lengths and curve is not None and len(curve) > max(lengths.values()):
        faults.append(_fault("/cases/curve", "The curve is longer than the census beside it."))
    if lengths:
        return cases, max(lengths.values())
    return cases, None if curve is None else len(curve)


def _refuse_bad_model(model: SeirIn, faults: list[Fault]) -> None:
    for one, other in (("r0", "beta"), ("incubation_days", "sigma"), ("infectious_days", "gamma")):
        if (getattr(model, one) is None) == (getattr(model, other) is None):
            faults.append(_fault(f"/cases/seir/{one}", f"Give {one} or {other}, one of them."))
    if model.exposed + model.infectious > model.people:
        faults.append(_fault("/cases/seir/people", "There are fewer people than are exposed and infectious."))
    days = [measure.from_day for measure in model.measures]
    if days != sorted(set(days)):
        faults.append(_fault("/cases/seir/measures", "Measures follow each other, each from a later day on."))


def _beds(beds: BedsIn | None, faults: list[Fault], *, by_census: bool) -> dict[str, Any] | None:
    """Beds with the share of each class, or None where nothing is said of them."""
    if beds is None:
        return None
    flow = {name: getattr(beds, name) for name in ("hospital_share", "delay_days", "critical_share", "stay_days")}
    available = beds.available.model_dump(exclude_none=True)
    if by_census:
        told = [name for name, value in {**flow, "severe_share": beds.severe_share}.items() if value is not None]
        faults += [
            _fault(f"/beds/{name}", "A census says who is in bed: only available is said beside it.") for name in told
        ]
        return {"hospital_share": None, "available": available}
    missing = [name for name, value in flow.items() if value is None]
    faults += [_fault(f"/beds/{name}", f"Say {name}: cases become patients by it.") for name in missing]
    if missing:
        return None
    assert beds.critical_share is not None  # noqa: S101 - not missing
    assert beds.stay_days is not None  # noqa: S101 - not missing
    severe = 1 - beds.critical_share if beds.severe_share is None else beds.severe_share
    moderate = 1 - beds.critical_share - severe
    if moderate < -1e-9:
        faults.append(_fault("/beds/severe_share", "severe_share and critical_share together are at most 1."))
    shares = {"moderate": moderate if moderate > 1e-9 else 0.0, "severe": severe, "critical": beds.critical_share}
    stays = beds.stay_days.model_dump(exclude_none=True)
    faults += [
        _fault(f"/beds/stay_days/{name}", f"Say how many days {name} patients stay.")
        for name, share in shares.items()
        if share and name not in stays
    ]
    return {
        "hospital_share": beds.hospital_share,
        "delay_days": beds.delay_days,
        "critical_share": beds.critical_share,
        "severe_share": beds.severe_share,
        "shares": shares,
        "stay_days": stays,
        "available": available,
    }


# -- answers ----------------------------------------------------------------------------------------------------------


def _norm(row: NormRow) -> dict[str, Any]:
    return {
        "preset": row.preset,
        "basis": row.basis.value,
        "bed_class": row.bed_class or None,
        "role": row.role or None,
        "item": row.item,
        "amount": row.amount,
        "reusable": row.reusable,
        "source_text": row.source_text,
        "recorded_at": moment(row.recorded_at),
        "actor": row.actor,
    }


def _scenario(row: ScenarioRow, run: RunRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "scope": row.scope,
        "recorded_at": moment(row.recorded_at),
        "actor": row.actor,
        "definition": json.loads(row.definition),
        "run": run.run,
        "run_at": moment(run.recorded_at),
        "run_by": run.actor,
        "result": json.loads(run.result),
    }


def _listed(listed: Listed) -> dict[str, Any]:
    row, found = listed.scenario, listed.head
    return {
        "code": row.code,
        "name": row.name,
        "scope": row.scope,
        "recorded_at": moment(row.recorded_at),
        "actor": row.actor,
        "run": listed.run,
        **{name: found[name] for name in ("as_of", "starts_on", "days", "norms", "cases")},
        "beds_peak": found["beds"]["peak"],
        "runs_out_first": found["runs_out_first"][:1],
    }
