"""Spread samples on lines through the origin over a regular grid: the slow half of a non-uniform Fourier transform.

A general transform must sort and look up points for every call. Here the points are fixed (radial lines, equal steps),
all slices share them, and a line crosses a tile of the grid in one run of samples; so a plan keeps the runs, tile by
tile, and the inner loop spreads several slices at once, the slices side by side in memory: one set of weights serves
all, and every load and store is one vector. Weights come from a table of the Kaiser-Bessel function.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import scipy.fft
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

OVERSAMPLING = 1.25  # grid points per pixel of the slice
BAND = 32  # grid rows and columns of a tile: 32 x 32 x 8 slices fit the first-level cache nearly whole
_TABLE_STEPS = 2  # times 1/eps positions per grid step; the nearest one is taken


class LineGrid:
    """Plan to spread samples at equal steps on radial lines over a square grid, in bands of rows."""

    def __init__(
        self, cosines: NDArray[np.float64], sines: NDArray[np.float64], length: int, size: int, eps: float
    ) -> None:
        """Choose the grid and the kernel, and sort the runs of samples by tile.

        Args:
            cosines: shape (line,): step of each line across, times `length`, in cycles per pixel.
            sines: shape (line,): its step downwards.
            length: samples of a line; sample `length // 2` is at the origin, steps are 1/length cycle per pixel.
            size: pixels of the image along either side.
            eps: relative accuracy wanted, 0.1 to 1e-4.

        Raises:
            ValueError: eps out of range.
        """
        if not 1e-4 <= eps <= 0.1:
            raise ValueError(f"eps is {eps}, expected an accuracy between 1e-4 and 0.1.")
        self.size, self.length = size, length
        self.points = _even_fast_length(max(int(np.ceil(OVERSAMPLING * size)), 16))
        ratio = self.points / size
        self.width = max(2, int(np.ceil(np.log(1 / eps) / (np.pi * np.sqrt(1 - 1 / ratio)))))
        self._beta = np.pi * self.width * (1 - 0.5 / ratio) * 0.955
        self.margin = self.width + 2  # grid points beyond either rim, folded back
        self.table = self._weights(2 ** int(np.ceil(np.log2(_TABLE_STEPS / eps))))
        self.bands = -(-(self.points + 2 * self.margin) // BAND)
        across, down = cosines * (self.points / length), sines * (self.points / length)
        start = self.points / 2 + self.margin - self.width / 2 + 1 - (length // 2) * np.stack([across, down])
        self.steps = np.ascontiguousarray(np.stack([start[0], across, start[1], down]))
        self.runs, self.first_run = _sort_runs(self.steps, length, self.bands, 1 - length % 2)

    def _weights(self, positions: int) -> NDArray[np.float32]:
        """Kernel at the taps of each position between two grid points, (position, tap); one more against rounding."""
        part = (np.arange(positions + 1) + 0.5)[:, None] / positions
        distance = np.arange(self.width)[None] + 1 - part - self.width / 2
        inside = np.sqrt(np.clip(1 - (2 * distance / self.width) ** 2, 0, None))
        return (np.i0(self._beta * inside) / np.i0(self._beta)).astype(np.float32)

    def correction(self) -> NDArray[np.float64]:
        """Factor (pixel,) along either side that undoes the kernel, and puts the origin of the grid into its middle."""
        pixel = np.arange(self.size) - self.size // 2
        root = np.sqrt(self._beta**2 - (np.pi * self.width * pixel / self.points) ** 2)
        transform = self.width * np.sinh(root) / root / np.i0(self._beta)
        return np.where(pixel % 2 == 0, 1.0, -1.0) / transform

    def band(self, slices: int) -> NDArray[np.float32]:
        """Make a buffer (row, column, slice) for one band; its pitch keeps rows out of each other's cache sets."""
        columns = self.points + 2 * self.margin + 1
        columns += (37 - columns * slices // 8) % 64 * 8 // slices
        return np.zeros((BAND + self.width + 2, columns, slices), np.float32)

    def spread(self, samples: NDArray[np.float32], band: int, buffer: NDArray[np.float32]) -> None:
        """Add the samples whose kernel starts in a band to its buffer.

        Args:
            samples: shape (line, length, slice), contiguous.
            band: number of the band, from 0.
            buffer: from `band`; its row i is row ``band * BAND - 1 + i - margin`` of the grid, its column j is column
                ``j - margin``.
        """
        runs = self.runs[self.first_run[band] : self.first_run[band + 1]]
        body = spreader(samples.shape[2], self.width)
        body(buffer, samples, runs, self.steps, self.table, band * BAND - 1)


def _even_fast_length(least: int) -> int:
    """Next length that transforms fast and has a middle."""
    return 2 * scipy.fft.next_fast_len(-(-least // 2))


@numba.njit(nogil=True, cache=True)
def _sort_runs(steps: Any, length: Any, bands: Any, first: Any) -> Any:
    """Cut every line into runs (line, first sample, end) within one tile, in order of tiles; runs before each band."""
    lines = steps.shape[1]
    tiles = bands * bands
    count = np.zeros(tiles + 1, np.int64)
    runs = np.empty((0, 3), np.int32)
    for fill in range(2):
        if fill:
            total = 0
            for t in range(tiles + 1):
                count[t], total = total, total + count[t]
            runs = np.empty((total, 3), np.int32)
        for a in range(lines):
            before, begin = -1, first
            for k in range(first, length + 1):
                tile = -1
                if k < length:
                    column, row = int(steps[0, a] + k * steps[1, a]), int(steps[2, a] + k * steps[3, a])
                    tile = (row // BAND) * bands + column // BAND
                if tile != before and before >= 0:
                    if fill:
                        runs[count[before], 0], runs[count[before], 1], runs[count[before], 2] = a, begin, k
                    count[before] += 1
                    begin = k
                before = tile
    starts = np.zeros(bands + 1, np.int64)  # after filling, count[t] is the end of tile t
    for b in range(bands):
        starts[b + 1] = count[(b + 1) * bands - 1]
    return runs, starts


@cache
def spreader(slices: int, width: int) -> Callable[..., None]:
    """Compile the inner loop for a number of slices side by side (re, im, re, im, ...) and a kernel width."""

    @numba.njit(nogil=True, cache=True, fastmath=True)
    def spread(buffer: Any, samples: Any, runs: Any, steps: Any, table: Any, top: Any) -> None:
        grid, values, weights = buffer.reshape(-1), samples.reshape(-1), table.reshape(-1)
        pitch, length = np.int64(buffer.shape[1] * slices), np.int64(samples.shape[1])
        scale = np.float32(table.shape[0] - 1)
        for n in range(runs.shape[0]):
            line, begin = np.int64(runs[n, 0]), np.int64(runs[n, 1])
            x, y = steps[0, line] + begin * steps[1, line], steps[2, line] + begin * steps[3, line] - top
            left, upper = int(x) - 64, int(y) - 64  # small numbers keep float32 exact enough on any grid
            x0, y0 = np.float32(x - left), np.float32(y - upper)
            across, down = np.float32(steps[1, line]), np.float32(steps[3, line])
            origin = upper * pitch + left * slices
            source = (line * length + begin) * slices
            for k in range(np.int32(runs[n, 2] - runs[n, 1])):
                u, v = x0 + np.float32(k) * across, y0 + np.float32(k) * down
                column, row = np.int32(u), np.int32(v)
                tx = np.int64(np.int32((u - np.float32(column)) * scale)) * width
                ty = np.int64(np.int32((v - np.float32(row)) * scale)) * width
                place = origin + row * pitch + column * slices
                _add_block(grid, place, pitch, values, source, weights, tx, ty, slices, width)
                source += slices

    return spread


@intrinsic(prefer_literal=True)
def _add_block_typed(
    _context: Any,
    grid: Any,
    place: Any,
    pitch: Any,
    values: Any,
    source: Any,
    table: Any,
    across: Any,
    down: Any,
    slices: Any,
    width: Any,
) -> Any:
    """Add one sample of all slices, times width x width weights, to the grid, as vectors of `slices` floats.

    Written in LLVM's own terms because its vectoriser, fearing that grid and values overlap, stays scalar (3 times slower).
    """
    signature = types.void(grid, place, pitch, values, source, table, across, down, slices, width)
    lanes, taps = slices.literal_value, width.literal_value

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, fast = ir.VectorType(ir.FloatType(), lanes), ("fast",)
        pointer = [cgutils.create_struct_proxy(signature.args[i])(context, builder, args[i]).data for i in (0, 3, 5)]

        def at(base: Any, offset: Any, extra: int) -> Any:
            return builder.gep(base, [builder.add(offset, ir.Constant(ir.IntType(64), extra))])

        def splat(value: Any) -> Any:
            undefined = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(
                one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            )

        def load(address: Any) -> Any:
            loaded = builder.load(address)
            loaded.align = 4
            return loaded

        def as_vector(address: Any) -> Any:
            return builder.bitcast(address, vector.as_pointer())

        value, offset = load(as_vector(at(pointer[1], args[4], 0))), args[1]
        row = [builder.fmul(value, splat(load(at(pointer[2], args[6], c))), flags=fast) for c in range(taps)]
        for r in range(taps):
            weight = splat(load(at(pointer[2], args[7], r)))
            for c in range(taps):
                address = as_vector(at(pointer[0], offset, c * lanes))
                total = builder.fadd(load(address), builder.fmul(weight, row[c], flags=fast), flags=fast)
                builder.store(total, address).align = 4
            offset = builder.add(offset, args[2])
        return context.get_dummy_value()

    return signature, generate


_add_block: Any = _add_block_typed  # the compiled call has no context argument
