"""What a scan says and what is refused: tables of codes, round trips, and every string of the collected file."""

import csv
import time
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from biip.checksums import gs1_standard_check_digit
from biip.gs1_application_identifiers import _GS1_APPLICATION_IDENTIFIERS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reserve.errors import Invalid
from reserve.gs1 import GS, LENGTH_MAX, Reason, Scan, UnreadableScan, base_units, read

TODAY = date(2026, 4, 1)
GOWN, MASK = "06938047200036", "16901234567899"
EXPIRY, MADE = date(2028, 6, 30), date(2025, 6, 30)
SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
FULL = f"01{GOWN}1125063017280630103A517"
GROUPED = f"01{GOWN}103A517{GS}1728063021S001{GS}11250630"


def told(data, today=TODAY):
    return read(data, today=today)


def refused(data, today=TODAY):
    """The refusal, which must say why and what to do next."""
    with pytest.raises(UnreadableScan) as caught:
        read(data, today=today)
    refusal = caught.value
    assert refusal.code == "unreadable_scan"
    assert [(fault.pointer, fault.code) for fault in refusal.faults] == [("/data", refusal.reason)]
    assert refusal.detail.isprintable()
    assert len(refusal.detail) < 400
    return refusal


def checked(digits):
    return digits + str(gs1_standard_check_digit(digits))


# -- element strings --


@pytest.mark.parametrize("data", [FULL, f"]d2{FULL}", f"]C1{FULL}", f"]Q3{FULL}", f"]J1{FULL}", f"]e0{FULL}"])
def test_a_full_label_is_read_from_every_symbol(data):
    scan = told(data)
    assert (scan.form, scan.gtin, scan.lot_number) == ("gs1", GOWN, "3A517")
    assert (scan.manufactured_on, scan.expires_on) == (MADE, EXPIRY)
    assert (scan.issuer, scan.device_identifier, scan.counted_gtin) == ("GS1", GOWN, GOWN)
    assert scan.symbology == (data[:3] if data[0] == "]" else None)
    assert scan.doubt is None


@pytest.mark.parametrize("prefix", ["", GS, "]d2", f"]d2{GS}", f"]C1{GS}", " \t", "\r\n", "\u3000"])
@pytest.mark.parametrize("suffix", ["", "\r", "\n", "\r\n", "\t", " \r", GS, f"{GS}{GS}", f"{GS}\r\n"])
def test_what_the_scanner_adds_before_and_after_changes_nothing(prefix, suffix):
    scan = told(prefix + GROUPED + suffix)
    assert (scan.gtin, scan.lot_number, scan.serial) == (GOWN, "3A517", "S001")
    assert (scan.manufactured_on, scan.expires_on) == (MADE, EXPIRY)


@pytest.mark.parametrize(
    "substitute", ["|", "~", "^", "^]", "{GS}", "<GS>", "[GS]", "{FNC1}", "<FNC1>", "\u241d", "～", "｜", GS * 2]
)
def test_a_known_substitute_for_the_separator_is_one(substitute):
    scan = told(GROUPED.replace(GS, substitute))
    assert (scan.lot_number, scan.serial, scan.manufactured_on) == ("3A517", "S001", MADE)


def test_beside_a_true_separator_a_substitute_is_a_wrong_character():
    assert refused(f"01{GOWN}103A|517{GS}17280630").reason is Reason.CHARACTER


@pytest.mark.parametrize(
    "data",
    [
        f"(01){GOWN}(11)250630(17)280630(10)3A517",
        f"(01) {GOWN} (11) 250630 (17) 280630 (10) 3A517 ",
        f"（01）{GOWN}（11）250630（17）280630（10）3A517",
        "（０１）０６９３８０４７２０００３６（11）２５０６３０（17）280630（10）３Ａ５１７",
        f"]d2(01){GOWN}(11)250630(17)280630(10)3A517\r\n",
    ],
)
def test_brackets_typed_by_hand_also_by_a_chinese_input_method_are_read(data):
    scan = told(data)
    assert (scan.gtin, scan.lot_number, scan.manufactured_on, scan.expires_on) == (GOWN, "3A517", MADE, EXPIRY)


