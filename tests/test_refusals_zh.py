"""Refusals in Chinese: no English sentence of ours without its Chinese one, and what both share comes through whole.

The sentences are read from the source, not from a list that somebody must remember to keep: every expression that can
become the words of a refusal is followed to the strings it is made of.
"""

import ast
import itertools
import json
import logging
import re
import string
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from served import Served, issue, receipt
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api import problems, refusals_zh
from api.refusals_zh import COMPOSED, OTHERS, SENTENCES, TITLES, WORDS, Template, translate
from reserve.errors import Fault, Invalid, Refusal, SheetFault, SheetRefused

ROOT = Path(__file__).parents[1]
HOLE = "\ufffc"
"""Stands in a collected sentence where a value will be."""

# -- what the source can say ------------------------------------------------------------------------------------------

SINKS = {"Fault": 2, "SheetFault": 4, "Bad": 1, "AddressRefused": 0, "PydanticCustomError": 1, "_matching": 1}
"""Besides the refusals themselves: whose argument, counted from 0, is a sentence for a reader."""

FAULT_LIST = {"at": 3, "add": 3}
"""`faults.at(row, column, code, detail)` and `faults.add(...)`."""

METHODS = "forecasting/peak.py"
"""Its ValueErrors are read to the caller as they are."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Said(NamedTuple):
    place: str
    sentence: str


@dataclass
class Scope:
    """A function as it is being read: its module, and what its parameters are bound to, where that is known."""

    module: str
    function: Function | None
    bound: dict[str, tuple[ast.expr, "Scope"]] = field(default_factory=dict)


class Source:
    """The modules of the product as trees, with what is needed to follow a name to its strings."""

    def __init__(self) -> None:
        self.trees = {
            str(path.relative_to(ROOT)): ast.parse(path.read_text())
            for room in ("reserve", "forecasting", "seeds", "api")
            for path in sorted((ROOT / room).rglob("*.py"))
            if "migrations" not in path.parts and path.name != "refusals_zh.py"
        }
        self.inside: dict[ast.AST, Function] = {}
        self.functions: dict[str, list[tuple[str, Function]]] = defaultdict(list)
        self.calls: dict[str, list[tuple[str, ast.Call]]] = defaultdict(list)
        self.refusals = {"Refusal"}
        self.inits: set[ast.AST] = set()
        self.joined: set[str] = set()
        self.unread: list[Said] = []
        self.titles: dict[str, str] = {}
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, Function):
                    self.functions[node.name].append((module, node))
                    self.inside |= {inner: node for inner in ast.walk(node) if inner is not node}  # the innermost last
                if isinstance(node, ast.Call):
                    self.calls[last_name(node.func)].append((module, node))
        for _ in range(4):  # a class may stand before its parent in the order of files
            for module, tree in self.trees.items():
                for node in ast.walk(tree):
                    if isinstance(node, ast.ClassDef) and {last_name(base) for base in node.bases} & self.refusals:
                        self.refusals.add(node.name)
                        self.inits |= {inner for inner in ast.walk(node) if is_init(inner)}
                        self._title(module, node)

    def _title(self, module: str, node: ast.ClassDef) -> None:
        for line in node.body:
            if isinstance(line, ast.Assign) and last_name(line.targets[0]) == "title":
                self.titles[f"{module}:{line.lineno}"] = ast.literal_eval(line.value)

    def sentences(self) -> Iterator[Said]:
        """Every sentence with a hole for each value, and where it stands."""
        seen: set[str] = set()
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                for expression in self._sinks(node, module):
                    scope = Scope(module, self.inside.get(node))
                    told = [text for text in self.resolve(expression, scope) if text.strip(HOLE + " :;,.")]
                    if not told:
                        self.unread.append(Said(f"{module}:{expression.lineno}", ast.unparse(expression)))
                    for found in told:
                        if found not in seen:
                            seen.add(found)
                            yield Said(f"{module}:{expression.lineno}", found)
        for found in sorted(self.joined - seen):
            yield Said("joined", found)

    def _sinks(self, node: ast.AST, module: str) -> Iterator[ast.expr]:
        if isinstance(node, ast.Assign) and last_name(node.targets[0]) == "detail":
            yield node.value
        if not isinstance(node, ast.Call):
            return
        name = last_name(node.func)
        place = (
            0
            if name in self.refusals or node in self.inits or (module == METHODS and name == "ValueError")
            else SINKS.get(name)
        )
        if isinstance(node.func, ast.Attribute) and last_name(node.func.value) == "faults":
            place = FAULT_LIST.get(name, place)
        if place is not None and len(node.args) > place:
            yield node.args[place]
        if place is not None:
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "detail")

    # -- an expression as the texts it can be ---------------------------------------------------------------------

    def resolve(self, node: ast.expr, scope: Scope, depth: int = 0) -> list[str]:  # noqa: C901, PLR0911 - a case a kind
        if depth > 8:
            return [HOLE]
        match node:
            case ast.Constant(value=str(text)):
                return [holes_of_pydantic(text)]
            case ast.JoinedStr(values=values):
                return self._product([self._part(value, scope, depth) for value in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._product([self.resolve(left, scope, depth + 1), self.resolve(right, scope, depth + 1)])
            case ast.IfExp(body=body, orelse=other):
                return [*self.resolve(body, scope, depth + 1), *self.resolve(other, scope, depth + 1)]
            case ast.BoolOp(values=values):
                return [text for value in values for text in self.resolve(value, scope, depth + 1)]
            case ast.Name(id=name):
                return self._named(name, scope, depth)
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(glue)), attr="join"), args=[each]):
                if glue.strip() == ";":
                    self.joined |= set(self.resolve(each, scope, depth + 1)) - {HOLE}
                return [HOLE]
            case ast.ListComp(elt=each) | ast.GeneratorExp(elt=each) | ast.Subscript(value=each, slice=ast.Slice()):
                return self.resolve(each, scope, depth + 1)
            case ast.Call(func=ast.Attribute(value=inner, attr="replace")):
                return self.resolve(inner, scope, depth + 1)
            case ast.Call():
                return self._called(node, scope, depth)
        return [HOLE]

    def _part(self, node: ast.expr, scope: Scope, depth: int) -> list[str]:
        """A part of an f-string: a value is a hole, unless it is words of ours."""
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        assert isinstance(node, ast.FormattedValue)
        found = list(dict.fromkeys(self.resolve(node.value, scope, depth + 1)))
        words = [text for text in found if " " in text.replace(HOLE, "") or not text]
        return found if words else [HOLE]

    def _named(self, name: str, scope: Scope, depth: int) -> list[str]:
        if name in scope.bound:
            return self.resolve(*scope.bound[name], depth + 1)
        function, found = scope.function, []
        while function is not None and not found:
            found = [(value, Scope(scope.module, function, scope.bound)) for value in assigned(function, name)]
            if not found and name in parameters(function, "str") and function.name != "__init__":
                found = [*self._arguments(function, name)]
                if not found:
                    return [HOLE]
            function = self.inside.get(function)
        if not found:
            found = [(value, scope) for value in assigned(self.trees[scope.module], name, deep=False)]
        return [text for value, where in found for text in self.resolve(value, where, depth + 1)] or [HOLE]

    def _arguments(self, function: Function, name: str) -> Iterator[tuple[ast.expr, Scope]]:
        """What callers give for a parameter."""
        home = next(module for module, known in self.functions[function.name] if known is function)
        alone = len(self.functions[function.name]) == 1 and not function.name.startswith("_")
        for module, call in self.calls[function.name]:
            given = given_for(function, call, name)
            of_module = isinstance(call.func, ast.Attribute) and last_name(call.func.value) == Path(home).stem
            if given is not None and (alone or module == home or of_module):
                yield given, Scope(module, self.inside.get(call))

    def _called(self, call: ast.Call, scope: Scope, depth: int) -> list[str]:
        """What a function of ours returns, where it returns text."""
        found = []
        for module, function in self.functions.get(last_name(call.func), ()):
            if (
                function.returns is None
                or "str" not in ast.unparse(function.returns).split(" | ")
                or len(self.functions[function.name]) > 1
            ):
                continue
            bound = {name: given_for(function, call, name) for name in parameters(function)}
            inner = Scope(
                module, function, {name: (given, scope) for name, given in bound.items() if given is not None}
            )
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None and self.inside.get(node) is function:
                    found += self.resolve(node.value, inner, depth + 1)
        return found or [HOLE]

    @staticmethod
    def _product(parts: list[list[str]]) -> list[str]:
        return list(dict.fromkeys("".join(chosen) for chosen in itertools.islice(itertools.product(*parts), 64)))


def is_init(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "__init__"


def last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def holes_of_pydantic(text: str) -> str:
    return re.sub(r"\{\w+\}", HOLE, text)


def parameters(function: Function, kind: str = "") -> list[str]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [a.arg for a in every if not kind or (a.annotation is not None and kind in ast.unparse(a.annotation))]


def given_for(function: Function, call: ast.Call, name: str) -> ast.expr | None:
    names = [n for n in parameters(function) if n not in {"self", "cls"}]
    place = names.index(name) if name in names else -1
    if 0 <= place < len(call.args):
        return call.args[place]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def assigned(node: ast.AST, name: str, *, deep: bool = True) -> list[ast.expr]:
    """What is assigned to a name, also where a tuple is taken apart."""
    found = []
    for inner in ast.walk(node) if deep else ast.iter_child_nodes(node):
        if (
            isinstance(inner, ast.AugAssign | ast.AnnAssign | ast.NamedExpr)
            and last_name(inner.target) == name
            and inner.value
        ):
            found.append(inner.value)
        match inner:
            case ast.comprehension(target=ast.Tuple(elts=parts), iter=ast.Call(func=ast.Name(id="zip"), args=given)):
                found += [value for part, value in zip(parts, given, strict=False) if last_name(part) == name]
        if isinstance(inner, ast.Assign):
            for target in inner.targets:
                if last_name(target) == name:
                    found.append(inner.value)
                if isinstance(target, ast.Tuple) and isinstance(inner.value, ast.Tuple):
                    pairs = zip(target.elts, inner.value.elts, strict=False)
                    found += [value for part, value in pairs if last_name(part) == name]
    return found


@cache
def source() -> tuple[Source, tuple[Said, ...]]:
    read = Source()
    return read, tuple(read.sentences())


def skeleton(sentence: str) -> tuple[str, ...]:
    return tuple(sentence.split(HOLE))


TABLE = [Template(*pair) for pair in (SENTENCES | COMPOSED | OTHERS).items()]

PUT_TOGETHER = {
    f"{HOLE} things are wrong in the sheet and nothing was recorded. {HOLE}: {HOLE}": (
        "2 things are wrong in the sheet and nothing was recorded. row 4, quantity: Nothing moved: write a quantity, "
        "or take the row out."
    ),
    f"One thing is wrong in the sheet and nothing was recorded. {HOLE}: {HOLE}": (
        "One thing is wrong in the sheet and nothing was recorded. row 4: The sheet has more than 1,000 cells: "
        "divide it."
    ),
    f"This is in the books as {HOLE}: take out row {HOLE}, ..., or, if the same came twice, give it a reference.": (
        "This is in the books as RC-1: take out row 2, 3, ..., or, if the same came twice, give it a reference."
    ),
}
"""Sentences whose holes hold more than a value, with an example that must be said in Chinese."""

FOLLOWED_ELSEWHERE = re.compile(
    r"""
    .*\.detail                                  # a fault's own sentence, collected where it was made
    | detail                                    # the same, handed on by a constructor
    | .*\bdetail\)\]|sorted\(self\.listed.*       # the faults of a sheet
    | str\(refused\)|str\(error\)               # AddressRefused; the ValueErrors of peak methods
    | beyond\[.*                                # the sentence of OutOfBounds
    | str\(error\['msg'\]\)|.*error\['msg'\].*   # pydantic's own, below
    | '\{sentence\}'                            # given to _matching
    | ';'\.join.*                              # each part is collected by itself
    | f'\{faults\[0\]\.pointer\}:\{faults\[0\]\.detail\}'
    """,
    re.VERBOSE,
)


def test_every_sentence_of_a_refusal_has_its_chinese() -> None:
    """The one that cannot be fooled: a new `raise` without a line in `api/refusals_zh.py` fails here, by its place."""
    known = {tuple(template.literals) for template in TABLE}
    missing = [
        f"{place}  {sentence.replace(HOLE, '{}')}"
        for place, sentence in source()[1]
        if skeleton(sentence) not in known and sentence not in PUT_TOGETHER
    ]
    assert not missing, "no Chinese in api/refusals_zh.py for:\n" + "\n".join(missing)


def test_the_reader_of_the_source_sees_what_is_there() -> None:
    read, found = source()
    sentences = {sentence for _, sentence in found}
    assert len(sentences) > 280
    assert {
        f"Lot {HOLE} expired on {HOLE} and may not be handed out.",  # a name assigned before the raise
        f"There is no lot {HOLE} of {HOLE} in transfer {HOLE}; see GET /v1/stock.",  # a caller's argument
        f"{HOLE}: {HOLE} requested, {HOLE} usable of {HOLE} ({HOLE} more are promised to requisitions)",  # of a join
        f"A policy of kind {HOLE} has no {HOLE}.",  # one side of a conditional expression
        "a code has 1 to 40 letters, digits, dots, dashes or underscores",  # a validator's
        "A request body has at most 1 MiB; send fewer lines at a time.",  # two calls away
    } <= sentences
    assert len(read.refusals) > 30
    unread = [
        f"{place}  {code}" for place, code in read.unread if not FOLLOWED_ELSEWHERE.fullmatch(code.replace(" ", ""))
    ]
    assert not unread, "words of a refusal that cannot be followed to strings:\n" + "\n".join(unread)


def test_no_line_of_the_table_is_left_over() -> None:
    said = {skeleton(sentence) for _, sentence in source()[1]}
    left = [english for english in SENTENCES if tuple(Template(english, "").literals) not in said]
    assert not left, "the product says no more; take out of api/refusals_zh.py:\n" + "\n".join(left)


def test_every_title_has_its_chinese() -> None:
    missing = {place: title for place, title in source()[0].titles.items() if title not in TITLES}
    assert not missing
    for kind in itertools.chain([Refusal], kinds_of(Refusal)):
        assert re.search("[\u4e00-\u9fff]", refusals_zh.title(kind.title))


def kinds_of(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        yield below
        yield from kinds_of(below)


def test_what_the_server_itself_says_has_its_chinese() -> None:
    for _, sentence in problems._WORDS.values():  # noqa: SLF001 - the table beside which ours stands
        assert translate(sentence) != sentence
    for status in (404, 405):
        assert refusals_zh.title(HTTPException(status).detail) != HTTPException(status).detail


# -- the table itself -------------------------------------------------------------------------------------------------

SENTENCE = "Nothing moved: write a quantity, or take the row out."
TRANSLATED = SENTENCES[SENTENCE]
SAMPLES = {"number": "7", "said": SENTENCE, "each": f"{SENTENCE}; {SENTENCE}", "drop": ", so", "or": "a or b"}


def filled(template: Template, values: dict[str, str]) -> str:
    """The English sentence as the product would say it."""
    parts = [*map(values.__getitem__, template.holes), ""]
    return "".join(itertools.chain.from_iterable(zip(template.literals, parts, strict=True)))


def expected(template: Template, values: dict[str, str]) -> str:
    said = dict(values)
    for name, kind in template.holes.items():
        if kind in {"said", "each"}:
            said[name] = values[name].replace(SENTENCE, TRANSLATED).replace("; ", "；")
        elif kind == "or":
            said[name] = values[name].replace(" or ", " 或 ")
        elif kind in {"word", "phrase"}:
            said[name] = WORDS.get(values[name], values[name])
    return template.chinese.format(**said)


@pytest.mark.parametrize("template", TABLE, ids=lambda template: template.english[:40])
def test_each_line_has_the_same_holes_and_is_the_one_that_is_found(template: Template) -> None:
    shown = {name for name, kind in template.holes.items() if kind != "drop"}
    assert {name for _, name, _, _ in string.Formatter().parse(template.chinese) if name} == shown
    assert set(template.holes.values()) <= {"", "number", "token", "drop", "word", "phrase", "or", "said", "each"}
    assert all(template.literals[1:-1]), "two holes touch: nothing says where one ends"
    values = {name: SAMPLES.get(kind, f"Q{n}") for n, (name, kind) in enumerate(template.holes.items())}
    assert translate(filled(template, values)) == expected(template, values)


@pytest.mark.parametrize("sentence", PUT_TOGETHER.values())
def test_what_is_put_together_is_said_in_chinese(sentence: str) -> None:
    assert not english_words(translate(sentence))


KEPT = re.compile(
    r"""
    `[^`]*`                                     # commands and headers
    | (?:GET|POST)\s/\S*?(?=[。；，]|$)           # addresses
    | https://[a-z/]+ | /openapi\.json | …/01/GTIN\S+?(?=）)
    | --(?:as|at)\s[A-Z]+ | RESERVE_[A-Z_]+(?:=[a-z]+)? | NUMBER:DIGEST | format=csv
    | YYYY-MM-DD | YYMMDD | MA\.156\.M0\.rrrrrr\.piiiiiic
    | \d{4}-\d\d-\d\dT[\d:+]+
    | [a-z]+(?:_[a-z]+)+(?:\[:[a-z]+\])?         # fields, columns and methods of a peak
    """,
    re.VERBOSE,
)
CODES = {
    *("API", "ASCII", "CSV", "GB", "GS", "GTIN", "HIBC", "AHM", "JSON", "MA", "MB", "MiB", "UPC", "UTF", "FNC", "RC"),
    *("Idempotency", "Key", "Caps", "Lock", "Digital", "Link", "damaged", "recalled", "reports", "true", "false"),
    *("https", "item", "gtin", "packs", "quantity", "reference", "reason", "scan", "format", "mean", "norm", "row"),
}


def english_words(chinese: str) -> set[str]:
    bare = KEPT.sub(" ", re.sub(r"\{[a-z_]+\}", "0", chinese))
    return {word for word in re.findall(r"[A-Za-z]{2,}", bare) if word not in CODES}


ILL_PUNCTUATED = re.compile(
    r"""
    [\u4e00-\u9fff}]\ ?[,;!?](?:\s|$|[\u4e00-\u9fff{])     # half-width marks between Chinese
    | [\u4e00-\u9fff]: | \.$
    | [\u4e00-\u9fff][A-Za-z0-9] | [A-Za-z0-9][\u4e00-\u9fff]  # no space between the scripts
    | [\u4e00-\u9fff“]\ [\u4e00-\u9fff] | \ [，。：；、）] | [，。：；、（]\ (?=.)
    """,
    re.VERBOSE,
)


def test_the_chinese_is_chinese_and_punctuated_so() -> None:
    every = [*(SENTENCES | COMPOSED | OTHERS | TITLES | WORDS).values()]
    assert not [chinese for chinese in every if english_words(chinese) or ILL_PUNCTUATED.search(chinese)]


def test_a_whole_sentence_is_a_whole_sentence_in_both() -> None:
    assert not [zh for en, zh in SENTENCES.items() if en.endswith(".") and not zh.endswith("。")]


# -- values come through as they are ----------------------------------------------------------------------------------

LOT_CHARACTERS = "!\"%&'()*+,-./:;<=>?_{}[]\\^$|#@~` 批号，。：；" + string.ascii_letters + string.digits
ODD = st.text(LOT_CHARACTERS.replace(" ", ""), min_size=1, max_size=20)
OF_KIND = {
    "number": st.integers(-(10**15), 10**15).map(str),
    "said": st.just(SENTENCE),
    "each": st.lists(st.just(SENTENCE), min_size=1, max_size=4).map("; ".join),
    "drop": st.just(""),
}


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_odd_values_come_through(data: st.DataObject) -> None:
    template = data.draw(st.sampled_from([t for t in TABLE if t.holes]))
    values = {name: data.draw(OF_KIND.get(kind, ODD), label=name) for name, kind in template.holes.items()}
    assert translate(filled(template, values)) == expected(template, values)


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_whatever_is_said_is_answered(sentence: str) -> None:
    assert isinstance(translate(sentence), str)


@given(lots=st.lists(ODD, min_size=1, max_size=5))
@settings(deadline=None)
def test_each_part_of_a_shortage_is_said(lots: list[str]) -> None:
    told = "; ".join(f"N95 lot {lot}: 1 there, 2 less" for lot in lots)
    said = translate(f"The books hold too little, nothing was changed: {told}.")
    expected_parts = "；".join(f"N95 批号 {lot} 现有 1，要减少 2" for lot in lots)
    assert said == f"台账结存不足，未作任何更改：{expected_parts}。请核对数量。"


def test_a_sentence_that_nobody_translated_stays_english_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    sentence = "The moon is too bright tonight: close the shutters."
    with caplog.at_level(logging.DEBUG, logger="reserve.api"):
        assert translate(sentence) == sentence
        assert translate(sentence) == sentence
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_a_part_without_chinese_leaves_the_whole_in_english() -> None:
    """Half of each is worse than English alone."""
    sentence = "More than is on the road, nothing was moved. The moon. Goods beyond what was sent are a receipt or a "
    assert translate(sentence + "count gain of their own.") == sentence + "count gain of their own."


def test_a_thousand_details_take_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    read = Template.read

    def counted(self: Template, sentence: str) -> dict[str, str] | None:
        nonlocal tries
        tries += 1
        return read(self, sentence)

    monkeypatch.setattr(Template, "read", counted)
    for n in range(1000):
        template = TABLE[n % len(TABLE)]
        values = {name: SAMPLES.get(kind, f"Q{n}") for name, kind in template.holes.items()}
        translate(filled(template, values))
    assert tries < 3000


@pytest.mark.parametrize("template", [t for t in TABLE if t.holes], ids=lambda template: template.english[:40])
def test_a_long_hostile_sentence_is_given_up_in_time(template: Template) -> None:
    """What a caller sends stands in the sentence: repeated text of a line must not make its pattern try for ever."""
    begun = time.process_time()
    hostile = template.literals[0] + "".join(f"x{literal}" for literal in template.literals[1:]) * 200
    translate(hostile[:90_000] + "\0")
    assert time.process_time() - begun < 5


def test_too_long_a_sentence_stays_english() -> None:
    sentence = f"Lot {'A' * refusals_zh.LENGTH_MAX} is not on hold."
    assert translate(sentence) == sentence


# -- what pydantic says -----------------------------------------------------------------------------------------------


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int = Field(strict=True, ge=1, le=9)


PYDANTIC: list[tuple[Any, Any]] = [
    (Body, {}),
    (Body, {"n": 1, "m": 2}),
    (Body, {"n": "1"}),
    (Body, {"n": 0}),
    (Body, {"n": 10}),
    (Body, []),
    (int, "a"),
    (int, 1.5),
    (int, "1" * 5000),
    (float, "a"),
    (Annotated[float, Field(allow_inf_nan=False)], "nan"),
    (Annotated[float, Field(gt=0)], 0),
    (Annotated[float, Field(lt=1)], 1),
    (Annotated[int, Field(multiple_of=5)], 1),
    (bool, "perhaps"),
    (bool, []),
    (str, 1),
    (Annotated[str, Field(max_length=3)], "four"),
    (Annotated[str, Field(max_length=1)], "four"),
    (Annotated[str, Field(min_length=3)], "a"),
    (Annotated[str, Field(pattern=r"^[!-\"%-?A-Z_a-z]{1,20}$")], " "),
    (list[int], 1),
    (Annotated[list[int], Field(max_length=2)], [1, 2, 3]),
    (Annotated[list[int], Field(min_length=1)], []),
    (dict[str, int], 1),
    (date, "2026-13-01"),
    (date, "x"),
    (date, []),
    (date, "2026-04-01T10:00:00"),
    (datetime, "x"),
    (datetime, []),
    (AwareDatetime, "2026-04-01T10:00:00"),
    (Literal["use", "allocation", "donation"], "x"),
    (Literal["use"], "x"),
]


@pytest.mark.parametrize(("kind", "value"), PYDANTIC)
def test_what_pydantic_says_is_said_in_chinese(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    for error in refused.value.errors():
        said = translate(error["msg"])
        assert said != error["msg"]
        if error["type"] not in {"literal_error", "string_pattern_mismatch"}:
            assert not english_words(said)


# -- who is answered in Chinese ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("zh-Hans-CN", "zh"),
        ("ZH-cn", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("en;q=0.5, zh;q=0.6", "zh"),
        ("en;q=0.5, zh ; q=0.6", "zh"),
        ("en, zh", "en"),
        ("zh, en", "zh"),
        ("fr, zh;q=0.3", "zh"),
        ("fr", "en"),
        ("*", "en"),
        ("zh;q=0", "en"),
        ("zh;q=0, en;q=0", "en"),
        ("zh;q=x", "en"),
        ("zha", "en"),
        (";;;,=,q", "en"),
        ("," * 5000 + "zh", "en"),
    ],
)
def test_the_language_is_the_one_that_the_caller_prefers(accepted: str | None, language: str) -> None:
    headers = [] if accepted is None else [(b"accept-language", accepted.encode())]
    assert problems.language_of(Request({"type": "http", "headers": headers})) == language


def answered(refusal: Refusal, language: str = "zh-CN") -> dict[str, Any]:
    request = Request({"type": "http", "headers": [(b"accept-language", language.encode())]})
    return json.loads(problems.problem(refusal, request).body)


def test_a_fault_behind_its_place_keeps_an_odd_place() -> None:
    fault = Fault("/a: b/{x}", "unknown_field", "Extra inputs are not permitted")
    body = answered(Invalid(f"{fault.pointer}: {fault.detail}", faults=[fault]))
    assert body["detail"] == "/a: b/{x}：没有这个字段，请去掉"
    assert body["errors"][0]["pointer"] == fault.pointer


def test_a_sheet_names_each_cell_in_chinese() -> None:
    cells = [
        SheetFault(4, "quantity", "-1", "negative", "-1 is below zero: write the quantity without a sign."),
        SheetFault(5, "column 9", "x", "cell_without_column", "Nothing moved: write a quantity, or take the row out."),
    ]
    body = answered(SheetRefused(cells))
    assert body["title"] == "表格未被接受"
    assert body["detail"] == "表格有 2 处错误，未作任何记录。第 4 行 quantity 列：-1 小于零：数量请勿带负号。"
    assert [error["detail"] for error in body["errors"]] == [translate(cell.detail) for cell in cells]
    assert body["code"] == "sheet_refused"
    whole_file = [SheetFault(None, None, None, "too_large", "The file is larger than 10 MB: divide it.")]
    assert answered(SheetRefused(whole_file))["detail"] == "表格有 1 处错误，未作任何记录。文件超过 10 MB：请拆分。"


# -- over HTTP --------------------------------------------------------------------------------------------------------


HELD = {"reason": "recall", "note": "NMPA 12"}
ONE = {"item": "N95", "lot_number": "A", "quantity": 1}
ASKED: list[tuple[str, str, str, dict[str, Any], int]] = [
    # role, method, address, what is sent, status
    ("", "GET", "/v1/items", {}, 401),
    ("viewer", "POST", "/v1/receipts", {"json": receipt()}, 403),
    ("admin", "GET", "/v1/nothing", {}, 404),
    ("admin", "DELETE", "/v1/items", {}, 405),
    ("admin", "GET", "/v1/stock?location=X9", {}, 404),
    ("admin", "GET", "/v1/stock?location=371400&item=X9", {}, 404),
    ("admin", "GET", "/v1/stock?location=371400&as_of=tomorrow", {}, 422),
    ("admin", "GET", "/v1/stock?location=371400&as_of=2026-05-01", {}, 422),
    ("admin", "GET", "/v1/stock?location=371400&limit=0", {}, 422),
    ("admin", "GET", "/v1/movements?location=371400&cursor=x", {}, 422),
    ("admin", "GET", "/v1/requisitions/RQ-20260401-0009", {}, 404),
    ("admin", "GET", "/v1/counts/CS-20260401-0009", {}, 404),
    ("admin", "POST", "/v1/receipts", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ("admin", "POST", "/v1/receipts", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
    ("admin", "POST", "/v1/receipts", {"content": b" " * (1 << 20) + b"x"}, 413),
    ("admin", "POST", "/v1/receipts", {"json": {"location": "371400-W1"}}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(quantity=0)}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(item="X9")}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(expires="2027-02-30")}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(expires="2026-03-01")}, 409),
    ("admin", "POST", "/v1/receipts", {"json": receipt(expires="2028-03-01")}, 409),
    ("admin", "POST", "/v1/receipts", {"json": receipt(occurred_at="2026-05-01")}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(occurred_at="2026-01-01")}, 422),
    ("admin", "POST", "/v1/receipts?when=now", {"json": receipt()}, 422),
    ("admin", "POST", "/v1/receipts", {"json": receipt(), "headers": {"Idempotency-Key": "a b"}}, 400),
    ("admin", "POST", "/v1/issues", {"json": issue(50_000)}, 409),
    ("admin", "POST", "/v1/issues", {"json": issue() | {"lines": [ONE]}}, 409),
    ("admin", "POST", "/v1/adjustments", {"json": {"location": "371400-W1", "lines": [ONE | {"reason": "x"}]}}, 422),
    ("admin", "DELETE", "/v1/lots/N95/Z/hold", {}, 404),
    ("admin", "POST", "/v1/scan", {"json": {"data": "hello world"}}, 422),
    ("admin", "POST", "/v1/documents/RC-20260101-0001/reversal", {"json": {"reason": "wrong"}}, 404),
    (
        "admin",
        "POST",
        "/v1/receivers",
        {"json": {"name": "desk", "url": "http://10.1.2.3/", "scope": "371400", "language": "zh"}},
        422,
    ),
]


