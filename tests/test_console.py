"""The command line records and asks through the routes: what an operator types at the machine itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NOW
from served import Served, receipt
from sqlalchemy import Engine
from typed import Typed, typed

from api.console import Answered, call
from api.desk import OPERATOR, Desk
from api.settings import Settings
from reserve.access import Operator

LI = Operator("Li Wei")


@pytest.fixture
def desk(city: Engine) -> Desk:
    return Desk(city, Settings(worker="off"), lambda: NOW)


def told(answered: Answered) -> dict:
    return json.loads(answered.body)


def post(desk: Desk, path: str, body: dict, who: Operator = LI, key: str | None = None) -> Answered:
    return call(desk, "POST", path, who, json.dumps(body).encode(), key)


def test_an_operator_records_and_signs_with_their_name(desk: Desk) -> None:
    made = post(desk, "receipts", receipt(10))
    assert made.status == 201
    assert told(made)["movements"][0]["actor"] == "Li Wei (cli)"
    (row,) = told(call(desk, "GET", "stock?item=N95", LI))["items"]
    assert (row["location"], row["on_hand"]) == ("371400-W1", 10)


def test_the_same_key_typed_again_records_nothing_twice(desk: Desk) -> None:
    first, second = (post(desk, "receipts", receipt(10), key="k-1") for _ in range(2))
    assert first.body == second.body
    assert second.headers["idempotent-replayed"] == "true"
    assert len(told(call(desk, "GET", "movements", LI))["items"]) == 1


def test_a_refusal_is_that_of_http(desk: Desk, served: Served) -> None:
    body = {"location": "371400-W1", "purpose": "use", "lines": [{"item": "N95", "quantity": 5}]}
    refused = post(desk, "issues", body)
    over_http = served.client("admin").post("/v1/issues", json=body)
    assert (refused.status, told(refused)) == (over_http.status_code, over_http.json())


def test_an_operator_at_a_county_reaches_no_further(desk: Desk) -> None:
    county = Operator("Wang", "371425")
    assert post(desk, "receipts", receipt(10), county).status == 403
    assert post(desk, "receipts", receipt(10) | {"location": "371425-W1"}, county).status == 201


def test_two_names_at_the_machine_are_two_persons_and_one_name_is_one(desk: Desk) -> None:
    post(desk, "receipts", receipt(10))
    asked = {
        "location": "371400-W1",
        "purpose": "use",
        "recipient": "市医院",
        "lines": [{"item": "N95", "quantity": 5}],
    }
    number = told(post(desk, "requisitions", asked))["number"]
    assert told(post(desk, f"requisitions/{number}/approval", {}, Operator("li  WEI")))["code"] == "same_person"
    assert post(desk, f"requisitions/{number}/approval", {}, Operator("Zhang")).status == 201


def test_nobody_is_an_operator_by_saying_so_over_http(served: Served) -> None:
    client = served.client(None)
    for headers in ({OPERATOR: "Li"}, {"X-Reserve-Operator": "Li"}, {"Authorization": "Bearer cli"}):
        assert client.get("/v1/stock", headers=headers).status_code == 401
    assert client.get("/v1/stock", params={OPERATOR: "Li"}).status_code == 401


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_written_is_refused(desk: Desk, name: str) -> None:
    assert post(desk, "receipts", receipt(1), Operator(name)).status == 422


def reserve(folder: Path, *words: str, stdin: str = "") -> Typed:
    return typed(*words, folder=folder, stdin=stdin, RESERVE_DATABASE_URL=f"sqlite:///{folder}/r.db")


def in_a_process(folder: Path, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RESERVE_DATABASE_URL": f"sqlite:///{folder}/r.db", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "api.cli", *words]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_keeper_types_a_day_at_the_machine(tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text(
        "code,name_zh,name_en,kind,parent\n371400,德州市,Dezhou,region,\n371400-W1,市级储备库,Store,warehouse,371400\n",
        encoding="utf-8",
    )
    item = {
        "code": "N95",
        "name_zh": "口罩",
        "name_en": "Respirator",
        "category": "protective",
        "base_unit": "只",
        "shelf_life_days": 1095,
        "packs": [{"gtin": "06901234567892", "units_per_pack": 400}],
    }
    scanned = "(01)06901234567892(17)401231(10)A1"
    goods = tmp_path / "goods.json"
    goods.write_text(
        json.dumps({"location": "371400-W1", "donor": "某基金会", "lines": [{"scan": scanned, "packs": 2}]})
    )
    assert in_a_process(tmp_path, "migrate").returncode == 0
    assert reserve(tmp_path, "import", "locations", str(tmp_path / "places.csv")).returncode == 0
    assert in_a_process(tmp_path, "record", "items", "--as", "王强", stdin=json.dumps(item)).returncode == 0
    looked = json.loads(reserve(tmp_path, "scan", scanned, "--location", "371400-W1").stdout)
    assert (looked["item"], looked["lot_number"], looked["expires_on"]) == ("N95", "A1", "2040-12-31")
    made = json.loads(reserve(tmp_path, "record", "receipts", str(goods), "--as", "王强").stdout)
    assert [(m["source"], m["quantity"], m["actor"]) for m in made["movements"]] == [("DONOR", 800, "王强 (cli)")]
    card = tmp_path / "card.pdf"
    assert in_a_process(tmp_path, "ask", "stock/371400-W1/N95/card?format=pdf", "-o", str(card)).returncode == 0
    assert card.read_bytes().startswith(b"%PDF")
    refused = in_a_process(tmp_path, "record", "receipts", stdin='{"location": "nowhere", "lines": []}')
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "lines" in refused.stderr
    missing = reserve(tmp_path, "record", "receipts", str(tmp_path / "none.json"))
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr
    assert reserve(tmp_path, "seals").returncode == 1  # nothing has been sealed yet
    assert reserve(tmp_path, "watch", "--once").returncode == 0
    anchor = reserve(tmp_path, "seals").stdout.strip()
    assert in_a_process(tmp_path, "verify", "--anchor", anchor).returncode == 0
    assert reserve(tmp_path, "verify", "--anchor", f"1:{'0' * 64}").returncode == 1
