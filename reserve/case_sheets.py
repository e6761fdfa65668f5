"""A sheet of an outbreak (CSV): cases a day, or patients in bed by class; bytes in, a curve or a census out. Pure."""

from datetime import date, timedelta
from itertools import pairwise
from typing import NamedTuple

from reserve.errors import SheetFault, SheetRefused
from reserve.norms import BED_CLASSES
from reserve.sheets import Column, day, read, whole

PERSONS_MAX = 10**10
DAYS_MAX = 366

_persons = whole(least=0, most=PERSONS_MAX)
COLUMNS = (
    Column("date", ("日期", "day"), day, required=True),
    Column("cases", ("新增病例", "病例", "病例数", "新增", "每日新增", "新增确诊", "确诊"), _persons),
    Column("moderate", ("普通型", "中型", "中度"), _persons),
    Column("severe", ("重型", "病房", "ward", "wards", "在院", "住院", "普通病房", "重症"), _persons),
    Column("critical", ("危重型", "重症监护", "icu", "ICU床位", "监护", "危重症", "危重"), _persons),
)


class CaseSheet(NamedTuple):
    """What a sheet says from `first` on, one value a day without a gap."""

    first: date
    curve: tuple[int, ...] | None
    census: dict[str, tuple[int, ...]] | None


def read_cases(data: bytes) -> CaseSheet:
    """The days of a sheet in their order.

    Raises
    ------
    SheetRefused
        no column of cases or patients; a day that is missing, twice, or without a figure; more days than a scenario
        has; whatever `sheets.read` refuses.
    """
    sheet = read(data, COLUMNS)
    named = [c.name for c in COLUMNS[1:] if c.name in sheet.columns]
    if not named:
        detail = (
            "The sheet says neither cases nor patients: add a column cases (新增病例), or severe (重型) and "
            "critical (危重型)."
        )
        raise SheetRefused([SheetFault(1, None, None, "missing_column", detail)])
    rows = sorted((row for row in sheet.rows if row.values["date"] is not None), key=lambda row: row.values["date"])
    for row in rows:
        for column in named:
            if row.values[column] is None and not row.cell(column).strip():
                sheet.faults.at(row, column, "missing", f"Write {column} of this day: a day not told is not zero.")
    for before, row in pairwise(rows):
        if row.values["date"] == before.values["date"]:
            sheet.faults.at(row, "date", "duplicate_day", f"The day {row.values['date']} is there twice.")
        elif row.values["date"] != before.values["date"] + timedelta(days=1):
            missing = before.values["date"] + timedelta(days=1)
            sheet.faults.at(row, "date", "missing_day", f"The day {missing} is missing: a day not told is not zero.")
    if len(rows) > DAYS_MAX:
        detail = f"A scenario has at most {DAYS_MAX} days, the sheet has {len(rows)}: cut it."
        sheet.faults.at(rows[DAYS_MAX], "date", "too_many_days", detail)
    sheet.faults.refuse()
    census = {name: tuple(row.values[name] for row in rows) for name in BED_CLASSES if name in named}
    curve = tuple(row.values["cases"] for row in rows) if "cases" in named else None
    return CaseSheet(rows[0].values["date"], curve, census or None)
