"""How far two reconstructions agree that share no frame: the resolution that the data support."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firstlight.core.arrays import Array
from firstlight.kernels.correlation import shell_correlation
from firstlight.kernels.ptycho.quality import halves, without_ramp
from firstlight.kernels.ptycho.waves import on_host

from .engines import Round
from .rounds import Rounds, image_of, new_engine

ROUNDS = 20
"""Over each half, from an empty object and the probe of all frames, which is held."""


def agreement_of_halves(rounds: Rounds) -> Array:
    """Fourier ring correlation of the phases of two half sets, shape (ring,), float64.

    Every other frame goes to one half, the rest to the other; both begin with an empty object. The probe is that of all
    frames and stays, so that the two objects can not be shifted against each other; the correlation is taken where most of
    the light fell.
    """
    state = rounds.state
    given = rounds.placed()
    images = [_fitted(rounds, replace(given, frames=half)) for half in halves(given.frames)]
    box = _bright(state.fallen)
    first, second = (image[box] for image in images)
    if min(first.shape) < 8:
        return np.full(1, np.nan)
    seen = np.ones(first.shape, bool)
    first = without_ramp(first, second, seen)
    level = np.exp(-1j * np.angle(second.mean()))
    return shell_correlation(np.angle(first * level), np.angle(second * level)).correlation


def _fitted(rounds: Rounds, given: Round) -> Array:
    """The object of some of the frames alone."""
    state, step = rounds.state, rounds.step
    canvas = state.canvas.again()
    canvas.stack, canvas.origin = state.canvas.stack.copy(), state.canvas.origin
    canvas.clear()
    whole, engine = rounds.estimate(), new_engine(step)
    estimate = replace(whole, image=rounds.library.moved(canvas.image), probe=whole.probe.copy())
    for number in range(ROUNDS):
        random = np.random.default_rng((step.seed, number))
        engine.round(estimate, replace(given, random=random, update_probe=False))
    canvas.image[...] = on_host(estimate.image)
    return image_of(canvas.stack, step.object_modes > 1).astype(np.complex128)


def _bright(fallen: Array) -> tuple[slice, slice]:
    """Rows and columns that have at least half the light of the brightest."""
    found: list[slice] = []
    for axis in (1, 0):
        line = fallen.sum(axis=axis)
        bright = np.flatnonzero(line > 0.5 * line.max())
        found.append(slice(int(bright[0]), int(bright[-1]) + 1) if len(bright) else slice(0, 0))
    return found[0], found[1]
