"""Objects that changed within a frame: two states, told apart up to what frames can not tell."""

import numpy as np
import pytest

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.object_modes import ObjectModes, _changes, state_waves
from firstlight.kernels.ptycho.phantom import simulate, texture
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.sums import add_to_object

FAR, WINDOW = FarField(), 32


def scene():
    """A star for seven tenths of the time, another object for three; the probe; frames with photon noise."""
    base, rng = simulate(window=WINDOW, scan=(10, 10), step=3, seed=2), np.random.default_rng(5)
    size = base.image.shape[0]
    other = (1 - 0.3 * texture(size, 5, rng)) * np.exp(1.2j * texture(size, 7, rng))
    image = np.stack([base.image * np.sqrt(0.7), other * np.sqrt(0.3)])
    waves = state_waves(image, base.probe[None], base.corners)
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
    two, one = Estimate(start, probe.astype(np.complex64)), Estimate(start[0].copy(), probe.astype(np.complex64))
    engine, rng = ObjectModes(regularization=0.2), np.random.default_rng(0)
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


def test_one_state_is_epie():
    _, probe, frames, _ = scene()
    shape = tuple(frames.corners.max(axis=0) + WINDOW + 4)
    several, one = (
        Estimate(np.ones((1, *shape), complex), probe.copy()),
        Estimate(np.ones(shape, complex), probe.copy()),
    )
    order = np.arange(len(frames))
    np.testing.assert_allclose(
        ObjectModes().sweep(several, frames, order, FAR, map), Pie().sweep(one, frames, order, FAR, map)
    )
    np.testing.assert_allclose(several.image[0], one.image)
    np.testing.assert_allclose(several.probe, one.probe)


def test_the_true_states_are_a_fixed_point():
    image, probe, frames, _ = scene()
    clean = np.sqrt((np.abs(FAR.forward(state_waves(image, probe[None], frames.corners))) ** 2).sum(axis=1))
    estimate, order = Estimate(image.copy(), probe.copy()), np.arange(len(frames))
    frames = Frames(clean, frames.corners, frames.valid)
    assert ObjectModes().sweep(estimate, frames, order, FAR, map) < 1e-15 * (clean**2).sum()
    np.testing.assert_allclose(estimate.image, image, atol=1e-6)


def test_what_is_asked_of_each_state_is_the_gradient():
    """Finite differences of Σ(|Ψ| − A)² along any direction of the states."""
    image, probe, frames, _ = scene()
    rng = np.random.default_rng(7)
    estimate, part = Estimate(image * (1 + 0.2 * rng.random(image.shape)), probe.copy()), np.arange(12)
    frames = Frames(frames.amplitudes.astype(np.float64), frames.corners, frames.valid)
    light, change, _ = _changes(estimate, frames, part, FAR)
    gradient = 0 * estimate.image
    for number in range(2):
        own = np.ascontiguousarray(change[:, number : number + 1])
        add_to_object(gradient[number], np.zeros(image.shape[1:]), light, own, frames.corners[part])
    direction = rng.standard_normal(image.shape) + 1j * rng.standard_normal(image.shape)

    def cost(length):
        moved = Estimate(estimate.image + length * direction, probe)
        return _changes(moved, frames, part, FAR)[2]

    expected = -2 * float((gradient.conj() * direction).real.sum())
    assert (cost(1e-6) - cost(-1e-6)) / 2e-6 == pytest.approx(expected, rel=1e-4)
