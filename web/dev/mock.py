"""A stand-in for the service, for work on the pages: API v1 with a moving phantom that sharpens as frames come.

Run `python dev/mock.py [PORT]`, then `npm run dev` (or `npm run build` and open the port itself).
Runs: `live` (running, 1 % lost), `crashed`, `lines` (1-D view and more than four views), `finished`.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from mock_run import BORN, RUNS, Run, detail, message, picture
from PIL import Image

STATIC = Path(__file__).parents[2] / "src/firstlight/faces/rest/static"
app = FastAPI()


def refuse(status: int, field: str | None, value: Any, expected: str, text: str, following: str) -> JSONResponse:
    """A refusal in the shape of the contract."""
    return JSONResponse(
        {"error": {"field": field, "value": value, "expected": expected, "message": text, "next": following}}, status
    )


@app.get("/api/v1/health")
def health() -> dict[str, Any]:
    """Answer as the service does."""
    return {
        "name": "firstlight",
        "version": "0.1.0",
        "uptime_s": time.time() - BORN,
        "runs": len(RUNS),
        "loop_stall_ms": {"max_last_minute": 3.2},
    }


@app.get("/api/v1/runs")
def list_runs() -> list[dict[str, Any]]:
    """All runs."""
    return [detail(r, full=False) for r in RUNS.values()]


@app.post("/api/v1/runs", status_code=201)
async def start(request: Request) -> Any:
    """Start a run; a job without steps has two mistakes."""
    job = (await request.json())["job"]
    if not job.get("steps"):
        body = {
            "error": {
                "field": "steps",
                "value": None,
                "expected": "a list",
                "message": "The job has 2 mistakes.",
                "next": "Correct them and start again.",
            },
            "problems": [
                "steps: missing; expected a list of steps",
                "source.use 'phantm': unknown; did you mean 'phantom'?",
            ],
        }
        return JSONResponse(body, 422)
    run = Run(f"run{len(RUNS) + 1}")
    run.started = time.time()
    RUNS[run.id] = run
    return detail(run)


@app.get("/api/v1/runs/{run}")
def get_run(run: str) -> Any:
    """One run."""
    return (
        detail(RUNS[run])
        if run in RUNS
        else refuse(404, "id", run, "a run of this service", f"There is no run {run}.", "")
    )


@app.get("/api/v1/runs/{run}/log")
def log(run: str, after: int = 0) -> dict[str, Any]:
    """The log so far."""
    texts = [
        ("info", "source pva: connected to 2bmSP2:Pva1:Image"),
        ("info", "20 darks, 20 flats: ready"),
        ("info", "find_center: 255.54 px, confidence 0.97"),
        ("warning", "gap of 1 frame after id 199 (lost between detector and us)"),
        ("info", "slices: first full rotation"),
    ]
    return {
        "lines": [
            {"n": i, "at": RUNS[run].started + i, "level": level, "text": t}
            for i, (level, t) in enumerate(texts)
            if i >= after
        ],
        "next": len(texts),
    }


@app.post("/api/v1/runs/{run}/stop")
def stop(run: str) -> dict[str, Any]:
    """Stop it."""
    RUNS[run].state, RUNS[run].ended = "stopped", time.time()
    return detail(RUNS[run])


@app.patch("/api/v1/runs/{run}/parameters")
async def patch(run: str, request: Request) -> Any:
    """Change parameters; outliers of even size are refused."""
    r = RUNS[run]
    for step, values in (await request.json()).items():
        for name, value in values.items():
            if step == "remove_outliers" and value % 2 == 0:
                return refuse(
                    422,
                    "remove_outliers.size",
                    value,
                    "an odd number",
                    f"size is {value}, expected an odd number.",
                    f"Choose {value + 1}.",
                )
            old = r.slices.get(name) if step == "slices" else r.size
            if step == "slices":
                r.slices[name] = value
                r.held = r.held and name != "center"
            else:
                r.size = value
            r.changes.append(
                {
                    "step": step,
                    "parameter": name,
                    "old": old,
                    "new": value,
                    "epoch": 0,
                    "id": r.frames(),
                    "at": time.time(),
                }
            )
    r.moved = time.time()
    return {"epoch": 0, "id": r.frames()}


@app.get("/api/v1/runs/{run}/views/{view}.png")
def png(run: str, view: str) -> Response:
    """The image of a view."""
    data = np.nan_to_num(picture(RUNS[run], view))
    out = io.BytesIO()
    Image.fromarray((255 * np.clip(data / 3, 0, 1)).astype(np.uint8)).save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png")


@app.websocket("/api/v1/runs/{run}/events")
async def events(socket: WebSocket, run: str) -> None:
    """Status four times a second."""
    await socket.accept()
    try:
        while True:
            await socket.send_json({"type": "status", "run": detail(RUNS[run])})
            await asyncio.sleep(0.25)
    except (WebSocketDisconnect, RuntimeError):
        return


@app.websocket("/api/v1/runs/{run}/views/{view}")
async def view_socket(socket: WebSocket, run: str, view: str) -> None:
    """Images of a view: one at a time, the next after its acknowledgement."""
    await socket.accept()
    ask: dict[str, Any] = await socket.receive_json()
    news = asyncio.Event()
    ready = asyncio.Event()
    ready.set()

    async def listen() -> None:
        nonlocal ask
        while True:
            said = await socket.receive_json()
            if "ack" in said:
                ready.set()
            else:
                ask = said
                news.set()

    ears = asyncio.create_task(listen())
    version = 0
    try:
        while not ears.done():
            await asyncio.wait_for(ready.wait(), 60)
            ready.clear()
            version += 1
            await socket.send_bytes(await asyncio.to_thread(message, RUNS[run], view, version, ask))
            if RUNS[run].ended is None:
                await asyncio.sleep(0.1)
            else:
                news.clear()
                await news.wait()
    except (WebSocketDisconnect, RuntimeError, TimeoutError):
        return
    finally:
        ears.cancel()


@app.get("/{path:path}")
def page(path: str) -> Response:
    """The built pages."""
    if path.startswith("api/"):
        return refuse(404, None, path, "a known address", "Not found.", "")
    file = STATIC / path
    return FileResponse(file if path and file.is_file() else STATIC / "index.html")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8000, log_level="warning")
