"""Windows that lie between pixels: the window stays on whole pixels, and the probe moves by the rest.

A probe that is moved by a fraction of a pixel is its Fourier transform times a ramp of phase, so that moving is unitary and
its adjoint moves back. In the far field this is exact for a probe that lies within its window; in the near field the
detector would see the shift, so there windows stay on whole pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .frames import Frames
from .propagate import fft2, ifft2
from .sums import Band, add_to_probe
from .waves import empty_like, exit_waves, namespace

Array = Any


def ramps(shifts: Array, like: Array) -> Array:
    """Phase ramps that move a wave down and to the right by so many pixels, zero frequency at the corner.

    Args:
        shifts: Shape (position, 2), float on the host: rows, columns.
        like: A probe, shape (…, v, u), whose size, type and device count.

    Returns:
        Shape (position, 1, v, u).
    """
    rows, cols = (
        np.exp(-2j * np.pi * shifts[:, axis, None] * np.fft.fftfreq(like.shape[axis - 2])[None]) for axis in (0, 1)
    )
    found = (rows[:, None, :, None] * cols[:, None, None, :]).astype(like.dtype)
    return namespace(like).asarray(found)


def shifted(probe: Array, shifts: Array) -> Array:
    """The probe as it stands in the window of each position.

    Args:
        probe: Shape (mode, v, u), complex.
        shifts: Shape (position, 2), float on the host: down and to the right, in pixels.

    Returns:
        Shape (position, mode, v, u).
    """
    return ifft2(fft2(probe.copy())[None] * ramps(shifts, probe))


def lamps(probe: Array, frames: Frames, part: Array) -> Array:
    """The probes of some positions: shape (1, mode, v, u) where one serves all, else (position, mode, v, u)."""
    light = probe[None]
    if frames.shapes is not None and frames.weights is not None:
        xp = namespace(probe)
        light = xp.repeat(light, len(part), axis=0)
        weights = xp.asarray(frames.weights[part], dtype=probe.dtype)
        light[:, 0] += xp.einsum("jk,kvu->jvu", weights, frames.shapes)
    if frames.shifts is None:
        return light
    return ifft2(fft2(light.copy()) * ramps(frames.shifts[part], probe))


def moved_back(image: Array, waves: Array, frames: Frames, part: Array) -> Array:
    """``O*_j ψ_jm``, each moved back to where the probe stands; shape (position, mode, v, u)."""
    moved = _shared(image, waves, frames.corners[part])
    return moved if frames.shifts is None else ifft2(fft2(moved) * ramps(frames.shifts[part], waves).conj())


def _shared(image: Array, waves: Array, corners: Array) -> Array:
    """``O*_j ψ_jm``: the same as the conjugate of ``O_j ψ*_jm``."""
    return exit_waves(image, waves.conj(), corners, empty_like(waves, waves.shape)).conj()


def collect_probe(
    numerator: Array,
    denominator: Array,
    image: Array,
    waves: Array,
    frames: Frames,
    part: Array,
    band: Band | None = None,
) -> None:
    """Add ``Σ_j O*_j ψ_jm``, each moved back to where the probe stands, and ``Σ_j |O_j|²``; see `add_to_probe`.

    Of windows that lie between pixels, all is done with the first band of rows, and nothing with the others.
    """
    corners = frames.corners[part]
    if frames.shifts is None:
        add_to_probe(numerator, denominator, image, waves, corners, band)
        return
    if band is not None and band[0] > 0:
        return
    # added up before it is transformed back: one transform for all
    back = fft2(_shared(image, waves, corners)) * ramps(frames.shifts[part], waves).conj()
    numerator += ifft2(back.sum(axis=0))
    # a weight only: half a pixel more or less of Σ|O|² makes no difference
    add_to_probe(0 * numerator, denominator, image, waves, corners)
