"""What plans say in words, zh and en: each line with the arithmetic behind it, enough to redo it by hand."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Literal, NamedTuple

from reserve.catalogue import ItemRow, PackRow, Place
from reserve.explain import Sentence, down, plain, units

NAMED_MAX = 5


def joined(sentences: Sequence[Sentence]) -> Sentence:
    """Sentences one after the other, as each language writes them."""
    return Sentence("".join(s.zh for s in sentences), " ".join(s.en for s in sentences))


# -- replenish --------------------------------------------------------------------------------------------------------


class OrderTold(NamedTuple):
    """The figures of a line of the order plan."""

    item: ItemRow
    reason: str
    policy: str
    required_days: Fraction
    lead_days: int
    review_days: int
    service_level: float
    forecast: bool
    at_end: Fraction
    need_days: Fraction
    peak: Fraction
    need_units: int
    on_order: int
    units: int
    packs: int
    pack: PackRow | None
    order_by: date | None
    days_late: int
    gap: tuple[date, date] | None
    at_risk: int
    cap: int | None
    lasts_days: int | None
    late: Sequence[str]
    bound: bool


def no_order(reason: Literal["peak_unknown", "no_use", "too_large"], silent: Sequence[Place]) -> Sentence:
    if reason == "no_use":
        return Sentence(
            "没有消耗，按制度无需储备，不采购。", "Nothing is used, so nothing is required and nothing ordered."
        )
    if reason == "too_large":
        return Sentence(
            "数量超过万亿，应为录入错误：更正后再作计划。",
            "The figures exceed 10^12, which must be a typing error: correct it, then plan.",
        )
    return Sentence(
        f"消耗未知（未上报：{_names_zh(silent)}），无法计划采购。",
        f"Consumption is not known ({_names_en(silent)} do not report): no order can be planned.",
    )


def order(told: OrderTold) -> Sentence:
    said = [_at_the_end(told)]
    if told.reason == "enough":
        said.append(Sentence("够用，无需采购。", "That is enough: nothing to order."))
    elif told.reason == "life_too_short":
        said.append(_too_short(told))
    else:
        said += [_quantity(told), *_by_when(told), *_risk(told)]
    if told.late:
        named = ", ".join(told.late[:NAMED_MAX])
        said.append(
            Sentence(f"逾期过久、未计入：{named}。", f"Too late to be counted on, and left out: {named}."),
        )
    if told.bound:
        said.append(
            Sentence(
                "部分单位未上报，日均消耗上限只是下限，实际可能需要更多。",
                "Some places are silent: the peak is a lower bound, and more may be needed.",
            )
        )
    return joined(said)


def _at_the_end(told: OrderTold) -> Sentence:
    """What is left when the order after this one could arrive."""
    day, unit = told.lead_days + told.review_days, told.item.base_unit
    share = f"{told.service_level * 100:g} %"
    chance_zh = f"在 {share} 的情形下" if told.forecast else "按日均消耗上限消耗"
    chance_en = f"In {share} of the futures" if told.forecast else "At peak use"
    return Sentence(
        f"{chance_zh}，第 {day} 天（到货周期 {told.lead_days} 天 + 复核间隔 {told.review_days} 天）仍可保障不少于"
        f" {plain(told.at_end)} 天（已计在途 {units(told.on_order)} {unit}），{told.policy} 要求"
        f" {plain(told.required_days)} 天。",
        f"{chance_en} at least {plain(told.at_end)} days are covered on day {day} (lead time {told.lead_days} + review"
        f" {told.review_days}), the {units(told.on_order)} on order counted; {told.policy} requires"
        f" {plain(told.required_days)}.",
    )


def _quantity(told: OrderTold) -> Sentence:
    unit, need = told.item.base_unit, plain(told.need_days)
    zh = f"缺 {need} 天 × {plain(told.peak)} {unit}/日 = {units(told.need_units)} {unit}"
    en = f"Missing {need} days x {plain(told.peak)} a day = {units(told.need_units)}"
    if told.pack is None:
        return Sentence(f"{zh}，采购 {units(told.units)} {unit}。", f"{en}: order {units(told.units)}.")
    each, name = units(told.pack.units_per_pack), told.pack.name or "包装"
    return Sentence(
        f"{zh}，按每{name} {each} {unit}取整为 {units(told.packs)} {name} = {units(told.units)} {unit}。",
        f"{en}, in packs of {each}: order {units(told.packs)} packs = {units(told.units)}.",
    )


def _by_when(told: OrderTold) -> list[Sentence]:
    if told.order_by is None:
        return [
            Sentence(
                "所看的日子内未见跌破（早期路径），可在下次复核前下单。",
                "No fall below the rule is seen on the early path: order before the next review.",
            )
        ]
    if told.gap is None:
        return [
            Sentence(
                f"最迟 {told.order_by} 下单，才能在跌破前到货。",
                f"Order by {told.order_by} at the latest, so that it arrives before the rule is broken.",
            )
        ]
    first, last = told.gap
    return [
        Sentence(
            f"已晚 {told.days_late} 天（应于 {told.order_by} 下单）：即使今天下单，{first} 至 {last} 仍低于要求。",
            f"{told.days_late} days late (due {told.order_by}): even if it goes out today, {first} to {last} are below"
            " the rule.",
        )
    ]


def _risk(told: OrderTold) -> list[Sentence]:
    if not told.at_risk or told.cap is None:
        return []
    unit = told.item.base_unit
    return [
        Sentence(
            f"有效期 {told.lasts_days} 天内预计只能用掉其中 {units(told.cap)} {unit}，{units(told.at_risk)} {unit}"
            " 将过期，需安排轮换。",
            f"Only {units(told.cap)} of it are expected to be used within its {told.lasts_days} days:"
            f" {units(told.at_risk)} would expire and must be rotated.",
        )
    ]


def _too_short(told: OrderTold) -> Sentence:
    needed = plain(told.required_days + told.review_days)
    return Sentence(
        f"缺 {plain(told.need_days)} 天，但新货有效期 {told.lasts_days} 天，短于要求天数加复核间隔 {needed} 天，"
        "采购也守不住，故不计划：缩短复核间隔或改用协议储备。",
        f"Missing {plain(told.need_days)} days, but fresh goods last {told.lasts_days} days, less than the required"
        f" days and the review together ({needed}): an order could not keep the rule. Review"
        " more often, or hold contracts.",
    )


# -- redistribute -----------------------------------------------------------------------------------------------------


class MoveTold(NamedTuple):
    """The figures of one line of the redistribution plan; days of a place are None where it uses nothing."""

    unit: str
    giver: Place
    taker: Place
    units: int
    lot_number: str
    expires_on: date | None
    required: tuple[Fraction, Fraction]
    before: tuple[Fraction | None, Fraction | None]
    after: tuple[Fraction | None, Fraction | None]


def move(told: MoveTold) -> Sentence:
    until_zh = "无有效期" if told.expires_on is None else f"有效期至 {told.expires_on}"
    until_en = "no expiry" if told.expires_on is None else f"expires {told.expires_on}"
    n, unit = units(told.units), told.unit
    giver = _kept(told.required[0], told.before[0], told.after[0])
    was, now = (down(days or Fraction(0)) for days in (told.before[1], told.after[1]))
    required = plain(told.required[1])
    return Sentence(
        f"{told.giver.name_zh}{giver.zh}；{told.taker.name_zh}要求 {required} 天、现有 {was} 天，"
        f"全部调入后 {now} 天。"
        f"批号 {told.lot_number}（{until_zh}）调出 {n} {unit}。",
        f"{told.giver.name_en} {giver.en}; {told.taker.name_en} has {was} of {required} days and reaches {now} with all"
        f" that comes. {n} of lot {told.lot_number} ({until_en}).",
    )


def _kept(required: Fraction, before: Fraction | None, after: Fraction | None) -> Sentence:
    if before is None or after is None:
        return Sentence("自身没有消耗，其库存供各地", "uses nothing itself: its stock is there for the others")
    was, now, rule = down(before), down(after), plain(required)
    return Sentence(
        f"现有 {was} 天，调出后 {now} 天，不低于要求的 {rule} 天",
        f"has {was} days and keeps {now}, no less than the {rule} required",
    )


NO_MOVES = {
    "planned": Sentence("见各行。", "See the lines."),
    "no_taker": Sentence("没有低于要求的地方，无需调剂。", "No place is below its rule: nothing to move."),
    "no_giver": Sentence("没有高于要求的地方，无从调出。", "No place is above its rule: nobody can give."),
    "no_route": Sentence("没有可调剂的路线或批号。", "Nothing can go from those who have to those who lack."),
    "nothing_to_give": Sentence(
        "能调出的都会使调出方低于要求。", "Whatever could be given would break a giver's rule."
    ),
    "too_large": Sentence(
        "数量或批号过多，无法一次计划：按县区分别计划，或更正录入错误。",
        "Too many units or lots to plan in one go: plan for smaller scopes, or correct a typing error.",
    ),
    "not_solved": Sentence(
        "求解结果未通过整数核对，不给出计划。", "The solver's answer did not hold in whole numbers: no plan is given."
    ),
}
LEFT_OUT = {
    "peak_unknown": Sentence("消耗未知，不调入也不调出。", "Its consumption is not known: it neither gives nor takes."),
    "peak_is_a_bound": Sentence(
        "有单位未上报，天数只是上限，因此不调出。",
        "Some of it is silent and its days are an upper bound: it does not give.",
    ),
    "no_use": Sentence("没有消耗也没有可调库存。", "It uses nothing and has nothing to give."),
    "no_rule": Sentence("没有按天数的要求。", "No policy in days judges it."),
    "no_store": Sentence("低于要求，但没有可以收货的库。", "It lacks, but has no store that could receive."),
}


# -- rotate -----------------------------------------------------------------------------------------------------------


class LotTold(NamedTuple):
    """The figures of one lot of the rotation plan."""

    unit: str
    location: str
    lot_number: str
    units: int
    expires_on: date
    life: int
    rate: Fraction
    waste: int
    sent: int
    owed: int
    no_room: int
    limit: str | None
    required_days: Fraction
    keep_units: int


def wasted(told: LotTold) -> Sentence:
    unit, lost = told.unit, units(told.waste)
    zh = (
        f"批号 {told.lot_number} 有 {units(told.units)} {unit}，有效期至 {told.expires_on}"
        f"（还有 {told.life} 天）。储备自身每日发出 {plain(told.rate)} {unit}，按先到期先用，"
        f"预计 {lost} {unit} 到期未用。"
    )
    en = (
        f"Lot {told.lot_number}: {units(told.units)}, last usable day {told.expires_on} (in {told.life} days)."
        f" The reserve hands out {plain(told.rate)} a day, first to expire first: {lost} would expire unused."
    )
    parts = [Sentence(zh, en)]
    if told.sent:
        parts.append(Sentence(f"可轮换 {units(told.sent)} {unit}。", f"{units(told.sent)} can be sent."))
    if told.owed:
        kept_zh = (
            f"储备须保持 {plain(told.required_days)} 天"
            if told.limit == "required_days"
            else f"储备不得低于 {units(told.keep_units)} {unit}"
        )
        kept_en = (
            f"the reserve must keep {plain(told.required_days)} days"
            if told.limit == "required_days"
            else f"the reserve must not fall below {units(told.keep_units)}"
        )
        parts.append(
            Sentence(
                f"另有 {units(told.owed)} {unit} 待轮换：{kept_zh}，须先补入新货再发出。",
                f"{units(told.owed)} more are owed: {kept_en}, so replace them first, then send.",
            )
        )
    if told.no_room:
        parts.append(
            Sentence(
                f"{units(told.no_room)} {unit} 没有医院能在到期前用完。",
                f"No hospital can use up the other {units(told.no_room)} in time.",
            )
        )
    return joined(parts)


def send(hospital: Place, use: Fraction, amount: int, lot: LotTold, send_by: date, *, now: bool) -> Sentence:
    when_zh = "请即发出" if now else f"最迟 {send_by} 发出"
    when_en = "send now" if now else f"send by {send_by}"
    return Sentence(
        f"{hospital.name_zh}每日自购使用 {plain(use)} {lot.unit}，可在 {lot.expires_on} 前用完"
        f" {units(amount)} {lot.unit}，{when_zh}。",
        f"{hospital.name_en} uses {plain(use)} a day of its own buying and can use up {units(amount)} by"
        f" {lot.expires_on}: {when_en}.",
    )


NO_ROTATION = {
    "peak_unknown": Sentence(
        "消耗未知，不能确定储备须保留多少，暂不发出；到期数量仍列出。",
        "Consumption is not known, so it cannot be said what the reserve must keep: nothing is sent; what would expire"
        " is listed.",
    ),
    "too_large": Sentence(
        "数量超过万亿，应为录入错误：更正后再作计划。",
        "The figures exceed 10^12, which must be a typing error: correct it, then plan.",
    ),
}


def _names_zh(places: Sequence[Place]) -> str:
    named = "、".join(place.name_zh for place in places[:NAMED_MAX])
    return (named + (f"等 {len(places)} 处" if len(places) > NAMED_MAX else "")) or "无单位上报"


def _names_en(places: Sequence[Place]) -> str:
    named = ", ".join(place.name_en for place in places[:NAMED_MAX])
    more = f" and {len(places) - NAMED_MAX} more" if len(places) > NAMED_MAX else ""
    return f"{named}{more}" or "places that use it"
