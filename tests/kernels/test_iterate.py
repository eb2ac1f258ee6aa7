"""Iterative methods against dense algebra in double precision, and against ASTRA on the same data."""

import numpy as np
import pytest

from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN_CYLINDERS,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    voxels,
)
from firstlight.kernels.iterate import Limits, cgls, mlem, order_of_subsets, sart, sirt
from firstlight.kernels.lanes import side_by_side
from firstlight.kernels.project import ParallelProjector

from .test_project import ASTRA, lanes_of

SIZE, COLUMNS, ANGLES = 6, 9, np.array([0.0, 20, 41, 63, 90, 115, 140, 166, 173])


def dense():
    """The projector as a matrix (ray, pixel) in double precision, column by column."""
    projector = ParallelProjector(ANGLES, COLUMNS, SIZE, center=4.2)
    matrix = np.zeros((ANGLES.size * COLUMNS, SIZE**2))
    for pixel in range(SIZE**2):
        image = np.zeros((SIZE, SIZE), np.float32)
        image.flat[pixel] = 1
        matrix[:, pixel] = projector.project(lanes_of(image))[..., 0].ravel()
    return projector, matrix


def scene(lanes=4, seed=0):
    """Projector, its matrix, and inconsistent positive data of several problems."""
    projector, matrix = dense()
    rng = np.random.default_rng(seed)
    images = rng.random((SIZE**2, lanes))
    data = matrix @ images + 0.05 * rng.random((len(matrix), lanes))
    return projector, matrix, data.reshape(ANGLES.size, COLUMNS, lanes).astype(np.float32)


def relative(found, wanted):
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def phantom(size=64, step=3.0, noise=0.0, sample=SHEPP_LOGAN_CYLINDERS):
    degrees = np.arange(0.0, 180.0, step)
    table = ellipsoid_table(sample, size / 2)
    x = plane_coordinates(size)
    truth = voxels(table, [0.0], x[::-1], x, points=(1, 4, 4))[0]
    sinogram = line_integrals(table, np.deg2rad(degrees), [0.0], size)[:, 0]
    sinogram += np.random.default_rng(1).normal(0, noise, sinogram.shape).astype(np.float32) if noise else 0
    return ParallelProjector(degrees, size, size), sinogram, truth


def test_cgls_ends_at_the_least_squares_solution():
    projector, matrix, data = scene()
    expected = np.linalg.lstsq(matrix, data.reshape(len(matrix), -1).astype(float), rcond=None)[0]
    found = cgls(projector, data, Limits(100)).images.reshape(SIZE**2, -1)
    assert relative(found, expected) < 1e-3


def test_damped_cgls_ends_at_the_ridge_solution():
    projector, matrix, data = scene()
    damping = 1.5
    expected = np.linalg.solve(
        matrix.T @ matrix + damping**2 * np.eye(SIZE**2), matrix.T @ data.reshape(len(matrix), -1)
    )
    found = cgls(projector, data, Limits(60), damping=damping).images.reshape(SIZE**2, -1)
    assert relative(found, expected) < 1e-3


def test_sirt_ends_at_the_weighted_least_squares_solution():
    projector, matrix, data = scene()
    rows = matrix.sum(axis=1)
    weights = np.sqrt(np.where(rows > 1e-6, 1 / np.maximum(rows, 1e-6), 0))[:, None]
    expected = np.linalg.lstsq(weights * matrix, weights * data.reshape(len(matrix), -1).astype(float), rcond=None)[0]
    found = sirt(projector, data, Limits(6000), relaxation=1.9).images.reshape(SIZE**2, -1)
    assert relative(matrix @ found, matrix @ expected) < 1e-3  # what the rays see; the rest converges slowly
    assert relative(found, expected) < 0.03


@pytest.mark.parametrize("nonnegative", [False, True])
def test_sart_follows_its_formula(nonnegative):
    projector, matrix, data = scene()
    blocks = matrix.reshape(ANGLES.size, COLUMNS, -1)
    images = np.zeros((SIZE**2, data.shape[-1]))
    for _ in range(2):
        for (angle,) in order_of_subsets(ANGLES.size, ANGLES.size):
            part = blocks[angle]
            rows, columns = part.sum(axis=1)[:, None], part.sum(axis=0)[:, None]
            step = part.T @ np.where(rows > 1e-6, (data[angle] - part @ images) / np.maximum(rows, 1e-6), 0)
            images += 0.7 * np.where(columns > 1e-6, step / np.maximum(columns, 1e-6), 0)
            images = np.maximum(images, 0) if nonnegative else images
    found = sart(projector, data, Limits(2, nonnegative=nonnegative), relaxation=0.7).images.reshape(SIZE**2, -1)
    assert relative(found, images) < 1e-4


