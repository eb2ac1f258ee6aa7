"""Light that every frame has and that came through neither probe nor object: parasitic scattering, air, a detector's own counts.

It is one more incoherent mode of the detector wave, which has no phase and is the same in all frames: ``M = Σ_m|Ψ_m|² + B``. A round moves B
as the modulus constraint moves any mode, by ``√B ← √B ⟨A / √M⟩`` where amplitudes are fitted, and by ``B ← B ⟨A² / M⟩`` (Richardson and
Lucy) where counts are. Scattering is smooth: the mean over frames is taken over neighbours too, each weighted by the part B / M of its light
that is background.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from .changes import detector_waves
from .frames import Estimate, Frames, Spread, shares
from .noise import Noise
from .propagate import Propagator
from .quality import some_of
from .waves import modulus, on_host

Array = Any

_LEAST = 1e-4
"""Photons of a pixel with which it begins at least: what is zero stays zero."""
_WIDTH = 1 / 32
"""Standard deviation of the neighbourhood, as a part of the window."""
_FRAMES = 128
"""As many at most tell it, spread over the scan."""
_NOTICEABLE = 0.03
"""Part of the error that a background has to explain: of 10⁵ and more values, its few hundred free ones explain less by chance."""


def first_background(mean: Array, valid: Array) -> Array:
    """The same everywhere: what the tenth of the pixels with the least light has. Shape (v, u), float64.

    Args:
        mean: Mean counts of all frames, shape (v, u).
        valid: Shape (v, u): pixels that measure.
    """
    return np.full(mean.shape, max(float(np.quantile(mean[valid], 0.1)), _LEAST))


def moved_background(
    estimate: Estimate,
    frames: Frames,
    background: Array,
    propagator: Propagator,
    spread: Spread,
    *,
    noise: Noise,
    workers: int = 1,
    share: int = 16,
) -> tuple[Array, bool]:
    """The background after a round, and whether it explains anything.

    Args:
        estimate: Object and probe.
        frames: The frames.
        background: As it was in that round, shape (v, u), float64 on the host.
        propagator: To the detector.
        spread: Calls functions on threads.
        noise: Statistics that object and probe are fitted with.
        workers: How many threads.
        share: Most positions to be worked on at once.

    Returns:
        Shape (v, u), float64 on the host; True if ``Σ(|Ψ| − A)²`` is noticeably less with it than without.
    """

    def look(part: Array) -> tuple[Array, Array, float, float]:
        return _looked(estimate, frames, part, propagator, background, noise)

    some = some_of(len(frames), _FRAMES)
    parts = shares(some, max(workers, -(-len(some) // share)))
    found = list(spread(look, parts))
    above, below = (_smooth(sum(one[number] for one in found)) for number in (0, 1))
    ratio = above / np.maximum(below, 1e-300)
    with_it, without = (float(sum(one[number] for one in found)) for number in (2, 3))
    # Richardson and Lucy's step is half as long in √B; both go at one pace
    return np.maximum(background * np.where(below > 0, ratio, 1) ** 2, _LEAST), with_it < (1 - _NOTICEABLE) * without


def _looked(
    estimate: Estimate, frames: Frames, part: Array, propagator: Propagator, background: Array, noise: Noise
) -> tuple[Array, Array, float, float]:
    """Weighted sums of the ratio and of the weights, by pixel, and the errors with and without, of a few frames."""
    waves = on_host(detector_waves(estimate, frames, part, propagator))
    amplitudes, valid = on_host(frames.amplitudes[part]), on_host(frames.valid)
    alone = modulus(waves).astype(np.float64)
    total = np.sqrt(alone * alone + background)
    ratio, weight = amplitudes / total, background / (total * total) * valid
    if noise == "poisson":
        ratio = ratio * ratio
    errors = (float((((root - amplitudes) * valid) ** 2).sum()) for root in (total, alone))
    with_it, without = errors
    return (weight * ratio).sum(axis=0), weight.sum(axis=0), with_it, without


def _smooth(image: Array) -> Array:
    # frames wrap around where their zero frequency is at the corner
    return gaussian_filter(image, [n * _WIDTH for n in image.shape], mode="wrap")
