"""The sentences under a number, in Chinese and English, made from the same values the number was made from."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from reserve.catalogue import ItemRow, Place
from reserve.model import Level


class Sentence(NamedTuple):
    zh: str
    en: str


class Deciding(NamedTuple):
    """A policy, or a part of one, that gave the level though the row shows the days of another."""

    code: str
    part: str | None
    """`physical`, `contracted` or `whole`, where the policy is judged in parts."""
    days: Fraction | None
    required_days: Fraction | None
    units: int
    required: int
    shortfall: int
    probability: Fraction | None = None
    look_ahead_days: int = 30
    falls_below_on: date | None = None
    lead_time_days: int = 14


class Below(NamedTuple):
    """The days that `falls_below_on` is counted against: those that must lie there; at a policy's own rate, if any."""

    required_days: Fraction
    code: str
    own_rate: Fraction | None


class Told(NamedTuple):
    """The figures that reasons and explanations speak of."""

    item: ItemRow
    as_of: date
    level: Level
    reason: str
    on_hand: int
    usable: int
    on_hold: int
    expired: int
    peak: Fraction | None
    days: Fraction | None
    required_days: int | None
    required: int
    shortfall: int
    wasted: Fraction
    wasted_units: int
    falls_below_on: date | None
    runs_out_on: date | None
    lead_time_days: int
    silent: Sequence[Place]
    unknown: Sequence[Place]
    deciding: Deciding | None = None
    probability: Fraction | None = None
    """Of falling below the required days within `look_ahead_days`."""
    look_ahead_days: int = 30
    short_by: str | None = None
    """The policy by which most is missing, where it is not the one whose days are told."""
    below: Below | None = None
    """What `falls_below_on` is about."""


def units(number: int) -> str:
    return f"{number:,}"


def down(days: Fraction, decimals: int = 1) -> str:
    """Days never look longer than they are: 29.97 is told as 29.9.

    >>> down(Fraction(2997, 100))
    '29.9'
    """
    scale = 10**decimals
    return f"{floor(days * scale) / scale:.{decimals}f}"


def exact(number: Fraction) -> str:
    """A rational as a person would type it into a calculator: whole, or as numerator/denominator.

    >>> exact(Fraction(1000, 7)), exact(Fraction(3500))
    ('1000/7', '3500')
    """
    return str(number.numerator) if number.denominator == 1 else f"{number.numerator}/{number.denominator}"


def plain(number: Fraction, *, grouped: bool = True) -> str:
    """A rational as a person writes it down: whole, or with at most four decimals. The exact one stands beside it.

    >>> plain(Fraction(53660287, 1470)), plain(Fraction(3500)), plain(Fraction(1, 3), grouped=False)
    ('36,503.5966', '3,500', '0.3333')
    """
    text = f"{round(Decimal(number.numerator) / number.denominator, 4):,f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if grouped else text.replace(",", "")


def reason(told: Told) -> Sentence:
    """Why the row has its level, with the numbers that decided it."""
    unit = told.item.base_unit
    if told.reason in {"consumption_unknown", "no_consumption", "no_policy"}:
        return _why_unknown(told)
    if told.deciding is not None and told.deciding.part is not None:
        return _by_another(told, told.deciding)
    if told.reason == "nothing_usable":
        return Sentence(
            f"没有可用库存，缺 {units(told.shortfall)} {unit}。",
            f"Nothing usable is left; {units(told.shortfall)} are missing.",
        )
    if told.deciding is not None:
        return _by_another(told, told.deciding)
    assert told.days is not None and told.required_days is not None  # noqa: PT018, S101 - else another rule decided
    have = Sentence(
        f"可用 {down(told.days)} 天，要求 {told.required_days} 天",
        f"{down(told.days)} days usable, {told.required_days} required",
    )
    tail = _tail(told)
    return Sentence(f"{have.zh}{tail.zh}。", f"{have.en}{tail.en}.")


_PARTS = {
    "physical": Sentence("的实物部分", ", stock alone"),
    "contracted": Sentence("的协议部分", ", contracts alone"),
    "whole": Sentence("（实物加协议）", ", stock and contracts"),
}


_HAVE = {
    "physical": Sentence("可用", "usable"),
    "contracted": Sentence("协议", "promised"),
    "whole": Sentence("合计", "in all"),
}


