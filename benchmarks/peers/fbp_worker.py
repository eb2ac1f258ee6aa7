"""One contender of `benchmarks/fbp.py`, in the Python of its own environment: reads a line, reconstructs once, prints seconds.

    python fbp_worker.py NAME DATA.npz SLICES RESULT.npy

The first line printed says {"ready": true} or {"absent": reason}; every line read afterwards is answered with
{"seconds": per slice}. RESULT.npy gets the first slice. All contenders get the same float32 sinograms (slice, angle,
col), filled before the clock starts, and return every slice.
"""

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

THREADS = 2
Run = Callable[[], Any]  # returns the slices, (slice, y, x)


def firstlight(sinograms: Any, theta: Any) -> Run:
    from firstlight.kernels.fourier import FourierFBP

    count, _, size = sinograms.shape
    plan = FourierFBP(np.rad2deg(theta), size, window="shepp-logan")
    out = np.ones((count, size, size), np.float32)
    pool = ThreadPoolExecutor(THREADS)
    parts = [slice(i, i + 8) for i in range(0, count, 8)]

    def run() -> Any:
        list(pool.map(lambda p: plan.reconstruct(sinograms[p], out=out[p]), parts))
        return out

    return run


def _ramp(length: int) -> Any:
    place = np.arange(length)
    offset = np.minimum(place, length - place)
    kernel = np.where(offset % 2 == 1, -1 / (np.pi * np.maximum(offset, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    return (np.fft.rfft(kernel).real * np.sinc(np.fft.rfftfreq(length))).astype(np.float32)


def bare_ffts(sinograms: Any, theta: Any) -> Run:
    """The bound: ramp filter (2 N) of all rows, and one FFT of the 1.25 N grid for each pair of slices; nothing else."""
    import scipy.fft as sf

    count, _, size = sinograms.shape
    grid = 2 * sf.next_fast_len(int(np.ceil(0.625 * size)))
    response, plane = _ramp(2 * size), np.ones((grid, grid), np.complex64)

    def run() -> Any:
        spectrum = sf.rfft(sinograms, 2 * size, axis=-1, workers=THREADS)
        spectrum *= response
        sf.irfft(spectrum, 2 * size, axis=-1, workers=THREADS)
        for _ in range(count // 2):
            sf.fft2(plane, workers=THREADS)
        return None

    return run


def bare_ffts_in_place(sinograms: Any, theta: Any) -> Run:
    """A stricter bound: pairs packed, buffers reused and overwritten, so that no fresh page is touched."""
    import scipy.fft as sf

    count, angles, size = sinograms.shape
    grid = 2 * sf.next_fast_len(int(np.ceil(0.625 * size)))
    planes = [np.ones((grid, grid), np.complex64) for _ in range(THREADS)]
    rows = [np.ones((32, 2 * size), np.complex64) for _ in range(THREADS)]
    pool = ThreadPoolExecutor(THREADS)

    def half(worker: int) -> None:
        for _ in range(worker, count // 2, THREADS):
            for _ in range(0, angles, 32):
                sf.fft(rows[worker], overwrite_x=True, norm="ortho")
                sf.ifft(rows[worker], overwrite_x=True, norm="ortho")
            sf.ifft2(planes[worker], overwrite_x=True, norm="ortho")

    return lambda: (list(pool.map(half, range(THREADS))), None)[1]


def finufft(sinograms: Any, theta: Any) -> Run:
    """The plain way to this algorithm: filter, pack pairs, a general non-uniform FFT."""
    import finufft as library
    import scipy.fft as sf

    count, angles, size = sinograms.shape
    response, w = _ramp(2 * size), sf.fftfreq(size)
    across = (2 * np.pi * np.outer(np.cos(theta), w)).astype(np.float32).ravel()
    down = (-2 * np.pi * np.outer(np.sin(theta), w)).astype(np.float32).ravel()
    plan = library.Plan(
        1, (size, size), n_trans=4, eps=1e-3, isign=1, dtype="complex64", nthreads=THREADS, upsampfac=1.25
    )
    plan.setpts(down, across)
    half = (size - 1) / 2 - size // 2
    shift = (size - 1) / 2 - half * (np.cos(theta) - np.sin(theta))
    wave = (np.exp(2j * np.pi * w * shift[:, None]) * (np.pi / angles / size)).astype(np.complex64)
    out = np.ones((count, size, size), np.float32)

    def run() -> Any:
        for i in range(0, count, 8):
            spectrum = sf.rfft(sinograms[i : i + 8], 2 * size, axis=-1, workers=THREADS)
            spectrum *= response
            filtered = sf.irfft(spectrum, 2 * size, axis=-1, workers=THREADS)[..., :size]
            pairs = np.empty((4, angles, size), np.complex64)
            pairs.real, pairs.imag = filtered[0::2], filtered[1::2]
            pairs = sf.fft(pairs, axis=-1, workers=THREADS, overwrite_x=True)
            pairs *= wave
            image = plan.execute(pairs.reshape(4, -1))
            out[i : i + 8 : 2], out[i + 1 : i + 8 : 2] = image.real, image.imag
        return out

    return run


def _tomopy(sinograms: Any, theta: Any, pad: int) -> Run:
    import tomopy

    size = sinograms.shape[2]
    padded = np.ascontiguousarray(np.pad(sinograms, ((0, 0), (0, 0), (pad, pad)), mode="edge"))

    def run() -> Any:
        result = tomopy.recon(
            padded,
            theta,
            center=size / 2 + pad,
            algorithm="gridrec",
            filter_name="shepp",
            ncore=THREADS,
            sinogram_order=True,
        )
        return result[:, pad : pad + size, pad : pad + size]

    return run


def gridrec(sinograms: Any, theta: Any) -> Run:
    return _tomopy(sinograms, theta, 0)


def gridrec_padded(sinograms: Any, theta: Any) -> Run:
    return _tomopy(sinograms, theta, sinograms.shape[2] // 2)


def _gridrec_alone(sinograms: Any, theta: Any, pad: int) -> Run:
    """Call tomopy's `gridrec.c`, compiled alone with FFTW for MKL, as tomopy does: one thread for each half of the slices."""
    library = ctypes.CDLL(os.path.join(os.environ["PEERS"], "gridrec", "libgridrec.so"))
    size, count = sinograms.shape[2] + 2 * pad, sinograms.shape[0]
    padded = np.ascontiguousarray(np.pad(sinograms, ((0, 0), (0, 0), (pad, pad)), mode="edge"))
    out, theta = np.ones((count, size, size), np.float32), theta.astype(np.float32)
    centers = np.full(count, size / 2, np.float32)
    pool = ThreadPoolExecutor(THREADS)

    def half(part: slice) -> None:
        data, target, axis = padded[part], out[part], centers[part]
        pointer = [a.ctypes.data_as(ctypes.c_void_p) for a in (data, axis, theta, target)]
        shape = data.shape
        library.gridrec(pointer[0], *shape, pointer[1], pointer[2], pointer[3], size, size, b"shepp", None)

    def run() -> Any:
        step = -(-count // THREADS)
        list(pool.map(half, [slice(i, i + step) for i in range(0, count, step)]))
        return out[:, pad : pad + size - 2 * pad, pad : pad + size - 2 * pad]

    return run


def gridrec_alone(sinograms: Any, theta: Any) -> Run:
    return _gridrec_alone(sinograms, theta, 0)


def gridrec_alone_padded(sinograms: Any, theta: Any) -> Run:
    return _gridrec_alone(sinograms, theta, sinograms.shape[2] // 2)


def astra(sinograms: Any, theta: Any) -> Run:
    import astra as library

    size = sinograms.shape[2]
    geometry = library.create_proj_geom("parallel", 1.0, size, theta)
    projector = library.create_projector("linear", geometry, library.create_vol_geom(size, size))
    source = library.data2d.create("-sino", geometry, sinograms[0])
    target = library.data2d.create("-vol", library.create_vol_geom(size, size))
    settings = library.astra_dict("FBP")
    settings.update(ProjectorId=projector, ProjectionDataId=source, ReconstructionDataId=target)
    settings["option"] = {"FilterType": "shepp-logan"}
    algorithm = library.algorithm.create(settings)

    def run() -> Any:
        library.algorithm.run(algorithm)
        return library.data2d.get(target)[None]

    return run


def algotom_fbp(sinograms: Any, theta: Any) -> Run:
    import algotom.rec.reconstruction as library

    options = {"angles": theta, "ratio": None, "filter_name": "hann", "apply_log": False}
    middle = (sinograms.shape[2] - 1) / 2
    return lambda: library.fbp_reconstruction(sinograms[0], middle, pad=None, gpu=False, ncore=THREADS, **options)[None]


def algotom_dfi(sinograms: Any, theta: Any) -> Run:
    import algotom.rec.reconstruction as library

    options = {"angles": theta, "ratio": None, "filter_name": "hann", "apply_log": False}
    middle = (sinograms.shape[2] - 1) / 2
    return lambda: library.dfi_reconstruction(sinograms[0], middle, pad_rate=0.25, **options)[None]


def skimage(sinograms: Any, theta: Any) -> Run:
    from skimage.transform import iradon

    turned, degrees = np.ascontiguousarray(sinograms[0].T), np.rad2deg(theta)
    return lambda: iradon(turned, theta=degrees, filter_name="shepp-logan", circle=True)[None]


def main() -> None:
    """Answer every line of the standard input with the seconds of one run."""
    name, data_path, slices, result_path = sys.argv[1:5]
    data = np.load(data_path)
    sinograms = np.ascontiguousarray(np.repeat(data["sinogram"][None], int(slices), axis=0))
    try:
        run = globals()[name](sinograms, data["theta"].astype(np.float64))
        if name not in ("astra", "skimage"):  # these take a minute and keep no plan: nothing to warm
            run()
    except (ImportError, OSError, AttributeError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    saved = False
    for _ in sys.stdin:
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        if result is not None and not saved:
            np.save(result_path, np.asarray(result[0], np.float32))
            saved = True
        print(json.dumps({"seconds": seconds / (len(result) if result is not None else int(slices))}), flush=True)


if __name__ == "__main__":
    main()
