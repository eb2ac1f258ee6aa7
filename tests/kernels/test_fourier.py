"""Filtered back-projection by Fourier slice: right on the phantom, equal to the slow references, any size and list."""

import threading

import finufft
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from firstlight.kernels.fourier import FourierFBP
from firstlight.kernels.interpolate import BAND, LineGrid
from firstlight.kernels.radon import direct_fbp

from . import phantom_exact as exact


def even_angles(count: int) -> NDArray[np.float64]:
    return np.arange(count) * 180.0 / count


@pytest.mark.parametrize(
    ("size", "count", "bound"),
    [pytest.param(1024, 900, 0.04), pytest.param(2048, 1500, 0.03, marks=pytest.mark.slow)],
)
def test_accuracy_on_the_phantom(size: int, count: int, bound: float) -> None:
    angles, inside = even_angles(count), exact.circle(size)
    sinogram, truth = exact.sinogram(size, angles), exact.phantom(size)
    result = FourierFBP(angles, size).reconstruct(sinogram[None])[0]
    error = exact.rrms(result, truth, inside)
    assert error <= bound
    assert error <= exact.rrms(direct_fbp(sinogram, angles), truth, inside)
    inner = np.zeros(truth.shape, bool)
    for index in reversed(range(len(exact.ELLIPSES))):  # each without the ellipses drawn into it: 0 is the skull's ring
        level = exact.ellipse_level(size, index) <= 1
        around, inner = level & ~inner, level | inner
        if index not in exact.LARGE:
            continue
        middle = ndimage.binary_erosion(around, iterations=3) & inside
        assert result[middle].mean() == pytest.approx(truth[middle].mean(), abs=0.005), index


@pytest.mark.parametrize("size", [256, 255])
def test_a_disc_is_flat_and_quantitative(size: int) -> None:
    """No cupping: a uniform disc that fills the field of view is 1 in the middle and near the rim, 0 outside."""
    radius, place = 0.45 * size, np.arange(size) - (size - 1) / 2
    rays = [2 * np.sqrt(np.clip(radius**2 - (place + d) ** 2, 0, None)) for d in (-0.375, -0.125, 0.125, 0.375)]
    sinogram = np.repeat(np.mean(rays, axis=0)[None, None], 400, axis=1).astype(np.float32)
    result = FourierFBP(even_angles(400), size, window="hann").reconstruct(sinogram)[0]
    distance = np.hypot(place[:, None], place[None, :])
    for low, high, value in [(0, 0.1, 1), (0.1, 0.2, 1), (0.2, 0.3, 1), (0.3, 0.42, 1), (0.47, 0.5, 0)]:
        ring = (distance >= low * size) & (distance < high * size)
        assert result[ring].mean() == pytest.approx(value, abs=2e-3)
    assert not result[distance > size / 2].any()


