"""A probe that changes from frame to frame: weights and shapes against those that the frames were made with."""

from dataclasses import replace

import numpy as np
import pytest

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.subpixel import lamps
from firstlight.kernels.ptycho.varying import first_shapes, relax, settle
from firstlight.kernels.ptycho.waves import exit_waves, replace_modulus

FAR, RNG = FarField(), np.random.default_rng(5)
BASE = simulate(window=32, scan=(9, 9), step=4)
PART = np.arange(len(BASE.corners))
WEIGHTS = RNG.normal(size=(len(PART), 2)) * [0.12, 0.15]
WEIGHTS -= WEIGHTS.mean(axis=0)
SHAPES = np.stack([BASE.probe[0], BASE.probe[0] * np.linspace(-2, 2, 32)])


def waves(estimate, frames):
    light = lamps(estimate.probe, frames, PART)
    return exit_waves(estimate.image, light, frames.corners, np.empty((len(PART), 1, 32, 32), np.complex128))


def scene(shifts=None):
    """Frames with photon noise, made with an intensity and a ramp that change, and the error of the truth."""
    truth = Estimate(BASE.image.copy(), BASE.probe.copy())
    frames = Frames(None, BASE.corners, np.ones((32, 32), bool), shifts, SHAPES.copy(), WEIGHTS.astype(np.complex128))
    expected = (np.abs(FAR.forward(waves(truth, frames))) ** 2).sum(axis=1)
    amplitudes = np.sqrt(np.random.default_rng(1).poisson(expected))
    return truth, replace(frames, amplitudes=amplitudes), ((np.sqrt(expected) - amplitudes) ** 2).sum()


def misfit(estimate, frames):
    return replace_modulus(FAR.forward(waves(estimate, frames)), frames.amplitudes, frames.valid).sum()


@pytest.mark.parametrize("between", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_weights_and_shapes_are_found(between):
    """Object and mean probe are known; the probe of each frame comes out, whatever shapes it is told in."""
    shifts = np.random.default_rng(2).uniform(-0.5, 0.5, BASE.places.shape) if between else None
    truth, frames, noise = scene(shifts)
    blank = replace(frames, shapes=first_shapes(truth.probe, 2), weights=np.zeros((len(PART), 2), np.complex128))
    estimate = Estimate(truth.image.copy(), truth.probe.copy())
    assert misfit(estimate, blank) > 30 * noise
    for _ in range(40):
        relax(estimate, blank, FAR, map)
    assert misfit(estimate, blank) < noise
    found = np.abs(lamps(estimate.probe, blank, PART) - lamps(truth.probe, frames, PART)) ** 2
    assert found.sum() < 3e-3 * np.abs(truth.probe).sum() ** 2


def test_a_step_of_the_weights_is_that_of_least_squares():
    """Finite differences: no other step of one frame's weights brings its exit wave closer to what is asked."""
    truth, frames, _ = scene()
    blank = replace(frames, weights=np.zeros((len(PART), 2), np.complex128), shapes=SHAPES.copy())
    estimate = Estimate(truth.image.copy(), truth.probe.copy())
    here = waves(estimate, blank)
    seen = FAR.forward(here.copy())
    replace_modulus(seen, frames.amplitudes, frames.valid)
    asked = FAR.backward(seen)
    from firstlight.kernels.ptycho.varying import _asked

    steps, _, _ = _asked(estimate, blank, PART, FAR)

    def left(weights):
        apart = waves(estimate, replace(blank, weights=weights)) - asked
        return (np.abs(apart) ** 2).sum(axis=(1, 2, 3))

    least = left(steps)
    for number in range(2):
        for direction in (1e-3, -1e-3, 1e-3j, -1e-3j):
            other = steps.copy()
            other[:, number] += direction
            assert (left(other) > least * (1 - 1e-5)).all()


def test_settling_changes_no_frame():
    truth, frames, _ = scene()
    probe, shapes, weights = truth.probe.copy(), frames.shapes.copy(), frames.weights + 0.1
    before = lamps(probe, replace(frames, weights=weights.copy()), PART)
    settle(probe, shapes, weights)
    np.testing.assert_allclose(
        lamps(probe, replace(frames, shapes=shapes, weights=weights), PART), before, atol=1e-9 * np.abs(before).max()
    )
    np.testing.assert_allclose(weights.mean(axis=0), 0, atol=1e-12)
    gram = shapes.reshape(2, -1).conj() @ shapes.reshape(2, -1).T
    np.testing.assert_allclose(gram, np.eye(2) * gram[0, 0], atol=1e-9 * gram[0, 0].real)
    assert np.linalg.norm(weights[:, 0]) > np.linalg.norm(weights[:, 1])


@pytest.mark.slow
def test_object_and_varying_probe_together_come_down_to_the_noise():
    truth, frames, noise = scene()
    errors = {}
    for shapes in (0, 2):
        estimate, rng = Estimate(np.ones_like(truth.image), truth.probe.copy()), np.random.default_rng(0)
        given = replace(frames, shapes=None, weights=None)
        if shapes:
            weights = np.zeros((len(PART), shapes), np.complex128)
            given = replace(frames, shapes=first_shapes(truth.probe, shapes), weights=weights)
        for number in range(60):
            Pie().sweep(estimate, given, rng.permutation(len(PART)), FAR, map, update_probe=number > 3)
            if number > 3:
                relax(estimate, given, FAR, map)
        errors[shapes] = misfit(estimate, given) / noise
    assert errors[2] < 1.4
    assert errors[0] > 20
