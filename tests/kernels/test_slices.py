"""Incremental planes against a plain back-projector in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from firstlight.kernels.ellipsoids import SHEPP_LOGAN, ellipsoid_table, line_integrals, plane_coordinates, voxels
from firstlight.kernels.row_filter import TransposedRamp
from firstlight.kernels.slices import add_to_xy, add_to_xz, add_to_yz, assemble, every_kth


def sampled(projection, column):
    """Linear interpolation of (col, row) at each column; nothing outside the detector."""
    last = projection.shape[0] - 1
    inside = (column >= -1e-4) & (column <= last + 1e-4)
    i = np.clip(np.floor(column).astype(int), 0, last - 1)
    f = (column - i)[..., None]
    return ((1 - f) * projection[i] + f * projection[i + 1]) * inside[..., None]


def plain_planes(cache, angles, weights, size, row, iy, ix, center):
    middle = (size - 1) / 2
    x, y = np.arange(size) - middle, middle - np.arange(size)
    xy = np.zeros((size, size))
    xz, yz = np.zeros((cache.shape[2], size)), np.zeros((cache.shape[2], size))
    low, part = int(row), row - int(row)
    for projection, angle, weight in zip(cache.astype(float), np.deg2rad(angles), weights, strict=True):
        c, s = np.cos(angle), np.sin(angle)
        level = (1 - part) * projection[:, low] + (part * projection[:, low + 1] if part else 0)
        xy += weight * sampled(level[:, None], x[None, :] * c + y[:, None] * s + center)[..., 0]
        xz += weight * sampled(projection, x * c + (middle - iy) * s + center).T
        yz += weight * sampled(projection, (ix - middle) * c + y * s + center).T
    return xy, xz, yz


class Planes:
    def __init__(self, size, rows, row, iy, ix, center):
        self.xy = np.zeros((2, size, size), np.float32)
        self.xz, self.yz = np.zeros((size, rows), np.float32), np.zeros((size, rows), np.float32)
        self.row, self.iy, self.ix, self.center = row, iy, ix, center

    def add(self, cache, slots, angles, weights):
        add_to_xy(self.xy, cache, slots, angles, weights, row=self.row, center=self.center)
        add_to_xz(self.xz, cache, slots, angles, weights, y=self.iy, center=self.center)
        add_to_yz(self.yz, cache, slots, angles, weights, x=self.ix, center=self.center)

    def images(self):
        return assemble(self.xy, self.xz, self.yz)


def difference(image, reference):
    return np.sqrt(np.mean((image - reference) ** 2) / np.mean(reference**2))


def noise(slots, columns, rows, dtype, seed=0):
    values = np.random.default_rng(seed).standard_normal((slots, columns, rows))
    return gaussian_filter1d(values, 0.7, axis=1).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize(
    ("size", "columns", "center"), [(64, 64, 31.5), (64, 64, 25.3), (48, 80, 44.0), (90, 61, 28.8)]
)
def test_planes_equal_the_plain_back_projector(dtype, size, columns, center):
    slots, rows = 90, 33
    cache = noise(slots, columns, rows, dtype)
    angles = np.random.default_rng(1).uniform(-400, 400, slots)
    weights = np.full(slots, np.pi / slots)
    planes = Planes(size, rows, 12.25, 20, 41.5, center)
    planes.add(cache, np.arange(slots), angles, weights)
    expected = plain_planes(cache, angles, weights, size, 12.25, 20, 41.5, center)
    xy, xz, yz = (difference(*pair) for pair in zip(planes.images(), expected, strict=True))
    assert xy < 1e-3
    assert xz < 1e-5
    assert yz < 1e-5


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 135.0, 180.0, 270.0, -45.0, 360.0])
def test_the_special_angles_are_exact(angle):
    cache = noise(1, 32, 8, "f4")
    planes = Planes(32, 8, 3, 10, 11, 15.5)
    planes.add(cache, [0], [angle], [1.0])
    expected = plain_planes(cache, [angle], [1.0], 32, 3, 10, 11, 15.5)
    for image, reference in zip(planes.images(), expected, strict=True):
        np.testing.assert_allclose(image, reference, atol=0.02)
        assert np.median(np.abs(image - reference)) < 1e-4


@given(
    size=st.integers(2, 40),
    columns=st.integers(2, 50),
    rows=st.integers(1, 20),
    angle=st.floats(-720, 720),
    center=st.floats(-20, 70),
    step=st.integers(1, 3),
)
@settings(max_examples=80, deadline=None)
def test_any_geometry_stays_inside_its_arrays(size, columns, rows, angle, center, step):
    cache = np.ones((1, columns, rows), np.float32)
    planes = Planes(size, rows, rows - 1, size - 1, 0, center)
    add_to_xy(planes.xy, cache, [0], [angle], [2.0], row=rows - 1, center=center, step=step)
    add_to_xz(planes.xz, cache, [0], [angle], [2.0], y=size - 1, center=center, step=step)
    add_to_yz(planes.yz, cache, [0], [angle], [2.0], x=0, center=center, step=step)
    for image in planes.images():
        # of a projection of ones every pixel gets the weight, or nothing where the detector does not see it
        assert np.all((np.abs(image) < 1e-6) | (np.abs(image - 2) < 1e-5))


def test_a_projection_taken_back_leaves_nothing_and_replacing_equals_starting_anew():
    slots, size, rows = 40, 48, 16
    cache = noise(slots, size, rows, "f2")
    angles = np.linspace(0, 360, slots, endpoint=False)
    window = slots // 2
    planes = Planes(size, rows, 7, 20, 30, 23.0)
    planes.add(cache, np.arange(window), angles[:window], np.ones(window))
    for first in range(0, window, 5):
        new, old = np.arange(window + first, window + first + 5), np.arange(first, first + 5)
        both = np.concatenate([new, old])
        planes.add(cache, both, angles[both], [1.0] * 5 + [-1.0] * 5)
    fresh = Planes(size, rows, 7, 20, 30, 23.0)
    fresh.add(cache, np.arange(window, slots), angles[window:], np.ones(window))
    for image, reference in zip(planes.images(), fresh.images(), strict=True):
        assert difference(image, reference) < 1e-5


def test_an_empty_slot_is_not_read():
    cache = noise(3, 20, 6, "f4")
    cache[1] = np.nan
    planes = Planes(20, 6, 2, 3, 4, 9.5)
    planes.add(cache, [0, 1, 2], [0.0, 60.0, 120.0], [1.0, 0.0, 1.0])
    fresh = Planes(20, 6, 2, 3, 4, 9.5)
    fresh.add(cache, [0, 2], [0.0, 120.0], [1.0, 1.0])
    for image, reference in zip(planes.images(), fresh.images(), strict=True):
        np.testing.assert_array_equal(image, reference)
    fresh.add(cache, [], [], [])


@pytest.fixture(scope="module")
def head():
    """Filtered projections of the Shepp-Logan head and its three planes in truth."""
    n, count, center = 96, 150, 45.2
    table = ellipsoid_table(SHEPP_LOGAN, n / 2)
    down, right = plane_coordinates(n, descending=True), plane_coordinates(n)
    angles = np.arange(count) * 180 / count
    frames = line_integrals(table, np.deg2rad(angles), down, n, center=center)
    cache = np.empty((count, n, n), np.float32)
    TransposedRamp(n)(frames, cache)
    truth = (
        voxels(table, down[50], down, right)[0],
        voxels(table, down, down[40], right)[:, 0],
        voxels(table, down, down, right[60])[:, :, 0],
    )
    return cache, angles, center, truth


def test_planes_show_the_sample(head):
    cache, angles, center, truth = head
    planes = Planes(96, 96, 50, 40, 60, center)
    planes.add(cache, np.arange(angles.size), angles, np.full(angles.size, np.pi / angles.size))
    x, y = np.meshgrid(plane_coordinates(96), plane_coordinates(96))
    inside = x**2 + y**2 < 43**2
    for image, reference in zip(planes.images(), truth, strict=True):
        assert np.corrcoef(image[inside], reference[inside])[0, 1] > 0.97
        assert abs(image[inside].mean() - reference[inside].mean()) < 0.01


def test_a_coarse_plane_is_a_small_picture_of_the_full_one(head):
    cache, angles, center, truth = head
    weights = every_kth(angles, np.full(angles.size, np.pi / angles.size), 3)
    assert np.count_nonzero(weights) == 50
    coarse = np.zeros((2, 24, 24), np.float32)
    add_to_xy(coarse, cache, np.arange(angles.size), angles, weights, row=50, center=center, step=4)
    small = truth[0].reshape(24, 4, 24, 4).mean(axis=(1, 3))
    x, y = np.meshgrid(plane_coordinates(24), plane_coordinates(24))
    inside = x**2 + y**2 < 10.5**2
    assert np.corrcoef((coarse[0] + coarse[1].T)[inside], small[inside])[0, 1] > 0.85
    xz = np.zeros((24, 96), np.float32)
    add_to_xz(xz, cache, np.arange(angles.size), angles, weights, y=40, center=center, step=4)
    small = truth[1].reshape(96, 24, 4).mean(axis=2)
    assert np.corrcoef(xz.T[20:76, 3:21].ravel(), small[20:76, 3:21].ravel())[0, 1] > 0.8


@given(count=st.integers(0, 40), k=st.integers(1, 12), seed=st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_coarse_weights_keep_their_sum(count, k, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random(count) * (rng.random(count) < 0.8)
    coarse = every_kth(rng.uniform(0, 360, count), weights, k)
    assert coarse.sum() == pytest.approx(weights.sum())
    assert np.count_nonzero(coarse) == -(-np.count_nonzero(weights) // k)
    assert not np.any(coarse[weights == 0])


def test_what_does_not_fit_is_refused():
    cache, plane = np.zeros((2, 8, 4), np.float32), np.zeros((2, 8, 8), np.float32)
    with pytest.raises(ValueError, match="xy is"):
        add_to_xy(plane[0], cache, [0], [0], [1], row=0, center=4)
    with pytest.raises(ValueError, match="row is 4"):
        add_to_xy(plane, cache, [0], [0], [1], row=4, center=4)
    with pytest.raises(ValueError, match="cache is float64"):
        add_to_xy(plane, cache.astype(float), [0], [0], [1], row=0, center=4)
    with pytest.raises(ValueError, match="slots run"):
        add_to_xy(plane, cache, [2], [0], [1], row=0, center=4)
    with pytest.raises(ValueError, match="expected one of each"):
        add_to_xy(plane, cache, [0, 1], [0], [1], row=0, center=4)
    with pytest.raises(ValueError, match="plane is"):
        add_to_xz(np.zeros((8, 5), np.float32), cache, [0], [0], [1], y=0, center=4)
    with pytest.raises(ValueError, match="k is 0"):
        every_kth([0.0], [1.0], 0)
