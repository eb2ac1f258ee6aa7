"""Vector fields over a scan, such as centres of mass: turned, differentiated, integrated.

The first component points along scan_y (and detector rows), the second along scan_x (columns). The integral is the
least-squares solution in Fourier space: φ̂ = (q·f̂)/(i|q|²), see Lazić, Bosch and Lazar, Ultramicroscopy 160 (2016) 265,
doi 10.1016/j.ultramic.2015.10.011. Without periodic borders the field is mirrored first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

__all__ = ["curl", "divergence", "find_rotation", "in_scan", "integrated"]

Field = NDArray[np.float64]


def in_scan(row: Field, col: Field, rotation: float, *, flip: bool) -> tuple[Field, Field]:
    """Shifts on the detector as vectors in the scan.

    Args:
        row: shift along the detector's rows.
        col: along its columns.
        rotation: angle in degree by which the detector is turned against the scan.
        flip: the rows run the other way: their shifts change sign first.

    Returns:
        Components along scan_y and scan_x.
    """
    if not flip and rotation % 360 == 0:
        return row, col
    down = -row if flip else row
    turn = np.deg2rad(rotation)
    return np.cos(turn) * down - np.sin(turn) * col, np.sin(turn) * down + np.cos(turn) * col


def divergence(y: Field, x: Field) -> Field:
    """∂y fy + ∂x fx per scan step, by central differences; shape (scan_y, scan_x)."""
    return _along(y, 0) + _along(x, 1)


def curl(y: Field, x: Field) -> Field:
    """∂y fx - ∂x fy per scan step, by central differences; 0 for a gradient."""
    return _along(x, 0) - _along(y, 1)


def _along(values: Field, axis: int) -> Field:
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)


def find_rotation(row: Field, col: Field) -> tuple[float, bool]:
    """Angle and flip for which shifts are closest to a gradient: least curl.

    The mean square curl is a quadratic form in (cos, sin), so that its minimum needs no search. Angles half a turn apart
    have the same curl: the one with the smaller angle is taken; which it is follows from the sign of the phase alone.

    Args:
        row: shift along the detector's rows, (scan_y, scan_x).
        col: along its columns.

    Returns:
        Angle in degree, more than -90 up to 90, and flip, for `in_scan`.
    """
    best = (np.inf, 0.0, False)
    for flip in (False, True):
        down = -row if flip else row
        # turned by t: curl = cos t (∂y col - ∂x down) + sin t (∂y down + ∂x col)
        a, b = curl(down, col), divergence(down, col)
        form = np.array([[np.mean(a * a), np.mean(a * b)], [np.mean(a * b), np.mean(b * b)]])
        values, vectors = np.linalg.eigh(form)
        angle = float(np.rad2deg(np.arctan2(vectors[1, 0], vectors[0, 0])))
        angle = angle - 180 * np.ceil((angle - 90) / 180)
        if values[0] < best[0] * (1 - 1e-9):
            best = (float(values[0]), angle, flip)
    return best[1], best[2]


def integrated(y: Field, x: Field, *, periodic: bool = False, low: float = 0.0) -> Field:
    """The potential whose gradient per scan step is closest to a field; its mean is 0.

    Args:
        y: component along scan_y, (scan_y, scan_x).
        x: along scan_x.
        periodic: the field goes on at the opposite border; otherwise it is mirrored.
        low: frequencies below this, in periods per scan width, are left out (slow drifts).
    """
    rows, cols = y.shape
    if not periodic:
        # the potential is even at the borders, so its derivative across them is odd
        y = np.block([[y, y[:, ::-1]], [-y[::-1], -y[::-1, ::-1]]])
        x = np.block([[x, -x[:, ::-1]], [x[::-1], -x[::-1, ::-1]]])
    down, right = fft.fftfreq(y.shape[0])[:, None], fft.fftfreq(y.shape[1])[None, :]
    squared = down**2 + right**2
    kept = (np.hypot(down * rows, right * cols) >= low) & (squared > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spectrum = (down * fft.fft2(y) + right * fft.fft2(x)) / (2j * np.pi * squared)
    return fft.ifft2(np.where(kept, spectrum, 0)).real[:rows, :cols]