def _by_another(told: Told, rule: Deciding) -> Sentence:
    """Judged by a policy other than days at the peak, or by a part of one: it is named, with its own numbers."""
    unit = told.item.base_unit
    part = Sentence("", "") if rule.part is None else _PARTS[rule.part]
    have = _HAVE[rule.part or "physical"]
    zh, en = f"按标准 {rule.code} {part.zh}".rstrip(), f"By policy {rule.code}{part.en}"
    if rule.days is not None and rule.required_days is not None:
        zh += f"，{have.zh} {down(rule.days)} 天，要求 {plain(rule.required_days)} 天"
        en += f", {down(rule.days)} days {have.en}, {plain(rule.required_days)} required"
    else:
        zh += f"，{have.zh} {units(rule.units)} {unit}，要求 {units(rule.required)}"
        en += f", {units(rule.units)} {have.en}, {units(rule.required)} required"
    if rule.shortfall:
        return Sentence(f"{zh}，缺 {units(rule.shortfall)} {unit}。", f"{en}; {units(rule.shortfall)} are missing.")
    if told.reason in {"probably_falls", "may_fall"} and rule.probability is not None:
        ahead = _likely(rule.probability, rule.look_ahead_days)
        return Sentence(f"{zh}{ahead.zh}。", f"{en}{ahead.en}.")
    if told.reason in {"falls_within_lead_time", "falls_soon"} and rule.falls_below_on is not None:
        at = _at_the_peak(rule.falls_below_on, rule.lead_time_days)
        return Sentence(f"{zh}{at.zh}。", f"{en}{at.en}.")
    return Sentence(f"{zh}。", f"{en}.")


def _at_the_peak(day: date, lead_time_days: int) -> Sentence:
    return Sentence(
        f"，按峰值 {day} 跌破；订货需 {lead_time_days} 天",
        f"; at the peak it falls below on {day}, an order takes {lead_time_days} days",
    )


def percent(probability: Fraction) -> str:
    """A probability with two digits.

    >>> percent(Fraction(1, 25))
    '4%'
    """
    return f"{ceil(probability * 100)}%"


def _likely(probability: Fraction, days: int) -> Sentence:
    return Sentence(
        f"，今后 {days} 天内跌破的可能性 {percent(probability)}",
        f"; the chance of falling below within {days} days is {percent(probability)}",
    )


def _tail(told: Told) -> Sentence:
    """What follows from having so many days."""
    assert told.days is not None and told.required_days is not None  # noqa: PT018, S101 - checked by the caller
    zh, en = "", ""
    if told.shortfall:
        by = Sentence("", "")
        if told.short_by is not None:
            by = Sentence(f"按标准 {told.short_by} ", f"by policy {told.short_by} ")
        zh = f"，{by.zh}缺 {units(told.shortfall)} {told.item.base_unit}"
        en = f"; {by.en}{units(told.shortfall)} are missing"
    if told.peak and told.days < told.required_days <= told.usable / told.peak:
        plain = down(Fraction(told.usable) / told.peak)
        zh += f"：只除不看效期是 {plain} 天，但 {units(told.wasted_units)} 会在用到之前过期"
        en += f": plain division says {plain} days, but {units(told.wasted_units)} will expire before they are used"
    if told.reason == "under_lead_time":
        zh += f"，订货需 {told.lead_time_days} 天，来不及"
        en += f"; an order takes {told.lead_time_days} days and comes too late"
    if told.reason in {"probably_falls", "may_fall"} and told.probability is not None:
        ahead = _likely(told.probability, told.look_ahead_days)
        zh, en = zh + ahead.zh, en + ahead.en
    if told.reason in {"falls_within_lead_time", "falls_soon"} and told.falls_below_on is not None:
        at = _at_the_peak(told.falls_below_on, told.lead_time_days)
        zh, en = zh + at.zh, en + at.en
    return Sentence(zh, en)


