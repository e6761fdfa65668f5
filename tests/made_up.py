"""A made-up city for the pages: about twenty items in every level, behind the pages' own Board."""
# ruff: noqa: E501 - the made-up city is tables, and a table row reads best in one line

from datetime import date, timedelta
from math import ceil, floor

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from api import words
from api.pages import STATIC, pages

TODAY = date(2026, 4, 1)
CITY = "371400"
COUNTIES = {
    "371402": ("德城区", "Decheng"),
    "371403": ("陵城区", "Lingcheng"),
    "371422": ("宁津县", "Ningjin"),
    "371423": ("庆云县", "Qingyun"),
    "371424": ("临邑县", "Linyi"),
    "371425": ("齐河县", "Qihe"),
    "371426": ("平原县", "Pingyuan"),
    "371427": ("夏津县", "Xiajin"),
    "371428": ("武城县", "Wucheng"),
    "371481": ("乐陵市", "Laoling"),
    "371482": ("禹城市", "Yucheng"),
}
# code, zh, en, category, unit, standard, peak a day (None: not known), lots of (days left, units, on hold)
ITEMS = [
    ("GOWN", "医用防护服", "Protective gown", "protective", "件", "GB 19082", 3500, [(120, 43400, False), (-4, 3000, False)]),
    ("VENT-KIT", "呼吸机管路", "Ventilator circuit", "monitoring", "套", "", 61, [(300, 480, False)]),
    ("GOGGLE", "医用护目镜", "Medical goggles", "protective", "个", "GB 14866", 410, [(None, 2300, False)]),
    ("SHIELD", "医用隔离面罩", "Face shield", "protective", "个", "", None, [(200, 9000, False)]),
    ("VTM", "病毒采样管", "Viral transport tube", "testing", "支", "", None, []),
    ("GLOVE-S", "无菌外科手套", "Sterile surgical gloves", "protective", "双", "GB 7543", 5200, [(9, 30000, False), (400, 122000, False)]),
    ("SWAB", "一次性采样拭子", "Sampling swab", "testing", "支", "", 4100, [(260, 110000, False), (500, 5000, True)]),
    ("N95", "医用防护口罩", "Medical respirator (N95)", "protective", "只", "GB 19083", 3500,
     [(4, 14400, False), (30, 52000, False), (455, 51600, False), (455, 1500, True), (-1, 500, False)]),
    ("ALC75", "75% 酒精", "Alcohol 75%", "disinfection", "瓶", "", 142.857142, [(700, 4900, False)]),
    ("SAL", "0.9% 氯化钠注射液", "Sodium chloride 0.9%", "treatment", "袋", "", 980, [(60, 20000, False), (330, 19000, False)]),
    ("OSEL", "奥司他韦胶囊", "Oseltamivir capsules", "treatment", "粒", "", 2400, [(44, 60000, False), (610, 54000, False)]),
    *[
        (code, zh, en, kind, unit, "", peak, [(days, ceil(peak * cover), False)])
        for code, zh, en, kind, unit, peak, days, cover in [
            ("MASK", "医用外科口罩", "Surgical mask", "protective", "只", 36503.6, 500, 61.3),
            ("CAP", "一次性医用帽", "Bouffant cap", "protective", "个", 1800, 900, 72.0),
            ("BOOT", "隔离鞋套", "Shoe cover", "protective", "双", 2600, 730, 58.4),
            ("GLOVE", "一次性检查手套", "Examination gloves", "protective", "双", 33000, 365, 64.9),
            ("CLO", "84 消毒液", "Chlorine disinfectant", "disinfection", "瓶", 240, 300, 80.2),
            ("GEL", "免洗手消毒凝胶", "Hand sanitiser", "disinfection", "瓶", 310, 610, 90.7),
            ("THERM", "红外额温枪", "Infrared thermometer", "monitoring", "台", 6, None, 120.5),
            ("OXI", "指夹式血氧仪", "Pulse oximeter", "monitoring", "台", 9, None, 99.9),
            ("AGTEST", "新冠抗原检测试剂", "Antigen test", "testing", "人份", 5400, 240, 59.97),
            ("LIAN", "连花清瘟胶囊", "Lianhua Qingwen capsules", "treatment", "盒", 760, 540, 66.1),
        ]
    ],
]  # fmt: skip


