"""Every kernel of the bodies for CUDA, compiled for a real device: run as a program by test_cuda_compiles.

There is no device. Arrays are those of numba's simulator, and a launch compiles the kernel for the types of its arguments (to
PTX, with NVIDIA's own compiler) instead of running it. The simulator runs kernels as Python: what CUDA's types refuse shows
here alone.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba.cuda import dispatcher
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray, to_device

from firstlight.core import registry
from firstlight.kernels.cuda import arrays

ARCHITECTURE = (9, 0)
"""Of an H100 or H200."""

known: dict[Any, int] = {}


def compiled(kernel: Any, grid: Any, block: Any, *arguments: Any) -> None:
    types = tuple(
        numba.types.Array(numba.from_dtype(np.dtype(each.dtype)), each.ndim, "C")
        if isinstance(each, FakeCUDAArray)
        else numba.typeof(each)
        for each in arguments
    )
    if (kernel.py_func, types) not in known:
        text, _ = arrays.cuda.compile_ptx(kernel.py_func, types, cc=ARCHITECTURE)
        known[kernel.py_func, types] = len(text)


def native(values: Any, dtype: Any) -> Any:
    return np.dtype(np.asarray(values).dtype if dtype is None else dtype).newbyteorder("=")


def pretend() -> None:
    """Put what needs no device in the place of what does, before a kernel's module takes it."""
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=ARCHITECTURE)
    arrays.launch = compiled
    arrays.simulated = lambda: True
    arrays.stream = lambda: 0
    arrays.synchronize = lambda: None
    arrays.bound = lambda: 0
    arrays.empty = lambda shape, dtype=np.float32: to_device(np.zeros(shape, dtype))
    arrays.zeros = arrays.empty
    arrays.is_on_device = lambda values: isinstance(values, FakeCUDAArray)
    arrays.on_device = lambda values, dtype=None: (
        values if isinstance(values, FakeCUDAArray) else to_device(np.ascontiguousarray(values, native(values, dtype)))
    )
    arrays.to_host = lambda values, out=None: values.copy_to_host()


def compile_body(
    use: str, frames: Any, *further: Any, at: Any = None, tolerance: float = 0.0, **parameters: Any
) -> None:
    step = registry.get("operators", use).step(**parameters)
    moved = [cases.held_on_device(each) if hasattr(each, "versions") else arrays.on_device(each) for each in further]
    step.bodies["cuda"](arrays.on_device(frames), *moved, **step.parameters(), **(at or {}))


def projections() -> None:
    at = {"angle": np.array([0.0, 45.0, 101.0, 170.0]), "row": np.arange(2)}
    lines = np.ones((2, 4, 7), np.float32)
    for use in ("sirt", "cgls"):
        compile_body(use, lines, at=at, iterations=1, start="fbp", pixel=2.0)
        compile_body(use, lines.astype(np.uint16), at=at, iterations=1, center=(3.0, 3.1))
    compile_body("backproject", lines, at=at, padding="edge")
    importlib.import_module("firstlight.kernels.cuda.arranged").arranged(arrays.on_device(lines), (2, 0, 1))


if __name__ == "__main__":
    pretend()
    place = Path(__file__).parent / "simulated_bodies.py"
    spec: Any = importlib.util.spec_from_file_location("simulated_bodies", place)
    cases: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    cases.agree = compile_body
    failed = 0
    for name, case in {**cases.CASES, "projections": projections}.items():
        try:
            case()
        except Exception as error:  # the next ones are told too
            failed += 1
            sys.stderr.write(f"{name}: {type(error).__name__}: {str(error)[-1500:]}\n")
    sys.stdout.write(f"compiled {len(known)}\n")
    sys.exit(failed)
