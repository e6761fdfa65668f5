"""How well the own forecasts held (回测): each made again from what was known on its day, beside what came.

An origin is a day on which the next 30 days are forecast from history as the projection of that day did, without the
known changes that a person adds to it. What was known on a day is what `known` reads.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from math import floor
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from forecasting import demand, scoring
from forecasting.scoring import Backtest, Judgement
from reserve import catalogue, known, outlook, warned
from reserve.catalogue import ItemRow, Place
from reserve.coverage import Board
from reserve.explain import Sentence
from reserve.known import Ints, Known, Mask, Span, State, Use, norms_at
from reserve.model import LocationKind

HORIZON = outlook.BLOCK_DAYS
EVERY_DAYS = 7
MONTHS = 12
MONTHS_MAX = 36
P = (0.50, 0.90, 0.95)
PROMISED = 0.90
"""The quantile that the verdict speaks of."""
MOST_MISSING = 0.10
"""Of the use of a horizon, that may be an estimate; beyond that nobody knows what came."""
CELLS = 400_000
"""Places x days x origins looked at in one step: what a cache nearly holds."""

Floats = NDArray[np.float64]
Json = dict[str, Any]


class Tested(NamedTuple):
    """The backtest of one item: forecasts beside what came, and why others were not judged."""

    span: Span
    test: Backtest
    foreseen: Mask
    """(O,) where enough was known for a forecast."""
    whole: Mask
    """(O,) where enough is known of what came."""

    @property
    def judgement(self) -> Judgement | None:
        return scoring.judge(self.test)


# -- asking -----------------------------------------------------------------------------------------------------------


def of_item(
    session: Session,
    item: ItemRow,
    scope: Place,
    *,
    as_of: date,
    zone: ZoneInfo,
    months: int = MONTHS,
    places: Iterable[Place] | None = None,
) -> Tested | None:
    """Every forecast of an item in a scope over so many months up to `as_of`; None where nothing is told of its use.

    `places` are all there are, where whoever asks has read them.
    """
    span = span_of(as_of, zone, months)
    there = catalogue.places(session) if places is None else places
    inside = [p for p in there if p.inside and p.kind != LocationKind.TRANSIT and scope.holds(p)]
    found = known.read(session, item.id, inside, span)
    return None if found is None else tested(found)


def held(
    session: Session, item: ItemRow, scope: Place, *, as_of: date, zone: ZoneInfo, months: int = MONTHS
) -> Json | None:
    """How well forecasts held, in one line beside a projection; None where nothing is told of use.

    Below eight independent periods it gives their number and no share.
    """
    found = of_item(session, item, scope, as_of=as_of, zone=zone, months=months)
    if found is None:
        return None
    verdict = found.judgement
    spoken = words(verdict, months)
    told: Json = {
        "months": months,
        "n": 0 if verdict is None else verdict.n,
        "periods": 0.0 if verdict is None else _tenths(verdict.independent),
        "too_short": verdict is None or verdict.too_short,
        "covered_90": None,
        "interval": None,
        "words": spoken._asdict(),
    }
    if verdict is None or verdict.too_short:
        return told
    at = P.index(PROMISED)
    return {**told, "covered_90": round(verdict.coverage[at], 4), "interval": _rounded(verdict.interval[at])}


def table(
    session: Session,
    world: Board,
    items: Sequence[ItemRow],
    scope: Place,
    *,
    as_of: date,
    zone: ZoneInfo,
    months: int = MONTHS,
) -> Json:
    """The backtests of items in a scope, the worst first, those too short to judge last; and one line over them all.

    Items that were never used there and never judged are left out.
    """
    begin, found, rows, scores = _months_before(as_of, months), [], [], []
    for item in items:
        one = of_item(session, item, scope, as_of=as_of, zone=zone, months=months, places=world.places.values())
        score = warned.of_item(session, world, item, scope, first=begin, last=as_of)
        if one is None and score == warned.NOTHING:
            continue
        found.append((item, one))
        scores.append(score)
        named = {"item": item.code, "name_zh": item.name_zh, "name_en": item.name_en, "category": item.category}
        rows.append({**named, **told(one, months), "alerts": score.told})
    used = [(item, one) for item, one in found if one is not None]
    over_all = together([one for _, one in used], months)
    if over_all["worst"] is not None:
        over_all["worst"]["item"] = used[over_all["worst"].pop("series")][0].code
    return {
        "scope": scope.code,
        "as_of": as_of.isoformat(),
        "months": months,
        "horizon_days": HORIZON,
        "items": sorted(rows, key=worst_first),
        "together": {**over_all, "alerts": warned.total(scores).told},
    }


def worst_first(row: Json) -> tuple[bool, float, float, str]:
    """The order of rows of a table: the least held first, those too short to judge last."""
    held_90, losses = (row[name] or {} for name in ("coverage", "loss_to_empirical"))
    return row["too_short"], held_90.get("p90", 1.0), -(losses.get("p90") or 0.0), row["item"]


def told(found: Tested | None, months: int) -> Json:
    """A backtest as it is answered."""
    verdict = None if found is None else found.judgement
    return {
        "origins": 0 if found is None else len(found.span.origins),
        "not_foreseen": 0 if found is None else int((~found.foreseen).sum()),
        "not_whole": 0 if found is None else int((found.foreseen & ~found.whole).sum()),
        **judged(verdict),
        "worst": None if found is None else worst(found, verdict),
        "words": words(verdict, months)._asdict(),
    }


def judged(verdict: Judgement | None) -> Json:
    """The figures of a judgement; null where nothing could be judged."""
    if verdict is None:
        empty = dict.fromkeys(("coverage", "interval", "below", "loss_to_empirical", "loss_to_use"))
        return {"n": 0, "periods": 0.0, "too_short": True, **empty}

    def by_share(numbers: Sequence[Any], shares: Sequence[float] = P) -> Json:
        return {f"p{round(100 * p)}": numbers[P.index(p)] for p in shares}

    def several(numbers: Sequence[float | None]) -> list[float | None]:
        return [None if n is None else round(n, 4) for n in numbers]

    return {
        "n": verdict.n,
        "periods": _tenths(verdict.independent),
        "too_short": verdict.too_short,
        "coverage": by_share(several(verdict.coverage)),
        "interval": by_share([_rounded(bounds) for bounds in verdict.interval]),
        "below": by_share(several(verdict.below)),
        "loss_to_empirical": by_share(several(verdict.loss_to_empirical), P[1:]),
        "loss_to_use": by_share(several(verdict.loss_to_actual), P[1:]),
    }


def worst(found: Tested, verdict: Judgement | None) -> Json | None:
    """The horizon in which most was used beyond the highest quantile."""
    if verdict is None or verdict.worst is None:
        return None
    return miss(found, verdict.worst.origin)


def miss(found: Tested, origin: int) -> Json:
    """What was forecast at an origin and what came."""
    at = found.span.origins.index(origin)
    actual, limit = float(found.test.actual[0, at]), float(found.test.ours[0, at, -1])
    return {
        "from": found.span.day(origin).isoformat(),
        "to": found.span.day(origin + HORIZON - 1).isoformat(),
        "units": round(actual - limit),
        "used": round(actual),
        "p95": round(limit),
    }


def words(verdict: Judgement | None, months: int) -> Sentence:
    """The verdict for a person: what share of the 0.90 limits held, and whether that is as promised."""
    if verdict is None:
        return Sentence(
            f"时间太短，无法评判：过去 {months} 个月没有可以评判的预测，历史太短或上报不全",
            f"too short to judge: no forecast of the last {months} months had enough reports before and after it",
        )
    if verdict.too_short:
        periods = _count(verdict.independent)
        least = scoring.TOO_FEW_PERIODS
        return Sentence(
            f"时间太短，无法评判：只有 {periods} 个独立的 {HORIZON} 天，至少要 {least} 个",
            f"too short to judge: {periods} independent periods of {HORIZON} days, {least} are needed",
        )
    at = P.index(PROMISED)
    share, (low, high) = floor(100 * verdict.coverage[at] + 1e-9), verdict.interval[at]
    zh, en = "", ""
    if high < PROMISED:
        zh, en = "，少于应有的 90%", ", less than the 90 % it promises"
    elif low > PROMISED:
        zh, en = "，多于应有的 90%", ", more than the 90 % it promises"
    return Sentence(
        f"过去 {months} 个月预测的 90% 上限有 {share}% 守住{zh}", f"held {share} % of the last {months} months{en}"
    )


def together(found: Sequence[Tested], months: int) -> Json:
    """One line over several items, each counting alike however many units of it are used.

    Its independent periods are those of the calendar: one bad month is bad for many items at once.
    """
    verdict = _judge_together([one.test for one in found])
    if verdict is None:
        return {"items": len(found), **judged(None), "worst": None, "words": words(None, months)._asdict()}
    missed = verdict.worst
    return {
        "items": len(found),
        **judged(verdict),
        "worst": missed and {"series": missed.series, **miss(found[missed.series], missed.origin)},
        "words": words(verdict, months)._asdict(),
    }


def _judge_together(tests: Sequence[Backtest]) -> Judgement | None:
    if not tests:
        return None
    sizes = np.array([_mean_sum(one) for one in tests])
    first, known_of_any = tests[0], np.concatenate([one.known for one in tests])
    verdict = scoring.judge(
        first._replace(
            actual=np.concatenate([one.actual for one in tests]) / sizes[:, None],
            known=known_of_any,
            ours=np.concatenate([one.ours for one in tests]) / sizes[:, None, None],
            empirical=np.concatenate([one.empirical for one in tests]) / sizes[:, None, None],
            below=np.concatenate([one.below for one in tests]),
            at_most=np.concatenate([one.at_most for one in tests]),
        )
    )
    calendar = scoring.judge(first._replace(known=np.atleast_2d(known_of_any.any(axis=0))))
    if verdict is None or calendar is None:
        return None
    n = calendar.independent
    return verdict._replace(
        independent=n,
        too_short=calendar.too_short,
        interval=tuple(scoring.wilson(share * n, n) for share in verdict.coverage),
    )


def _mean_sum(one: Backtest) -> float:
    """What a horizon uses, to make items of all sizes comparable; 1 where nothing was used."""
    sums = one.actual[one.known]
    return float(sums.mean()) if sums.size and sums.any() else 1.0


def _rounded(bounds: tuple[float, float]) -> list[float]:
    return [round(bound, 4) for bound in bounds]


def _count(periods: float) -> str:
    return f"{_tenths(periods):g}"


def _tenths(periods: float) -> float:
    """At most one decimal, never up: 7.96 is not 8."""
    return floor(10 * periods + 1e-9) / 10


# -- the days ---------------------------------------------------------------------------------------------------------


def span_of(as_of: date, zone: ZoneInfo, months: int) -> Span:
    """Origins every 7 days, the last with its horizon just over, the first no more than so many months ago."""
    last = as_of - timedelta(days=HORIZON)
    earliest = min(last, _months_before(as_of, months))
    weeks = (last - earliest).days // EVERY_DAYS
    first = last - timedelta(days=EVERY_DAYS * weeks + outlook.HISTORY_DAYS)
    origins = tuple(outlook.HISTORY_DAYS + EVERY_DAYS * n for n in range(weeks + 1))
    return Span(first, (as_of - first).days, origins, zone)


def _months_before(day: date, months: int) -> date:
    """The same day of the month so many months ago, or that month's last."""
    year, month = divmod(12 * day.year + day.month - 1 - months, 12)
    first = date(year, month + 1, 1)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1)
    return first + timedelta(days=min(day.day, (following - first).days) - 1)


