"""Two outbreaks of the demonstration city, to be set side by side: with measures after 40 days, and without."""

from typing import Any

from seeds.places import CITY, PEOPLE


def _outbreak(code: str, name: str, measures: list[dict[str, float]]) -> dict[str, Any]:
    """The same invented respiratory virus; `measures` multiply contacts from a day on."""
    return {
        "code": code,
        "name": name,
        "scope": CITY,
        "days": 150,
        "cases": {
            "seir": {
                "people": PEOPLE[CITY],
                "infectious": 50,
                "r0": 2.0,
                "incubation_days": 3,
                "infectious_days": 5,
                "measures": measures,
            }
        },
        "beds": {
            "hospital_share": 0.02,
            "delay_days": 5,
            "critical_share": 0.08,
            "severe_share": 0.5,
            "stay_days": {"moderate": 7, "severe": 10, "critical": 14},
            "available": {"critical": 260},
        },
        "norms": "who-esft",
    }


SCENARIOS = (
    _outbreak("FLU-MEASURES", "呼吸道疫情,40 天后减少接触(演示)", [{"from_day": 40, "factor": 0.55}]),
    _outbreak("FLU-FREE", "呼吸道疫情,不采取措施(演示)", []),
)
"""As `POST /v1/scenarios` takes them."""
