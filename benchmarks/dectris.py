"""DECTRIS stream v1 over loopback to a finished image of the centre of mass, beside LiberTEM-live on the same simulator.

It also measures how long after its last frame came a line of the scan is in the picture (256 x 256 pixels, compressed, 1000 frames/s,
lines of 50, pictures every 20 ms): from the arrival of the newest frame to the finished picture.

Both read series of the same frames (Poisson disks, 16 distinct ones) from ``firstlight sim dectris``, in turn, on the same
cores. The first series warms both up and does not count. Time runs from arming to the finished image.

    python benchmarks/dectris.py [--sizes 256 512] [--frames 16384] [--peers .peers]
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
from pathlib import Path
from typing import Any

import numpy as np

import firstlight as fl
from firstlight.connectors.dectris.detector import Detector
from firstlight.core.buffer import BufferSettings
from firstlight.core.job import Job, ViewSpec
from firstlight.core.pipeline import Reference

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "dectris.json"
ENCODINGS = {"raw": "<", "bslz4": "bs16-lz4<"}
LATENCY_RATE, LINE = 1000, 50
"""Frames per second, and points of a line, of the scan whose latency is measured."""


def main() -> int:
    """Measure every size and encoding, ours and LiberTEM-live's (which reads no raw frames)."""
    options = _options()
    rounds: list[dict[str, Any]] = []
    for size in options.sizes:
        count = max(1024, options.frames * 256**2 // size**2)
        for name, encoding in ENCODINGS.items():
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(
                    {"size": size, "encoding": name, "frames": count} | _round(folder, size, encoding, count, options)
                )
            _say(rounds[-1])
    with tempfile.TemporaryDirectory() as folder:
        latency = _latency(Path(folder))
    sys.stdout.write(json.dumps(latency) + "\n")
    result = {
        "rounds": rounds,
        "latency": latency,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/dectris.py", *sys.argv[1:]]),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(r["ours"]["lost"] == 0 for r in rounds) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--frames", type=int, default=16384, help="at 256 x 256; fewer of larger ones")
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", HERE.parent / ".peers")))
    return parser.parse_args()


def _frames(folder: Path, size: int) -> Path:
    file = folder / "frames.npy"
    distance = np.hypot(*np.mgrid[-size // 2 : size // 2, -size // 2 : size // 2])
    mean = np.where(distance < size / 8, 20.0, 0.2)
    np.save(file, np.random.default_rng(0).poisson(mean, (16, size, size)).astype(np.uint16))
    return file


def _latency(folder: Path) -> dict[str, Any]:
    """From the arrival of the newest frame to the picture that shows it."""
    count, rate = 5 * LATENCY_RATE, LATENCY_RATE
    found, lost = {}, 0
    with _simulator(_frames(folder, 256), ENCODINGS["bslz4"], count, "--rate", str(rate)) as told:
        with Detector(told["data"], api=told["api"]) as detector:
            for frames in (1000, count):  # the first series loads what is compiled
                source = detector.arm(shape=(frames // LINE, LINE), trigger_mode="exte")
                run = fl.run(
                    source, [fl.step("center_of_mass")], views=[ViewSpec(Reference("center_of_mass"), every=0.02)]
                )
                run.finished(600)
                found, lost = run.report()["latency_ms"], run.counts.expected - run.counts.done
    return {"frames_per_second": rate, "p50_ms": round(found["p50"], 1), "p95_ms": round(found["p95"], 1), "lost": lost}


def _round(folder: str, size: int, encoding: str, count: int, options: argparse.Namespace) -> dict[str, Any]:
    file = _frames(Path(folder), size)
    found: dict[str, Any] = {}
    with _simulator(file, encoding, count) as told:
        found["ours"] = _ours(told, count, size)
    python = options.peers / "libertem-live" / "bin" / "python"
    if encoding != "<" and python.exists():
        with _simulator(file, encoding, count) as told:
            found["libertem_live"] = _libertem(python, told, count, size)
        found["ratio"] = round(found["ours"]["frames_per_second"] / found["libertem_live"]["frames_per_second"], 2)
    return found


class _simulator:  # noqa: N801 (used as a function)
    """The simulated detector in a process of its own."""

    def __init__(self, file: Path, encoding: str, count: int, *more: str) -> None:
        command = [sys.executable, "-m", "firstlight.cli.main", "sim", "dectris", str(file), "--auto", "0", *more]
        command += ["--settle", "0", "--encoding", encoding, "--frames", str(count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


def _ours(told: dict[str, Any], count: int, size: int) -> dict[str, Any]:
    seconds, lost = 0.0, 0
    with Detector(told["data"], api=told["api"]) as detector:
        for frames in (1024, count):
            began = time.perf_counter()
            source = detector.arm(shape=(frames // 64, 64), trigger_mode="exte")
            # LiberTEM-live makes the detector wait, too, when it is behind
            buffers = {"default": BufferSettings(policy="wait")}
            run = fl.start(Job(source, fl.pipeline([fl.step("center_of_mass")]), collect=True, buffers=buffers))
            run.finished(600)
            seconds = time.perf_counter() - began
            lost = run.counts.expected - run.counts.done
    return _rates(seconds, count, size) | {"lost": lost}


def _libertem(python: Path, told: dict[str, Any], count: int, size: int) -> dict[str, Any]:
    ports = [told[name].rpartition(":")[2] for name in ("api", "data")]
    worker = HERE / "peers" / "dectris_worker.py"
    done = subprocess.run([python, worker, *ports, str(count)], capture_output=True, text=True, timeout=600, check=True)
    return _rates(json.loads(done.stdout.splitlines()[-1])["seconds"], count, size)


def _rates(seconds: float, count: int, size: int) -> dict[str, Any]:
    rate = count / seconds
    return {
        "seconds": round(seconds, 3),
        "frames_per_second": round(rate),
        "gb_per_second": round(rate * 2 * size**2 / 1e9, 2),
    }


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
