"""Ramp filter of whole projections for live work: rows in, columns out.

Filters every row of a projection and stores the result transposed, (col, row), as :mod:`firstlight.kernels.slices` reads
it. Sixteen rows lie side by side in one vector, and sixteen more in its imaginary part, since an even real response
keeps real and imaginary part apart. The transform runs forward with decimation in frequency, is multiplied by the
response in the order in which it comes out, and runs back with decimation in time: no reordering, in place. Rows are
padded with zeros to twice their length, so that the convolution is linear; the first stage knows that half is zero, and
the last one computes only the half that is kept.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from firstlight.kernels.butterflies import (
    POINT,
    backward_2,
    backward_3,
    backward_4,
    backward_4_of_half,
    backward_5,
    forward_2,
    forward_3,
    forward_4,
    forward_4_of_half,
    forward_5,
)
from firstlight.kernels.ramp import Window, ramp_response

__all__ = ["TransposedRamp"]

# points of a sub-transform that stays in a first-level cache: 128 points of 128 bytes
_INNER = 128
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}

F32 = NDArray[np.float32]


@intrinsic
def _store_intrinsic(typingctx: Any, sample: Any, value: Any) -> Any:
    """A float32 as the cache holds it: itself, or the bits of a float16, by the type of ``sample``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[0] == types.float32:
            return args[1]
        return builder.bitcast(builder.fptrunc(args[1], ir.HalfType()), ir.IntType(16))

    return sample(sample, types.float32), codegen


# numba gives the first argument itself, which a type checker cannot know
_stored: Any = _store_intrinsic


class TransposedRamp:
    """Ramp filter for projections of one width; may be called from several threads at once."""

    def __init__(self, columns: int, window: Window = "ram-lak", *, cutoff: float = 1.0) -> None:
        """Tabulate the transfer function and the factors of the transform.

        Args:
            columns: pixels in a detector row.
            window: see :mod:`firstlight.kernels.ramp`.
            cutoff: end of the window as a fraction of the highest frequency.

        Raises:
            ValueError: no columns, or an unknown window or cutoff.
        """
        if columns < 1:
            raise ValueError(f"columns is {columns}, expected at least 1.")
        self.columns = columns
        self.length, radices = _fast_length(2 * columns)
        self._radices = np.array(radices, np.int64)
        self._twiddles, self._offsets = _twiddles(self.length, radices)
        response = ramp_response(self.length, window, cutoff) / self.length
        self._response = response[_output_order(self.length, radices)].astype(np.float32)

    def __call__(self, projections: NDArray[np.float32], out: NDArray[Any]) -> NDArray[Any]:
        """Filter projections and store them transposed.

        Args:
            projections: (row, col) or (projection, row, col) float32: line integrals.
            out: (col, row) or (projection, col, row) to fill, float32 or float16; last axis contiguous.

        Returns:
            ``out``, in the unit of ``projections`` per pixel.

        Raises:
            ValueError: if a shape or type does not fit.
        """
        stack, target = projections[None] if projections.ndim == 2 else projections, out[None] if out.ndim == 2 else out
        if stack.ndim != 3 or stack.shape[2] != self.columns or stack.dtype != np.float32:
            raise ValueError(f"projections are {stack.dtype}{stack.shape}: expected float32 (.., row, {self.columns})")
        expected = (stack.shape[0], self.columns, stack.shape[1])
        if target.shape != expected or target.dtype not in (np.float32, np.float16):
            raise ValueError(f"out is {target.dtype}{target.shape}: expected float32 or float16 {expected}")
        bits = target.view(np.uint16) if target.dtype == np.float16 else target
        work = np.empty(self.length * POINT, np.float32)
        for projection, result in zip(stack, bits, strict=True):
            _filter(projection, result, work, self._radices, self._twiddles, self._offsets, self._response)
        return out


