"""An independent way from a sample to its image at a distance: analytic thickness, exact Fresnel propagation, pixel means."""

import numpy as np

WAVELENGTH = 1.2398419843320026e-3 / 25.0  # um, at 25 keV
ENERGY = 25.0
PIXEL = 1.0
FINE = 4
"""Samples of the wave along one pixel."""

SAMPLE = [(80, 60, 50, 0, 0), (15, 15, 15, 20, 10), (6, 20, 8, -30, 5)]
"""Ellipsoids: half axes along columns, rows and beam, centre (column, row); in um."""


def places(size):
    return (np.arange(size * FINE) - (size * FINE - 1) / 2) * PIXEL / FINE


def thickness(rows=192, cols=224, parts=SAMPLE):
    """Chord of the beam through the ellipsoids in um, on the fine grid."""
    down, across = places(rows)[:, None], places(cols)[None]
    total = np.zeros((rows * FINE, cols * FINE))
    for a, b, c, x, y in parts:
        total += 2 * c * np.sqrt(np.clip(1 - ((across - x) / a) ** 2 - ((down - y) / b) ** 2, 0, None))
    return total


def pixels(fine):
    """Means over the pixels."""
    rows, cols = (length // FINE for length in fine.shape)
    return fine.reshape(rows, FINE, cols, FINE).mean((1, 3))


def image(thick, delta, beta, distance):
    """Intensity at a distance in mm, over the incident one: the exact Fresnel integral in double precision."""
    k = 2 * np.pi / WAVELENGTH
    wave = np.exp(-(k * beta + 1j * k * delta) * thick)
    down, across = (np.fft.fftfreq(length, PIXEL / FINE) for length in thick.shape)
    carrier = np.exp(-1j * np.pi * WAVELENGTH * distance * 1e3 * (down[:, None] ** 2 + across[None] ** 2))
    return pixels(np.abs(np.fft.ifft2(np.fft.fft2(wave) * carrier)) ** 2)[None].astype(np.float32)


def error(found, truth):
    """Root mean square difference over the root mean square of the truth."""
    return float(np.sqrt(np.mean((found - truth) ** 2) / np.mean(truth**2)))
