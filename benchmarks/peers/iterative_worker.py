"""One contender of `benchmarks/iterative.py`, in the Python of its own environment.

    python iterative_worker.py NAME METHOD DATA.npz RESULT.npy ITERATIONS

Prints {"seconds": of processor time for one iteration of one slice} or {"absent": reason}; RESULT.npy gets one slice.
An iteration visits every projection once. What is done once (weights, geometry) is left out on both sides: the time of
ITERATIONS less that of one, divided by the rest.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[int], Any]
"""What does some iterations, and returns one slice."""


def _firstlight(data: Any, method: str, slices: int) -> Run:
    from firstlight.kernels import iterate
    from firstlight.kernels.lanes import side_by_side
    from firstlight.kernels.project import ParallelProjector

    sinogram = data["sinogram"]
    size = sinogram.shape[1]
    projector = ParallelProjector(data["theta"], size, size)
    packed = side_by_side(np.repeat(sinogram[None], slices, axis=0), slices)
    solve = getattr(iterate, "mlem" if method == "osem" else method)
    options = {"subsets": len(data["subsets"])} if method == "osem" else {}
    return lambda iterations: solve(projector, packed, iterate.Limits(iterations), **options).images[..., 0]


def firstlight_one_slice(data: Any, method: str) -> tuple[Run, int]:
    return _firstlight(data, method, 1), 1


def firstlight(data: Any, method: str) -> tuple[Run, int]:
    return _firstlight(data, method, 16), 16


def astra(data: Any, method: str) -> tuple[Run, int]:
    import astra as library

    if method in ("mlem", "osem"):
        return _by_projector(library, data, method), 1
    sinogram = data["sinogram"]
    angles, size = sinogram.shape
    geometry = library.create_proj_geom("parallel", 1.0, size, np.deg2rad(data["theta"]))
    volume = library.create_vol_geom(size, size)
    projector = library.create_projector("linear", geometry, volume)
    measured = library.data2d.create("-sino", geometry, sinogram)

    def run(iterations: int) -> Any:
        image = library.data2d.create("-vol", volume, 0)
        settings = library.astra_dict(method.upper())
        settings.update(ProjectionDataId=measured, ReconstructionDataId=image, ProjectorId=projector)
        if method == "sart":  # the order that ours has
            settings["option"] = {"ProjectionOrder": "custom", "ProjectionOrderList": data["order"].tolist()}
        number = library.algorithm.create(settings)
        library.algorithm.run(number, iterations * (angles if method == "sart" else 1))
        found = library.data2d.get(image)
        library.algorithm.delete(number)
        library.data2d.delete(image)
        return found

    return run, 1


def _by_projector(library: Any, data: Any, method: str) -> Run:
    """Expectation maximisation with ASTRA's projector on the CPU as a matrix, a subset of the projections at a time."""
    sinogram, size = np.maximum(data["sinogram"], 0), data["sinogram"].shape[1]
    volume = library.create_vol_geom(size, size)
    parts = []
    for chosen in data["subsets"] if method == "osem" else [np.arange(len(sinogram))]:
        geometry = library.create_proj_geom("parallel", 1.0, size, np.deg2rad(data["theta"][chosen]))
        matrix = library.OpTomo(library.create_projector("linear", geometry, volume))
        measured = sinogram[chosen].astype(np.float32).ravel()
        parts.append((matrix, measured, matrix.T @ np.ones_like(measured)))

    def run(iterations: int) -> Any:
        image = np.ones(size * size, np.float32)
        for _ in range(iterations):
            for matrix, measured, weight in parts:
                expected = matrix @ image
                share = np.divide(measured, expected, out=np.zeros_like(measured), where=expected > 1e-6)
                image *= np.divide(matrix.T @ share, weight, out=np.zeros_like(image), where=weight > 1e-6)
        return image.reshape(size, size)

    return run


def main() -> None:
    """Time some iterations and one."""
    name, method, data_path, result_path, iterations = sys.argv[1:6]
    data = dict(np.load(data_path))
    count = int(iterations)
    try:
        run, slices = globals()[name](data, method)
        run(1)  # compiled or read from the cache
    except (ImportError, OSError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), flush=True)
        return
    begin = time.process_time()
    run(1)
    once = time.process_time()
    found = run(count)
    spent = (time.process_time() - once) - (once - begin)
    np.save(result_path, np.asarray(found, np.float32))
    print(json.dumps({"seconds": spent / (count - 1) / slices}), flush=True)


if __name__ == "__main__":
    main()