def _why_unknown(told: Told) -> Sentence:
    if told.reason == "no_policy":
        return Sentence("没有储备标准规定这里应储多少。", "No policy says how much must be held here.")
    if told.reason == "no_consumption":
        return Sentence(
            "回看期内上报的消耗全部为 0，无法折算天数；如需储备，请设人数定额或固定数量标准。",
            "All use reported in the look-back is 0: there are no days to count. Declare a norm or a fixed quantity.",
        )
    missing = list(dict.fromkeys([*told.unknown, *told.silent]))
    who_zh, who_en = _named([p.name_zh for p in missing]), _named([p.name_en for p in missing])
    if not missing and told.peak is not None:  # each has reported lately, and all together on too few days
        who_zh, who_en = "近期上报的天数太少", "on too few days of late"
    if told.peak is None:
        return Sentence(
            f"没有足够的消耗上报，峰值未知：{who_zh or '无人上报'}。",
            f"Too little use has been reported to know the peak: {who_en or 'nobody reports'}.",
        )
    if told.days is None:
        return Sentence(
            f"消耗上报不全（{who_zh}），已上报的全部为 0，无法判断。",
            f"Use is not fully reported ({who_en}) and all that was is 0: this cannot be judged.",
        )
    bound = down(told.days)
    return Sentence(
        f"消耗上报不全({who_zh})，{bound} 天只是上限，不能算达标。",
        f"Use is not fully reported ({who_en}); {bound} days is only an upper bound and cannot count as enough.",
    )


def _named(names: Sequence[str]) -> str:
    """The first three, and how many more."""
    return ", ".join(names[:3]) + (f" (+{len(names) - 3})" if len(names) > 3 else "")


# -- the numbered explanation -----------------------------------------------------------------------------------------


class PeakTold(NamedTuple):
    """How the peak was found, as sentences need it."""

    method: str
    first: date
    last: date
    window_from: date | None
    window_to: date | None
    window_sum: Fraction
    width: int
    days_reported: int
    days: int
    flagged: Sequence[tuple[Place, date, int]] = ()
    excluded: Sequence[tuple[Place, date, int, str]] = ()
    with_excluded: Fraction | None = None
    declared: Sequence[tuple[Place, Fraction]] = ()


class PartTold(NamedTuple):
    """A part of a policy: what it asks for, and the days or units that are there of it."""

    name: str
    required_days: Fraction | None
    required: int
    days: Fraction | None
    units: int


class PolicyTold(NamedTuple):
    """A policy's arithmetic; `rate` is units a day: the peak by its own method, or persons times norm."""

    code: str
    required_days: int | None
    required: int
    source_text: str
    rate: Fraction | None
    parts: Sequence[PartTold] = ()
    """Where it is judged in parts."""


def lines(
    told: Told, peak: PeakTold, policies: Sequence[PolicyTold], tightest: tuple[date, int, int] | None
) -> list[Sentence]:
    """Sentences with which a person can redo the number. `tightest`: an expiry day, its life, what outlives it."""
    said = [_stock_line(told), _peak_line(told, peak), *_basis_lines(told, peak)]
    if told.days is not None and told.peak:
        said += [_expiry_line(told, tightest), _days_line(told)]
    said += [_policy_line(policy) for policy in policies]
    if told.falls_below_on is not None and told.runs_out_on is not None and told.below is not None:
        said.append(_dates_line(told, told.below))
    return said


def _stock_line(told: Told) -> Sentence:
    return Sentence(
        f"在库 {units(told.on_hand)} = 可用 {units(told.usable)} + 冻结 {units(told.on_hold)}"
        f" + 过期 {units(told.expired)}",
        f"On hand {units(told.on_hand)} = usable {units(told.usable)} + on hold {units(told.on_hold)}"
        f" + expired {units(told.expired)}",
    )


def _peak_line(told: Told, peak: PeakTold) -> Sentence:
    if told.peak is None:
        return Sentence(
            f"峰值未知：{peak.first} 至 {peak.last} 的上报不足",
            f"Peak unknown: too little was reported from {peak.first} to {peak.last}",
        )
    if peak.window_from is None:
        return Sentence(f"峰值 {plain(told.peak)}/日({peak.method})", f"Peak {plain(told.peak)} a day ({peak.method})")
    work = f"{plain(peak.window_sum)} / {peak.width} = {plain(told.peak)}"
    return Sentence(
        f"日均消耗上限 {work}：{peak.first} 至 {peak.last} 中最高的连续 {peak.width} 天，"
        f"{peak.window_from} 至 {peak.window_to}；{peak.days} 天里有 {peak.days_reported} 天上报齐全",
        f"Peak daily use {work}: the highest {peak.width} days in a row from {peak.first} to {peak.last}, "
        f"{peak.window_from} to {peak.window_to}; {peak.days_reported} of {peak.days} days well reported",
    )


