"""Ptychography while the scan runs: seconds until an image can be recognised, and until it is as good as afterwards.

Claim: the first recognisable image comes after tens of frames, not after the scan, at 200, 500 and 1000 frames/s, and what streamed
ends as good as the recorded scan. Frames and positions of a phantom are played at a rate that nobody can slow down, joined,
and reconstructed by the runner, as live; every picture that a screen would show is kept with its time and compared with the
truth afterwards. `recognised`: the phase correlates by 0.7 with the true one where light has been, over at least 32 frames;
`fitted`: Σ(|Ψ| − √I)² is within twice what photon noise alone gives. `lag` is how long the rounds after the last frame took.
What bounds it: the rounds that fit into a second, which are two transforms for each frame so far (`benchmarks/ptycho.py`).

    python benchmarks/ptycho_streaming.py [--rates 200 500 1000] [--frames 900] [--window 64] [--cold]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import firstlight as fl
from firstlight.connectors.memory.source import MemorySource
from firstlight.core.chunk import MAIN, Chunk, End, Item, Scan, Stream
from firstlight.core.job import ViewSpec
from firstlight.core.pipeline import Reference
from firstlight.core.run import ENDED
from firstlight.kernels.ptycho.phantom import Truth, simulate
from firstlight.operators.ptychography.ptychography import Ptychography

HERE = Path(__file__).resolve().parent
RECOGNISED = 0.7
LEAST = 32
"""Frames that an image must be made of to count."""
SHOWN = ("phase", "error")


class Played(tuple[Item, ...]):
    """Items that come at a rate, whether anybody is ready or not."""

    rate: float
    begun: float = 0.0
    ended: float = 0.0

    def __iter__(self) -> Iterator[Item]:
        self.begun, sent = time.monotonic(), 0
        for item in super().__iter__():
            if isinstance(item, Chunk) and item.stream == MAIN:
                sent += len(item)
                time.sleep(max(0.0, self.begun + sent / self.rate - time.monotonic()))
            yield item
        self.ended = time.monotonic()


def played(truth: Truth, rate: float) -> tuple[MemorySource, Played]:
    counts = np.fft.fftshift(truth.counts, axes=(1, 2)).astype(np.uint16)
    places, total = truth.corners.astype(np.float64), len(truth.corners)
    per_chunk = max(1, int(rate / 50))
    items: list[Item] = []
    for start in range(0, total, per_chunk):
        ids = np.arange(start, min(start + per_chunk, total))
        items += [Chunk(places[ids], ("yx",), ids, stream="positions"), Chunk(counts[ids], ("row", "col"), ids)]
    sizes = {"position": total, "row": counts.shape[1], "col": counts.shape[2]}
    positions = Stream(("position", "yx"), {"position": total, "yx": 2}, "float64", unit="px")
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "uint16"), "positions": positions})
    source = MemorySource.playing(scan, [], pausable=False)
    paced = Played([*items, End("positions"), End()])
    paced.rate = rate
    source._items = paced
    return source, paced


def likeness(phase: Any, truth: Truth) -> float:
    """Correlation with the true phase where light has been, wherever the image lies on the whole."""
    lit = np.isfinite(phase)
    if lit.sum() < 400:
        return 0.0
    true = np.angle(truth.image)
    given = np.zeros(true.shape)
    rows, cols = (min(a, b) for a, b in zip(phase.shape, true.shape, strict=True))
    mean = phase[lit].mean()
    given[:rows, :cols] = np.where(lit, phase - mean, 0)[:rows, :cols]
    mask = np.zeros(true.shape)
    mask[:rows, :cols] = lit[:rows, :cols]
    spectra = [np.fft.fft2(part) for part in (given, mask)]
    level, power = np.fft.fft2(true), np.fft.fft2(true**2)
    cross, sums, squares = (
        np.fft.ifft2(a * b.conj()).real for a, b in ((level, spectra[0]), (level, spectra[1]), (power, spectra[1]))
    )
    spread = np.sqrt(np.maximum(squares - sums**2 / mask.sum(), 1e-9) * (given**2).sum())
    return float((cross / spread).max())


def stream(truth: Truth, rate: float, step: Ptychography) -> dict[str, Any]:
    """Play a scan once; what was shown, when, and how it ended."""
    source, paced = played(truth, rate)
    pictures: list[tuple[float, str, int, Any]] = []
    run = fl.run(source, [step], views=tuple(ViewSpec(Reference("ptychography", name), 0.05) for name in SHOWN))
    versions = dict.fromkeys(SHOWN, -1)
    while run.status().state not in ENDED:
        for name in SHOWN:
            shown = run.view(f"ptychography.{name}", after=versions[name], timeout=0.01)
            if shown is not None:
                versions[name] = shown.version
                pictures.append((time.monotonic(), name, shown.id + 1, shown.data))
    results = run.finished()
    noise = ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()
    first = next(
        (
            (at - paced.begun, frames)
            for at, name, frames, data in pictures
            if name == "phase" and frames >= LEAST and likeness(data, truth) > RECOGNISED
        ),
        None,
    )
    fitted = next(
        (at - paced.begun for at, name, _, data in pictures if name == "error" and len(data) and data[-1] < 2 * noise),
        None,
    )
    counts = run.counts.as_dict()
    return {
        "scan_s": round(paced.ended - paced.begun, 2),
        "recognised_s": None if first is None else round(first[0], 2),
        "recognised_frames": None if first is None else first[1],
        "fitted_s": None if fitted is None else round(fitted, 2),
        "lag_s": round(time.monotonic() - paced.ended, 2),
        "rounds_while_it_ran": len(results["ptychography.error"].data) - step.iterations,
        "error_of_noise": round(float(results["ptychography.error"].data[-1] / noise), 3),
        "lost": counts["lost"] + counts["dropped"],
        "pictures": sum(name == "phase" for _, name, _, _ in pictures),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[200.0, 500.0, 1000.0])
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--cold", action="store_true", help="no probe of the scan before: its defocus is found first")
    parser.add_argument(
        "--keep", action="store_true", help="write the figures to benchmarks/results/ptycho_streaming.json"
    )
    args = parser.parse_args()
    side = round(args.frames**0.5)
    truth = simulate(window=args.window, scan=(side, side), step=args.window / 16, photons=1e6)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "probe.npy"
        # of the scan before: a little out of focus
        v, u = np.fft.fftfreq(args.window)[:, None], np.fft.fftfreq(args.window)[None, :]
        np.save(before, np.fft.ifft2(np.fft.fft2(truth.probe) * np.exp(20j * (u**2 + v**2))))
        given = {} if args.cold else {"probe": before, "probe_defocus": 0.0}
        step = Ptychography(iterations=args.iterations, **given)
        stream(truth, 1e4, step.model_copy(update={"iterations": 1}))  # compiles
        rows = {f"{rate:g}": stream(truth, rate, step) for rate in args.rates}
        rows["recorded"] = stream(truth, 1e6, step)
    found = {"window": args.window, "frames": side * side, "cold": args.cold, "rows": rows}
    print(json.dumps(found, indent=2))
    if args.keep:
        path = HERE / "results" / "ptycho_streaming.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[f"{args.window}, {'cold' if args.cold else 'warm'}"] = {"date": date.today().isoformat(), **found}
        path.write_text(json.dumps(kept, indent=2) + "\n")
    live = [rows[f"{rate:g}"] for rate in args.rates]
    recorded = rows["recorded"]["error_of_noise"]
    good = all(
        row["recognised_s"] is not None
        and row["recognised_s"] < row["scan_s"]
        and row["error_of_noise"] < 1.1 * recorded
        and not row["lost"]
        for row in live
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
