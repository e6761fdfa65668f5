"""The forecast of every item in every scope below a place: the row's own, of many items, one reading an item."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from sqlmodel import Session

from forecasting import demand
from forecasting.fleet import Forecasts
from reserve import catalogue, consumption, coverage, outlook
from reserve.assessment import DEFAULT_LOOK_BACK_DAYS
from reserve.catalogue import Place
from reserve.coverage import When
from reserve.errors import UnknownItem
from reserve.model import LocationKind
from reserve.outlook import BLOCK_DAYS, Unforeseen, Use


class Fleet(NamedTuple):
    """What is forecast: every one of these items in every one of these scopes, in this order."""

    items: tuple[str, ...]
    scopes: tuple[str, ...]


class Asked(NamedTuple):
    """How: with what was known at a moment, so that the same question gets the same answer later on."""

    as_of: date
    known_at: datetime
    zone: ZoneInfo
    horizon: int
    p: tuple[float, ...]


def fleet(session: Session, scope: Place, item: str | None) -> Fleet:
    """Every scope at and below a place, and every item or one."""
    every = tuple(row.code for row in catalogue.items(session))
    if item is not None and item not in every:
        raise UnknownItem(f"There is no item {item}; see GET /v1/items.")
    scopes = [place.code for place in catalogue.places(session) if scope.holds(place) and _is_scope(place)]
    return Fleet(every if item is None else (item,), tuple(scopes))


def forecast(session: Session, items: Sequence[str], scopes: Sequence[str], asked: Asked) -> Forecasts:
    """Forecast items in scopes, all scopes of the first item first: as `outlook.use_of` does for a row of coverage."""
    world = coverage.board(session, When(asked.as_of, asked.known_at, asked.zone, known_at=asked.known_at))
    inside = [place for place in world.places.values() if _is_scope(place)]
    by_code = {place.code: place for place in inside}
    known = catalogue.items_by_code(session, items)
    found: list[Use | Unforeseen] = []
    for code in items:
        item = known[code]
        rules = [rule.look_back_days for rule in world.policies if rule.speaks_of(item)]
        history = consumption.history(
            session,
            item_id=item.id,
            places=inside,
            last=asked.as_of - timedelta(days=1),
            days=max([DEFAULT_LOOK_BACK_DAYS, *rules]),
            zone=asked.zone,
            known_at=asked.known_at,
        )
        found += [outlook.use_of(history.below(by_code[scope]), asked.as_of) for scope in scopes]
    return _told(found, asked)


def _is_scope(place: Place) -> bool:
    return place.inside and place.kind != LocationKind.TRANSIT


def _told(found: Sequence[Use | Unforeseen], asked: Asked) -> Forecasts:
    """The numbers of each, a row a series."""
    moments = np.array([_moments(one, asked.horizon) for one in found]).reshape(-1, 3)
    quantiles = np.full((len(found), len(asked.p)), np.nan)
    known = np.flatnonzero(~np.isnan(moments[:, 0]))
    if len(known):
        quantiles[known] = demand.quantiles(moments[known, 0], moments[known, 1], asked.p)
    return Forecasts(
        mean=moments[:, 0],
        variance=moments[:, 1],
        quantiles=quantiles,
        level=moments[:, 2],
        share_filled=np.array([one.share_filled for one in found], dtype=np.float64),
        usable_days=np.array([one.usable_days for one in found], dtype=np.int64),
        reason=np.array([one.reason if isinstance(one, Unforeseen) else "" for one in found], dtype="<U10"),
        errors=np.full((len(found), len(asked.p)), np.nan),
    )


def _moments(one: Use | Unforeseen, horizon: int) -> tuple[float, float, float]:
    """Mean, variance and level: those of the row, or for another horizon from the same history."""
    if isinstance(one, Unforeseen):
        return np.nan, np.nan, np.nan
    moments = one.moments
    if horizon != BLOCK_DAYS:
        moments = demand.moments(one.values, horizon, demand.window_for(len(one.values)))
    return float(moments.mean[0]), float(moments.variance[0]), float(moments.level[0])
