"""Random numbers that depend on what they are for, not on when they are drawn: any chunking gives identical frames."""

from __future__ import annotations

import numpy as np

from firstlight.core.arrays import Array

BLOCK = 16
"""Rows of the detector that share one sequence of random numbers."""

_MANY = 1000.0
"""From so many counts on, the normal distribution stands for Poisson's (their skewness differs by 3 % of a width)."""


def generator(seed: int, stream: int, frame: int, block: int = 0) -> np.random.Generator:
    """A generator for one block of rows of one frame (Philox, a counter-based generator).

    Args:
        seed: Seed of the whole scan.
        stream: Number of the stream.
        frame: Id of the frame; may be negative.
        block: Number of the block of rows.
    """
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, stream], np.uint64), counter=np.array([0, 0, block, frame % 2**64], np.uint64)
        )
    )


def expose(mean: Array, draw: np.random.Generator, *, offset: float, readout: float, noise: bool) -> Array:
    """Counts of a detector for an expected number of photons.

    Args:
        mean: Expected photons per pixel, float32.
        draw: Random numbers of this block.
        offset: Counts without light.
        readout: Standard deviation of the electronics, in counts.
        noise: Draw photons and electronics; False gives the rounded mean.

    Returns:
        Same shape, uint16, clipped to 0…65535.
    """
    if noise:
        normal = draw.standard_normal(mean.shape, dtype=np.float32)
        counts = mean + normal * np.sqrt(mean + readout * readout)
        few = mean < _MANY
        if few.any():
            counts[few] = draw.poisson(mean[few]) + normal[few] * readout
        counts += offset
    else:
        counts = mean + offset
    np.rint(counts, out=counts)
    return np.clip(counts, 0, 65535, out=counts).astype(np.uint16)
