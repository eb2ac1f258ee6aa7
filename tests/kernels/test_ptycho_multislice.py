"""Two slices with free space between them, told apart from their far field alone, by every engine that can."""

from functools import partial

import numpy as np
import pytest

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.least_squares import LeastSquares
from firstlight.kernels.ptycho.likelihood import Likelihood, Memory, gradient_and_cost
from firstlight.kernels.ptycho.phantom import siemens_star, simulate, texture
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.positions import at, gradient_steps
from firstlight.kernels.ptycho.propagate import FarField, NearField, fresnel_transfer
from firstlight.kernels.ptycho.samples import Slices, States, Thin
from firstlight.kernels.ptycho.subpixel import lamps, shifted

FAR, WINDOW = FarField(), 48
GAP = fresnel_transfer((WINDOW, WINDOW), wavelength=1.0, distance=30.0, pixel=(1.0, 1.0), dtype="complex128")
"""Lengths in pixels: 30 px² between the slices, which blurs details of √30 px."""


def scene():
    """A Siemens star before blots, the probe that lights them, and frames with photon noise."""
    base, rng = simulate(window=WINDOW, scan=(10, 10), step=3, seed=1), np.random.default_rng(2)
    size = base.image.shape[0]
    blots = np.exp(0.8j * (texture(size, 6, rng) > 0.5))
    image = np.stack([np.exp(0.8j * siemens_star(size, spokes=12)), blots])
    waves = Slices(NearField(GAP)).through(image, base.probe[None], base.corners).waves
    expected = (np.abs(FAR.forward(waves)) ** 2).sum(axis=1)
    counts = rng.poisson(expected)
    frames = Frames(np.sqrt(counts).astype(np.float32), base.corners, np.ones((WINDOW, WINDOW), bool))
    return image, base.probe, frames, ((np.sqrt(expected) - np.sqrt(counts)) ** 2).sum()


def likeness(one, other):
    """Correlation of two phases in the middle of the scan."""
    middle = slice(WINDOW // 2 + 4, -(WINDOW // 2 + 4))
    return np.corrcoef(*(np.angle(image[middle, middle]).ravel() for image in (one, other)))[0, 1]


@pytest.mark.parametrize(
    ("name", "rounds"),
    [("rpie", 60), pytest.param("lsq", 60, marks=pytest.mark.slow), pytest.param("ml", 60, marks=pytest.mark.slow)],
)
def test_two_slices_are_recovered(name, rounds):
    image, probe, frames, noise = scene()
    gap = NearField(GAP.astype(np.complex64))
    two = Estimate(np.ones(image.shape, np.complex64), probe.astype(np.complex64), Slices(gap))
    one = Estimate(np.ones(image.shape[1:], np.complex64), probe.astype(np.complex64))
    rng = np.random.default_rng(0)
    engine = {"rpie": Pie(regularization=0.3).sweep, "lsq": LeastSquares("poisson", 16).sweep}.get(name)

    def descend(memory, estimate, frames, order, *given, **more):
        return Likelihood().sweep(estimate, frames, memory, *given, **more)

    of_two, of_one = (engine or partial(descend, Memory()) for _ in range(2))
    for number in range(rounds):
        order = rng.permutation(len(frames))
        thick = of_two(two, frames, order, FAR, map, update_probe=number > 10)
        thin = of_one(one, frames, order, FAR, map, update_probe=number > 10)
    assert thick < 1.3 * noise
    assert thin > 10 * thick
    assert likeness(two.image[0], image[0]) > 0.99
    assert likeness(two.image[1], image[1]) > 0.99
    assert abs(likeness(two.image[0], image[1])) < 0.3


@pytest.mark.parametrize("engine", [Pie(), LeastSquares()])
@pytest.mark.parametrize("sample", [Slices(NearField(GAP)), States()])
def test_one_layer_is_a_thin_object(engine, sample):
    _, probe, frames, _ = scene()
    shape = tuple(frames.corners.max(axis=0) + WINDOW + 4)
    thick = Estimate(np.ones((1, *shape), np.complex128), probe.copy(), sample)
    thin = Estimate(np.ones(shape, np.complex128), probe.copy())
    order = np.arange(len(frames))
    errors = (engine.sweep(one, frames, order, FAR, map) for one in (thick, thin))
    np.testing.assert_allclose(*errors)
    np.testing.assert_allclose(thick.image[0], thin.image)
    np.testing.assert_allclose(thick.probe, thin.probe)


@pytest.mark.parametrize("engine", [Pie(), LeastSquares(), Likelihood()])
@pytest.mark.parametrize("sample", [Slices(NearField(GAP)), States()])
def test_the_true_layers_are_a_fixed_point(engine, sample):
    image, probe, frames, _ = scene()
    waves = sample.through(image, probe[None], frames.corners).waves
    clean = np.sqrt((np.abs(FAR.forward(waves)) ** 2).sum(axis=1))
    exact, estimate = Frames(clean, frames.corners, frames.valid), Estimate(image.copy(), probe.copy(), sample)
    third = Memory() if isinstance(engine, Likelihood) else np.arange(len(exact))
    error = engine.sweep(estimate, exact, third, FAR, map)
    assert error < 1e-15 * (clean**2).sum()
    np.testing.assert_allclose(estimate.image, image, atol=1e-6)


def small(sample, layers):
    """Random, with windows between pixels: for laws that hold for any arrays."""
    rng = np.random.default_rng(4)

    def random(*shape):
        return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)

    blank = Frames(rng.uniform(0.5, 6, (4, 12, 12)), np.zeros((4, 2)), np.ones((12, 12), bool))
    image = random(20, 21) if layers == 1 else random(layers, 20, 21)
    return Estimate(image, random(2, 12, 12), sample), at(rng.uniform(0, 7, (4, 2)), blank), random


