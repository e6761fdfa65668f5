"""What a scenario says in words, zh and en: its warnings, and the arithmetic of one day, enough to redo by hand."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from reserve.outbreak import Lasting, Need, Term, Window, Worked, lasting, terms

Json = dict[str, Any]

CLASS_ZH = {"moderate": "普通型", "severe": "重型", "critical": "危重型"}
ROLE_ZH = {"health_worker": "医护人员", "cleaner": "保洁人员"}


class Warned(NamedTuple):
    """Something a reader must know before they use a figure."""

    code: str
    zh: str
    en: str


def norms_differ(preset: str, widest: tuple[str, str, float] | None) -> Warned:
    """Always said: no published norm is right, and they differ by more than any forecast errs."""
    zh = f"用量按定额 {preset} 推算。已发表的定额相差 1.8 倍（口罩）至 6 倍（手套），结论随定额而变。"
    en = (
        f"Use follows the norms {preset}. Published norms differ by 1.8 times (respirators) to 6 times (gloves),"
        " and every figure here with them."
    )
    if widest is not None:
        item, other, times = widest
        zh += f"本次相差最大的是 {item}：按 {other} 则为 {ratio(times)} 倍。"
        en += f" Here most for {item}: by {other} it would be {ratio(times)} times as much."
    return Warned("norms_differ", zh, en)


def beds_over(bed_class: str, most: float, available: int, days: int, first: str) -> Warned:
    name = CLASS_ZH.get(bed_class, bed_class)
    return Warned(
        "beds_over",
        f"{name}床位不足：最多需要 {number(most)} 张，可用 {available:,} 张；自 {first} 起共 {days} 天超出。"
        "用量仍按需要的床位计算。",
        f"More {bed_class} beds are needed than there are: up to {number(most)} against {available:,}, on {days} days"
        f" from {first} on. Use is still counted for all of them.",
    )


def ordinary_unknown(items: Sequence[str]) -> Warned:
    named = ", ".join(items)
    return Warned(
        "ordinary_use_unknown",
        f"以下物资的日常用量无法估计（上报太少），只计疫情用量，实际更早用尽：{named}。",
        f"Ordinary use is not known (too little was reported) and counted as 0 of: {named}. They run out sooner.",
    )


def curve_ended(day: str) -> Warned:
    return Warned(
        "curve_ended",
        f"病例数据止于 {day} 前一日，此后按 0 例计算。",
        f"The cases end before {day} and are taken as 0 from then on.",
    )


def replayed(first: str, starts_on: str) -> Warned:
    return Warned(
        "replayed",
        f"文件中的日期自 {first} 起，情景按自 {starts_on} 起重演。",
        f"The days of the file begin on {first}; the scenario plays them from {starts_on} on.",
    )


def partly_over(skipped: int, as_of: str) -> Warned:
    return Warned(
        "partly_over",
        f"情景的前 {skipped} 天已过去：库存从 {as_of} 起推算，已用去的已不在库存中。",
        f"The first {skipped} days of the scenario are over: what they used has left the stock, which is followed from"
        f" {as_of} on.",
    )


def skipped_norms(items: Sequence[str]) -> Warned:
    named = ", ".join(items)
    return Warned(
        "case_norms_unused",
        f"只给了住院人数而没有新增病例，按病例计的定额未计入：{named}。",
        f"A census says nothing of new cases: norms a case were not counted for {named}.",
    )


# -- the arithmetic ---------------------------------------------------------------------------------------------------


def explanation(need: Need, ordinary: float, row: Json, window: Window, worked: Worked) -> Json:
    """The peak day of one item as a sum that a calculator repeats; of what is reusable, the whole scenario."""
    day = row["peak_day"]["day"]
    found, staff, shift = worked
    parts = [term for term in terms(need.item, need.norms, found, staff) if term.norm.amount_per_1000]
    kept = lasting(need.item, need.norms, found, staff)
    said = [_term(term, day, shift) for term in parts]
    handed = sum(float(np.diff(k.held, prepend=0.0)[day]) for k in kept)
    sums = [check for check, _, _ in said]
    if kept:
        sums.append(plain(handed))
    if ordinary:
        sums.append(plain(ordinary))
    unit = need.item.base_unit
    units = plain(float(need.units[day]) + ordinary)
    zh = [f"{window.date(day)}（第 {day + 1} 天）用量最高：{units} {unit}。"]
    en = [f"Use is highest on {window.date(day)} (day {day + 1}): {units} {unit}."]
    zh += [line for _, line, _ in said]
    en += [line for _, _, line in said]
    for one in kept:
        line_zh, line_en = _lasting(one, unit)
        zh.append(line_zh)
        en.append(line_en)
    if kept:
        zh.append(f"当日新领用可重复使用的：{plain(handed)} {unit}。")
        en.append(f"Handed out anew on that day, reusable: {plain(handed)} {unit}.")
    if ordinary:
        zh.append(f"日常用量：每天 {plain(ordinary)} {unit}（近一年，均值与近期水平的中间值）。")
        en.append(
            f"Ordinary use: {plain(ordinary)} {unit} a day (halfway between the year's mean and its present level)."
        )
    zh.append(_stock_zh(row))
    en.append(_stock_en(row))
    return {
        "day": day,
        "check": f"{' + '.join(sums) or '0'} = {units}",
        "terms": [_told(term, day, shift) for term in parts],
        "reusable": [
            {
                "basis": one.norm.basis.value,
                "role": one.norm.role or None,
                "most_at_once": round(one.persons, 6),
                "person_days": round(one.person_days, 6),
                "norm": one.norm.amount,
                "units": round(float(one.held[-1]), 6),
            }
            for one in kept
        ],
        "lines": {"zh": zh, "en": en},
    }


def _term(term: Term, day: int, shift: float) -> tuple[str, str, str]:
    """The product as a calculator takes it, and in words."""
    count, units, amount = plain(float(term.persons[day])), plain(float(term.units[day])), plain(term.norm.amount)
    if term.norm.basis == "case":
        return (
            f"{count} * {amount}",
            f"新增病例 {count} × 每例 {amount} = {units}",
            f"{count} cases x {amount} = {units}",
        )
    name = CLASS_ZH.get(str(term.bed_class), str(term.bed_class))
    if term.hours is None:
        return (
            f"{count} * {amount}",
            f"{name}在院 {count} 人 × 每人每天 {amount} = {units}",
            f"{count} {term.bed_class} patients x {amount} a patient and day = {units}",
        )
    role_zh, role_en = ROLE_ZH.get(term.norm.role, term.norm.role), term.norm.role.replace("_", " ")
    hours, long = plain(term.hours), plain(shift)
    return (
        f"{count} * {hours} / {long} * {amount}",
        f"{name}在院 {count} 人 × {role_zh}每人每天 {hours} 小时 ÷ 每班 {long} 小时 × 每班 {amount} = {units}",
        (
            f"{count} {term.bed_class} patients x {hours} h of {role_en}s a patient and day / {long} h a shift"
            f" x {amount} a shift = {units}"
        ),
    )


def _lasting(one: Lasting, unit: str) -> tuple[str, str]:
    most, norm, units = plain(one.persons), plain(one.norm.amount), plain(float(one.held[-1]))
    if one.norm.basis == "patient_day":
        return (
            f"可重复使用，按同时在用的最大数计：{most} {unit}。",
            f"Reusable, as many as are in use at one time: {most} {unit}.",
        )
    role_zh, role_en = ROLE_ZH.get(one.norm.role, one.norm.role), one.norm.role.replace("_", " ")
    days = plain(one.person_days)
    return (
        (
            f"可重复使用：{role_zh}同时最多 {most} 人，每人至少 1；或共 {days} 个班次 × 每班磨损 {norm}；"
            f"取大者 = {units} {unit}。"
        ),
        (
            f"Reusable: at most {most} {role_en}s at one time, at least one each; or {days} shifts x {norm} worn out"
            f" a shift; the larger = {units} {unit}."
        ),
    )


def _told(term: Term, day: int, shift: float) -> Json:
    return {
        "basis": term.norm.basis.value,
        "bed_class": term.bed_class,
        "role": term.norm.role or None,
        "count": round(float(term.persons[day]), 6),
        "hours": term.hours,
        "hours_per_shift": None if term.hours is None else shift,
        "norm": term.norm.amount,
        "units": round(float(term.units[day]), 6),
    }


def _stock_zh(row: Json) -> str:
    start = f"可用 {row['usable']:,} {row['base_unit']}，按有效期先后使用"
    wasted = f"，其中 {row['expires_unused']:,} 到期未用" if row["expires_unused"] else ""
    if row["runs_out_on"] is None:
        return f"{start}，情景期内够用，期末余 {row['left']:,}{wasted}。"
    return f"{start}，{row['runs_out_on']} 起不足（{row['days_met']} 天），至期末共缺 {row['unmet']:,}{wasted}。"


def _stock_en(row: Json) -> str:
    start = f"{row['usable']:,} usable, used in order of expiry,"
    wasted = f"; {row['expires_unused']:,} expire unused" if row["expires_unused"] else ""
    if row["runs_out_on"] is None:
        return f"{start} last the scenario with {row['left']:,} left{wasted}."
    return (
        f"{start} last {row['days_met']} days and are short from {row['runs_out_on']} on,"
        f" by {row['unmet']:,} at the end{wasted}."
    )


def plain(value: float) -> str:
    """A number as a calculator takes it, to a millionth."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"


def ratio(times: float) -> str:
    """Two digits that count: 0.16, 6.4, 160."""
    return f"{float(f'{times:.2g}'):,.4f}".rstrip("0").rstrip(".")


def number(value: float) -> str:
    """A number for reading."""
    return f"{value:,.1f}".removesuffix(".0")
