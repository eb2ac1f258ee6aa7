"""Smaller parts of ptychography: coarse pixels, order, deflection, stored frames, quality, limits of the phase, zone plates."""

import numpy as np
import pytest

from firstlight.kernels.ptycho.constraints import clamp_phase
from firstlight.kernels.ptycho.coverage import coverage
from firstlight.kernels.ptycho.deflection import centers_of_mass, object_from_deflection
from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.likelihood import gradient_and_cost
from firstlight.kernels.ptycho.order import along, visits
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.kernels.ptycho.propagate import FarField
from firstlight.kernels.ptycho.quality import halves, power_spectrum, r_factor, without_ramp
from firstlight.kernels.ptycho.stored import Stored
from firstlight.kernels.ptycho.upsampled import Upsampled, binned, spread_out
from firstlight.kernels.ptycho.waves import exit_waves
from firstlight.operators.ptychography.start import zone_plate_focus

RNG = np.random.default_rng(4)


# ---- coarse pixels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_coarse_pixels_sum_fine_intensities_and_nothing_is_lost(factor):
    waves = RNG.standard_normal((2, 3, 12, 18)) + 1j * RNG.standard_normal((2, 3, 12, 18))
    to = Upsampled(FarField(), factor)
    seen = to.forward(waves.copy())
    fine = (np.abs(FarField().forward(waves.copy())) ** 2).sum(axis=1)
    np.testing.assert_allclose((np.abs(seen) ** 2).sum(axis=1), binned(fine, factor))
    np.testing.assert_allclose(to.backward(seen), waves, atol=1e-12)
    # unitary, so that its adjoint goes back
    other = RNG.standard_normal(seen.shape) + 0j
    assert np.vdot(other, to.forward(waves.copy())) == pytest.approx(np.vdot(to.backward(other.copy()), waves))


@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_the_gradient_through_coarse_pixels_is_that_of_the_cost(noise):
    """Finite differences."""
    rng = np.random.default_rng(0)
    estimate = Estimate(*(rng.standard_normal(n) + 1j * rng.standard_normal(n) for n in ((16, 16), (1, 12, 12))))
    frames = Frames(rng.uniform(0.5, 4, (3, 6, 6)), rng.integers(0, 4, (3, 2)), np.ones((6, 6), bool))
    to = Upsampled(FarField(), 2)
    gradient = gradient_and_cost(noise, estimate, frames, to)[0].image
    direction = rng.standard_normal((16, 16)) + 1j * rng.standard_normal((16, 16))

    def cost(length):
        return gradient_and_cost(noise, Estimate(estimate.image + length * direction, estimate.probe), frames, to)[1]

    expected = 2 * float((gradient.conj() * direction).real.sum())
    assert (cost(1e-6) - cost(-1e-6)) / 2e-6 == pytest.approx(expected, rel=1e-4)


def test_measured_intensities_are_shared_among_fine_pixels():
    amplitudes = RNG.random((6, 8))
    np.testing.assert_allclose(binned(spread_out(amplitudes, 2) ** 2, 2), amplitudes**2)


# ---- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random", "near", "spread", "sequence"])
def test_every_position_is_visited_once(order):
    places = RNG.random((103, 2)) * [10, 30]
    found = visits(order, places, 8, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(found), np.arange(103))
    np.testing.assert_array_equal(found, visits(order, places, 8, np.random.default_rng(0)))


def test_batches_are_near_or_far():
    places = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2).astype(float)

    def extent(order):
        found = visits(order, places, 8, np.random.default_rng(0)).reshape(-1, 8)
        return np.mean([np.ptp(places[batch], axis=0).max() for batch in found])

    assert extent("near") < 5 < extent("random") <= extent("spread") + 2
    nearest = [
        min(np.linalg.norm(places[a] - places[b]) for a in batch for b in batch if a != b)
        for batch in visits("spread", places, 8, np.random.default_rng(0)).reshape(-1, 8)
    ]
    assert min(nearest) > 1.5, "the windows of a batch keep a distance"
    assert len(along(places)) == 256


# ---- deflection ------------------------------------------------------------------------------------------------------


