"""Sums over events beside the same sums over pixels: a Timepix3 scan in memory, at several occupancies.

Both ways go through the whole engine (fl.run), with the same steps and threads; one gets sparse frames, the other the same
frames dense. The best of three rounds is compared.

    python benchmarks/sparse_frames.py [--points 64] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import firstlight as fl
from firstlight.kernels.sparse_frames import SparseFrames

RESULTS = Path(__file__).parent / "results" / "sparse_frames.json"
SIZE = 256
DATA = ["source.data"]
STEPS: list[dict[str, Any]] = [
    {"use": "virtual_detector", "inputs": DATA, "shape": "annulus", "inner": 20, "outer": 60},
    {"use": "center_of_mass", "inputs": DATA},
    {"use": "sum", "inputs": DATA},
    {"use": "radial_profile", "inputs": DATA},
]


class Events(fl.Source):
    """Frames in memory, as events or as pixels."""

    use = "events"
    pausable = True
    points: int
    chunks: Any = ()

    def open(self) -> fl.Scan:
        """A square scan."""
        sizes = {"scan_y": self.points, "scan_x": self.points, "row": SIZE, "col": SIZE}
        return fl.Scan({"data": fl.Stream(tuple(sizes), sizes, "uint16", 2, unit="counts")})

    def items(self) -> Iterator[fl.Chunk]:
        """All of them."""
        first = 0
        for data in self.chunks:
            yield fl.Chunk(data, ("row", "col"), np.arange(first, first + len(data)))
            first += len(data)

    def stop(self) -> None:
        """Nothing to stop."""

    def close(self) -> None:
        """Nothing to close."""


def main() -> int:
    """Measure each occupancy, and check that both find the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=48, help="points of a line, and lines")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    cases = {f"{events} events": _case(events, options) for events in (30, 300, 3000)}
    for name, case in cases.items():
        sys.stdout.write(f"{name:12}" + "  ".join(f"{key} {value:.3g}" for key, value in case.items()) + "\n")
    result = {
        "cases": cases,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/sparse_frames.py", *sys.argv[1:]]),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def _case(events: int, options: argparse.Namespace) -> dict[str, float]:
    rng, frames = np.random.default_rng(0), options.points**2
    starts = np.arange(frames + 1) * events
    places = rng.integers(0, SIZE * SIZE, frames * events, dtype=np.uint32)
    whole = SparseFrames(starts, places, np.ones(len(places), np.uint8), (SIZE, SIZE), np.uint16)
    sparse = [whole[first : first + 256] for first in range(0, frames, 256)]
    dense = [np.asarray(whole[first : first + 32]) for first in range(0, frames, 32)]
    took: dict[str, float] = {"events": float("inf"), "pixels": float("inf")}
    found: dict[str, Any] = {}
    for _ in range(3):
        for name, chunks in (("events", sparse), ("pixels", dense)):
            source = Events.model_construct(points=options.points, chunks=chunks)
            started = time.perf_counter()
            found[name] = fl.run(source, STEPS, threads=options.threads).finished()
            took[name] = min(took[name], time.perf_counter() - started)
    for name, result in found["pixels"].items():
        if not np.allclose(found["events"][name].data, result.data):
            raise SystemExit(f"{name} differs.")
    rates = {f"{name}_frames_s": frames / seconds for name, seconds in took.items()}
    return {**rates, "times_faster": took["pixels"] / took["events"]}


if __name__ == "__main__":
    sys.exit(main())
