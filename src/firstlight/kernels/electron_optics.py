"""Electron optics of a scanned probe: wavelength, aperture, aberrations, and the patterns that a thin object gives.

Spatial frequencies count in periods per field, the width of the window in which the probe is described. A detector pixel
is one of them; the optical axis lies in the middle of the frame, at (n - 1)/2. The probe is the Fourier transform of
``a(k) = A(k) exp(-iχ(k))`` with the aperture A and the aberrations χ = 2π/λ (C1 θ²/2 + A1 θ² cos 2(φ - φ₁)/2 + C3 θ⁴/4), θ = λ k,
φ counted from the columns towards the rows; the defocus C1 is positive over focus, as in Krivanek, Dellby and Lupini (1999), doi 10.1016/S0304-3991(99)00013-3.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import constants, fft

__all__ = ["aperture_wave", "astigmatism_parts", "exit_patterns", "frequencies", "wavelength"]


def wavelength(energy: float) -> float:
    """The relativistic wavelength of electrons, in metre.

    Args:
        energy: kinetic energy in keV.

    Raises:
        ValueError: if `energy` is not positive.
    """
    if not energy > 0:
        raise ValueError(f"energy is {energy} keV: expected a positive number")
    joule = energy * 1e3 * constants.e
    momentum = math.sqrt(2 * constants.m_e * joule * (1 + joule / (2 * constants.m_e * constants.c**2)))
    return constants.h / momentum


def frequencies(pixels: int) -> NDArray[np.float64]:
    """Distance of each detector row (or column) from the optical axis, in pixels."""
    return np.arange(pixels, dtype=np.float64) - (pixels - 1) / 2


def aperture_wave(
    rows: NDArray[Any],
    cols: NDArray[Any],
    *,
    radius: float,
    length: float,
    pixel_angle: float,
    defocus: float = 0.0,
    spherical: float = 0.0,
    astigmatism: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.complex128]:
    """The wave in the aperture, a(k), at any places on the detector.

    Args:
        rows: distance from the axis along the rows, in pixels; broadcast against `cols`.
        cols: likewise along the columns.
        radius: of the aperture in pixels, included.
        length: wavelength in metre.
        pixel_angle: angle of a detector pixel in radian.
        defocus: C1 in metre, positive over focus.
        spherical: C3 in metre.
        astigmatism: A1 cos 2φ₁ and A1 sin 2φ₁ in metre (see `astigmatism_parts`).

    Returns:
        Complex amplitude, 1 in modulus inside the aperture and 0 outside.
    """
    down, right = np.asarray(rows, np.float64), np.asarray(cols, np.float64)
    squared = down**2 + right**2
    angle = squared * pixel_angle**2
    along, across = astigmatism
    twofold = pixel_angle**2 * (along * (right**2 - down**2) + 2 * across * right * down)
    chi = 2 * np.pi / length * (defocus * angle / 2 + twofold / 2 + spherical * angle**2 / 4)
    # a tenth of a millipixel: places that differ by rounding alone belong to the same side of the edge
    return np.where(squared <= (radius + 1e-4) ** 2, np.exp(-1j * chi), 0)


def astigmatism_parts(size: float, azimuth: float) -> tuple[float, float]:
    """A1 cos 2φ₁ and A1 sin 2φ₁ of a twofold astigmatism.

    Args:
        size: A1, in any unit.
        azimuth: φ₁ in degree, from the columns towards the rows.
    """
    turn = math.radians(2 * azimuth)
    return size * math.cos(turn), size * math.sin(turn)


def exit_patterns(
    wave: NDArray[np.complex128], transmission: NDArray[np.complex128], places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Far-field intensities behind a thin object, for a probe at each of some places; each pattern sums to 1 in vacuum.

    Args:
        wave: a(k) on the detector's grid, (n, n).
        transmission: of the object on n x n points over the field, which is periodic.
        places: of the probe, (place, 2) along rows and columns, as parts of the field.

    Returns:
        (place, n, n).
    """
    axis = frequencies(len(wave))
    down = np.exp(-2j * np.pi * places[:, :1] * axis)
    right = np.exp(-2j * np.pi * places[:, 1:] * axis)
    probes = fft.ifft2(wave * down[:, :, None] * right[:, None, :], overwrite_x=True)
    waves = fft.fft2(probes * transmission, overwrite_x=True)
    return (waves.real**2 + waves.imag**2) / np.sum(np.abs(wave) ** 2)
