"""What the mock service pretends: runs, their steps and views, and the images of a phantom that breathes."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import numpy as np

N, NZ, PIXEL = 512, 400, 0.65
BORN = time.time()
FPS = 42.0
ELLIPSOIDS = [  # x y z, half axes, value; in units of half the width
    (0, 0, 0, 0.72, 0.9, 0.95, 1.0),
    (0, 0.02, 0, 0.68, 0.86, 0.9, -0.55),
    (0.25, 0, 0.1, 0.14, 0.32, 0.4, -0.25),
    (-0.25, 0, -0.1, 0.18, 0.42, 0.5, -0.25),
    (0, -0.4, 0.2, 0.22, 0.22, 0.3, 0.3),
    (0.08, 0.45, -0.2, 0.06, 0.06, 0.1, 0.6),
    (-0.1, 0.55, 0.4, 0.1, 0.05, 0.2, 0.5),
    (0.4, 0.3, 0.5, 0.08, 0.08, 0.08, 0.9),
]


class Run:
    """What one pretended run knows."""

    def __init__(self, name: str, state: str = "running", views: int = 4) -> None:
        """Start counting now."""
        self.id, self.name, self.state, self.started = name, f"{name}_0412", state, time.time() - 12
        self.error: str | None = None
        self.ended: float | None = None
        self.slices: dict[str, Any] = {
            "z": 170,
            "y": None,
            "x": None,
            "filter": "hann",
            "center": None,
            "window": 180.0,
        }
        self.size = 3
        self.held = True
        self.changes: list[dict[str, Any]] = []
        self.views = views
        self.moved = 0.0

    def frames(self) -> int:
        """Frames that came so far."""
        return int(((self.ended or time.time()) - self.started) * FPS)


RUNS = {r.id: r for r in (Run("live"), Run("crashed", "crashed"), Run("lines", views=7), Run("finished", "done"))}
RUNS[
    "crashed"
].error = "The process of the run ended with signal 9 (killed) after frame 1204. The machine was out of memory."
RUNS["crashed"].ended = RUNS["crashed"].started + 31
RUNS["finished"].ended = RUNS["finished"].started + 36


def slices_schema() -> dict[str, Any]:
    """Schema of `live_slices`, as pydantic writes it."""
    plane = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None, "unit": "px"}
    return {
        "type": "object",
        "properties": {
            "z": {**plane, "description": "Row of the plane xy."},
            "y": plane,
            "x": plane,
            "center": {"type": "number", "unit": "px", "description": "Column of the rotation axis, counted from 0."},
            "filter": {
                "enum": ["ram-lak", "shepp-logan", "cosine", "hann", "hamming", "parzen"],
                "default": "ram-lak",
                "type": "string",
                "description": "Shape of the ramp filter: Ram-Lak is sharp, Hann and Parzen are calm. Noise falls and edges blur in the order of this list.",
            },
            "window": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 360,
                "default": 180,
                "unit": "degree",
                "description": "How much of the last rotation is in the picture.",
            },
            "exact_refresh": {
                "type": "boolean",
                "default": True,
                "description": "Compute everything anew now and then.",
            },
        },
    }


def steps(run: Run) -> list[dict[str, Any]]:
    """The steps of a run with their values."""
    held = {"center": "find_center.center"} if run.held else {}
    outlier = {
        "type": "object",
        "properties": {
            "size": {
                "type": "integer",
                "minimum": 3,
                "maximum": 21,
                "default": 3,
                "unit": "px",
                "description": "Width of the median window.",
            }
        },
    }
    return [
        {
            "name": "flat_field",
            "use": "flat_field",
            "title": "Flat field",
            "schema": {"properties": {}},
            "values": {},
            "held": {},
            "live": True,
        },
        {
            "name": "remove_outliers",
            "use": "remove_outliers",
            "title": "Remove outliers",
            "schema": outlier,
            "values": {"size": run.size},
            "held": {},
            "live": True,
        },
        {
            "name": "find_center",
            "use": "find_center",
            "title": "Find the centre",
            "live": False,
            "held": {},
            "values": {"method": "vo"},
            "schema": {
                "properties": {
                    "method": {"enum": ["vo", "phase"], "type": "string", "description": "How the axis is found."}
                }
            },
        },
        {
            "name": "slices",
            "use": "live_slices",
            "title": "Live slices",
            "schema": slices_schema(),
            "values": {**run.slices, "exact_refresh": True},
            "held": held,
            "live": True,
        },
    ]


def views(run: Run) -> list[dict[str, Any]]:
    """The views of a run."""
    follows = {"z": "slices.z", "y": "slices.y", "x": "slices.x"}
    common = {"step": "slices", "unit": "1/cm", "pixel_size": [PIXEL, PIXEL], "pixel_unit": "um", "follows": follows}
    found = [
        {"name": "xy", "output": "xy", "axes": ["y", "x"], "shape": [N, N], **common},
        {"name": "xz", "output": "xz", "axes": ["z", "x"], "shape": [NZ, N], **common},
        {"name": "yz", "output": "yz", "axes": ["z", "y"], "shape": [NZ, N], **common},
        {
            "name": "projection",
            "step": "minus_log",
            "output": "main",
            "axes": ["row", "col"],
            "shape": [NZ, N],
            "unit": None,
            "pixel_size": [PIXEL, PIXEL],
            "pixel_unit": "um",
            "follows": {"row": "slices.z"},
        },
    ]
    extra = {"step": "mean", "unit": "counts", "pixel_size": None, "pixel_unit": None, "follows": {}, "output": "main"}
    found.append({"name": "spectrum", "axes": ["energy"], "shape": [300], **extra})
    found.append({"name": "sinogram", "axes": ["angle", "col"], "shape": [900, N], **extra})
    found.append({"name": "thin", "axes": ["row", "col"], "shape": [2, N], **extra})
    return found[: run.views]


def detail(run: Run, full: bool = True) -> dict[str, Any]:
    """RunDetail, or RunSummary where `full` is false."""
    summary = {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "started": run.started,
        "ended": run.ended,
        "error": run.error,
    }
    if not full:
        return summary
    came = min(run.frames(), 10**6)
    total = 1500 if run.ended else None if run.id == "lines" else 20000
    lost = came // 100 if run.id == "live" else 0
    live = run.ended is None
    return summary | {
        "counts": {
            "expected": total,
            "done": came - lost - 3,
            "lost": lost,
            "dropped": 0,
            "rejected": 0,
            "excluded": 0,
            "waiting": 3 if live else 0,
            "duplicates": 0,
        },
        "rates": {"frames_per_second": FPS if live else 0, "bytes_per_second": FPS * 2 * N * NZ if live else 0},
        "latency_ms": {"p50": 48.0, "p95": 112.0, "p99": 190.0} if live else None,
        "queue": {"used_bytes": 180 << 20 if live else 0, "capacity_bytes": 2 << 30, "frames": 214 if live else 0},
        "views": views(run),
        "steps": steps(run),
        "values": {"find_center.center": 255.5 + 0.04, "find_center.confidence": 0.97},
        "changes": run.changes,
        "result": None if run.id == "live" else "/data/visit/scan_0412_rec.nxs",
        "job": {
            "source": {"use": "pva", "image": "2bmSP2:Pva1:Image"},
            "steps": [{"use": "flat_field"}, {"use": "live_slices", "name": "slices"}],
        },
    }


def evaluate(x: np.ndarray, y: np.ndarray, z: np.ndarray | float, t: float) -> np.ndarray:
    """The phantom at points (in units of half the width); it breathes slowly."""
    out = np.zeros(np.broadcast(x, y, z).shape, np.float32)
    for cx, cy, cz, a, b, c, value in ELLIPSOIDS:
        k = 1 + 0.03 * np.sin(t * 0.7 + cx * 9)
        out += value * ((((x - cx) / (a * k)) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2) < 1)
    return out * 3


def picture(run: Run, view: str) -> np.ndarray:
    """The full image of a view now."""
    t = (run.ended or time.time()) - BORN
    h, hz = (np.arange(N) - N / 2) / (N / 2), (np.arange(NZ) - NZ / 2) / (NZ / 2)
    at = {k: (run.slices[k] if run.slices[k] is not None else n // 2) for k, n in (("x", N), ("y", N), ("z", NZ))}
    rng = np.random.default_rng()
    noise = 1.2 / (1 + (time.time() - run.started) / 6) + 0.03
    if view == "xy":
        img = evaluate(h[None, :], h[:, None], hz[at["z"]], t)
        img[h[None, :] ** 2 + h[:, None] ** 2 > 1] = np.nan
    elif view == "xz":
        img = evaluate(h[None, :], h[at["y"]], hz[:, None], t)
    elif view == "yz":
        img = evaluate(h[at["x"]], h[None, :], hz[:, None], t)
    elif view == "spectrum":
        e = np.arange(300)
        return (1000 * np.exp(-(((e - 120 - 10 * np.sin(t)) / 12) ** 2)) + 200 + rng.normal(0, 12, 300)).astype(
            np.float32
        )
    elif view == "thin":
        img = np.stack([np.sin(h * 9 + t), np.cos(h * 9 + t)]).astype(np.float32)
    elif view == "sinogram":
        a = np.linspace(0, np.pi, 900)[:, None]
        img = sum(
            v * np.exp(-(((h[None, :] - x * np.cos(a) - y * np.sin(a)) / 0.2) ** 2))
            for x, y, _, _, _, _, v in ELLIPSOIDS
        )
    else:
        c, s = np.cos(t * 0.5), np.sin(t * 0.5)
        img = (
            sum(
                evaluate(h[None, :] * c - d * s, h[None, :] * s + d * c, hz[:, None], t)
                for d in np.linspace(-0.9, 0.9, 16)
            )
            / 8
        )
    return (img + rng.normal(0, noise, img.shape)).astype(np.float32)


def message(run: Run, view: str, version: int, ask: dict[str, Any]) -> bytes:
    """One binary message: header and pixels, scaled to what the screen shows."""
    full = picture(run, view)
    info = next(v for v in views(run) if v["name"] == view)
    shape = list(full.shape)
    region = None
    data = full
    if full.ndim == 2:
        region = ask.get("region") or [0, shape[0], 0, shape[1]]
        r0, r1, c0, c1 = region
        rows = np.linspace(r0, r1 - 1e-6, min(r1 - r0, max(1, ask["height"]))).astype(int)
        cols = np.linspace(c0, c1 - 1e-6, min(c1 - c0, max(1, ask["width"]))).astype(int)
        data = np.ascontiguousarray(full[np.ix_(rows, cols)])
    good = full[np.isfinite(full)]
    counts, edges = np.histogram(good, 128)
    now = time.time()
    header = {
        "view": view,
        "version": version,
        "shape": list(data.shape),
        "dtype": "float32",
        "full_shape": shape,
        "region": region,
        "axes": info["axes"],
        "unit": info["unit"],
        "pixel_size": info["pixel_size"],
        "pixel_unit": info["pixel_unit"],
        "range": [float(good.min()), float(good.max())],
        "levels": np.percentile(good, [0.5, 99.5]).tolist(),
        "histogram": {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist()},
        "coverage": min(1.0, run.frames() / 1500),
        "epoch": 0,
        "id": run.frames(),
        "received": now - 0.05,
        "sent": now,
        "coarse": now - run.moved < 0.2 and view != "projection",
    }
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + data.tobytes()
