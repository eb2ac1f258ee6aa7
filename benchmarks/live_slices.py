"""Live slices from memory: uint16 frames in, three planes up to date, frames a second.

Claim: at 1024 x 1024 at least 45 frames/s on two cores, each frame corrected (flat field, log), ramp-filtered over all rows,
kept in the cache in half precision, added to three planes while the projection that it replaces is taken back. This is
the numerical work alone, on two threads of this script, without runner, chunks or network.

Also reported: seconds until a moved plane shows its coarse and its full answer, and how far the planes are from
planes made anew after all those additions and subtractions (must stay below 1e-3).

    python benchmarks/live_slices.py [--sizes 512 1024 2048] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, line_integrals, plane_coordinates
from firstlight.kernels.flat_field import transmission
from firstlight.kernels.row_filter import TransposedRamp
from firstlight.kernels.slices import add_to_xy, add_to_xz, add_to_yz, assemble, every_kth

ROUNDS = 5
CLAIM = 45.0
CACHE_BYTES = 1 << 30


class Scan:
    """Frames of the phantom in memory, and the live state: cache, ring of slots, planes."""

    def __init__(self, size: int, batch: int) -> None:
        """Make frames, and fill the whole window once."""
        self.size, self.batch, self.center = size, batch, (size - 1) / 2 + 3.3
        self.window = max(2 * batch, min(360, CACHE_BYTES // (2 * size * size)) // batch * batch)
        self.raw = self._frames(2 * batch)
        self.attenuation = np.ones((batch, size, size), np.float32)
        self.cache = np.zeros((self.window + batch, size, size), np.float16)
        self.ramp = TransposedRamp(size)
        self.angles = np.zeros(self.window + batch)
        self.weights = np.zeros(self.window + batch)
        self.free = np.arange(self.window, self.window + batch)
        self.xy = np.zeros((2, size, size), np.float32)
        self.xz, self.yz = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
        self.count, self.seconds = 0, {"correct_and_filter": 0.0, "planes": 0.0}

    def _frames(self, count: int) -> NDArray[np.uint16]:
        table = ellipsoid_table(SHEPP_LOGAN, self.size / 2)
        z = plane_coordinates(self.size, descending=True)
        theta = np.deg2rad(np.arange(count) * 180 / count)
        length = line_integrals(table, theta, z, self.size, center=self.center, rays=(1, 1))
        rng = np.random.default_rng(0)
        self.dark = rng.normal(100, 1, (self.size, self.size)).astype(np.float32)
        self.flat = rng.normal(50000, 500, (self.size, self.size)).astype(np.float32)
        light = (self.flat - self.dark) * np.exp(-length * (1.5 / self.size))
        return np.clip(rng.normal(light, np.sqrt(light)) + self.dark, 0, 65535).astype(np.uint16)

    def filter_part(self, part: slice) -> None:
        """Correct and filter some frames of the next batch into free slots of the cache."""
        source = self.raw[(self.count // self.batch) % 2 * self.batch :][: self.batch][part]
        transmission(source, self.dark, self.flat, log_floor=1e-6, out=self.attenuation[part])
        for offset, slot in enumerate(self.free[part]):
            self.ramp(self.attenuation[part.start + offset], self.cache[slot])

    def step(self, pool: ThreadPoolExecutor, threads: int) -> None:
        """Take in one batch of frames."""
        start = time.perf_counter()
        share = -(-self.batch // threads)
        list(pool.map(self.filter_part, [slice(i, i + share) for i in range(0, self.batch, share)]))
        middle = time.perf_counter()
        new, old = self.free, (np.arange(self.batch) + self.count) % (self.window + self.batch)
        ids = self.count + self.window + np.arange(self.batch)
        self.angles[new], self.weights[new] = ids * 180.0 / self.window, np.pi / self.window
        slots = np.concatenate([new, old])
        signs = np.concatenate([self.weights[new], -self.weights[old]])
        list(pool.map(lambda add: add(slots, signs), (self.add_xy, self.add_vertical)))
        self.weights[old] = 0.0
        self.free, self.count = old, self.count + self.batch
        self.seconds["correct_and_filter"] += middle - start
        self.seconds["planes"] += time.perf_counter() - middle

    def add_xy(self, slots: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        """Horizontal plane."""
        add_to_xy(self.xy, self.cache, slots, self.angles[slots], weights, row=self.size // 2, center=self.center)

    def add_vertical(self, slots: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        """Both vertical planes."""
        angles, middle = self.angles[slots], self.size // 2
        add_to_xz(self.xz, self.cache, slots, angles, weights, y=middle, center=self.center)
        add_to_yz(self.yz, self.cache, slots, angles, weights, x=middle, center=self.center)

    def anew(self) -> float:
        """Make all planes from the cache; how much that changes them, relative to their own size."""
        before = assemble(self.xy, self.xz, self.yz)
        for plane in (self.xy, self.xz, self.yz):
            plane[...] = 0
        slots = np.arange(self.weights.size)
        self.add_xy(slots, self.weights)
        self.add_vertical(slots, self.weights)
        after = assemble(self.xy, self.xz, self.yz)
        return max(float(np.sqrt(np.mean((b - a) ** 2) / np.mean(a**2))) for b, a in zip(before, after, strict=True))


def seconds_of(function: Callable[[], object]) -> float:
    """Median of three runs after one to warm up."""
    function()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def plane_moves(scan: Scan) -> dict[str, float]:
    """Seconds on one thread until a moved plane shows its coarse and its full answer."""
    slots = np.arange(scan.weights.size)
    few = every_kth(scan.angles, scan.weights, 4)
    small = np.zeros((2, scan.size // 4, scan.size // 4), np.float32)
    fresh, tall = np.zeros_like(scan.xy), np.zeros_like(scan.xz)
    z, c, q, a, w = scan.size // 3, scan.center, scan.cache, scan.angles, scan.weights
    return {
        "xy_coarse": seconds_of(lambda: add_to_xy(small, q, slots, a, few, row=z, center=c, step=4)),
        "xy_full": seconds_of(lambda: add_to_xy(fresh, q, slots, a, w, row=z, center=c)),
        "xz_coarse": seconds_of(lambda: add_to_xz(tall, q, slots, a, few, y=z, center=c)),
        "xz_full": seconds_of(lambda: add_to_xz(tall, q, slots, a, w, y=z, center=c)),
    }


def measure(size: int, threads: int) -> dict[str, object]:
    """Frames per second at one size."""
    batch = 8
    scan = Scan(size, batch)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(scan.window // batch + 2):  # until the window is full and everything is compiled
            scan.step(pool, threads)
        scan.seconds = dict.fromkeys(scan.seconds, 0.0)
        rates, steps = [], max(2, int(4e7 / size**2 / batch) + 1)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            for _ in range(steps):
                scan.step(pool, threads)
            rates.append(steps * batch / (time.perf_counter() - start))
    frames = ROUNDS * steps * batch
    return {
        "size": size,
        "threads": threads,
        "window": scan.window,
        "cache_dtype": "float16",
        "frames_per_second": round(statistics.median(rates), 1),
        "frames_per_second_of_rounds": [round(r, 1) for r in rates],
        "milliseconds_per_frame": {name: round(1e3 * s / frames, 3) for name, s in scan.seconds.items()},
        "seconds_of_moved_plane_one_thread": {k: round(v, 4) for k, v in plane_moves(scan).items()},
        "difference_from_planes_made_anew": scan.anew(),
    }


def main() -> int:
    """Run, print, keep the result, and fail if the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "live_slices.json")
    chosen = parser.parse_args()
    results = [measure(size, chosen.threads) for size in chosen.sizes]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"from_memory": results}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))
    held = True
    for result in results:
        rate, change = float(str(result["frames_per_second"])), float(str(result["difference_from_planes_made_anew"]))
        held &= change < 1e-3 and (result["size"] != 1024 or rate >= CLAIM)
        print(f"{result['size']:5d}: {rate:7.1f} frames/s, drift {change:.1e}")
    print("holds" if held else f"MISSED: expected {CLAIM} frames/s at 1024 and a drift below 1e-3")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
