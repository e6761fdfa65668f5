"""Refusals as HTTP: application/problem+json (RFC 9457). The only table that maps a refusal to a status."""

import json
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

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

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
_WORDS = {
    404: ("not_found", "There is nothing at this address; see /openapi.json for what there is."),
    405: ("method_not_allowed", "This address does not take that method."),
}


def status_of(refusal: Refusal) -> int:
    return next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)


def problem(refusal: Refusal) -> Response:
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
    return _answer(status, body)


def install(app: FastAPI) -> None:
    """One handler a family; what nobody foresaw is logged and answered as an internal error, its text kept to us."""

    @app.exception_handler(Refusal)
    def _refused(_request: Request, error: Refusal) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    def _bad_parameters(_request: Request, error: RequestValidationError) -> Response:
        faults = [_fault(e) for e in error.errors()]
        return problem(Invalid(faults[0].detail, faults=faults))

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> Response:
        code, detail = _WORDS.get(error.status_code, ("refused", str(error.detail)))
        title = str(error.detail)
        body = {"type": "about:blank", "title": title, "status": error.status_code, "detail": detail, "code": code}
        return _answer(error.status_code, {**body, "errors": []}, dict(error.headers or {}))

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
        return _answer(500, body)


def _fault(error: dict[str, Any]) -> Fault:
    """A parameter that FastAPI refused: named, never echoed."""
    where, *rest = (str(part) for part in error["loc"])
    return Fault(f"/{'/'.join([where, *rest])}", "invalid_parameter", f"{'/'.join(rest) or where}: {error['msg']}")


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    text = json.dumps(body, ensure_ascii=False)
    return Response(
        text.encode("utf-8", "replace"),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
    )
