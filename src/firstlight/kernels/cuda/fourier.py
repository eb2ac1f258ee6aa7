"""Fourier transforms of device arrays, by cuFFT through CuPy on the same memory; by numpy in numba's simulator.

CuPy keeps the plans of each thread and device, and works in the calling thread's stream: nothing is copied, nobody waits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.kernels.cuda.arrays import (
    Device,
    as_cupy,
    cuda,
    cupy_stream,
    has_cupy,
    on_device,
    simulated,
    to_host,
)

__all__ = ["fft", "ifft", "irfft", "rfft"]

Axes = tuple[int, ...]


def fft(values: Device, axes: Axes) -> Device:
    """Of a complex64 array, along axes: complex64, with minus in the exponent and no factor."""
    return _transform("fftn", values, np.complex64, axes=axes)


def ifft(values: Device, axes: Axes, *, scaled: bool = True) -> Device:
    """The inverse: complex64; without `scaled` it is not divided by the number of values."""
    return _transform("ifftn", values, np.complex64, axes=axes, norm="backward" if scaled else "forward")


def rfft(values: Device, axes: Axes) -> Device:
    """Of a float32 array: complex64, half of the last of the axes."""
    return _transform("rfftn", values, np.complex64, axes=axes)


def irfft(values: Device, axes: Axes, sizes: tuple[int, ...]) -> Device:
    """The inverse: float32, as long along the axes as `sizes` says."""
    return _transform("irfftn", values, np.float32, axes=axes, s=sizes)


def _transform(name: str, values: Device, kind: Any, **options: Any) -> Device:
    if simulated():
        return on_device(np.ascontiguousarray(getattr(np.fft, name)(to_host(values), **options), kind))
    if not has_cupy():
        raise ModuleNotFoundError(
            "Fourier transforms on a CUDA device need CuPy, which is not installed: pip install 'firstlight[gpu]', "
            "or run this step on the CPU.",
            name="cupy",
        )
    import cupy  # type: ignore[import-not-found]

    with cupy_stream():
        result = cupy.ascontiguousarray(getattr(cupy.fft, name)(as_cupy(values), **options))
        if result.dtype != np.dtype(kind):
            result = result.astype(kind)
        # both libraries work in one stream, in the order asked for: no need to wait
        return cuda.as_cuda_array(result, sync=False)
