"""A GPU beside the CPU of the same machine: seconds and giga-updates a second (GUPS) for 2048³, and the whole chain.

An update is one pixel and one projection: GUPS = size² × angles × slices / seconds / 10⁹. Three figures:

- `kernel`: back-projection of a block that is on the device, seconds by the wall, the device waited for;
- `volume`: sinograms in memory to slices in memory through the runner, copies both ways and the filter included (a volume
  of `size` slices; its sinograms are the same few ones again and again, so that they need no room);
- `chain`: counts in memory to slices, flat field, logarithm, stripes and reconstruction, on the device and on the CPU (fewer
  rows there; seconds per row are compared), with the largest difference of the two results.

Claims: none before it has run on a device; its first run there sets them. Bound: the kernel by its reads of sinograms from
the first-level cache, the volume by whatever is slower, kernel or copies (shown as `copies`, in seconds).
It refuses to run without a device. In numba's simulator it runs for a look at the script alone: nothing is written.

    python benchmarks/gpu.py [--size 2048] [--angles 1500] [--device cuda] [--cpu-rows 64]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from firstlight.connectors.memory.source import MemorySource
from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, End, Item, Scan, Stream
from firstlight.core.job import Job, RunnerSettings, SinkSpec
from firstlight.core.pipeline import Reference, pipeline
from firstlight.core.sink import Sink
from firstlight.jobs.start import start
from firstlight.kernels.cuda import arrays
from firstlight.kernels.ellipsoids import SHEPP_LOGAN_CYLINDERS, ellipsoid_table, line_integrals

HERE = Path(__file__).resolve().parent
DIFFERENT = 16
"""Rows that differ; further ones are these again."""
STRIPES = "remove_small_stripes"


class Discard(Sink):
    """Keeps a few slices and forgets the others."""

    use = "discard"
    kept: ClassVar[dict[int, Any]] = {}
    """Of the run in hand, by row."""

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Nothing is kept yet."""
        self.kept.clear()

    def write(self, chunk: Chunk) -> None:
        """Keep the first rows."""
        for place, row in enumerate(chunk.ids.tolist()):
            if row < DIFFERENT:
                self.kept[row] = chunk.data[place].copy()

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Nothing to do."""


def sinograms(options: argparse.Namespace) -> Any:
    """Line integrals (row, angle, col), float32, of which only the first rows take room."""
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, options.size / 2)
    theta = np.deg2rad(np.arange(options.angles) * 180.0 / options.angles)
    lines = line_integrals(table, theta, [0.0], options.size)[:, 0].astype(np.float32)
    few = np.stack([lines * np.float32(1 + 0.01 * row) for row in range(DIFFERENT)])
    return few / np.float32(few.max())


def played(few: Any, rows: int) -> Any:
    """A source of sinograms: the same ones again and again."""
    angles = np.arange(few.shape[1]) * 180.0 / few.shape[1]
    sizes = {"row": rows, "angle": few.shape[1], "col": few.shape[2]}
    scan = Scan({MAIN: Stream(("row", "angle", "col"), sizes, "float32")}, name="sinograms", order=(MAIN,))
    items: list[Item] = []
    for first in range(0, rows, len(few)):
        ids = np.arange(first, min(first + len(few), rows), dtype=np.int64)
        coords = {"angle": np.broadcast_to(angles, (len(ids), angles.size))}
        items.append(Chunk(few[: len(ids)], ("angle", "col"), ids, coords=coords))
    return MemorySource.playing(scan, [*items, End(MAIN)])


def timed(job: Job) -> float:
    """Seconds of a run."""
    begun = time.perf_counter()
    start(job).finished(7200)
    return time.perf_counter() - begun


def kernel(few: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Back-projection alone, of a block that is on the device."""
    step = registry.get("operators", "backproject").step(filter="none")
    angles = np.arange(options.angles) * 180.0 / options.angles
    there = arrays.on_device(few)
    seconds: list[float] = []
    for _ in range(options.rounds + 1):
        arrays.synchronize()
        begun = time.perf_counter()
        step.run(there, device="cuda", angle=angles, row=np.arange(len(few)))
        arrays.synchronize()
        seconds.append(time.perf_counter() - begun)
    middle = statistics.median(seconds[1:])  # the first one compiles
    return {"slices": len(few), "seconds": middle, "GUPS": gups(options, len(few), middle)}


