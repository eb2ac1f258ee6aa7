"""The routes of the desk. Plain functions: FastAPI runs them on threads, and a process of its own does the work."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import TypeAdapter

from ..models import Refusal
from ..pieces import PiecewiseResponse
from ..runs import answer
from ..settings import Settings
from ..sockets.view import binary_message
from .clerk import Clerk
from .models import Description, Folder, Question, ResultSlice, Root, Trial
from .places import listing, roots_of

_REFUSED: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such file below the roots."},
    422: {"model": Refusal, "description": "Something in the request is wrong."},
}
_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "A message as that of a view: see ViewHeader."},
    **_REFUSED,
}
_ROOTS = TypeAdapter(list[Root])

FilePath = Annotated[str, Query(description="Path of the file.", examples=["/data/visit_412/scan_0412.h5"])]
InFile = Annotated[str, Query(description="Path inside the file.", examples=["/exchange/data"])]


class Desk:
    """The processes behind the routes: one reads files while the other reconstructs."""

    def __init__(self, settings: Settings) -> None:
        """Start nothing yet."""
        self.roots = settings.confined_to
        self.reader, self.bench = Clerk(self.roots), Clerk(self.roots)

    def close(self) -> None:
        """End both."""
        self.reader.close()
        self.bench.close()


def desk_routes(desk: Desk) -> APIRouter:
    """Find files, describe them, try one slice, look at results."""
    router = APIRouter(prefix="/files", tags=["files"])

    @router.get("/roots", response_model=list[Root], summary="Folders that this service may use")
    def get_roots() -> Response:
        return Response(_ROOTS.dump_json(roots_of(desk.roots)), media_type="application/json")

    @router.get("/list", response_model=Folder, responses=_REFUSED, summary="What a folder holds")
    def get_folder(path: FilePath) -> Response:
        return answer(listing(path, desk.roots))

    @router.post("/describe", response_model=Description, responses=_REFUSED, summary="A scan, and a job for it")
    def post_describe(question: Question) -> Response:
        told, _ = desk.bench.ask("describe", question.model_dump())
        return answer(Description.model_validate(told))

    @router.post("/trial", response_class=Response, responses=_IMAGE, summary="One slice of a job, as an image")
    def post_trial(trial: Trial) -> Response:
        return PiecewiseResponse(binary_message(*desk.bench.ask("slice", trial.model_dump())))

    @router.post("/result", response_class=Response, responses=_IMAGE, summary="One slice of a result, as an image")
    def post_result(wanted: ResultSlice) -> Response:
        return PiecewiseResponse(binary_message(*desk.reader.ask("look", wanted.model_dump())))

    router.include_router(_structure_routes(desk))
    return router


def _structure_routes(desk: Desk) -> APIRouter:
    """The routes of h5grove, which the viewer of HDF5 files in the page asks."""
    router = APIRouter(prefix="/h5grove")

    def tell(what: str, file: str, path: str, **more: Any) -> Response:
        headers, body = desk.reader.ask("structure", {"what": what, "file": file, "path": path, **more})
        return PiecewiseResponse(body, headers)

    @router.get("/meta", response_class=Response, responses=_REFUSED, summary="What a path in an HDF5 file is")
    def get_meta(file: FilePath, path: InFile = "/") -> Response:
        return tell("meta", file, path)

    @router.get("/attr", response_class=Response, responses=_REFUSED, summary="Attributes of a path in an HDF5 file")
    def get_attr(
        file: FilePath,
        path: InFile = "/",
        attr_keys: Annotated[list[str] | None, Query(description="Which; all if none is named.")] = None,
    ) -> Response:
        return tell("attr", file, path, attr_keys=attr_keys)

    @router.get("/data", response_class=Response, responses=_REFUSED, summary="Values of a dataset")
    def get_data(
        file: FilePath,
        path: InFile = "/",
        selection: Annotated[str | None, Query(description="The part, as in NumPy.", examples=["3,:,:"])] = None,
        flatten: Annotated[bool, Query(description="One line of values.")] = False,
        dtype: Annotated[str, Query(description="origin, or safe for JavaScript.")] = "origin",
        format: Annotated[str, Query(description="json, bin, csv, npy or tiff.")] = "json",
    ) -> Response:
        return tell("data", file, path, selection=selection, flatten=flatten, dtype=dtype, format=format)

    @router.get("/stats", response_class=Response, responses=_REFUSED, summary="Statistics of a dataset")
    def get_stats(
        file: FilePath,
        path: InFile = "/",
        selection: Annotated[str | None, Query(description="The part, as in NumPy.", examples=["3,:,:"])] = None,
    ) -> Response:
        return tell("stats", file, path, selection=selection)

    @router.get("/paths", response_class=Response, responses=_REFUSED, summary="All paths in an HDF5 file")
    def get_paths(file: FilePath, path: InFile = "/") -> Response:
        return tell("paths", file, path)

    return router
