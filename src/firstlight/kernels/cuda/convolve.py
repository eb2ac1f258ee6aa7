"""Lines convolved on a CUDA device with one even kernel, such as the ramp of filtered back-projection.

In real space: a line of n values takes n² multiplications, of two numbers from fast memory each. Beside the n² of every
line that back-projection adds up, each with a read of its own, that is little, and no library of Fourier transforms is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from numba import cuda as _cuda

from ..ramp import RampFilter
from .arrays import Device, empty, launch, on_device

cuda: Any = _cuda  # its stubs know nothing of launching a kernel

TILE = 64
"""Threads of a block, and numbers of a line that it has in fast memory at a time."""
_NEAR = 2 * TILE
"""Taps that it has there: the distances from a tile to a tile."""


@cuda.jit
def _convolve(lines: Any, taps: Any, before: Any, edges: Any, out: Any) -> None:
    """Each thread makes one number of a line: out[before + i] = sum over j of taps[|i - j|] line[j], and what the edges add."""
    columns = lines.shape[1]
    local, line = cuda.threadIdx.x, cuda.blockIdx.y
    start = cuda.blockIdx.x * TILE
    place = start + local
    values = cuda.shared.array(TILE, np.float32)
    near = cuda.shared.array(_NEAR, np.float32)
    while line < lines.shape[0]:
        total = np.float32(0)
        for tile in range(0, columns, TILE):
            other = tile + local
            values[local] = np.float32(lines[line, other]) if other < columns else np.float32(0)
            for half in range(2):  # near[m] is the tap of places start - before - tile + m - (TILE - 1) apart
                apart = abs(start - before - tile + half * TILE + local - (TILE - 1))
                near[half * TILE + local] = taps[apart] if apart < taps.shape[0] else np.float32(0)
            cuda.syncthreads()
            for j in range(TILE):
                total += values[j] * near[TILE - 1 + local - j]
            cuda.syncthreads()
        if place < out.shape[1]:
            if edges.shape[1]:
                total += np.float32(lines[line, 0]) * edges[0, place]
                total += np.float32(lines[line, columns - 1]) * edges[1, place]
            out[line, place] = total
        line += cuda.gridDim.y


class CudaRamp:
    """The ramp filter of `kernels.ramp.RampFilter` on the device."""

    def __init__(self, columns: int, window: Any = "ram-lak", **given: Any) -> None:
        """Tabulate the taps; see `kernels.ramp.RampFilter` for the arguments."""
        plan = RampFilter(columns, window, **given)
        self.columns, self._beside = columns, plan.beside
        reach = columns + max(plan.beside)
        self._taps = on_device(scipy.fft.ifft(plan.response.astype(np.float64)).real[:reach], np.float32)
        self._edges = on_device(np.zeros((2, 0)) if plan.edges is None else np.stack(plan.edges), np.float32)

    def __call__(self, lines: Device) -> Device:
        """Filter the last axis of a C-contiguous array, as float32; it gets longer by `beside`."""
        wide = self.columns + sum(self._beside)
        made = empty((*lines.shape[:-1], wide))
        count = 1
        for length in lines.shape[:-1]:
            count *= length
        if count and self.columns:
            grid = (-(-wide // TILE), min(count, 65_535))
            flat, target = lines.reshape((count, self.columns)), made.reshape((count, wide))
            launch(_convolve, grid, (TILE, 1), flat, self._taps, self._beside[0], self._edges, target)
        return made