# -- forecasting again ------------------------------------------------------------------------------------------------


def tested(told: Known) -> Tested:
    """Forecast at every origin from what was known there, and set it beside what is known to have come."""
    span = told.span
    origins = np.array(span.origins, dtype=np.int64)
    units, shares, starts = (np.concatenate(part) for part in zip(*_histories(told), strict=True))
    foreseen = _can_tell(units, shares, starts)
    actual, whole = _came(told)
    quantiles = np.zeros((len(origins), len(P)))
    plain, chance = quantiles.copy(), np.zeros((2, len(origins)))
    for start in np.unique(starts[foreseen]):
        rows = np.flatnonzero(foreseen & (starts == start))
        past = units[rows, start:]
        window = demand.window_for(past.shape[1])
        found = demand.moments(past, HORIZON, window)
        quantiles[rows] = demand.quantiles(found.mean, found.variance, P)
        plain[rows] = scoring.empirical_quantiles(past, HORIZON, window, P)
        for n, came in enumerate((np.ceil(actual[rows]) - 1, actual[rows])):
            chance[n, rows] = demand.probability_at_most(found.mean, found.variance, came)
    backtest = Backtest(
        horizon=HORIZON,
        origins=origins,
        p=np.array(P),
        actual=actual[None, :],
        known=(foreseen & whole)[None, :],
        ours=quantiles[None],
        empirical=plain[None],
        below=chance[None, 0],
        at_most=chance[None, 1],
    )
    return Tested(span, backtest, foreseen, whole)


