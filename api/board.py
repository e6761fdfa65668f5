"""What the pages show, from the same stored rows that the HTTP contract answers."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from api.desk import Desk, moment
from reserve import alerts, assessment, beats, catalogue, coverage, database, projection
from reserve.catalogue import Place
from reserve.coverage import Stored, TableQuestion
from reserve.model import Level, LocationKind

Fact = dict[str, Any]

_WORST_FIRST = (Level.RED, Level.UNKNOWN, Level.ORANGE, Level.YELLOW, Level.BLUE, Level.NORMAL)


class DatabaseBoard:
    """The pages' questions, each answered from one read of the database."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def scopes(self) -> list[Fact]:
        with database.reading(self._desk.engine) as session:
            places = catalogue.places(session)
        codes = {p.id: p.code for p in places}
        return [
            {
                "code": p.code,
                "name_zh": p.name_zh,
                "name_en": p.name_en,
                "kind": p.kind,
                "parent": None if p.parent_id is None else codes[p.parent_id],
            }
            for p in places
            if p.kind in {LocationKind.REGION, LocationKind.WAREHOUSE}
        ]

    def coverage(self, scope: str) -> list[Fact] | None:
        if "\0" in scope:
            return None
        with database.reading(self._desk.engine) as session:
            if catalogue.place(session, scope) is None:
                return None
            items = {item.code: item for item in catalogue.items(session)}
            rows = coverage.stored(session, TableQuestion(scope=scope), self._desk.clock())
        return [_fact(row, items[row.item]) for row in rows]

    def explained(self, scope: str, item: str) -> Fact | None:
        if "\0" in scope + item:
            return None
        with database.reading(self._desk.engine) as session:
            place, article = catalogue.place(session, scope), catalogue.item(session, item)
            if place is None or article is None:
                return None
            rows = coverage.stored(session, TableQuestion(scope=scope, item=item), self._desk.clock(), explained=True)
            if rows:
                return {**_fact(rows[0], article), "explanation": json.loads(rows[0].explanation or "{}")}
            found = assessment.assess(self._case(session, place, article))
        row = {**found.row, "stale": False, "assessed_at": moment(self._desk.clock())}
        told = {"code": found.verdict.reason, "zh": found.reason.zh, "en": found.reason.en}
        return {**row, **_names(article), "reason": told, "explanation": found.explanation}

    def projection(self, scope: str, item: str, days: int) -> Fact | None:
        if "\0" in scope + item:
            return None
        with database.reading(self._desk.engine) as session:
            place, article = catalogue.place(session, scope), catalogue.item(session, item)
            if place is None or article is None:
                return None
            found = projection.project(self._case(session, place, article), days, receipts=False)
        return {**found, "falls_below_on": found["falls_below_on"]["at_peak"]}

    def tiles(self, scope: str) -> list[Fact]:
        with database.reading(self._desk.engine) as session:
            place = catalogue.place(session, scope)
            if place is None:
                return []
            below = [p for p in catalogue.places(session) if p.parent_id == place.id and p.kind == LocationKind.REGION]
            return [self._tile(session, p) for p in below]

    def alerts(self, scope: str, limit: int) -> list[Fact]:
        with database.reading(self._desk.engine) as session:
            place = catalogue.place(session, scope)
            rows = [] if place is None else alerts.told(session, within=place.path, limit=limit)
        return [
            {
                "id": row.id,
                "scope": row.scope,
                "item": row.item,
                "level": row.level,
                "previous_level": row.previous_level,
                "reason": {"zh": row.reason_zh, "en": row.reason_en},
                "raised_at": moment(row.raised_at),
                "notices": [
                    {
                        "receiver": n.receiver,
                        "state": n.state,
                        "attempts": n.attempts,
                        "delivered_at": moment(n.delivered_at),
                    }
                    for n in row.notices
                ],
            }
            for row in rows
        ]

    def freshness(self) -> Fact:
        with database.reading(self._desk.engine) as session:
            waiting, _since = beats.due(session)
            return {
                "assessed_at": moment(coverage.last_assessed(session)),
                "due": waiting,
                "worker_beat_at": moment(beats.latest(session)),
                "timezone": self._desk.settings.timezone,
                "now": moment(self._desk.clock()),
            }

    def _case(self, session: Session, place: Place, item: catalogue.ItemRow) -> assessment.Situation:
        at = coverage.when(None, now=self._desk.clock(), zone=self._desk.zone)
        return coverage.read(session, coverage.board(session, at), item, [place], at)[0]

    def _tile(self, session: Session, place: Place) -> Fact:
        rows = coverage.stored(session, TableQuestion(scope=place.code), self._desk.clock())
        counts = Counter(row.level for row in rows)
        fewest = _fewest(rows)
        return {
            "code": place.code,
            "name_zh": place.name_zh,
            "name_en": place.name_en,
            "worst": next((level for level in _WORST_FIRST if counts[level]), Level.UNKNOWN).value,
            "counts": dict(counts),
            "fewest_days": fewest[0] if fewest else None,
            "fewest_item": fewest[1] if fewest else None,
        }


def _fewest(rows: Sequence[Stored]) -> tuple[float, str] | None:
    days = ((json.loads(row.row)["days_of_coverage"], row.item) for row in rows)
    return min(((d, item) for d, item in days if d is not None), default=None)


def _fact(row: Stored, item: catalogue.ItemRow) -> Fact:
    facts: Fact = json.loads(row.row)
    return {
        **facts,
        **_names(item),
        "stale": row.stale,
        "assessed_at": moment(row.assessed_at),
        "reason": {"code": facts["reason_code"], "zh": row.reason_zh, "en": row.reason_en},
    }


def _names(item: catalogue.ItemRow) -> Fact:
    return {
        "name_zh": item.name_zh,
        "name_en": item.name_en,
        "base_unit": item.base_unit,
        "standard": item.standard,
    }
