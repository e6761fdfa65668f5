"""Request bodies: read with a limit, parsed strictly, their values of the few kinds that may enter.

Stock parsers let NaN, duplicate keys, lone surrogates and NUL through, each of which breaks something later; this
reader refuses them at the door. What is refused is named by its place and never echoed.
"""

import json
import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from api.problems import TooLarge, UnsupportedType
from reserve.errors import Fault, Invalid, Malformed
from reserve.model import QUANTITY_MAX

BODY_MAX = 1 << 20
SHEET_MAX = 10 << 20
DRAINED_MAX = 64 << 20
DEPTH_MAX = 20
LINES_MAX = 5000

M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The raw body, at most 1 MiB. A longer one is read to its end unkept, so that the client hears the refusal."""
    return await _read(request, BODY_MAX, "A request body has at most 1 MiB; send fewer lines at a time.")


async def read_sheet(request: Request) -> bytes:
    """A sheet, at most 10 MiB."""
    return await _read(request, SHEET_MAX, "A sheet has at most 10 MiB here; split it, or use `reserve import`.")


async def _read(request: Request, most: int, refusal: str) -> bytes:
    chunks, kept, seen = [], 0, 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen <= most:
            chunks.append(chunk)
            kept = seen
        elif seen > DRAINED_MAX:
            break
    if seen > kept:
        raise TooLarge(refusal)
    return b"".join(chunks)


def parse(model: type[M], request: Request, raw: bytes) -> M:
    """The body as a model.

    Raises
    ------
    UnsupportedType, Malformed, Invalid
        not JSON by its header; not JSON by its bytes; values that are not right, each with its pointer.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedType("Send JSON with `Content-Type: application/json`.")
    try:
        return model.model_validate(strict_json(raw))
    except ValidationError as error:
        faults = [_fault(e) for e in error.errors(include_url=False, include_input=False)]
        raise Invalid(f"{faults[0].pointer}: {faults[0].detail}", faults=faults) from None


def strict_json(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """JSON by RFC 8259 and no more: UTF-8, no NaN, no duplicate names, no lone surrogates, 20 levels deep at most."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"Byte {error.start} is not UTF-8; send the body in UTF-8.") from None
    _refuse_depth(text)
    try:
        value = json.loads(text, parse_constant=_constant, object_pairs_hook=_object)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Malformed(f"This is not JSON{where}.", code="malformed_json") from None
    except ValueError:  # a number of thousands of digits
        raise Malformed("A number has too many digits.", code="malformed_json") from None
    return value


def _refuse_depth(text: str) -> None:
    depth = 0
    quoted = escaped = False
    for char in text:
        if quoted:
            escaped, quoted = (char == "\\" and not escaped), char != '"' or escaped
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise Malformed(f"Nested more than {DEPTH_MAX} levels deep.", code="malformed_json")
        elif char in "]}":
            depth -= 1


def _constant(name: str) -> Any:  # noqa: ANN401 - json's own form
    raise Malformed(f"{name} is not JSON: write a number, or leave the field out.", code="malformed_json")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("A name stands twice in one object.", code="malformed_json")
    return found


_CODES = {"missing": "missing", "extra_forbidden": "unknown_field", "too_long": "too_many_lines"}


def _fault(error: Any) -> Fault:  # noqa: ANN401 - pydantic's ErrorDetails
    pointer = "".join(f"/{_safe(str(part))}" for part in error["loc"])
    return Fault(pointer or "/", _CODES.get(error["type"], "invalid_value"), str(error["msg"]))


def _safe(part: str) -> str:
    return "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" else "?" for c in part)[:60]


# -- the kinds of values ----------------------------------------------------------------------------------------------

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
_LOT = re.compile(r"[!-\"%-?A-Z_a-z]{1,20}", re.ASCII)
LOT_PATTERN = r"^[!-\"%-?A-Z_a-z]{1,20}$"
FIRST_DAY, LAST_DAY = date(1990, 1, 1), date(2100, 12, 31)


def _day(value: object) -> date:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise PydanticCustomError("day", "write a day as YYYY-MM-DD")
    try:
        found = date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("day", "there is no such day") from None
    if not FIRST_DAY <= found <= LAST_DAY:
        raise PydanticCustomError("day", "a day lies between 1990 and 2100")
    return found


def _occurred(value: object) -> datetime | date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return _day(value)
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise PydanticCustomError("moment", "write a moment with its offset, 2026-04-01T10:00:00+08:00, or a day")
    try:
        found = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("moment", "there is no such moment") from None
    if not FIRST_DAY <= found.date() <= LAST_DAY:
        raise PydanticCustomError("moment", "a moment lies between 1990 and 2100")
    return found


def clean(value: object) -> str:
    """Text as people write it: composed and trimmed; control, bidirectional and invisible characters are refused."""
    if not isinstance(value, str):
        raise PydanticCustomError("text", "text is needed")
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in value):
        raise PydanticCustomError("text", "control or invisible characters are not allowed")
    found = unicodedata.normalize("NFC", value).strip()
    if not found:
        raise PydanticCustomError("text", "text is needed, not only spaces")
    return found


def _matching(pattern: re.Pattern[str], sentence: str) -> Any:  # noqa: ANN401 - a validator for Annotated
    def check(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise PydanticCustomError("pattern", "{sentence}", {"sentence": sentence})
        return value

    return BeforeValidator(check)


Day = Annotated[date, BeforeValidator(_day)]
Occurred = Annotated[datetime | date, BeforeValidator(_occurred)]
Code = Annotated[str, _matching(_CODE, "a code has 1 to 40 letters, digits, dots, dashes or underscores")]
LotNumber = Annotated[str, _matching(_LOT, "a lot number has 1 to 20 characters of a GS1 label")]
Quantity = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_MAX)]
Used = Annotated[int, Field(strict=True, ge=0, le=QUANTITY_MAX)]
Signed = Annotated[int, Field(strict=True, ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
Short = Annotated[str, BeforeValidator(clean), Field(max_length=120)]
Words = Annotated[str, BeforeValidator(clean), Field(max_length=200)]
Long = Annotated[str, BeforeValidator(clean), Field(max_length=1000)]


class Strict(BaseModel):
    """A body with no field beyond those that are named."""

    model_config = ConfigDict(extra="forbid")


def body_of(model: type[Strict]) -> dict[str, Any]:
    """The body as the OpenAPI document shows it; it is read by our own strict reader."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def filled(node: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(node, dict):
            if "$ref" in node:
                return filled(definitions[node["$ref"].rsplit("/", 1)[-1]])
            return {name: filled(value) for name, value in node.items()}
        return [filled(value) for value in node] if isinstance(node, list) else node

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": filled(schema)}}}}
