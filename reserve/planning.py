"""What plans share: which items are planned for in a scope, how many in one answer, and by which policies."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from sqlmodel import Session

from reserve import catalogue, coverage, policy
from reserve.catalogue import ItemRow, Place
from reserve.coverage import Board, When
from reserve.model import Category, PolicyKind
from reserve.policy import PolicyRow

Json = dict[str, Any]

LARGEST = 10**12
"""Units, and units a day, beyond which nothing is planned: somebody mistyped."""


class Question(NamedTuple):
    """What is planned for: items of a scope, those after a code, so many at a time."""

    scope: Place
    item: ItemRow | None = None
    category: Category | None = None
    after: str | None = None
    limit: int = 100


class Drawing(NamedTuple):
    """What a plan is drawn from: the places and policies of the day, and the moment."""

    world: Board
    moment: When


def draw(session: Session, moment: When) -> Drawing:
    return Drawing(coverage.board(session, moment), moment)


def items(session: Session, drawing: Drawing, question: Question, *, ruled: bool) -> list[ItemRow]:
    """The items to plan for, by code, one more than asked for; `ruled`: those that a policy in days judges there."""
    named = catalogue.items(session) if question.item is None else [question.item]
    wanted = [
        item
        for item in named
        if (question.category is None or item.category == question.category)
        and (question.after is None or item.code > question.after)
        and (not ruled or in_days(policies_of(drawing, item, question.scope)))
    ]
    return wanted[: question.limit + 1]


def policies_of(drawing: Drawing, item: ItemRow, scope: Place) -> list[PolicyRow]:
    return policy.applying(drawing.world.policies, item, scope, dict(drawing.world.places))


def in_days(policies: Sequence[PolicyRow]) -> list[PolicyRow]:
    """Those that ask for days, at the peak or at a rate of their own."""
    return [rule for rule in policies if rule.kind != PolicyKind.QUANTITY]


def raised(days: Fraction) -> float:
    """Two decimals, never down: what is missing is not made to look smaller."""
    return -(-days * 100 // 1) / 100
