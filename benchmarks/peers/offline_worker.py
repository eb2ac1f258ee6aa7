"""One contender of `benchmarks/offline.py`, in the Python of its own environment: the whole way from a file to a file.

    python offline_worker.py NAME SCAN.h5 ROWS STRIPES RESULT.h5

The first line printed says {"ready": true} or {"absent": reason}; every line read afterwards is answered with
{"seconds": of the whole way}. The peers do what their own scripts do: read the projections of a band of rows, correct
and take the logarithm with numpy on two threads, then row by row (two threads) stripes and reconstruction, then write.
"""

import ctypes
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

THREADS = 2
BAND = 16
Run = Callable[[], None]
Slices = Callable[[Any], Any]  # (row, angle, col) line integrals -> (row, y, x)


def firstlight(scan: str, rows: int, stripes: str, result: str) -> Run:
    from firstlight.jobs.load import load_job
    from firstlight.jobs.start import start

    steps: list[dict[str, Any]] = [{"use": "flat_field"}, {"use": "minus_log"}]
    steps += [{"use": stripes}] if stripes else []
    steps += [{"use": "fbp", "filter": "shepp-logan"}]
    job = {
        "source": {"use": "dxfile", "path": scan},
        "only": {"row": f"0:{rows}"},
        "steps": steps,
        "sinks": [{"use": "hdf5", "of": "fbp", "path": result, "overwrite": True}],
        "runner": {"use": "local", "threads": THREADS},
    }

    def run() -> None:
        start(load_job(job)).finished(3600)

    return run


def _chain(scan: str, rows: int, result: str, reconstruct: Slices) -> Run:
    """Read, correct and write as scripts over numpy and h5py do."""
    import h5py

    pool = ThreadPoolExecutor(THREADS)

    def corrected(part: Any, dark: Any, flat: Any, out: Any) -> None:
        np.subtract(part, dark, out=out)
        np.divide(out, flat, out=out)
        np.maximum(out, 1e-6, out=out)
        np.log(out, out=out)
        np.negative(out, out=out)

    def run() -> None:
        with h5py.File(scan) as file, h5py.File(result, "w") as target:
            data = file["exchange/data"]
            angles, _, columns = data.shape
            made = target.create_dataset("data", (rows, columns, columns), np.float32)
            for first in range(0, rows, BAND):
                band = slice(first, min(first + BAND, rows))
                counts = data[:, band]
                dark = file["exchange/data_dark"][:, band].mean(axis=0, dtype=np.float32)
                flat = file["exchange/data_white"][:, band].mean(axis=0, dtype=np.float32) - dark
                out = np.empty(counts.shape, np.float32)
                edges = np.linspace(0, angles, 8 * THREADS + 1).astype(int)
                parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
                list(pool.map(lambda p, c=counts, d=dark, f=flat, o=out: corrected(c[p], d, f, o[p]), parts))
                made[band] = reconstruct(np.ascontiguousarray(np.swapaxes(out, 0, 1)))

    return run


def _without_stripes(sinograms: Any, stripes: str) -> Any:
    if not stripes:
        return sinograms
    from algotom.prep.removal import remove_stripe_based_sorting

    with ThreadPoolExecutor(THREADS) as pool:
        return np.stack(list(pool.map(lambda s: remove_stripe_based_sorting(s, size=21, dim=1), sinograms)))


def _angles(scan: str) -> Any:
    import h5py

    with h5py.File(scan) as file:
        return np.deg2rad(file["exchange/theta"][()])


def gridrec(scan: str, rows: int, stripes: str, result: str) -> Run:
    """The chain of tomopy with its `gridrec.c`, compiled alone (see `fbp.py`)."""
    library = ctypes.CDLL(os.path.join(os.environ["PEERS"], "gridrec", "libgridrec.so"))
    theta = _angles(scan).astype(np.float32)
    pool = ThreadPoolExecutor(THREADS)

    def reconstruct(sinograms: Any) -> Any:
        sinograms = np.ascontiguousarray(_without_stripes(sinograms, stripes), np.float32)
        count, _, size = sinograms.shape
        out, centers = np.empty((count, size, size), np.float32), np.full(count, size / 2, np.float32)

        def half(part: slice) -> None:
            pointer = [a.ctypes.data_as(ctypes.c_void_p) for a in (sinograms[part], centers[part], theta, out[part])]
            shape = sinograms[part].shape
            library.gridrec(pointer[0], *shape, pointer[1], pointer[2], pointer[3], size, size, b"shepp", None)

        step = -(-count // THREADS)
        list(pool.map(half, [slice(i, i + step) for i in range(0, count, step)]))
        return out

    return _chain(scan, rows, result, reconstruct)


def tomopy(scan: str, rows: int, stripes: str, result: str) -> Run:
    import tomopy as library

    theta = _angles(scan)

    def reconstruct(sinograms: Any) -> Any:
        if stripes:
            turned = np.swapaxes(sinograms, 0, 1)
            sinograms = np.swapaxes(library.remove_stripe_based_sorting(turned, size=21, ncore=THREADS), 0, 1)
        middle = sinograms.shape[2] / 2
        given: dict[str, Any] = {"algorithm": "gridrec", "filter_name": "shepp", "sinogram_order": True}
        return library.recon(sinograms, theta, center=middle, ncore=THREADS, **given)

    return _chain(scan, rows, result, reconstruct)


def algotom(scan: str, rows: int, stripes: str, result: str) -> Run:
    from algotom.rec.reconstruction import dfi_reconstruction

    theta = _angles(scan)

    def reconstruct(sinograms: Any) -> Any:
        sinograms = _without_stripes(sinograms, stripes)
        middle = (sinograms.shape[2] - 1) / 2
        with ThreadPoolExecutor(THREADS) as pool:
            made = pool.map(lambda s: dfi_reconstruction(s, middle, angles=theta, apply_log=False), sinograms)
            return np.stack(list(made))

    return _chain(scan, rows, result, reconstruct)


def main() -> None:
    """Answer every line of the standard input with the seconds of one run."""
    name, scan, rows, stripes, result = sys.argv[1:6]
    try:
        warm = globals()[name](scan, 2, stripes, result)
        warm()
        run = globals()[name](scan, int(rows), stripes, result)
    except (ImportError, OSError, AttributeError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        Path(result).unlink(missing_ok=True)
        start = time.perf_counter()
        run()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    main()