def gups(options: argparse.Namespace, slices: int, seconds: float) -> float:
    """Giga-updates a second."""
    return round(options.size**2 * options.angles * slices / seconds / 1e9, 2)


def copies(few: Any, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the copies of the volume alone, one after the other, by a block."""
    there = arrays.on_device(few)
    slices = arrays.empty((len(few), options.size, options.size))
    arrays.synchronize()
    found: dict[str, float] = {}
    for way, move in (("to_device", lambda: arrays.on_device(few)), ("to_host", lambda: arrays.to_host(slices))):
        begun = time.perf_counter()
        move()
        arrays.synchronize()
        found[way] = round((time.perf_counter() - begun) * options.size / len(few), 3)
    del there
    return found


def volume(few: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Sinograms in memory to slices, through the runner; the first run, of one block for each lane, compiles."""
    found: dict[str, Any] = {}
    for step in options.steps:
        seconds = 0.0
        for rows in (min(64, options.size), options.size):
            source = played(few, rows)
            sinks = (SinkSpec(Discard(), Reference(step)),)
            runner = RunnerSettings(device=options.device)
            seconds = timed(Job(source, pipeline([{"use": step}]), sinks, runner=runner))
        found[step] = {"seconds": round(seconds, 2), "GUPS": gups(options, options.size, seconds)}
    return found


def chain(few: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Counts in memory to slices, there and here."""
    random = np.random.default_rng(1)
    flat = (20_000 * (1 + 0.2 * random.random((1, options.size)))).astype(np.float32)
    counts = np.moveaxis(np.clip(100 + flat * np.exp(-2 * few), 0, 65535).astype(np.uint16), 0, 1)
    angles = np.arange(options.angles) * 180.0 / options.angles
    stripes = [{"use": STRIPES}] if STRIPES in registry.names("operators") else []
    found: dict[str, Any] = {}
    for step in options.steps:
        chosen = [{"use": "flat_field"}, {"use": "minus_log"}, *stripes, {"use": step}]
        slices: dict[str, Any] = {}
        per_row: dict[str, float] = {}
        for device, rows in ((options.device, options.rows), ("cpu", min(options.cpu_rows, options.rows))):
            there = np.tile(counts, (1, -(-rows // DIFFERENT), 1))[:, :rows]
            image = np.broadcast_to(flat + 100, (rows, options.size))
            source = MemorySource.of(
                there,
                "angle row col",
                dark=np.full((1, rows, options.size), 100, np.uint16),
                flat=image[None].astype(np.uint16),
                coords={"angle": angles},
            )
            sinks = (SinkSpec(Discard(), Reference(step)),)
            job = Job(source, pipeline(chosen), sinks, runner=RunnerSettings(device=device))
            timed(job)  # compiles
            per_row[device] = timed(job) / rows
            slices[device] = np.stack([Discard.kept[row] for row in sorted(Discard.kept)])
        on, off = (slices[name][: min(map(len, slices.values()))] for name in (options.device, "cpu"))
        found[step] = {
            "device_seconds_per_row": round(per_row[options.device], 5),
            "cpu_seconds_per_row": round(per_row["cpu"], 5),
            "cpu_over_device": round(per_row["cpu"] / per_row[options.device], 2),
            "difference": float(f"{np.abs(on - off).max() / np.abs(off).max():.1e}"),
        }
    return found


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--angles", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=512, help="of the chain on the device")
    parser.add_argument("--cpu-rows", type=int, default=64, help="of the chain on the CPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", nargs="*", default=["backproject", "fbp"])
    parser.add_argument("--output", type=Path, default=HERE / "results" / "gpu.json")
    return parser.parse_args()


def main() -> int:
    """Measure, and write the figures."""
    options = parsed()
    why = arrays.absent()
    if why is not None:
        print(f"benchmarks/gpu.py needs a CUDA device: {why}. Run it on a machine with one.", file=sys.stderr)
        return 2
    few = sinograms(options)
    with arrays.working(arrays.Lane(0)):
        result: dict[str, Any] = {
            "device": arrays.name(0),
            "kernel": kernel(few, options),
            "copies": copies(few, options),
        }
    result |= {"volume": volume(few, options), "chain": chain(few, options)}
    result |= {"size": options.size, "angles": options.angles, "rows": options.rows, "cpu_rows": options.cpu_rows}
    text = json.dumps(result, indent=2)
    print(text)
    if arrays.simulated():
        print("In the simulator these figures mean nothing; they are not written.", file=sys.stderr)
        return 0
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