def _fast_length(least: int) -> tuple[int, list[int]]:
    """Smallest length 2^k, 3 * 2^k or 5 * 2^k that holds `least` points, and its stages, of which the first is a 4."""
    found: list[tuple[int, list[int]]] = []
    for odd in (1, 3, 5):
        twos = max(2, (-(-least // odd) - 1).bit_length())
        radices = [4] * (twos // 2) + [2] * (twos % 2) + [odd] * (odd > 1)
        found.append((odd << twos, radices))
    return min(found)


def _twiddles(length: int, radices: list[int]) -> tuple[F32, NDArray[np.int64]]:
    """Factors exp(-2 pi i q j / n) of every stage, in the order in which the butterflies use them."""
    parts, offsets, offset, n = [], [], 0, length
    for radix in radices:
        j, q = np.arange(n // radix)[:, None], np.arange(1, radix)[None, :]
        phase = 2 * np.pi * q * j / n
        part = np.stack([np.cos(phase), -np.sin(phase)], axis=-1).ravel().astype(np.float32)
        parts.append(part)
        offsets.append(offset)
        offset, n = offset + part.size, n // radix
    return np.concatenate(parts), np.array(offsets, np.int64)


def _output_order(length: int, radices: list[int]) -> NDArray[np.int64]:
    """Frequency that each point holds after the forward stages."""
    order, scale, n = np.zeros(length, np.int64), 1, length
    place = np.arange(length)
    for radix in radices:
        n //= radix
        order += scale * (place // n)
        place, scale = place % n, scale * radix
    return order


@numba.njit(**_OPTIONS)
def _forward(work: F32, first: int, count: int, n: int, radix: int, twiddles: F32, offset: int) -> None:
    m = n // radix
    for start in range(first, first + count, n):
        for j in range(m):
            turn = offset + 2 * (radix - 1) * j
            if radix == 4:
                forward_4(work, start + j, m, twiddles, turn)
            elif radix == 2:
                forward_2(work, start + j, m, twiddles, turn)
            elif radix == 3:
                forward_3(work, start + j, m, twiddles, turn)
            else:
                forward_5(work, start + j, m, twiddles, turn)


@numba.njit(**_OPTIONS)
def _backward(work: F32, first: int, count: int, n: int, radix: int, twiddles: F32, offset: int) -> None:
    m = n // radix
    for start in range(first, first + count, n):
        for j in range(m):
            turn = offset + 2 * (radix - 1) * j
            if radix == 4:
                backward_4(work, start + j, m, twiddles, turn)
            elif radix == 2:
                backward_2(work, start + j, m, twiddles, turn)
            elif radix == 3:
                backward_3(work, start + j, m, twiddles, turn)
            else:
                backward_5(work, start + j, m, twiddles, turn)


@numba.njit(**_OPTIONS)
def _convolve(
    work: F32, length: int, radices: NDArray[np.int64], twiddles: F32, offsets: NDArray[np.int64], response: F32
) -> None:
    """Transform, multiply by the response, transform back."""
    quarter = length // 4
    for j in range(quarter):
        forward_4_of_half(work, j, quarter, twiddles, offsets[0] + 6 * j)
    outer, n = 1, quarter
    while n > _INNER:
        _forward(work, 0, length, n, radices[outer], twiddles, offsets[outer])
        n //= radices[outer]
        outer += 1
    block = n
    for first in range(0, length, block):
        n = block
        for s in range(outer, radices.size):
            _forward(work, first, block, n, radices[s], twiddles, offsets[s])
            n //= radices[s]
        for p in range(first, first + block):
            point = work[p * POINT : (p + 1) * POINT]
            for i in range(POINT):
                point[i] *= response[p]
        for s in range(radices.size - 1, outer - 1, -1):
            n *= radices[s]
            _backward(work, first, block, n, radices[s], twiddles, offsets[s])
    n = block
    for s in range(outer - 1, 0, -1):
        n *= radices[s]
        _backward(work, 0, length, n, radices[s], twiddles, offsets[s])
    for j in range(quarter):
        backward_4_of_half(work, j, quarter, twiddles, offsets[0] + 6 * j)


@numba.njit(**_OPTIONS)
def _filter(
    projection: F32,
    result: NDArray[Any],
    work: F32,
    radices: NDArray[np.int64],
    twiddles: F32,
    offsets: NDArray[np.int64],
    response: F32,
) -> None:
    rows, columns = projection.shape
    length = response.size
    for first in range(0, rows, POINT):
        count = min(POINT, rows - first)
        if count < POINT:
            work[:] = 0
        for lane in range(count):
            line = projection[first + lane]
            for col in range(columns):
                work[col * POINT + lane] = line[col]
        work[columns * POINT : length // 2 * POINT] = 0
        _convolve(work, length, radices, twiddles, offsets, response)
        for col in range(columns):
            point = work[col * POINT : col * POINT + count]
            target = result[col, first : first + count]
            for lane in range(count):
                target[lane] = _stored(target[lane], point[lane])
