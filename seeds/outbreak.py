"""The outbreak of the demonstration year: one curve a region, its height on another week in each county."""

import numpy as np
from numpy.typing import NDArray

from forecasting.epidemic import rate_of, seir
from seeds.chance import Chance
from seeds.places import CITY, PEOPLE

HEIGHT_BEFORE = 195
"""Days before `as_of` around which the counties' waves are highest."""
SPREAD = 24
"""Days by which a county may be earlier or later."""
_STAY = 12
_MEASURES_FROM, _MEASURES = 55, 0.6


def waves(seed: int, days: int) -> dict[str, NDArray[np.float64]]:
    """Height of the outbreak in each region, on each of the `days` before `as_of`: 1 is the region's own highest."""
    heights = {
        county: _place(_census(people, 300), days, Chance(seed, "outbreak", county))
        for county, people in PEOPLE.items()
        if county != CITY
    }
    city = sum((PEOPLE[county] * wave for county, wave in heights.items()), start=np.zeros(days))
    return {CITY: _heights(city), **heights}


def _place(census: NDArray[np.float64], days: int, chance: Chance) -> NDArray[np.float64]:
    highest = days - HEIGHT_BEFORE + chance.between(-SPREAD, SPREAD)
    then = np.arange(days) - highest + int(census.argmax())
    inside = (then >= 0) & (then < len(census))
    return np.where(inside, census[np.clip(then, 0, len(census) - 1)], 0.0)


def _census(people: int, days: int) -> NDArray[np.float64]:
    """Count the patients in bed a day, relative to the highest: cases of the last days, each staying as long."""
    cases = np.concatenate([np.zeros(_STAY - 1), _cases(people, days)])
    return _heights(np.convolve(cases, np.ones(_STAY), mode="valid"))


def _heights(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide by the highest, to four places, so that the last bit of an exponential never decides a count."""
    heights: NDArray[np.float64] = np.round(values / values.max(), 4)
    return heights


def _cases(people: int, days: int) -> NDArray[np.float64]:
    """New cases a day when the outbreak starts with twenty people ill; measures later slow the contacts."""
    measures = np.where(np.arange(days) < _MEASURES_FROM, 1.0, _MEASURES)
    epidemic = seir(people, 0, 20, beta=0.5, sigma=rate_of(3), gamma=rate_of(5), days=days, measures=measures)
    return epidemic.new_infectious