def test_a_first_object_from_the_deflection_of_the_light():
    """A phase that rises steadily moves patterns as the shift theorem says; a blob comes out where it is, and as a bump."""
    truth = simulate(window=64, scan=(14, 14), step=4)
    y, x = np.mgrid[: truth.image.shape[0], : truth.image.shape[1]] - truth.image.shape[0] / 2
    blob = 2.0 * np.exp(-(y**2 + x**2) / 15**2)
    window, valid, middles = (64, 64), np.ones((64, 64), bool), truth.corners + 32

    def seen(phase):
        shape = (len(truth.corners), 1, 64, 64)
        image = np.exp(1j * phase)
        waves = exit_waves(image, truth.probe[None], truth.corners, np.empty(shape, np.complex128))
        return centers_of_mass(np.abs(FarField().forward(waves))[:, 0], len(truth.corners), valid)

    turns = (2, -3)
    # whole periods in the window, so that no light is cut off
    ramp = 2 * np.pi * (turns[0] * y + turns[1] * x) / 64
    np.testing.assert_allclose(seen(ramp)[0] - seen(0 * y)[0], np.tile(turns, (len(middles), 1)), atol=0.02)
    centers, counts = seen(blob)
    found = object_from_deflection(centers, counts, middles, window, truth.image.shape)
    inside = (slice(36, -36), slice(36, -36))
    assert np.corrcoef(np.angle(found)[inside].ravel(), blob[inside].ravel())[0, 1] > 0.9
    np.testing.assert_allclose(np.abs(found)[inside], 1, atol=0.02)


# ---- frames that are stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_stored_frames_are_amplitudes_by_order(dtype):
    counts = RNG.integers(0, 200, (9, 4, 5))
    kept = counts.astype(dtype) if dtype[0] == "u" else np.sqrt(counts).astype(dtype)
    order = RNG.permutation(9)
    for real in ("float32", "float64"):
        stored = Stored(kept, order, real)
        found = stored[np.array([3, 0, 7])]
        assert found.dtype == real
        np.testing.assert_allclose(found, np.sqrt(counts)[order[[3, 0, 7]]], rtol=1e-6)
    np.testing.assert_allclose(stored[-2:], np.sqrt(counts)[order[-2:]], rtol=1e-6)
    np.testing.assert_allclose(stored.mean_counts(4), counts.mean(axis=0), rtol=1e-6)
    first, second = halves(Frames(stored, np.zeros((9, 2), np.int64), np.ones((4, 5), bool)))
    assert (len(first), len(second)) == (5, 4)
    np.testing.assert_allclose(second.amplitudes[np.array([1])][0], np.sqrt(counts)[order[3]], rtol=1e-6)


# ---- quality ---------------------------------------------------------------------------------------------------------


def test_the_r_factor_spectrum_and_coverage_are_what_their_formulas_say():
    waves = RNG.standard_normal((3, 2, 4, 4)) + 1j * RNG.standard_normal((3, 2, 4, 4))
    modulus, valid = np.sqrt((np.abs(waves) ** 2).sum(axis=1)), np.ones((4, 4), bool)
    valid[1, 1] = False
    assert r_factor(waves, modulus, valid) == pytest.approx(0, abs=1e-12)
    assert r_factor(1.25 * waves, modulus, valid) == pytest.approx(0.25)
    assert power_spectrum(waves[0], FarField()).sum() == pytest.approx((np.abs(waves[0]) ** 2).sum())
    fallen = coverage(np.full((2, 3), 4.0), np.array([[0, 0], [1, 2]]), (4, 6))
    assert (fallen[0, 0], fallen[1, 2], fallen[3, 5], fallen.sum()) == (4, 8, 0, 48)


def test_a_ramp_and_a_constant_of_the_phase_are_taken_out():
    image = np.exp(1j * RNG.random((20, 30)))
    y, x = np.mgrid[:20, :30]
    turned = image * np.exp(1j * (0.1 * y - 0.07 * x + 1.3))
    np.testing.assert_allclose(without_ramp(turned, image, np.ones((20, 30), bool)), image, atol=0.02)


def test_the_phase_is_clamped_about_its_mean():
    phase = RNG.uniform(-1, 1, (40, 40))
    image = 0.7 * np.exp(1j * (phase + 2.0))
    level = np.angle((image).mean())
    clamp_phase(image, -0.5, 0.25)
    np.testing.assert_allclose(np.angle(image * np.exp(-1j * level)), np.clip(phase + 2 - level, -0.5, 0.25), atol=1e-9)
    np.testing.assert_allclose(np.abs(image), 0.7)


# ---- zone plate ------------------------------------------------------------------------------------------------------


def test_the_focus_of_a_zone_plate_is_an_airy_disk():
    """First dark ring at 1.22 Δr; a central stop of half the diameter takes a quarter of the light."""
    size, pixel, zone = 512, 4e-9, 30e-9
    focus = zone_plate_focus((size, size), (pixel, pixel), outer_zone=zone, diameter=100e-6)
    line = np.abs(focus[size // 2, size // 2 :])
    dark = np.flatnonzero((line[1:-1] < line[:-2]) & (line[1:-1] < line[2:]))[0] + 1
    assert dark * pixel == pytest.approx(1.22 * zone, abs=pixel)
    stopped = zone_plate_focus((size, size), (pixel, pixel), outer_zone=zone, diameter=100e-6, stop=50e-6)
    power = [(np.abs(probe) ** 2).sum() for probe in (focus, stopped)]
    assert power[1] / power[0] == pytest.approx(0.75, abs=0.02)
