"""Total variation in three dimensions, any geometry: the minimum of a general optimiser, and a phantom better than SIRT."""

import numpy as np
import pytest
import scipy.optimize

from firstlight.core import registry
from firstlight.kernels.ellipsoids import Ellipsoid, ellipsoid_table, ray_integrals, voxels
from firstlight.kernels.geometry import Motion, Region, rays_of
from firstlight.kernels.iterate import Limits
from firstlight.kernels.variation import admm_tv, divergence_of, fista_tv, gradient_of, objective, pdhg_tv, weight_of
from firstlight.kernels.volume import VolumeProjector

METHODS = {"fista_tv": fista_tv, "pdhg_tv": pdhg_tv, "admm_tv": admm_tv}
SIDE = 4
ROUNDS = {"fista_tv": 200, "pdhg_tv": 800, "admm_tv": 150}


def test_divergence_is_minus_the_adjoint_of_the_gradient():
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((4, 6, 5, 1)).astype(np.float32)
    field = rng.standard_normal((3, 4, 6, 5, 1)).astype(np.float32)
    one, other = (gradient_of(volume) * field).sum(dtype=float), -(divergence_of(field) * volume).sum(dtype=float)
    assert abs(one - other) < 1e-4


def small():
    """A cone beam about four voxels a side, and its matrix."""
    rays = rays_of(np.arange(6) * 60.0, Motion(center=1.5, center_row=1.5, source_distance=20.0))
    projector = VolumeProjector(rays, SIDE, SIDE, Region.whole(SIDE, SIDE))
    units = np.eye(SIDE**3, dtype=np.float32).reshape(-1, SIDE, SIDE, SIDE, 1)
    return projector, np.stack([projector.project(unit).ravel() for unit in units], axis=1).astype(float)


def test_the_minimum_is_that_of_a_general_optimiser():
    """L-BFGS-B on the same function with the corner of TV rounded off by 1e-4, in double precision."""
    projector, matrix = small()
    truth = np.zeros((SIDE, SIDE, SIDE))
    truth[1:3, :2, 1:4] = 1.0
    wanted = matrix @ truth.ravel() + np.random.default_rng(1).normal(0, 0.1, len(matrix))
    data = wanted.reshape(6, SIDE, SIDE, 1).astype(np.float32)
    strength = 0.02
    weight = float(weight_of(projector, data, strength)[0])

    def function(flat):
        volume = flat.reshape(SIDE, SIDE, SIDE)
        parts = [np.diff(volume, axis=axis, append=volume.take([-1], axis)) for axis in range(3)]
        length = np.sqrt(sum(part**2 for part in parts) + 1e-8)
        slope = np.zeros_like(volume)
        for axis, part in enumerate(parts):
            share = np.moveaxis(part / length, axis, 0)
            view = np.moveaxis(slope, axis, 0)
            view -= share
            view[1:] += share[:-1]
        residual = matrix @ flat - wanted
        value = 0.5 * residual @ residual + weight * length.sum()
        return value, matrix.T @ residual + weight * slope.ravel()

    best = scipy.optimize.minimize(
        function,
        np.zeros(SIDE**3),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * SIDE**3,
        options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-14, "gtol": 1e-9},
    )
    for name, method in METHODS.items():
        found = method(projector, data, Limits(ROUNDS[name], nonnegative=True), strength=strength).images
        reached = float(objective(projector, data, found, weight_of(projector, data, strength))[0])
        assert abs(reached - best.fun) < 2e-3 * best.fun, name
        assert np.abs(found[..., 0].ravel() - best.x).max() < 0.03, name


@pytest.mark.parametrize("step", ["fista_tv_volume", pytest.param("pdhg_tv_volume", marks=pytest.mark.slow)])
def test_a_noisy_laminography_comes_out_better_than_by_sirt(step):
    size, angles = 20, np.arange(0.0, 360.0, 20.0)
    body = ellipsoid_table(
        [Ellipsoid(0.5, 0.7, 0.6, 0.5, phi=20), Ellipsoid(0.5, 0.25, 0.25, 0.25, 0.2, 0.15, -0.1)], size / 2
    )
    rays = rays_of(angles, Motion(center=9.5, center_row=9.5, tilt=30.0))
    data = ray_integrals(body, rays.source, rays.corner, rays.across, rays.down, (size, size), parallel=True)
    data = (data + np.random.default_rng(0).normal(0, 0.02 * data.max(), data.shape)).astype(np.float32)
    truth = voxels(body, *Region.whole(size, size).axes()) * 1e4  # 1/cm, with pixels of 1 um

    def error(name, **given):
        volume, residual = registry.get("operators", name)(
            data[None], tilt=30.0, pixel=1.0, nonnegative=True, angle=angles, **given
        )
        assert residual[0, -1] < residual[0, 0]
        return float(np.sqrt(((volume[0] - truth) ** 2).mean() / (truth**2).mean()))

    by_sirt = min(error("sirt_volume", iterations=n) for n in (15, 30, 60))
    found = error(step, strength=3e-3, iterations=60 if step == "fista_tv_volume" else 150)
    assert found < 0.7 * by_sirt