def test_mlem_follows_its_formula_and_keeps_the_counts():
    projector, matrix, data = scene()
    flat = data.reshape(len(matrix), -1).astype(float)
    images = np.ones((SIZE**2, data.shape[-1]))
    seen = matrix.sum(axis=1)[:, None] > 1e-6
    for _ in range(5):
        expected = matrix @ images
        ratio = np.where(seen, flat / np.maximum(expected, 1e-12), 0)
        images *= (matrix.T @ ratio) / matrix.sum(axis=0)[:, None]
    found = mlem(projector, data, Limits(5)).images.reshape(SIZE**2, -1)
    assert relative(found, images) < 1e-4
    np.testing.assert_allclose((matrix @ found).sum(axis=0), (flat * seen).sum(axis=0), rtol=1e-4)


def test_sirt_and_cgls_are_those_of_astra():
    """The same sinogram in astra-toolbox 2.5.0: 30 iterations of SIRT (and with MinConstraint 0), 3 of CGLS."""
    data = np.load(ASTRA)
    sinogram = lanes_of(data["sinogram"])
    projector = ParallelProjector(data["theta"], sinogram.shape[1], 48)
    assert relative(sirt(projector, sinogram, Limits(30)).images[..., 0], data["sirt"]) < 1e-4
    held = sirt(projector, sinogram, Limits(30, nonnegative=True)).images[..., 0]
    assert relative(held, data["sirt_nonnegative"]) < 1e-4
    assert relative(cgls(projector, sinogram, Limits(3)).images[..., 0], data["cgls"]) < 1e-4


METHODS = {
    "sirt": lambda p, d, limits: sirt(p, d, limits),
    "sart": lambda p, d, limits: sart(p, d, limits, relaxation=0.5),
    "os_sart": lambda p, d, limits: sart(p, d, limits, subsets=6),
    "cgls": lambda p, d, limits: cgls(p, d, limits),
    "mlem": lambda p, d, limits: mlem(p, d, limits),
    "osem": lambda p, d, limits: mlem(p, d, limits, subsets=6),
}


@pytest.mark.parametrize(
    ("name", "iterations", "error"),
    [
        ("sirt", 60, 0.23),
        ("sart", 5, 0.23),
        ("os_sart", 10, 0.23),
        ("cgls", 12, 0.23),
        ("mlem", 60, 0.23),
        ("osem", 8, 0.23),
    ],
)
def test_the_phantom_is_found_and_every_iteration_comes_closer(name, iterations, error):
    projector, sinogram, truth = phantom()
    found = METHODS[name](projector, lanes_of(sinogram), Limits(iterations))
    curve = found.residual[:, 0]
    assert np.all(np.diff(curve) < 1e-6)
    assert curve[-1] < 0.06
    assert relative(found.images[..., 0], truth) < error
    deep = np.hypot(*np.meshgrid(*[plane_coordinates(64)] * 2)) < 18  # away from the skull, whose edge rings
    assert abs(found.images[..., 0][deep].mean() - truth[deep].mean()) < 0.004  # attenuation per pixel


@pytest.mark.parametrize("name", METHODS)
def test_problems_know_nothing_of_each_other_and_stop_alone(name):
    projector, sinogram, _ = phantom(size=24, step=10.0)
    scale = np.array([1.0, 3.0, 0.2])[:, None, None]
    noisy = sinogram + np.random.default_rng(0).random(sinogram.shape).astype(np.float32)
    stack = scale * np.stack([sinogram, noisy, sinogram])
    limits = Limits(12, stop=0.12)
    together = METHODS[name](projector, side_by_side(stack, 4), limits)
    for lane, one in enumerate(stack):
        alone = METHODS[name](projector, lanes_of(one), limits)
        np.testing.assert_allclose(together.images[..., lane], alone.images[..., 0], atol=2e-4 * alone.images.max())
        np.testing.assert_array_equal(np.isnan(together.residual[:, lane]), np.isnan(alone.residual[:, 0]))
    stopped = np.isfinite(together.residual).sum(axis=0)
    assert stopped[0] == stopped[2]
    assert stopped[3] == 0  # an empty problem needs no iteration
    assert not together.images[..., 3].any()
    last = together.residual[stopped[0] - 1, 0]
    assert last <= 0.12 or stopped[0] == 12


@pytest.mark.parametrize("name", METHODS)
def test_mask_and_first_estimate(name):
    projector, sinogram, truth = phantom(size=32, step=6.0)
    inside = (np.hypot(*np.meshgrid(*[plane_coordinates(32)] * 2)) < 15).astype(np.float32)[..., None]
    found = METHODS[name](projector, lanes_of(sinogram), Limits(4, mask=inside)).images
    assert not found[inside[..., 0] == 0].any()
    start = np.repeat(np.maximum(truth, 0)[..., None], 4, axis=2).astype(np.float32)
    kept = start.copy()
    near = METHODS[name](projector, lanes_of(sinogram), Limits(1, initial=start)).images[..., 0]
    far = METHODS[name](projector, lanes_of(sinogram), Limits(1)).images[..., 0]
    assert relative(near, truth) < 0.5 * relative(far, truth)
    np.testing.assert_array_equal(start, kept)


@pytest.mark.parametrize(("angles", "subsets"), [(9, 9), (10, 3), (7, 20), (1, 1), (180, 12)])
def test_every_angle_is_in_one_subset(angles, subsets):
    parts = order_of_subsets(angles, subsets)
    assert len(parts) == min(angles, subsets)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(angles))
