"""Ptychography engines against a known object and probe at two doses, their gradients, and a real Siemens star."""

import bz2
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from firstlight.kernels.correlation import shell_correlation
from firstlight.kernels.ptycho import likelihood, noise, products, sums, waves
from firstlight.kernels.ptycho.difference_map import DifferenceMap, Waves
from firstlight.kernels.ptycho.frames import Estimate, Frames
from firstlight.kernels.ptycho.least_squares import LeastSquares
from firstlight.kernels.ptycho.likelihood import Likelihood, Memory
from firstlight.kernels.ptycho.modes import orthogonal
from firstlight.kernels.ptycho.momentum import Momentum
from firstlight.kernels.ptycho.phantom import simulate
from firstlight.kernels.ptycho.pie import Pie
from firstlight.kernels.ptycho.propagate import FarField, NearField, fresnel_transfer

RNG = np.random.default_rng(3)
FAR = FarField()


def complex_noise(*shape, dtype=np.complex128):
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


def scene(dtype=np.complex128, modes=2, positions=5, window=12):
    """Small and random: for laws that hold for any arrays."""
    corners = RNG.integers(0, 6, (positions, 2))
    estimate = Estimate(
        complex_noise(window + 6, window + 5 + 1, dtype=dtype), complex_noise(modes, window, window, dtype=dtype)
    )
    amplitudes = RNG.uniform(0.5, 6, (positions, window, window)).astype(estimate.image.real.dtype)
    valid = RNG.random((window, window)) > 0.1
    return estimate, Frames(amplitudes, corners, valid)


def frames_of(truth, dtype=np.float32):
    return Frames(np.sqrt(truth.counts).astype(dtype), truth.corners, np.ones(truth.counts.shape[1:], bool))


def start(truth, dtype=np.complex64, modes=1):
    """What is known beforehand: no object, and the probe a little out of focus and of the wrong shape."""
    window = truth.probe.shape[-1]
    v, u = np.fft.fftfreq(window)[:, None], np.fft.fftfreq(window)[None, :]
    blurred = np.fft.ifft2(np.fft.fft2(truth.probe[0]) * np.exp(20j * (u**2 + v**2)))
    probes = [blurred * np.exp(0.3j * m * np.arange(window))[None, :] * 0.3**m for m in range(modes)]
    probe = np.stack(probes)
    probe *= np.sqrt(truth.counts.sum(axis=(1, 2)).mean() / (np.abs(probe) ** 2).sum())
    return Estimate(np.ones(truth.image.shape, dtype), probe.astype(dtype))


def noise_of(truth):
    """The error that the true object and probe have."""
    return ((np.sqrt(truth.expected) - np.sqrt(truth.counts)) ** 2).sum() / truth.counts.sum()


def fit(engine, truth, rounds, *, workers=1, dtype=np.complex64, modes=1, probe_from=1):
    estimate, frames = start(truth, dtype, modes), frames_of(truth, np.float32 if dtype == np.complex64 else np.float64)
    rng = np.random.default_rng(0)
    state = Waves.start(estimate, frames) if isinstance(engine, DifferenceMap) else Memory()
    errors = []
    with ThreadPoolExecutor(workers) as pool:
        for number in range(rounds):
            batched = isinstance(engine, Pie | LeastSquares)
            third = rng.permutation(len(frames)) if batched else state
            error = engine.sweep(
                estimate, frames, third, FAR, pool.map, workers=workers, update_probe=number >= probe_from
            )
            errors.append(error / truth.counts.sum())
    return estimate, errors


def shifted_like(image, true):
    """Object and probe may be shifted against each other: move the object, by whole pixels, to where it fits best."""
    fit = np.abs(np.fft.ifft2(np.fft.fft2(true - 1) * np.fft.fft2(image - 1).conj()))
    return np.roll(image, np.unravel_index(fit.argmax(), fit.shape), (0, 1))


