"""Ramp filters: equal to the convolution with the real-space ramp, any window, any length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.kernels.ramp import (
    WINDOWS,
    Padding,
    RampFilter,
    edge_response,
    ramp_filter,
    ramp_kernel,
    window_response,
)


@settings(max_examples=30, deadline=None)
@given(columns=st.integers(1, 70), rows=st.integers(0, 5), seed=st.integers(0, 100))
def test_filter_is_the_linear_convolution_with_the_ramp(columns: int, rows: int, seed: int) -> None:
    sinogram = np.random.default_rng(seed).standard_normal((rows, columns))
    offset = np.arange(1 - columns, columns)
    kernel = np.where(offset % 2 == 1, -1 / (np.pi * np.where(offset == 0, 1, offset)) ** 2, 0.0)
    kernel[columns - 1] = 0.25
    expected = [np.convolve(row, kernel)[columns - 1 : 2 * columns - 1] for row in sinogram]
    np.testing.assert_allclose(ramp_filter(sinogram), np.reshape(expected, sinogram.shape), atol=2e-6)


@pytest.mark.parametrize("length", [8, 9, 64, 75])
def test_kernel_sums_to_nearly_nothing(length: int) -> None:
    assert 0 < ramp_kernel(length).sum() < 1 / length  # the tail beyond the row, not a constant offset


def test_kernel_of_every_length_is_exact() -> None:
    for length in range(1, 400):  # offsets made by division lose odd numbers to rounding, first at 98
        kernel = ramp_kernel(length)
        for offset in range(-((length - 1) // 2), length // 2 + 1):
            expected = 0.25 if offset == 0 else -1 / (np.pi * offset) ** 2 if offset % 2 else 0.0
            assert kernel[offset] == pytest.approx(expected)


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_start_at_one_and_fall(window: str) -> None:
    frequency = np.linspace(0, 0.5, 101)
    response = window_response(frequency, window)  # type: ignore[arg-type]
    assert response[0] == pytest.approx(1)
    assert np.all(np.diff(response) <= 1e-12)
    at_the_end = {"ram-lak": 1, "shepp-logan": 2 / np.pi, "cosine": 0, "hann": 0, "hamming": 0.08, "parzen": 0}
    assert response[-1] == pytest.approx(at_the_end.get(window, np.sqrt(0.5)), abs=1e-12)


def test_cutoff_ends_the_window() -> None:
    response = window_response(np.array([0.0, 0.24, 0.26]), "ram-lak", 0.5)
    np.testing.assert_array_equal(response, [1, 1, 0])


def test_wrong_names_and_values_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="hann"):
        ramp_filter(np.ones((2, 8)), "han")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cutoff"):
        ramp_filter(np.ones((2, 8)), cutoff=2)
    with pytest.raises(ValueError, match="edge"):
        RampFilter(8, padding="mirror")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="9 columns"):
        RampFilter(8)(np.ones((2, 9)))
    with pytest.raises(ValueError, match="float32"):
        RampFilter(8)(np.ones((2, 8)), out=np.ones((2, 8)))  # type: ignore[arg-type]


def test_in_place_and_workers_and_leading_axes_do_not_matter() -> None:
    sinogram = np.random.default_rng(0).standard_normal((5, 301, 33)).astype(np.float32)
    expected = np.stack([ramp_filter(part, "hann") for part in sinogram])
    result = ramp_filter(sinogram, "hann", out=sinogram, workers=2)
    assert result is sinogram
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_repeated_edges_make_a_constant_row_vanish() -> None:
    row = np.ones((1, 100), np.float32)
    zero, edge = ramp_filter(row), ramp_filter(row, padding="edge")
    assert np.abs(edge).max() < 0.05 * np.abs(zero).max()
    np.testing.assert_allclose(edge[0], zero[0] + edge_response(100) + edge_response(100)[::-1], atol=1e-6)


@pytest.mark.parametrize("padding", ["zero", "edge"])
def test_what_the_filter_spreads_beside_the_detector_is_that_of_a_wider_detector(padding: Padding) -> None:
    rows = np.random.default_rng(1).random((2, 3, 40)).astype(np.float32) + 1
    wide = np.pad(rows, [(0, 0), (0, 0), (40, 40)], mode="edge" if padding == "edge" else "constant")
    expected = ramp_filter(np.pad(wide, [(0, 0), (0, 0), (60, 60)]))[..., 100 - 12 : 140 + 50]
    found = RampFilter(40, padding=padding, beside=(12, 50))(rows)
    np.testing.assert_allclose(found, expected, atol=2e-6)
