"""Rectangles and rims, against numpy's own."""

from __future__ import annotations

import numpy as np
import pytest

from firstlight.kernels.rims import cropped, padded


def _frames(kind: str) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 60_000, (3, 5, 7)).astype(kind)


@pytest.mark.parametrize("kind", ["uint16", ">u2", "float32", "complex128"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_rectangle_is_a_copy_of_it(kind: str, apart: bool) -> None:
    frames = _frames(kind)[:, :, ::-1] if apart else _frames(kind)
    found = cropped(frames, slice(1, 4), slice(2, 7))
    np.testing.assert_array_equal(found, frames[:, 1:4, 2:7])
    assert found.dtype == frames.dtype
    assert not np.shares_memory(found, frames)


@pytest.mark.parametrize("kind", ["uint16", ">u2", "float32", "complex128"])
@pytest.mark.parametrize(("rows", "columns"), [((2, 3), (4, 1)), ((0, 5), (7, 0)), ((0, 0), (0, 0))])
def test_rims_are_those_of_numpy(kind: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    frames, rims = _frames(kind), ((0, 0), rows, columns)
    np.testing.assert_array_equal(padded(frames, rows, columns), np.pad(frames, rims, mode="edge"))
    np.testing.assert_array_equal(padded(frames, rows, columns, mirror=True), np.pad(frames, rims, mode="symmetric"))
    np.testing.assert_array_equal(padded(frames, rows, columns, value=7), np.pad(frames, rims, constant_values=7))
    wide = padded(frames, (9, 0), (0, 11))  # wider than the frame: only a mirror could not be
    np.testing.assert_array_equal(wide, np.pad(frames, ((0, 0), (9, 0), (0, 11)), mode="edge"))