def _basis_lines(told: Told, peak: PeakTold) -> list[Sentence]:
    """What a reader must know of the reports behind the peak: who is silent, what stands out, what was left out."""
    said = []
    silent = list(dict.fromkeys([*told.unknown, *told.silent]))
    if silent:
        who_zh, who_en = _named([p.name_zh for p in silent]), _named([p.name_en for p in silent])
        said.append(
            Sentence(
                f"近期未报或上报不足：{who_zh}；缺报不会降低峰值",
                f"Silent lately, or hardly reporting: {who_en}; silence never lowers the peak",
            )
        )
    if peak.declared:
        zh = "，".join(f"{place.name_zh} {plain(norm)}/日" for place, norm in peak.declared[:3])
        en = ", ".join(f"{place.name_en} {plain(norm)} a day" for place, norm in peak.declared[:3])
        said.append(Sentence(f"上报不足处按定额：{zh}", f"By a declared norm where little is reported: {en}"))
    if peak.flagged:
        zh = "，".join(f"{place.name_zh} {day} {units(n)}" for place, day, n in peak.flagged[:3])
        en = ", ".join(f"{place.name_en} {day} {units(n)}" for place, day, n in peak.flagged[:3])
        more = f" (+{len(peak.flagged) - 3})" if len(peak.flagged) > 3 else ""
        said.append(
            Sentence(f"异常大的日子，仍计入：{zh}{more}", f"Days that stand far out, counted all the same: {en}{more}")
        )
    if peak.excluded:
        zh = "，".join(f"{p.name_zh} {day} {units(n)}（{why}）" for p, day, n, why in peak.excluded[:3])
        en = ", ".join(f"{p.name_en} {day} {units(n)} ({why})" for p, day, n, why in peak.excluded[:3])
        more = f" (+{len(peak.excluded) - 3})" if len(peak.excluded) > 3 else ""
        with_ = "-" if peak.with_excluded is None else plain(peak.with_excluded)
        said.append(
            Sentence(
                f"经人剔除：{zh}{more}；计入则峰值为 {with_}",
                f"Left out by a manager: {en}{more}; with them the peak would be {with_}",
            )
        )
    return said


def _expiry_line(told: Told, tightest: tuple[date, int, int] | None) -> Sentence:
    if told.wasted == 0 or tightest is None:
        return Sentence(
            "先到期先出：按峰值用，没有批次会在用完之前过期",
            "First expired, first out: at the peak no lot expires before it is used",
        )
    day, life, outlives = tightest
    return Sentence(
        f"先到期先出：到 {day} 为止的 {life} 天用不完先到期的批次，{plain(told.wasted)} 过期作废；"
        f"之后只剩 {units(outlives)}",
        f"First expired, first out: in the {life} days to {day} the earlier lots cannot all be used, "
        f"{plain(told.wasted)} expire; {units(outlives)} outlive that day",
    )


def _days_line(told: Told) -> Sentence:
    assert told.days is not None and told.peak  # noqa: PT018, S101 - checked by the caller
    work = f"({units(told.usable)} - {plain(told.wasted)}) / {plain(told.peak)} = {down(told.days, 2)}"
    return Sentence(f"保障天数 {work}(只舍不入)", f"Days of coverage {work} (rounded down)")


def _policy_line(policy: PolicyTold) -> Sentence:
    if policy.required_days is not None and policy.rate is None:
        return Sentence(
            f"标准 {policy.code}\uff1a应储 {policy.required_days} 天\uff0c峰值未知\uff0c无法折算数量"
            f"\uff1a“{policy.source_text}”",
            f"Policy {policy.code}: {policy.required_days} days; how many units cannot be told while the peak is "
            f"unknown: “{policy.source_text}”",
        )
    if policy.parts:
        told = [_part_said(part, policy.rate) for part in policy.parts]
        return Sentence(
            f"标准 {policy.code}：{'；'.join(part.zh for part in told)}：“{policy.source_text}”",
            f"Policy {policy.code}: {'; '.join(part.en for part in told)}: “{policy.source_text}”",
        )
    if policy.required_days is None or policy.rate is None:
        work = units(policy.required)
    else:
        work = f"{policy.required_days} x {plain(policy.rate)} = {units(policy.required)}"
    return Sentence(
        f"标准 {policy.code}：应储 {work}：“{policy.source_text}”",
        f"Policy {policy.code}: {work} required: “{policy.source_text}”",
    )


_OF = {
    "physical": Sentence("实物", "stock alone"),
    "contracted": Sentence("协议", "contracts alone"),
    "whole": Sentence("实物加协议", "stock and contracts"),
}


