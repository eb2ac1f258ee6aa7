"""The steps that no other benchmark names, each beside its best peer: levels, outliers, frames, filters, axis, tiles, volumes.

Claims: none slower than its peer, most at least twice as fast, and where both do the same, the difference of the results. One
thread each; seconds are those of the processor. Peers: algotom, scikit-image, and what a program does with numpy and scipy (run in
scikit-image's environment). Bound: memory for nearly all of them, FFTs for `tie`, `ctf` and the shells, comparisons for outliers.

Not here: what no library does on a CPU (`steps_straight.py`), what is measured once (`find_distortion`), and what is a library's own:
`denoise_nlm` and `denoise_tv` are scikit-image's, `max` and `sum` numpy's.

    PEERS=folder python benchmarks/steps_rest.py [--size 1024] [--frames 4] [--rounds 5]
"""

from __future__ import annotations

import argparse
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from peers.beside import Data, Pair, compare_all, on_one_thread, report

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.held import Held
from firstlight.kernels.center import center_by_correlation
from firstlight.kernels.eigen_flats import principal_images
from firstlight.kernels.elementwise import fuse
from firstlight.kernels.iterate import Limits
from firstlight.kernels.least_variation import least_variation
from firstlight.kernels.overlap import find_shift
from firstlight.operators.correct.flat_field import parts
from firstlight.runners.fusing import Chain

HERE = Path(__file__).resolve().parent
ZEROS: dict[str, Any] = {"energy": 25.0, "distance": 100.0, "pixel": 0.65}


@cache
def made(use: str, **parameters: Any) -> Any:
    """One of our steps; made once, as in a run."""
    found = registry.get("operators", use)
    return getattr(found, "step", found)(**parameters)


def step(use: str, *names: str, **parameters: Any) -> Any:
    """A function of the data that runs one of our steps."""
    return lambda d: made(use, **parameters).run(*(d[name] for name in names))


def folded(use: str) -> Any:
    """A function of the data that runs one of our folds over the sets of flats, in two chunks."""

    def run(d: Data) -> Any:
        frames = d["sets"]
        sizes = dict(zip(("frame", "row", "col"), frames.shape, strict=True))
        fold = made(use)
        state = fold.empty(Scan({MAIN: Stream(("frame", "row", "col"), sizes, frames.dtype.name)}))
        for part in np.array_split(np.arange(len(frames)), 2):
            fold.add(state, Chunk(frames[part[0] : part[-1] + 1], ("row", "col"), part))
        return next(iter(fold.result(state).values()))

    return run


