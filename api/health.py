"""Whether the server lives, and whether it is fit to answer."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from api import refusals_zh
from api.desk import AtDesk, as_json, moment
from api.problems import language_of
from reserve import beats, database, seals
from reserve.errors import Refusal

router = APIRouter(tags=["operations"])

LATE_BEATS = 3
LATE_AT_LEAST = timedelta(seconds=30)
DUE_TOO_LONG = timedelta(minutes=10)


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(desk: AtDesk, request: Request) -> Response:
    """The database answers, is of this version, and a worker lives; else 503 with what to do."""
    now = desk.clock()
    try:
        database.require_current_schema(desk.engine)
        with database.reading(desk.engine) as session:
            beat_at = beats.latest(session)
            waiting, since = beats.due(session)
            sealed, unsealed = seals.last(session), seals.waiting(session)
    except Refusal as refusal:
        return _answer(503, {"status": "unready", "code": refusal.code, "detail": told(request, refusal.detail)})
    facts: dict[str, object] = {
        "worker_beat_at": moment(beat_at),
        "coverage_due": waiting,
        "coverage_due_since": moment(since),
        "seal": None if sealed is None else {"number": sealed.number, "digest": sealed.digest},
        "unsealed": unsealed.rows,
        "oldest_unsealed_seconds": None if unsealed.since is None else round((now - unsealed.since).total_seconds()),
    }
    late = max(LATE_AT_LEAST, timedelta(seconds=LATE_BEATS * desk.settings.beat_seconds))
    if beat_at is None or now - beat_at > late:
        detail = "No worker lives: start `reserve watch`, or set RESERVE_WORKER=on and restart the server."
        return _answer(503, {"status": "unready", "code": "worker_late", "detail": told(request, detail), **facts})
    if since is not None and now - since > DUE_TOO_LONG:
        detail = "Changes have waited more than ten minutes to be assessed; look at the worker's log."
        return _answer(503, {"status": "unready", "code": "coverage_late", "detail": told(request, detail), **facts})
    return _answer(200, {"status": "ready", **facts})


def told(request: Request, detail: str) -> str:
    return refusals_zh.translate(detail) if language_of(request) == "zh" else detail


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(as_json(body), status_code=status, media_type="application/json")