def test_every_kind_of_refusal_speaks_the_readers_language(served: Served) -> None:
    admin = served.client("admin")
    assert admin.post("/v1/receipts", json=receipt()).status_code == 201
    assert admin.put("/v1/lots/N95/A/hold", json=HELD).status_code in {200, 201}
    wrong: list[str] = []
    for role, method, address, sent, status in ASKED:
        said = {}
        for language in ("zh-CN,zh;q=0.9,en;q=0.5", "en", None):
            client = served.client(role or None)
            del client.headers["Accept-Language"]
            headers = {**sent.get("headers", {}), **({"Accept-Language": language} if language else {})}
            answer = client.request(method, address, **(sent | {"headers": headers}))
            body = answer.json()
            if (answer.status_code, answer.headers["content-type"]) != (status, problems.PROBLEM_JSON):
                wrong.append(f"{method} {address}: {answer.status_code}, not {status}: {body}")
                continue
            if (answer.headers.get("content-language"), answer.headers.get("vary")) != (
                "zh-CN" if language and language.startswith("zh") else "en",
                "Accept-Language",
            ):
                wrong.append(f"{method} {address} {language}: {dict(answer.headers)}")
            said[language] = body
        if len(said) < 3:
            continue
        chinese, english, silent = said.values()
        if english != silent:
            wrong.append(f"{method} {address}: another answer without the header: {silent}")
        wrong += [f"{address}: not Chinese: {t}" for t in words_of(chinese) if not re.search("[\u4e00-\u9fff]", t)]
        wrong += [f"{address}: not English: {t}" for t in words_of(english) if re.search("[\u4e00-\u9fff]", t)]
        rest = [
            {k: v for k, v in body.items() if k not in {"title", "detail", "errors"}} for body in (chinese, english)
        ]
        if rest[0] != rest[1]:
            wrong.append(f"{method} {address}: more than words differs: {rest}")
    assert not wrong, "\n".join(wrong)


def words_of(body: dict[str, Any]) -> list[str]:
    return [body["title"], body["detail"], *(error["detail"] for error in body["errors"])]
