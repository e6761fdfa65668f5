"""A city with what an outbreak uses, and scenarios as people would state them."""

import csv
import gzip
import io
from datetime import date, timedelta

import pytest
from conftest import SHARED
from fastapi.testclient import TestClient
from served import Served
from sqlalchemy import Engine

from reserve import catalogue, database
from reserve.model import Category

GOODS = (
    ("EXAM-GLOVES", "检查手套", "Examination gloves", "双"),
    ("SURGICAL-MASK", "外科口罩", "Surgical mask", "只"),
    ("GOWN", "隔离衣", "Isolation gown", "件"),
    ("GOGGLES", "护目镜", "Goggles", "副"),
    ("VENTILATOR", "呼吸机", "Ventilator", "台"),
)


def stock_the_shelves(engine: Engine) -> None:
    """The items beside the city's masks."""
    with database.writing(engine) as session:
        for code, zh, en, unit in GOODS:
            catalogue.add_item(
                session, catalogue.NewItem(code, zh, en, Category.PROTECTIVE, unit, shelf_life_days=1095)
            )


def manager(served: Served, *presets: str) -> TestClient:
    """A manager of the city whose items are there and whose presets are loaded."""
    stock_the_shelves(served.engine)
    client = served.client("manager")
    for name in presets or ("who-esft",):
        assert client.post(f"/v1/norms/presets/{name}", json={}).status_code == 201
    return client


def census(code: str = "WAVE", **more: object) -> dict:
    """Patients in bed, and nothing else."""
    return {
        "code": code,
        "name": "演练 drill",
        "scope": "371400",
        "cases": {"census": {"severe": [28, 30, 20], "critical": [1, 2, 3]}},
        "norms": "who-esft",
        "ordinary_use": False,
        **more,
    }


def model(code: str = "MODEL", **more: object) -> dict:
    """People who infect each other, with measures after a month."""
    return {
        "code": code,
        "name": "流感样疫情 wave",
        "scope": "371400",
        "days": 180,
        "cases": {
            "seir": {
                "people": 5_600_000,
                "infectious": 20,
                "r0": 2.2,
                "incubation_days": 3,
                "infectious_days": 5,
                "measures": [{"from_day": 40, "factor": 0.7}],
            }
        },
        "beds": {
            "hospital_share": 0.05,
            "delay_days": 4,
            "critical_share": 0.1,
            "severe_share": 0.5,
            "stay_days": {"moderate": 8, "severe": 12, "critical": 16},
            "available": {"critical": 300},
        },
        "norms": "who-esft",
        "ordinary_use": False,
        **more,
    }


def row(answer: dict, item: str = "N95") -> dict:
    return next(line for line in answer["result"]["items"] if line["item"] == item)


def read(name: str) -> list[dict[str, str]]:
    """A table of the real data; skipped where there is none."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def dezhou() -> list[int]:
    """People ill in Dezhou in 2020, day by day, as long as there were any."""
    rows = sorted(
        (r for r in read("cn_epi_city_2020/city_daily.csv.gz") if r["city_code"] == "371400"), key=lambda r: r["date"]
    )
    active = {date.fromisoformat(r["date"]): int(r["confirmed"]) - int(r["cured"]) - int(r["dead"]) for r in rows}
    first, last = min(active), max(day for day, ill in active.items() if ill)
    told, ill = [], 0
    for n in range((last - first).days + 1):
        ill = active.get(first + timedelta(days=n), ill)
        told.append(ill)
    return told


def lombardia(days: int) -> str:
    """Wards and intensive care of Lombardia from 24 February 2020 on, as somebody would export them."""
    rows = sorted(
        (r for r in read("it_hospital_daily/regions.csv.gz") if r["denominazione_regione"] == "Lombardia"),
        key=lambda r: r["date"],
    )
    kept = [r for r in rows if r["date"] >= "2020-02-24"][:days]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["日期", "病房", "重症监护"])
    writer.writerows([r["date"], r["ricoverati_con_sintomi"], r["terapia_intensiva"]] for r in kept)
    return out.getvalue()
