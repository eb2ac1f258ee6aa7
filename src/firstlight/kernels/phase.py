"""Filters of propagation-based phase retrieval.

A wave behind the sample is exp(-B + i phi), with B = k * integral of beta and phi = -k * integral of delta along the
beam, k = 2 pi / wavelength and the refractive index n = 1 - delta + i beta. Seen at a distance z, with f the spatial
frequency and chi = pi * wavelength * z * f^2, the Fourier transform of the intensity over the incident one is

    I = unit impulse - 2 cos(chi) B + 2 sin(chi) phi                 (Guigay 1977; weak B, slowly varying phi)

Lengths are in micrometre, frequencies in cycles per micrometre, energies in keV.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import pi

import numpy as np
from numpy.typing import NDArray

from firstlight.kernels.frame_filter import FrameFilter, Transfer
from firstlight.kernels.ramp import Window, ramp_response

F64 = NDArray[np.float64]

PLANCK_TIMES_LIGHT = 1.2398419843320026e-3
"""h c in keV micrometre (CODATA; exact since 2019)."""

_FILTERS = 8
"""Filters that are kept for the next frames."""


def wavelength(energy: float) -> float:
    """Wavelength in micrometre of photons of an energy in keV."""
    return PLANCK_TIMES_LIGHT / energy


def fresnel_angle(across: F64, down: F64, *, pixel: float, energy: float, distance: float) -> F64:
    """Chi = pi * wavelength * distance * f^2 at frequencies in cycles per pixel."""
    return pi * wavelength(energy) * distance * (across**2 + down**2) / pixel**2


@lru_cache(maxsize=_FILTERS)
def paganin_filter(
    shape: tuple[int, int],
    *,
    pixel: float,
    energy: float,
    distance: float,
    delta_beta: float,
    generalised: bool = False,
    gap: int | None = None,
) -> FrameFilter:
    """The low-pass filter 1 / (1 + chi * delta / beta) of a homogeneous sample (Paganin et al. 2002).

    Generalised (Paganin et al. 2020), the square of the frequency gives way to the spectrum of the five-point Laplacian,
    (sin^2(pi f_x W) + sin^2(pi f_y W)) / (pi W)^2 with the pixel W, which smooths less at the highest frequencies.

    Args:
        shape: (row, col) of the frames.
        pixel: pixel size at the sample in micrometre.
        energy: photon energy in keV.
        distance: from sample to detector in micrometre.
        delta_beta: delta over beta.
        generalised: as said above.
        gap: pixels between the rims of the padded frame. Default: sixteen times the reach of the filter.
    """
    strength = pi * wavelength(energy) * distance * delta_beta / pixel**2

    def transfer(down: F64, across: F64) -> F64:
        if generalised:
            return 1.0 / (1.0 + strength / pi**2 * (np.sin(pi * down) ** 2 + np.sin(pi * across) ** 2))
        return 1.0 / (1.0 + strength * (down**2 + across**2))

    reach = paganin_reach(pixel=pixel, energy=energy, distance=distance, delta_beta=delta_beta)
    return FrameFilter(shape, transfer, gap_of(shape, gap, reach))


def paganin_reach(*, pixel: float, energy: float, distance: float, delta_beta: float) -> int:
    """Pixels over which Paganin's filter fades to nothing on both sides: sixteen times its length.

    In real space the filter is a Bessel function K0(r / L) with L = sqrt(wavelength * distance * delta / (4 pi beta)).
    """
    length = np.sqrt(wavelength(energy) * distance * delta_beta / (4 * pi)) / pixel
    return int(np.ceil(16 * length)) + 8


@lru_cache(maxsize=_FILTERS)
def tie_filter(
    shape: tuple[int, int],
    *,
    pixel: float,
    energy: float,
    distance: float,
    delta_beta: float,
    gap: int | None = None,
) -> FrameFilter:
    """From I - 1 to the phase in radian of a sample that hardly absorbs: the inverse Laplacian (Teague 1983).

    I - 1 = 2 (chi + beta / delta) phi, where beta / delta keeps the lowest frequencies finite.
    """

    def transfer(down: F64, across: F64) -> F64:
        chi = fresnel_angle(across, down, pixel=pixel, energy=energy, distance=distance)
        return 0.5 / (chi + 1.0 / delta_beta)

    return FrameFilter(shape, transfer, gap_of(shape, gap))


@lru_cache(maxsize=_FILTERS)
def bronnikov_filter(
    shape: tuple[int, int], *, pixel: float, distance: float, alpha: float, gap: int | None = None
) -> FrameFilter:
    """From I - 1 to the integral of delta along the beam, in micrometre (Bronnikov 2002; alpha of Groso et al. 2006).

    I - 1 = -4 pi^2 z f^2 * (integral of delta), whatever the wavelength. The ramp of the filter of the original is that
    of the filtered back-projection that comes next.

    Args:
        shape: (row, col) of the frames.
        pixel: pixel size at the sample in micrometre.
        distance: from sample to detector in micrometre.
        alpha: added to f^2, in 1/um^2: beta / (delta * pi * wavelength * z) where delta / beta is the same everywhere.
        gap: pixels between the rims of the padded frame. Default: the frame's longer side.
    """

    def transfer(down: F64, across: F64) -> F64:
        return -1.0 / (4 * pi**2 * distance * ((down**2 + across**2) / pixel**2 + alpha))

    return FrameFilter(shape, transfer, gap_of(shape, gap))


@lru_cache(maxsize=_FILTERS)
def ctf_filters(
    shape: tuple[int, int],
    *,
    pixel: float,
    energy: float,
    distances: tuple[float, ...],
    delta_beta: float | None,
    regularisation: float,
    gap: int | None = None,
) -> tuple[FrameFilter, ...]:
    """One filter for each distance; the phase in radian is the sum of the filtered I - 1.

    With delta / beta given, B = -phi beta / delta: one unknown, least squares over the distances (Turner et al. 2004).
    Without, B and phi are both unknown and take two distances at least (Cloetens et al. 1999).

    Args:
        shape: (row, col) of the frames.
        pixel: pixel size at the sample in micrometre.
        energy: photon energy in keV.
        distances: from sample to detector in micrometre.
        delta_beta: delta over beta, or None where it is not the same everywhere.
        regularisation: added to the diagonal of the normal equations. With delta / beta given it fades away below the
            first maximum of the contrast of each distance, where beta / delta keeps the filter finite.
        gap: pixels between the rims of the padded frame. Default: the frame's longer side.
    """
    every = tuple(
        _ctf(n, distances, pixel=pixel, energy=energy, delta_beta=delta_beta, regularisation=regularisation)
        for n in range(len(distances))
    )
    return tuple(FrameFilter(shape, transfer, gap_of(shape, gap)) for transfer in every)


def _ctf(
    chosen: int,
    distances: Sequence[float],
    *,
    pixel: float,
    energy: float,
    delta_beta: float | None,
    regularisation: float,
) -> Transfer:
    def transfer(down: F64, across: F64) -> F64:
        chi = [fresnel_angle(across, down, pixel=pixel, energy=energy, distance=z) for z in distances]
        sine, cosine = [np.sin(c) for c in chi], [np.cos(c) for c in chi]
        if delta_beta is not None:
            weight = [s + c / delta_beta for s, c in zip(sine, cosine, strict=True)]
            faded = regularisation * np.minimum(1.0, np.max(chi, axis=0) / (pi / 2)) ** 2
            return 0.5 * weight[chosen] / (_sum([w * w for w in weight]) + faded)
        both = _sum([s * c for s, c in zip(sine, cosine, strict=True)])
        square_sine = _sum([s * s for s in sine]) + regularisation
        square_cosine = _sum([c * c for c in cosine]) + regularisation
        determinant = square_sine * square_cosine - both**2
        return (square_cosine * sine[chosen] - both * cosine[chosen]) / (2 * determinant)

    return transfer


def _sum(parts: Sequence[F64]) -> F64:
    return np.sum(parts, axis=0)


@lru_cache(maxsize=_FILTERS)
def quasi_particle_filter(
    shape: tuple[int, int],
    *,
    pixel: float,
    energy: float,
    distance: float,
    threshold: float,
    fill: bool,
    delta_beta: float,
    gap: int | None = None,
) -> FrameFilter:
    """From I - 1 to the phase in radian where the phase is not weak (Moosmann et al. 2011).

    The sine of the contrast transfer function is inverted, but not near its zeros: beyond the first maximum, frequencies
    with abs(sin(chi)) below the threshold carry nothing that can be trusted, and are left out or, with `fill`, weighted as at
    the threshold. beta / delta, added to the sine below the first maximum, keeps the lowest frequencies finite.
    """

    def transfer(down: F64, across: F64) -> F64:
        chi = fresnel_angle(across, down, pixel=pixel, energy=energy, distance=distance)
        sine = np.sin(chi)
        first = chi <= pi / 2
        held = np.where(first, sine + 1.0 / delta_beta, np.copysign(np.maximum(np.abs(sine), threshold), sine))
        inverse = 0.5 / held
        return inverse if fill else np.where(first | (np.abs(sine) > threshold), inverse, 0.0)

    return FrameFilter(shape, transfer, gap_of(shape, gap))


@lru_cache(maxsize=_FILTERS)
def ramped(chosen: FrameFilter, window: Window) -> FrameFilter:
    """A filter of phase retrieval and the ramp filter of the back-projection behind it, in one.

    Both are linear, and the ramp works along columns, one of the two axes that a frame is transformed along anyway: one
    product of their spectra saves the transforms of a ramp filter by itself. What lies outside the detector is what the
    padding of the phase retrieval makes of it, while the ramp filter by itself takes it as zero.

    Args:
        chosen: the filter; its gap is as wide as the frame at least, so that the ramp does not wrap.
        window: of the ramp.

    Raises:
        ValueError: the gap is narrower.
    """
    if chosen.columns < 2 * chosen.shape[1]:
        raise ValueError(f"the gap is {chosen.columns - chosen.shape[1]} pixels, expected {chosen.shape[1]} or more.")
    along = ramp_response(chosen.columns, window)[: chosen.columns // 2 + 1]
    return chosen.times(along.astype(np.float32))


def gap_of(shape: tuple[int, int], given: int | None, reach: int | None = None) -> int:
    """Pixels between the rims of a padded frame: as given, or as far as the filter reaches, at most the frame's size."""
    if given is not None:
        return given
    largest = max(shape)
    return largest if reach is None else min(reach, largest)
