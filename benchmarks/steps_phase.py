"""Phase retrieval, the search for the axis, stitching and grey values beside algotom, scikit-image and numpy with scipy.

Claim: each of our kernels is at least as fast as its best peer, on one thread, on the same data (ratio >= 1). Peers answer in turn
with ours, each in the Python of its own environment under PEERS (see tools/bench.py); medians are compared. What bounds ours: FFTs
(Paganin), sums over the spectrum (Vo), memory (stitch, grey values, histogram), comparisons (median).

    PEERS=folder python benchmarks/steps_phase.py [--size 2048] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from firstlight.kernels.ellipsoids import SHEPP_LOGAN_CYLINDERS, ellipsoid_table, line_integrals

WORKER = Path(__file__).parent / "peers" / "phase_worker.py"
PEERS = {"firstlight": "", "numpy": "", "algotom": "algotom", "skimage": "skimage"}
"""Library to its environment under PEERS; "" is this one."""
CENTER, HALF_CENTER = 0.487, 0.94
"""Columns of the axes over the width."""


class Contender:
    """One library, in a process of its own."""

    def __init__(self, library: str, peers: Path, data: Path) -> None:
        """Start it, and wait until it is ready."""
        home = PEERS[library]
        python = Path(sys.executable) if not home else peers / home / "bin" / "python"
        self.jobs: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        if not python.exists():
            print(f"{library}: no environment under PEERS, so not compared with")
            return
        command = [str(python), str(WORKER), library, str(data)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.jobs = self._read()["jobs"]

    def _read(self) -> dict[str, list[str] | float | None]:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a contender ended without an answer")
        return json.loads(line)

    def run(self, job: str) -> tuple[float, float | None]:
        """Do a job once; seconds and what it found."""
        self._process.stdin.write(job + "\n")
        self._process.stdin.flush()
        answer = self._read()
        return answer["seconds"], answer["value"]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


def make(path: Path, size: int) -> None:
    """Frames, a half-turn sinogram about a column off the middle, and a full turn about one near the side."""
    rng = np.random.default_rng(0)
    frames = np.clip(rng.normal(0.6, 0.1, (2, size, size)), 0.01, 1.2).astype(np.float32)
    width = size // 2
    theta, turn = np.arange(0, 180.0, 180 / 360), np.arange(0, 360.0, 360 / 720)
    table, wide = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, width / 2), ellipsoid_table(SHEPP_LOGAN_CYLINDERS, 0.9 * width)
    sinogram = line_integrals(table, np.deg2rad(theta), [0.0], width, center=CENTER * width)[:, 0] * np.float32(
        2 / width
    )
    half = line_integrals(wide, np.deg2rad(turn), [0.0], width, center=HALF_CENTER * width)[:, 0] * np.float32(
        1 / width
    )
    for lines in (sinogram, half):
        lines += rng.normal(0, 0.005, lines.shape).astype(np.float32)
    names = {"frames": frames, "sinogram": sinogram, "theta": theta, "half": half, "turn": turn}
    np.savez(path, **names, half_center=HALF_CENTER * width, center=CENTER * width)


def measure(size: int, rounds: int, peers: Path) -> dict[str, dict[str, object]]:
    """Median seconds of every job by every library, and how many times the best peer's ours fit into it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        make(data, size)
        contenders = {library: Contender(library, peers, data) for library in PEERS}
        found: dict[str, dict[str, object]] = {}
        for job in contenders["firstlight"].jobs:
            able = {library: each for library, each in contenders.items() if job in each.jobs}
            seconds: dict[str, list[float]] = {library: [] for library in able}
            values: dict[str, float] = {}
            for turn in range(rounds + 1):
                for library, each in able.items():
                    took, value = each.run(job)
                    if turn:  # the first round compiles and warms up
                        seconds[library].append(took)
                    if value is not None:
                        values[library] = round(value, 3)
            medians = {library: statistics.median(each) for library, each in seconds.items()}
            best = min((value for library, value in medians.items() if library != "firstlight"), default=float("nan"))
            found[job] = {
                "milliseconds": {library: round(1e3 * value, 2) for library, value in medians.items()},
                "found": values,
                "ratio": round(best / medians["firstlight"], 2),
            }
            print(job, json.dumps(found[job]), flush=True)
        for each in contenders.values():
            each.close()
    return found


def main() -> int:
    """Run, print, keep the result, and fail if the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--peers", type=Path, default=Path(os.environ.get("PEERS", ".peers")))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "steps_phase.json")
    chosen = parser.parse_args()
    steps = measure(chosen.size, chosen.rounds, chosen.peers.resolve())
    true = {"center_vo": CENTER * (chosen.size // 2), "center_360": HALF_CENTER * (chosen.size // 2)}
    result = {"size": chosen.size, "rounds": chosen.rounds, "threads": 1, "true_centers": true, "steps": steps}
    chosen.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    slower = [job for job, each in steps.items() if not float(str(each["ratio"])) >= 1]
    print(f"every step at least as fast as its best peer: {'MISSED by ' + ', '.join(slower) if slower else 'holds'}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
