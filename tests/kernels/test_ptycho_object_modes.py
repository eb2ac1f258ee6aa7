"""Objects that changed within a frame: two states, told apart up to what frames can not tell."""

import numpy as np
import pytest

from firstlight.kernels.ptycho.difference_map import DifferenceMap, Waves
from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.phantom import simulate, texture
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.samples import THIN, States

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


def random_waves(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_difference_map_projects_on_what_states_and_modes_can_give(workers):
    """Against the least-squares solutions of dense linear systems, of the object and then of the probe."""
    rng, size, window, modes, states = np.random.default_rng(1), 7, 4, 2, 3
    corners = np.array([[0, 0], [0, 3], [3, 0], [3, 3], [1, 2]])
    image, probe = random_waves(rng, states, size, size), random_waves(rng, modes, window, window)
    frames = Frames(np.ones((5, window, window)), corners, np.ones((window, window), bool))
    estimate = Estimate(image.copy(), probe.copy(), States())
    state = Waves(random_waves(rng, 5, states * modes, window, window))
    DifferenceMap(overlap_rounds=1, image_inertia=0, probe_inertia=0).overlap(
        estimate, frames, state, map, workers=workers
    )
    asked = state.waves.reshape(5, states, modes, window, window)
    pixels = np.arange(size * size).reshape(size, size)
    windows = [pixels[r : r + window, c : c + window].ravel() for r, c in corners]
    lit = np.zeros((5, modes, window**2, size * size), complex)
    for place, seen in enumerate(windows):
        lit[place][:, np.arange(window**2), seen] = probe.reshape(modes, -1)
    for number in range(states):
        wanted = np.linalg.lstsq(lit.reshape(-1, size * size), asked[:, number].ravel(), rcond=None)[0]
        np.testing.assert_allclose(estimate.image[number].ravel(), wanted, atol=1e-10)
    seen = np.array([np.diag(layer.ravel()[rows]) for rows in windows for layer in estimate.image])
    for mode in range(modes):
        wanted = np.linalg.lstsq(seen.reshape(-1, window**2), asked[:, :, mode].ravel(), rcond=None)[0]
        np.testing.assert_allclose(estimate.probe[mode].ravel(), wanted, atol=1e-10)


@pytest.mark.parametrize(("relaxation", "rounds"), [(1.0, 60), (0.9, 120)])
def test_the_difference_map_comes_down_to_the_noise_with_two_states_and_not_with_one(relaxation, rounds):
    image, probe, frames, noise = scene()
    y, x = np.mgrid[: image.shape[1], : image.shape[2]]
    start = np.ones(image.shape, np.complex64)
    start[1] = 0.3 * np.exp(2j * np.pi * (y / 17 + x / 11))
    errors = []
    for found, sample in ((start, States()), (start[0].copy(), THIN)):
        estimate = Estimate(found, probe.astype(np.complex64), sample)
        engine, state = DifferenceMap(relaxation), Waves.start(estimate, frames)
        for _ in range(rounds):
            error = engine.sweep(estimate, frames, state, FAR, map, update_probe=False)
        errors.append(error)
    assert errors[0] < 1.2 * noise
    assert errors[1] > 2 * errors[0]
