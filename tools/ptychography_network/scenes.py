"""What the network learns from, and what it is judged by: random objects, probes, and the patterns that they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from firstlight.kernels.ptycho.phantom import texture, zone_plate_probe

Array = Any

WINDOW = 64
FIELD = 160
"""Rows and columns of a random object."""


def random_object(rng: np.random.Generator) -> Array:
    """Edges and textures in amplitude and phase, shape (y, x): bars, wedges, disks, gratings, rings and spokes."""
    y, x = np.mgrid[:FIELD, :FIELD]
    sharp = np.zeros((FIELD, FIELD)) if rng.random() < 0.4 else periodic(rng, y, x)
    for _ in range(rng.integers(0, 12)):
        angle, middle = rng.uniform(0, np.pi), rng.uniform(0, FIELD, 2)
        along = (y - middle[0]) * np.sin(angle) + (x - middle[1]) * np.cos(angle)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        size = rng.uniform(3, 60, 2)
        if rng.random() < 0.5:  # a wedge or bar, with edges of a pixel
            narrow = size[0] * rng.uniform(0.05, 0.5) * (1 + along / size[1] * rng.integers(0, 2))
            shape = np.clip(narrow - np.abs(across), 0, 1) * np.clip(size[1] - np.abs(along), 0, 1)
        else:
            shape = np.clip(size[0] / 2 - np.hypot(along, across), 0, 1)
        sharp = np.maximum(sharp, shape) if rng.random() < 0.7 else np.abs(sharp - shape)
    return painted(sharp, rng)


def painted(sharp: Array, rng: np.random.Generator) -> Array:
    """A shape of 0…1 as a transparent object of some thickness in a texture, complex, shape (y, x)."""
    first, second = (texture(FIELD, grain, rng) for grain in rng.uniform(2, 12, 2))
    absorbed = rng.uniform(0, 0.3) * sharp * first + rng.uniform(0, 0.1) * second
    delay = rng.uniform(0, 1.2) * sharp + rng.uniform(0, 0.6) * second
    return (1 - absorbed) * np.exp(1j * delay)


def periodic(rng: np.random.Generator, y: Array, x: Array) -> Array:
    """Spokes about a random point, rings about it, or a grating; edges of a pixel, 0…1, shape (y, x)."""
    middle = rng.uniform(-0.2, 1.2, 2) * FIELD
    radius, angle = np.hypot(y - middle[0], x - middle[1]), np.arctan2(y - middle[0], x - middle[1])
    kind, period = rng.random(), rng.uniform(3, 30)
    if kind < 0.6:
        spokes = rng.integers(6, 48)
        wave = np.sin(angle * spokes + rng.uniform(0, 6.3)) * np.maximum(radius, 1) / spokes
        gap = np.abs(radius - rng.uniform(0, FIELD)) > rng.uniform(0, 4)
        return np.clip(0.5 + wave, 0, 1) * (radius > rng.uniform(2, 15)) * gap
    wave = np.sin(2 * np.pi * (radius if kind < 0.8 else y * np.sin(middle[0]) + x * np.cos(middle[0])) / period)
    return np.clip(0.5 + wave * period / 6.3, 0, 1)


def cells(rng: np.random.Generator) -> Array:
    """Cells with walls, each of its own thickness: of a kind that nothing in `random_object` is. Held out. Shape (y, x)."""
    seeds = rng.uniform(0, FIELD, (rng.integers(25, 60), 2))
    grid = np.moveaxis(np.mgrid[:FIELD, :FIELD], 0, -1)
    far = np.linalg.norm(grid[:, :, None] - seeds, axis=-1)
    order = np.sort(far, axis=-1)
    wall = np.clip(2.5 - (order[..., 1] - order[..., 0]), 0, 1)
    return painted(np.maximum(wall, rng.uniform(0, 0.8, len(seeds))[far.argmin(axis=-1)]), rng)


def letters(rng: np.random.Generator) -> Array:
    """Rows of signs made of strokes on a 5 by 3 grid: as unlike the others. Held out. Shape (y, x)."""
    size = int(rng.integers(2, 5))
    page = np.zeros((FIELD // size + 1, FIELD // size + 1))
    for row in range(1, page.shape[0] - 6, 7):
        for col in range(1, page.shape[1] - 4, 5):
            page[row : row + 5, col : col + 3] = rng.random((5, 3)) < 0.55
    return painted(np.kron(page, np.ones((size, size)))[:FIELD, :FIELD], rng)


def random_probe(rng: np.random.Generator) -> Array:
    """The focus of some zone plate, out of focus and bent, somewhere near the middle: shape (v, u), ``Σ|P|² = 1``."""
    found = zone_plate_probe(
        WINDOW,
        width=rng.uniform(0.22, 0.5),
        stop=rng.uniform(0, 0.15),
        defocus=rng.choice([-1, 1]) * rng.uniform(3, 20),
    )
    far = np.fft.fft2(np.fft.ifftshift(found))
    v, u = np.meshgrid(np.fft.fftfreq(WINDOW) * 6, np.fft.fftfreq(WINDOW) * 6, indexing="ij")
    bent = rng.normal(0, 1.0, 4) @ np.stack(
        [(v * v - u * u).ravel(), (2 * u * v).ravel(), (v**3).ravel(), (u**3).ravel()]
    )
    moved = v * rng.normal(0, 2) + u * rng.normal(0, 2)
    found = np.fft.fftshift(np.fft.ifft2(far * np.exp(1j * (bent.reshape(v.shape) + moved))))
    return found / np.linalg.norm(found)


def patterns(image: Array, probe: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Patterns with noise, and what they show, at random places of an object.

    Returns:
        Amplitudes, float32, zero frequency in the middle, each with a mean square of 1; and the object in each window relative to the
        root of what it lets through of the probe, complex64. Both of shape (sample, WINDOW, WINDOW).
    """
    corners = rng.integers(0, FIELD - WINDOW, (count, 2))
    cut = np.stack([image[r : r + WINDOW, c : c + WINDOW] for r, c in corners])
    far = np.fft.fftshift(np.fft.fft2(cut * probe, norm="ortho"), axes=(1, 2))
    counts = rng.poisson(np.abs(far) ** 2 * 10 ** rng.uniform(4.5, 7, (count, 1, 1)))
    return standard(counts, cut, probe)


def standard(counts: Array, cut: Array, probe: Array) -> tuple[Array, Array]:
    """Counts and the object in each window as `patterns` gives them."""
    frames = np.sqrt(counts / counts.mean(axis=(1, 2), keepdims=True))
    light = np.abs(probe) ** 2 / (np.abs(probe) ** 2).sum()
    cut = cut / np.sqrt((np.abs(cut) ** 2 * light).sum(axis=(1, 2), keepdims=True))
    return frames.astype(np.float32), cut.astype(np.complex64)