def test_a_lot_with_brackets_of_its_own_is_not_cut():
    assert told(f"(01){GOWN}(10)A(1)-B(17)280630").lot_number == "A(1)-B"
    assert told(f"01{GOWN}10A(21)B").lot_number == "A(21)B"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("(17)280630(88)1", Reason.ELEMENT),
        ("(01)6901234567892", Reason.ELEMENT),
        ("(10)", Reason.ELEMENT),
        ("(10)A 517", Reason.ELEMENT),
        ("(310)3000100", Reason.ELEMENT),
        ("(10)A517(10)A518", Reason.TWO_VALUES),
        ("(x)(01)", Reason.FORM),
        ("()", Reason.FORM),
        ("(17)281331", Reason.DATE),
        ("(10)123456789012345678901", Reason.ELEMENT),
    ],
)
def test_brackets_that_hold_something_else_are_refused(data, reason):
    assert refused(data).reason is reason


def test_every_other_identifier_is_kept_in_its_order():
    scan = told(f"01{GOWN}2007240REF-7{GS}91own{GS}70032601011200{GS}13260401")
    assert scan.others == (("20", "07"), ("240", "REF-7"), ("91", "own"), ("7003", "2601011200"), ("13", "260401"))


def test_a_second_barcode_may_name_no_item():
    scan = told("17280630103A517")
    assert (scan.gtin, scan.counted_gtin, scan.issuer) == (None, None, None)
    assert (scan.lot_number, scan.expires_on) == ("3A517", EXPIRY)


def test_net_weight_is_exact_kilograms():
    assert told(f"01{GOWN}3103001250").net_weight_kg == Decimal("1.250")
    assert told(f"01{GOWN}3100000007").net_weight_kg == Decimal(7)
    assert told(f"01{GOWN}31030012503102000125").net_weight_kg == Decimal("1.25")
    assert refused(f"01{GOWN}31030012503102000126").reason is Reason.TWO_VALUES


def test_a_logistic_unit_says_what_it_holds_and_how_many():
    scan = told(f"0010614141234567890802{GOWN}172806303724{GS}10L1")
    assert (scan.sscc, scan.gtin, scan.content_gtin, scan.counted_gtin) == ("106141412345678908", None, GOWN, GOWN)
    assert (scan.count, scan.count_ai, scan.lot_number) == (24, "37", "L1")


def test_two_trade_items_in_one_code_are_refused():
    assert refused(f"01{GOWN}02{MASK}").reason is Reason.TWO_VALUES


@pytest.mark.parametrize("ai", ["00", "01", "02", "03", "410", "414", "417"])
def test_a_wrong_check_digit_refuses_the_whole_scan(ai):
    right = checked("1" * {"00": 17, "41": 12}.get(ai[:2], 13))
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert told(f"10L1{GS}{ai}{right}").lot_number == "L1"
    assert refused(f"10L1{GS}{ai}{wrong}").reason is Reason.CHECK_DIGIT


def test_a_number_of_zeros_is_no_number():
    for data in ("01" + "0" * 14, "0" * 14, "0" * 13, "0" * 12, "]E0" + "0" * 13, "]E4" + "0" * 8, "00" + "0" * 18):
        assert refused(data).reason in {Reason.CHECK_DIGIT, Reason.AMBIGUOUS}


# -- days --


@pytest.mark.parametrize(
    ("digits", "day"),
    [
        ("280200", date(2028, 2, 29)),
        ("270200", date(2027, 2, 28)),
        ("280400", date(2028, 4, 30)),
        ("281200", date(2028, 12, 31)),
        ("280229", date(2028, 2, 29)),
        ("000229", date(2000, 2, 29)),
        ("760101", date(2076, 1, 1)),
        ("770101", date(1977, 1, 1)),
    ],
)
def test_day_00_means_the_last_day_of_the_month_and_the_century_is_the_nearest(digits, day):
    assert told(f"01{GOWN}17{digits}").expires_on == day


@pytest.mark.parametrize(
    ("today", "digits", "year"),
    [
        (date(2026, 1, 1), "76", 2076),
        (date(2026, 1, 1), "77", 1977),
        (date(2049, 12, 31), "99", 2099),
        (date(2049, 12, 31), "00", 2000),
        (date(2050, 1, 1), "00", 2100),
        (date(2099, 1, 1), "49", 2149),
        (date(2099, 1, 1), "50", 2050),
        (date(1999, 1, 1), "49", 2049),
        (date(1999, 1, 1), "50", 1950),
    ],
)
def test_the_century_follows_the_day_passed_in_and_not_the_machine(today, digits, year):
    assert told(f"01{GOWN}17{digits}0115", today).expires_on == date(year, 1, 15)


def test_the_29th_of_february_is_a_day_of_the_year_it_is_read_as():
    assert refused(f"01{GOWN}17000229", date(2060, 1, 1)).reason is Reason.DATE  # 2100 is no leap year