NEAR = NearField(fresnel_transfer((12, 12), wavelength=1.0, distance=4.0, pixel=(1.0, 1.0), dtype="complex128"))
SAMPLES = [(Thin(), 1), (Slices(NEAR), 3), (States(), 2)]


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
@pytest.mark.parametrize(("sample", "layers"), SAMPLES)
def test_the_gradient_is_that_of_the_cost(sample, layers, noise):
    """Finite differences by every layer and by the probe."""
    estimate, frames, random = small(sample, layers)
    found, _ = gradient_and_cost(noise, estimate, frames, FAR)
    for array, gradient in ((estimate.image, found.image), (estimate.probe, found.probe)):
        direction, costs = random(*array.shape), []
        for length in (1e-6, -2e-6):
            array += length * direction
            costs.append(gradient_and_cost(noise, estimate, frames, FAR)[1])
        array += 1e-6 * direction
        expected = 2 * float((gradient.conj() * direction).real.sum())
        assert (costs[0] - costs[1]) / 2e-6 == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("sample", "layers"), SAMPLES)
def test_exit_waves_change_as_told(sample, layers):
    """Finite differences of what leaves the sample, by object, by probe, and by both."""
    estimate, frames, random = small(sample, layers)
    image, light, corners = estimate.image, lamps(estimate.probe, frames, np.arange(4)), frames.corners
    to_image, to_light, here = random(*image.shape), random(*light.shape), sample.through(image, light, corners)
    for move, turn in ((to_image, None), (None, to_light), (to_image, to_light)):
        ahead, behind = (
            sample.through(
                image + length * (0 if move is None else move), light + length * (0 if turn is None else turn), corners
            ).waves
            for length in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(
            (ahead - behind) / 2e-6, sample.along(image, move, here, turn, corners), rtol=1e-5, atol=1e-6
        )


def test_positions_come_back_from_the_patterns_of_two_slices():
    """With the true slices and probe, errors of up to half a pixel shrink by each step."""
    image, probe, frames, _ = scene()
    rng = np.random.default_rng(1)
    true = frames.corners + rng.uniform(-0.5, 0.5, frames.corners.shape)
    sample, corners = Slices(NearField(GAP)), np.rint(true).astype(np.int64)
    waves = sample.through(image, shifted(probe, true - corners), corners).waves
    exact = Frames(np.abs(FAR.forward(waves))[:, 0], corners, frames.valid)
    estimate, places = Estimate(image, probe, sample), true + rng.uniform(-0.5, 0.5, true.shape)
    before = np.abs(places - true).mean()
    for _ in range(10):
        places = places + gradient_steps(estimate, at(places, exact), FAR, map)
    assert before > 0.2
    assert np.abs(places - true).mean() < 0.1 * before
