"""Bilinear interpolation at sixteen places of an image at once.

Places that lie anywhere are not neighbours in memory, so the compiler reads the four pixels around each of them one by one and
computes one place after the other. Here the two pixels side by side are read together, those of sixteen places are exchanged
into four registers (one for each corner), and the arithmetic is done for all sixteen. numba has no vector type, so it is
written in LLVM's own terms, which become whatever the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

PLACES = 16
"""How many places are looked up at once."""
_INT, _LONG, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


def _shuffle(builder: Any, one: Any, other: Any, order: list[int]) -> Any:
    """Numbers of one register and then of the other, in an order."""
    places = ir.Constant(ir.VectorType(_INT, len(order)), order)
    return builder.shuffle_vector(one, other, places)


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Registers of the same length, one behind the other."""
    while len(parts) > 1:
        order = list(range(2 * parts[0].type.count))
        parts = [_shuffle(builder, *two, order) for two in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _corners(builder: Any, fours: list[Any]) -> list[Any]:
    """Exchange sixteen places of four corners into four corners of sixteen places, four by four."""

    def interleaved(one: Any, other: Any, first: int) -> Any:
        order = [k for q in range(0, PLACES, 4) for p in (q + first, q + first + 1) for k in (p, PLACES + p)]
        return _shuffle(builder, one, other, order)

    def halves(one: Any, other: Any, first: int) -> Any:
        order = [p + k for q in range(0, PLACES, 4) for p in (q, PLACES + q) for k in (first, first + 1)]
        return _shuffle(builder, one, other, order)

    rows = [_joined(builder, fours[m::4]) for m in range(4)]  # row m: places m, 4 + m, 8 + m, 12 + m
    pairs = [[interleaved(rows[m], rows[m + 1], first) for m in (0, 2)] for first in (0, 2)]
    return [halves(one, other, first) for one, other in pairs for first in (0, 2)]


def _register(builder: Any, pointer: Any, offset: Any, count: int) -> Any:
    """Where so many numbers of an array lie."""
    return builder.bitcast(builder.gep(pointer, [offset]), ir.VectorType(_FLOAT, count).as_pointer())


def _four(builder: Any, image: Any, offset: Any, beside: Any, below: Any, together: bool) -> Any:
    """The four pixels around a place: two beside each other, and the two below them."""

    def two(offset: Any) -> Any:
        if together:
            return builder.load(_register(builder, image, offset, 2), align=4)
        found = ir.Constant(ir.VectorType(_FLOAT, 2), ir.Undefined)
        for n, place in enumerate((offset, builder.add(offset, beside))):
            found = builder.insert_element(found, builder.load(builder.gep(image, [place])), ir.Constant(_INT, n))
        return found

    return _joined(builder, [two(offset), two(builder.add(offset, below))])


def _added(builder: Any, one: Any, factor: Any, other: Any) -> Any:
    """Multiply and add: one + factor · other."""
    return builder.fadd(one, builder.fmul(factor, other, flags=("contract",)), flags=("contract",))


def _between(builder: Any, one: Any, other: Any, part: Any) -> Any:
    """On the line between two numbers: one + part · (other − one)."""
    return _added(builder, one, part, builder.fsub(other, one, flags=("contract",)))


def _add_bilinear(
    typing: Any,
    target: Any,
    to: Any,
    image: Any,
    origin: Any,
    beside: Any,
    below: Any,
    at: Any,
    right: Any,
    down: Any,
    share: Any,
    first: Any,
) -> Any:
    """For use inside numba functions: add weighted interpolations at sixteen places of an image to sixteen numbers.

    ``add_bilinear(target, to, image, origin, beside, below, at, right, down, share, first)`` adds to ``target[to + k]``,
    k < 16, with n = first + k and o = origin + at[n], ``share[n]`` times what lies ``right[n]`` of the way from
    ``image[o]`` to ``image[o + beside]`` and ``down[n]`` of the way to those `below` further on. Neighbours are read together
    where `beside` is the constant 1. Arrays are flat and contiguous, `at` int32, all others float32; places are not checked.
    """
    together = isinstance(beside, types.IntegerLiteral) and beside.literal_value == 1

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def data(n: int) -> Any:
            return context.make_array(signature.args[n])(context, builder, arguments[n]).data

        _, to, _, origin, beside, below, _, _, _, _, first = arguments
        image, at, fours = data(2), data(6), []
        for k in range(PLACES):
            place = builder.load(builder.gep(at, [builder.add(first, ir.Constant(_LONG, k))]))
            place = builder.add(origin, builder.sext(place, _LONG))
            fours.append(_four(builder, image, place, beside, below, together))
        one, next_one, lower, next_lower = _corners(builder, fours)
        right, down, share = (builder.load(_register(builder, data(n), first, PLACES), align=4) for n in (7, 8, 9))
        upper = _between(builder, one, next_one, right)
        value = _between(builder, upper, _between(builder, lower, next_lower, right), down)
        total = _register(builder, data(0), to, PLACES)
        builder.store(_added(builder, builder.load(total, align=4), share, value), total, align=4)
        return context.get_dummy_value()

    place = types.int64
    return types.void(target, place, image, place, beside, place, at, right, down, share, place), generate


add_bilinear: Any = intrinsic(prefer_literal=True)(_add_bilinear)
