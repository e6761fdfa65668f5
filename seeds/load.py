"""Puts the demonstration city into a database through the domain's own verbs; the caller opens the transaction."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session

from reserve import catalogue, changes, commitments, journal, ledger, norms, policy, reporting, supply
from reserve.entry import Entry
from reserve.model import Category, CommitmentKind, ConsumptionSource, LocationKind, PolicyKind, Purpose
from reserve.posting import mark_due
from seeds.catalogue import ITEMS
from seeds.consumption import Consumption
from seeds.ledger import Issue, Receipt
from seeds.places import CITY, PLACES
from seeds.policies import POLICIES
from seeds.promises import AGREEMENTS, CHANGES, ORDERS
from seeds.usage import PRESETS
from seeds.year import Demonstration, demonstration

ACTOR = "demonstration"
REPORTED_AFTER = timedelta(hours=8)
"""A day's use is told the next morning."""

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps there are."""


def is_loaded(session: Session) -> bool:
    return catalogue.place(session, CITY) is not None


def load(session: Session, *, seed: int, now: datetime, zone: ZoneInfo, progress: Progress) -> Demonstration:
    """The catalogue, the places, the policies, and a year of receipts, issues and daily use up to yesterday."""
    today = now.astimezone(zone).date()
    year = demonstration(seed, today)
    documents = year.documents
    steps = len(documents) + len(year.consumption.items) * len(year.consumption.reporters)
    _load_catalogue(session)
    _load_policies(session, now=now, zone=zone)
    for name, published in PRESETS.items():
        norms.load(session, Entry(ACTOR, now, zone), name, published, {})
    _load_promises(session, Entry(ACTOR, now, zone))
    journal.write(session, actor=ACTOR, now=now, verb="seed.loaded", subject=CITY, after={"seed": seed})
    for done, document in enumerate(documents, start=1):
        _record(session, document, zone)
        progress(done, steps)
    done = len(documents)
    for item, location, reports in _series(session, year.consumption, year.consumption.first_day):
        _report(session, item, location, reports, zone)
        done += 1
        progress(done, steps)
    return year


def extend(session: Session, *, seed: int, last_day: date, now: datetime, zone: ZoneInfo) -> int:
    """Report the days between `last_day` and today, so that a demonstration opened next week is not a silent city."""
    today = now.astimezone(zone).date()
    if last_day >= today - timedelta(days=1):
        return 0
    use = demonstration(seed, today).consumption
    changed = set()
    for item, location, reports in _series(session, use, last_day + timedelta(days=1)):
        _report(session, item, location, reports, zone)
        changed.add((location, item))
    mark_due(session, sorted(changed), now)
    return (today - last_day).days - 1


def last_reported(session: Session) -> date | None:
    """The last day on which the demonstration reported anything."""
    return reporting.last_day(session)


def _load_catalogue(session: Session) -> None:
    for place in PLACES:
        source = None if place.consumption_source is None else ConsumptionSource(place.consumption_source)
        catalogue.add_location(
            session,
            catalogue.NewLocation(
                place.code, place.name_zh, place.name_en, LocationKind(place.kind), place.parent, source
            ),
        )
    for item in ITEMS:
        catalogue.add_item(
            session,
            catalogue.NewItem(
                item.code,
                item.name_zh,
                item.name_en,
                Category(item.category),
                item.base_unit,
                item.standard,
                shelf_life_days=item.shelf_life_days,
                packs=[catalogue.NewPack(pack.gtin, pack.units_per_pack, pack.name) for pack in item.packs],
            ),
        )


def _load_policies(session: Session, *, now: datetime, zone: ZoneInfo) -> None:
    for rule in POLICIES:
        effective = datetime.combine(rule.effective_from, time(9), zone)
        policy.add(
            session,
            Entry(ACTOR, min(effective, now), zone),
            policy.NewPolicy(
                code=rule.code,
                scope=rule.scope,
                kind=PolicyKind(rule.kind),
                effective_from=rule.effective_from,
                source_text=rule.source_text,
                category=Category(rule.category),
                required_days=rule.required_days,
                method=rule.method,
                look_back_days=rule.look_back_days,
                source_title=rule.source_title,
            ),
        )


def _load_promises(session: Session, entry: Entry) -> None:
    today = entry.today
    for promise in AGREEMENTS:
        commitments.add(
            session,
            entry,
            commitments.NewCommitment(
                kind=CommitmentKind.CAPACITY if promise.quantity is None else CommitmentKind.CONTRACT,
                item=promise.item,
                scope=CITY,
                supplier=promise.supplier,
                lead_time_days=promise.lead_time_days,
                valid_from=today - timedelta(days=promise.began_days_ago),
                valid_until=today + timedelta(days=promise.ends_in_days),
                quantity=promise.quantity,
                units_per_day=promise.units_per_day,
                verified_on=today - timedelta(days=promise.seen_days_ago),
                reference=promise.reference,
            ),
        )
    for order in ORDERS:
        supply.plan(
            session,
            entry,
            supply.NewPlanned(
                order.item,
                order.location,
                order.quantity,
                today + timedelta(days=order.expected_in_days),
                order.supplier,
                order.reference,
                ordered_on=today - timedelta(days=order.ordered_days_ago),
            ),
        )
    for change in CHANGES:
        first, last = (today + timedelta(days=n) for n in (change.from_in_days, change.to_in_days))
        stated = changes.NewChange(CITY, first, last, change.factor_per_1000, change.reason, change.item)
        changes.make(session, entry, stated)


def _record(session: Session, document: Receipt | Issue, zone: ZoneInfo) -> None:
    if isinstance(document, Receipt):
        entry = Entry(ACTOR, datetime.combine(document.day, time(10), zone), zone, reference=document.reference)
        lines = [
            ledger.ReceiptLine(
                line.lot_number,
                line.expires_on,
                item=line.item,
                quantity=line.quantity,
                manufactured_on=line.manufactured_on,
            )
            for line in document.lines
        ]
        source = "DONOR" if document.kind == "donation" else "SUPPLIER"
        ledger.receive(session, entry, location=document.location, lines=lines, source=source)
        return
    entry = Entry(ACTOR, datetime.combine(document.day, time(15), zone), zone)
    ledger.issue(
        session,
        entry,
        location=document.location,
        lines=[ledger.IssueLine(line.item, line.quantity) for line in document.lines],
        purpose=Purpose.ALLOCATION,
        recipient=document.recipient,
    )


def _report(session: Session, item: int, location: int, reports: list[tuple[date, int]], zone: ZoneInfo) -> None:
    reporting.record_history(
        session,
        item_id=item,
        location_id=location,
        reports=reports,
        told_after=REPORTED_AFTER,
        zone=zone,
        actor=ACTOR,
    )


def _series(session: Session, use: Consumption, first: date) -> "list[tuple[int, int, list[tuple[date, int]]]]":
    """(item id, location id, its reported days from `first` on) of every item and reporter."""
    items = catalogue.items_by_code(session, use.items)
    places = catalogue.places_by_code(session, use.reporters)
    days = [use.first_day + timedelta(days=n) for n in range(use.values.shape[2])]
    start = max(0, (first - use.first_day).days)
    found = []
    for i, item in enumerate(use.items):
        for r, reporter in enumerate(use.reporters):
            told = use.reported[i, r]
            values = use.values[i, r].tolist()
            reports = [(days[n], values[n]) for n in range(start, len(days)) if told[n]]
            found.append((items[item].id, places[reporter].id, reports))
    return found
