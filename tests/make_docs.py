"""The parts of docs/ that are made from the code: `python -m tests.make_docs` writes them, `test_docs` compares them.

A part stands between `<!-- made: NAME -->` and `<!-- /made -->`; what is written around it by hand is kept. In the
tables of codes the last column is written by hand too: it is taken over from the page, and a code that is new gets
"to be written" there, which fails the test.
"""

import ast
import inspect
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from api import problems
from api.app import create_app
from api.cli import app as commands
from api.settings import Settings, explained
from reserve import database, errors, gs1, imports
from reserve.errors import Refusal
from reserve.ledger import ADJUSTMENT_REASONS
from reserve.model import QUANTITY_MAX, Level

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
UNWRITTEN = "to be written"
MADE = re.compile(r"(<!-- made: ([a-z-]+) -->\n)(.*?)(<!-- /made -->)", re.DOTALL)

Make = Callable[[str], str]
"""The old text of a part in, the new one out."""


def main() -> None:
    """Write every page anew and name those that changed."""
    for path, text in pages():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


def pages() -> Iterator[tuple[Path, str]]:
    """Each page of the reference, and what it should say."""
    for path in sorted(REFERENCE.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        yield path, MADE.sub(lambda m: f"{m[1]}{PARTS[m[2]](m[3]).strip()}\n{m[4]}", text)


# -- tables -----------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(head), ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def told(old: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose last column is written by hand, row by row under the code of the first."""
    by_hand = {}
    for line in old.splitlines():
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        by_hand[cells[0].strip()] = cells[-1].strip().replace("\\|", "|")
    return table(head, ([*row, by_hand.get(str(row[0]), UNWRITTEN)] for row in rows))


def code(text: object) -> str:
    return f"`{text}`"


# -- settings and commands --------------------------------------------------------------------------------------------


def settings(_old: str) -> str:
    rows = explained(Settings())
    return table(["variable", "default", "what for"], ([code(n), code(v) if v else "empty", w] for n, v, w in rows))


def command_tree() -> list[tuple[str, Any]]:
    """Every command with its whole name: `key create`."""
    found: list[tuple[str, Any]] = []

    def walk(group: Any, before: str) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                walk(command, f"{before}{name} ")
            else:
                found.append((f"{before}{name}", command))

    walk(typer.main.get_command(commands), "")
    return found


def cli(_old: str) -> str:
    return "\n".join(_command(name, command) for name, command in command_tree())


def _command(name: str, command: Any) -> str:
    rows = [[code(_said(p)), _default(p), p.help or ""] for p in command.params]
    usage = " ".join(["reserve", name, *(_said(p) if p.required else f"[{_said(p)}]" for p in command.params)])
    head = f"### reserve {name}\n\n```text\n{usage}\n```\n\n{command.help}\n"
    return f"{head}\n{table(['argument or option', 'default', 'what for'], rows)}" if rows else head


def _said(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    if parameter.is_flag:
        return str(parameter.opts[0])
    return f"{parameter.opts[0]} {parameter.type_descriptor.annotation.__name__.upper().replace('STR', 'TEXT')}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    return "" if parameter.default in {None, "", False} else code(parameter.default)


# -- routes -----------------------------------------------------------------------------------------------------------


def openapi() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        engine = database.connect(f"sqlite:///{folder}/docs.db")
        found: dict[str, Any] = create_app(engine, Settings()).openapi()
        engine.dispose()
    return found


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def routes(_old: str) -> str:
    rows = ([code(f"{method} {path}"), operation["description"]] for method, path, operation in operations())
    return table(["call", "what it does"], rows)


def fields(_old: str) -> str:
    """Parameters and bodies of every call that has any."""
    schemas = openapi()["components"]["schemas"]
    parts = []
    for method, path, operation in operations():
        rows = [_parameter(p, schemas) for p in operation.get("parameters", []) if p["in"] != "path"]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        rows += _members(body, schemas, "") if body else []
        if rows:
            parts.append(f"### {method} {path}\n\n{table(['field', 'needed', 'value'], rows)}")
    return "\n".join(parts)


def _parameter(parameter: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    needed = "yes" if parameter["required"] else ""
    return [code(f"?{parameter['name']}="), needed, _value(parameter["schema"], schemas)]


def _members(schema: dict[str, Any], schemas: dict[str, Any], before: str) -> list[list[str]]:
    rows = []
    for name, member in schema["properties"].items():
        rows.append([code(before + name), "yes" if name in schema.get("required", ()) else "", _value(member, schemas)])
        inner = member.get("items", {})
        if "properties" in inner:
            rows += _members(inner, schemas, f"{before}{name}[].")
    return rows


def _value(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in schema:
        said = [_value(s, schemas) for s in schema["anyOf"] if s.get("type") != "null"]
        return " or ".join(said) + _else(schema)
    if "enum" in schema or "const" in schema:
        return ", ".join(code(word) for word in schema.get("enum", [schema.get("const")])) + _else(schema)
    return _plain(schema) + _else(schema)


def _plain(schema: dict[str, Any]) -> str:
    kind, form = schema.get("type"), schema.get("format")
    if kind == "integer":
        return f"whole number{_between(schema.get('minimum'), schema.get('maximum'))}"
    if kind == "array":
        return f"list{_between(schema.get('minItems'), schema.get('maxItems'))}"
    if form in {"date", "date-time"}:
        return "day" if form == "date" else "moment with its offset"
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "string":
        return f"text, at most {schema['maxLength']} characters" if "maxLength" in schema else "text"
    return "number"


def _between(least: float | None, most: float | None) -> str:
    if least is None and most is None:
        return ""
    if most is None or most >= 2**63 - 1:
        return f", {least:g} or more"
    return f", {_number(least or 0)} to {_number(most)}"


def _number(value: float) -> str:
    return "-" * (value < 0) + ("10^15" if abs(value) == QUANTITY_MAX else f"{abs(int(value))}")


def _else(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default in {None, False} or isinstance(default, list) else f"; else {code(default)}"


# -- refusals ---------------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """A code that stands in the source: where, through which call, and the name of what is called."""

    code: str
    called: str


CALLS = {"Fault": 1, "add": 2, "at": 2, "Bad": 0, "_unreadable": 0, "Finding": 0, "Verdict": 1}
"""Which argument of these calls is a code."""

CHOSEN_AT_RUN_TIME = {
    "consumption_from_issues": "Conflict",
    "future_date": "OutOfBounds",
    "date_out_of_bounds": "Invalid",
    "duplicate_row": "Invalid",
    "asked_below_used": "Invalid",
    "demand_change_days": "Invalid",
    "demand_change_subject": "Invalid",
    "line_repeated": "Invalid",
    "counted_at_out_of_bounds": "Invalid",
}
"""Codes of `reporting.report` and of counting, which raise their first fault through a class chosen there."""

ANSWERS = {"not_found": 404, "method_not_allowed": 405, "refused": 0, "internal_error": 500}
"""Codes that `api.problems` answers without a refusal; `refused` is the base's own and names other HTTP errors."""


def said(*rooms: str) -> Iterator[Said]:
    for room in rooms:
        for path in sorted((ROOT / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield from _codes_of(node)


def _codes_of(node: ast.AST) -> Iterator[Said]:
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        yield from (Said(c, "dict") for k, v in pairs if _is(k, "code") for c in _texts(v) if c)
    if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "_CODES" for t in node.targets):
        yield from (Said(c, "Fault") for v in getattr(node.value, "values", ()) for c in _texts(v))
    if not isinstance(node, ast.Call):
        return
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    for keyword in node.keywords:
        if keyword.arg == "code":
            yield from (Said(c, called) for c in _texts(keyword.value))
    place = CALLS.get(called)
    if place is not None and len(node.args) > place and (place != 2 or _to_faults(node.func)):
        yield from (Said(c, called) for c in _texts(node.args[place]) if c)


def _is(node: ast.AST | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _to_faults(function: ast.expr) -> bool:
    """`faults.add` and `sheet.faults.at`, not `seen.add`."""
    return isinstance(function, ast.Attribute) and ast.unparse(function.value).endswith(("faults", "self"))


def _texts(node: ast.expr) -> list[str]:
    """The codes that an expression may give."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    if isinstance(node, ast.BoolOp):
        return [c for value in node.values for c in _texts(value)]
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get":
        return _texts(node.args[-1])
    if isinstance(node, ast.Attribute) and node.attr == "code":
        kind = kinds().get(ast.unparse(node.value))
        return [kind.code] if kind else []
    return []


def kinds() -> dict[str, type[Refusal]]:
    """Every class of refusal by its name."""
    found: dict[str, type[Refusal]] = {}
    waiting: list[type[Refusal]] = [Refusal]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    assert errors.Refusal is Refusal
    return found


def refusal_codes() -> dict[str, set[int]]:
    """Every code with the statuses it is answered with; none for what only stands in `errors`."""
    known = kinds()
    found: dict[str, set[int]] = defaultdict(set)
    for kind in known.values():
        if kind is not Refusal:
            found[kind.code].add(_status(kind))
    for one in said("api", "reserve"):
        if one.called in {"Finding", "Verdict", "Bad", "_unreadable", "at", "add"}:
            continue
        kind = known.get(CHOSEN_AT_RUN_TIME.get(one.code, one.called))
        if one.called == "dict":
            found[one.code].add(503 if one.code.endswith("_late") else ANSWERS[one.code])
        else:
            found[one.code] |= {_status(kind)} if kind else set()
    for reason in gs1.Reason:  # why a scan was not read
        found[reason.value] |= set()
    for name, status in ANSWERS.items():
        found[name] |= {status} if status else set()
    return found


def _status(kind: type[Refusal]) -> int:
    return problems.status_of(kind("")) if kind is not errors.SheetRefused else problems.STATUS[errors.Invalid]


def refusals(old: str) -> str:
    rows = ([code(c), _statuses(c, s)] for c, s in sorted(refusal_codes().items()))
    return told(old, ["code", "status", "what to do"], rows)


def _statuses(name: str, statuses: set[int]) -> str:
    if name == "refused":
        return "as HTTP says"
    return ", ".join(map(str, sorted(statuses))) or "in `errors`"


def sheet_codes() -> set[str]:
    """What a cell of a sheet can be told."""
    own = {one.code for one in said("reserve") if one.called in {"Bad", "_unreadable", "at", "add"}}
    return own | set(_assigned_codes("reserve/catalogue.py", "normal_gtin"))


def _assigned_codes(file: str, function: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for inner in ast.walk(node):
                yield from (one.code for one in _codes_of(inner))


def cells(old: str) -> str:
    return told(old, ["code", "what to do"], ([code(c)] for c in sorted(sheet_codes())))


def findings(old: str) -> str:
    found = sorted({one.code for one in said("reserve") if one.called == "Finding"})
    return told(old, ["code", "what it means"], ([code(c)] for c in found))


# -- alerts -----------------------------------------------------------------------------------------------------------


def reason_codes() -> dict[str, set[str]]:
    """Reason codes with the levels they come with."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in ("reserve/levels.py", "reserve/assessment.py"):
        for node in ast.walk(ast.parse((ROOT / room).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Verdict":
                level = ast.unparse(node.args[0]).removeprefix("Level.")
                for name in _texts(node.args[1]):
                    found[name].add(Level[level].value)
    return found


def change_words() -> list[str]:
    """What an alert says happened: what `alerts._word` answers."""
    tree = ast.parse((ROOT / "reserve/alerts.py").read_text(encoding="utf-8"))
    word = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "_word")
    returned = [n.value for n in ast.walk(word) if isinstance(n, ast.Return) and n.value is not None]
    return sorted({text for value in returned for text in _texts(value)})


def reasons(old: str) -> str:
    order = list(Level)
    rows = ([code(c), ", ".join(sorted(levels, key=order.index))] for c, levels in sorted(reason_codes().items()))
    return told(old, ["reason_code", "level", "what it means"], rows)


def changes(old: str) -> str:
    return told(old, ["change", "what it means"], ([code(w)] for w in change_words()))


# -- sheets -----------------------------------------------------------------------------------------------------------


def sheets(_old: str) -> str:
    parts = []
    for kind, columns in imports.COLUMNS.items():
        rows = ([code(c.name), "、".join(c.also), "yes" if c.required else "", _cell_value(c.parse)] for c in columns)
        head = f"### {kind}\n\n`reserve import {kind} FILE`\n\n"
        parts.append(head + table(["column", "also called", "needed", "value"], rows))
    return "\n".join(parts)


def _cell_value(parse: Callable[[str], object]) -> str:
    known = inspect.getclosurevars(parse).nonlocals
    if "expected" in known:
        return str(known["expected"])
    if "length_max" in known:
        return f"text, at most {known['length_max']} characters"
    if "least" in known:
        return f"whole number, {_number(known['least'])} to {_number(known['most'])}"
    words = {
        "day": "day: 2026-04-01, 2026/4/1 or 2026年4月1日",
        "code": "1 to 40 letters, digits, dots, underscores, hyphens",
        "lot_number": "1 to 20 characters of a GS1 label",
        "gtin_text": "GTIN of 8, 12, 13 or 14 digits",
    }
    return words[parse.__name__]


def adjustments(old: str) -> str:
    return told(old, ["reason", "中文"], ([code(reason)] for reason in ADJUSTMENT_REASONS))


PARTS: dict[str, Make] = {
    "settings": settings,
    "commands": cli,
    "routes": routes,
    "fields": fields,
    "refusals": refusals,
    "cells": cells,
    "findings": findings,
    "reasons": reasons,
    "changes": changes,
    "sheets": sheets,
    "adjustments": adjustments,
}

if __name__ == "__main__":
    main()