@pytest.mark.parametrize("digits", ["281301", "280001", "280431", "280132", "270229", "000000", "999999"])
@pytest.mark.parametrize("ai", ["11", "12", "13", "15", "16", "17"])
def test_a_day_that_is_not_in_the_calendar_is_refused(ai, digits):
    assert refused(f"01{GOWN}{ai}{digits}").reason is Reason.DATE


def test_an_expiry_before_the_manufacture_is_refused():
    assert told(f"01{GOWN}1128063017280630").expires_on == EXPIRY
    assert refused(f"01{GOWN}1128070117280630").reason is Reason.DATES
    assert refused(f"01{GOWN}1528063011280701").reason is Reason.DATES


# -- a separator that was lost --


@pytest.mark.parametrize(
    "data",
    [
        f"01{GOWN}10A517280630",
        f"]d201{GOWN}10A517280630",
        f"01{GOWN}10A517280600",
        f"01{GOWN}10A515280630",
        f"01{GOWN}10A511250630",
        f"01{GOWN}1728063010A511250630",
        f"01{GOWN}21S00117280630",
        f"01{GOWN}10A51728063021S1",
        f"01{GOWN}10A5172806303024",
        f"01{GOWN}10A5112506301728",
        f"01{GOWN}10A511250630172806",
        f"01{GOWN}240REF17280630",
        f"1728063010A501{GOWN}",
        f"1728063010A502{GOWN}",
        f"01{GOWN}10A5172806302112345678901234567890",
    ],
)
def test_a_lot_that_swallowed_its_neighbour_is_refused_with_the_cure(data):
    refusal = refused(data)
    if refusal.reason is not Reason.SEPARATOR:
        assert data.endswith(("1728", "172806"))
    assert "scanner set-up" in refusal.detail or refusal.reason is not Reason.SEPARATOR


@pytest.mark.parametrize(
    "data",
    [
        f"01{GOWN}1728063010A517280630",  # the expiry was found: nothing is missing
        f"01{GOWN}10A517280630{GS}",  # the separator came
        f"01{GOWN}21S1{GS}10A517280630",  # this scanner sends separators
        f"(01){GOWN}(10)A517280630",  # whoever typed it said where the lot ends
        f"https://id.gs1.org/01/{GOWN}/10/A517280630",
    ],
)
def test_a_lot_that_only_looks_like_two_is_read(data):
    assert told(data).lot_number == "A517280630"


@pytest.mark.parametrize(
    "lot", ["17280630", "20210301", "A1728063", "A517283130", "A517990630", "A511270630", "2" * 20]
)
def test_a_lot_of_digits_is_no_day(lot):
    assert told(f"01{GOWN}10{lot}").lot_number == lot


def test_a_lot_that_may_hold_a_serial_is_read_and_doubted():
    assert told(f"01{GOWN}1728063010A521XYZ").doubt == "lot_may_hold_more"
    assert told(f"01{GOWN}1728063010A521XYZ{GS}").doubt is None
    assert told(f"01{GOWN}10A521XYZ{GS}21S1").doubt is None
    assert told(f"(01){GOWN}(10)A521XYZ").doubt is None
    assert told(f"01{GOWN}1728063010A-30B").doubt is None
    assert told(f"01{GOWN}1728063010A-3024").doubt == "lot_may_hold_more"  # (30) 24 behind a lot A-
    assert told(f"02{GOWN}3724101234").doubt == "lot_may_hold_more"


@pytest.mark.parametrize(
    "data",
    [f"01{GOWN}3024103A517", f"01{GOWN}10" + "A" * 21, f"01{GOWN}21" + "9" * 25, f"02{GOWN}3724ABC"],
)
def test_a_value_that_goes_on_beyond_its_end_is_refused(data):
    assert refused(data).reason is Reason.SEPARATOR


@pytest.mark.parametrize("data", [f"01{GOWN}10A5#7", f"01{GOWN}10A5 7", f"01{GOWN}10A`", f"01{GOWN}10A\\x1d17280630"])
def test_a_character_outside_set_82_is_refused(data):
    assert refused(data).reason is Reason.CHARACTER


