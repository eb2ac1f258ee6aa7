"""Two slices with free space between them, told apart from their far field alone."""

import numpy as np

from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.multislice import Multislice
from firstlight.kernels.ptycho.phantom import siemens_star, simulate, texture
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField, NearField, fresnel_transfer

FAR, WINDOW = FarField(), 48
GAP = fresnel_transfer((WINDOW, WINDOW), wavelength=1.0, distance=30.0, pixel=(1.0, 1.0), dtype="complex128")
"""Lengths in pixels: 30 px² between the slices, which blurs details of √30 px."""


def scene():
    """A Siemens star before blots, the probe that lights them, and frames with photon noise."""
    base, rng = simulate(window=WINDOW, scan=(10, 10), step=3, seed=1), np.random.default_rng(2)
    size = base.image.shape[0]
    blots = np.exp(0.8j * (texture(size, 6, rng) > 0.5))
    image = np.stack([np.exp(0.8j * siemens_star(size, spokes=12)), blots])
    waves, _ = Multislice(NearField(GAP)).exit_waves(image, base.probe[None], base.corners)
    expected = (np.abs(FAR.forward(waves)) ** 2).sum(axis=1)
    counts = rng.poisson(expected)
    frames = Frames(np.sqrt(counts).astype(np.float32), base.corners, np.ones((WINDOW, WINDOW), bool))
    return image, base.probe, frames, ((np.sqrt(expected) - np.sqrt(counts)) ** 2).sum()


def likeness(one, other):
    """Correlation of two phases in the middle of the scan."""
    middle = slice(WINDOW // 2 + 4, -(WINDOW // 2 + 4))
    return np.corrcoef(*(np.angle(image[middle, middle]).ravel() for image in (one, other)))[0, 1]


def test_two_slices_are_recovered():
    image, probe, frames, noise = scene()
    two = Estimate(np.ones(image.shape, np.complex64), probe.astype(np.complex64))
    one = Estimate(np.ones(image.shape[1:], np.complex64), probe.astype(np.complex64))
    engine, rng = Multislice(NearField(GAP.astype(np.complex64)), regularization=0.3), np.random.default_rng(0)
    for number in range(60):
        order = rng.permutation(len(frames))
        thick = engine.sweep(two, frames, order, FAR, map, update_probe=number > 10)
        thin = Pie().sweep(one, frames, order, FAR, map, update_probe=number > 10)
    assert thick < 1.3 * noise
    assert thin > 10 * thick
    assert likeness(two.image[0], image[0]) > 0.99
    assert likeness(two.image[1], image[1]) > 0.99
    assert abs(likeness(two.image[0], image[1])) < 0.3


def test_one_slice_is_epie():
    _, probe, frames, _ = scene()
    shape = tuple(frames.corners.max(axis=0) + WINDOW + 4)
    thick = Estimate(np.ones((1, *shape), np.complex128), probe.copy())
    thin = Estimate(np.ones(shape, np.complex128), probe.copy())
    order = np.arange(len(frames))
    errors = (
        Multislice(NearField(GAP)).sweep(thick, frames, order, FAR, map),
        Pie().sweep(thin, frames, order, FAR, map),
    )
    np.testing.assert_allclose(*errors)
    np.testing.assert_allclose(thick.image[0], thin.image)
    np.testing.assert_allclose(thick.probe, thin.probe)


def test_the_true_slices_are_a_fixed_point():
    image, probe, frames, _ = scene()
    engine = Multislice(NearField(GAP))
    waves, _ = engine.exit_waves(image, probe[None], frames.corners)
    clean = Frames(np.abs(FAR.forward(waves))[:, 0], frames.corners, frames.valid)
    estimate = Estimate(image.copy(), probe.copy())
    error = engine.sweep(estimate, clean, np.arange(len(clean)), FAR, map)
    assert error < 1e-15 * (clean.amplitudes**2).sum()
    np.testing.assert_allclose(estimate.image, image, atol=1e-6)
