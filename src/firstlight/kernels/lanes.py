"""Slices side by side: one place in sixteen slices is one register, so that interpolation weights are computed once for all.

Arrays have the slices last, ``(row, col, lane)``. A back-projector that reads two neighbouring columns of one slice has to
gather them one by one; with the slices last it reads two whole registers. numba has no vector type, and the compiler
cannot know that the arrays do not overlap, so the one operation that matters is written in LLVM's own terms. LLVM turns
it into whatever the processor has (two halves on AVX2, four quarters on NEON).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

WIDTHS = (1, 4, 8, 16)
"""How many slices may lie side by side: up to one register of AVX-512."""
_BLOCK = 8
"""Places along both axes that are exchanged at once: they stay in the first-level cache."""


def groups(count: int) -> Iterator[tuple[slice, int]]:
    """Split slices into groups that lie side by side.

    Args:
        count: how many slices.

    Yields:
        Which slices, and how many lanes they take: one of `WIDTHS`, at least as many as slices.
    """
    for start in range(0, count, WIDTHS[-1]):
        stop = min(start + WIDTHS[-1], count)
        yield slice(start, stop), next(width for width in WIDTHS if width >= stop - start)


def side_by_side(stack: NDArray[Any], lanes: int) -> NDArray[np.float32]:
    """Turn (slice, row, col) into float32 (row, col, lane); lanes without a slice hold 0."""
    packed = np.zeros((*stack.shape[1:], lanes), np.float32)
    packed[..., : len(stack)] = np.moveaxis(stack, 0, -1)
    return packed


def one_by_one(packed: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the first lanes of (row, col, lane) to `out`, (slice, row, col)."""
    out[...] = np.moveaxis(packed[..., : len(out)], -1, 0)


def transposed(packed: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with rows and columns exchanged: (col, row, lane)."""
    rows, columns, lanes = packed.shape
    out = np.empty((columns, rows, lanes), np.float32)
    _transpose(lanes)(packed, out)
    return out


@cache
def _transpose(lanes: int) -> Any:
    """The compiled exchange of so many lanes, a block of places at a time."""

    @numba.njit(nogil=True, cache=True)
    def kernel(packed: Any, out: Any) -> None:
        rows, columns = packed.shape[:2]
        for top in range(0, rows, _BLOCK):
            for left in range(0, columns, _BLOCK):
                for j in range(left, min(left + _BLOCK, columns)):
                    for i in range(top, min(top + _BLOCK, rows)):
                        for k in range(lanes):
                            out[j, i, k] = packed[i, j, k]

    return kernel


def _add_two(typing: Any, lanes: Any, target: Any, to: Any, source: Any, at: Any, first: Any, second: Any) -> Any:
    """For use inside numba functions: add two weighted registers of one array to one of another.

    ``add_two(lanes, target, to, source, at, first, second)`` adds ``first * source[at:at + lanes]`` and
    ``second * source[at + lanes:at + 2 * lanes]`` to ``target[to:to + lanes]``. `lanes` is a constant, one of `WIDTHS`.
    Both arrays are flat, contiguous and float32; places count numbers, not lanes, and are not checked.
    """
    width = lanes.literal_value
    vector = ir.VectorType(ir.FloatType(), width)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), [0] * width)

    def everywhere(builder: Any, value: Any) -> Any:
        empty = ir.Constant(vector, ir.Undefined)
        lane = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(lane, empty, zeros)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, target, to, source, at, first, second = arguments
        target = context.make_array(signature.args[1])(context, builder, target).data
        source = context.make_array(signature.args[3])(context, builder, source).data
        after = builder.add(at, ir.Constant(ir.IntType(64), width))

        def register(pointer: Any, offset: Any) -> Any:
            return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

        total = builder.load(register(target, to), align=4)
        for offset, weight in ((at, first), (after, second)):
            read = builder.load(register(source, offset), align=4)
            part = builder.fmul(read, everywhere(builder, weight), flags=("contract",))
            total = builder.fadd(total, part, flags=("contract",))
        builder.store(total, register(target, to), align=4)
        return context.get_dummy_value()

    number, offset = types.float32, types.int64
    return types.void(lanes, target, offset, source, offset, number, number), generate


add_two: Any = intrinsic(prefer_literal=True)(_add_two)
