"""The contenders of `benchmarks/steps_phase.py` that live in one environment: reads a job's name, does it once, prints seconds.

    python phase_worker.py LIBRARY DATA.npz

The first line printed lists the jobs that this environment can do; every line read afterwards, a job's name, is answered with
{"seconds": …, "value": …}, the value being what the contender found, where it finds a number. One thread each.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402  (threads are set when it is loaded)

Jobs = dict[str, Callable[[], Any]]
ENERGY, DISTANCE, PIXEL, RATIO = 25.0, 100.0, 0.65, 200.0  # keV, mm, um


def firstlight(data: dict[str, Any]) -> Jobs:
    from firstlight.kernels.center import center_by_sinogram
    from firstlight.kernels.grey import to_integers
    from firstlight.kernels.overlap import find_half_acquisition, opposite_halves
    from firstlight.kernels.stitch import join_half_turns
    from firstlight.kernels.tally import add_to_tally, empty_tally, percentiles, rebinned
    from firstlight.operators.after.denoise_median import denoise_median
    from firstlight.operators.phase.paganin import paganin

    frames, sinogram, theta, half, turn = (data[n] for n in ("frames", "sinogram", "theta", "half", "turn"))

    def tally() -> float:
        counts = empty_tally()
        add_to_tally(counts, frames)
        low, high = percentiles(counts, (0.1, 99.9))
        rebinned(counts, low, high, 256)
        return low

    def stitch() -> None:
        ahead, behind = opposite_halves(half, turn)
        join_half_turns(ahead, behind, float(data["half_center"]), 2 * half.shape[1] - 60)

    optics = {"energy": ENERGY, "distance": DISTANCE, "pixel": PIXEL, "delta_beta": RATIO}
    return {
        "paganin": lambda: paganin(frames, **optics),
        "center_vo": lambda: center_by_sinogram(sinogram, theta).value,
        "center_360": lambda: find_half_acquisition(half[:, None], turn).center,
        "stitch_360": stitch,
        "median_5": lambda: denoise_median(frames[:1], size=5),
        "rescale_8": lambda: to_integers(frames, low=0.2, high=0.9, bits=8),
        "percentiles_and_histogram": tally,
    }


def numpy_scipy(data: dict[str, Any]) -> Jobs:
    """What HTTomo's and tomopy's CPU code does, written with numpy and scipy: pad to the next power of two, complex FFTs."""
    import scipy.fft as sf
    import scipy.ndimage

    frames = data["frames"]
    size = frames.shape[1]
    padded = 1 << int(np.ceil(np.log2(size + 1)))
    before = (padded - size) // 2
    f2 = np.fft.fftfreq(padded)[:, None] ** 2 + np.fft.fftfreq(padded)[None] ** 2
    wavelength = 1.2398419843e-3 / ENERGY
    response = (1 / (1 + np.pi * wavelength * DISTANCE * 1e3 * RATIO / PIXEL**2 * f2)).astype(np.float32)

    def paganin() -> None:
        for frame in frames:
            wide = np.pad(frame, ((before, padded - size - before),) * 2, mode="edge")
            back = sf.ifft2(sf.fft2(wide, workers=1) * response, workers=1).real
            -np.log(np.maximum(back[before : before + size, before : before + size], 1e-6))

    def histogram() -> float:
        low, high = np.percentile(frames, [0.1, 99.9])
        np.histogram(frames, 256, (low, high))
        return float(low)

    return {
        "paganin": paganin,
        "median_5": lambda: scipy.ndimage.median_filter(frames[0], 5, mode="nearest"),
        "rescale_8": lambda: np.clip((frames - 0.2) / 0.7 * 255 + 0.5, 0, 255).astype(np.uint8),
        "percentiles_and_histogram": histogram,
    }


def algotom(data: dict[str, Any]) -> Jobs:
    from algotom.prep.calculation import find_center_360, find_center_vo
    from algotom.prep.conversion import convert_sinogram_360_to_180

    sinogram, half, center = data["sinogram"], data["half"], float(data["half_center"])
    return {
        "center_vo": lambda: float(find_center_vo(sinogram, ncore=1)),
        "center_360": lambda: float(find_center_360(half, 100, ncore=1)[0]),
        "stitch_360": lambda: convert_sinogram_360_to_180(half, center),
    }


def skimage(data: dict[str, Any]) -> Jobs:
    from skimage.exposure import rescale_intensity
    from skimage.filters import median

    frames = data["frames"]
    return {
        "median_5": lambda: median(frames[0], np.ones((5, 5)), mode="nearest"),
        "rescale_8": lambda: rescale_intensity(frames, (0.2, 0.9), (0, 255)).astype(np.uint8),
    }


def main() -> None:
    """Answer until the other side closes."""
    library, path = sys.argv[1:]
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    try:
        jobs: Jobs = {"firstlight": firstlight, "numpy": numpy_scipy, "algotom": algotom, "skimage": skimage}[library](
            data
        )
    except ImportError as missing:
        print(json.dumps({"jobs": [], "absent": str(missing)}), flush=True)
        return
    print(json.dumps({"jobs": sorted(jobs)}), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        value = jobs[line.strip()]()
        seconds = time.perf_counter() - begin
        print(json.dumps({"seconds": seconds, "value": value if isinstance(value, float) else None}), flush=True)


if __name__ == "__main__":
    main()
