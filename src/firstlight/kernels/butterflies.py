"""Butterflies of a fast Fourier transform on sixteen rows at a time.

numba has no vector type, so they are written in LLVM's own and compiled for whatever the CPU has. A butterfly is called
as ``(work, first, step, twiddles, turn)``: it takes the complex points ``first, first + step, ...`` of ``work`` (float32;
a point is ``POINT`` numbers: the real parts of ``LANES`` rows, then the imaginary parts) and puts the result in their
place. Its twiddle factors are the pairs (real, imaginary) from ``twiddles[turn]`` on: of point 1, of point 2, ...

Forward is decimation in frequency (factors after the sums), backward decimation in time (conjugate factors before them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = [
    "LANES",
    "POINT",
    "backward_2",
    "backward_3",
    "backward_4",
    "backward_4_of_half",
    "backward_5",
    "forward_2",
    "forward_3",
    "forward_4",
    "forward_4_of_half",
    "forward_5",
]

LANES = 16
POINT = 2 * LANES

Value = tuple[Any, ...]


class _Points:
    """Writes LLVM code that works on complex vectors: pairs of values."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.builder = builder
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.work = context.make_array(signature.args[0])(context, builder, args[0]).data
        self.twiddles = context.make_array(signature.args[3])(context, builder, args[3]).data
        self.first, self.step, self.turn = args[1], args[2], args[4]

    def _place(self, number: int, part: int) -> Any:
        size = self.first.type
        point = self.builder.add(self.first, self.builder.mul(self.step, ir.Constant(size, number)))
        index = self.builder.add(self.builder.mul(point, ir.Constant(size, POINT)), ir.Constant(size, part * LANES))
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
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
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

    def scaled(self, a: Value, factor: float) -> Value:
        """Product of a and a real number."""
        constant = ir.Constant(self.vector, [ir.Constant(ir.FloatType(), factor)] * LANES)
        return tuple(self.builder.fmul(part, constant, flags=("contract",)) for part in a)

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


def _dft_3(v: _Points, x: list[Value]) -> tuple[list[Value], list[Value], list[Value]]:
    """Even parts m and odd parts n of a transform of 3 points: y0, and y_q = m_q - i n_q, y_-q = m_q + i n_q."""
    total, difference = v.add(x[1], x[2]), v.subtract(x[1], x[2])
    return [v.add(x[0], total)], [v.add(x[0], v.scaled(total, -0.5))], [v.scaled(difference, np.sqrt(0.75))]


def _dft_5(v: _Points, x: list[Value]) -> tuple[list[Value], list[Value], list[Value]]:
    """The same of 5 points."""
    c1, c2, s1, s2 = (f(2 * np.pi * q / 5) for f in (np.cos, np.sin) for q in (1, 2))
    outer, inner = v.add(x[1], x[4]), v.add(x[2], x[3])
    outer_, inner_ = v.subtract(x[1], x[4]), v.subtract(x[2], x[3])
    m1 = v.add(x[0], v.add(v.scaled(outer, c1), v.scaled(inner, c2)))
    m2 = v.add(x[0], v.add(v.scaled(outer, c2), v.scaled(inner, c1)))
    n1 = v.add(v.scaled(outer_, s1), v.scaled(inner_, s2))
    n2 = v.subtract(v.scaled(outer_, s2), v.scaled(inner_, s1))
    return [v.add(x[0], v.add(outer, inner))], [m1, m2], [n1, n2]


def _writer_odd(radix: int, *, back: bool) -> Callable[[_Points], None]:
    """Butterfly of 3 or 5 points; backwards, the factors come first and i changes its sign."""
    transform = _dft_3 if radix == 3 else _dft_5

    def write(v: _Points) -> None:
        x = [v.load(0), *(v.turned(v.load(q), q - 1, back=True) if back else v.load(q) for q in range(1, radix))]
        first, even, odd = transform(v, x)
        v.store(0, first[0])
        for q, (m, n) in enumerate(zip(even, odd, strict=True), start=1):
            low, high = (v.add_i(m, n), v.subtract_i(m, n)) if back else (v.subtract_i(m, n), v.add_i(m, n))
            v.store(q, low if back else v.turned(low, q - 1, back=False))
            v.store(radix - q, high if back else v.turned(high, radix - q - 1, back=False))

    return write


forward_3 = _butterfly(_writer_odd(3, back=False))
backward_3 = _butterfly(_writer_odd(3, back=True))
forward_5 = _butterfly(_writer_odd(5, back=False))
backward_5 = _butterfly(_writer_odd(5, back=True))
forward_4 = _butterfly(_write_forward_4)
forward_4_of_half = _butterfly(_write_forward_4_of_half)
backward_4 = _butterfly(_write_backward_4)
backward_4_of_half = _butterfly(_write_backward_4_of_half)
forward_2 = _butterfly(_write_forward_2)
backward_2 = _butterfly(_write_backward_2)