def _part_said(part: PartTold, rate: Fraction | None) -> Sentence:
    name = _OF[part.name]
    if part.required_days is None or rate is None:
        work, have = units(part.required), Sentence(units(part.units), units(part.units))
    else:
        work = f"{plain(part.required_days)} x {plain(rate)} = {units(part.required)}"
        there = "-" if part.days is None else down(part.days, 2)
        have = Sentence(f"{there} 天", f"{there} days")
    return Sentence(f"{name.zh}应有 {work}，现有 {have.zh}", f"{name.en} {work} required, {have.en} there")


def _dates_line(told: Told, below: Below) -> Sentence:
    days = plain(below.required_days)
    if below.own_rate is None:
        return Sentence(
            f"按峰值用：{told.falls_below_on} 起不足 {days} 天，{told.runs_out_on} 起不够一整天",
            f"Used at the peak: below {days} days from {told.falls_below_on}, "
            f"first day not met in full {told.runs_out_on}",
        )
    rate = plain(below.own_rate)
    return Sentence(
        f"按标准 {below.code} 每日用 {rate}：{told.falls_below_on} 起不足 {days} 天；"
        f"按峰值用：{told.runs_out_on} 起不够一整天",
        f"Used at {rate} a day as policy {below.code} plans: below {days} days from {told.falls_below_on}; "
        f"used at the peak: first day not met in full {told.runs_out_on}",
    )


# -- promises and the forecast ----------------------------------------------------------------------------------------


class PromiseTold(NamedTuple):
    """An agreement, or a call-up of one: how many units from which day on, or why none."""

    number: str
    kind: str
    supplier: str
    units: int
    first_day: int
    first: date | None
    valid_until: date | None
    seen_on: date | None
    why: str | None


class WithPromises(NamedTuple):
    """Days without a gap; gaps as (first, last, units), dates where the calendar has them."""

    contract: Fraction | None
    capacity: Fraction | None
    gaps: Sequence[tuple[date | None, date | None, int]]


_WHY_NOT = {
    "not_yet_valid": Sentence("尚未生效", "it is not in force yet"),
    "ended": Sentence("已过有效期", "it has ended"),
    "not_verified": Sentence("核查已过期", "nobody has verified it"),
    "all_called": Sentence("已全部启动", "all of it has been called up"),
    "nothing_seen": Sentence("核查时没有见到货", "the last visit saw nothing"),
    "too_late": Sentence("已启动，逾期一周以上未到", "it was called and is more than a week late"),
}
_KINDS = {"contract": Sentence("协议储备", "Contract"), "capacity": Sentence("产能储备", "Capacity")}


def promise_lines(told: Told, promises: Sequence[PromiseTold], found: WithPromises | None) -> list[Sentence]:
    """What promises add, counted apart from stock: each of them, then the days without a gap."""
    if not promises:
        return []
    said = [_promise_line(promise) for promise in promises]
    if found is None or found.contract is None or found.capacity is None or told.days is None:
        return said
    said.append(
        Sentence(
            f"不间断天数：仅实物 {down(told.days, 2)}，加协议 {down(found.contract, 2)}，"
            f"再加产能 {down(found.capacity, 2)}（协议从到货日起、产能从首日起计，先用实物）",
            f"Days without a gap: stock alone {down(told.days, 2)}, with contracts {down(found.contract, 2)}, "
            f"with capacity too {down(found.capacity, 2)} (each from the day it arrives, stock spent first)",
        )
    )
    for first, last, missing in found.gaps:
        said.append(
            Sentence(
                f"缺口：{first} 至 {last} 缺 {units(missing)} {told.item.base_unit}，之后到货",
                f"Gap: {units(missing)} are missing from {first} to {last}, before more arrives",
            )
        )
    return said


