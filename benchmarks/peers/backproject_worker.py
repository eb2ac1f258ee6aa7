"""One contender of `benchmarks/backproject.py`, in the Python of its own environment.

    python backproject_worker.py NAME DATA.npz RESULT.npy

Prints {"seconds": of processor time for one run, "slices": how many at once} or {"absent": reason}; RESULT.npy gets one image.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

Run = tuple[Callable[[], Any], int]
"""What is timed, which returns one image or sinogram, and how many slices it does."""


def _firstlight(data: Any, slices: int, threads: int, forward: bool) -> Run:
    from firstlight.kernels.lanes import side_by_side
    from firstlight.kernels.project import ParallelProjector

    sinogram, theta = data["sinogram"], data["theta"]
    size = sinogram.shape[1]
    projector = ParallelProjector(theta, size, size, hat=not forward)
    lanes = max(1, slices // threads)
    source = data["image"] if forward else sinogram
    stack = np.repeat(source[None], min(lanes, slices), axis=0)

    def one(_: int) -> Any:
        packed = side_by_side(stack, lanes)  # part of the price
        return (projector.project(packed) if forward else projector.backproject(packed))[..., 0]

    pool = ThreadPoolExecutor(threads)
    return (lambda: list(pool.map(one, range(threads)))[-1]), slices


def firstlight_one_slice(data: Any) -> Run:
    return _firstlight(data, 1, 1, forward=False)


def firstlight_one_thread(data: Any) -> Run:
    return _firstlight(data, 16, 1, forward=False)


def firstlight(data: Any) -> Run:
    return _firstlight(data, 32, 2, forward=False)


def firstlight_forward_one_slice(data: Any) -> Run:
    return _firstlight(data, 1, 1, forward=True)


def firstlight_forward_one_thread(data: Any) -> Run:
    return _firstlight(data, 16, 1, forward=True)


def firstlight_forward(data: Any) -> Run:
    return _firstlight(data, 32, 2, forward=True)


def _astra(data: Any) -> tuple[Any, int, Any]:
    import astra as library

    size = data["sinogram"].shape[1]
    geometry = library.create_proj_geom("parallel", 1.0, size, np.deg2rad(data["theta"]))
    return library, size, library.create_projector("linear", geometry, library.create_vol_geom(size, size))


def astra(data: Any) -> Run:
    library, _, projector = _astra(data)

    def run() -> Any:
        number, image = library.create_backprojection(data["sinogram"], projector)
        library.data2d.delete(number)
        return image

    return run, 1


def astra_forward(data: Any) -> Run:
    library, _, projector = _astra(data)

    def run() -> Any:
        number, sinogram = library.create_sino(data["image"], projector)
        library.data2d.delete(number)
        return sinogram

    return run, 1


def skimage(data: Any) -> Run:
    from skimage.transform import iradon

    turned = np.ascontiguousarray(data["sinogram"].T)
    return (lambda: iradon(turned, theta=data["theta"], filter_name=None, circle=True)), 1


def main() -> None:
    """Time one run."""
    name, data_path, result_path = sys.argv[1:4]
    data = dict(np.load(data_path))
    try:
        run, slices = globals()[name](data)
        if name.startswith("firstlight"):
            run()  # compiled or read from the cache
    except (ImportError, OSError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    start = time.process_time()
    result = run()
    seconds = time.process_time() - start  # of all threads: neighbours do not count
    np.save(result_path, np.asarray(result, np.float32))
    print(json.dumps({"seconds": seconds, "slices": slices}), flush=True)


if __name__ == "__main__":
    main()
