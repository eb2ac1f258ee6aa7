"""Align projections of a sample that moved, by what a reconstruction of them says they should look like.

Reconstruct, project again, register each measured projection to the computed one, move it, and repeat (Gürsoy et al. 2017):
where projections do not fit each other, the slice shows what most of them agree on. Runs on binned frames first, which catches large
shifts and is quick. Large shifts are measured by phase correlation, the rest by least squares, which noise and what the slice shows of
the error itself mislead less.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import scipy.ndimage
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.fourier import FourierFBP
from firstlight.kernels.lanes import groups
from firstlight.kernels.pause import pause
from firstlight.kernels.project import ParallelProjector
from firstlight.kernels.shift import measure_shift, spectrum

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_PARTS = 20
"""Steps per pixel in which a shift is measured."""
_NEAR = 0.5
"""Largest change in pixels below which shifts are refined by least squares …"""
_ENOUGH = 0.01
"""… and that below which a level is done."""


def moved(frames: NDArray[np.floating], shifts: F64, order: Literal[1, 3] = 3) -> F32:
    """Frames moved so that what was at (row + down, col + right) comes to (row, col); the rim repeats.

    Args:
        frames: shape (angle, row, col).
        shifts: shape (angle, 2): down and right in pixels.
        order: 1 for straight lines between pixels, 3 for a cubic spline.
    """
    out = np.empty(frames.shape, np.float32)
    for frame, by, result in zip(frames, shifts, out, strict=True):
        scipy.ndimage.shift(frame, -by, output=result, order=order, mode="nearest")
    return out


def align_by_reprojection(
    frames: NDArray[np.floating],
    angles_degrees: ArrayLike,
    *,
    center: float | None = None,
    rounds: int = 20,
    largest: float = 10.0,
    binning: int = 2,
) -> F64:
    """Find how far each projection lies from where a turning sample would put it.

    Shifts that a sample elsewhere would cause too (a sine over the angle along columns, a constant along rows) can not
    be seen, and are left as they are on average.

    Args:
        frames: shape (angle, row, col): line integrals, finite.
        angles_degrees: shape (angle,), any order; half a turn at least.
        center: column of the rotation axis once all is aligned; the middle by default.
        rounds: rounds at each level at most, for large shifts, and as many to refine them.
        largest: shifts looked for in one round, in pixels.
        binning: pixels binned at the first level: 1, 2, 4 or 8; each next level halves it.

    Returns:
        float64 (angle, 2): down and right in pixels; `moved` takes them.

    Raises:
        ValueError: shapes that do not fit, or frames too small for the binning.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if frames.ndim != 3 or angles.shape != frames.shape[:1]:
        raise ValueError(
            f"frames have shape {frames.shape} and angles_degrees {angles.shape}; expected (angle, row, col)."
        )
    if min(frames.shape[1:]) < 8 * binning:
        raise ValueError(f"frames of {frames.shape[1:]} pixels are too small to bin {binning}.")
    middle = (frames.shape[2] - 1) / 2 if center is None else center
    shifts = np.zeros((len(frames), 2))
    level = binning
    while level >= 1:
        small = _binned(frames, level)
        place = (middle - (level - 1) / 2) / level
        shifts = level * _aligned(small, angles, shifts / level, place, rounds, max(2.0, largest / level))
        level //= 2
    return shifts


def _binned(frames: NDArray[np.floating], factor: int) -> F32:
    count, rows, columns = frames.shape[0], frames.shape[1] // factor, frames.shape[2] // factor
    cut = frames[:, : rows * factor, : columns * factor].astype(np.float32)
    return cut.reshape(count, rows, factor, columns, factor).mean(axis=(2, 4))


def _aligned(frames: F32, angles: F64, shifts: F64, center: float, rounds: int, largest: float) -> F64:
    """One level: shifts in its pixels."""
    columns = frames.shape[2]
    reconstruct = FourierFBP(angles, columns, center=center, window="hann", padding="edge")
    projector = ParallelProjector(angles, columns, columns, center=center)
    for measure, enough in ((partial(_jumps, largest=largest), _NEAR), (_slopes, _ENOUGH)):
        for _ in range(rounds):
            current = moved(frames, shifts, order=1)
            step = measure(_reprojected(current, reconstruct, projector), current)
            step -= _elsewhere(step, angles)
            shifts = shifts + step
            if np.abs(step).max() <= enough:
                break
    return shifts


def _jumps(expected: F32, current: F32, largest: float) -> F64:
    """Shifts of any size by phase correlation, which takes all detail for equally sure."""
    return np.array(
        [
            measure_shift(wanted, spectrum(wanted), seen, _PARTS, largest)
            for wanted, seen in zip(expected, current, strict=True)
        ]
    )


def _slopes(expected: F32, current: F32) -> F64:
    """Small shifts by least squares: where the computed projection rises, the measured one differs by the shift times that.

    Brightness is fitted along, and rims fade out, as for phase correlation.
    """
    rows, columns = (np.sin(np.pi * (np.arange(n) + 0.5) / n) for n in expected.shape[1:])
    fade = (rows[:, None] * columns).ravel()
    found = np.empty((len(expected), 2))
    for place, (wanted, seen) in enumerate(zip(expected, current, strict=True)):
        basis = np.stack([*np.gradient(wanted), wanted, np.ones_like(wanted)]).reshape(4, -1) * fade
        found[place] = np.linalg.lstsq(basis @ basis.T, basis @ ((wanted - seen).ravel() * fade), rcond=None)[0][:2]
    return np.clip(found, -1, 1)


def _elsewhere(step: F64, angles: F64) -> F64:
    """The part of shifts that a sample at another place would cause too: taken along, it would drift from round to round."""
    theta = np.deg2rad(angles)
    basis = np.stack([np.ones_like(theta), np.cos(theta), np.sin(theta)], axis=1)
    across = np.linalg.lstsq(basis, step[:, 1], rcond=None)[0]
    return np.stack([np.full_like(theta, step[:, 0].mean()), basis[:, 1:] @ across[1:]], axis=1).astype(np.float64)


def _reprojected(frames: F32, reconstruct: FourierFBP, projector: ParallelProjector) -> F32:
    """Projections of the slices that the frames make, without what is below nothing."""
    expected = np.empty(frames.shape, np.float32)
    sinograms = np.ascontiguousarray(frames.transpose(1, 0, 2))
    for part, lanes in groups(len(sinograms)):
        pause()
        slices = np.maximum(reconstruct.reconstruct(sinograms[part]), 0)
        images = np.zeros((*slices.shape[1:], lanes), np.float32)
        images[..., : len(slices)] = slices.transpose(1, 2, 0)
        expected[:, part] = projector.project(images)[..., : len(slices)].transpose(0, 2, 1)
    return expected
