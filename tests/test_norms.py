"""Norms of use: published ones put beside a city's items, corrected by the city, each with its source."""

from fractions import Fraction

from conftest import entry
from outbreaks import manager, stock_the_shelves
from refusing import refused, scalar, sound, unchanged
from served import Served

from reserve import catalogue, database, norms
from reserve.model import Category, NormBasis
from reserve.norms import Own
from seeds.catalogue import ITEMS
from seeds.usage import PRESETS


def norm(**changes: object) -> dict:
    return {
        "basis": "staff_shift",
        "role": "health_worker",
        "item": "N95",
        "amount": 2.5,
        "source_text": "本市 2026 年实测",
        **changes,
    }


def post(client, *said: dict, preset: str = "who-esft"):
    return client.post("/v1/norms", json={"preset": preset, "norms": list(said)})


def test_presets_speak_the_catalogue_s_codes_and_units() -> None:
    units = {item.code: item.base_unit for item in ITEMS}
    for preset in PRESETS.values():
        for published in preset:
            if published.item is not None:
                assert published.unit == units[published.item]
            assert published.source_text
            assert published.amount_per_1000 > 0
    keys = [(n.basis, n.bed_class, n.role, n.item) for n in PRESETS["who-esft"]]
    assert len(keys) == len(set(keys))


def test_esft_hours_are_the_sums_of_its_occupations(served: Served) -> None:
    rows = manager(served).get("/v1/norms?preset=who-esft").json()["items"]
    hours = {(r["role"], r["bed_class"]): r["amount"] for r in rows if r["basis"] == "staff_hours"}
    assert hours == {
        ("health_worker", "moderate"): 11.25,
        ("health_worker", "severe"): 18.224,
        ("health_worker", "critical"): 32.689,
        ("cleaner", "moderate"): 0.5,
        ("cleaner", "severe"): 0.5,
        ("cleaner", "critical"): 0.75,
    }


def test_a_preset_names_what_it_skips_and_adds_it_once_the_item_is_there(served: Served) -> None:
    client = served.client("manager")
    first = client.post("/v1/norms/presets/nm-mat-2020", json={}).json()
    assert [row["item"] for row in first["added"]] == ["N95"]
    assert {s["item"]: s["reason"] for s in first["skipped"]} == dict.fromkeys(
        ("EXAM-GLOVES", "FACE-SHIELD", "GOWN"), "unknown_item"
    )
    stock_the_shelves(served.engine)
    second = client.post("/v1/norms/presets/nm-mat-2020", json={}).json()
    assert sorted(row["item"] for row in second["added"]) == ["EXAM-GLOVES", "GOWN"]
    assert second["unchanged"] == 1
    before = scalar(served.engine, "SELECT count(*) FROM usagenorm")
    third = client.post("/v1/norms/presets/nm-mat-2020", json={}).json()
    assert (third["added"], third["unchanged"]) == ([], 3)
    assert scalar(served.engine, "SELECT count(*) FROM usagenorm") == before
    sound(served.engine)


def test_a_city_that_counts_single_gloves_gets_no_pairs_by_mistake(served: Served) -> None:
    with database.writing(served.engine) as session:
        catalogue.add_item(session, catalogue.NewItem("GLOVE", "手套", "Glove", Category.PROTECTIVE, "只"))
    client = served.client("manager")
    own = {"items": {"EXAM-GLOVES": {"item": "GLOVE"}}}
    told = client.post("/v1/norms/presets/nm-mat-2020", json=own).json()
    skipped = next(s for s in told["skipped"] if s["item"] == "EXAM-GLOVES")
    assert (skipped["reason"], skipped["wanted"]) == ("unit", "GLOVE")
    assert "双" in skipped["zh"]
    own["items"]["EXAM-GLOVES"]["units"] = 2
    told = client.post("/v1/norms/presets/nm-mat-2020", json=own).json()
    gloves = next(row for row in told["added"] if row["item"] == "GLOVE")
    assert gloves["amount"] == 17.2
    assert "1 双 = 2 base units of GLOVE" in gloves["source_text"]


def test_a_city_s_figure_replaces_the_published_one_and_both_are_kept(served: Served) -> None:
    client = manager(served)
    made = post(client, norm())
    assert made.status_code == 201
    (row,) = made.json()["norms"]
    assert (row["amount"], row["source_text"], row["actor"][:10]) == (2.5, "本市 2026 年实测", "manager Li")
    rows = client.get("/v1/norms?preset=who-esft&item=N95").json()["items"]
    assert [r["amount"] for r in rows] == [2.5]
    assert (
        scalar(served.engine, "SELECT count(*) FROM usagenorm u JOIN item i ON i.id = u.item_id WHERE code = 'N95'")
        == 2
    )
    with database.reading(served.engine) as session:
        from reserve import journal

        (last,) = journal.entries(session, subject="norms who-esft/N95", limit=1)
    assert last.verb == "norm.made"
    assert '"amount_per_1000":1000' in str(last.before)
    assert '"amount_per_1000":2500' in str(last.after)


def test_an_amount_of_zero_takes_a_norm_out(served: Served) -> None:
    client = manager(served)
    post(client, norm(amount=0))
    assert client.get("/v1/norms?preset=who-esft&item=N95").json()["items"] == []


