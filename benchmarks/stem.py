"""Sum image, three virtual detectors and centre of mass of a 4-D scan in memory, beside LiberTEM's run_udf.

Both work on the same frames (Poisson, 16-bit, 256 x 256 pixels) with the same threads, in turn, five rounds; the best of each
is compared, because other work on the machine only ever slows down. Seconds of the processor are compared too: they
hardly depend on what else the machine does. LiberTEM runs in an environment of its own, with its threads executor and four
partitions a thread; other settings of it were not tried. Ours runs without the look at each raw frame for zeros and
saturation (`checks: false`), which LiberTEM does not have either.

    python benchmarks/stem.py [--points 64] [--threads 2] [--peers .peers]
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
from firstlight.core import registry

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "stem.json"
ROUNDS = 5
SIZE = 256
RADII = ((0.0, 29.5), (30.5, 59.5), (60.5, 110.0))
DATA = ["source.data"]
SUM: list[dict[str, Any]] = [{"use": "sum", "inputs": DATA}]
COM: list[dict[str, Any]] = [{"use": "center_of_mass", "inputs": DATA}]
MASKS: list[dict[str, Any]] = [
    {"use": "virtual_detector", "name": f"mask{n}", "inputs": DATA, "shape": "annulus", "inner": a, "outer": b}
    for n, (a, b) in enumerate(RADII)
]
CASES = {"sum": SUM, "masks": MASKS, "com": COM, "all": [*SUM, *MASKS, *COM]}
WANTED = {"sum": 3.0, "masks": 3.0, "com": 3.0, "all": 4.0}


def main() -> int:
    """Measure every case, check that both find the same, and write what follows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=64, help="points of a line, and lines")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", type=Path, default=HERE.parent / ".peers")
    options = parser.parse_args()
    frames = np.random.default_rng(0).poisson(3, (16, SIZE, SIZE)).astype(np.uint16)
    data = np.tile(frames, (options.points**2 // 16, 1, 1)).reshape(options.points, options.points, SIZE, SIZE)
    with tempfile.TemporaryDirectory() as folder, _Peer(options, folder) as peer:
        cases = {name: _case(name, data, peer, options.threads) for name in CASES}
    gigabytes = data.nbytes / 1e9
    for name, case in cases.items():
        case |= {
            "ours_gb_s": gigabytes / case["ours"],
            "libertem_gb_s": gigabytes / case["libertem"],
            "times_faster": case["libertem"] / case["ours"],
            "times_less_processor": case["libertem_cpu"] / case["ours_cpu"],
        }
        sys.stdout.write(f"{name:6}" + "  ".join(f"{key} {value:.3g}" for key, value in case.items()) + "\n")
    result = {
        "gigabytes": gigabytes,
        "cases": cases,
        "wanted": WANTED,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python", "benchmarks/stem.py", *sys.argv[1:]]),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(case["times_faster"] >= WANTED[name] for name, case in cases.items()) else 1


class _Peer:
    """LiberTEM in a process of its own, which does one case at a time when told to."""

    def __init__(self, options: argparse.Namespace, folder: str) -> None:
        self._answer = Path(folder) / "answer.npz"
        python = options.peers / "libertem-live" / "bin" / "python"
        words = [str(python), str(HERE / "peers" / "stem_worker.py"), str(options.points), str(options.threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        self._process = subprocess.Popen(
            [*words, json.dumps(RADII), str(self._answer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self) -> _Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def run(self, case: str) -> tuple[float, float]:
        """Seconds by the clock and of the processor."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("LiberTEM's process has no pipes.")
        self._process.stdin.write(case + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("LiberTEM's process ended: see what it wrote above.")
        return tuple(json.loads(line))

    @property
    def found(self) -> dict[str, Any]:
        """What it found."""
        return dict(np.load(self._answer))


def _case(name: str, data: Any, peer: _Peer, threads: int) -> dict[str, float]:
    source = registry.get("sources", "memory").of(data, "scan_y scan_x row col", frames=256)
    times: dict[str, list[float]] = {"ours": [], "ours_cpu": [], "libertem": [], "libertem_cpu": []}
    found: Any = None
    for turn in range(ROUNDS + 1):
        theirs = peer.run(name)
        began, used = time.perf_counter(), time.process_time()
        found = fl.run(source, CASES[name], threads=threads, checks=False).finished()
        ours = (time.perf_counter() - began, time.process_time() - used)
        if turn:  # the first round compiles and warms up
            for key, value in zip(times, (*ours, *theirs), strict=True):
                times[key].append(value)
    _compare(name, found, peer.found)
    return {key: min(values) for key, values in times.items()}


def _compare(name: str, ours: Any, theirs: dict[str, Any]) -> None:
    """Stop unless both found the same."""
    if name in ("sum", "all"):
        np.testing.assert_array_equal(ours["sum"].data, theirs["sum"])
    if name in ("masks", "all"):
        for number in range(len(RADII)):
            np.testing.assert_allclose(ours[f"mask{number}"].data, theirs["masks"][..., number], rtol=1e-6)
    if name in ("com", "all"):
        np.testing.assert_allclose(ours["center_of_mass.row_shift"].data, theirs["com"][..., 0], atol=1e-3)


if __name__ == "__main__":
    raise SystemExit(main())
