"""Ramp filter of whole projections for live work: rows in, columns out.

Filters every row of a projection and stores the result transposed, (col, row), as :mod:`firstlight.kernels.slices` reads
it. Sixteen rows lie side by side in one vector, and sixteen more in its imaginary part, since an even real response
keeps real and imaginary part apart. The transform runs forward with decimation in frequency, is multiplied by the
response in the order in which it comes out, and runs back with decimation in time: no reordering, in place. Rows are
padded with zeros to twice their length, so that the convolution is linear; the first stage knows that half is zero, and
the last one computes only the half that is kept.

numba has no vector type, so that one butterfly is written in LLVM's own (compiled for whatever the CPU has).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from firstlight.kernels.ramp import Window, ramp_response

__all__ = ["TransposedRamp"]

_LANES = 16
_POINT = 2 * _LANES
# points of a sub-transform that stays in a first-level cache: 128 points of 128 bytes
_INNER = 128
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}

F32 = NDArray[np.float32]
Value = tuple[Any, Any]


class _Points:
    """Writes LLVM code that works on complex vectors: pairs of values."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.vector = ir.VectorType(ir.FloatType(), _LANES)
        self.work = context.make_array(signature.args[0])(context, builder, args[0]).data
        self.twiddles = context.make_array(signature.args[3])(context, builder, args[3]).data
        self.first, self.step, self.turn = args[1], args[2], args[4]

    def _place(self, number: int, part: int) -> Any:
        size = self.first.type
        point = self.builder.add(self.first, self.builder.mul(self.step, ir.Constant(size, number)))
        index = self.builder.add(self.builder.mul(point, ir.Constant(size, _POINT)), ir.Constant(size, part * _LANES))
        return self.builder.bitcast(self.builder.gep(self.work, [index]), self.vector.as_pointer())

    def load(self, number: int) -> Value:
        """Point first + number * step."""
        real, imaginary = (self.builder.load(self._place(number, part), align=4) for part in (0, 1))
        return real, imaginary

    def store(self, number: int, value: Value) -> None:
        """Write point first + number * step."""
        for part in (0, 1):
            self.builder.store(value[part], self._place(number, part), align=4)

    def _factor(self, number: int) -> Any:
        index = self.builder.add(self.turn, ir.Constant(self.turn.type, number))
        scalar = self.builder.load(self.builder.gep(self.twiddles, [index]), align=4)
        lane = ir.Constant(ir.IntType(32), 0)
        whole = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), scalar, lane)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
        return self.builder.shuffle_vector(whole, ir.Constant(self.vector, ir.Undefined), zeros)

    def add(self, a: Value, b: Value) -> Value:
        """Sum."""
        return self.builder.fadd(a[0], b[0]), self.builder.fadd(a[1], b[1])

    def subtract(self, a: Value, b: Value) -> Value:
        """Difference."""
        return self.builder.fsub(a[0], b[0]), self.builder.fsub(a[1], b[1])

    def add_i(self, a: Value, b: Value) -> Value:
        """Sum a + i b."""
        return self.builder.fsub(a[0], b[1]), self.builder.fadd(a[1], b[0])

    def subtract_i(self, a: Value, b: Value) -> Value:
        """Difference a - i b."""
        return self.builder.fadd(a[0], b[1]), self.builder.fsub(a[1], b[0])

    def turned(self, a: Value, number: int, *, back: bool) -> Value:
        """Product of a and twiddle factor number, or its conjugate."""
        real, imaginary = self._factor(2 * number), self._factor(2 * number + 1)
        plus: dict[str, Any] = {"flags": ("contract",)}
        b = self.builder
        crossed = b.fmul(a[1], imaginary, **plus), b.fmul(a[0], imaginary, **plus)
        straight = b.fmul(a[0], real, **plus), b.fmul(a[1], real, **plus)
        if back:
            return b.fadd(straight[0], crossed[0], **plus), b.fsub(straight[1], crossed[1], **plus)
        return b.fsub(straight[0], crossed[0], **plus), b.fadd(straight[1], crossed[1], **plus)


