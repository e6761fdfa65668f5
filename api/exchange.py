"""HTTP about sheets: a CSV in, all rows or none, every bad cell named."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from api.bodies import read_sheet
from api.desk import AtDesk, DryRun, Recording, as_json
from api.problems import UnsupportedType, problem
from reserve import access, imports
from reserve.access import Verb
from reserve.entry import Entry
from reserve.errors import SheetRefused
from reserve.imports import SheetKind

router = APIRouter(prefix="/v1", tags=["sheets"])

Sheet = Annotated[bytes, Depends(read_sheet)]


_CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.post("/imports/{kind}", status_code=201, openapi_extra=_CSV)
def post_import(
    desk: AtDesk,
    request: Request,
    kind: SheetKind,
    data: Sheet,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> Response:
    """导入. A CSV sheet as the body, `Content-Type: text/csv`. A dry run checks everything and records nothing."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() not in {"text/csv", "text/plain"}:
        raise UnsupportedType("Send the sheet itself with `Content-Type: text/csv`.")

    def work(recording: Recording) -> dict[str, Any]:
        access.require(recording.actor, Verb.MANAGE, None)
        if recording.actor.place.parent_id is not None:
            raise access.forbidden()  # a sheet may name any place: only a manager of the whole tree imports over HTTP
        entry = Entry(recording.actor.signature, recording.now, desk.zone, back_dating_days=None)
        found = imports.import_sheet(recording.session, entry, kind, data)
        answer = {**found._asdict(), "dry_run": dry_run}
        if dry_run:
            raise DryRun(answer)
        return answer

    try:
        return desk.record(request, data, work, parameters={"dry_run"})
    except DryRun as ended:
        return Response(as_json(ended.found), media_type="application/json")
    except SheetRefused as refused:
        answer = problem(refused, request)
        answer.headers["X-Errors-Found"] = str(refused.found)
        return answer