def test_only_a_manager_says_what_is_used(served: Served) -> None:
    for role in ("viewer", "reporter", "clerk"):
        client = served.client(role)
        refused(served.engine, lambda client=client: post(client, norm()), 403, "forbidden")
        refused(
            served.engine, lambda client=client: client.post("/v1/norms/presets/who-esft", json={}), 403, "forbidden"
        )
        assert client.get("/v1/norms").status_code == 200


def test_a_county_does_not_write_the_norms_of_every_other(served: Served) -> None:
    """They are read by every scenario of the city: only a manager of the whole tree says what is used."""
    manager(served)
    county = served.client("manager", "371425")
    for act in (
        lambda: post(county, norm(amount=0)),
        lambda: post(county, norm(), preset="ours"),
        lambda: county.post("/v1/norms/presets/nm-mat-2020", json={}),
        lambda: county.post("/v1/norms/presets/none-such", json={}),
    ):
        refused(served.engine, act, 403, "forbidden")
    answered = county.post("/v1/norms/presets/who-esft", json={}, headers={"Accept-Language": "zh"})
    assert "最上级" in answered.json()["detail"]
    assert county.get("/v1/norms").json()["items"]


def test_a_conversion_that_leaves_nothing_of_a_norm_does_not_take_it_out(served: Served) -> None:
    """Amounts are thousandths of a base unit: less than half a one would be written as 0, which ends a norm."""
    client = manager(served)
    standing = client.get("/v1/norms?preset=who-esft&item=N95").json()["items"]
    shift = norms.Published(NormBasis.STAFF_SHIFT, "", "health_worker", "N95", "个", 1000, "ESFT", reusable=False)
    case = shift._replace(basis=NormBasis.CASE, role="", amount_per_1000=60_000)
    pallet = {"N95": Own("N95", Fraction(1, 10_000))}

    def load(session):
        return norms.load(session, entry(), "who-esft", [shift, case], pallet)

    told = database.transact(served.engine, load)
    assert [(row.basis, row.amount_per_1000) for row in told.added] == [(NormBasis.CASE, 6)]
    (small,) = told.skipped
    assert (small.item, small.wanted, small.reason) == ("N95", "N95", "too_small")
    assert small.en.startswith("1 个 (staff_shift health_worker), at 0.0001 to one, is less than a thousandth")
    assert "units" in small.zh
    left = client.get("/v1/norms?preset=who-esft&item=N95").json()["items"]
    assert [row for row in left if row["basis"] == "staff_shift"] == standing
    again = database.transact(served.engine, load)
    assert (len(again.added), again.unchanged, len(again.skipped)) == (0, 1, 1)


def test_bad_norms_are_refused_whole_with_their_places(served: Served) -> None:
    client = manager(served)
    bad = [
        (norm(item="NONE"), "unknown_item", "/norms/1/item"),
        (norm(item=None), "usage_norm_terms", "/norms/1/item"),
        (norm(role=None), "usage_norm_terms", "/norms/1/role"),
        (norm(basis="staff_hours"), "usage_norm_terms", "/norms/1/item"),
        (norm(basis="patient_day"), "usage_norm_terms", "/norms/1/role"),
        (norm(basis="case", role=None, bed_class="severe"), "usage_norm_terms", "/norms/1/bed_class"),
        (norm(basis="case", role=None, reusable=True), "usage_norm_terms", "/norms/1/reusable"),
        (norm(amount=1), "usage_norm_terms", "/norms/1"),
        (norm(amount=-1), "invalid_value", "/norms/1/amount"),
        (norm(amount=0.0005), "invalid_value", "/norms/1/amount"),
        (norm(amount=True), "invalid_value", "/norms/1/amount"),
        (norm(amount="1"), "invalid_value", "/norms/1/amount"),
        (norm(amount=1e10), "invalid_value", "/norms/1/amount"),
        (norm(bed_class="mild"), "invalid_value", "/norms/1/bed_class"),
        (norm(role="Head Nurse"), "invalid_value", "/norms/1/role"),
        (norm(basis="bed"), "invalid_value", "/norms/1/basis"),
        (norm(source_text=" "), "invalid_value", "/norms/1/source_text"),
        (norm(source_text=None), "invalid_value", "/norms/1/source_text"),
    ]
    for wrong, code, pointer in bad:
        problem = refused(served.engine, lambda wrong=wrong: post(client, norm(), wrong), 422, code)
        assert pointer in [fault["pointer"] for fault in problem["errors"]], (wrong, problem)
    refused(served.engine, lambda: client.post("/v1/norms/presets/cdc", json={}), 404, "unknown_preset")
    for items, code in (
        ({"NONE": {"item": "N95"}}, "not_in_preset"),
        ({"N95": {"item": "NONE"}}, "unknown_item"),
        ({"N95": {"item": "N95", "units": 0}}, "invalid_value"),
    ):
        refused(
            served.engine,
            lambda items=items: client.post("/v1/norms/presets/who-esft", json={"items": items}),
            422,
            code,
        )


def test_asking_for_norms_changes_nothing(served: Served) -> None:
    client = manager(served)
    with unchanged(served.engine):
        told = client.get("/v1/norms").json()
    assert told["presets"] == ["nm-mat-2020", "who-esft"]
    assert {row["basis"] for row in told["items"]} == {str(b) for b in NormBasis} - {"case"}
