"""Direct back-projection onto planes: exact adjoint, equal to the definition, any plane is a cut of the volume."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.angles import angular_weights
from firstlight.kernels.fourier import FourierFBP
from firstlight.kernels.radon import backproject_plane, direct_fbp, project_plane, slice_plane
from firstlight.kernels.ramp import ramp_filter

from . import phantom_exact as exact

OBLIQUE = [[3.0, 2, 0.5], [0.7, 0.6, 0.05], [-0.3, 0.7, 0.02]]
TILTED = [[3.0, 2, 0.5], [0.7, 0.6, 0.0], [-0.3, 0.7, 0.05]]  # rows of the image stay within a detector row


def planes(size: int, rows: int) -> dict[str, tuple[Any, tuple[int, int]]]:
    return {
        "z": slice_plane("z", rows / 2, size, rows),
        "y": slice_plane("y", 10.5, size, rows),
        "x": slice_plane("x", 3, size, rows),
        "oblique": (OBLIQUE, (21, 19)),
        "tilted": (TILTED, (21, 19)),
    }


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["z", "y", "x", "oblique", "tilted"]),
    columns=st.integers(2, 40),
    rows=st.integers(1, 5),
    count=st.integers(1, 12),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 1000),
)
def test_projection_is_the_exact_adjoint(name: str, columns: int, rows: int, count: int, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plane, shape = planes(33, rows)[name]
    angles = rng.random(count) * 400
    projections = rng.standard_normal((count, rows, columns)).astype(dtype)
    image = rng.standard_normal(shape).astype(dtype)
    place = {"center": np.linspace(0.4, 0.6, rows) * columns, "size": 33}
    back = backproject_plane(projections, angles, plane, shape, **place)
    forth = project_plane(image, angles, plane, (rows, columns), **place)
    assert back.dtype == forth.dtype == dtype
    one = float((back.astype(np.float64) * image).sum())
    other = float((forth.astype(np.float64) * projections).sum())
    scale = np.linalg.norm(back.astype(np.float64)) * np.linalg.norm(image.astype(np.float64)) + 1e-9
    assert abs(one - other) <= (2e-6 if dtype == np.float32 else 1e-13) * scale


@pytest.mark.parametrize("name", ["z", "y", "x", "oblique", "tilted"])
def test_equals_the_definition(name: str) -> None:
    rng = np.random.default_rng(3)
    rows, columns, size = 6, 31, 33
    plane, shape = planes(size, rows)[name]
    angles, center = np.array([0.0, 33.0, 90, 111, 180, 271]), np.linspace(13, 16, rows)
    projections = rng.standard_normal((6, rows, columns))
    weights = angular_weights(angles)
    result = backproject_plane(projections, angles, plane, shape, center=center, size=size)
    single = backproject_plane(projections.astype(np.float32), angles, plane, shape, center=center, size=size)
    nine, expected = np.reshape(plane, (3, 3)), np.zeros(shape)
    for i, j in np.ndindex(shape):
        x, y, z = nine[0] + j * nine[1] + i * nine[2]
        if not 0 <= z <= rows - 1:
            continue
        for a, angle in enumerate(np.deg2rad(angles)):
            offset = (x - (size - 1) / 2) * np.cos(angle) + ((size - 1) / 2 - y) * np.sin(angle)
            column = offset + np.interp(z, np.arange(rows), center)
            line = [np.interp(column, np.arange(columns), row, left=0, right=0) for row in projections[a]]
            expected[i, j] += weights[a] * np.interp(z, np.arange(rows), line)
    np.testing.assert_allclose(result, expected, atol=1e-9)
    np.testing.assert_allclose(single, expected, atol=2e-3)


def test_planes_cut_one_volume_and_projections_add_and_subtract() -> None:
    rng = np.random.default_rng(0)
    projections = rng.standard_normal((9, 5, 24)).astype(np.float32)
    angles = np.arange(9) * 20.0
    volume = np.stack([backproject_plane(projections, angles, *slice_plane("z", z, 24, 5)) for z in range(5)])
    for axis, cut in (("y", volume[:, 7, :]), ("x", volume[:, :, 7])):
        plane, shape = slice_plane(axis, 7, 24, 5)
        np.testing.assert_allclose(backproject_plane(projections, angles, plane, shape), cut, atol=1e-5)
    plane, shape = slice_plane("y", 11.25, 24, 5)
    whole = backproject_plane(projections[1:], angles[1:], plane, shape, weights=np.full(8, 0.3))
    steps = np.zeros(shape, np.float32)
    for i in range(9):
        backproject_plane(projections[i : i + 1], angles[i], plane, shape, weights=0.3, out=steps)
    backproject_plane(projections[:1], angles[:1], plane, shape, weights=[-0.3], out=steps)
    np.testing.assert_allclose(steps, whole, atol=1e-5)


def test_direct_and_fourier_agree_with_a_soft_window() -> None:
    angles = np.arange(450) * 0.4
    sinogram = exact.sinogram(256, angles)
    direct = direct_fbp(sinogram, angles, window="hann")
    fourier = FourierFBP(angles, 256, window="hann").reconstruct(sinogram[None])[0]
    inside = exact.circle(256)
    assert exact.rrms(fourier, direct, inside) < 0.03
    assert np.corrcoef(fourier[inside], direct[inside])[0, 1] > 0.999
    single = ramp_filter(sinogram, "hann")[:, None]
    plane, shape = slice_plane("z", 0, 256, 1)
    assert exact.rrms(backproject_plane(single, angles, plane, shape), direct, inside) < 1e-4


def test_direct_is_quantitative_off_center() -> None:
    angles = np.arange(360) * 0.5
    sinogram = exact.sinogram(160, angles, center=71.3, scale=128)
    result = direct_fbp(sinogram, angles, center=71.3, size=128, window="shepp-logan")
    assert exact.rrms(result, exact.phantom(128), exact.circle(128)) < 0.14


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    plane, shape = slice_plane("z", 0, 8, 2)
    good = np.zeros((3, 2, 8), np.float32)
    with pytest.raises(ValueError, match="one per projection"):
        backproject_plane(good, [0, 1], plane, shape)
    with pytest.raises(ValueError, match="float32 or float64"):
        backproject_plane(good.astype(np.int32), [0, 1, 2], plane, shape)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="2 columns"):
        backproject_plane(good[..., :1], [0, 1, 2], plane, shape)
    with pytest.raises(ValueError, match="nine"):
        backproject_plane(good, [0, 1, 2], plane[:2], shape)
    with pytest.raises(ValueError, match="one per row"):
        backproject_plane(good, [0, 1, 2], plane, shape, center=[1, 2, 3])
    with pytest.raises(ValueError, match="weights"):
        backproject_plane(good, [0, 1, 2], plane, shape, weights=[1])
    with pytest.raises(ValueError, match="out is"):
        backproject_plane(good, [0, 1, 2], plane, shape, out=np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="out is"):
        project_plane(np.zeros(shape, np.float32), [0, 1], plane, (2, 8), out=good)
    with pytest.raises(ValueError, match="'x', 'y' or 'z'"):
        slice_plane("w", 0, 8, 2)