def test_every_character_of_set_82_may_be_in_a_lot():
    assert len(SET_82) == 82
    for lot in (SET_82[at : at + 20] for at in range(0, 82, 20)):
        assert told(f"01{GOWN}17280630112506302107{GS}10{lot}").lot_number == lot


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (f"01{GOWN}10", Reason.ELEMENT),
        (f"01{GOWN}10{GS}17280630", Reason.ELEMENT),
        (f"01{GOWN}1728063017280629", Reason.TWO_VALUES),
        (f"01{GOWN}10A{GS}10B", Reason.TWO_VALUES),
        (f"01{GOWN}10A{GS}10a", Reason.TWO_VALUES),
        (f"01{GOWN[:9]}{GS}{GOWN[9:]}", Reason.ELEMENT),
        ("3100", Reason.ELEMENT),
        ("11", Reason.ELEMENT),
        ("CMD:OK", Reason.ELEMENT),
        ("]Y1abcdefghijkl", Reason.ELEMENT),
    ],
)
def test_what_contradicts_itself_or_is_torn_is_refused(data, reason):
    assert refused(data).reason is reason


def test_the_same_thing_said_twice_is_said_once():
    assert told(f"01{GOWN}1728063017280630").expires_on == EXPIRY


# -- numbers alone --


@pytest.mark.parametrize(
    ("data", "gtin"),
    [
        ("6901234567892", "06901234567892"),
        ("]E06901234567892", "06901234567892"),
        ("614141000036", "00614141000036"),
        ("96385074", "00000096385074"),
        ("]E496385074", "00000096385074"),
        (MASK, MASK),
        (f"]I1{MASK}", MASK),
        ("６９０１２３４５６７８９２", "06901234567892"),
        (" 6901234567892\r\n", "06901234567892"),
        ("10614141000415", "10614141000415"),  # never the lot 614141000415
        ("]E004252614", "00042100005264"),  # a UPC-E whose scanner says that it is one
    ],
)
def test_a_bare_number_is_a_gtin_of_fourteen_digits(data, gtin):
    scan = told(data)
    assert (scan.form, scan.gtin, scan.lot_number) == ("gtin", gtin, None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("6901234567893", Reason.CHECK_DIGIT),
        ("]E06901234567893", Reason.CHECK_DIGIT),
        ("10614141000416", Reason.CHECK_DIGIT),  # a mistyped case GTIN is not a lot
        ("]E0690123456789", Reason.CHECK_DIGIT),
        ("]E0690123456789211", Reason.FORM),
        (f"]E0{FULL}", Reason.FORM),
        ("]I1123", Reason.FORM),
        ("425261", Reason.UPC_E),
        ("0425261", Reason.UPC_E),
        ("04252614", Reason.UPC_E),
        ("]C16901234567892", Reason.ELEMENT),  # a GS1-128 begins with an identifier
        (f"{GS}6901234567892", Reason.ELEMENT),
        ("00123457", Reason.AMBIGUOUS),  # an EAN-8 and a UPC-E
        ("81234567890123456789", Reason.AHM),
    ],
)
def test_a_number_that_is_not_certainly_one_is_refused(data, reason):
    assert refused(data).reason is reason


def test_the_symbology_settles_what_eight_digits_are():
    assert told("]E400123457").gtin == "00000000123457"
    assert told("]C100106141412345678908").sscc == "106141412345678908"


def test_a_number_that_is_both_a_gtin_and_an_expiry_is_refused_until_the_scanner_says_which():
    both = next(f"17{day:06}" for day in range(280601, 280631) if checked(f"17{day:06}"[:7]) == f"17{day:06}")
    assert refused(both).reason is Reason.AMBIGUOUS
    assert told(f"]C1{both}").expires_on.year == 2028
    assert told(f"]E4{both}").gtin == both.zfill(14)
    with_lot = checked("1728063010123")
    assert refused(with_lot).reason is Reason.AMBIGUOUS
    assert told(f"]C1{with_lot}").lot_number == with_lot[10:]
    other = with_lot[:-1] + str((int(with_lot[-1]) + 1) % 10)
    assert told(other).lot_number == other[10:]


def test_an_sscc_without_its_identifier_is_one_where_it_can_be_nothing_else():
    scan = told("157035381410375177")
    assert (scan.form, scan.sscc, scan.gtin) == ("sscc", "157035381410375177", None)
    both = checked("17280630103456789")
    assert len(both) == 18
    assert refused(both).reason is Reason.AMBIGUOUS
    assert told(f"]d2{both}").expires_on == EXPIRY


# -- links --


