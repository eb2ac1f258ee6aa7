"""How many images a second follow a virtual detector that is dragged: 256 x 256 points of 64 x 64 pixels, 16 bit, all held.

The whole chain is measured, as the browser uses it: a request to the service (REST), the run in a process of its own, the image back
over a websocket, one request at a time. What bounds it are the hops between processes; the sums themselves read the pixels that the
detector gained and lost (some 5 ms of one core), where 512 MiB of patterns are held. Takes about 30 s, and half a gigabyte of disk.

    python benchmarks/dragging.py [--points 256] [--pixels 64] [--seconds 10]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from websockets.sync.client import connect

from firstlight.faces.rest.serve import ServiceThread
from firstlight.faces.rest.settings import Settings
from firstlight.jobs.store import Store
from firstlight.jobs.supervise import Supervisor, started

RESULTS = Path(__file__).parent / "results" / "dragging.json"
WANTED = 10.0
"""Images per second."""


def main() -> int:
    """Play a scan, drag the detector, and write what came."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=256, help="points of a line, and lines")
    parser.add_argument("--pixels", type=int, default=64, help="rows and columns of a pattern")
    parser.add_argument("--seconds", type=float, default=10.0, help="of dragging")
    options = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        supervisor = Supervisor(Store(Path(folder) / "state"))
        service = ServiceThread(Settings(port=0), supervisor)
        run = supervisor.start(_job(Path(folder) / "scan.npy", options))
        try:
            started(run, 60)
            found = _drag(f"127.0.0.1:{service.port}/api/v1/runs/{run.id}", options)
        finally:
            run.kill()
            service.stop()
            supervisor.close()
    result = {
        **found,
        "wanted": WANTED,
        "points": options.points,
        "pixels": options.pixels,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": before,
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/dragging.py", *sys.argv[1:]]),
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if found["images_per_second"] >= WANTED else 1


def _job(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    points, pixels = options.points, options.pixels
    frames = np.random.default_rng(0).poisson(6, (points, pixels, pixels)).astype(np.uint16)
    scan = np.lib.format.open_memmap(path, "w+", np.uint16, (points, points, pixels, pixels))
    for line in range(points):
        scan[line] = np.roll(frames, line, axis=0)
    scan.flush()
    ring = {"shape": "annulus", "inner": pixels / 6, "outer": pixels / 3}
    return {
        "source": {"use": "npy", "path": str(path)},
        "steps": [{"use": "live_patterns", "name": "patterns", **ring}],
        "views": [{"of": "patterns", "every": "0.02 s"}],
        "runner": {"linger": "10 min"},
    }


def _drag(address: str, options: argparse.Namespace) -> dict[str, float]:
    while True:
        told = httpx.get(f"http://{address}", timeout=60).json()
        if told["state"] in ("failed", "crashed", "stopped"):
            raise SystemExit(f"The run ended: {told['error']}")
        if told["counts"]["done"] == options.points**2:
            break
        time.sleep(0.2)
    came, stop = threading.Semaphore(0), threading.Event()
    watching = threading.Thread(target=_watch, args=(address, came, stop))
    watching.start()
    came.acquire()
    took: list[float] = []
    middle = (options.pixels - 1) / 2
    with httpx.Client(timeout=60) as client:
        began = time.perf_counter()
        while time.perf_counter() - began < options.seconds:
            turn, asked = len(took) / 5, time.perf_counter()
            center = [middle + 4 * np.sin(turn), middle + 4 * np.cos(turn)]
            client.patch(f"http://{address}/parameters", json={"patterns": {"center": center}}).raise_for_status()
            if not came.acquire(timeout=60):
                raise SystemExit("No image came.")
            took.append(time.perf_counter() - asked)
        seconds = time.perf_counter() - began
    stop.set()
    watching.join()
    p50, p95 = (float(np.percentile(took, share)) * 1e3 for share in (50, 95))
    return {"images_per_second": len(took) / seconds, "p50_ms": p50, "p95_ms": p95}


def _watch(address: str, came: threading.Semaphore, stop: threading.Event) -> None:
    """Acknowledge images as the page does, and say that they came."""
    with connect(f"ws://{address}/views/patterns.image", max_size=None) as socket:
        socket.send(json.dumps({"token": None, "width": 512, "height": 512, "region": None, "phase": True}))
        while not stop.is_set():
            try:
                message = socket.recv(timeout=0.5)
            except TimeoutError:
                continue
            if isinstance(message, str):
                raise SystemExit(message)
            header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
            socket.send(json.dumps({"ack": header["version"]}))
            came.release()


if __name__ == "__main__":
    sys.exit(main())
