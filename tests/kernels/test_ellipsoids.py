"""Ellipsoid phantoms against closed forms and against their own voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN,
    SHEPP_LOGAN_CYLINDERS,
    Ellipsoid,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    voxels,
)


def test_chord_through_a_sphere_is_the_circle_formula():
    table = ellipsoid_table([Ellipsoid(2.0, 0.5, 0.5, 0.5)], 32.0)
    z = plane_coordinates(65, descending=True)
    frame = line_integrals(table, [0.3], z, 65, rays=(1, 1))[0]
    s = plane_coordinates(65)
    expected = 2.0 * 2 * np.sqrt(np.clip(16.0**2 - z[:, None] ** 2 - s[None, :] ** 2, 0, None))
    np.testing.assert_allclose(frame, expected, atol=1e-4)


@given(
    angle=st.floats(-10, 10),
    a=st.floats(0.1, 0.5),
    b=st.floats(0.1, 0.5),
    c=st.floats(0.1, 0.5),
    phi=st.floats(-180, 180),
    x0=st.floats(-0.3, 0.3),
)
@settings(max_examples=25, deadline=None)
def test_every_projection_holds_the_volume(angle, a, b, c, phi, x0):
    table = ellipsoid_table([Ellipsoid(1.0, a, b, c, x0, 0.1, -0.1, phi)], 40.0)
    frame = line_integrals(table, [angle], plane_coordinates(80, descending=True), 80)
    volume = 4 / 3 * np.pi * a * b * c * 40.0**3
    assert float(frame.sum()) == pytest.approx(volume, rel=5e-3)


@given(phi=st.floats(-180, 180), y0=st.floats(-0.2, 0.2))
@settings(max_examples=15, deadline=None)
def test_projection_is_the_sum_of_voxels_along_the_beam(phi, y0):
    n = 48
    table = ellipsoid_table([Ellipsoid(1.0, 0.6, 0.3, 0.4, 0.1, y0, 0.2, phi)], n / 2)
    down, right = plane_coordinates(n, descending=True), plane_coordinates(n)
    block = voxels(table, down, down, right)
    at_0, at_90 = line_integrals(table, np.deg2rad([0.0, 90.0]), down, n)
    # 0 degree: the beam runs along y and a column is x; 90 degree: along x, and a column is y, which points up
    np.testing.assert_allclose(at_0, block.sum(axis=1), atol=0.75)
    np.testing.assert_allclose(at_90, block.sum(axis=2)[:, ::-1], atol=0.75)
    assert abs(at_0 - block.sum(axis=1)).mean() < 0.02
    assert abs(at_90 - block.sum(axis=2)[:, ::-1]).mean() < 0.02


def test_vertical_planes_are_cuts_of_the_volume():
    n = 32
    table = ellipsoid_table(SHEPP_LOGAN, n / 2)
    down, right = plane_coordinates(n, descending=True), plane_coordinates(n)
    block = voxels(table, down, down, right)
    np.testing.assert_allclose(voxels(table, down, down[9], right)[:, 0], block[:, 9], atol=1e-12)
    np.testing.assert_allclose(voxels(table, down, down, right[20])[:, :, 0], block[:, :, 20], atol=1e-12)


def test_blocks_of_the_detector_are_parts_of_the_frame():
    table = ellipsoid_table(SHEPP_LOGAN, 32.0)
    angles, z = np.linspace(0, 3, 4), plane_coordinates(64, descending=True)
    whole = line_integrals(table, angles, z, 64, center=30.2)
    part = line_integrals(table, angles, z[10:20], 24, center=30.2, first_column=17)
    np.testing.assert_array_equal(part, whole[:, 10:20, 17:41])


def test_axis_offset_shifts_the_picture_and_may_differ_from_angle_to_angle():
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, 24.0)
    middle = line_integrals(table, [0.4, 1.1], [0.0], 64)
    shaken = line_integrals(table, [0.4, 1.1], [0.0], 64, center=[33.5, 29.5])
    np.testing.assert_allclose(shaken[0, 0, 2:], middle[0, 0, :-2], atol=1e-4)
    np.testing.assert_allclose(shaken[1, 0, :-2], middle[1, 0, 2:], atol=1e-4)


def test_half_a_turn_mirrors_the_projection():
    table = ellipsoid_table(SHEPP_LOGAN, 30.0)
    z = plane_coordinates(8, descending=True)
    first, second = line_integrals(table, [0.7, 0.7 + np.pi], z, 61)
    np.testing.assert_allclose(first, second[:, ::-1], atol=1e-4)


def test_shepp_logan_has_its_known_values():
    n = 128
    table = ellipsoid_table(SHEPP_LOGAN_CYLINDERS, n / 2)
    image = voxels(table, [5.0], plane_coordinates(n, descending=True), plane_coordinates(n))[0]
    assert image[64, 64] == pytest.approx(0.2)  # brain
    assert image[8:, 64].max() == pytest.approx(1.0)  # skull
    assert image[0, 0] == 0.0
    assert image[64, 64 + 14] == pytest.approx(0.0, abs=1e-6)  # ventricle
    # the largest tumour lies above the middle: y points up, rows run down
    assert image[41, 64] == pytest.approx(0.3)
    assert image[86, 64] == pytest.approx(0.2)


def test_memory_of_the_caller_is_filled():
    table = ellipsoid_table(SHEPP_LOGAN, 8.0)
    out = np.full((1, 1, 16), -1, np.float32)
    assert line_integrals(table, 0.0, 0.0, 16, out=out) is out
    assert out.max() > 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rays": (0, 1)}, "rays"),
        ({"center": [1.0, 2.0, 3.0]}, "center"),
        ({"first_column": 3}, "center"),
        ({"out": np.empty((2, 1, 8))}, "out"),
    ],
)
def test_bad_arguments_are_named(changes, word):
    with pytest.raises(ValueError, match=word):
        line_integrals(ellipsoid_table(SHEPP_LOGAN, 4.0), [0.0, 1.0], [0.0], 8, **changes)


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="a is 0"):
        Ellipsoid(1.0, 0, 1, 1)
    with pytest.raises(ValueError, match="scale"):
        ellipsoid_table(SHEPP_LOGAN, 0)
    with pytest.raises(ValueError, match="points"):
        voxels(ellipsoid_table(SHEPP_LOGAN, 1), 0, 0, 0, points=(0, 1, 1))
    with pytest.raises(ValueError, match="x does not rise"):
        voxels(ellipsoid_table(SHEPP_LOGAN, 1), 0, 0, [0, 2])