def pairs() -> list[Pair]:
    """All of them; `same` is false where the peer pads or counts otherwise."""
    s, a = "skimage", "algotom"
    return [
        Pair("minus_log", step("minus_log", "light"), "minus_log", s),
        Pair(
            "calculate",
            step("calculate", "light", expression="where(v > 0.5, -log(v), sqrt(v) * 2)"),
            "expression",
            s,
        ),
        Pair("subtract_dark", step("subtract_dark", "counts", "dark"), "dark", s),
        Pair("normalize_by_region", partial(_by_region, "counts"), "region_of_counts", s),
        Pair("normalize_by_region: transmission", partial(_by_region, "long"), "region", s, one_pass=True),
        Pair("normalize_by_sides", _by_sides, "sides", s, False),
        Pair("normalize_by_monitor", partial(_by_monitor, "counts"), "monitor_of_counts", s),
        Pair("normalize_by_monitor: transmission", partial(_by_monitor, "long"), "monitor", s, one_pass=True),
        Pair("flat_field + normalize_by_region + minus_log", _by_region_on_the_way, "region_on_the_way", s),
        Pair("flat_field + normalize_by_monitor + minus_log", _by_monitor_on_the_way, "monitor_on_the_way", s),
        Pair("normalize_bright", _bright, "bright", s, False),
        Pair("remove_outliers", step("remove_outliers", "zingers", threshold=0.5), "outliers", s),
        Pair("replace_bad_pixels", step("replace_bad_pixels", "counts", "dark", "flat"), "bad_pixels", s, False),
        Pair("bin", step("bin", "counts"), "binned", s),
        Pair("bin", step("bin", "counts"), "binned_skimage", s),
        Pair("crop", step("crop", "counts", rows=(100, -100), columns=(100, -100)), "cropped", s),
        Pair("pad", step("pad", "counts", rows=(50, 50), columns=(60, 60)), "padded", s),
        Pair("orient", step("orient", "counts", to="rot90_ccw"), "oriented", s),
        Pair("combine_projections", step("combine_projections", "sinograms"), "combined", s),
        Pair("eigen_flats", lambda d: principal_images(d["flats"], 4), "components", s, False),
        Pair("tie", step("tie", "light", **ZEROS), "tie", s, False),
        Pair("ctf", step("ctf", "light", **ZEROS), "ctf", s, False),
        Pair("find_center: correlation", partial(_center, whiten=False), "center_pair", a),
        Pair("find_center: phase_correlation", partial(_center, whiten=True), "center_phases", a),
        Pair(
            "find_overlap", lambda d: find_shift(d["left_tile"], d["right_tile"], least=16).value, "overlap", a, False
        ),
        Pair("stitch", _stitch, "stitched", a, False),
        Pair("circular_mask", step("circular_mask", "slices"), "disk", s),
        Pair("segment", step("segment", "slices", thresholds=(0.9, 1.0, 1.1)), "labelled", s),
        Pair("resample", _resample, "resized", s),
        Pair("resample", _resample, "resized_skimage", s),
        Pair("compare_with_truth", _likeness, "likeness", s, False),
        Pair("fourier_shell_correlation", _shells, "shells", s, False),
        Pair("mean", folded("mean"), "mean_of_frames", s),
        Pair("std", folded("std"), "mean_and_deviation", s, False),
        Pair("median", folded("median"), "middle", s),
        Pair("signal_to_noise", lambda d: made("signal_to_noise").run(d["slices"])["ratio"], "signal", s),
        Pair("fista_tv: its inner step", _variation, "variation", s, False),
    ]


def _by_region(which: str, d: Data) -> Any:
    return step("normalize_by_region", which, rows=(10, -10), columns=(5, 60), level=1.0)(d)


def _on_the_way(d: Data, between: Any) -> Any:
    """From counts to attenuation, as the runner does it: a chain of steps in one loop."""
    chunk = Chunk(d["counts"], ("row", "col"), np.arange(len(d["counts"])), coords={"monitor": d["monitor"]})
    (part,) = parts(len(chunk), Held.of(d["dark"]), Held.of(d["flat"]))
    chain = Chain(part.frames, chunk.data, part.images, [part.body])
    for each in (between, made("minus_log")):
        chain.add(each, chunk)
    return fuse(chain.bodies)(chunk.data, chain.images, chain.numbers)


def _by_region_on_the_way(d: Data) -> Any:
    return _on_the_way(d, made("normalize_by_region", rows=(10, -10), columns=(5, 60)))


def _by_monitor_on_the_way(d: Data) -> Any:
    return _on_the_way(d, made("normalize_by_monitor", reference=100.0))


def _by_sides(d: Data) -> Any:
    lines = d["light"].reshape(-1, d["light"].shape[-1])
    return made("normalize_by_sides").run(lines)


def _by_monitor(which: str, d: Data) -> Any:
    monitor = np.resize(d["monitor"], len(d[which]))
    return made("normalize_by_monitor", reference=100.0).run(d[which], monitor=monitor)


def _bright(d: Data) -> Any:
    return made("normalize_bright").run(d["light"].reshape(-1, d["light"].shape[-1]))


def _center(d: Data, *, whiten: bool) -> float:
    return center_by_correlation(np.stack([d["first"], d["last"]]), [0.0, 180.0], whiten=whiten).value