def _histories(told: Known) -> Iterator[tuple[Floats, Floats, Ints]]:
    """For some origins at a time: units a day before each, the share of them that are estimates, and the first day.

    Shapes (k, 365), (k, 365) and (k,); what lies before the first day that anybody reported means nothing, and the
    first day is 365 where nobody did.
    """
    span, state = told.span, State(told)
    at_once = max(1, CELLS // max(1, len(told.from_the_start.values) * outlook.HISTORY_DAYS))
    for begin in range(0, len(span.origins), at_once):
        numbers = range(begin, min(begin + at_once, len(span.origins)))
        seen = [state.at(n, slice(span.origins[n] - outlook.HISTORY_DAYS, span.origins[n])) for n in numbers]
        yield _without_holes(known.stacked(seen), [norms_at(told, n) for n in numbers])


def _came(told: Known) -> tuple[Floats, Mask]:
    """Units used in the 30 days from each origin on as they are known today, and where enough of them is."""
    span, everything = told.span, len(told.span.origins)
    use = State(told).at(everything, slice(0, span.days))
    units, shares, starts = _without_holes(known.stacked([use]), [norms_at(told, everything)])
    ahead = np.array(span.origins)[:, None] + np.arange(HORIZON)
    came: Floats = units[0][ahead].sum(axis=1)
    missing = np.where(np.arange(span.days) < starts[0], 1.0, shares[0])[ahead].mean(axis=1)
    return came, (missing <= MOST_MISSING + 1e-9) & (came <= demand.LARGEST)


def _without_holes(use: Use, norms: Sequence[dict[int, float]]) -> tuple[Floats, Floats, Ints]:
    """`outlook`'s filling for k histories at once: units a day, the share of estimates in them, the first day.

    A test holds it to `outlook.use_of`, which reads one history at a time.
    """
    moments, places, days = use.values.shape
    seen = np.asarray(use.reported.any(axis=1))
    starts = np.where(seen.any(axis=1), seen.argmax(axis=1), days)
    live = use.active & (np.arange(days) >= starts[:, None, None])
    usable = use.reported & live
    flat = (moments * places, days)
    made = demand.fill(
        use.values.reshape(flat), usable.reshape(flat), use.censored.reshape(flat), active=live.reshape(flat), season=7
    )
    values, filled = made.values.reshape(use.values.shape), made.filled.reshape(use.values.shape)
    for n, rates in enumerate(norms):
        for line, rate in rates.items():
            if usable[n, line].sum() < outlook.FEW_REPORTS:
                values[n, line, filled[n, line]] = rate
    open_days = live.sum(axis=2)
    typical = np.divide(values.sum(axis=2, where=live), open_days, out=np.zeros(open_days.shape), where=open_days > 0)
    none_used = typical.max(axis=1, keepdims=True, initial=0.0) == 0
    weights = np.where(none_used, 1.0, typical)[:, None, :]
    weighed, estimated = ((weights @ part.astype(np.float64))[:, 0] for part in (live, filled))
    shares = np.divide(estimated, weighed, out=np.ones(weighed.shape), where=weighed > 0)
    return values.sum(axis=1), shares, starts


def _can_tell(units: Floats, shares: Floats, starts: Ints) -> Mask:
    """Where the projection gave a forecast: enough usable days, few gaps of late, no slip of the unit."""
    days = units.shape[1]
    counted = np.arange(days) >= starts[:, None]
    usable = ((shares <= outlook.MOST_FILLED) & counted).sum(axis=1)
    late = counted & (np.arange(days) >= days - outlook.RECENT_DAYS)
    number = late.sum(axis=1)
    recent = np.divide(shares.sum(axis=1, where=late), number, out=np.ones(len(units)), where=number > 0)
    small = units.max(axis=1) <= demand.LARGEST
    enough: Mask = small & (usable >= outlook.FEWEST_DAYS) & (recent <= outlook.MOST_FILLED)
    return enough
