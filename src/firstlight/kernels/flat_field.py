"""Transmission and attenuation from frames, dark fields and flat fields.

``T = (frame - dark) / (flat - dark)``, where dark and flat may each drift between two sets: for a frame with weight
``w`` the dark field is ``dark + w (dark_next - dark)``. A pixel where ``flat - dark`` is zero, negative or NaN has no
known transmission: it is given 1 (no sample), never infinity, and :func:`count_unlit_pixels` tells how many there are.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.elementwise import SCALAR_BODY, ScalarBody, fuse, vector_log

__all__ = [
    "DRIFTING_TRANSMISSION",
    "MINUS_LOG",
    "TRANSMISSION",
    "count_unlit_pixels",
    "minus_log",
    "transmission",
]

_ONE = np.float32(1)


@numba.njit(**SCALAR_BODY)
def _transmission(value: np.float32, dark: np.float32, flat: np.float32) -> np.float32:
    light = flat - dark
    return (value - dark) / light if light > 0 else _ONE


@numba.njit(**SCALAR_BODY)
def _drifting_transmission(
    value: np.float32,
    dark: np.float32,
    dark_next: np.float32,
    flat: np.float32,
    flat_next: np.float32,
    dark_weight: np.float32,
    flat_weight: np.float32,
) -> np.float32:
    dark_now = dark + dark_weight * (dark_next - dark)
    light = flat + flat_weight * (flat_next - flat) - dark_now
    return (value - dark_now) / light if light > 0 else _ONE


@numba.njit(**SCALAR_BODY)
def _minus_log(value: np.float32, floor: np.float32) -> np.float32:
    # a comparison with NaN is false, so NaN is not clipped
    return -vector_log(floor if value < floor else value)


TRANSMISSION = ScalarBody("transmission", _transmission, images=2)
"""Transmission from one set: images dark, flat."""

DRIFTING_TRANSMISSION = ScalarBody(
    "drifting_transmission", _drifting_transmission, images=4, parameters=("dark_weight", "flat_weight")
)
"""Transmission between two sets: images dark, dark_next, flat, flat_next; weights from 0 to 1."""

MINUS_LOG = ScalarBody("minus_log", _minus_log, parameters=("floor",))
"""Attenuation -ln T, with T raised to ``floor`` first."""


def transmission(
    frames: ArrayLike,
    dark: ArrayLike,
    flat: ArrayLike,
    *,
    dark_next: ArrayLike | None = None,
    flat_next: ArrayLike | None = None,
    dark_weight: ArrayLike = 0.0,
    flat_weight: ArrayLike = 0.0,
    log_floor: float | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Correct frames for dark and flat field, and take minus the logarithm in the same pass if asked to.

    Args:
        frames: (frame, row, col), any integer or float type.
        dark: (row, col) mean dark field of the set before.
        flat: (row, col) mean flat field of the set before.
        dark_next: (row, col) dark field of the set after; default ``dark``.
        flat_next: (row, col) flat field of the set after; default ``flat``.
        dark_weight: one number or (frame,): 0 takes ``dark``, 1 ``dark_next``; clamped to 0 to 1.
        flat_weight: the same for the flat field.
        log_floor: smallest transmission; if given, the result is -ln T, otherwise T.
        out: float32 like ``frames``, to fill.

    Returns:
        (frame, row, col) float32: transmission, 1 where flat - dark is not positive; or attenuation, 0 there.

    Raises:
        ValueError: if an array does not fit, or ``log_floor`` is not positive.
    """
    chain, floors = [TRANSMISSION], []
    if log_floor is not None:
        chain, floors = [*chain, MINUS_LOG], [_checked_floor(log_floor)]
    if dark_next is None and flat_next is None:
        return fuse(chain)(frames, [dark, flat], floors, out)
    images = [dark, dark if dark_next is None else dark_next, flat, flat if flat_next is None else flat_next]
    weights = [np.clip(dark_weight, 0.0, 1.0), np.clip(flat_weight, 0.0, 1.0)]
    return fuse([DRIFTING_TRANSMISSION, *chain[1:]])(frames, images, [*weights, *floors], out)


def minus_log(values: ArrayLike, *, floor: float = 1e-6, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Attenuation from transmission: -ln T, with T raised to ``floor`` first. NaN stays NaN.

    Args:
        values: transmission, any shape of at least one dimension.
        floor: smallest transmission, larger than 0.
        out: float32 like ``values``, to fill; may be ``values``.

    Returns:
        float32 of the same shape, without unit.

    Raises:
        ValueError: if ``floor`` is not positive or ``out`` does not fit.
    """
    return fuse([MINUS_LOG])(values, [], [_checked_floor(floor)], out)


def count_unlit_pixels(dark: ArrayLike, flat: ArrayLike) -> int:
    """Number of pixels whose transmission is unknown and set to 1: flat - dark is zero, negative or NaN."""
    light = np.asarray(flat, dtype=np.float32) - np.asarray(dark, dtype=np.float32)
    return int(light.size - np.count_nonzero(light > 0))


def _checked_floor(floor: float) -> float:
    if not floor >= np.finfo(np.float32).tiny:
        raise ValueError(f"floor is {floor}: expected the smallest transmission to tell apart, above 1.2e-38, say 1e-6")
    return floor
