"""How the demonstration city uses each item on an ordinary day and in an outbreak, and which story its stock tells.

These are assumptions of a demonstration, in the proportions of the WHO Essential Supplies Forecasting Tool (a health
worker's day takes one respirator, one gown, four masks and 24 pairs of gloves); they are nobody's statistics.
"""

from dataclasses import dataclass
from typing import Literal

Story = Literal[
    "comfortable",  # well above what is required, for months
    "just_above",  # the rule holds by less than a day
    "just_below",  # the rule is broken by less than a day
    "below_by_expiry",  # enough when divided, too little when lots expire on the way
    "red",  # less than half of what is required
    "falls_within_two_weeks",  # above today, below within 14 days at the peak
    "falls_within_three_weeks",  # above today, below within 21 days at the peak
    "no_reports",  # nobody reports its use
    "no_use",  # reported, and never used
]


@dataclass(frozen=True, slots=True)
class Norm:
    """Use of an item in the whole city, units/day, and the days its stock is made to last at the peak.

    At the height of an outbreak use is `surge` times the ordinary. Days of a reporter vary like a gamma distribution of
    this `shape`: the smaller, the wilder. `days` is None where no peak is known.
    """

    item: str
    per_day: float
    surge: float
    shape: float
    story: Story
    days: float | None


NORMS: tuple[Norm, ...] = (
    Norm("N95", 1200, 3.4, 7, "just_above", 30.6),
    Norm("KN95", 700, 2.8, 6, "comfortable", 72),
    Norm("SURGICAL-MASK", 21000, 2.6, 14, "falls_within_two_weeks", 36.5),
    Norm("MEDICAL-MASK", 14000, 2.4, 12, "comfortable", 88),
    Norm("COVERALL", 160, 3.8, 4, "just_below", 29.4),
    Norm("REUSABLE-COVERALL", 0, 1.0, 4, "no_use", None),
    Norm("GOWN", 900, 3.0, 7, "falls_within_three_weeks", 47.5),
    Norm("SURGICAL-GOWN", 420, 1.2, 9, "comfortable", 83),
    Norm("EXAM-GLOVES", 15000, 2.6, 12, "below_by_expiry", 24.3),
    Norm("SURGICAL-GLOVES", 3000, 1.2, 10, "comfortable", 96),
    Norm("GOGGLES", 60, 3.0, 4, "comfortable", 104),
    Norm("FACE-SHIELD", 350, 3.2, 5, "red", 11.6),
    Norm("SHOE-COVERS", 1100, 2.4, 7, "comfortable", 66),
    Norm("BOOT-COVERS", 140, 3.2, 5, "comfortable", 59),
    Norm("CAP", 5200, 2.0, 10, "comfortable", 78),
    Norm("APRON", 600, 1.8, 6, "comfortable", 91),
    Norm("PAPR", 0.5, 2.0, 4, "comfortable", 70),
    Norm("PAPR-FILTER", 4, 2.0, 4, "no_reports", None),
    Norm("ALCOHOL-75", 900, 2.0, 9, "comfortable", 82),
    Norm("HAND-RUB", 420, 2.0, 8, "comfortable", 75),
    Norm("CHLORINE-TABLETS", 150, 1.9, 6, "comfortable", 64),
    Norm("BLEACH", 260, 1.8, 7, "comfortable", 110),
    Norm("PEROXIDE", 40, 2.2, 4, "falls_within_two_weeks", 42.5),
    Norm("IODOPHOR", 180, 1.1, 9, "comfortable", 90),
    Norm("WIPES", 380, 1.8, 7, "falls_within_three_weeks", 48.5),
    Norm("WASTE-BAG", 2600, 1.8, 10, "comfortable", 95),
    Norm("AIR-STERILISER", 0.6, 1.6, 4, "comfortable", 80),
    Norm("PCR-KIT", 1500, 4.0, 5, "comfortable", 62),
    Norm("EXTRACTION-KIT", 1400, 4.0, 5, "comfortable", 58),
    Norm("ANTIGEN-TEST", 1100, 3.6, 4, "falls_within_two_weeks", 26.5),
    Norm("FLU-ANTIGEN", 500, 2.4, 4, "comfortable", 60),
    Norm("SAMPLING-TUBE", 1500, 3.8, 5, "comfortable", 70),
    Norm("SWAB", 2600, 3.8, 6, "comfortable", 85),
    Norm("SAMPLE-BOX", 0.8, 2.0, 4, "comfortable", 60),
    Norm("SYRINGE", 9000, 1.15, 14, "comfortable", 76),
    Norm("INFUSION-SET", 4200, 1.15, 14, "comfortable", 68),
    Norm("IV-CATHETER", 2000, 1.15, 12, "comfortable", 74),
    Norm("NASAL-CANNULA", 450, 2.2, 7, "comfortable", 63),
    Norm("OSELTAMIVIR", 220, 2.8, 3, "falls_within_three_weeks", 37.5),
    Norm("PARACETAMOL", 600, 2.2, 6, "comfortable", 81),
    Norm("SALINE", 6000, 1.1, 14, "comfortable", 66),
    Norm("VENTILATOR", 0.3, 1.6, 4, "comfortable", 60),
    Norm("OXYGEN-CONCENTRATOR", 0.5, 1.8, 4, "comfortable", 72),
    Norm("IR-THERMOMETER", 3, 1.8, 4, "comfortable", 77),
    Norm("OXIMETER", 2.2, 2.0, 4, "comfortable", 69),
    Norm("PATIENT-MONITOR", 0.4, 1.5, 4, "comfortable", 64),
    Norm("ECG-ELECTRODE", 5200, 1.3, 12, "comfortable", 85),
    Norm("INFUSION-PUMP", 0.5, 1.4, 4, "comfortable", 75),
    Norm("BED-SHEET", 1300, 1.5, 9, "comfortable", 57),
    Norm("ISOLATION-STRETCHER", 0.15, 1.6, 4, "comfortable", 60),
)
"""In the order of the catalogue, one for each item."""
