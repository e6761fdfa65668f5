"""The verdict on one item in one scope, pure: a `Situation` in, an `Assessment` with its explanation out."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from reserve import evidence, explain, figures
from reserve.catalogue import ItemRow, Place
from reserve.evidence import Json
from reserve.explain import Sentence
from reserve.figures import DEFAULT_LOOK_BACK_DAYS, DEFAULT_METHOD, Situation
from reserve.levels import Facts, Verdict
from reserve.model import Level

__all__ = ["DEFAULT_LOOK_BACK_DAYS", "DEFAULT_METHOD", "Assessment", "Json", "Situation", "assess"]


class Assessment(NamedTuple):
    scope: Place
    item: ItemRow
    as_of: date
    verdict: Verdict
    judged: Sequence[Facts]
    falls_below_on: date | None
    declared: bool
    reason: Sentence
    row: Json
    explanation: Json

    @property
    def level(self) -> Level:
        return self.verdict.level


def assess(case: Situation) -> Assessment:
    """One row with its explanation."""
    found = figures.find(case)
    told = evidence.told(found)
    return Assessment(
        scope=case.scope,
        item=case.item,
        as_of=case.as_of,
        verdict=found.verdict,
        judged=[facts for j in found.judged for facts in j.facts],
        falls_below_on=found.falls_below_on,
        declared=case.declared,
        reason=explain.reason(told),
        row=evidence.row(found, told),
        explanation=evidence.explanation(found, told),
    )
