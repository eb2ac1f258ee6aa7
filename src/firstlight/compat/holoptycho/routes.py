"""holoptycho's REST routes: the same paths, codes and JSON fields. Plain functions: FastAPI runs them on threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from firstlight.core.errors import FirstlightError
from firstlight.jobs.supervise import Supervisor

from .models import ModelBusy, ModelError
from .service import Refused, Service

AUTHORISED = "firstlight.authorised"
"""Under this name the service's guard writes into each request whether it carried the token."""


class RunBody(BaseModel):
    """What /run and /restart take."""

    model_config = ConfigDict(extra="ignore")

    config: dict[str, Any] | None = None
    """Flat config; none: the one that was run last."""


class ModelBody(BaseModel):
    """What /model takes."""

    model_config = ConfigDict(extra="ignore")

    name: str
    version: str | None = None


class _Route(APIRoute):
    """A route that asks for the token where one is set, and tells what is wrong as holoptycho does: ``{"detail": …}``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with our errors around it."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            if not request.scope.get(AUTHORISED, True):
                return _detail(401, "A token is needed: Authorization: Bearer TOKEN.")
            try:
                return await handler(request)
            except RequestValidationError as error:
                # without the input: it may hold what must not be repeated
                found = [{name: item[name] for name in ("type", "loc", "msg")} for item in error.errors()]
                return _detail(422, found)
            except Refused as error:
                return _detail(error.status, error.message)
            except ModelBusy as error:
                return _detail(409, str(error))
            except ModelError as error:
                return _detail(422, str(error))
            except FirstlightError as error:
                return _detail(400, str(error))

        return told


def _detail(status: int, content: Any) -> Response:
    return JSONResponse({"detail": content}, status)


def routes(supervisor: Supervisor, roots: Sequence[Path]) -> APIRouter:
    """The routes, over the environment of this process.

    Args:
        supervisor: Starts the runs.
        roots: Folders that runs may read and write; results go to the first one.

    Raises:
        ConfigError: The environment lacks the address of a stream, or has some keys of CurveZMQ and not all.
    """
    service = Service(supervisor, os.environ, roots)
    return router_of(service)


def router_of(service: Service) -> APIRouter:
    """The routes over a service."""
    router = APIRouter(tags=["holoptycho"], route_class=_Route)
    _add_runs(router, service)
    _add_logs(router, service)
    _add_models(router, service)
    return router


def _add_runs(router: APIRouter, service: Service) -> None:
    @router.get("/status", summary="What the pipeline does")
    def status() -> Response:
        return JSONResponse(service.snapshot())

    @router.get("/config", summary="The config that was run last")
    def config() -> Response:
        return JSONResponse(service.config())

    @router.post("/run", summary="Start a run, and wait until it listens to its streams")
    def run(body: Annotated[RunBody | None, Body()] = None) -> Response:
        return JSONResponse(service.run(None if body is None else body.config))

    @router.post("/stop", status_code=202, summary="End the run in order")
    def stop() -> Response:
        service.stop()
        return _detail(202, "Stop requested")

    @router.post("/restart", summary="End the run if one goes on, and start another")
    def restart(body: Annotated[RunBody | None, Body()] = None) -> Response:
        return JSONResponse(service.restart(None if body is None else body.config))


def _add_logs(router: APIRouter, service: Service) -> None:
    @router.get("/logs", summary="The last lines of the log")
    def logs(lines: Annotated[int, Query(ge=0, le=100_000, description="How many.")] = 100) -> Response:
        return JSONResponse({"lines": service.logs(lines)})

    @router.post("/logs/clear", summary="Forget the log")
    def clear_logs() -> Response:
        return JSONResponse({"detail": "Logs cleared", "removed_rotated": service.clear_logs()})


def _add_models(router: APIRouter, service: Service) -> None:
    @router.post("/model", status_code=202, summary="Choose a network")
    def choose(body: ModelBody) -> Response:
        service.models.choose(body.name, body.version)
        version = "latest" if body.version is None else f"v{body.version}"
        return _detail(202, f"Model swap started: {body.name} {version}")

    @router.get("/model/status", summary="Which network is chosen")
    def model_status() -> Response:
        return JSONResponse(service.models.status())

    @router.get("/model/list", summary="Networks in the local folder, and in the registry")
    def model_list() -> Response:
        found, there = service.models.elsewhere()
        return JSONResponse({"local": service.models.files(), "azure": found, "azure_available": there})