@settings(max_examples=25, deadline=None)
@given(
    columns=st.integers(4, 70),
    size=st.integers(1, 70),
    offset=st.floats(-6, 6),
    angles=st.lists(st.floats(-400, 400), min_size=1, max_size=25),
    slices=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_equals_the_sum_of_plane_waves(
    columns: int, size: int, offset: float, angles: list[float], slices: int, seed: int
) -> None:
    """The definition, in double precision: trigonometric interpolation of the filtered projections."""
    sinograms = np.random.default_rng(seed).standard_normal((slices, len(angles), columns)).astype(np.float32)
    centers = (columns - 1) / 2 + offset * np.linspace(-1, 1, slices)
    plan = FourierFBP(angles, columns, size=size, center=centers, circle=True, eps=1e-4)
    result = plan.reconstruct(sinograms)
    expected = _plane_waves(plan, sinograms, centers)
    assert result.shape == (slices, size, size)
    scale = np.abs(expected).max() + 1e-3
    np.testing.assert_allclose(result, expected * exact.circle(size, 0.5), atol=1e-2 * scale)


def _plane_waves(plan: FourierFBP, sinograms: NDArray[np.float32], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over angles of the filtered projections, linear convolution with the ramp, at x cos + y sin + center."""
    length, first = plan.length, plan.first
    place = np.arange(length) - first
    offset = place[:, None] - np.arange(plan.columns)[None, :]
    ramp = np.where(offset % 2 == 1, -1 / (np.pi * np.where(offset == 0, 1, offset)) ** 2, 0.0)
    ramp[offset == 0] = 0.25
    filtered = sinograms.astype(np.float64) @ ramp.T
    k = np.arange(length) - length // 2
    spectrum = np.fft.fftshift(np.fft.fft(filtered, axis=-1), axes=-1)
    if length % 2 == 0:
        spectrum[..., 0] = 0
    pixel = np.arange(plan.size) - (plan.size - 1) / 2
    result = np.zeros((len(sinograms), plan.size, plan.size))
    for index, (angle, weight) in enumerate(zip(np.deg2rad(plan.angles), plan.weights, strict=True)):
        turn = 2j * np.pi * k / length
        across = np.exp(turn * pixel[:, None] * np.cos(angle))
        down = np.exp(-turn * pixel[:, None] * np.sin(angle))
        for slice_index, center in enumerate(centers):
            wave = spectrum[slice_index, index] * np.exp(turn * (center + first))
            result[slice_index] += weight / length * ((down * wave) @ across.T).real
    return result


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(1, 90),
    length=st.integers(8, 100),
    lines=st.integers(1, 30),
    # each once, not each pair: every pair is compiled
    loop=st.sampled_from([(2, 1e-4), (4, 1e-2), (8, 1e-3)]),
    seed=st.integers(0, 99),
)
def test_gridding_equals_finufft(size: int, length: int, lines: int, loop: tuple[int, float], seed: int) -> None:
    rng, (slices, eps) = np.random.default_rng(seed), loop
    theta = rng.random(lines) * 2 * np.pi
    samples = rng.standard_normal((lines, length, slices)).astype(np.float32)
    samples[:, : 1 - length % 2] = 0
    plan = LineGrid(np.cos(theta), np.sin(theta), length, size, eps)
    grid = np.zeros((plan.points, plan.points, slices), np.float32)
    for band in range(plan.bands):
        buffer = plan.band(slices)
        plan.spread(samples, band, buffer)
        rows = (np.arange(len(buffer)) + band * BAND - 1 - plan.margin) % plan.points
        columns = (np.arange(buffer.shape[1]) - plan.margin) % plan.points
        np.add.at(grid, (rows[:, None], columns[None, :]), buffer)
    modes, correction = np.arange(size) - size // 2, plan.correction()
    image = np.fft.ifft2(grid[..., 0] + 1j * grid[..., 1]) * plan.points**2
    image = image[np.ix_(modes % plan.points, modes % plan.points)] * np.outer(correction, correction)
    frequency = 2 * np.pi * (np.arange(length) - length // 2) / length
    down, across = np.outer(np.sin(theta), frequency).ravel(), np.outer(np.cos(theta), frequency).ravel()
    values = (samples[..., 0] + 1j * samples[..., 1]).astype(np.complex128).ravel()
    expected = finufft.nufft2d1(down, across, values, (size, size), isign=1, eps=1e-10)
    assert np.linalg.norm(image - expected) <= 5 * eps * np.linalg.norm(values) * max(size, 4)


def test_a_center_per_slice_and_a_whole_scan_of_centers_agree() -> None:
    angles = even_angles(180)
    centers = np.array([60.0, 63.5, 66.25, 61.0, 63.5])
    sinograms = np.stack([exact.sinogram(128, angles, center=center) for center in centers])
    together = FourierFBP(angles, 128, center=centers, window="hann").reconstruct(sinograms)
    truth, inside = exact.phantom(128), exact.circle(128)
    for one, center, sinogram in zip(together, centers, sinograms, strict=True):
        other = FourierFBP(angles, 128, center=center, window="hann").reconstruct(sinogram[None])[0]
        assert exact.rrms(one, truth, inside) < 0.25
        assert exact.rrms(one, other, inside) < 2e-3


@pytest.mark.parametrize("center", [46.5, 127.5, 207.5])
def test_a_far_center_wraps_nothing_into_the_slice(center: float) -> None:
    angles = even_angles(200)
    sinogram = exact.sinogram(256, angles, center=center, scale=100)
    result = FourierFBP(angles, 256, center=center, size=100, window="hann").reconstruct(sinogram[None])[0]
    middle = FourierFBP(angles, 100, window="hann").reconstruct(exact.sinogram(100, angles)[None])[0]
    assert exact.rrms(result, middle, exact.circle(100)) < 0.01


def test_shuffled_repeated_and_turned_angles_change_nothing() -> None:
    angles = even_angles(181)
    sinogram = exact.sinogram(96, angles)
    expected = FourierFBP(angles, 96).reconstruct(sinogram[None])
    order = np.random.default_rng(0).permutation(181)
    shuffled = FourierFBP(angles[order], 96).reconstruct(sinogram[None, order])
    np.testing.assert_allclose(shuffled, expected, atol=1e-5)
    turned = angles + np.where(np.arange(181) % 2, 180.0, 0.0)
    mirrored = np.where((np.arange(181) % 2 == 1)[:, None], sinogram[:, ::-1], sinogram)
    np.testing.assert_allclose(FourierFBP(turned, 96).reconstruct(mirrored[None]), expected, atol=2e-4)
    twice = FourierFBP(np.repeat(angles, 2), 96).reconstruct(np.repeat(sinogram, 2, axis=0)[None])
    np.testing.assert_allclose(twice, expected, atol=1e-4)


def test_unequal_steps_give_the_right_level() -> None:
    angles = np.concatenate([np.arange(0, 60, 0.25), np.arange(60, 180, 1.0)])
    truth, inside = exact.phantom(128), exact.circle(128)
    result = FourierFBP(angles, 128, window="hann").reconstruct(exact.sinogram(128, angles)[None])[0]
    equal = FourierFBP(even_angles(360), 128, window="hann").reconstruct(exact.sinogram(128, even_angles(360))[None])[0]
    assert exact.rrms(result, equal, inside) < 0.05
    assert result[inside].mean() == pytest.approx(truth[inside].mean(), rel=0.01)


def test_the_corners_are_right_without_the_circle() -> None:
    angles = even_angles(40)
    sinogram = np.zeros((1, 40, 32), np.float32)
    sinogram[0, :, 15:17] = 1
    plan = FourierFBP(angles, 32, circle=False, eps=1e-4)
    assert plan.length > FourierFBP(angles, 32).length
    expected = _plane_waves(plan, sinogram, np.array([15.5]))
    np.testing.assert_allclose(plan.reconstruct(sinogram), expected, atol=2e-3 * np.abs(expected).max())


def test_repeated_edges_level_a_sample_wider_than_the_detector() -> None:
    angles = even_angles(300)
    cut = exact.sinogram(256, angles)[:, 64:192]
    truth = exact.phantom(256)[64:192, 64:192]
    inside = exact.circle(128)
    zero = FourierFBP(angles, 128, window="hann").reconstruct(cut[None])[0]
    edge = FourierFBP(angles, 128, window="hann", padding="edge").reconstruct(cut[None])[0]
    spread = [float((picture - truth)[inside].std()) for picture in (zero, edge)]
    assert spread[1] < 0.5 * spread[0]


def test_threads_share_a_plan_and_write_into_given_arrays() -> None:
    angles = even_angles(60)
    plan = FourierFBP(angles, 48)
    sinograms = np.random.default_rng(0).standard_normal((24, 60, 48)).astype(np.float32)
    expected = plan.reconstruct(sinograms)
    out = np.full_like(expected, np.nan)
    parts = [slice(0, 9), slice(9, 13), slice(13, 14), slice(14, 24)]
    threads = [threading.Thread(target=lambda p=p: plan.reconstruct(sinograms[p], out=out[p])) for p in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(out, expected, atol=1e-4)
    assert plan.workspace_bytes(8) > 0


def test_float64_and_strided_sinograms_are_taken_as_they_are() -> None:
    volume = np.random.default_rng(0).standard_normal((30, 3, 20))  # angle, row, col
    plan = FourierFBP(even_angles(30), 20)
    result = plan.reconstruct(volume.transpose(1, 0, 2))
    expected = plan.reconstruct(np.ascontiguousarray(volume.transpose(1, 0, 2)).astype(np.float32))
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert plan.reconstruct(volume.transpose(1, 0, 2)[:0]).shape == (0, 20, 20)


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    plan = FourierFBP(even_angles(10), 16)
    with pytest.raises(ValueError, match=r"\(slice, 10, 16\)"):
        plan.reconstruct(np.zeros((1, 16, 10), np.float32))
    with pytest.raises(ValueError, match="out is float64"):
        plan.reconstruct(np.zeros((1, 10, 16), np.float32), out=np.zeros((1, 16, 16)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Make a plan with this center"):
        plan.reconstruct(np.zeros((1, 10, 16), np.float32), center=3.0)
    with pytest.raises(ValueError, match="one per slice"):
        plan.reconstruct(np.zeros((1, 10, 16), np.float32), center=[7.5, 7.5])
    for wrong in ({"center": np.nan}, {"size": 0}, {"padding": "x"}, {"window": "x"}, {"weights": [1]}, {"eps": 1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FourierFBP(even_angles(10), 16, **wrong)  # type: ignore[arg-type]