@pytest.mark.parametrize(
    "data",
    [
        f"https://id.gs1.org/01/{GOWN}/10/3A%2F517/21/S%2d1?17=280630",
        f"HTTPS://ID.GS1.ORG/01/{GOWN}/10/3A%2f517/21/S-1?17=280630",
        f"http://any.host:8080/our/shop/01/{GOWN}/10/3A%2F517/21/S-1?lang=zh&17=280630&name=%E6%89%8B#top",
        f"]Q1https://id.gs1.org/01/{GOWN[1:]}/10/3A%2F517/21/S-1/?17=280630",
    ],
)
def test_a_digital_link_is_read(data):
    scan = told(data)
    assert (scan.form, scan.gtin, scan.lot_number, scan.serial, scan.expires_on) == (
        "digital_link",
        GOWN,
        "3A/517",
        "S-1",
        EXPIRY,
    )


def test_short_gtins_in_a_link_are_filled_up():
    for number in ("96385074", "614141000036", "6901234567892", MASK):
        assert told(f"https://id.gs1.org/01/{number}").gtin == number.zfill(14)


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", Reason.LINK),
        ("/", Reason.LINK),
        ("/ARFKk4XB0CDKWcnpq", Reason.LINK),
        ("/414/9521321000019", Reason.LINK),
        (f"/01/{GOWN}/21/S/10/L", Reason.LINK),
        (f"/01/{GOWN}/17/280630", Reason.LINK),
        (f"/01/{GOWN}/10/A/10/B", Reason.LINK),
        (f"/01/{GOWN}/10", Reason.LINK),
        (f"/01/{GOWN}/10/%E6%89%8B", Reason.LINK),
        (f"/01/{GOWN}/10/%1", Reason.LINK),
        (f"/01/{GOWN}/10/%+1", Reason.LINK),
        (f"/01/{GOWN}/10/A%00", Reason.ELEMENT),
        (f"/01/{GOWN}/10/A%1D17280630", Reason.ELEMENT),
        (f"/01/{GOWN}/10/" + "A" * 21, Reason.ELEMENT),
        (f"/01/{GOWN}?10=A+B", Reason.ELEMENT),
        (f"/01/{GOWN}?17=", Reason.ELEMENT),
        (f"/01/{GOWN}?1=7280630", Reason.ELEMENT),
        (f"/01/{GOWN}?17=20280630", Reason.DATE),
        (f"/01/{GOWN}?17=20110630", Reason.ELEMENT),
        (f"/01/{GOWN}?17=281331", Reason.DATE),
        (f"/01/{GOWN}/10/A?10=B", Reason.TWO_VALUES),
        (f"/01/{GOWN}?17=280630&17=280629", Reason.TWO_VALUES),
        ("/01/5", Reason.ELEMENT),
        (f"/01/{GOWN[:-1]}5", Reason.CHECK_DIGIT),
        (f"?x=/01/{GOWN}", Reason.LINK),
    ],
)
def test_a_link_that_is_not_certain_is_refused(rest, reason):
    assert refused("https://id.gs1.org" + rest).reason is reason


def test_a_link_with_another_scheme_or_no_host_is_refused():
    assert refused(f"ftp://id.gs1.org/01/{GOWN}").reason is Reason.ELEMENT
    assert refused(f"https:///01/{GOWN}").reason is Reason.LINK
    assert refused(f"http://[/01/{GOWN}/x").reason is Reason.LINK


# -- codes of the NMPA's other issuers, and of others --


def test_an_ma_code_names_a_device_by_its_identifier():
    scan = told("MA.156.M0.100761.21234561.Sx00008.M220117.L20220117.D20220118.E230118.V230117.C3")
    assert (scan.form, scan.issuer, scan.device_identifier) == ("nmpa_ma", "MA", "MA.156.M0.100761.21234561")
    assert (scan.gtin, scan.lot_number, scan.serial) == (None, "20220117", "x00008")
    assert (scan.manufactured_on, scan.expires_on) == (date(2022, 1, 17), date(2023, 1, 17))
    assert scan.others == (("D", "20220118"), ("C", "3"))