def _promise_line(promise: PromiseTold) -> Sentence:
    kind = _KINDS[promise.kind]
    name = f"{promise.number} {promise.supplier}".strip()
    if promise.why is not None:
        why = _WHY_NOT[promise.why]
        since_zh = f"（上次核查 {promise.seen_on}）" if promise.why == "not_verified" else ""
        since_en = f" since {promise.seen_on}" if promise.why == "not_verified" else ""
        if promise.why == "too_late":
            since_zh, since_en = f"（应于 {promise.first}）", f", expected on {promise.first}"
        return Sentence(f"{kind.zh} {name} 计 0：{why.zh}{since_zh}", f"{kind.en} {name} counts 0: {why.en}{since_en}")
    rate_zh, rate_en = ("每日 ", " a day") if promise.kind == "capacity" and promise.valid_until else ("", "")
    day = "?" if promise.first is None else promise.first
    return Sentence(
        f"{kind.zh} {name}：{rate_zh}{units(promise.units)}，{day} 起",
        f"{kind.en} {name}: {units(promise.units)}{rate_en} from {day}",
    )


class ForecastTold(NamedTuple):
    """How use is expected to go on; `reason` says why nothing can be expected."""

    reason: str | None
    share_filled: float
    usable_days: int
    mean: float = 0.0
    deviation: float = 0.0
    level: float = 0.0
    window_mean: float = 0.0
    window_days: int = 0
    horizon_days: int = 30
    quantiles: dict[float, int] | None = None
    falls_below: tuple[date | None, ...] | None = None
    paths: int = 0
    changes: Sequence[tuple[date, date, Fraction, str]] = ()


_NO_FORECAST = {
    "no_reports": Sentence("没有任何上报", "nothing was reported"),
    "too_large": Sentence("上报的用量大得不可信", "what was reported is too much to be true"),
    "few_days": Sentence("可用的上报不足 28 天", "fewer than 28 days were reported well enough"),
    "many_gaps": Sentence("最近 91 天缺报超过 30%", "more than 30% of the last 91 days is missing"),
}


def forecast_lines(told: Told, forecast: ForecastTold) -> list[Sentence]:
    """The forecast beside the rule: what use is expected, and how likely the rule is to break."""
    if forecast.reason is not None:
        why = _NO_FORECAST[forecast.reason]
        return [Sentence(f"不作预测：{why.zh}", f"No forecast: {why.en}")]
    mean, level, typical = (_tidy(n) for n in (forecast.mean, forecast.level, forecast.window_mean))
    without = (
        Sentence("不计下述已知变化，", "Before the known changes below: ") if forecast.changes else Sentence("", "")
    )
    said = [
        Sentence(
            f"{without.zh}预计今后 {forecast.horizon_days} 天用量 {mean} = {forecast.horizon_days} x "
            f"（近期水平 {level} + {forecast.window_days} 天平均 {typical}）/ 2，标准差 {_tidy(forecast.deviation)}，"
            f"补齐的缺报占 {forecast.share_filled:.1%}",
            f"{without.en}Use expected in the next {forecast.horizon_days} days {mean} = {forecast.horizon_days} x "
            f"(recent level {level} + mean of {forecast.window_days} days {typical}) / 2, standard deviation "
            f"{_tidy(forecast.deviation)}; {forecast.share_filled:.1%} of it filled in for missing reports",
        )
    ]
    if forecast.quantiles:
        shares = sorted(forecast.quantiles.items())
        zh = "，".join(f"{share:.0%} 的把握不超过 {units(n)}" for share, n in shares)
        en = ", ".join(f"{share:.0%} sure of no more than {units(n)}" for share, n in shares)
        said.append(Sentence(f"{without.zh}其中 {zh}", f"{without.en}Of that {en}"))
    for first, last, factor, why_changed in forecast.changes:
        said.append(
            Sentence(
                f"已知变化 {first} 至 {last}：用量 x {plain(factor)}（{why_changed}）",
                f"Known change {first} to {last}: use x {plain(factor)} ({why_changed})",
            )
        )
    if told.probability is not None and forecast.falls_below is not None:
        said.append(_chance_line(told, forecast.falls_below, forecast.paths))
    return said


def _chance_line(told: Told, dates: tuple[date | None, ...], paths: int) -> Sentence:
    assert told.probability is not None  # noqa: S101 - checked by the caller
    share, days = percent(told.probability), told.look_ahead_days
    early, likely, late = ("-" if day is None else str(day) for day in dates)
    return Sentence(
        f"今后 {days} 天内低于要求的可能性 {share}（{paths} 条模拟路径，只计现有库存）；"
        f"最早（5%）{early}，一半 {likely}，95% {late}",
        f"The chance of being below what is required within {days} days is {share} ({paths} simulated paths, stock at "
        f"hand only); early (5%) {early}, half {likely}, 95% {late}",
    )


def _tidy(number: float) -> str:
    return f"{number:,.1f}"
