"""The REST interface of the simulated control unit: the part of SIMPLON 1.8 that controlling a series needs."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from .unit import ControlUnit

VERSION = "1.8.0"
_ALLOWED = {
    "trigger_mode": ("ints", "inte", "exts", "exte"),
    "compression": ("lz4", "bslz4", "none"),
    "header_detail": ("none", "basic", "all"),
    "mode": ("enabled", "disabled"),
    "format": ("legacy", "cbor"),
}
_FIXED = ("x_pixels_in_detector", "y_pixels_in_detector", "bit_depth_image")


def app_for(unit: ControlUnit) -> FastAPI:
    """An application that serves one control unit."""
    app = FastAPI(title="simulated SIMPLON", openapi_url=None)

    @app.get("/detector/api/version/")
    @app.get("/detector/api/version")
    def version() -> dict[str, Any]:
        return {"value": VERSION, "value_type": "string"}

    @app.get("/detector/api/{version}/status/state")
    def state(version: str) -> dict[str, Any]:
        return {"value": unit.state, "value_type": "string"}

    @app.get("/{module}/api/{version}/config/{parameter}")
    def get(module: str, version: str, parameter: str) -> JSONResponse:
        known = unit.config.get(module, {})
        if parameter not in known:
            return JSONResponse(f"{module} has no parameter {parameter}", 404)
        answer = {"value": known[parameter], "value_type": _type_of(known[parameter])}
        answer["access_mode"] = "r" if parameter in _FIXED else "rw"
        return JSONResponse(answer | ({"allowed_values": _ALLOWED[parameter]} if parameter in _ALLOWED else {}))

    @app.put("/{module}/api/{version}/config/{parameter}")
    async def put(module: str, version: str, parameter: str, request: Request) -> JSONResponse:
        known = unit.config.get(module, {})
        if parameter not in known or parameter in _FIXED:
            return JSONResponse(f"{module} has no parameter {parameter} that can be changed", 404)
        try:
            value = (await request.json())["value"]
        except (ValueError, KeyError, TypeError):
            return JSONResponse('the body must be {"value": …}', 400)
        if (why := _wrong(parameter, value)) is not None:
            return JSONResponse(why, 400)
        known[parameter] = value
        return JSONResponse([parameter])

    @app.put("/detector/api/{version}/command/{command}")
    async def command(version: str, command: str) -> JSONResponse:
        return await anyio.to_thread.run_sync(_command, unit, command)

    return app


def _command(unit: ControlUnit, command: str) -> JSONResponse:
    if command == "arm":
        return JSONResponse({"sequence id": unit.arm()})
    if command == "trigger":
        mode = str(unit.config["detector"]["trigger_mode"])
        if not mode.startswith("int") or unit.state == "idle":
            return JSONResponse(f"a trigger is not possible: state {unit.state}, trigger_mode {mode}", 400)
        unit.trigger()
    elif command in ("disarm", "abort", "cancel", "initialize"):
        unit.abort()
    elif command not in ("status_update", "hv_reset"):
        return JSONResponse(f"there is no command {command}", 404)
    return JSONResponse(None)


def _wrong(parameter: str, value: Any) -> str | None:
    if parameter in _ALLOWED and value not in _ALLOWED[parameter]:
        return f"{parameter} must be one of {', '.join(_ALLOWED[parameter])}"
    if parameter in ("nimages", "ntrigger") and (not isinstance(value, int) or not 0 < value <= 2 * 10**9):
        return f"{parameter} must be a number from 1"
    if parameter in ("count_time", "frame_time") and (not isinstance(value, int | float) or value <= 0):
        return f"{parameter} must be a time in second"
    return None


def _type_of(value: Any) -> str:
    return {bool: "bool", int: "uint", float: "float"}.get(type(value), "string")