@pytest.mark.parametrize(
    ("fields", "expires_on"),
    [
        ("", None),
        (".V280630", EXPIRY),
        (".V20280630", EXPIRY),
        (".E280630", EXPIRY),
        (".E20280630.V280630", EXPIRY),
        (".E280701.V280630", EXPIRY),
        (".V20280600", EXPIRY),
        (".P250630.V280630", EXPIRY),
        (".M250630.P20250630.V280630", EXPIRY),
    ],
)
def test_days_of_an_ma_code_have_six_or_eight_digits(fields, expires_on):
    assert told(f"]Q1MA.156.M0.100204.13351764{fields}").expires_on == expires_on


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (".V281331", Reason.DATE),
        (".V20281331", Reason.DATE),
        (".V2806", Reason.DATE),
        (".V99990101", Reason.DATE),
        (".VABCDEF", Reason.DATE),
        (".L", Reason.ELEMENT),
        (".", Reason.ELEMENT),
        (".X1", Reason.ELEMENT),
        (".L" + "A" * 21, Reason.ELEMENT),
        (".LA B", Reason.ELEMENT),
        (".LA.LB", Reason.TWO_VALUES),
        (".E280730.V280630", Reason.TWO_VALUES),
        (".M250630.P250629", Reason.TWO_VALUES),
        (".M280701.V280630", Reason.DATES),
        ("-7", Reason.FORM),
    ],
)
def test_an_ma_code_that_is_not_certain_is_refused(fields, reason):
    assert refused(f"MA.156.M0.100204.13351764{fields}").reason is reason


def test_an_ma_code_of_another_trade_is_refused():
    assert refused("MA.156.1000.100204.13351764").reason is Reason.FORM


@pytest.mark.parametrize("data", ["+$$3280630ABCL", "+A123BJC5D6E71G", "+", "]C0+A99912345/$$52001510X3C"])
def test_a_hibc_code_is_recognised_and_refused(data):
    assert refused(data).reason is Reason.HIBC


# -- what no scanner sends --


@pytest.mark.parametrize("data", ["", " ", "\r\n", "\u3000", GS, GS * 9, "]d2", f"]C1{GS}", "|", "]C1^"])
def test_an_empty_scan_is_refused(data):
    assert refused(data).reason is Reason.EMPTY


def test_more_than_512_characters_are_refused_unread():
    assert refused("9" * (LENGTH_MAX + 1)).reason is Reason.TOO_LONG
    assert refused("9" * 10_000_000).reason is Reason.TOO_LONG
    assert refused("9" * LENGTH_MAX).reason is not Reason.TOO_LONG


@pytest.mark.parametrize(
    "character", ["\0", "\x1e", "\x7f", "\x85", "\ud800", "\u202e", "\u200b", "\ufeff", "批", "²", "٣"]
)
def test_a_character_no_code_has_is_refused_and_named(character):
    for data in (f"01{GOWN}10A{character}B", f"{character}01{GOWN}", f"https://id.gs1.org/01/{GOWN}/10/{character}"):
        refusal = refused(data)
        assert refusal.reason is Reason.CHARACTER
        assert f"U+{ord(character):04X}" in refusal.detail


@pytest.mark.parametrize("identifier", ["]D2", "]c1", "]q3", "]j1"])
def test_caps_lock_is_noticed_before_it_spoils_a_lot(identifier):
    assert refused(identifier + FULL).reason is Reason.CAPS_LOCK


@pytest.mark.parametrize(
    "data",
    [
        "(4302)" + "%41%42" * 80 + "#",
        "4302" + "%41%42" * 80 + "#",
        "https://x/01/" + GOWN + "?4302=" + "%2541%2542" * 40,
        "(425)" + "1" * 500,
        "9" * 512,
        "(10)" * 128,
        GS * 256 + "10" * 128,
        "10A" + "17280630" * 60,
        "https://x/" + "01/" * 160,
        "%" * 512,
        "MA." * 170,
        "MA.156.M0.100204.13351764" + ".LA" * 150 + ".",
    ],
)
def test_no_text_takes_long(data):
    """The table's pattern of (4302) takes exponential time when it is asked to match to the end."""
    refused("6901234567893")  # the library is read once
    began = time.perf_counter()
    refused(data)
    assert time.perf_counter() - began < 0.5


# -- how many --


def test_thirty_seven_counts_packs_of_the_trade_item():
    scan = told(f"02{GOWN}3724")
    assert base_units(scan, 1) == 24
    assert base_units(scan, 50) == 1200


def test_thirty_counts_pieces_and_only_a_pack_of_one_is_a_piece():
    scan = told(f"01{GOWN}3024")
    assert (scan.count, scan.count_ai) == (24, "30")
    assert base_units(scan, 1) == 24
    assert base_units(scan, 50) is None


def test_a_scan_without_a_count_says_no_quantity():
    assert base_units(told(FULL), 50) is None


def test_both_counts_are_kept():
    scan = told(f"02{GOWN}3724{GS}3012")
    assert (scan.count, scan.count_ai, scan.others) == (24, "37", (("30", "12"),))


