"""Windows between pixels, and positions found from the patterns, against a phantom whose positions are known."""

import numpy as np
import pytest

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.likelihood import gradient_and_cost
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.positions import Affine, annealed, at, gradient_steps
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.subpixel import lamps, shifted
from firstlight.kernels.ptycho.waves import exit_waves

FAR = FarField()
TRUTH = simulate(window=32, scan=(9, 9), step=3.5, photons=1e6, fractional=True, margin=10)
FRAMES = Frames(np.sqrt(TRUTH.counts), TRUTH.corners, np.ones((32, 32), bool))


def apart(places):
    """Root mean square distance from the true positions, the mean taken out: it can not be known."""
    off = places - TRUTH.places
    return np.sqrt(((off - off.mean(axis=0)) ** 2).sum(axis=1).mean())


def begun():
    v, u = np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None, :]
    probe = np.fft.ifft2(np.fft.fft2(TRUTH.probe) * np.exp(10j * (u**2 + v**2)))
    return Estimate(np.ones(TRUTH.image.shape, np.complex64), probe.astype(np.complex64))


def refined(places, rounds, steps_of):
    """ePIE with positions that move after each round."""
    estimate, rng = begun(), np.random.default_rng(0)
    room = np.asarray(TRUTH.image.shape) - 32
    for number in range(rounds):
        frames = at(places, FRAMES)
        error = Pie(regularization=0.3).sweep(
            estimate, frames, rng.permutation(len(frames)), FAR, map, update_probe=number > 1
        )
        if number >= 5:
            steps = steps_of(estimate, frames, number, rng)
            places = np.clip(places + steps - steps.mean(axis=0), 0, room)
    return places, error / TRUTH.counts.sum()


def by_gradient(estimate, frames, number, rng):
    steps = gradient_steps(estimate, frames, FAR, map)
    return steps * np.minimum(1, 0.5 / np.linalg.norm(steps, axis=1, keepdims=True).clip(1e-9))


def by_annealing(estimate, frames, number, rng):
    if number >= 40:
        return by_gradient(estimate, frames, number, rng)
    radius = max(0.3, 2.5 * (1 - number / 40))
    return annealed(estimate, frames, FAR, map, radius=radius, trials=4, random=rng)


def test_a_probe_that_moves_is_the_function_that_moved():
    y, x = np.mgrid[:32, :32] - 16.0

    def beam(down, right):
        return np.exp(-((y - down) ** 2 + (x - right) ** 2) / 18 + 0.3j * (x - right))

    moved = shifted(beam(0, 0)[None], np.array([[0.3, -0.45], [-1.25, 2.5]]))
    np.testing.assert_allclose(moved[0, 0], beam(0.3, -0.45), atol=1e-5)
    np.testing.assert_allclose(moved[1, 0], beam(-1.25, 2.5), atol=1e-4)


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_the_gradient_between_pixels_is_that_of_the_cost(noise):
    """Finite differences of the cost by object and probe, with windows between pixels."""
    rng = np.random.default_rng(4)

    def random(*shape):
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    estimate = Estimate(random(20, 21), random(2, 12, 12))
    places = rng.uniform(0, 7, (4, 2))
    frames = at(places, Frames(rng.uniform(0.5, 6, (4, 12, 12)), np.zeros((4, 2)), np.ones((12, 12), bool)))
    found, _ = gradient_and_cost(noise, estimate, frames, FAR)
    for array, gradient in ((estimate.image, found.image), (estimate.probe, found.probe)):
        direction = random(*array.shape)
        costs = []
        for length in (1e-6, -2e-6):
            array += length * direction
            costs.append(gradient_and_cost(noise, estimate, frames, FAR)[1])
        array += 1e-6 * direction
        expected = 2 * float((gradient.conj() * direction).real.sum())
        assert (costs[0] - costs[1]) / 2e-6 == pytest.approx(expected, rel=1e-5)


def test_the_steps_point_to_where_the_probe_was():
    """With the true object and probe, small errors come back from the patterns to first order."""
    estimate = Estimate(TRUTH.image, TRUTH.probe)
    off = np.random.default_rng(1).uniform(-0.2, 0.2, TRUTH.places.shape)
    steps = gradient_steps(estimate, at(TRUTH.places + off, FRAMES), FAR, map)
    assert np.corrcoef(steps.ravel(), -off.ravel())[0, 1] > 0.8
    assert apart(TRUTH.places + off + steps) < 0.85 * apart(TRUTH.places + off)


@pytest.mark.parametrize(("steps_of", "most"), [(by_gradient, 1.5), (by_annealing, 2.0)])
def test_positions_wrong_by_up_to_two_pixels_are_found_to_a_twentieth(steps_of, most):
    off = np.random.default_rng(5).uniform(-most, most, TRUTH.places.shape)
    given = TRUTH.places + off - off.mean(axis=0)
    places, error = refined(given, 80, steps_of)
    _, blurred = refined(given, 30, lambda *given: np.zeros((len(FRAMES), 2)))
    assert apart(given) > 1.2
    assert apart(places) < 0.05
    assert error < 0.2 * blurred


def test_a_scale_a_turn_and_a_shear_are_read_from_the_positions_found():
    """Stages whose axes are 4 % too short and 2° off: what was asked for, and what the patterns say."""
    turn, scale, shear = np.radians(2.0), 1.04, np.radians(1.5)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    known = rotation @ (scale * np.array([[1.0, 0.0], [np.tan(shear), 1.0]]))
    middle = TRUTH.places.mean(axis=0)
    asked = middle + (TRUTH.places - middle) @ np.linalg.inv(known).T
    places, _ = refined(asked, 60, by_gradient)
    found = Affine.between(asked, places)
    assert found.rotation == pytest.approx(2.0, abs=0.15)
    assert found.scale == pytest.approx((1.04, 1.04), abs=0.004)
    assert found.shear == pytest.approx(1.5, abs=0.2)
    np.testing.assert_allclose(found.of(asked), places, atol=0.3)


def test_exit_waves_of_whole_pixels_need_no_shift():
    places = TRUTH.corners.astype(float)
    frames, probe = at(places, FRAMES), TRUTH.probe
    part = np.arange(3)
    shape = (3, *probe.shape)
    moved = exit_waves(TRUTH.image, lamps(probe, frames, part), frames.corners[:3], np.empty(shape, complex))
    still = exit_waves(TRUTH.image, probe[None], TRUTH.corners[:3], np.empty(shape, complex))
    np.testing.assert_allclose(moved, still, atol=1e-10)
