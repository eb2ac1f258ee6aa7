"""The service as an ASGI application."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from firstlight.core.errors import FirstlightError, UnknownName
from firstlight.jobs.catalogue import catalogue_text
from firstlight.jobs.remote import RunGone
from firstlight.jobs.supervise import Supervisor
from firstlight.kernels.cache_folder import cache_folder

from .describe import refusal_of
from .desk.routes import Desk, desk_routes
from .guard import COOKIE, Guard, token_fits
from .models import (
    Catalogue,
    Health,
    LoopStall,
    Problem,
    Refusal,
    Session,
    SessionOpened,
)
from .pages import add_pages
from .pieces import PiecewiseResponse
from .runs import answer, run_routes, view_routes
from .settings import Settings
from .sockets.events import send_events
from .sockets.models import RunEvent, ViewHeader, ViewRequest
from .sockets.talk import NONSENSE, Threads, greet, refuse
from .sockets.view import ViewSocket
from .stall import StallMonitor

API = "/api/v1"
ABOUT = """Start, watch, steer and stop runs.

Two websockets stand beside these routes, which OpenAPI has no words for; their messages are the models `ViewRequest`,
`ViewHeader` and `RunEvent` below. `WS /api/v1/runs/{run}/events` sends `RunEvent`. `WS /api/v1/runs/{run}/views/{view}` takes a
`ViewRequest` first and whenever the screen changes, and `{"ack": version}` after each image has been drawn; it sends binary
messages: u32 length of the header (little-endian), a `ViewHeader` as JSON, pixels (little-endian)."""


def create_app(
    settings: Settings | None = None, supervisor: Supervisor | None = None, *, further: Sequence[APIRouter] = ()
) -> FastAPI:
    """Make the service.

    Args:
        settings: Where it listens and whom it answers.
        supervisor: Starts and finds runs.
        further: Routes of programs that we replace. Outside ``/api/`` it is theirs to ask for the token.

    Returns:
        The application; `app.state.stalls` watches its loop.
    """
    settings = settings or Settings()
    supervisor = supervisor or Supervisor()
    stalls = StallMonitor()
    desk = Desk(settings)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await stalls.start()
        yield
        stalls.stop()
        desk.close()  # harmless twice: other servers than ours end it here
        supervisor.close()

    app = FastAPI(
        title="firstlight",
        version=version("firstlight"),
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{API}/openapi.json",
    )
    app.state.stalls = stalls
    app.state.desk = desk
    router = APIRouter(prefix=API)
    router.include_router(_service_routes(settings, supervisor, stalls))
    router.include_router(run_routes(settings, supervisor))
    router.include_router(view_routes(supervisor))
    router.include_router(desk_routes(desk))
    router.include_router(_socket_routes(settings, supervisor))
    app.include_router(router)
    for each in further:
        app.include_router(each)
    add_pages(app, settings.static)
    _add_refusals(app)
    app.openapi = lambda: _schema(app)
    app.add_middleware(Guard, settings=settings)
    _warm(app)
    return app


def _warm(app: FastAPI) -> None:
    """FastAPI prepares its routes when the first request comes, for 15 ms: rather now, while nobody waits."""
    nowhere = {"type": "http", "method": "GET", "path": f"{API}/nowhere", "root_path": "", "headers": []}
    for route in app.routes:
        route.matches(nowhere)


def _service_routes(settings: Settings, supervisor: Supervisor, stalls: StallMonitor) -> APIRouter:
    router = APIRouter(tags=["service"])
    begun = time.monotonic()
    kept: list[bytes] = []
    one_at_a_time = threading.Lock()

    @router.get("/health", response_model=Health, summary="Is the service there, and well?")
    def health() -> Response:
        running = sum(not entry.over for entry in supervisor.entries())
        stall = LoopStall(max_last_minute=round(stalls.worst_ms, 3), own_max_last_minute=round(stalls.worst_own_ms, 3))
        return answer(
            Health(version=version("firstlight"), uptime_s=time.monotonic() - begun, runs=running, loop_stall_ms=stall)
        )

    @router.get("/catalogue", response_model=Catalogue, summary="Everything that a job may name")
    def get_catalogue() -> Response:
        with one_at_a_time:
            if not kept:
                kept.append(catalogue_text(cache_folder()))
        return PiecewiseResponse(kept[0], media_type="application/json")

    @router.post(
        "/session",
        response_model=SessionOpened,
        responses={401: {"model": Refusal}},
        summary="Keep the token in a cookie",
    )
    def open_session(session: Session, request: Request) -> Response:
        if not token_fits(settings, session.token):
            error = Problem(
                field="token", message="The token does not fit.", expected="the token that the service was started with"
            )
            return answer(Refusal(error=error), 401)
        response = answer(SessionOpened())
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, session.token, httponly=True, samesite="strict", secure=secure, path="/")
        return response

    return router


def _socket_routes(settings: Settings, supervisor: Supervisor) -> APIRouter:
    router = APIRouter()
    threads = Threads()

    @router.websocket("/runs/{run}/events")
    async def events(socket: WebSocket, run: str) -> None:
        if await greet(socket, settings) is None:
            return
        try:
            found = await threads.run(lambda: supervisor.run(run))
        except UnknownName as error:
            await refuse(socket, error)
            await socket.close(NONSENSE)
            return
        await send_events(socket, found, threads)

    @router.websocket("/runs/{run}/views/{view}")
    async def view_images(socket: WebSocket, run: str, view: str) -> None:
        first = await greet(socket, settings)
        if first is None:
            return
        try:
            found = await threads.run(lambda: supervisor.run(run))
        except UnknownName as error:
            await refuse(socket, error)
            await socket.close(NONSENSE)
            return
        await ViewSocket(socket, found, view, threads).serve(first)

    return router


def _add_refusals(app: FastAPI) -> None:
    """Answer every kind of mistake in the same form."""

    @app.exception_handler(FirstlightError)
    def ours(request: Request, error: FirstlightError) -> Response:
        return answer(refusal_of(error), 404 if isinstance(error, UnknownName) else 422)

    @app.exception_handler(RunGone)
    def gone(request: Request, error: RunGone) -> Response:
        return answer(Refusal(error=Problem(message=str(error), next="Look at the run's state.")), 409)

    @app.exception_handler(HTTPException)
    def plain_http(request: Request, error: HTTPException) -> Response:
        problem = Problem(
            field="path", value=request.url.path, message=str(error.detail), next=f"See {API}/openapi.json."
        )
        return answer(Refusal(error=problem), error.status_code)

    @app.exception_handler(RequestValidationError)
    def not_valid(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        texts = [f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}" for item in found]
        first = ".".join(str(part) for part in found[0]["loc"][1:]) or "body"
        return answer(
            Refusal(error=Problem(field=first, message=texts[0], expected=found[0]["msg"]), problems=texts), 422
        )

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        problem = Problem(
            message=f"The service made a mistake: {type(error).__name__}.", next="Its log has more; please report it."
        )
        return answer(Refusal(error=problem), 500)


def _schema(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI schema, with the models of the websockets, which it knows nothing of, written in by hand."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        models = schema.setdefault("components", {}).setdefault("schemas", {})
        for model in (ViewRequest, ViewHeader, RunEvent):
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            models.update(described.pop("$defs", {}))
            models[model.__name__] = described
        app.openapi_schema = schema
    return app.openapi_schema
