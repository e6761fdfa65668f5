"""The sentences under a number, in Chinese and English, made from the same values the number was made from."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import NamedTuple

from reserve.catalogue import ItemRow, Place
from reserve.model import Level


class Sentence(NamedTuple):
    zh: str
    en: str


class Deciding(NamedTuple):
    """A policy that gave the level though the row shows the days of another."""

    code: str
    days: Fraction | None
    required_days: int | None
    required: int


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


def _by_another(told: Told, rule: Deciding) -> Sentence:
    """Judged by a policy other than days at the peak: it is named, with its own numbers."""
    unit = told.item.base_unit
    zh, en = f"按标准 {rule.code}", f"By policy {rule.code}"
    if rule.days is not None and rule.required_days is not None:
        zh += f"，可用 {down(rule.days)} 天，要求 {rule.required_days} 天"
        en += f", {down(rule.days)} days usable, {rule.required_days} required"
    else:
        zh += f"，可用 {units(told.usable)} {unit}，要求 {units(rule.required)}"
        en += f", {units(told.usable)} usable, {units(rule.required)} required"
    if told.shortfall:
        return Sentence(f"{zh}，缺 {units(told.shortfall)} {unit}。", f"{en}; {units(told.shortfall)} are missing.")
    return Sentence(f"{zh}。", f"{en}.")


def _tail(told: Told) -> Sentence:
    """What follows from having so many days."""
    assert told.days is not None and told.required_days is not None  # noqa: PT018, S101 - checked by the caller
    zh, en = "", ""
    if told.shortfall:
        zh, en = f"，缺 {units(told.shortfall)} {told.item.base_unit}", f"; {units(told.shortfall)} are missing"
    if told.peak and told.days < told.required_days <= told.usable / told.peak:
        plain = down(Fraction(told.usable) / told.peak)
        zh += f"：只除不看效期是 {plain} 天，但 {units(told.wasted_units)} 会在用到之前过期"
        en += f": plain division says {plain} days, but {units(told.wasted_units)} will expire before they are used"
    if told.reason == "under_lead_time":
        zh += f"，订货需 {told.lead_time_days} 天，来不及"
        en += f"; an order takes {told.lead_time_days} days and comes too late"
    if told.reason in {"falls_within_lead_time", "falls_soon"} and told.falls_below_on is not None:
        zh += f"，按峰值 {told.falls_below_on} 跌破；订货需 {told.lead_time_days} 天"
        en += f"; at the peak it falls below on {told.falls_below_on}, an order takes {told.lead_time_days} days"
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


class PolicyTold(NamedTuple):
    """A policy's arithmetic; `rate` is units a day: the peak by its own method, or persons times norm."""

    code: str
    required_days: int | None
    required: int
    source_text: str
    rate: Fraction | None


def lines(
    told: Told, peak: PeakTold, policies: Sequence[PolicyTold], tightest: tuple[date, int, int] | None
) -> list[Sentence]:
    """Sentences with which a person can redo the number. `tightest`: an expiry day, its life, what outlives it."""
    said = [_stock_line(told), _peak_line(told, peak)]
    if told.days is not None and told.peak:
        said += [_expiry_line(told, tightest), _days_line(told)]
    said += [_policy_line(policy) for policy in policies]
    if told.falls_below_on is not None and told.runs_out_on is not None:
        said.append(_dates_line(told))
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
    if policy.required_days is None or policy.rate is None:
        work = units(policy.required)
    else:
        work = f"{policy.required_days} x {plain(policy.rate)} = {units(policy.required)}"
    return Sentence(
        f"标准 {policy.code}：应储 {work}：“{policy.source_text}”",
        f"Policy {policy.code}: {work} required: “{policy.source_text}”",
    )


def _dates_line(told: Told) -> Sentence:
    return Sentence(
        f"按峰值用：{told.falls_below_on} 起不足 {told.required_days} 天，{told.runs_out_on} 起不够一整天",
        f"Used at the peak: below {told.required_days} days from {told.falls_below_on}, "
        f"first day not met in full {told.runs_out_on}",
    )