def beside(truth, estimate):
    """Object found, true object, and where the light was; a constant and a ramp of the phase are taken out."""
    light = np.zeros(truth.image.shape)
    window = truth.probe.shape[-1]
    for row, col in truth.corners:
        light[row : row + window, col : col + window] += (np.abs(truth.probe) ** 2).sum(axis=0)
    seen = light > 0.1 * light.max()
    found, true = shifted_like(estimate.image.astype(np.complex128), truth.image), truth.image
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]]
    ratio = np.where(seen, true * found.conj(), 0)
    down = np.angle((ratio[1:] * ratio[:-1].conj()).sum())
    right = np.angle((ratio[:, 1:] * ratio[:, :-1].conj()).sum())
    found = found * np.exp(1j * (down * y + right * x))
    return found * (true * found.conj())[seen].sum() / (np.abs(found[seen]) ** 2).sum(), true, seen


def difference(truth, estimate):
    """Relative difference of the objects where the light was."""
    found, true, seen = beside(truth, estimate)
    return np.linalg.norm((found - true)[seen]) / np.linalg.norm(true[seen] - true[seen].mean())


def resolution(truth, estimate):
    """Period in pixels down to which the phases of the two objects correlate by more than 1/7, ring by ring."""
    found, true, seen = beside(truth, estimate)
    rows, cols = (np.flatnonzero(line) for line in (seen[:, seen.shape[1] // 2], seen[seen.shape[0] // 2]))
    box = slice(rows[0] + 2, rows[-1] - 1), slice(cols[0] + 2, cols[-1] - 1)
    return shell_correlation(np.angle(found[box]), np.angle(true[box])).resolution("1/7")


# ---- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "propagator",
    [
        FAR,
        NearField(fresnel_transfer((12, 12), wavelength=1e-10, distance=0.01, pixel=(1e-7, 1e-7), dtype="complex128")),
    ],
)
def test_propagation_is_unitary(propagator):
    a, b = complex_noise(2, 12, 12), complex_noise(2, 12, 12)
    assert np.vdot(propagator.forward(a.copy()), b) == pytest.approx(np.vdot(a, propagator.backward(b.copy())))
    np.testing.assert_allclose(propagator.backward(propagator.forward(a.copy())), a, atol=1e-12)


def test_a_gaussian_beam_spreads_as_fresnel_says():
    """Width after a distance z: w √(1 + (z λ / π w²)²)."""
    size, pixel, wavelength, waist, distance = 256, 1e-7, 1e-10, 1e-6, 0.03
    x = (np.arange(size) - size // 2) * pixel
    beam = np.exp(-(x[:, None] ** 2 + x[None, :] ** 2) / waist**2).astype(np.complex128)
    transfer = fresnel_transfer(
        (size, size), wavelength=wavelength, distance=distance, pixel=(pixel, pixel), dtype="complex128"
    )
    power = np.abs(NearField(transfer).forward(beam)) ** 2
    width = 2 * np.sqrt((power * x[:, None] ** 2).sum() / power.sum())
    assert width == pytest.approx(waist * np.hypot(1, distance * wavelength / (np.pi * waist**2)), rel=1e-3)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_compiled_loops_and_array_expressions_agree(monkeypatch, dtype):
    """The bodies that CuPy uses, run on numpy arrays."""
    estimate, frames = scene(dtype)
    shape = (len(frames), *estimate.probe.shape)
    changes, tolerance = complex_noise(*shape, dtype=dtype), 1e-4 if dtype == np.complex64 else 1e-12
    dark = RNG.random(frames.valid.shape)

    def everything():
        image, probe = estimate.image.copy(), estimate.probe
        found = [waves.exit_waves(image, probe[None], frames.corners, np.empty(shape, dtype))]
        seen, liked, counted = changes.copy(), changes.copy(), changes.copy()
        found += [waves.replace_modulus(seen, frames.amplitudes, frames.valid, dark), seen]
        found += [waves.likelihood_step(liked, frames.amplitudes, frames.valid, "gaussian", dark), liked]
        found += [waves.likelihood_step(counted, frames.amplitudes, frames.valid, "poisson"), counted]
        totals = [0 * image, 0 * image.real, 0 * probe, 0 * probe[0].real]
        sums.add_to_object(totals[0], totals[1], probe[None], changes, frames.corners)
        sums.add_to_probe(totals[2], totals[3], image, changes, frames.corners)
        found += [part.copy() for part in totals]
        for kind in ("gaussian", "poisson"):
            weighed = changes.copy()
            found += [np.array(noise.weigh(kind, weighed, frames.amplitudes, frames.valid, dark)), weighed]
            lengths = np.array([0.0, 0.3, 2.0])
            found += [noise.slopes(kind, found[0], changes, frames.amplitudes, frames.valid, lengths, dark)]
        moved, direction, weight, places = image.copy(), totals[0].copy(), totals[1].copy(), frames.corners
        found += [products.step_products(image, direction, probe[None], totals[2][None], changes, places)]
        found += [products.step_products(image, direction, probe[None], None, changes, places)]
        sums.step_in_windows(image, totals[0], totals[1], places, size=(12, 12), step=0.7, regularization=0.3)
        sums.scale_in_windows(direction, weight, places, size=(12, 12), floor=0.5)
        found += [direction.copy()]
        sums.move_in_windows(moved, direction, weight, places, size=(12, 12), step=0.3)
        return [*found, image, *totals, moved, direction, weight]

    compiled = everything()
    for module in (waves, noise, sums, products):
        monkeypatch.setattr(module, "on_cpu", lambda array: False)
    for one, other in zip(compiled, everything(), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * max(np.abs(other).max(), 1))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("noise", ["gaussian", "poisson"])
def test_the_gradient_is_that_of_the_cost(noise, background):
    estimate, frames = scene()
    frames = replace(frames, background=RNG.random(frames.valid.shape) * 9 if background else None)
    gradient, _ = likelihood.gradient_and_cost(noise, estimate, frames, FAR)
    for array, found in ((estimate.image, gradient.image), (estimate.probe, gradient.probe)):
        direction, length = complex_noise(*array.shape), 1e-6
        array += length * direction
        ahead = likelihood.gradient_and_cost(noise, estimate, frames, FAR)[1]
        array -= 2 * length * direction
        behind = likelihood.gradient_and_cost(noise, estimate, frames, FAR)[1]
        array += length * direction
        assert (ahead - behind) / (2 * length) == pytest.approx(
            2 * float((found.conj() * direction).real.sum()), rel=1e-5
        )


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_slopes_along_a_direction_are_those_of_the_cost(kind):
    """Finite differences of the cost, near and far."""
    estimate, frames = scene()
    here, along = (complex_noise(len(frames), *estimate.probe.shape) * 3 for _ in range(2))
    lengths, step = np.array([0.0, 0.4, 3.0]), 1e-4
    found = noise.slopes(kind, here, along, frames.amplitudes, frames.valid, lengths)
    for length, (slope, bend) in zip(lengths, found, strict=True):
        behind, there, ahead = (
            noise.cost(kind, here + (length + off) * along, frames.amplitudes, frames.valid)
            for off in (-step, 0.0, step)
        )
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-4)
        assert bend == pytest.approx((ahead - 2 * there + behind) / step**2, rel=1e-2)


def test_the_lowest_place_along_a_direction():
    """Of (x − 0.3)² (x + 2), whose slope is a parabola, so that it is found exactly; of slopes that never turn, the end."""
    x = np.array([0.0, 0.25, 1.0])
    slope, bend = 2 * (x - 0.3) * (x + 2) + (x - 0.3) ** 2, 2 * (x + 2) + 4 * (x - 0.3)
    assert likelihood.lowest(x, np.stack([slope, bend], axis=1)) == pytest.approx(0.3)
    assert likelihood.lowest(x, np.stack([x - 9, 1 + 0 * x], axis=1)) == 1.0
    assert likelihood.lowest(x, np.stack([x + 1, 1 + 0 * x], axis=1)) == 0.0


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
@pytest.mark.parametrize("seed", [0, 1, 78])
def test_likelihood_starts_from_an_empty_object_with_the_probe_held(kind, seed):
    """It stood still for twenty rounds there: pixels that the empty object leaves dark bent the cost without bounds."""
    truth = simulate(window=48, scan=(9, 9), step=5, seed=seed)
    estimate, frames, memory = (
        Estimate(np.ones(truth.image.shape, "c8"), truth.probe.astype("c8")),
        frames_of(truth),
        Memory(),
    )
    for _ in range(12):
        error = Likelihood(kind).sweep(estimate, frames, memory, FAR, map, update_probe=False)
    assert error / truth.counts.sum() < 1.1 * noise_of(truth)
    assert difference(truth, estimate) < 0.1


def test_the_true_object_and_probe_are_a_fixed_point():
    truth = simulate(window=32, scan=(5, 5), photons=1e5)
    waves_there = np.empty((25, 1, 32, 32), np.complex128)
    clean = np.abs(FAR.forward(waves.exit_waves(truth.image, truth.probe[None], truth.corners, waves_there)))[:, 0]
    frames = Frames(clean, truth.corners, np.ones((32, 32), bool))
    for engine in (Pie(), LeastSquares(), LeastSquares("poisson"), Likelihood(), DifferenceMap()):
        estimate = Estimate(truth.image.copy(), truth.probe.copy())
        state = Waves.start(estimate, frames) if isinstance(engine, DifferenceMap) else Memory()
        third = np.arange(25) if isinstance(engine, Pie | LeastSquares) else state
        assert engine.sweep(estimate, frames, third, FAR, map) < 1e-15 * (clean**2).sum()
        np.testing.assert_allclose(estimate.image, truth.image, atol=1e-5)


def test_the_result_does_not_depend_on_the_number_of_threads():
    truth = simulate(window=32, scan=(5, 5))
    for engine in (Pie(), LeastSquares()):
        one, _ = fit(engine, truth, 3)
        two, _ = fit(engine, truth, 3, workers=2)
        np.testing.assert_array_equal(one.image, two.image)


# ---- recovering what is known ----------------------------------------------------------------------------------------

ENGINES = {
    "epie": (Pie(), 60, 0.45, 2.2),
    "regularised pie": (Pie(regularization=0.3), 60, 0.48, 2.5),
    "difference map": (DifferenceMap(), 120, 0.55, 3.2),
    "raar": (DifferenceMap(relaxation=0.75), 120, 0.48, 2.6),
    "least squares": (LeastSquares(), 60, 0.47, 2.3),
    "least squares, counts": (LeastSquares("poisson"), 60, 0.5, 2.8),
    "likelihood of amplitudes": (Likelihood("gaussian"), 60, 0.45, 2.2),
    "likelihood of counts": (Likelihood("poisson"), 60, 0.48, 2.2),
}
"""Rounds; relative error and resolution in pixels (2 is the finest there is) of the object at 10⁴ photons a frame."""


@pytest.mark.parametrize("photons", [1e6, 1e4])
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_recovers_the_object(name, photons):
    engine, rounds, noisy, finest = ENGINES[name]
    truth = simulate(window=48, scan=(9, 9), step=5, photons=photons)
    estimate, errors = fit(engine, truth, rounds)
    assert errors[-1] < 1.2 * noise_of(truth) < errors[0]
    assert difference(truth, estimate) < (0.07 if photons == 1e6 else noisy)
    assert resolution(truth, estimate) < (2.01 if photons == 1e6 else finest)


def test_without_rounds_there_is_no_resolution():
    """What the test above tells apart."""
    truth = simulate(window=48, scan=(9, 9), step=5)
    blank, _ = fit(Pie(), truth, 0)
    found = resolution(truth, Estimate(blank.image + complex_noise(*blank.image.shape) / 10, blank.probe))
    assert found is None or found > 6


@pytest.mark.parametrize("engine", [Pie(), LeastSquares(), DifferenceMap()])
def test_two_modes_of_the_probe_are_told_apart(engine):
    truth = simulate(window=32, scan=(9, 9), step=4, modes=2)
    one, errors_of_one = fit(engine, truth, 100)
    two, errors_of_two = fit(engine, truth, 100, modes=2)
    assert errors_of_two[-1] < 3 * noise_of(truth) < 0.3 * errors_of_one[-1]
    assert difference(truth, two) < 0.5 * difference(truth, one)
    _, shares = orthogonal(two.probe)
    np.testing.assert_allclose(shares, [0.75, 0.25], atol=0.09)


def test_orthogonal_modes_give_the_same_patterns():
    estimate, _ = scene(modes=3)
    found, shares = orthogonal(estimate.probe)
    gram = np.einsum("mvu,nvu->mn", found.conj(), found)
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-9)
    np.testing.assert_allclose(shares, np.diag(gram).real / np.trace(gram).real)
    assert (np.diff(shares) <= 0).all()
    window = estimate.image[:12, :12]
    before, after = ((np.abs(FAR.forward(window * probe)) ** 2).sum(axis=0) for probe in (estimate.probe, found))
    np.testing.assert_allclose(before, after)


def test_momentum_comes_down_faster():
    truth = simulate(window=48, scan=(9, 9), step=5)
    errors = []
    for momentum in (None, Momentum()):
        estimate, frames, rng = start(truth), frames_of(truth), np.random.default_rng(0)
        for number in range(7):
            order = rng.permutation(len(frames))
            error = Pie(0.5, 0.5, 0.3).sweep(
                estimate, frames, order, FAR, map, update_probe=number > 0, momentum=momentum
            )
        errors.append(error)
    assert errors[1] < 0.8 * errors[0]


def test_the_near_field_is_recovered():
    """A holographic scan: the probe fills the window, frames are images."""
    transfer = fresnel_transfer((64, 64), wavelength=1e-10, distance=4e-3, pixel=(1e-7, 1e-7), dtype="complex128")
    truth = simulate(propagator=NearField(transfer), step=5, scan=(9, 9))
    frames = frames_of(truth)
    estimate, near = start(truth), NearField(transfer.astype(np.complex64))
    rng = np.random.default_rng(0)
    for number in range(80):
        error = Pie().sweep(estimate, frames, rng.permutation(len(frames)), near, map, update_probe=number > 0)
    assert error / truth.counts.sum() < 1.3 * noise_of(truth)
    assert difference(truth, estimate) < 0.1


@pytest.mark.slow
def test_a_siemens_star_measured_at_a_synchrotron(data_folder):
    """Velociprobe data (tike): an independent ePIE in numpy reaches 0.0185 in fifteen passes."""
    path = data_folder / "ptychography" / "siemens-star-small.npz.bz2"
    if not path.is_file():
        pytest.skip(f"no real data: {path.name} is not in {path.parent}")
    with bz2.open(path) as file:
        found = np.load(io.BytesIO(file.read()), allow_pickle=False)
    counts, places = found["data"][0], found["scan"][0]
    corners = np.rint(places - places.min(axis=0)).astype(np.int64)
    probe = found["probe"].reshape(1, 128, 128).astype(np.complex64)
    probe *= np.sqrt(counts.sum(axis=(1, 2)).mean() / (np.abs(probe) ** 2).sum())
    estimate = Estimate(np.ones(tuple(corners.max(axis=0) + 128), np.complex64), probe)
    frames = Frames(np.sqrt(counts), corners, np.ones((128, 128), bool))
    rng = np.random.default_rng(0)
    for number in range(12):
        error = Pie().sweep(estimate, frames, rng.permutation(len(frames)), FAR, map, update_probe=number > 1)
    assert error / counts.sum() < 0.0155
