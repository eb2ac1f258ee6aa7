"""Total variation: three methods find one minimum, which no smooth optimiser undercuts; missing angles are made up for."""

import numpy as np
import pytest
import scipy.optimize

from firstlight.kernels.ellipsoids import Ellipsoid
from firstlight.kernels.iterate import Limits
from firstlight.kernels.project import ParallelProjector
from firstlight.kernels.radon import direct_fbp
from firstlight.kernels.variation import (
    admm_tv,
    divergence_of,
    fista_tv,
    gradient_of,
    largest_eigenvalue,
    objective,
    pdhg_tv,
    weight_of,
)

from .test_iterate import dense, phantom, relative, scene
from .test_project import lanes_of

METHODS = {"fista_tv": fista_tv, "pdhg_tv": pdhg_tv, "admm_tv": admm_tv}
BODIES = (
    Ellipsoid(1.0, 0.8, 0.65, phi=25),
    Ellipsoid(-0.5, 0.25, 0.4, x0=0.3, y0=0.1),
    Ellipsoid(0.6, 0.22, 0.22, x0=-0.3, y0=0.15),
    Ellipsoid(0.5, 0.3, 0.12, x0=-0.2, y0=-0.3),
)
"""Few even bodies: what total variation is for."""
ROUNDS = {"fista_tv": 150, "pdhg_tv": 600, "admm_tv": 80}


def test_divergence_is_minus_the_adjoint_of_the_gradient():
    rng = np.random.default_rng(0)
    image, field = (
        rng.standard_normal((7, 9, 4)).astype(np.float32),
        rng.standard_normal((2, 7, 9, 4)).astype(np.float32),
    )
    one = (gradient_of(image) * field).sum(dtype=float)
    other = -(divergence_of(field) * image).sum(dtype=float)
    assert abs(one - other) < 1e-4


def test_power_iteration_bounds_the_norm_from_above():
    projector, matrix = dense()
    exact = np.linalg.norm(matrix, 2) ** 2
    found = largest_eigenvalue(projector, np.zeros((6, 6, 4), np.float32), None)
    assert exact <= found < 1.03 * exact


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_minimum_is_that_of_a_general_optimiser(nonnegative):
    """L-BFGS-B on the same function with the corner of TV rounded off by 1e-4, in double precision."""
    projector, matrix, data = scene(seed=3)
    data -= np.float32(1.5)  # some pixels want to be negative
    strength = 0.01
    wanted = data[..., 0].ravel().astype(float)
    weight = float(weight_of(projector, data, strength)[0])

    def function(flat):
        image = flat.reshape(6, 6)
        down, across = np.zeros((6, 6)), np.zeros((6, 6))
        down[:-1], across[:, :-1] = np.diff(image, axis=0), np.diff(image, axis=1)
        length = np.sqrt(down**2 + across**2 + 1e-8)
        residual = matrix @ flat - wanted
        p, q = down / length, across / length
        slope = -p - q
        slope[1:] += p[:-1]
        slope[:, 1:] += q[:, :-1]
        return 0.5 * residual @ residual + weight * length.sum(), matrix.T @ residual + weight * slope.ravel()

    bounds = [(0, None)] * 36 if nonnegative else None
    best = scipy.optimize.minimize(
        function,
        np.zeros(36),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-9},
    )
    for name, method in METHODS.items():
        found = method(projector, data, Limits(800, nonnegative=nonnegative), strength=strength).images
        reached = float(objective(projector, data, found, weight_of(projector, data, strength))[0])
        assert abs(reached - best.fun) < 2e-3 * best.fun, name
        assert np.abs(found[..., 0].ravel() - best.x).max() < 0.02, name
        assert not nonnegative or found.min() >= 0


@pytest.mark.parametrize("name", METHODS)
def test_problems_know_nothing_of_each_other(name):
    projector, sinogram, _ = phantom(size=24, step=10.0)
    stack = np.zeros((*sinogram.shape, 4), np.float32)
    stack[..., 0], stack[..., 2] = sinogram, 5 * sinogram[:, ::-1]
    together = METHODS[name](projector, stack, Limits(30), strength=1e-2)
    for lane in (0, 2):
        alone = METHODS[name](projector, lanes_of(stack[..., lane]), Limits(30), strength=1e-2)
        np.testing.assert_allclose(
            together.images[..., lane], alone.images[..., 0], atol=1e-4 * np.abs(alone.images).max()
        )
    assert not together.images[..., 1].any()
    stopped = METHODS[name](projector, stack, Limits(400, stop=0.05), strength=1e-3)
    assert np.isfinite(stopped.residual[:, 0]).sum() == np.isfinite(stopped.residual[:, 2]).sum() < 400


@pytest.mark.parametrize("name", METHODS)
def test_a_third_of_the_angles_missing_is_recovered_five_times_better_than_by_fbp(name):
    projector, sinogram, truth = phantom(size=64, step=3.0, sample=BODIES)
    seen = projector.angles < 120.0
    half, data = projector.subset(seen), sinogram[seen]
    filtered = direct_fbp(data, half.angles, window="hann")
    mask = (np.hypot(*np.meshgrid(*[np.arange(64) - 31.5] * 2)) < 31.5).astype(np.float32)[..., None]
    found = METHODS[name](half, lanes_of(data), Limits(ROUNDS[name], nonnegative=True, mask=mask), strength=3e-4)
    inside = mask[..., 0] > 0
    assert relative(found.images[..., 0][inside], truth[inside]) < relative(filtered[inside], truth[inside]) / 5


@pytest.mark.parametrize("name", METHODS)
def test_noise_is_smoothed_and_edges_stay(name):
    projector, sinogram, truth = phantom(size=64, step=6.0, noise=0.5, sample=BODIES)
    filtered = direct_fbp(sinogram, projector.angles)
    found = METHODS[name](projector, lanes_of(sinogram), Limits(ROUNDS[name]), strength=5e-3).images[..., 0]
    inside = np.hypot(*np.meshgrid(*[np.arange(64) - 31.5] * 2)) < 31
    assert relative(found[inside], truth[inside]) < 0.6 * relative(filtered[inside], truth[inside])


def test_an_image_wider_than_the_detector_has_no_infinite_steps():
    projector = ParallelProjector([0.0, 90.0], 8, 20)
    data = np.ones((2, 8, 4), np.float32)
    for method in METHODS.values():
        assert np.all(np.isfinite(method(projector, data, Limits(5), strength=1e-3).images))