def test_a_count_of_nothing_and_a_count_beyond_the_books_are_refused():
    assert refused(f"01{GOWN}300").reason is Reason.COUNT
    assert refused(f"]d201{GOWN}30").reason is Reason.COUNT
    assert refused(f"02{GOWN}3700000000").reason is Reason.COUNT
    scan = told(f"02{GOWN}3799999999")
    assert base_units(scan, 10_000_000) == 999_999_990_000_000
    with pytest.raises(UnreadableScan) as caught:
        base_units(scan, 10_000_001)
    assert caught.value.reason is Reason.COUNT


def test_a_refusal_is_an_invalid_value():
    assert isinstance(refused(""), Invalid)


def test_no_identifier_of_the_table_begins_another():
    """So the first that fits is the only one, whatever follows."""
    table = sorted(_GS1_APPLICATION_IDENTIFIERS)
    assert len(table) > 500
    assert not [(one, other) for one, other in pairwise(table) if other.startswith(one)]


# -- whatever the label says is what is read, or nothing is --

gtins = st.integers(1, 10**13 - 1).map(lambda n: checked(f"{n:013}"))
lots = st.text(SET_82, min_size=1, max_size=20) | st.text("0123456789", min_size=1, max_size=20)
expiries = st.dates(TODAY - timedelta(days=3650), TODAY + timedelta(days=7000))
FIXED = {"01", "11", "17"}


@st.composite
def labels(draw):
    """What a label says by identifier, and the order in which it says it."""
    expiry = draw(expiries)
    said = {"01": draw(gtins), "10": draw(lots), "17": f"{expiry:%y%m%d}"}
    if draw(st.booleans()):
        said["21"] = draw(lots)
    if draw(st.booleans()):
        said["11"] = f"{min(expiry - timedelta(days=draw(st.integers(0, 3000))), TODAY):%y%m%d}"
    return said, draw(st.permutations(list(said))), expiry


def joined(said, order, separator=GS):
    return "".join(
        ai + said[ai] + ("" if ai in FIXED or n == len(order) - 1 else separator) for n, ai in enumerate(order)
    )


def agrees(scan: Scan, said, expiry):
    assert (scan.gtin, scan.lot_number, scan.serial) == (said["01"], said["10"], said.get("21"))
    assert scan.expires_on == expiry
    assert (scan.manufactured_on is None) == ("11" not in said)
    assert scan.others == ()


def agrees_or_refused(data, said, expiry):
    try:
        scan = told(data)
    except UnreadableScan:
        return False
    agrees(scan, said, expiry)
    return True


@settings(max_examples=150, deadline=None)
@given(labels(), st.sampled_from(["", "]d2", "]C1", "]Q3", "]d1"]), st.sampled_from(["", "\r\n", GS + "\t"]))
def test_a_label_is_read_as_it_was_printed(label, prefix, suffix):
    said, order, expiry = label
    data = prefix + joined(said, order) + suffix
    if not agrees_or_refused(data, said, expiry):
        assert "11" not in said  # refused for the one reason there is: the last value could hold a manufacture
        assert refused(data).reason is Reason.SEPARATOR


@settings(max_examples=80, deadline=None)
@given(labels())
def test_a_label_typed_in_brackets_or_linked_is_read_as_it_was_printed(label):
    said, order, expiry = label
    if not any(f"({n}" in said[ai] for ai in ("10", "21") if ai in said for n in range(10)):
        agrees(told("".join(f"({ai}){said[ai]}" for ai in order)), said, expiry)

    def quoted(text):
        return "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in text)

    path = "".join(f"/{ai}/{quoted(said[ai])}" for ai in ("01", "10", "21") if ai in said)
    query = "&".join(f"{ai}={said[ai]}" for ai in ("11", "17") if ai in said)
    agrees(told(f"https://id.gs1.org{path}?{query}"), said, expiry)


@settings(max_examples=150, deadline=None)
@given(gtins, lots, expiries)
@example(GOWN, "A5", EXPIRY)
def test_a_lot_whose_separator_was_lost_before_the_expiry_is_never_read(gtin, lot, expiry):
    with pytest.raises(UnreadableScan):
        told(f"01{gtin}10{lot}17{expiry:%y%m%d}")


@settings(max_examples=200, deadline=None)
@given(labels())
def test_a_label_without_any_of_its_separators_is_refused_right_or_doubted(label):
    said, order, expiry = label
    try:
        scan = told(joined(said, order, separator=""))
    except UnreadableScan:
        return
    if scan.doubt is None:
        agrees(scan, said, expiry)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text("0123456789()/.?%&=+|~^]dCQME " + GS, max_size=60))