def _butterfly(write: Callable[[_Points], None]) -> Any:
    """Make a numba function (work, first, step, twiddles, turn) of what `write` does to the points."""

    @intrinsic
    def butterfly(typingctx: Any, work: Any, first: Any, step: Any, twiddles: Any, turn: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            write(_Points(context, builder, signature, args))
            return context.get_dummy_value()

        return types.void(work, types.intp, types.intp, twiddles, types.intp), codegen

    return butterfly


def _write_forward_4(v: _Points) -> None:
    a, b, c, d = (v.load(i) for i in range(4))
    ac, bd, ac_, bd_ = v.add(a, c), v.add(b, d), v.subtract(a, c), v.subtract(b, d)
    v.store(0, v.add(ac, bd))
    v.store(1, v.turned(v.subtract_i(ac_, bd_), 0, back=False))
    v.store(2, v.turned(v.subtract(ac, bd), 1, back=False))
    v.store(3, v.turned(v.add_i(ac_, bd_), 2, back=False))


def _write_forward_4_of_half(v: _Points) -> None:
    """The same where the second half of the points is zero."""
    a, b = v.load(0), v.load(1)
    v.store(0, v.add(a, b))
    v.store(1, v.turned(v.subtract_i(a, b), 0, back=False))
    v.store(2, v.turned(v.subtract(a, b), 1, back=False))
    v.store(3, v.turned(v.add_i(a, b), 2, back=False))


def _back_4(v: _Points) -> tuple[Value, Value, Value, Value]:
    y0, y2 = v.load(0), v.turned(v.load(2), 1, back=True)
    y1, y3 = v.turned(v.load(1), 0, back=True), v.turned(v.load(3), 2, back=True)
    return v.add(y0, y2), v.subtract(y0, y2), v.add(y1, y3), v.subtract(y1, y3)


def _write_backward_4(v: _Points) -> None:
    even, even_, odd, odd_ = _back_4(v)
    v.store(0, v.add(even, odd))
    v.store(1, v.add_i(even_, odd_))
    v.store(2, v.subtract(even, odd))
    v.store(3, v.subtract_i(even_, odd_))


def _write_backward_4_of_half(v: _Points) -> None:
    """The same where only the first half of the points is kept."""
    even, even_, odd, odd_ = _back_4(v)
    v.store(0, v.add(even, odd))
    v.store(1, v.add_i(even_, odd_))


def _write_forward_2(v: _Points) -> None:
    a, b = v.load(0), v.load(1)
    v.store(0, v.add(a, b))
    v.store(1, v.turned(v.subtract(a, b), 0, back=False))


def _write_backward_2(v: _Points) -> None:
    a, b = v.load(0), v.turned(v.load(1), 0, back=True)
    v.store(0, v.add(a, b))
    v.store(1, v.subtract(a, b))


_forward_4 = _butterfly(_write_forward_4)
_forward_4_of_half = _butterfly(_write_forward_4_of_half)
_backward_4 = _butterfly(_write_backward_4)
_backward_4_of_half = _butterfly(_write_backward_4_of_half)
_forward_2 = _butterfly(_write_forward_2)
_backward_2 = _butterfly(_write_backward_2)


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
        self.length = max(8, 1 << (2 * columns - 1).bit_length())
        stages = (self.length.bit_length() - 1) // 2
        radices = [4] * stages + [2] * ((self.length.bit_length() - 1) % 2)
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
        work = np.empty(self.length * _POINT, np.float32)
        for projection, result in zip(stack, bits, strict=True):
            _filter(projection, result, work, self._radices, self._twiddles, self._offsets, self._response)
        return out


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
        if radix == 4:
            for j in range(m):
                _forward_4(work, start + j, m, twiddles, offset + 6 * j)
        else:
            for j in range(m):
                _forward_2(work, start + j, m, twiddles, offset + 2 * j)


@numba.njit(**_OPTIONS)
def _backward(work: F32, first: int, count: int, n: int, radix: int, twiddles: F32, offset: int) -> None:
    m = n // radix
    for start in range(first, first + count, n):
        if radix == 4:
            for j in range(m):
                _backward_4(work, start + j, m, twiddles, offset + 6 * j)
        else:
            for j in range(m):
                _backward_2(work, start + j, m, twiddles, offset + 2 * j)


@numba.njit(**_OPTIONS)
def _convolve(
    work: F32, length: int, radices: NDArray[np.int64], twiddles: F32, offsets: NDArray[np.int64], response: F32
) -> None:
    """Transform, multiply by the response, transform back."""
    quarter = length // 4
    for j in range(quarter):
        _forward_4_of_half(work, j, quarter, twiddles, offsets[0] + 6 * j)
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
            point = work[p * _POINT : (p + 1) * _POINT]
            for i in range(_POINT):
                point[i] *= response[p]
        for s in range(radices.size - 1, outer - 1, -1):
            n *= radices[s]
            _backward(work, first, block, n, radices[s], twiddles, offsets[s])
    n = block
    for s in range(outer - 1, 0, -1):
        n *= radices[s]
        _backward(work, 0, length, n, radices[s], twiddles, offsets[s])
    for j in range(quarter):
        _backward_4_of_half(work, j, quarter, twiddles, offsets[0] + 6 * j)


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
    for first in range(0, rows, _POINT):
        count = min(_POINT, rows - first)
        if count < _POINT:
            work[:] = 0
        for lane in range(count):
            line = projection[first + lane]
            for col in range(columns):
                work[col * _POINT + lane] = line[col]
        work[columns * _POINT : length // 2 * _POINT] = 0
        _convolve(work, length, radices, twiddles, offsets, response)
        for col in range(columns):
            point = work[col * _POINT : col * _POINT + count]
            target = result[col, first : first + count]
            for lane in range(count):
                target[lane] = _stored(target[lane], point[lane])
