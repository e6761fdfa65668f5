"""Refusals as HTTP: application/problem+json (RFC 9457). The only table that maps a refusal to a status."""

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api import refusals_zh
from reserve.errors import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    Malformed,
    Refusal,
    Unauthenticated,
    Unavailable,
    Unknown,
)

log = logging.getLogger("reserve.api")

STATUS: dict[type[Refusal], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    Unknown: 404,
    Conflict: 409,
    Invalid: 422,
    Unavailable: 503,
}

PROBLEM_JSON = "application/problem+json"


class TooLarge(Refusal):
    code = "body_too_large"
    title = "The request is too large"


class UnsupportedType(Refusal):
    code = "unsupported_media_type"
    title = "Another content type is needed"


class NotAcceptable(Refusal):
    code = "not_acceptable"
    title = "That form is not offered"


STATUS |= {TooLarge: 413, UnsupportedType: 415, NotAcceptable: 406}

_WISHES_MAX = 50
_QUALITY = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)
_CONTENT_LANGUAGE = {"zh": "zh-CN", "en": "en"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
_WORDS = {
    404: ("not_found", "There is nothing at this address; see /openapi.json for what there is."),
    405: ("method_not_allowed", "This address does not take that method."),
}


def status_of(refusal: Refusal) -> int:
    return next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)


def language_of(request: Request | None) -> Literal["zh", "en"]:
    """What a refusal is said in: Chinese where the caller prefers it, else English, as programs expect it."""
    best: dict[str, float] = {}
    wishes = ",".join(request.headers.getlist("accept-language") if request else ()).lower()
    for wish in wishes.split(",")[:_WISHES_MAX]:
        tag, *parameters = (part.strip() for part in wish.split(";"))
        language = tag.split("-")[0]
        best[language] = max(best.get(language, 0.0), _quality(parameters))
    zh, en = best.get("zh", 0.0), best.get("en", 0.0)
    first = next((language for language in best if language in {"zh", "en"}), "en")  # of two that are wished alike
    return "zh" if zh > en or (zh == en > 0 and first == "zh") else "en"


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
    return 1.0


def problem(refusal: Refusal, request: Request | None = None) -> Response:
    """A refusal as an answer, in the language of who asked."""
    status = status_of(refusal)
    body = {
        "type": f"urn:reserve:refusal:{refusal.code}",
        "title": refusal.title,
        "status": status,
        "detail": refusal.detail,
        "code": refusal.code,
        "errors": [fault._asdict() for fault in refusal.faults],
        **refusal.extra,
    }
    return _answer(status, body, request)


def install(app: FastAPI) -> None:
    """One handler a family; what nobody foresaw is logged and answered as an internal error, its text kept to us."""

    @app.exception_handler(Refusal)
    def _refused(request: Request, error: Refusal) -> Response:
        return problem(error, request)

    @app.exception_handler(RequestValidationError)
    def _bad_parameters(request: Request, error: RequestValidationError) -> Response:
        faults = [_fault(e) for e in error.errors()]
        return problem(Invalid(faults[0].detail, faults=faults), request)

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        code, detail = _WORDS.get(error.status_code, ("refused", str(error.detail)))
        title = str(error.detail)
        body = {"type": "about:blank", "title": title, "status": error.status_code, "detail": detail, "code": code}
        return _answer(error.status_code, {**body, "errors": []}, request, dict(error.headers or {}))

    @app.exception_handler(Exception)
    def _bug(request: Request, error: Exception) -> Response:
        log.error("internal error at %s %s", request.method, request.url.path, exc_info=error)
        body = {
            "type": "about:blank",
            "title": "Internal error",
            "status": 500,
            "detail": "This is a fault of ours, not of your request; nothing was recorded. Please report it.",
            "code": "internal_error",
            "errors": [],
        }
        return _answer(500, body, request)


def _fault(error: dict[str, Any]) -> Fault:
    """A parameter that FastAPI refused: named, never echoed."""
    where, *rest = (str(part) for part in error["loc"])
    return Fault(f"/{'/'.join([where, *rest])}", "invalid_parameter", f"{'/'.join(rest) or where}: {error['msg']}")


def _answer(
    status: int, body: dict[str, Any], request: Request | None, headers: Mapping[str, str] | None = None
) -> Response:
    language = language_of(request)
    text = json.dumps(_in_chinese(body) if language == "zh" else body, ensure_ascii=False)
    return Response(
        text.encode("utf-8", "replace"),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers={
            "Content-Language": _CONTENT_LANGUAGE[language],
            "Vary": "Accept-Language",
            **_HEADERS.get(status, {}),
            **(headers or {}),
        },
    )


def _in_chinese(body: dict[str, Any]) -> dict[str, Any]:
    """The same body; its words alone are others."""
    errors = [{**error, "detail": refusals_zh.translate(error["detail"])} for error in body["errors"]]
    return {
        **body,
        "title": refusals_zh.title(body["title"]),
        "detail": _detail_in_chinese(body, errors),
        "errors": errors,
    }


def _detail_in_chinese(body: dict[str, Any], errors: list[dict[str, Any]]) -> str:
    """Most often the first fault's own sentence, or that one behind its place."""
    detail: str = body["detail"]
    if body["errors"]:
        place, said = body["errors"][0]["pointer"], body["errors"][0]["detail"]
        if detail in {said, f"{place}: {said}"}:
            return str(errors[0]["detail"]) if detail == said else f"{place}：{errors[0]['detail']}"
    return refusals_zh.translate(detail)
