"""Frames with rows and columns exchanged, and mirrored: eight by eight pixels at a time, which never leave the registers."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = ["transposed_frames"]

_SIDE = 8
"""Pixels along both sides of what is exchanged at once."""
_ROWS, _COLUMNS = 128, 32
"""And of what is done before anything else: whole lines of the cache are read and written, and stay there."""


def transposed_frames(frames: NDArray[Any], *, up: bool = False, left: bool = False) -> NDArray[Any]:
    """Exchange rows and columns.

    Args:
        frames: (frame, row, col), any type.
        up: afterwards mirror up and down.
        left: afterwards mirror left and right.

    Returns:
        New array (frame, col, row) of the same type.
    """
    count, rows, columns = frames.shape
    out = np.empty((count, columns, rows), frames.dtype)
    if frames.dtype.itemsize in (1, 2, 4, 8) and frames.flags.c_contiguous:
        kind = f"u{frames.dtype.itemsize}"  # bits are moved, whatever they mean
        _transpose(frames.view(kind), up, left, out.view(kind))
    else:
        out[:, :: -1 if up else 1, :: -1 if left else 1] = frames.swapaxes(1, 2)
    return out


def _move_block(typing: Any, source: Any, at: Any, pitch: Any, target: Any, to: Any, step: Any) -> Any:
    """For use inside numba functions: exchange rows and columns of 8 x 8 numbers.

    ``move_block(source, at, pitch, target, to, step)``: number c of the row at ``at + r * pitch`` becomes number r of the row
    at ``to + c * step``. Both arrays are flat, contiguous and of the same type; places are not checked.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, at, pitch, target, to, step = arguments
        source = context.make_array(signature.args[0])(context, builder, source).data
        target = context.make_array(signature.args[3])(context, builder, target).data
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), _SIDE)
        size = signature.args[0].dtype.bitwidth // 8

        def row(pointer: Any, first: Any, pitch: Any, n: int) -> Any:
            place = builder.add(first, builder.mul(pitch, ir.Constant(ir.IntType(64), n)))
            return builder.bitcast(builder.gep(pointer, [place]), vector.as_pointer())

        def woven(a: Any, b: Any, first: int) -> Any:
            places = [place for k in range(first, first + _SIDE // 2) for place in (k, k + _SIDE)]
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), _SIDE), places))

        block = [builder.load(row(source, at, pitch, n), align=size) for n in range(_SIDE)]
        half = _SIDE // 2
        for _ in range(3):  # each time the places of all numbers are turned by one bit: after three, rows are columns
            block = [woven(block[k // 2], block[k // 2 + half], half * (k % 2)) for k in range(_SIDE)]
        for n, line in enumerate(block):
            builder.store(line, row(target, to, step, n), align=size)
        return context.get_dummy_value()

    place = types.int64
    return types.void(source, place, place, target, place, place), generate


_exchange: Any = intrinsic(_move_block)


@numba.njit(nogil=True, cache=True)
def _transpose(frames: Any, up: Any, left: Any, out: Any) -> None:
    """Exchange and mirror (frame, row, col): pixel (i, j) goes to `origin` + i `along` + j `down`."""
    count, rows, columns = frames.shape
    source, target = frames.reshape(-1), out.reshape(-1)
    along, down = (-1 if left else 1), (-rows if up else rows)
    # mirrored left and right: the rows of a block are read from the last to the first
    pitch, last = (-columns, _SIDE - 1) if left else (columns, 0)
    whole_rows, whole_columns = rows - rows % _SIDE, columns - columns % _SIDE
    for n in range(count):
        here = n * rows * columns
        origin = here + (rows - 1 if left else 0) + ((columns - 1) * rows if up else 0)
        for top in range(0, whole_rows, _ROWS):
            for side in range(0, whole_columns, _COLUMNS):
                for j in range(side, min(side + _COLUMNS, whole_columns), _SIDE):
                    for i in range(top, min(top + _ROWS, whole_rows), _SIDE):
                        to = origin + (i + last) * along + j * down
                        _exchange(source, here + (i + last) * columns + j, pitch, target, to, down)
        for i in range(rows):
            for j in range(whole_columns if i < whole_rows else 0, columns):
                target[origin + i * along + j * down] = source[here + i * columns + j]