def _stitch(d: Data) -> Any:
    return made("stitch", offset=d["tiles"].shape[-1] - 100.0).run(d["tiles"])[0]


def _resample(d: Data) -> Any:
    return step("resample", "slices", width=3 * d["slices"].shape[2] // 4)(d)


def _likeness(d: Data) -> Any:
    found = step("compare_with_truth", "one", "truth", inside=None)({"one": d["volume"][None], "truth": d["truth"]})
    return found["ssim"]


def _shells(d: Data) -> Any:
    return step("fourier_shell_correlation", "one", "truth")({"one": d["volume"][None], "truth": d["truth"]})


def _variation(d: Data) -> Any:
    image = d["side_by_side"]
    dual = np.zeros((2, *image.shape), np.float32)
    return least_variation(image, np.full(image.shape[-1], 0.1, np.float32), dual, Limits(1))


def make_data(size: int, frames: int) -> Data:
    """Frames, sinograms, slices, tiles and volumes with something in them."""
    rng = np.random.default_rng(1)
    light = np.clip(rng.normal(0.7, 0.1, (frames, size, size)), 0.05, 1.3).astype(np.float32)
    zingers = light.copy()
    zingers[:, ::17, ::13] += 5
    smooth = np.cumsum(rng.normal(0, 1, (64, 3 * size)), axis=1).astype(np.float32)
    dark = rng.normal(100, 5, (size, size)).astype(np.float32)
    bad = np.zeros((size, size), np.uint8)
    bad[::61, ::53] = 1
    dark[bad > 0] = 20_000
    first = smooth[:, :size] - smooth[:, :size].min()
    volume = rng.random((96, 96, 96)).astype(np.float32)
    small = max(4, frames)
    wide = np.cumsum(rng.normal(0, 1, (size // 2, 2 * size)), axis=1).astype(np.float32)
    slices = rng.normal(1, 0.1, (frames, size, size)).astype(np.float32)
    return {
        "light": light,
        "long": np.tile(light, (4, 1, 1)),  # where nothing but memory counts, and not the call
        "zingers": zingers,
        "counts": rng.integers(100, 60_000, (frames, size, size), dtype=np.uint16),
        "dark": dark,
        "flat": (dark + 50_000 * (1 + 0.05 * rng.random((size, size)))).astype(np.float32),
        "bad": bad,
        "monitor": rng.uniform(80, 120, frames),
        "sinograms": rng.random((4, 2 * (size // 2), size)).astype(np.float32),
        "sets": rng.integers(20_000, 30_000, (8 * small, size // 2, size // 2), dtype=np.uint16),
        "flats": (30_000 + 500 * rng.random((8 * small, size // 2, size // 2))).astype(np.float32),
        "first": first,
        "last": np.ascontiguousarray(np.roll(first[:, ::-1], 7, axis=1)),
        "left_tile": np.ascontiguousarray(smooth[:, :size]),
        "right_tile": np.ascontiguousarray(smooth[:, size - 100 : 2 * size - 100]),
        "tiles": np.stack([wide[:, :size], wide[:, size - 100 : 2 * size - 100]])[None],
        "slices": slices,
        "side_by_side": np.ascontiguousarray(np.moveaxis(slices, 0, -1)),
        "volume": volume,
        "truth": np.clip(volume + rng.normal(0, 0.1, volume.shape), 0, 1).astype(np.float32),
    }


def main() -> int:
    """Run, print, keep the result, and fail if a claim does not hold."""
    on_one_thread()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="names of steps; all by default")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "steps_rest.json")
    chosen = parser.parse_args()
    wanted = [pair for pair in pairs() if not chosen.only or pair.name in chosen.only]
    data = make_data(chosen.size, chosen.frames)
    results = compare_all(wanted, data, HERE / "peers" / "rest_worker.py", chosen.rounds)
    return report(results, {"size": chosen.size, "frames": chosen.frames, "rounds": chosen.rounds}, chosen.out)


if __name__ == "__main__":
    sys.exit(main())
