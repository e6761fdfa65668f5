"""Published norms of use (用量定额), mapped to the items of our catalogue: what staff, patients and beds use a day.

Two sources, which differ by 1.8 (respirators) to 6 times (gloves): neither is right, so a scenario names the one it
used. Amounts are in the unit of the source; where that is not how our catalogue counts, the conversion is written.
"""

from reserve.model import NormBasis
from reserve.norms import Published

_ESFT = "WHO Essential Supplies Forecasting Tool (COVID-19; parameters as published in mrc-ide/esft)"
_MAT = "New Mexico Medical Advisory Team, PPE burn rates under conservation, 2020-04-03"

_HOURS = (
    ("health_worker", "moderate", 11_250),
    ("health_worker", "severe", 18_224),
    ("health_worker", "critical", 32_689),
    ("cleaner", "moderate", 500),
    ("cleaner", "severe", 500),
    ("cleaner", "critical", 750),
)
# fmt: off
_SHIFT = (
    # item, unit, thousandths a health worker's shift, a cleaner's, what the source says of it, reusable
    ("N95", "只", 1000, 0, "Respirator: 1 per inpatient health worker and day", False),
    ("SURGICAL-MASK", "只", 4000, 4000, "Medical mask: 4 per inpatient health worker or cleaner and day", False),
    ("GOWN", "件", 1000, 1000, "Gown, protective: 1 per inpatient health worker or cleaner and day", False),
    ("EXAM-GLOVES", "双", 24_000, 0, "Gloves, examination: 24 pairs per inpatient health worker and day", False),
    ("SURGICAL-GLOVES", "双", 1000, 0, "Gloves, surgical: 1 pair per inpatient health worker and day", False),
    ("FACE-SHIELD", "只", 1000, 1000, "Face shield: 1 per inpatient health worker or cleaner and day", False),
    ("APRON", "件", 1000, 0, "Apron, disposable: 1 per inpatient health worker and day", False),
    ("GOGGLES", "副", 100, 100, "Goggles: reusable, 0.1 per inpatient health worker or cleaner and day", True),
    ("HAND-RUB", "瓶", 67, 67, "Hand rub: 0.0333 L per inpatient health worker or cleaner and day; bottles of 500 mL",
     False),
    ("WASTE-BAG", "只", 500, 500, "Bio-hazardous bag: 0.5 per inpatient health worker or cleaner and day", False),
)
_PATIENT = (
    # item, unit, thousandths for a severe patient and a critical one, what the source calls it, reusable
    ("SURGICAL-MASK", "只", 2000, 2000, "Mask for patient: 2 per severe or critical patient and day", False),
    ("NASAL-CANNULA", "支", 667, 0, "Nasal oxygen cannula: 0.667 per severe patient and day", False),
    ("VENTILATOR", "台", 0, 670, "Patient ventilator, intensive care: 0.67 per critical bed", True),
    ("PATIENT-MONITOR", "台", 250, 1000, "Patient monitor: 0.25 per severe bed, 1 per critical bed", True),
    ("INFUSION-PUMP", "台", 1000, 1000, "Infusion pump: 1 per severe or critical bed", True),
    ("OXIMETER", "台", 1000, 1000, "Pulse oximeter: 1 per severe or critical bed", True),
    ("OXYGEN-CONCENTRATOR", "台", 1000, 1000, "Oxygen source: 1 per severe or critical bed", True),
    ("IR-THERMOMETER", "支", 100, 100, "Infrared thermometer: 0.1 per severe or critical bed", True),
)
_CONSERVATION = (
    ("N95", "只", 1270, "N95: 1.27 per patient-day"),
    ("GOWN", "件", 1750, "gowns: 1.75 per patient-day"),
    ("FACE-SHIELD", "只", 900, "eye and face protection: 0.9 per patient-day"),
    ("EXAM-GLOVES", "双", 8600, "gloves: 8.6 per patient-day, read as pairs"),
)
# fmt: on


def _hours() -> tuple[Published, ...]:
    return tuple(
        Published(
            NormBasis.STAFF_HOURS,
            bed_class,
            role,
            None,
            "h",
            thousandths,
            f"{_ESFT}: staff time, {thousandths / 1000:g} h of {role.replace('_', ' ')}s per {bed_class} patient"
            " and 24 h (sum over the occupations of the group)",
            reusable=False,
        )
        for role, bed_class, thousandths in _HOURS
    )


def _of_staff() -> tuple[Published, ...]:
    return tuple(
        Published(NormBasis.STAFF_SHIFT, "", role, item, unit, thousandths, f"{_ESFT}: {said}", reusable=reusable)
        for item, unit, health_worker, cleaner, said, reusable in _SHIFT
        for role, thousandths in (("health_worker", health_worker), ("cleaner", cleaner))
        if thousandths
    )


def _of_patients() -> tuple[Published, ...]:
    return tuple(
        Published(NormBasis.PATIENT_DAY, bed_class, "", item, unit, thousandths, f"{_ESFT}: {said}", reusable=reusable)
        for item, unit, severe, critical, said, reusable in _PATIENT
        for bed_class, thousandths in (("severe", severe), ("critical", critical))
        if thousandths
    )


def _under_conservation() -> tuple[Published, ...]:
    return tuple(
        Published(NormBasis.PATIENT_DAY, "", "", item, unit, thousandths, f"{_MAT}: {said}", reusable=False)
        for item, unit, thousandths, said in _CONSERVATION
    )


PRESETS: dict[str, tuple[Published, ...]] = {
    "who-esft": (*_hours(), *_of_staff(), *_of_patients()),
    "nm-mat-2020": _under_conservation(),
}
"""By name: `who-esft` multiplies staff on shift; `nm-mat-2020` is what was used a patient-day when short of it."""