def coverage_days(lots, peak):
    if not lots:
        return 0.0
    stock, expiries = sum(q for _, q in lots), {k for k, _ in lots if k is not None}
    outlives = [k + sum(q for life, q in lots if life is None or life > k) / peak for k in expiries]
    return min([stock / peak, *outlives])


def level_of(days, peak, usable):
    if peak is None:
        return "unknown"
    left = days - 30
    if not usable or days < 15:
        return "red"
    return "orange" if left < 0 else "yellow" if left < 14 else "blue" if left < 21 else "normal"


def spend(lots, peak, horizon):
    """Use lots day by day, first expired first out, as a hand with a pencil would."""
    left = sorted(([9999 if k is None else k, float(q)] for k, q in lots), key=lambda lot: lot[0])
    start, lost = [], []
    for day in range(horizon):
        gone = [lot for lot in left if lot[0] <= day]
        lost.append(round(sum(q for _, q in gone)))
        left = [lot for lot in left if lot[0] > day]
        start.append(sum(q for _, q in left))
        need = peak
        for lot in left:
            used = min(lot[1], need)
            lot[1], need = lot[1] - used, need - used
    return start, lost


class MadeUpCity:
    """A board with the same items in the city and in Qihe, and nothing behind it but arithmetic."""

    def __init__(self, *, stale=(), hostile=""):
        self.stale, self.hostile = stale, hostile

    def scopes(self):
        city = {"code": CITY, "name_zh": "德州市", "name_en": "Dezhou", "kind": "region", "parent": None}
        counties = [
            {"code": c, "name_zh": zh, "name_en": en, "kind": "region", "parent": CITY}
            for c, (zh, en) in COUNTIES.items()
        ]
        stores = [
            {"code": f"{c}-W1", "name_zh": f"{zh}储备库", "name_en": f"{en} store", "kind": "warehouse", "parent": c}
            for c, (zh, en) in (("371402", COUNTIES["371402"]), ("371425", COUNTIES["371425"]))
        ]
        return [city, *counties, *stores]

    def coverage(self, scope):
        if scope == "371423":
            return []
        return (
            [self.row(scope, entry) for entry in reversed(ITEMS)]
            if scope in {s["code"] for s in self.scopes()}
            else None
        )

    def row(self, scope, entry):
        code, zh, en, category, unit, standard, peak, lots = entry
        lots = [(k, q if scope == CITY else q // 8, hold) for k, q, hold in lots]
        peak = peak if peak is None or scope == CITY else peak / 7
        usable_lots = [(k, q) for k, q, hold in lots if not hold and (k is None or k > 0)]
        usable = sum(q for _, q in usable_lots)
        days = None if peak is None else coverage_days(usable_lots, peak)
        wasted = 0 if days is None else round(usable - days * peak)
        falls = None if days is None else TODAY + timedelta(0 if days < 30 else floor(days - 30) + 1)
        level = level_of(days, peak, usable)
        shortfall = 0 if days is None else max(0, ceil(peak * (30 - days) - 1e-6))
        return {
            "scope": scope, "item": code, "category": category, "as_of": str(TODAY),
            "name_zh": zh + self.hostile, "name_en": en + self.hostile, "base_unit": unit, "standard": standard or None,
            "on_hand": sum(q for _, q, _ in lots), "usable": usable, "in_transit": 0,
            "on_hold": sum(q for _, q, hold in lots if hold),
            "expired": sum(q for k, q, hold in lots if k is not None and k <= 0),
            "peak_daily": peak, "binding_policy": None if peak is None else "PROTECTIVE-30D",
            "peak_basis": {"method": "rolling_mean_max:7", "from": "2025-04-01", "to": "2026-03-31", "days_reported": 358},
            "days_of_coverage": None if days is None else floor(days * 100 + 1e-9) / 100,
            "required_days": None if peak is None else 30, "required": 0 if peak is None else ceil(peak * 30),
            "shortfall": shortfall, "wasted_by_expiry": wasted,
            "days_with_contract": None, "days_with_capacity": None, "gaps": [],
            "falls_below_on": falls and str(falls), "runs_out_on": None if days is None else str(TODAY + timedelta(floor(days))),
            "probability_below_required": None, "level": level, "stale": code in self.stale,
            "reason": self.reason(level, shortfall, falls), "assessed_at": "2026-03-29T22:05:00+00:00" if code in self.stale else "2026-04-01T00:05:00+00:00",
        }  # fmt: skip

    def reason(self, level, shortfall, falls):
        zh, en = {
            "red": (
                f"峰值自 2026-03-29 起升高,缺 {shortfall:,}",
                f"Peak has risen since 2026-03-29; short of {shortfall:,}",
            ),
            "orange": (f"低于 30 天要求,缺 {shortfall:,}", f"Below the 30 days required; short of {shortfall:,}"),
            "yellow": (
                f"按峰值 {falls} 跌破要求,来不及补货",
                f"At the peak it falls below on {falls}, sooner than an order arrives",
            ),
            "blue": (f"按峰值 {falls} 跌破要求", f"At the peak it falls below on {falls}"),
            "unknown": (
                "平原县 7 天没有上报消耗,峰值未知",
                "Pingyuan has not reported use for 7 days; the peak is not known",
            ),
            "normal": ("高于要求", "Above the requirement"),
        }[level]
        return {"code": level, "zh": zh, "en": en}

    def explained(self, scope, item):
        entry = next((entry for entry in ITEMS if entry[0] == item), None)
        row = next((row for row in self.coverage(scope) or [] if row["item"] == item), None)
        if row is None or entry is None:
            return None
        peak, days = row["peak_daily"], row["days_of_coverage"]
        _, lost = spend([(k, q) for k, q, hold in entry[7] if not hold and (k is None or k > 0)], peak or 0, 400)
        lots = [
            {
                "location": f"{'371402' if n % 2 else '371425'}-W1", "lot_number": f"{item[:1]}{2300 + 11 * n}",
                "expires_on": None if k is None else str(TODAY + timedelta(k - 1)), "life": k, "on_hand": q,
                "counted": not hold and (k is None or k > 0), "reason": "on_hold" if hold else "expired" if k is not None and k <= 0 else None,
                "wasted": lost[k] if peak and k and 0 < k < 400 and not hold else 0,
            }
            for n, (k, q, hold) in enumerate(entry[7])
        ]  # fmt: skip
        window = [
            {"date": f"2026-01-{n + 12}", "total": peak + d, "reported": round(peak * 0.94 + d), "filled": peak * 0.06}
            for n, d in enumerate((-30, 20, 10, 0, 40, -25, -15))
        ] if peak else []  # fmt: skip
        locations = [
            {"location": c, "own_peak": None if c == "371423" else 120.5 + n, "days_reported": 0 if c == "371423" else 358 - n,
             "days_missing": 7 + n, "last_reported_on": None if c == "371423" else "2026-03-22" if c == "371426" else "2026-03-31"}
            for n, c in enumerate(COUNTIES)
        ] if peak else []  # fmt: skip
        check = "" if peak is None else f"({row['usable']} - {row['wasted_by_expiry']}) / {peak:g} = {words.days(days)}"
        return {
            **row,
            "explanation": {
                "check": check, "lots": lots,
                "peak": {
                    "method": "rolling_mean_max:7", "width": 7, "from": "2025-04-01", "to": "2026-03-31",
                    "window_from": "2026-01-12" if peak else None, "window_to": "2026-01-18" if peak else None,
                    "window": window, "fraction": f"{round((peak or 0) * 7)}/7", "peak_daily": peak, "basis": "history",
                    "reported_share": 0.94 if peak else None, "lower_bound": peak is None, "sum_of_peaks": peak, "days_reported": 358,
                    "locations": locations, "unknown_locations": ["371423"], "silent_locations": ["371426"],
                    "flagged": [{"location": "371425", "date": "2026-01-16", "quantity": 2500}] if peak else [],
                },
                "policies": [
                    {"code": "PROTECTIVE-30D", "kind": "days", "required_days": 30, "required": row["required"], "shortfall": row["shortfall"],
                     "days": days, "level": row["level"], "source_text": "防护物资储备量应满足不少于1个月的需求", "effective_from": "2025-01-01", "binding": True},
                    {"code": "FLOOR", "kind": "quantity", "required_days": None, "required": 2000, "shortfall": 0,
                     "days": None, "level": "normal", "source_text": "最低库存不少于2000", "effective_from": "2024-06-01", "binding": False},
                ] if peak else [],
                "tightest": None,
                "lines": {
                    "zh": [f"在库 {row['on_hand']:,} = 可用 {row['usable']:,} + 冻结 {row['on_hold']:,} + 过期 {row['expired']:,}。",
                           "峰值取回看 365 天里连续 7 天的最高日均,2026-01-12 至 2026-01-18。",
                           f"先到期先出:期间有 {row['wasted_by_expiry']:,} 来不及用完就失效。", f"要求 30 × 峰值 = {row['required']:,}。"],
                    "en": [f"On hand {row['on_hand']:,} = usable {row['usable']:,} + on hold {row['on_hold']:,} + expired {row['expired']:,}.",
                           "The peak is the highest mean of 7 consecutive days in the last 365: 2026-01-12 to 2026-01-18.",
                           f"First expired, first out: {row['wasted_by_expiry']:,} expire before they can be used.", f"Required 30 × peak = {row['required']:,}."],
                },
            },
        }  # fmt: skip

    def projection(self, scope, item, days):
        entry = next((entry for entry in ITEMS if entry[0] == item), None)
        row = next((row for row in self.coverage(scope) or [] if row["item"] == item), None)
        if entry is None or row is None or row["peak_daily"] is None:
            return None
        share = 1 if scope == CITY else 8
        lots = [(k, q // share) for k, q, hold in entry[7] if not hold and (k is None or k > 0)]
        start, lost = spend(lots, row["peak_daily"], days)
        total = row["days_of_coverage"]
        return {
            "dates": [str(TODAY + timedelta(n)) for n in range(days)], "usable": None,
            "at_peak": start, "days_at_peak": [max(total - n, 0) for n in range(days)],
            "required": row["required"], "required_days": 30, "expiring": lost, "receipts": [0] * days,
            "falls_below_on": row["falls_below_on"], "runs_out_on": row["runs_out_on"],
        }  # fmt: skip

    def tiles(self, scope):
        if scope != CITY:
            return []
        worst = ["red", "orange", "normal", "normal", "yellow", "blue", "unknown", "normal", "yellow", "normal", "red"]
        days = [11.29, 27.9, 58.4, None, 38.2, 47.5, None, 61.0, 40.1, 77.7, 8.05]
        return [
            {"code": c, "name_zh": zh, "name_en": en, "worst": "normal" if c == "371423" else worst[n], "fewest_days": days[n],
             "fewest_item": None if days[n] is None else ITEMS[n][0], "counts": {} if c == "371423" else {worst[n]: 1 + n % 3, "normal": 12 - n % 3}}
            for n, (c, (zh, en)) in enumerate(COUNTIES.items())
        ]  # fmt: skip

    def alerts(self, scope, limit):
        wecom = {
            "receiver": "企业微信",
            "state": "delivered",
            "attempts": 1,
            "delivered_at": "2026-03-31T22:10:30+00:00",
        }
        sms = {"receiver": "SMS", "state": "failed", "attempts": 3, "delivered_at": None}
        waiting = {"receiver": "SMS", "state": "pending", "attempts": 0, "delivered_at": None}
        rows = {row["item"]: row for row in self.coverage(scope) or []}
        listed = [
            (81, "GOWN", "red", "orange", "2026-03-31T22:10:00+00:00", [wecom, sms]),
            (80, "N95", "orange", "yellow", "2026-03-31T22:10:00+00:00", [wecom, waiting]),
            (79, "SHIELD", "unknown", "normal", "2026-03-30T22:10:00+00:00", [wecom]),
            (78, "GOWN", "orange", "yellow", "2026-03-26T22:10:00+00:00", [wecom]),
            (77, "MASK", "normal", "yellow", "2026-03-20T22:10:00+00:00", []),
        ]
        return [
            {"id": n, "item": item, "level": level, "previous_level": was, "raised_at": at, "reason": rows[item]["reason"], "notices": notices}
            for n, item, level, was, at, notices in listed if item in rows
        ][:limit]  # fmt: skip

    def freshness(self):
        return {"assessed_at": "2026-04-01T00:05:00+00:00", "due": 2, "worker_beat_at": "2026-04-01T01:29:40+00:00",
                "timezone": "Asia/Shanghai", "now": "2026-04-01T01:30:00+00:00"}  # fmt: skip


def app_of(board):
    app = FastAPI()
    app.include_router(pages(board))
    app.mount("/static", StaticFiles(directory=STATIC))
    return app
