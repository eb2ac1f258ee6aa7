"""The proximal step of total variation, by the fast gradient projection of Beck and Teboulle (2009).

Its dual field has one component for each axis, each pixel's of length 1 at most. A round takes the image that belongs to the field and follows
its gradient; line by line (plane by plane in a volume), so that the image is never written to memory. Pixels and problems lie side by
side in a line, which is what vector instructions want. Bound by memory: the field is read and written twice a round.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .iterate import F32, Limits
from .pause import pause

__all__ = ["least_variation"]

_INNER = 20
"""Rounds of a step, which starts where the one before ended."""
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


def least_variation(image: F32, weight: F32, dual: F32, limits: Limits) -> F32:
    """The image x of least ½‖x − image‖² + weight TV(x), constrained: the proximal step of total variation.

    Args:
        image: (y, x, problem) or (z, y, x, problem).
        weight: (problem,).
        dual: (axis, *shape of `image`): where the last call ended, zeros at first; changed in place.
        limits: signs and mask.
    """
    flat = image.ndim == 3
    lanes = image.shape[-1]
    volume = (1, *image.shape) if flat else image.shape
    lines = (*volume[:2], volume[2] * lanes)  # pixels and problems side by side: one line of vectors
    given, field = np.ascontiguousarray(image).reshape(lines), dual.reshape(len(dual), *lines)
    out, ahead, momentum = np.empty(lines, np.float32), field.copy(), 1.0
    low = np.float32(0 if limits.nonnegative else -np.inf)
    allowed = np.ones((1, 1, lines[2]), np.float32)
    if limits.mask is not None:
        allowed = np.repeat(limits.mask.reshape(volume[:-1]), lanes, axis=-1)
    safe = np.maximum(weight, np.float32(1e-30))
    step = np.tile((1 / (4.0 * len(dual) * safe)).astype(np.float32), volume[2])
    spread = np.tile(weight, volume[2])
    rise = _rise if flat else _rise_in_volume
    planes = np.empty((2, *lines[1:]), np.float32)
    for _ in range(_INNER):
        pause()
        later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        rise(given, ahead, field, spread, step, low, allowed, np.float32((momentum - 1) / later), lanes, planes)
        momentum = later
    _primal(given, field, spread, low, allowed, lanes, out)
    return out.reshape(image.shape)


@numba.njit(**_OPTIONS)
def _primal_line(
    image: Any, dual: Any, h: Any, i: Any, weight: Any, low: Any, allowed: Any, lanes: Any, out: Any
) -> None:
    """A line of image + weight × divergence of the dual field, constrained. The last two axes of the field lie in the plane."""
    last = dual.shape[0] - 1
    right, down = dual[last, h, i], dual[last - 1, h, i]
    line = image[h, i]
    for j in range(out.size):
        out[j] = down[j] + right[j]
    if last == 2:
        deep = dual[0, h, i]
        for j in range(out.size):
            out[j] += deep[j]
    if last == 2 and h > 0:
        before = dual[0, h - 1, i]
        for j in range(out.size):
            out[j] -= before[j]
    if i > 0:
        above = dual[last - 1, h, i - 1]
        for j in range(out.size):
            out[j] -= above[j]
    inner = out[lanes:]
    for j in range(inner.size):
        inner[j] -= right[j]
    inside = allowed[h % allowed.shape[0], i % allowed.shape[1]]
    for j in range(out.size):
        value = line[j] + weight[j] * out[j]
        out[j] = (value if value > low else low) * inside[j]


@numba.njit(**_OPTIONS)
def _primal(image: Any, dual: Any, weight: Any, low: Any, allowed: Any, lanes: Any, out: Any) -> None:
    for h in range(image.shape[0]):
        for i in range(image.shape[1]):
            _primal_line(image, dual, h, i, weight, low, allowed, lanes, out[h, i])


@numba.njit(**_OPTIONS)
def _look_ahead(value: Any, dual: Any, ahead: Any, momentum: Any) -> None:
    for j in range(value.size):
        found = value[j]
        ahead[j] = found + momentum * (found - dual[j])
        dual[j] = found


@numba.njit(**_OPTIONS)
def _follow(ahead: Any, step: Any, here: Any, there: Any, out: Any) -> None:
    """From `ahead` along the difference of two lines; nothing lies beyond the shorter one."""
    for j in range(there.size):
        out[j] = ahead[j] + step[j] * (there[j] - here[j])
    out[there.size :] = ahead[there.size :]


@numba.njit(**_OPTIONS)
def _rise(
    image: Any,
    ahead: Any,
    dual: Any,
    weight: Any,
    step: Any,
    low: Any,
    allowed: Any,
    momentum: Any,
    lanes: Any,
    room: Any,
) -> None:
    """One round: follow the gradient of the primal image from `ahead`, back into the unit disk, and look ahead again.

    Line by line: the primal image of a line and of the next one is all that is needed, and stays in the cache.
    """
    rows, length = image.shape[1:]
    one = np.float32(1)
    down, across = np.empty(length, np.float32), np.empty(length, np.float32)
    _primal_line(image, ahead, 0, 0, weight, low, allowed, lanes, room[0, 0])
    for i in range(rows):
        here, there = room[i % 2, 0], room[(i + 1) % 2, 0]
        if i + 1 < rows:
            _primal_line(image, ahead, 0, i + 1, weight, low, allowed, lanes, there)
        _follow(ahead[0, 0, i], step, here, there if i + 1 < rows else there[:0], down)
        _follow(ahead[1, 0, i], step, here, here[lanes:], across)
        for j in range(length):
            size = np.sqrt(down[j] * down[j] + across[j] * across[j])
            shrink = one / (size if size > one else one)
            down[j], across[j] = down[j] * shrink, across[j] * shrink
        _look_ahead(down, dual[0, 0, i], ahead[0, 0, i], momentum)
        _look_ahead(across, dual[1, 0, i], ahead[1, 0, i], momentum)


@numba.njit(**_OPTIONS)
def _rise_in_volume(
    image: Any,
    ahead: Any,
    dual: Any,
    weight: Any,
    step: Any,
    low: Any,
    allowed: Any,
    momentum: Any,
    lanes: Any,
    room: Any,
) -> None:
    """`_rise` in three dimensions, plane by plane."""
    depth, rows, length = image.shape
    one = np.float32(1)
    deep, down, across = np.empty(length, np.float32), np.empty(length, np.float32), np.empty(length, np.float32)
    for h in range(-1, depth):
        behind = room[(h + 1) % 2]
        if h + 1 < depth:
            for i in range(rows):
                _primal_line(image, ahead, h + 1, i, weight, low, allowed, lanes, behind[i])
        for i in range(rows if h >= 0 else 0):
            here, none = room[h % 2, i], behind[0, :0]
            _follow(ahead[0, h, i], step, here, behind[i] if h + 1 < depth else none, deep)
            _follow(ahead[1, h, i], step, here, room[h % 2, i + 1] if i + 1 < rows else none, down)
            _follow(ahead[2, h, i], step, here, here[lanes:], across)
            for j in range(length):
                size = np.sqrt(deep[j] * deep[j] + down[j] * down[j] + across[j] * across[j])
                shrink = one / (size if size > one else one)
                deep[j], down[j], across[j] = deep[j] * shrink, down[j] * shrink, across[j] * shrink
            _look_ahead(deep, dual[0, h, i], ahead[0, h, i], momentum)
            _look_ahead(down, dual[1, h, i], ahead[1, h, i], momentum)
            _look_ahead(across, dual[2, h, i], ahead[2, h, i], momentum)
