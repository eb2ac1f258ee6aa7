"""Frames of an Eiger and positions of a PandABox, joined by number: is everything there at a given rate, and what does it cost?

The simulators run in processes of their own on the same two cores: diffraction frames (uint16, bitshuffled LZ4, DECTRIS stream v1)
and positions (JSON over ZeroMQ) of 4 s at each rate. Both streams are received, decoded, joined by frame number and summed; the sum
stands for whatever takes the joined chunks. The peer, holoptycho, takes 676 to 800 frames/s.

    python benchmarks/ingest.py [--sizes 128 256] [--rates 2000 4000 8000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

import firstlight as fl
from firstlight.connectors.together.source import TogetherSource

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ingest.json"
WANTED = 2000


def main() -> int:
    """Play every size at every rate."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--rates", type=int, nargs="+", default=[2000, 4000, 8000])
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        _round(Path(folder), options.sizes[0], WANTED, 500)  # loads what is compiled
    for size in options.sizes:
        for rate in options.rates:
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(_round(Path(folder), size, rate, int(rate * options.seconds)))
            sys.stdout.write(json.dumps(rounds[-1]) + "\n")
            sys.stdout.flush()
    result = {
        "rounds": rounds,
        "wanted": f"{WANTED} frames/s on two cores, none lost",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/ingest.py", *sys.argv[1:]]),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    kept = [r["size"] for r in rounds if r["lost"] == 0 and r["frames_per_second"] >= 0.95 * WANTED]
    return 0 if set(options.sizes) <= set(kept) else 1


def _round(folder: Path, size: int, rate: int, count: int) -> dict[str, Any]:
    distance = np.hypot(*np.mgrid[-size // 2 : size // 2, -size // 2 : size // 2])
    frames = np.random.default_rng(0).poisson(np.where(distance < size / 8, 20.0, 0.2), (16, size, size))
    np.save(folder / "frames.npy", frames.astype(np.uint16))
    np.save(folder / "places.npy", np.random.default_rng(1).random((count, 2)))
    with ExitStack() as stack:
        eiger = ["dectris", folder / "frames.npy", "--frames", count, "--settle", 0, "--rate", rate]
        panda = ["panda", folder / "places.npy", "--rate", rate]
        frames_at = stack.enter_context(_simulator(*eiger))["data"]
        places_at = stack.enter_context(_simulator(*panda))["positions"]
        parts = {"data": {"use": "dectris", "data": frames_at}, "positions": {"use": "panda", "address": places_at}}
        parts["positions"]["positions"] = count
        # a simulated PandABox begins when it is listened to, a detector a little later: so many positions wait
        steps: list[dict[str, Any]] = [
            # a simulated PandABox begins when it is listened to, a detector a little later: so many positions wait
            {"use": "join", "inputs": ["source.data", "source.positions"], "coordinate": "positions", "window": count},
            {"use": "sum", "inputs": ["join"]},
        ]
        used = time.process_time()
        run = fl.run(TogetherSource(sources=parts), steps)
        while run.counts.done == 0:
            time.sleep(0.005)
        began, first = time.perf_counter(), run.counts.done
        run.finished(600)
        seconds = time.perf_counter() - began
        counts = run.counts
    return {
        "size": size,
        "rate": rate,
        "frames": count,
        "lost": count - counts.done,
        "frames_per_second": round((counts.done - first) / seconds),
        "processor_us_per_frame": round((time.process_time() - used) / count * 1e6),
    }


class _simulator:  # noqa: N801 (used as a function)
    """A simulator in a process of its own; what it tells of itself."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "firstlight.cli.main", "sim", *map(str, arguments)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


if __name__ == "__main__":
    sys.exit(main())
