"""The parallel projector: equal to Joseph's definition and to ASTRA's, and the exact adjoint of its back-projector."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.ellipsoids import Ellipsoid, ellipsoid_table, line_integrals, plane_coordinates, voxels
from firstlight.kernels.lanes import WIDTHS, groups, one_by_one, side_by_side
from firstlight.kernels.project import ParallelProjector
from firstlight.kernels.radon import backproject_plane, slice_plane

ASTRA = Path(__file__).parent / "data" / "astra_parallel.npz"
"""Made with astra-toolbox 2.5.0 on the CPU, projector 'linear': see test_iterate."""


def lanes_of(array, lanes=4):
    return side_by_side(np.asarray(array)[None], lanes)


def joseph(image, degrees, columns, center):
    """Follow each ray row by row, or column by column, in double precision."""
    size, middle = len(image), (len(image) - 1) / 2
    out = np.zeros((len(degrees), columns))
    for a, (c, s) in enumerate(zip(np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)), strict=True)):
        for col in range(columns):
            for i in range(size):
                if abs(c) >= abs(s):
                    place, line = (col - center - (middle - i) * s) / c + middle, image[i]
                else:
                    place, line = middle - (col - center - (i - middle) * c) / s, image[:, i]
                padded = np.concatenate([[0.0], line, [0.0]])
                value = np.interp(place + 1, np.arange(size + 2), padded, left=0, right=0)
                out[a, col] += value / max(abs(c), abs(s))
    return out


@settings(max_examples=40, deadline=None)
@given(
    columns=st.integers(2, 70),
    size=st.integers(2, 70),
    count=st.integers(1, 20),
    lanes=st.sampled_from(WIDTHS),
    shift=st.floats(-20, 20),
    seed=st.integers(0, 1000),
)
def test_back_projection_is_the_exact_adjoint(columns, size, count, lanes, shift, seed):
    rng = np.random.default_rng(seed)
    projector = ParallelProjector(rng.random(count) * 720 - 360, columns, size, center=columns / 2 + shift)
    images = rng.standard_normal((size, size, lanes)).astype(np.float32)
    sinograms = rng.standard_normal((count, columns, lanes)).astype(np.float32)
    forth, back = projector.project(images).astype(float), projector.backproject(sinograms).astype(float)
    one, other = (forth * sinograms).sum(axis=(0, 1)), (back * images).sum(axis=(0, 1))
    # Cauchy and Schwarz bound either side; of two pixels and many columns the back-projection may happen to be near 0.
    scale = max(np.linalg.norm(back) * np.linalg.norm(images), np.linalg.norm(forth) * np.linalg.norm(sinograms))
    assert np.abs(one - other).max() <= 2e-6 * scale


@pytest.mark.parametrize(("columns", "size", "center"), [(21, 17, None), (9, 17, 3.2), (17, 9, 20.0)])
def test_projections_are_those_of_the_definition(columns, size, center):
    rng = np.random.default_rng(1)
    image = rng.random((size, size))
    degrees = np.array([0.0, 17.0, 44.999, 45.0, 90.0, 111.0, 180.0, 271.5, -60.0])
    found = ParallelProjector(degrees, columns, size, center=center).project(lanes_of(image))
    expected = joseph(image, degrees, columns, (columns - 1) / 2 if center is None else center)
    np.testing.assert_allclose(found[..., 0], expected, atol=2e-5)
    assert not found[..., 1:].any()


def test_projections_are_those_of_astra():
    data = np.load(ASTRA)
    found = ParallelProjector(data["theta"], data["sinogram"].shape[1], 48).project(lanes_of(data["truth"]))[..., 0]
    assert np.linalg.norm(found - data["forward"]) < 1e-5 * np.linalg.norm(data["forward"])


def test_a_smooth_disk_projects_to_its_chords():
    size, degrees = 128, np.arange(0.0, 180.0, 7.0)
    table = ellipsoid_table([Ellipsoid(1.0, 0.5, 0.3, x0=0.2, y0=-0.1, phi=30)], size / 2)
    x = plane_coordinates(size)
    image = voxels(table, [0.0], x[::-1], x, points=(1, 6, 6))[0]
    exact = line_integrals(table, np.deg2rad(degrees), [0.0], size, center=60.0, rays=(1, 4))[:, 0]
    found = ParallelProjector(degrees, size, size, center=60.0).project(lanes_of(image))[..., 0]
    assert np.linalg.norm(found - exact) < 0.01 * np.linalg.norm(exact)


@pytest.mark.parametrize("center", [None, 14.3])
def test_back_projection_with_a_hat_is_linear_interpolation(center):
    rng = np.random.default_rng(2)
    degrees, weights, columns, size = np.array([0.0, 31, 77, 90, 133, 200]), rng.random(6), 40, 33
    sinogram = rng.random((6, columns)).astype(np.float32)
    projector = ParallelProjector(degrees, columns, size, center=center, weights=weights, hat=True)
    found = projector.backproject(lanes_of(sinogram))[..., 0]
    plane, shape = slice_plane("z", 0.0, size, 1)
    expected = backproject_plane(
        sinogram[:, None].astype(float), degrees, plane, shape, center=center, size=size, weights=weights
    )
    place = np.arange(size) - (size - 1) / 2
    s = place[None, None] * np.cos(np.deg2rad(degrees))[:, None, None]
    s = s - place[None, :, None] * np.sin(np.deg2rad(degrees))[:, None, None]
    s += (columns - 1) / 2 if center is None else center
    seen = np.all((s >= 0) & (s <= columns - 1), axis=0)  # the other one leaves out half pixels at the rim
    np.testing.assert_allclose(found[seen], expected[seen], atol=2e-5)
    assert seen.sum() > 200


def test_subsets_add_up_to_the_whole():
    rng = np.random.default_rng(3)
    projector = ParallelProjector(rng.random(11) * 180, 30, 28, center=13.0)
    sinograms = rng.random((11, 30, 4), np.float32)
    parts = [np.arange(k, 11, 3) for k in range(3)]
    total = sum(projector.subset(part).backproject(np.ascontiguousarray(sinograms[part])) for part in parts)
    np.testing.assert_allclose(total, projector.backproject(sinograms), rtol=1e-5)


def test_what_does_not_fit_is_refused():
    projector = ParallelProjector([0.0, 1.0], 8, 8)
    with pytest.raises(ValueError, match="float64"):
        projector.project(np.zeros((8, 8, 4)))
    with pytest.raises(ValueError, match="expected contiguous"):
        projector.backproject(np.zeros((3, 8, 4), np.float32))
    with pytest.raises(ValueError, match="filtered back-projection"):
        ParallelProjector([0.0], 8, 8, hat=True).project(np.zeros((8, 8, 4), np.float32))
    with pytest.raises(ValueError, match="finite"):
        ParallelProjector([np.nan], 8, 8)
    with pytest.raises(ValueError, match="weights"):
        ParallelProjector([0.0], 8, 8, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="2 or more"):
        ParallelProjector([0.0], 1, 8)


@given(count=st.integers(1, 50))
def test_groups_hold_every_slice_once(count):
    stack = np.random.default_rng(count).random((count, 2, 3)).astype(np.float32)
    out = np.zeros_like(stack)
    for chosen, lanes in groups(count):
        packed = side_by_side(stack[chosen], lanes)
        assert lanes in WIDTHS
        assert packed.shape == (2, 3, lanes)
        assert not packed[..., len(stack[chosen]) :].any()
        one_by_one(packed, out[chosen])
    np.testing.assert_array_equal(out, stack)
