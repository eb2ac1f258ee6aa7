"""Objects that changed within a frame: two states, told apart up to what frames can not tell."""

import numpy as np
import pytest

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.phantom import simulate, texture
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.samples import States

FAR, WINDOW = FarField(), 32


def scene():
    """A star for seven tenths of the time, another object for three; the probe; frames with photon noise."""
    base, rng = simulate(window=WINDOW, scan=(10, 10), step=3, seed=2), np.random.default_rng(5)
    size = base.image.shape[0]
    other = (1 - 0.3 * texture(size, 5, rng)) * np.exp(1.2j * texture(size, 7, rng))
    image = np.stack([base.image * np.sqrt(0.7), other * np.sqrt(0.3)])
    waves = States().through(image, base.probe[None], base.corners).waves
    expected = (np.abs(FAR.forward(waves)) ** 2).sum(axis=1)
    counts = rng.poisson(expected)
    frames = Frames(np.sqrt(counts).astype(np.float32), base.corners, np.ones((WINDOW, WINDOW), bool))
    return image, base.probe, frames, ((np.sqrt(expected) - np.sqrt(counts)) ** 2).sum()


@pytest.mark.slow
def test_two_states_are_recovered():
    """Frames leave the states open up to a unitary mixture: the best one is taken out before they are compared."""
    image, probe, frames, noise = scene()
    start = np.ones(image.shape, np.complex64)
    y, x = np.mgrid[: image.shape[1], : image.shape[2]]
    start[1] = 0.3 * np.exp(2j * np.pi * (y / 17 + x / 11))
    two, one = (
        Estimate(start, probe.astype(np.complex64), States()),
        Estimate(start[0].copy(), probe.astype(np.complex64)),
    )
    engine, rng = Pie(regularization=0.2), np.random.default_rng(0)
    for _ in range(80):
        order = rng.permutation(len(frames))
        mixed = engine.sweep(two, frames, order, FAR, map, update_probe=False)
        alone = Pie(regularization=0.2).sweep(one, frames, order, FAR, map, update_probe=False)
    assert mixed < 1.2 * noise
    assert alone > 2 * mixed
    middle = slice(WINDOW // 2 + 2, -(WINDOW // 2 + 2))
    found, true = (states[:, middle, middle].reshape(2, -1) for states in (two.image, image))
    left, _, right = np.linalg.svd(true.conj() @ found.T)
    unmixed = (left @ right).conj() @ found
    for number in range(2):
        assert abs(np.corrcoef(unmixed[number], true[number])[0, 1]) > 0.97
