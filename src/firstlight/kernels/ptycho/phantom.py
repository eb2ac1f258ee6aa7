"""Ptychography of known truth: a Siemens star in a complex texture, the focus of a zone plate, and photon noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .propagate import FarField, Propagator
from .subpixel import shifted
from .waves import exit_waves

Array = Any


def siemens_star(size: int, *, spokes: int = 24, ring: float = 0.25) -> Array:
    """Spokes of a Siemens star between radius 0.08 and 0.9 of the half width, with a gap at `ring`; 0…1, shape (y, x)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius, angle = np.hypot(x, y) / (size / 2), np.arctan2(y, x)
    inside = (radius > 0.08) & (radius < 0.9) & (np.abs(radius - ring) > 0.02)
    # an edge of one pixel width, so that the star has no power that no detector could see
    width = np.maximum(radius * size / 2, 1.0) / spokes
    return (inside * np.clip(0.5 + np.sin(angle * spokes) * width, 0, 1)).astype(np.float64)


def texture(size: int, grain: float, rng: np.random.Generator) -> Array:
    """Smooth random field between 0 and 1 with structures of `grain` pixels, shape (y, x)."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * np.exp(-((frequency * grain) ** 2) * 9)).real
    return (field - field.min()) / np.ptp(field)


def zone_plate_probe(size: int, *, width: float = 0.35, stop: float = 0.1, defocus: float = 12.0) -> Array:
    """Focus of a zone plate with a central stop: shape (v, u), ``Σ|P|² = 1``.

    Args:
        size: Rows and columns.
        width: Radius of the plate's aperture in the far field, as a part of the detector's half width.
        stop: Radius of the central stop, likewise.
        defocus: Phase in radian at the edge of the aperture.
    """
    v, u = np.mgrid[:size, :size] - size // 2
    radius = np.hypot(v, u) / (size / 2)
    aperture = (radius < width) & (radius > stop)
    wave = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(aperture * np.exp(1j * defocus * (radius / width) ** 2))))
    return wave / np.linalg.norm(wave)


def jittered_raster(shape: tuple[int, int], step: float, jitter: float, rng: np.random.Generator) -> Array:
    """Positions of a raster scan in pixel, none of them exactly where it should be: shape (position, 2), lowest at 0."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 2) * step
    places = places + rng.uniform(-jitter, jitter, places.shape)
    return places - places.min(axis=0)


@dataclass(frozen=True, slots=True)
class Truth:
    """A simulated scan, and what it was made of."""

    image: Array
    """The object, shape (y, x), complex128."""
    probe: Array
    """Shape (mode, v, u), complex128; Σ|probe|² photons fall on the sample in a frame."""
    corners: Array
    """First row and column of each window, shape (position, 2), int64."""
    counts: Array
    """Photons, shape (position, v, u), zero frequency at the corner."""
    expected: Array
    """Photons without noise, likewise."""
    places: Array
    """Where the windows really were, shape (position, 2), in pixels, not rounded if they lie between pixels."""


def simulate(
    *,
    window: int = 64,
    scan: tuple[int, int] = (12, 12),
    step: float = 6.0,
    photons: float = 1e6,
    modes: int = 1,
    seed: int = 0,
    propagator: Propagator | None = None,
    margin: int = 4,
    fractional: bool = False,
) -> Truth:
    """Photon counts of a scan over a Siemens star of 0.8…1 transmission and a phase of up to 0.9 rad.

    Args:
        window: Rows and columns of a frame.
        scan: Positions along y and x.
        step: Of the raster, in pixel; it is jittered by a quarter of it.
        photons: On the sample in each frame.
        modes: Incoherent modes of the probe; each further one has a third of the power of the one before.
        seed: Of the noise, the texture and the jitter.
        propagator: To the detector; the far field by default.
        margin: Pixels of the object around the windows.
        fractional: Windows lie between pixels; otherwise on whole ones.
    """
    rng = np.random.default_rng(seed)
    places = jittered_raster(scan, step, step / 4, rng) + margin
    corners = np.rint(places).astype(np.int64)
    places = places if fractional else corners.astype(np.float64)
    size = int(corners.max()) + window + margin
    star = siemens_star(size)
    image = (1 - 0.2 * star * texture(size, 4, rng)) * np.exp(1j * (0.6 * star + 0.3 * texture(size, 8, rng)))
    probe = _modes(zone_plate_probe(window), modes) * np.sqrt(photons)
    light = shifted(probe, places - corners) if fractional else probe[None]
    waves = exit_waves(image, light, corners, np.empty((len(corners), modes, window, window), np.complex128))
    seen = (propagator or FarField()).forward(waves)
    expected = (np.abs(seen) ** 2).sum(axis=1)
    return Truth(image, probe, corners, rng.poisson(expected).astype(np.float32), expected, places)


def _modes(probe: Array, modes: int) -> Array:
    """The probe times Hermite-like ripples, orthogonal, of falling power: shape (mode, v, u), total power 1."""
    x = np.linspace(-2, 2, probe.shape[-1])
    ripples = [np.ones_like(x), *(np.cos(np.pi * m * x / 2 + m) for m in range(1, modes))]
    found: list[Array] = []
    for ripple in ripples:
        wave = probe * ripple[None, :]
        for other in found:
            wave = wave - np.vdot(other, wave) * other
        found.append(wave / np.linalg.norm(wave))
    powers = 3.0 ** -np.arange(modes)
    return np.stack(found) * np.sqrt(powers / powers.sum())[:, None, None]
