"""Steps against stripes and rings, and those that correct frames, beside their best peers.

Claims: none slower than its peer, most at least twice as fast, and where the algorithm is the same, so is the result. One
thread each; seconds are those of the processor, so that other work on the machine does not count. Our step and its peer
take turns, five rounds; medians are compared. Peers live in environments of their own under PEERS (`make bench` makes
them): algotom, and scipy and scikit-image beside astra. What is absent is said.

    PEERS=folder python benchmarks/steps_correct.py [--columns 1024] [--angles 901] [--rounds 5]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers.beside import Data, Pair, compare_all, on_one_thread, report

from firstlight.kernels.columns import fill_gaps
from firstlight.kernels.ellipsoids import SHEPP_LOGAN_CYLINDERS, ellipsoid_table, line_integrals
from firstlight.kernels.polynomial import polynomial
from firstlight.kernels.shift import measure_shift, spectrum
from firstlight.operators.correct.remove_outliers_3d import remove_outliers_3d
from firstlight.operators.correct.rotate import rotate
from firstlight.operators.correct.undistort import undistort
from firstlight.operators.stripes.remove_all_stripes import remove_all_stripes
from firstlight.operators.stripes.remove_dead_stripes import remove_dead_stripes
from firstlight.operators.stripes.remove_large_stripes import remove_large_stripes
from firstlight.operators.stripes.remove_rings import remove_rings
from firstlight.operators.stripes.remove_small_stripes import remove_small_stripes
from firstlight.operators.stripes.remove_stripes_filtering import remove_stripes_filtering
from firstlight.operators.stripes.remove_stripes_fitting import remove_stripes_fitting
from firstlight.operators.stripes.remove_stripes_fourier import remove_stripes_fourier
from firstlight.operators.stripes.remove_stripes_interpolation import remove_stripes_interpolation
from firstlight.operators.stripes.remove_stripes_smoothing import remove_stripes_smoothing
from firstlight.operators.stripes.remove_stripes_titarenko import remove_stripes_titarenko
from firstlight.operators.stripes.remove_stripes_wavelet import remove_stripes_wavelet

HERE = Path(__file__).resolve().parent


def pairs() -> list[Pair]:
    """All of them; `same` is false where the peer centres its windows on another frequency, or has another method."""
    a, s = "algotom", "astra"
    return [
        Pair("remove_small_stripes", lambda d: remove_small_stripes(d["sinogram"][None])[0], "sorting", a),
        Pair("remove_large_stripes", lambda d: remove_large_stripes(d["sinogram"][None])[0], "large", a),
        Pair("remove_dead_stripes", lambda d: remove_dead_stripes(d["sinogram"][None], residual=False)[0], "dead", a),
        Pair("remove_all_stripes", lambda d: remove_all_stripes(d["sinogram"][None])[0], "every_kind", a),
        Pair(
            "remove_stripes_interpolation",
            lambda d: remove_stripes_interpolation(d["sinogram"][None])[0],
            "interpolation",
            a,
        ),
        Pair(
            "remove_stripes_filtering",
            lambda d: remove_stripes_filtering(d["sinogram"][None])[0],
            "filtering",
            a,
            False,
        ),
        Pair("remove_stripes_wavelet", lambda d: remove_stripes_wavelet(d["sinogram"][None])[0], "wavelet", a, False),
        Pair("remove_stripes_fourier", lambda d: remove_stripes_fourier(d["sinogram"][None])[0], "fourier", a, False),
        Pair("remove_stripes_smoothing", lambda d: remove_stripes_smoothing(d["sinogram"][None])[0], "smoothing", a),
        Pair(
            "remove_stripes_titarenko",
            lambda d: remove_stripes_titarenko(d["sinogram"][None])[0],
            "titarenko",
            a,
            False,
        ),
        Pair("remove_stripes_fitting", lambda d: remove_stripes_fitting(d["sinogram"][None])[0], "fitting", a, False),
        Pair("remove_rings", lambda d: remove_rings(d["slice"][None])[0], "rings", a, False),
        Pair("undistort", _undistort, "undistort", a),
        Pair("rotate", lambda d: rotate(d["frame"][None], angle=3.0)[0], "rotate_scipy", s),
        Pair("rotate", lambda d: rotate(d["frame"][None], angle=3.0)[0], "rotate_skimage", s),
        Pair("align_frames (shift)", _register, "register", s, False),
        Pair(
            "remove_outliers_3d", lambda d: remove_outliers_3d(d["volume"][None], threshold=0.5)[0], "outliers_scipy", s
        ),
        Pair("correct_beam_hardening", lambda d: polynomial(d["frame"], (0.0, 1.0, 0.1, -0.02, 0.01)), "polynomial", s),
    ]


def _undistort(d: Data) -> Any:
    return undistort(d["frame"][None], row=510.0, column=500.0, coefficients=(1.0, 1e-5, -1e-8))[0]


def _register(d: Data) -> Any:
    return measure_shift(d["frame"], spectrum(d["frame"]), d["moved"], 20, 20.0)


def make_data(columns: int, angles: int) -> Data:
    """A sinogram with stripes of every kind, a noisy slice, a frame and one that has moved, and a volume with zingers."""
    rng = np.random.default_rng(1)
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, columns / 2)
    lines = line_integrals(table, np.arange(angles) * np.pi / angles, [0.0], columns, rays=(1, 2))[:, 0]
    sinogram = np.exp(-2.0 * lines / columns) + rng.normal(0, 0.004, lines.shape)
    sinogram[:, 10::37] *= 1.02
    sinogram[:, columns // 3 : columns // 3 + 6] *= 1.1
    sinogram[:, columns // 2 + 40] = rng.random(angles)
    frame = rng.random((columns, columns)).astype(np.float32)
    volume = rng.random((9, columns // 2, columns // 2)).astype(np.float32)
    volume[4, ::17, ::13] += 5
    return {
        "sinogram": np.ascontiguousarray(sinogram, np.float32),
        "slice": rng.normal(1, 0.1, (columns, columns)).astype(np.float32),
        "frame": frame,
        "moved": np.roll(frame, (3, -5), (0, 1)),
        "volume": volume,
    }


def main() -> int:
    """Run, print, keep the result, and fail if a claim does not hold."""
    on_one_thread()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--angles", type=int, default=901)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "steps_correct.json")
    chosen = parser.parse_args()
    data = make_data(chosen.columns, chosen.angles)
    data["sinogram"] = fill_gaps(data["sinogram"])[0]
    results = compare_all(pairs(), data, HERE / "peers" / "correct_worker.py", chosen.rounds)
    settings = {"columns": chosen.columns, "angles": chosen.angles, "rounds": chosen.rounds}
    return report(results, settings, chosen.out)


if __name__ == "__main__":
    sys.exit(main())