@example(f"(17)2806300{GS}")
@example("(01)6901234567892\x1d")
def test_any_text_is_read_or_refused(data):
    try:
        assert isinstance(told(data), Scan)
    except UnreadableScan:
        refused(data)


SEEDS = [
    FULL,
    GROUPED,
    f"]d2{GROUPED}",
    f"(01){GOWN}(17)280630(10)3A517",
    f"https://id.gs1.org/01/{GOWN}/10/3A%2F517?17=280630",
    "MA.156.M0.100761.21234561.Sx00008.M220117.L20220117.E230118.V230117.C3",
    "00106141412345678908",
    "]E004252614",
]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_a_torn_scan_is_read_or_refused(seed, data):
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 4)))
    torn = seed[:start] + data.draw(st.text(max_size=3) | st.text("0123456789()./" + GS, max_size=3)) + seed[end:]
    try:
        scan = told(torn)
    except UnreadableScan:
        return
    for number in (scan.gtin, scan.content_gtin):
        assert number is None or checked(number[:-1]) == number


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**13 - 1), st.integers(0, 9))
def test_no_bare_number_with_a_wrong_check_digit_names_a_trade_item(payload, digit):
    number = f"{payload:013}{digit}"
    try:
        scan = told(number)
    except UnreadableScan:
        return
    assert scan.gtin is None or checked(number[:-1]) == number == scan.gtin


# -- every string of the collected file --

COLLECTED = Path(__file__).parents[2] / "shared" / "data" / "product_codes" / "barcode_strings.csv"
REFUSED_THOUGH_CALLED_RIGHT = {
    "its check digit is wrong: the test asks for a message without a trade item": {"B0103", "B0106"},
    "digits of a GTIN's length with a wrong check digit, which name no item": {
        *("B0029", "B0039", "B0040", "B0041", "B0047", "B0050", "B0088", "B0089", "B0090"),
    },
    "six to eight digits that may be a UPC-E": {"B0026", "B0075", "B0079", "B0093", "B0100", "B0125", "B0162"},
    "the test wants an error, its name does not say so": {"B0147", "B0148", "B0164", "B0165"},
    "a symbology identifier without a GS1 code behind it": {"B0193", "B0194", "B0196"},
}
ANSWERED_THOUGH_CALLED_WRONG = {
    "B0017": "the error is that it has no brackets, which an element string needs not",
    "B0175": "the error is that it is no link; it is a GTIN-12",
}


@pytest.fixture(scope="module")
def collected():
    if not COLLECTED.exists():
        pytest.skip("the collected strings are not on this machine")
    with COLLECTED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["data"] = row["raw"].encode("ascii").decode("unicode_escape")
        try:
            row["scan"], row["reason"] = told(row["data"]), None
        except UnreadableScan as refusal:
            row["scan"], row["reason"] = None, refusal.reason
    return rows


def test_the_collected_strings_are_read_or_refused_as_they_were(collected):
    counted = Counter("read" if row["scan"] else row["reason"].value for row in collected)
    assert counted == {
        "read": 63,
        "scan_hibc": 26,
        "scan_check_digit": 12,
        "scan_upc_e": 5,
        "scan_ambiguous": 2,
        "scan_element": 9,
        "scan_character": 2,
        "scan_link": 6,
        "scan_empty": 1,
    }


def test_no_collected_string_gives_another_item_lot_or_day_than_biip(collected):
    for row in collected:
        scan = row["scan"]
        if scan is None:
            continue
        if row["biip_gtin"]:
            assert scan.gtin == row["biip_gtin"].zfill(14), row
        if row["biip_lot"]:
            assert scan.lot_number == row["biip_lot"], row
        if row["biip_expiry"]:
            yymmdd = row["biip_expiry"]
            assert f"{scan.expires_on:%y%m}" == yymmdd[:4], row
            assert yymmdd[4:] in {"00", f"{scan.expires_on:%d}"}, row


def test_where_the_source_expects_otherwise_there_is_a_reason(collected):
    refused_right = {row["case_id"] for row in collected if row["source_expects"] == "ok" and not row["scan"]}
    answered_wrong = {row["case_id"] for row in collected if row["source_expects"] == "error" and row["scan"]}
    assert refused_right == set().union(*REFUSED_THOUGH_CALLED_RIGHT.values())
    assert answered_wrong == ANSWERED_THOUGH_CALLED_WRONG.keys()
