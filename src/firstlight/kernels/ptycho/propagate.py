"""From the exit wave to the detector and back: far field and near field, both unitary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.fft

from .waves import namespace, on_cpu

Array = Any


def fft2(waves: Array) -> Array:
    """Unitary two-dimensional transform of the last two axes; a numpy array may be overwritten."""
    if on_cpu(waves):
        return scipy.fft.fft2(waves, norm="ortho", overwrite_x=True)
    return namespace(waves).fft.fft2(waves, norm="ortho")


def ifft2(waves: Array) -> Array:
    """The inverse of `fft2`; a numpy array may be overwritten."""
    if on_cpu(waves):
        return scipy.fft.ifft2(waves, norm="ortho", overwrite_x=True)
    return namespace(waves).fft.ifft2(waves, norm="ortho")


class Propagator(Protocol):
    """A unitary map between exit waves and detector waves, over the last two axes."""

    def forward(self, waves: Array) -> Array:
        """To the detector; the argument may be overwritten."""
        ...

    def backward(self, waves: Array) -> Array:
        """Back to the sample; the argument may be overwritten."""
        ...


@dataclass(frozen=True, slots=True)
class FarField:
    """Fraunhofer diffraction: the detector sees the Fourier transform, zero frequency at the corner."""

    def forward(self, waves: Array) -> Array:
        """To the detector."""
        return fft2(waves)

    def backward(self, waves: Array) -> Array:
        """Back to the sample."""
        return ifft2(waves)


@dataclass(frozen=True, slots=True)
class NearField:
    """Fresnel diffraction over a short distance: the detector sees a propagated image, not shifted."""

    transfer: Array
    """Phase factors of the plane waves, shape (v, u), zero frequency at the corner."""

    def forward(self, waves: Array) -> Array:
        """To the detector."""
        return ifft2(fft2(waves) * self.transfer)

    def backward(self, waves: Array) -> Array:
        """Back to the sample."""
        return ifft2(fft2(waves) * self.transfer.conj())


def fresnel_transfer(
    shape: tuple[int, int], *, wavelength: float, distance: float, pixel: tuple[float, float], dtype: str = "complex64"
) -> Array:
    """Fresnel's transfer function ``exp(−iπλz(f_v² + f_u²))``; waves go as ``exp(+ikz)``.

    For a diverging beam, distance and pixel are those of the equivalent parallel beam (Fresnel scaling): with source to
    sample L₁, sample to detector L₂ and M = (L₁ + L₂) / L₁, the distance is L₂ / M and the pixel is the detector's / M.

    Args:
        shape: Rows and columns.
        wavelength: In metre.
        distance: From here to there in metre; negative goes back.
        pixel: Height and width in metre.
        dtype: Complex type of the result.

    Returns:
        Shape (v, u), zero frequency at the corner.
    """
    rows = np.fft.fftfreq(shape[0], pixel[0])[:, None]
    cols = np.fft.fftfreq(shape[1], pixel[1])[None, :]
    return np.exp(-1j * np.pi * wavelength * distance * (rows**2 + cols**2)).astype(dtype)
