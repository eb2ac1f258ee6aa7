"""The routes of runs. Plain functions: FastAPI runs them on threads, off the event loop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from firstlight.core.errors import FirstlightError, JobError, UnknownName
from firstlight.core.view import Shown
from firstlight.jobs.protocol import plain
from firstlight.jobs.supervise import Supervisor, started

from .describe import detail_of, line_of, summary_of
from .download import npy, png, tiff
from .models import Log, NewRun, Place, Refusal, RunDetail, RunSummary
from .settings import Settings

RunId = Annotated[str, Path(description="Id of the run.", examples=["20260714-101502-3fa9c1"])]
ViewName = Annotated[str, Path(description="Name of the view.", examples=["slices.xy"])]

_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "There is no such run or view."}}
_REFUSED: dict[int | str, dict[str, Any]] = {
    422: {"model": Refusal, "description": "Something in the request is wrong."}
}
_ENDED: dict[int | str, dict[str, Any]] = {
    409: {"model": Refusal, "description": "The run has ended, or has not started yet."}
}


def answer(model: BaseModel, status: int = 200) -> Response:
    """A model as JSON, made on this thread and not on the event loop."""
    return Response(model.model_dump_json(by_alias=True), status, media_type="application/json")


def run_routes(settings: Settings, supervisor: Supervisor) -> APIRouter:
    """List, start, look at, stop and steer runs."""
    router = APIRouter(tags=["runs"])

    @router.get("/runs", response_model=list[RunSummary], summary="All runs, newest first")
    def list_runs() -> Response:
        return JSONResponse([summary_of(entry).model_dump() for entry in supervisor.entries()])

    @router.post("/runs", status_code=201, response_model=RunDetail, responses=_REFUSED, summary="Start a job")
    def start_run(new: NewRun) -> Response:
        run = supervisor.start(new.job, roots=settings.confined_to)
        entry = started(run, settings.start_timeout)
        if entry.state == "failed" and entry.problems:  # nothing was done: the refusal says it all
            supervisor.forget(run.id)
            raise JobError(entry.problems)
        return answer(detail_of(run), 201)

    @router.get("/runs/{run}", response_model=RunDetail, responses=_UNKNOWN, summary="Everything about a run")
    def get_run(run: RunId) -> Response:
        return answer(detail_of(supervisor.run(run)))

    @router.get("/runs/{run}/log", response_model=Log, responses=_UNKNOWN, summary="Lines of a run's log")
    def get_log(run: RunId, after: Annotated[int, Query(ge=0, description="First line wanted.")] = 0) -> Response:
        found, _ = supervisor.run(run).lines_now(after)
        return answer(Log(lines=[line_of(line) for line in found], next=after + len(found)))

    @router.get(
        "/runs/{run}/report", response_model=dict[str, Any], responses=_UNKNOWN, summary="The machine-readable report"
    )
    def get_report(run: RunId) -> Response:
        return JSONResponse(plain(supervisor.run(run).report(), nan=False))

    @router.post("/runs/{run}/stop", response_model=RunDetail, responses=_UNKNOWN, summary="End a run in order")
    def stop_run(run: RunId) -> Response:
        found = supervisor.run(run)
        found.stop()
        return answer(detail_of(found))

    @router.patch(
        "/runs/{run}/parameters",
        response_model=Place,
        responses=_UNKNOWN | _REFUSED | _ENDED,
        summary="Change parameters, all or none",
    )
    def set_parameters(
        run: RunId, changes: Annotated[dict[str, dict[str, Any]], Body(examples=[{"slices": {"z": 300}}])]
    ) -> Response:
        found = supervisor.run(run)
        try:
            epoch, frame = found.set(changes)
        except UnknownName as error:
            raise _not_valid(error) from error
        return answer(Place(epoch=epoch, id=frame))

    return router


def view_routes(supervisor: Supervisor) -> APIRouter:
    """Views as files."""
    router = APIRouter(tags=["views"])

    def send(run: str, view: str, ending: str, media: str, make: Callable[[Shown], Iterator[bytes]]) -> Response:
        shown = supervisor.run(run).view(view)
        if shown is None:
            raise UnknownName(
                f"The view '{view}' has nothing to show yet.",
                field="view",
                value=view,
                next_move="Ask again when frames have come.",
            )
        name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{run}_{view}_{shown.version}.{ending}")
        return StreamingResponse(
            make(shown), media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    @router.get(
        "/runs/{run}/views/{view}.png",
        response_class=Response,
        responses=_UNKNOWN | _REFUSED,
        summary="A view as coloured PNG",
    )
    def get_png(
        run: RunId,
        view: ViewName,
        colormap: Annotated[str, Query(description="Colours.", examples=["viridis"])] = "viridis",
        low: Annotated[float | None, Query(description="Value of the first colour.")] = None,
        high: Annotated[float | None, Query(description="Value of the last colour.")] = None,
        inverted: Annotated[bool, Query(description="Turn the colours round.")] = False,
    ) -> Response:
        def make(shown: Shown) -> Iterator[bytes]:
            try:
                return png(shown, colormap, low, high, inverted=inverted)
            except UnknownName as error:
                raise _not_valid(error) from error

        return send(run, view, "png", "image/png", make)

    @router.get(
        "/runs/{run}/views/{view}.tiff", response_class=Response, responses=_UNKNOWN, summary="A view as float32 TIFF"
    )
    def get_tiff(run: RunId, view: ViewName) -> Response:
        return send(run, view, "tiff", "image/tiff", tiff)

    @router.get("/runs/{run}/views/{view}.npy", response_class=Response, responses=_UNKNOWN, summary="A view as NPY")
    def get_npy(run: RunId, view: ViewName) -> Response:
        return send(run, view, "npy", "application/octet-stream", npy)

    return router


def _not_valid(error: FirstlightError) -> FirstlightError:
    """The same error as one about what was sent, not about what was asked for."""
    same = FirstlightError("")
    same.__dict__.update(error.__dict__)
    return same
